//! `stoop serve` alone at its name: killed during startup or shutdown, with different files there
//! before.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use stoop_testkit::{Injector, has_program, is_root, skip};

use super::{begin_with_signals, end_when_it_waits};
use crate::points::{Outcome, every_point, lacking};
use crate::socket_dir::{Place, SocketDir};

/// A server that starts, serves, is told to shut down, and is killed at some point.
struct Life {
    place: Place,
    kind: &'static str,
    name: fn(&Path) -> PathBuf,
    flags: &'static [&'static str],
    next_flags: &'static [&'static str],
    before: fn(&Path),
}

const SHORT: Life = Life {
    place: SocketDir::new,
    kind: "stream",
    name: |dir| dir.join("app.sock"),
    flags: &[],
    next_flags: &[],
    before: |_| {},
};

/// On FUSE, whose files may belong to servers that are not seen, and which cannot exchange names.
const ON_FUSE: Life =
    Life { place: SocketDir::on_fuse, flags: &["--assume-stale"], next_flags: &["--assume-stale"], ..SHORT };

impl Life {
    fn run(&self, injector: &Injector) -> Outcome {
        let place = (self.place)(self.kind, self.name);
        (self.before)(&place.path);
        end_when_it_waits(injector);
        begin_with_signals(injector);
        let victim = place.start_watched('B', self.flags, injector).process.finish();
        let seen = place.left();
        let outcome = match victim.code {
            None => Ok(()),
            Some(0) if seen.is_empty() => Ok(()),
            code => Err(format!("it was not killed, and ended with {code:?}: {}", victim.stderr)),
        };
        let outcome = outcome.and_then(|()| place.is_served_next(self.next_flags));
        outcome.map_err(|wrong| format!("{wrong}\n    after the kill there was {seen:?}"))
    }
}

/// A stale socket file.
fn stale(path: &Path) {
    drop(UnixListener::bind(path).unwrap());
}

macro_rules! lives {
    ($($name:ident at_least $points:literal: $life:expr;)*) => {$(
        #[test]
        fn $name() {
            if let Some(lacking) = lacking() {
                skip!("lacks {lacking}");
            }
            let life: Life = $life;
            every_point(stringify!($name), $points, |injector| life.run(injector));
        }
    )*};
}

lives! {
    a_fresh_name at_least 25: SHORT;
    a_name_with_a_stale_file at_least 25: Life { before: stale, ..SHORT };
    a_mode_of_its_own at_least 25: Life { flags: &["--mode", "660"], ..SHORT };
    directories_that_are_made at_least 25: Life {
        name: |dir| dir.join("one/two/app.sock"), flags: &["--mkdir"], next_flags: &["--mkdir"], ..SHORT
    };
    a_path_that_is_too_long_for_an_address at_least 25: Life {
        name: |dir| {
            let dir = dir.join("d".repeat(110));
            fs::create_dir(&dir).unwrap();
            dir.join("app.sock")
        },
        ..SHORT
    };
    a_name_that_is_too_long_for_an_address at_least 25: Life { name: |dir| dir.join("n".repeat(120)), ..SHORT };
    a_stale_file_of_a_long_name at_least 25: Life {
        name: |dir| dir.join("n".repeat(230)),
        before: |path| {
            let short = path.with_file_name("s");
            stale(&short);
            fs::rename(short, path).unwrap();
        },
        ..SHORT
    };
    datagrams at_least 25: Life { kind: "dgram", ..SHORT };
    datagrams_at_a_stale_file at_least 25: Life { kind: "dgram", before: stale, ..SHORT };
    packets at_least 25: Life { kind: "seqpacket", ..SHORT };
}

#[test]
fn a_stale_file_on_fuse() {
    if let Some(lacking) = lacking() {
        skip!("lacks {lacking}");
    }
    if !is_root() || !has_program("bindfs") {
        skip!("lacks root or bindfs");
    }
    let life = Life { before: stale, ..ON_FUSE };
    every_point("a_stale_file_on_fuse", 25, |injector| life.run(injector));
}

#[test]
fn an_owner_of_its_own() {
    if !is_root() {
        skip!("lacks root");
    }
    if let Some(lacking) = lacking() {
        skip!("lacks {lacking}");
    }
    let life = Life { flags: &["--mode", "660", "--owner", "65534", "--group", "65534"], ..SHORT };
    every_point("an_owner_of_its_own", 25, |injector| life.run(injector));
}

/// A name of the maximum length that a file system allows leaves no space for a longer one: whether
/// the server serves or refuses, nothing may be left behind.
#[test]
fn the_longest_name() {
    if let Some(lacking) = lacking() {
        skip!("lacks {lacking}");
    }
    every_point("the_longest_name", 20, |injector| {
        let place = SocketDir::new("stream", |dir| dir.join("n".repeat(255)));
        end_when_it_waits(injector);
        begin_with_signals(injector);
        let victim = place.start_watched('B', &[], injector).process.finish();
        let seen = place.left();
        let mut next = place.start('C', &[]);
        let serves = next.serves();
        let answer = place.answer();
        let end = next.process.terminate();
        let left = place.left();
        let fine = match serves {
            true => answer == Ok('C') && end.code == Some(0),
            false => end.code == Some(2) || end.code == Some(3),
        };
        match fine && left.is_empty() {
            true => Ok(()),
            false => Err(format!(
                "the first ended with {:?} and left {seen:?}; the next serves: {serves}, answers {answer:?}, ended with {:?}, left \
                 {left:?}: {}",
                victim.code, end.code, end.stderr
            )),
        }
    });
}
