//! The cost of the two system calls that read a stream.

use std::io::{self, IoSliceMut};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use rustix::net::{RecvAncillaryBuffer, RecvFlags, SendFlags, recv, recvmsg, send};
use stoop_bench::stats::{Summary, order};

use crate::MESSAGE_BYTES;

const MESSAGES: u32 = 50_000;

/// Reads once into the buffer. Returns the number of bytes.
type Read = fn(&UnixStream, &mut [u8]) -> io::Result<usize>;

const READS: [Read; 2] = [
    |stream, buffer| Ok(recv(stream, buffer, RecvFlags::empty())?.0),
    |stream, buffer| {
        let mut nothing = RecvAncillaryBuffer::default();
        let buffers = &mut [IoSliceMut::new(buffer)];
        Ok(recvmsg(stream, buffers, &mut nothing, RecvFlags::empty())?.bytes)
    },
];

/// Returns the nanoseconds of a message that is sent and received with `recv`, and with `recvmsg`,
/// in one thread.
pub fn nanoseconds(reps: usize) -> stoop_bench::Result<[Summary; 2]> {
    let (one, other) = UnixStream::pair()?;
    let mut samples = [Vec::new(), Vec::new()];
    for rep in 0..reps {
        for index in order(rep, READS.len()) {
            samples[index].push(run(&one, &other, READS[index])?);
        }
    }
    let summary = |samples: &[f64]| Summary::of(samples).ok_or("a time is not a number");
    Ok([summary(&samples[0])?, summary(&samples[1])?])
}

fn run(one: &UnixStream, other: &UnixStream, read: Read) -> io::Result<f64> {
    let (message, mut buffer) = ([7; MESSAGE_BYTES], [0; 4096]);
    let started = Instant::now();
    for _ in 0..MESSAGES {
        send(one, &message, SendFlags::NOSIGNAL)?;
        let len = read(other, &mut buffer)?;
        if buffer[..len] != message {
            return Err(io::Error::other("another message came back"));
        }
    }
    Ok(started.elapsed().as_secs_f64() * 1e9 / f64::from(MESSAGES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_calls_receive_the_message() {
        let (one, other) = UnixStream::pair().unwrap();
        assert!(READS.into_iter().all(|read| run(&one, &other, read).unwrap() > 0.0));
    }
}
