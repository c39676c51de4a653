//! Rings: what goes in comes out, whatever the sizes; and nothing that the other side does hurts.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use proptest::prelude::*;
use stoop_memory::{ErrorKind, Receiver, Ring, Sender, Waiting};
use stoop_testkit::{KillOnDrop, Role, deadline, open_descriptors, role};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(20);
const NOT_AT_ALL: Duration = Duration::ZERO;

/// Offsets of the shared words, which a hostile peer could overwrite.
const SENDER_AT: u64 = 0;
const RECEIVER_AT: u64 = 256;
const MESSAGES_AT: u64 = 4096;

fn ends(capacity: usize, waiting: Waiting, limit: Duration) -> (Sender, Receiver, File) {
    let ring = Ring::new(capacity).unwrap();
    let memory = OwnedFd::from(ring.try_clone().unwrap()).into();
    let theirs = Ring::from_descriptor(ring.try_clone().unwrap().into()).unwrap();
    (ring.into_sender(waiting, limit).unwrap(), theirs.into_receiver(waiting, limit).unwrap(), memory)
}

fn received(receiver: &mut Receiver) -> Result<Vec<u8>, ErrorKind> {
    let mut message = vec![0xee; 3];
    receiver.recv(&mut message).map(|()| message).map_err(|error| error.kind())
}

fn sent(sender: &mut Sender, message: &[u8]) -> Result<(), ErrorKind> {
    sender.send(message).map_err(|error| error.kind())
}

proptest! {
    /// Sends and receives in any order behave like a plain queue of the same capacity, also across
    /// the end of the memory.
    #[test]
    fn a_ring_is_a_queue(steps in prop::collection::vec(prop::option::of((0usize..1500, any::<u8>())), 1..200)) {
        let (mut sender, mut receiver, _) = ends(4096, Waiting::Spin, NOT_AT_ALL);
        let (mut model, mut used) = (std::collections::VecDeque::new(), 0);
        let record = |len: usize| 8 + len.next_multiple_of(8);
        for step in steps {
            match step {
                Some((len, first)) => {
                    let message: Vec<u8> = (0..len).map(|at| first.wrapping_add(at as u8)).collect();
                    let fits = used + record(len) <= 4096;
                    let expected = if fits { Ok(()) } else { Err(ErrorKind::TimedOut) };
                    prop_assert_eq!(sent(&mut sender, &message), expected);
                    if fits {
                        used += record(len);
                        model.push_back(message);
                    }
                }
                None => {
                    let expected = model.pop_front().ok_or(ErrorKind::TimedOut);
                    used -= expected.as_ref().map_or(0, |message| record(message.len()));
                    prop_assert_eq!(received(&mut receiver), expected);
                }
            }
        }
    }

    /// Any value in any shared word, at any time, causes an error or corrupt messages. It never
    /// causes a panic, a hang, or a message longer than the ring.
    #[test]
    fn nonsense_does_no_harm(
        steps in prop::collection::vec((0u8..4, prop_oneof![0u32..5000, any::<u32>()], 0u64..1100), 1..100),
        waiting in prop_oneof![Just(Waiting::Spin), Just(Waiting::Futex)],
    ) {
        let (mut sender, mut receiver, memory) = ends(4096, waiting, Duration::from_micros(50));
        for (what, value, at) in steps {
            let value_bytes = value.to_ne_bytes();
            match what {
                0 => drop(sent(&mut sender, &vec![7; value as usize % 5000])),
                1 => if let Ok(message) = received(&mut receiver) {
                    prop_assert!(message.len() <= 4096 - 8);
                },
                2 => memory.write_all_at(&value_bytes, at * 4 % 512).unwrap(),
                _ => memory.write_all_at(&value_bytes, MESSAGES_AT + at * 4 % 4096).unwrap(),
            }
        }
    }
}

#[test]
fn lies_are_told_apart_from_silence() {
    let write = |memory: &File, at: u64, word: u32| memory.write_all_at(&word.to_ne_bytes(), at).unwrap();
    // Too far ahead of a receiver that is at 0, or between two messages.
    for position in [4096 + 8, 1 << 31, 8_u32.wrapping_neg(), 4, 2, 10] {
        let (_sender, mut receiver, memory) = ends(4096, Waiting::Futex, SHORT);
        write(&memory, SENDER_AT, position);
        assert_eq!(received(&mut receiver), Err(ErrorKind::Corrupt), "sender at {position}");
    }
    // Ahead of a sender that is at 0, further behind than there is room, or between two messages.
    for position in [8, 1 << 31, 4104_u32.wrapping_neg(), 4, 2, 8_u32.wrapping_neg() + 2] {
        let (mut sender, _receiver, memory) = ends(4096, Waiting::Futex, SHORT);
        write(&memory, RECEIVER_AT, position);
        assert_eq!(sent(&mut sender, b"x"), Err(ErrorKind::Corrupt), "receiver at {position}");
    }
    for len in [9, 4088, 4089, 1 << 20, u32::MAX - 8, u32::MAX] {
        let (mut sender, mut receiver, memory) = ends(4096, Waiting::Futex, SHORT);
        sender.send(b"12345678").unwrap();
        write(&memory, MESSAGES_AT, len);
        assert_eq!(received(&mut receiver), Err(ErrorKind::Corrupt), "length {len}");
    }
}

