//! `stoop serve` during startup, when it may exit with an error and leaves nothing behind, and
//! during shutdown.

use std::collections::BTreeMap;

use rustix::io::Errno;
use stoop_testkit::{Injector, inject, skip};

use crate::crash::begin_with_signals;
use crate::points::{Outcome, every, lacking};
use crate::socket_dir::{Server, SocketDir};

/// A call that fails: its name, the number of earlier calls of this name, and the errno.
type Fault = (&'static str, usize, Errno);

/// The maximum number of failed calls of one name. Later ones belong to the cleanup, or repeat the
/// same.
const OCCURRENCES: usize = 8;

struct Life {
    kind: &'static str,
    flags: &'static [&'static str],
    stale: bool,
}

impl Life {
    fn place(&self) -> SocketDir {
        let place = SocketDir::new(self.kind, |dir| dir.join("app.sock"));
        if self.stale {
            drop(std::os::unix::net::UnixListener::bind(&place.path).unwrap());
        }
        place
    }

    fn start(&self, place: &SocketDir, injector: &Injector) -> Server {
        begin_with_signals(injector);
        place.start_watched('B', self.flags, injector)
    }

    /// The faults between the start and the announcement, and from there to the exit.
    fn faults(&self) -> [Vec<Fault>; 2] {
        let (place, injector) = (self.place(), Injector::new());
        let mut server = self.start(&place, &injector);
        assert!(server.serves(), "{}", server.process.stderr());
        let start = faults(&injector);
        injector.forget();
        server.ends().unwrap();
        let mut end = faults(&injector);
        // The first write is the signal handler's, to its own pipe: it fails only if that is full, and
        // then a signal is pending already.
        end.retain(|(name, skipped, _)| (*name, *skipped) != ("write", 0));
        [start, end]
    }

    fn fails_at_start(&self, (name, skipped, errno): Fault, injector: &Injector) -> Outcome {
        let place = self.place();
        let before = place.inodes();
        injector.fail(name, skipped, errno);
        let mut server = self.start(&place, injector);
        let lost = || name == "write" && injector.hit().is_some() && place.answer() == Ok('B');
        let outcome = match server.comes_up(lost) {
            true => match place.answer() {
                Ok('B') => {
                    let end = server.process.terminate();
                    ended(end.code == Some(0), &end.stderr, &place, &before, name)
                }
                other => Err(format!("it serves, and a client gets {other:?}")),
            },
            false => {
                let end = server.process.finish();
                let told = matches!(end.code, Some(2..=5)) && end.stderr.contains("error: ");
                let told = ended(told, &end.stderr, &place, &before, name);
                told.map_err(|wrong| {
                    format!("{wrong}\n    ended with {:?}, signal {:?}", end.code, end.signal)
                })
            }
        };
        let outcome = outcome.and_then(|()| place.is_served_next(&[]));
        outcome.map_err(|wrong| format!("{errno}: {wrong}"))
    }

    fn fails_at_end(&self, (name, skipped, errno): Fault, injector: &Injector) -> Outcome {
        let place = self.place();
        let mut server = self.start(&place, injector);
        assert!(server.serves(), "{}", server.process.stderr());
        injector.fail(name, skipped, errno);
        let end = server.process.terminate();
        let outcome = match end.code {
            Some(0..=5) => place.is_served_next(&[]),
            code => Err(format!("ended with {code:?}, signal {:?}: {}", end.signal, end.stderr)),
        };
        outcome.map_err(|wrong| format!("{errno}: {wrong}"))
    }
}

/// Whether it exited as it should, and left none of its files behind, except those that could not
/// be removed.
fn ended(fine: bool, said: &str, place: &SocketDir, before: &[u64], failed: &str) -> Outcome {
    let left = place.left();
    let new = place.inodes().iter().any(|inode| !before.contains(inode));
    let removes = ["unlinkat", "renameat2"].contains(&failed);
    // A file that could not be inspected is not removed: the next server replaces it.
    let looks = ["openat", "fstat", "newfstatat", "statx", "fcntl"].contains(&failed);
    match fine && (!new || removes || looks) {
        true => Ok(()),
        false => Err(format!("it left {left:?}, and said: {said}")),
    }
}

/// The faults for these calls.
fn faults(injector: &Injector) -> Vec<Fault> {
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    injector.calls().iter().for_each(|call| *counts.entry(call.name).or_default() += 1);
    let each = |(name, count): (&'static str, usize)| {
        let errnos = inject::errnos(name).iter();
        errnos.flat_map(move |&errno| (0..count.min(OCCURRENCES)).map(move |skipped| (name, skipped, errno)))
    };
    counts.into_iter().flat_map(each).collect()
}

macro_rules! lives {
    ($($name:ident: $life:expr;)*) => {$(
        #[test]
        fn $name() {
            if let Some(lacking) = lacking() {
                skip!("lacks {lacking}");
            }
            let life: Life = $life;
            let [start, end] = life.faults();
            every(stringify!($name), start.len() / 2, &start, |&fault, injector| life.fails_at_start(fault, injector));
            every(concat!(stringify!($name), ", its end"), end.len() / 2, &end, |&fault, injector| life.fails_at_end(fault, injector));
        }
    )*};
}

lives! {
    a_fresh_name: Life { kind: "stream", flags: &["--mode", "660"], stale: false };
    a_stale_file: Life { kind: "stream", flags: &[], stale: true };
    datagrams: Life { kind: "dgram", flags: &[], stale: true };
}
