//! `stoop serve --replace`: the new server is killed while it takes over from a live server, or the
//! old one while it shuts down.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;
use stoop_testkit::{Injector, has_program, is_root, skip};

use super::{begin_with_signals, end_when_it_waits};
use crate::points::{Outcome, every_point, lacking};
use crate::socket_dir::{Place, SocketDir};

/// The place of a server that is replaced.
struct Replaced {
    place: Place,
    kind: &'static str,
    name: fn(&Path) -> PathBuf,
    /// What the next server needs if a dead one has left its file.
    next_flags: &'static [&'static str],
}

const STREAM: Replaced =
    Replaced { place: SocketDir::new, kind: "stream", name: |dir| dir.join("app.sock"), next_flags: &[] };

/// On FUSE, which cannot exchange names, and whose files may belong to servers that are not seen.
const ON_FUSE: Replaced = Replaced { place: SocketDir::on_fuse, next_flags: &["--assume-stale"], ..STREAM };

/// The new server is killed. Every live server has a name, and a plain server finds it in use.
fn newcomer(replaced: &Replaced, injector: &Injector) -> Outcome {
    let Replaced { kind, next_flags, .. } = *replaced;
    let place = (replaced.place)(kind, replaced.name);
    let mut old = place.start('A', &[]);
    assert!(old.serves(), "{}", old.process.stderr());
    let inode = place.inode().expect("a server has a file");
    end_when_it_waits(injector);
    begin_with_signals(injector);
    let victim = place.start_watched('B', &["--replace"], injector).process.finish();
    let seen = place.left();
    let outcome = match place.has_file_of('A', inode) {
        // Nothing of the old one was removed: it has its name, now or after the next server's look.
        true => keeps_its_name(&place),
        // From the newcomer's listening on it was the server of this name.
        false if took_over(kind, injector) => place.is_served_next(next_flags),
        false => Err("the living server's file is gone, and nobody has taken over".into()),
    };
    let outcome = outcome.and_then(|()| is_replaced(&place, old));
    outcome.map_err(|wrong| {
        format!("{wrong}\n    after the kill there was {seen:?}; the newcomer said: {}", victim.stderr)
    })
}

fn took_over(kind: &str, injector: &Injector) -> bool {
    let serves = if kind == "dgram" { "bind" } else { "listen" };
    injector.calls().iter().rev().skip(1).any(|call| call.name == serves)
}

fn keeps_its_name(place: &SocketDir) -> Outcome {
    let mut next = place.start('C', &[]);
    if next.serves() {
        return Err("the old server lives, and a plain one starts at its name".into());
    }
    let refused = next.process.finish();
    if refused.code != Some(3) || !refused.stderr.contains("live server") {
        return Err(format!("a plain server ends with {:?}: {}", refused.code, refused.stderr));
    }
    match place.answer() {
        Ok('A') => Ok(()),
        other => Err(format!("the old server lives, and at its name a client gets {other:?}")),
    }
}

/// Another new server takes over, and keeps the name when the old one exits.
fn is_replaced(place: &SocketDir, old: crate::socket_dir::Server) -> Outcome {
    let mut new = place.start('D', &["--replace"]);
    if !new.serves() {
        return Err(format!("the next newcomer does not start: {}", new.process.stderr()));
    }
    old.ends()?;
    match place.answer() {
        Ok('D') => {}
        other => return Err(format!("the newcomer serves, and a client gets {other:?}")),
    }
    new.ends()?;
    match place.left() {
        left if left.is_empty() => Ok(()),
        left => Err(format!("at the end there is {left:?}")),
    }
}

/// The new server was killed in the middle, and the next server, a plain one, is killed while it
/// recovers.
fn recovery(replaced: &Replaced, injector: &Injector) -> Outcome {
    let place = (replaced.place)(replaced.kind, replaced.name);
    let mut old = place.start('A', &[]);
    assert!(old.serves(), "{}", old.process.stderr());
    let dies = Injector::new();
    let mut exchanged = false;
    dies.signal_at(Signal::KILL, move |call| {
        let now = exchanged;
        exchanged |= call.name == "renameat2";
        now
    });
    place.start_watched('B', &["--replace"], &dies).process.finish();
    let before = place.left();
    begin_with_signals(injector);
    let victim = place.start_watched('C', &[], injector).process.finish();
    let seen = place.left();
    let outcome = keeps_its_name(&place).and_then(|()| is_replaced(&place, old));
    outcome.map_err(|wrong| {
        format!(
            "{wrong}\n    before it {before:?}, after it {seen:?}; it ended with {:?}: {}",
            victim.code, victim.stderr
        )
    })
}

/// The old server is killed while it shuts down. Its successor has the name, and leaves nothing
/// behind.
fn predecessor(replaced: &Replaced, injector: &Injector) -> Outcome {
    let place = (replaced.place)(replaced.kind, replaced.name);
    let replaced = Arc::new(AtomicBool::new(false));
    let begins = Arc::clone(&replaced);
    injector.begin_when(move |_| begins.load(Ordering::Relaxed));
    let mut old = place.start_watched('B', &[], injector);
    assert!(old.serves(), "{}", old.process.stderr());
    let mut new = place.start('D', &["--replace"]);
    assert!(new.serves(), "{}", new.process.stderr());
    replaced.store(true, Ordering::Relaxed);
    old.process.signal(Signal::TERM);
    let victim = old.process.finish();
    let seen = place.left();
    let outcome = match place.answer() {
        Ok('D') => new.ends(),
        other => Err(format!("the successor lives, and a client gets {other:?}")),
    };
    match (outcome, place.left()) {
        (Ok(()), left) if left.is_empty() => Ok(()),
        (outcome, left) => Err(format!(
            "{outcome:?}\n    the old one ended with {:?}: {}; there was {seen:?}, and at the end {left:?}",
            victim.code, victim.stderr
        )),
    }
}

macro_rules! points {
    ($($name:ident at_least $points:literal: $scenario:ident($replaced:expr);)*) => {$(
        #[test]
        fn $name() {
            let replaced: Replaced = $replaced;
            if let Some(lacking) = lacking().or_else(|| place_lacks(&replaced)) {
                skip!("lacks {lacking}");
            }
            every_point(stringify!($name), $points, |injector| $scenario(&replaced, injector));
        }
    )*};
}

points! {
    a_living_server at_least 40: newcomer(STREAM);
    a_living_server_of_datagrams at_least 40: newcomer(Replaced { kind: "dgram", ..STREAM });
    a_living_server_with_a_long_name at_least 40: newcomer(
        Replaced { name: |dir| dir.join("n".repeat(120)), ..STREAM }
    );
    a_living_server_on_fuse at_least 40: newcomer(ON_FUSE);
    a_living_server_of_datagrams_on_fuse at_least 40: newcomer(Replaced { kind: "dgram", ..ON_FUSE });
    the_end_of_one_that_was_replaced at_least 8: predecessor(STREAM);
    the_end_of_one_that_was_replaced_on_fuse at_least 8: predecessor(ON_FUSE);
    a_server_that_finds_a_half_done_replacement at_least 20: recovery(STREAM);
    a_server_that_finds_a_half_done_replacement_on_fuse at_least 20: recovery(ON_FUSE);
}

fn place_lacks(replaced: &Replaced) -> Option<&'static str> {
    let is_fuse = !replaced.next_flags.is_empty();
    (is_fuse && !(is_root() && has_program("bindfs"))).then_some("root or bindfs")
}