#[test]
fn limits_and_ends_are_kept() {
    for waiting in [Waiting::Spin, Waiting::Futex] {
        deadline(LONG, move || {
            let (mut sender, mut receiver, _) = ends(4096, waiting, SHORT);
            assert_eq!(received(&mut receiver), Err(ErrorKind::TimedOut));
            sender.send(&[1; 4088]).unwrap();
            assert_eq!(sent(&mut sender, b""), Err(ErrorKind::TimedOut));
            assert_eq!(sent(&mut sender, &[1; 4089]), Err(ErrorKind::TooLarge));
            drop(sender);
            assert_eq!(received(&mut receiver), Ok(vec![1; 4088]), "what was sent before the end arrives");
            assert_eq!(received(&mut receiver), Err(ErrorKind::Closed));

            let (mut sender, receiver, _) = ends(4096, waiting, SHORT);
            drop(receiver);
            sender.send(&[1; 4088]).unwrap();
            assert_eq!(sent(&mut sender, b""), Err(ErrorKind::Closed));
        });
    }
}

#[test]
fn an_end_that_is_dropped_wakes_the_other() {
    deadline(LONG, || {
        let (sender, mut receiver, _) = ends(4096, Waiting::Futex, LONG * 2);
        let waiting = std::thread::spawn(move || received(&mut receiver));
        std::thread::sleep(SHORT);
        drop(sender);
        assert_eq!(waiting.join().unwrap(), Err(ErrorKind::Closed));
    });
}

#[test]
fn nothing_is_left_open() {
    const TEST: &str = "nothing_is_left_open";
    if role().is_none() {
        return Role::new(TEST, "count").run();
    }
    let before = open_descriptors();
    drop(ends(4096, Waiting::Spin, SHORT));
    assert_eq!(open_descriptors(), before);
}

/// Takes a ring of the parent, as it would come over a socket.
fn ring_of_parent(name: &str) -> Ring {
    let path = std::env::var(name).expect("the path of a ring");
    let memory = File::options().read(true).write(true).open(path).expect("the parent's ring");
    Ring::from_descriptor(memory.into()).unwrap()
}

/// The path that another process of this user opens a descriptor by.
fn path(ring: &Ring) -> String {
    use std::os::fd::AsFd;
    format!("/proc/{}/fd/{}", std::process::id(), ring.as_fd().as_raw_fd())
}

#[test]
fn two_processes_answer_each_other() {
    const TEST: &str = "two_processes_answer_each_other";
    const MESSAGES: usize = 5000;
    let waiting = |name: &str| if name == "spin" { Waiting::Spin } else { Waiting::Futex };
    if let Some(name) = role() {
        let mut receiver = ring_of_parent("THERE").into_receiver(waiting(&name), LONG).unwrap();
        let mut sender = ring_of_parent("BACK").into_sender(waiting(&name), LONG).unwrap();
        let mut message = Vec::new();
        for _ in 0..MESSAGES {
            receiver.recv(&mut message).unwrap();
            sender.send(&message).unwrap();
        }
        return;
    }
    for (theirs, ours) in [("futex", "futex"), ("spin", "futex"), ("futex", "spin")] {
        let (there, back) = (Ring::new(4096).unwrap(), Ring::new(4096).unwrap());
        let child = Role::new(TEST, theirs).env("THERE", &path(&there)).env("BACK", &path(&back)).spawn();
        let mut sender = there.try_clone().unwrap().into_sender(waiting(ours), LONG).unwrap();
        let mut receiver = back.try_clone().unwrap().into_receiver(waiting(ours), LONG).unwrap();
        let sizes = |number: usize| vec![number as u8; number * 37 % 3000];
        for number in 0..MESSAGES {
            sender.send(&sizes(number)).unwrap();
            assert_eq!(received(&mut receiver), Ok(sizes(number)), "message {number}");
        }
        drop(child);
    }
}

#[test]
fn a_peer_that_is_killed_costs_no_more_than_the_limit() {
    const TEST: &str = "a_peer_that_is_killed_costs_no_more_than_the_limit";
    if role().is_some() {
        let mut sender = ring_of_parent("RING").into_sender(Waiting::Futex, LONG).unwrap();
        sender.send(b"last words").unwrap();
        std::thread::sleep(LONG);
        return;
    }
    deadline(LONG, || {
        let ring = Ring::new(4096).unwrap();
        let child: KillOnDrop = Role::new(TEST, "die").env("RING", &path(&ring)).spawn();
        let mut receiver = ring.try_clone().unwrap().into_receiver(Waiting::Futex, LONG).unwrap();
        assert_eq!(received(&mut receiver), Ok(b"last words".to_vec()));
        drop((child, receiver));
        let mut receiver = ring.into_receiver(Waiting::Futex, SHORT).unwrap();
        assert_eq!(received(&mut receiver), Err(ErrorKind::TimedOut));
    });
}
