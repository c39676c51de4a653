//! File descriptors on a stream, as a property of any writes and reads: each arrives once, with the
//! bytes it was sent with.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, PipeReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;

use proptest::prelude::*;
use stoop::{Allow, Outgoing, Stream};
use stoop_kernel_facts::SOON;
use stoop_testkit::deadline;

/// One write: its number of bytes, and of file descriptors sent with them.
type Write1 = (usize, usize);

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Checks that every byte and every file descriptor arrives once and in order, and that a file
    /// descriptor arrives with the first byte of its write.
    #[test]
    fn every_descriptor_arrives_once_with_its_first_byte(
        writes in proptest::collection::vec((1usize..40, 0usize..4), 1..30),
        reads in proptest::collection::vec(1usize..60, 1..20),
    ) {
        deadline(SOON, move || stream_of_descriptors(&writes, &reads));
    }
}

fn stream_of_descriptors(writes: &[Write1], reads: &[usize]) {
    let (one, other) = Stream::pair().unwrap();
    let mut expected: VecDeque<(usize, u64)> = VecDeque::new();
    let mut keep: Vec<PipeReader> = Vec::new();
    let mut written = 0;
    for &(bytes, count) in writes {
        let (readers, writers): (Vec<_>, Vec<_>) = (0..count).map(|_| io::pipe().unwrap()).unzip();
        let fds: Vec<BorrowedFd<'_>> = writers.iter().map(AsFd::as_fd).collect();
        let data: Vec<u8> = (written..written + bytes).map(|at| at as u8).collect();
        let sent = one.send_with(&[IoSlice::new(&data)], &Outgoing::new().descriptors(&fds)).unwrap();
        assert_eq!(sent, bytes);
        expected.extend(readers.iter().map(|reader| (written, inode(reader))));
        keep.extend(readers);
        written += bytes;
    }
    drop(one);
    let mut at = 0;
    for &room in reads.iter().cycle() {
        let mut buffer = vec![0; room];
        let received = other.recv_with(&mut [IoSliceMut::new(&mut buffer)], Allow::descriptors(3)).unwrap();
        let end = at + received.len;
        assert!(buffer[..received.len].iter().copied().eq((at..end).map(|at| at as u8)));
        for fd in received.descriptors {
            let (first_byte, pipe) = expected.pop_front().expect("no more than were sent");
            assert!((at..end).contains(&first_byte));
            assert_eq!(inode(&fd), pipe);
            File::from(fd).write_all(b"!").unwrap();
        }
        assert!(expected.front().is_none_or(|(first_byte, _)| *first_byte >= end), "none is left behind");
        if received.len == 0 {
            break;
        }
        at = end;
    }
    assert_eq!((at, expected.len()), (written, 0));
    // Each was closed once everywhere but here: its pipe has one byte, and then the end.
    for mut pipe in keep {
        let mut text = Vec::new();
        pipe.read_to_end(&mut text).unwrap();
        assert_eq!(text, b"!");
    }
}

fn inode(fd: &impl AsFd) -> u64 {
    File::from(fd.as_fd().try_clone_to_owned().unwrap()).metadata().unwrap().ino()
}
