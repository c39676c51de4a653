//! Known bytes, sent and received in every way: each is reported once, in order, or counted as
//! lost where it was lost.

mod generator;

use std::collections::BTreeMap;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::fstat;
use rustix::net::sockopt::socket_cookie;
use stoop_tap::{CaptureOptions, Cause, Key, Missing, Piece, Tap, Unavailable, What};
use stoop_testkit::{KillOnDrop, Role, is_root, role, skip, slowness};

use generator::{PAIRS, WITH_FDS, content};

const LIMIT: Duration = Duration::from_secs(100);

/// Returns when a test ends that is still not over.
fn end() -> Instant {
    Instant::now() + LIMIT.mul_f64(slowness())
}

/// Taken by one test at a time: a flood in one would lose events of another.
static TURN: Mutex<()> = Mutex::new(());

/// Returns the inode and the cookie.
fn number(socket: &OwnedFd) -> (u32, u64) {
    (fstat(socket).unwrap().st_ino as u32, socket_cookie(socket).unwrap())
}

/// What was reported of the data that a socket sent.
#[derive(Default)]
struct Seen {
    bytes: Vec<u8>,
    len: usize,
    fds: usize,
    ends: usize,
}

fn numbers(line: &str) -> Vec<u64> {
    line.split(' ').map(|number| number.parse().unwrap()).collect()
}

/// Starts to capture, or skips the test.
macro_rules! started {
    ($options:expr) => {
        match Tap::start($options) {
            Ok(tap) if tap.sees_receives() => tap,
            Ok(_) => {
                skip!("lacks both the tracepoint sock_recv_length (Linux 6.3) and programs at functions")
            }
            Err(Unavailable::No(bug @ Missing::Verifier(_))) if is_root() => panic!("{bug}"),
            Err(unavailable) => skip!("lacks the capture programs: {unavailable}"),
        }
    };
}

/// Selects the pairs of the generator, starts it, and returns which direction each sender has.
fn select(tap: &Tap, child: &mut KillOnDrop, cookie: usize) -> BTreeMap<u64, u64> {
    let mut senders = BTreeMap::new();
    for _ in 0..PAIRS {
        let pair = numbers(&child.line("pair", LIMIT));
        tap.want(Key::Cookie(pair[cookie])).unwrap();
        senders.insert(pair[cookie], pair[0]);
    }
    child.line("ready", LIMIT);
    writeln!(child.stdin.as_mut().unwrap(), "go").unwrap();
    senders
}

