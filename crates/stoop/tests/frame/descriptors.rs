//! Descriptors stay with the message they were sent with, and none leaks, whatever the peer does.

use std::io::{IoSlice, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use stoop::frame::{FrameReader, FrameWriter, Native};
use stoop::internal::FrameError;
use stoop::{Allow, Bind, ErrorKind, Outgoing, Policy, SocketExt, Stream};
use stoop_kernel_facts::{SOON, leave_room_for};
use stoop_testkit::{Role, deadline, open_descriptors, role, tempdir};

use super::{length, message, messages};

/// A file in memory that knows its number.
fn numbered(number: u32) -> OwnedFd {
    let file = rustix::fs::memfd_create("numbered", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    rustix::io::pwrite(&file, &number.to_le_bytes(), 0).unwrap();
    file
}

fn number(file: &OwnedFd) -> u32 {
    let mut bytes = [0; 4];
    assert_eq!(rustix::io::pread(file, &mut bytes, 0).unwrap(), 4);
    assert!(rustix::io::fcntl_getfd(file).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    u32::from_le_bytes(bytes)
}

/// Both ends of a non-blocking pair, each as far as it gets.
fn both_ends(plan: &[(usize, usize)], read: usize, room: usize) {
    let (one, other) = Stream::pair().unwrap();
    one.set_send_buffer_bytes(room).unwrap();
    one.set_nonblocking(true).unwrap();
    other.set_nonblocking(true).unwrap();
    let mut writer = FrameWriter::new(one, Native);
    let mut reader = FrameReader::new(other, Native).read_bytes(read);
    let lengths: Vec<usize> = plan.iter().map(|(len, _)| *len).collect();
    let sent = messages(&lengths);
    let would_block = |error: stoop::Error| assert!(error.is_would_block(), "{error}");
    let (mut taken, mut came) = (0, 0);
    for turn in 0.. {
        match plan.get(taken) {
            Some(&(_, count)) => {
                let files: Vec<OwnedFd> =
                    (0..count).map(|file| numbered((taken * 10 + file) as u32)).collect();
                let files: Vec<BorrowedFd<'_>> = files.iter().map(|file| file.as_fd()).collect();
                let sending = if count == 0 {
                    writer.send(&sent[taken])
                } else {
                    writer.send_with_descriptors(&sent[taken], &files)
                };
                sending.map_or_else(would_block, |()| taken += 1);
            }
            None => writer.flush().unwrap_or_else(would_block),
        }
        // Sometimes the writer gets ahead, sometimes the reader catches up.
        for _ in 0..turn % 4 {
            match reader.next_with_descriptors(Allow::descriptors(3)) {
                Ok(Some((message, files))) => {
                    assert_eq!(message, sent[came], "message {came}");
                    let numbers: Vec<u32> = files.iter().map(number).collect();
                    let expected: Vec<u32> =
                        (0..plan[came].1).map(|file| (came * 10 + file) as u32).collect();
                    assert_eq!(numbers, expected, "the files of message {came}");
                    came += 1;
                }
                Ok(None) => panic!("an end before the end"),
                Err(error) => would_block(error),
            }
            if came == plan.len() {
                return;
            }
        }
    }
}

#[test]
fn descriptors_come_with_exactly_their_message_and_none_leaks() {
    const TEST: &str = "descriptors::descriptors_come_with_exactly_their_message_and_none_leaks";
    if role().is_none() {
        return Role::new(TEST, "both ends").run();
    }
    let before = open_descriptors();
    let plans = proptest::collection::vec((length(), prop_oneof![3 => Just(0usize), 1 => 1usize..=3]), 1..40);
    let sizes = (prop_oneof![64usize..300, 4096usize..100_000], 2304usize..60_000);
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, cases: 64, ..Default::default() });
    runner
        .run(&(plans, sizes), |(plan, (read, room))| {
            both_ends(&plan, read, room);
            assert_eq!(open_descriptors(), before);
            Ok(())
        })
        .unwrap();
}

#[test]
fn another_process_sends_descriptors_among_messages() {
    const TEST: &str = "descriptors::another_process_sends_descriptors_among_messages";
    const COUNT: usize = 2000;
    if role().is_some() {
        let stream = Stream::connect(std::env::var("ADDRESS").unwrap().as_str()).unwrap();
        let mut writer = FrameWriter::new(stream, Native);
        for n in 0..COUNT {
            let message = message(n, n % 3000);
            match n % 7 {
                0 => writer.send_with_descriptors(&message, &[numbered(n as u32).as_fd()]).unwrap(),
                _ => writer.send(&message).unwrap(),
            }
        }
        return writer.flush().unwrap();
    }
    let directory = tempdir();
    let path = directory.path().join("socket");
    let listener = Bind::new(&path).listen().unwrap();
    let mut child = Role::new(TEST, "sender").env("ADDRESS", path.to_str().unwrap()).spawn();
    deadline(SOON * 2, move || {
        let mut reader = FrameReader::new(listener.accept().unwrap().0, Native);
        for n in 0..COUNT {
            let (got, files) = reader.next_with_descriptors(Allow::descriptors(1)).unwrap().unwrap();
            assert_eq!(got, message(n, n % 3000));
            let expected: &[u32] = if n % 7 == 0 { &[n as u32] } else { &[] };
            assert_eq!(files.iter().map(number).collect::<Vec<_>>(), expected);
        }
        assert!(reader.next_with_descriptors(Allow::descriptors(1)).unwrap().is_none());
    });
    assert!(child.finish(SOON).success());
}

/// A frame by hand, and how many descriptors go with it.
type Sent = (&'static [u8], usize);

/// Reads frames that were encoded by hand, each sent with this many file descriptors. Returns the
/// number of messages read, and the error.
fn judged(frames: &[Sent], allowed: usize) -> (usize, Option<FrameError>) {
    let (one, other) = Stream::pair().unwrap();
    for (frame, count) in frames {
        let files: Vec<OwnedFd> = (0..*count).map(|n| numbered(n as u32)).collect();
        let files: Vec<BorrowedFd<'_>> = files.iter().map(|file| file.as_fd()).collect();
        one.send_with(&[IoSlice::new(frame)], &Outgoing::new().descriptors(&files)).unwrap();
    }
    drop(one);
    let mut reader = FrameReader::new(other, Native);
    let mut good = 0;
    let allow = Allow::descriptors(allowed);
    while let Ok(Some(_)) = reader.next_with_descriptors(allow) {
        good += 1;
    }
    if let Some(failure) = reader.failure() {
        assert!(reader.next_with_descriptors(allow).is_err(), "{failure} lasts");
    }
    (good, reader.failure())
}

#[test]
fn announcements_that_lie_are_noticed_and_nothing_leaks() {
    const TEST: &str = "descriptors::announcements_that_lie_are_noticed_and_nothing_leaks";
    if role().is_none() {
        return Role::new(TEST, "judge").run();
    }
    let before = open_descriptors();
    let plain = &b"\x10\x00\x01\x00p"[..];
    let with_one = &b"\x11\x01\x01\x00d"[..];
    let with_two = &b"\x11\x02\x01\x00d"[..];
    let cases: [(&[Sent], usize, usize, Option<FrameError>); 10] = [
        (&[(plain, 0), (with_one, 1), (plain, 0), (with_two, 2)], 2, 4, None),
        (&[(plain, 0), (plain, 1)], 2, 2, Some(FrameError::UnannouncedDescriptors { count: 1 })),
        (&[(plain, 1), (plain, 0)], 2, 1, Some(FrameError::UnannouncedDescriptors { count: 1 })),
        (&[(plain, 1), (with_one, 1)], 2, 1, Some(FrameError::UnannouncedDescriptors { count: 1 })),
        (&[(with_one, 0)], 2, 0, Some(FrameError::MissingDescriptors { announced: 1, received: 0 })),
        // Both may come in one read. Which of its two messages a liar's descriptor belongs to nobody can
        // say.
        (
            &[(with_one, 0), (with_one, 1)],
            2,
            1,
            Some(FrameError::MissingDescriptors { announced: 1, received: 0 }),
        ),
        (&[(with_two, 1)], 2, 0, Some(FrameError::MissingDescriptors { announced: 2, received: 1 })),
        (&[(with_one, 2)], 2, 0, Some(FrameError::MissingDescriptors { announced: 1, received: 2 })),
        (&[(with_two, 2)], 1, 0, Some(FrameError::SurplusDescriptors { count: 2, allowed: 1 })),
        (
            &[(b"\x10", 1), (b"\x00", 1), (b"\x01", 1)],
            1,
            0,
            Some(FrameError::UnannouncedDescriptors { count: 1 }),
        ),
    ];
    for (number, (frames, allowed, good, failure)) in cases.into_iter().enumerate() {
        let (came, error) = judged(frames, allowed);
        assert_eq!(error, failure, "case {number}");
        // Where a stray batch came in the same read as earlier messages, how many of those are given out
        // depends on it.
        assert!(came <= good, "case {number}: {came} messages");
        if failure.is_none() {
            assert_eq!(came, good);
        }
    }
    assert_eq!(open_descriptors(), before);
}

#[test]
fn a_full_descriptor_table_is_an_error_that_lasts() {
    const TEST: &str = "descriptors::a_full_descriptor_table_is_an_error_that_lasts";
    if role().is_none() {
        return Role::new(TEST, "full").run();
    }
    let (one, other) = Stream::pair().unwrap();
    let files: Vec<OwnedFd> = (0..4).map(numbered).collect();
    let files: Vec<BorrowedFd<'_>> = files.iter().map(|file| file.as_fd()).collect();
    FrameWriter::new(&one, Native).send_with_descriptors(b"four", &files).unwrap();
    let mut reader = FrameReader::new(&other, Native);
    let before = open_descriptors();
    leave_room_for(2);
    let error = reader.next_with_descriptors(Allow::descriptors(4)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ControlTruncated);
    assert_eq!(reader.failure(), Some(FrameError::DescriptorsTruncated));
    drop(reader);
    drop(numbered(1));
    assert!(open_descriptors() <= before);
}

#[test]
fn a_reader_that_wants_none_says_so() {
    let (one, other) = Stream::pair().unwrap();
    let file = numbered(1);
    let mut writer = FrameWriter::new(one, Native);
    writer.send(b"plain").unwrap();
    writer.send_with_descriptors(&[1; 5000], &[file.as_fd()]).unwrap();
    let mut reader = FrameReader::new(other, Native);
    assert_eq!(reader.next().unwrap(), Some(&b"plain"[..]));
    for _ in 0..2 {
        assert_eq!(reader.next().unwrap_err().kind(), ErrorKind::SurplusDescriptors);
    }
    assert_eq!(reader.failure(), Some(FrameError::SurplusDescriptors { count: 1, allowed: 0 }));

    let many = vec![file.as_fd(); 254];
    let (one, _other) = Stream::pair().unwrap();
    let error = FrameWriter::new(one, Native).send_with_descriptors(b"", &many).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn an_empty_message_carries_descriptors() {
    let (one, other) = Stream::pair().unwrap();
    FrameWriter::new(&one, Native).send_with_descriptors(b"", &[numbered(5).as_fd()]).unwrap();
    let mut reader = FrameReader::new(other, Native);
    let (message, files) = reader.next_with_descriptors(Allow::descriptors(1)).unwrap().unwrap();
    assert_eq!((message, number(&files[0])), (&b""[..], 5));
}

/// A reader accepts no file descriptor that the policy of its stream refuses, not even if the
/// kernel delivers them, as every kernel before Linux 6.16 does.
#[test]
fn a_reader_does_not_bypass_the_policy_of_its_stream() {
    let directory = tempdir();
    let path = directory.path().join("app.sock");
    let listener = Bind::new(&path).policy(Policy::everyone().refuse_descriptors()).listen().unwrap();
    let client = Stream::connect(&path).unwrap();
    let (server, _) = listener.accept().unwrap();
    match server.set_pass_descriptors(true) {
        Err(error) if error.is_unsupported() => {}
        result => result.unwrap(),
    }
    let (mut pipe, passed) = std::io::pipe().unwrap();
    let mut writer = FrameWriter::new(&client, Native);
    writer.send(b"none").unwrap();
    writer.send_with_descriptors(b"one", &[passed.as_fd()]).unwrap();
    drop(passed);

    let mut reader = FrameReader::new(&server, Native);
    let error = loop {
        match reader.next_with_descriptors(Allow::descriptors(4)) {
            Ok(message) => assert!(message.unwrap().1.is_empty()),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::SurplusDescriptors);
    assert_eq!(reader.failure(), Some(FrameError::SurplusDescriptors { count: 1, allowed: 0 }));
    // The pipe ends when its last writing end is closed.
    assert_eq!(deadline(SOON, move || pipe.read(&mut [0; 8])).unwrap(), 0);
}
