//! Frames for tasks: every message arrives once and in order, whatever is cancelled, with its own
//! file descriptors.

mod async_test;

use std::io::Read;
use std::os::fd::AsFd;

use async_test::async_test;
use stoop::aio::{FrameReader, FrameWriter, Stream};
use stoop::frame::{Codec, LengthDelimited, Lines, Native, Varint};
use stoop::internal::FrameError;
use stoop::{Allow, Bind, ErrorKind, Policy, SocketExt};
use stoop_testkit::tempdir;

const LENGTHS: [usize; 12] = [0, 1, 100, 2047, 2048, 4095, 4096, 40_000, 65_536, 300_000, 5, 1 << 20];

/// Returns a message that no other has, without a line feed.
fn message(number: usize) -> Vec<u8> {
    let len = LENGTHS[number % LENGTHS.len()];
    (0..len).map(|at| b'a' + ((number * 7 + at) % 26) as u8).collect()
}

/// Polls a future once, and drops it if it is pending.
async fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        std::task::Poll::Ready(value) => std::task::Poll::Ready(Some(value)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

fn narrow_pair() -> (Stream, Stream) {
    let (one, other) = Stream::pair().unwrap();
    one.get_ref().set_send_buffer_bytes(8192).unwrap();
    (one, other)
}

/// Sends and receives many messages. If `cancels`, every future is dropped after each poll that
/// leaves it pending.
async fn exchange<C: Codec + Copy + Send + Sync + 'static>(codec: C, cancels: bool) {
    const COUNT: usize = 36;
    let (one, other) = narrow_pair();
    let (_keep, sends) = one.into_split();
    let sending = tokio::spawn(async move {
        let mut writer = FrameWriter::new(sends, codec);
        for number in 0..COUNT {
            let message = message(number);
            while cancels && poll_once(writer.send(&message)).await.is_none() {
                writer.get_ref().writable().await.unwrap();
            }
            if !cancels {
                writer.send(&message).await.unwrap();
            }
        }
        while cancels && poll_once(writer.flush()).await.is_none() {
            writer.get_ref().writable().await.unwrap();
        }
        writer.flush().await.unwrap();
        assert_eq!((writer.pending_bytes(), writer.waiting_since()), (0, None));
    });
    let mut reader = FrameReader::new(other, codec).read_bytes(4096);
    for number in 0..COUNT {
        loop {
            let next = poll_once(reader.next()).await.map(|next| next.unwrap().map(<[u8]>::to_vec));
            match next {
                Some(next) => break assert_eq!(next, Some(message(number)), "message {number}"),
                None if cancels => reader.get_ref().readable().await.unwrap(),
                None => break assert_eq!(reader.next().await.unwrap(), Some(&message(number)[..])),
            }
        }
    }
    assert_eq!(reader.next().await.unwrap(), None);
    sending.await.unwrap();
}

#[test]
fn messages_of_every_length_pass_between_tasks() {
    async_test(|| async {
        exchange(Native, false).await;
        exchange(LengthDelimited::BIG_ENDIAN, false).await;
        exchange(Varint, false).await;
        exchange(Lines, false).await;
    });
}

#[test]
fn a_dropped_future_loses_and_repeats_no_message() {
    async_test(|| async {
        exchange(Native, true).await;
        exchange(Lines, true).await;
    });
}

#[test]
fn file_descriptors_stay_with_their_message() {
    async_test(|| async {
        let (one, other) = narrow_pair();
        let sending = tokio::spawn(async move {
            let mut writer = FrameWriter::new(one, Native);
            for number in 0..24 {
                let (pipe, passed) = std::io::pipe().unwrap();
                std::io::Write::write_all(&mut &passed, &[number as u8]).unwrap();
                writer.send(&message(number + 1)).await.unwrap();
                writer.send_with_descriptors(&message(number), &[pipe.as_fd()]).await.unwrap();
            }
            writer.flush().await.unwrap();
        });
        let mut reader = FrameReader::new(other, Native);
        for number in 0..24 {
            let allow = Allow::descriptors(1);
            let (plain, none) = reader.next_with_descriptors(allow).await.unwrap().unwrap();
            assert_eq!((plain, none.len()), (&message(number + 1)[..], 0));
            let (with_one, mut one) = reader.next_with_descriptors(allow).await.unwrap().unwrap();
            assert_eq!((with_one, one.len()), (&message(number)[..], 1));
            let mut byte = [0];
            std::fs::File::from(one.pop().unwrap()).read_exact(&mut byte).unwrap();
            assert_eq!(usize::from(byte[0]), number);
        }
        assert!(reader.next_with_descriptors(Allow::NOTHING).await.unwrap().is_none());
        sending.await.unwrap();
    });
}

/// As for the blocking reader: not even if the kernel delivers them, as before Linux 6.16.
#[test]
fn a_reader_does_not_bypass_the_policy_of_its_stream() {
    async_test(|| async {
        let directory = tempdir();
        let path = directory.path().join("app.sock");
        let policy = Policy::everyone().refuse_descriptors();
        let listener = Bind::new(&path).policy(policy).listen_async().await.unwrap();
        let client = Stream::connect(&path).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        match server.get_ref().set_pass_descriptors(true) {
            Err(error) if error.is_unsupported() => {}
            result => result.unwrap(),
        }
        let mut writer = FrameWriter::new(client, Native);
        let (pipe, _writer) = std::io::pipe().unwrap();
        writer.send_with_descriptors(b"one", &[pipe.as_fd()]).await.unwrap();
        let mut reader = FrameReader::new(&server, Native);
        let error = reader.next_with_descriptors(Allow::descriptors(4)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SurplusDescriptors);
        assert_eq!(reader.failure(), Some(FrameError::SurplusDescriptors { count: 1, allowed: 0 }));
    });
}