#[test]
fn every_byte_is_reported_once_and_in_order() {
    const TEST: &str = "every_byte_is_reported_once_and_in_order";
    if role().is_some() {
        return generator::generate();
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut options = CaptureOptions::default();
    // More than all of it, so that nothing is lost on a loaded machine.
    options.buffer_bytes = 32 << 20;
    // What the kernel skips depends on what else the machine does.
    for _ in 0..3 {
        let mut tap = started!(options);
        let mut child = Role::new(TEST, "generator").spawn();
        let senders = select(&tap, &mut child, 2);
        let mut seen: BTreeMap<u64, Seen> = BTreeMap::new();
        let end = end();
        // Two streams report their ends; the other two pairs may be slower.
        let ends = |seen: &BTreeMap<u64, Seen>| seen.values().map(|seen| seen.ends).sum::<usize>();
        let mut skipped = 0;
        while ends(&seen) < 2 && Instant::now() < end {
            let pieces = tap.next(Duration::from_millis(100)).unwrap();
            skipped += note(&tap, &senders, pieces, &mut seen);
        }
        let sent: Vec<Vec<u64>> = (0..PAIRS).map(|_| numbers(&child.line("sent", LIMIT))).collect();
        let rest = tap.flush();
        skipped += note(&tap, &senders, rest, &mut seen);
        for sent in sent {
            let (seed, total) = (sent[0], sent[1] as usize);
            let seen = &seen[&seed];
            let is_whole = (seen.len, seen.bytes.len(), seen.fds) == (total, total, WITH_FDS);
            assert!(is_whole || skipped > 0, "of {seed}: {} of {total}, {} fds", seen.len, seen.fds);
            let wrong = seen.bytes.iter().enumerate().position(|(at, byte)| *byte != content(seed, at));
            assert!(wrong.is_none() || skipped > 0, "of {seed}: {wrong:?}");
        }
        if skipped == 0 {
            return;
        }
    }
    skip!("lacks a kernel that skips no program");
}

/// K-TAP-13
#[test]
fn pages_that_are_added_to_a_message_are_reported() {
    const TEST: &str = "pages_that_are_added_to_a_message_are_reported";
    if role().is_some() {
        return generator::grow();
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut tap = started!(CaptureOptions::default());
    let mut child = Role::new(TEST, "generator").spawn();
    let pair = numbers(&child.line("pair", LIMIT));
    tap.want(Key::Cookie(pair[1])).unwrap();
    child.line("ready", LIMIT);
    writeln!(child.stdin.as_mut().unwrap(), "go").unwrap();
    child.line("sent", LIMIT);
    let pieces = tap.flush().into_iter();
    let lengths = pieces.map(|piece| match piece.what {
        What::Data(data) => data.bytes.len(),
        other => panic!("{other:?}"),
    });
    assert_eq!(lengths.collect::<Vec<_>>(), [1000, 1000, 1000]);
}

/// Notes what was reported, and returns how many events may be missing.
fn note(tap: &Tap, senders: &BTreeMap<u64, u64>, pieces: Vec<Piece>, seen: &mut BTreeMap<u64, Seen>) -> u64 {
    let mut skipped = 0;
    for piece in pieces {
        match piece.what {
            What::Lost(loss) if loss.cause == Cause::ProgramSkipped => {
                skipped += loss.count;
                continue;
            }
            What::Lost(loss) => panic!("{loss:?}"),
            _ => {}
        }
        let Some(flow) = tap.flow(piece.flow) else { panic!("{piece:?}") };
        let sender = flow.ends[piece.from.index()].socket.cookie.unwrap();
        let seen = seen.entry(senders[&sender]).or_default();
        match piece.what {
            What::Data(data) => {
                seen.len += data.len as usize;
                seen.fds += usize::from(data.fds);
                seen.bytes.extend(data.bytes);
            }
            What::End => seen.ends += 1,
            other => assert!(skipped > 0, "{other:?}"),
        }
    }
    skipped
}

/// What was reported of a flood.
#[derive(Debug, Default)]
struct Flooded {
    /// The next message of each direction, and how many losses were reported before the last one.
    directions: BTreeMap<u64, (u64, u64)>,
    missing: u64,
    lost: u64,
    skipped: u64,
    losses: u64,
    /// How many are missing without a report between their neighbours.
    unplaced: u64,
}

impl Flooded {
    fn note(&mut self, tap: &Tap, senders: &BTreeMap<u64, u64>, pieces: Vec<Piece>) {
        for piece in pieces {
            match &piece.what {
                What::Lost(loss) => {
                    self.losses += 1;
                    match loss.cause {
                        Cause::BufferFull => self.lost += loss.count,
                        _ => self.skipped += loss.count,
                    }
                }
                What::Data(data) => {
                    let Some(flow) = tap.flow(piece.flow) else { panic!("{piece:?}") };
                    let sender = flow.ends[piece.from.index()].socket.cookie.unwrap();
                    let number = u64::from_le_bytes(*data.bytes.first_chunk().unwrap());
                    self.message(senders[&sender], number);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn message(&mut self, direction: u64, number: u64) {
        let (next, losses) = self.directions.entry(direction).or_default();
        assert!(number >= *next, "{number} came before {next}");
        let missing = number - *next;
        if self.losses == *losses {
            // When a program was skipped is known only to be after the count before: messages in
            // between may follow the report.
            self.unplaced += missing;
            assert!(self.unplaced <= self.skipped, "{next} is missing, and no loss was reported");
        }
        self.missing += missing;
        (*next, *losses) = (number + 1, self.losses);
    }
}

#[test]
fn what_a_flood_loses_is_counted_where_it_was_lost() {
    const TEST: &str = "what_a_flood_loses_is_counted_where_it_was_lost";
    const MESSAGES: u64 = 40_000;
    if role().is_some() {
        return generator::flood(MESSAGES);
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut options = CaptureOptions::default();
    options.buffer_bytes = 128 << 10;
    let mut tap = started!(options);
    let mut child = Role::new(TEST, "generator").spawn();
    let senders = select(&tap, &mut child, 1);
    let mut flooded = Flooded::default();
    let end = end();
    let is_over = |flooded: &Flooded| {
        let seen: u64 = flooded.directions.values().map(|(next, _)| next).sum();
        seen + flooded.lost + flooded.skipped >= PAIRS as u64 * MESSAGES
    };
    while !is_over(&flooded) && Instant::now() < end {
        let pieces = tap.next(Duration::from_millis(50)).unwrap();
        flooded.note(&tap, &senders, pieces);
    }
    child.line("sent", LIMIT);
    let rest = tap.flush();
    flooded.note(&tap, &senders, rest);
    let unseen: u64 = flooded.directions.values().map(|(next, _)| MESSAGES - next).sum();
    let missing = flooded.missing + unseen;
    assert!(missing <= flooded.lost + flooded.skipped, "{missing} are missing: {flooded:?}");
    // Besides messages, the buffers have only the first send of each socket, and a few ends.
    assert!(missing + 100 >= flooded.lost, "{missing} are missing: {flooded:?}");
}
