//! What a peer can do to both ends of a stream of frames with file descriptors, and to shared
//! memory.

use std::fs::File;
use std::io::{IoSlice, PipeReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use stoop::frame::{FrameReader, FrameWriter, Native};
use stoop::{Allow, Outgoing, Stream};
use stoop_memory::{Ring, Waiting};

/// The maximum length of a frame here.
const MESSAGE_MAX_BYTES: usize = 3000;

/// Runs both ends of a real connection. The sender writes frames with file descriptors, or data
/// that no `FrameWriter` would write: each step is a byte for the action, one for the number of
/// file descriptors, and one for the number of bytes, which follow.
///
/// Framed data arrives as it was sent, with the file descriptors that were sent with it. Anything
/// else ends with an error. No file descriptor stays open.
pub fn frame_descriptors(mut data: &[u8]) {
    let (reading, writing) = Stream::pair().expect("a pair of sockets");
    for end in [&reading, &writing] {
        end.set_nonblocking(true).expect("a mode that every socket has");
    }
    let (probe, marked) = std::io::pipe().expect("a pipe");
    let mut reader = FrameReader::new(&reading, Native).max_bytes(MESSAGE_MAX_BYTES).read_bytes(256);
    let mut writer = FrameWriter::new(&writing, Native).max_bytes(MESSAGE_MAX_BYTES).batch_bytes(4096);
    let (mut expected, mut is_framed) = (Vec::new(), true);
    while let Some((&[what, count, len], rest)) = data.split_first_chunk::<3>() {
        let (bytes, rest) = rest.split_at(rest.len().min(len.into()));
        data = rest;
        let descriptors = vec![marked.as_fd(); usize::from(count % 6)];
        let sent = match what % 8 {
            0 | 1 => writer.send(bytes).map(|()| 0),
            2 => writer.send(&bytes.repeat(16)).map(|()| 0),
            3 => writer.send_with_descriptors(bytes, &descriptors).map(|()| descriptors.len()),
            4 => {
                let _ = writer.flush();
                continue;
            }
            5 => {
                is_framed &= receive(&mut reader, &mut expected, is_framed);
                continue;
            }
            _ => {
                let outgoing = Outgoing::new().descriptors(&descriptors);
                is_framed &= writing.send_with(&[IoSlice::new(bytes)], &outgoing).is_ok_and(|sent| sent == 0);
                continue;
            }
        };
        match sent {
            Ok(count) => {
                expected.push((if what % 8 == 2 { bytes.repeat(16) } else { bytes.to_vec() }, count))
            }
            Err(error) => is_framed &= error.is_would_block() || bytes.len() * 16 > MESSAGE_MAX_BYTES,
        }
    }
    let is_sent = writer.flush().is_ok();
    drop(writer);
    is_framed &= receive(&mut reader, &mut expected, is_framed);
    assert!(!is_framed || !is_sent || expected.is_empty(), "{} messages did not come", expected.len());
    drop(reader);
    drop((reading, writing, marked));
    assert!(has_ended(probe), "a file descriptor stayed open");
}

/// Receives all available messages. Returns whether more can come.
fn receive(reader: &mut FrameReader<&Stream>, expected: &mut Vec<(Vec<u8>, usize)>, is_framed: bool) -> bool {
    loop {
        match reader.next_with_descriptors(Allow::descriptors(4)) {
            Ok(Some((message, descriptors))) => {
                assert!(message.len() <= MESSAGE_MAX_BYTES && descriptors.len() <= 4);
                if is_framed {
                    assert_eq!((message.to_vec(), descriptors.len()), expected.remove(0));
                }
            }
            Ok(None) => return false,
            Err(error) if error.is_would_block() => return true,
            Err(error) => {
                // Five file descriptors are more than are allowed.
                assert!(!is_framed || expected.iter().any(|(_, count)| *count > 4), "{error}");
                assert!(reader.failure().is_some(), "an error is permanent");
                return false;
            }
        }
    }
}

/// Returns whether no process has the other end of a pipe. Sockets that hold it in flight release
/// it when they are closed.
fn has_ended(mut pipe: PipeReader) -> bool {
    let _ = rustix::io::ioctl_fionbio(&pipe, true);
    matches!(pipe.read(&mut [0]), Ok(0))
}

/// Runs a ring whose other end writes arbitrary values into the shared words and lengths, between
/// any two calls. Each step is a byte for the action, two for the position, and four for the value.
/// Nothing panics or waits indefinitely, and messages are never longer than the ring.
pub fn ring_words(data: &[u8]) {
    const CAPACITY_BYTES: usize = 4096;
    let ring = Ring::new(CAPACITY_BYTES).expect("memory");
    let memory = File::from(OwnedFd::from(ring.try_clone().expect("a file descriptor")));
    let other = Ring::from_descriptor(ring.try_clone().expect("a file descriptor").into()).expect("a ring");
    let limit = Duration::ZERO;
    let mut sender = Some(ring.into_sender(Waiting::Futex, limit).expect("memory"));
    let mut receiver = Some(other.into_receiver(Waiting::Spin, limit).expect("memory"));
    let mut message = Vec::new();
    for step in data.chunks_exact(7) {
        let at = u64::from(u16::from_le_bytes([step[1], step[2]]));
        let word = &step[3..];
        match step[0] % 8 {
            0 | 1 => {
                let len = usize::from(u16::from_le_bytes([step[3], step[4]])) % (2 * CAPACITY_BYTES);
                let _ = sender.as_mut().map(|sender| sender.send(&vec![step[5]; len]));
            }
            2 | 3 => {
                if let Some(Ok(())) = receiver.as_mut().map(|receiver| receiver.recv(&mut message)) {
                    assert!(message.len() <= CAPACITY_BYTES);
                }
            }
            // The words of the header, the first lengths, and anything.
            4 => memory.write_all_at(word, at % 4 * 128).expect("sealed memory keeps its size"),
            5 => memory.write_all_at(word, 4096 + at % 64 * 8).expect("sealed memory keeps its size"),
            6 => memory.write_all_at(word, at % (4096 + CAPACITY_BYTES as u64 - 4)).expect("sealed memory"),
            _ => match at % 4 {
                0 => sender = None,
                1 => receiver = None,
                _ => {
                    let again =
                        |memory: &File| Ring::from_descriptor(memory.try_clone().expect("one").into());
                    let again = again(&memory).expect("a ring");
                    receiver = Some(again.into_receiver(Waiting::Futex, limit).expect("memory"));
                }
            },
        }
    }
}
