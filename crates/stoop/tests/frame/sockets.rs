//! Readers and writers on real sockets: non-blocking, blocking, with a timeout, between two
//! processes.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use stoop::frame::{Codec, FrameReader, FrameWriter, LengthDelimited, Lines, Native, Varint};
use stoop::internal::{FrameError, PageBuffer};
use stoop::{Bind, ErrorKind, SocketExt, Stream};
use stoop_kernel_facts::{SOON, die_of_sigpipe};
use stoop_testkit::{Role, close, deadline, eventually, role, tempdir};

use super::{length, message, messages};

/// How the reader asks for a message.
#[derive(Clone, Copy, Debug)]
enum Ask {
    Next,
    Buffered,
    Into,
    Len,
}

fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![Just(Ask::Next), Just(Ask::Buffered), Just(Ask::Into), Just(Ask::Len)]
}

/// Ways of asking in turn, one of which reads.
fn asks() -> impl Strategy<Value = Vec<Ask>> {
    proptest::collection::vec(ask(), 0..12).prop_map(|mut asks| {
        asks.push(Ask::Next);
        asks
    })
}

/// One thread plays both ends of a non-blocking pair, each as far as it gets; nothing may be lost,
/// doubled or out of order.
fn both_ends(
    codec: impl Codec + Copy,
    lengths: &[usize],
    asks: &[Ask],
    read: usize,
    gather: usize,
    room: usize,
) {
    let (one, other) = Stream::pair().unwrap();
    one.set_send_buffer_bytes(room).unwrap();
    one.set_nonblocking(true).unwrap();
    other.set_nonblocking(true).unwrap();
    let mut writer = FrameWriter::new(one, codec).batch_bytes(gather);
    let mut reader = FrameReader::new(other, codec).read_bytes(read);

    let sent = messages(lengths);
    let (mut taken, mut came) = (0, 0);
    let mut buffer = PageBuffer::new(300_000);
    let mut asks = asks.iter().cycle();
    let would_block = |error: stoop::Error| assert!(error.is_would_block(), "{error}");
    for turn in 0.. {
        match sent.get(taken).map(|message| writer.send(message)) {
            Some(Ok(())) => taken += 1,
            Some(Err(error)) => would_block(error),
            None => writer.flush().unwrap_or_else(would_block),
        }
        // Sometimes the writer gets ahead, sometimes the reader catches up.
        for _ in 0..turn % 4 {
            let got = match asks.next().unwrap() {
                Ask::Next => reader.next().map(|message| message.map(<[u8]>::to_vec)),
                Ask::Buffered => reader.next_buffered().map(|message| message.map(<[u8]>::to_vec)),
                Ask::Into => reader.read_into(&mut buffer).map(|len| len.map(|len| buffer[..len].to_vec())),
                Ask::Len => reader.next_len().map(|len| {
                    assert_eq!(len, Some(sent[came].len()));
                    None
                }),
            };
            match got {
                Ok(Some(message)) => {
                    assert_eq!(message, sent[came], "message {came}");
                    came += 1;
                }
                Ok(None) => {}
                Err(error) => would_block(error),
            }
            if came == sent.len() {
                break;
            }
        }
        if came == sent.len() {
            break;
        }
    }
    while writer.flush().is_err() {}
    close(writer);
    assert_eq!(reader.next().unwrap(), None);
    assert_eq!(reader.unread_bytes(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn nothing_is_lost_or_doubled_on_full_sockets(
        lengths in proptest::collection::vec(length(), 1..60),
        asks in asks(),
        read in prop_oneof![64usize..300, 4096usize..100_000],
        gather in prop_oneof![4096usize..10_000, Just(65_536usize)],
        room in 2304usize..60_000,
    ) {
        deadline(SOON * 2, move || {
            both_ends(Native, &lengths, &asks, read, gather, room);
            both_ends(LengthDelimited::BIG_ENDIAN, &lengths, &asks, read, gather, room);
            both_ends(Varint, &lengths, &asks, read, gather, room);
            both_ends(Lines, &lengths, &asks, read, gather, room);
        });
    }
}

#[test]
fn two_processes_exchange_messages_of_every_length() {
    const TEST: &str = "sockets::two_processes_exchange_messages_of_every_length";
    let lengths: Vec<usize> =
        (0..6000).map(|n| [7, 64, 2048, 100, 5000, 0, 40_000, 20][n % 8] + n % 37).collect();
    if role().is_some() {
        let path = std::env::var("ADDRESS").unwrap();
        let stream = Stream::connect(path.as_str()).unwrap();
        stream.set_send_buffer_bytes(1 << 20).unwrap();
        let mut writer = FrameWriter::new(&stream, Native);
        for (number, &len) in lengths.iter().enumerate() {
            writer.send(&message(number, len)).unwrap();
        }
        writer.flush().unwrap();
        let mut reader = FrameReader::new(&stream, Lines);
        assert_eq!(reader.next().unwrap(), Some(&b"all there"[..]));
        return;
    }
    let directory = tempdir();
    let path = directory.path().join("socket");
    let listener = Bind::new(&path).listen().unwrap();
    let mut child = Role::new(TEST, "sender").env("ADDRESS", path.to_str().unwrap()).spawn();
    deadline(SOON * 3, move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = FrameReader::new(&stream, Native);
        let mut buffer = PageBuffer::new(100_000);
        for (number, &len) in lengths.iter().enumerate() {
            let expected = message(number, len);
            if number % 3 == 0 {
                assert_eq!(reader.read_into(&mut buffer).unwrap(), Some(len));
                assert_eq!(buffer[..len], expected);
            } else {
                assert_eq!(reader.next().unwrap(), Some(&expected[..]), "message {number}");
            }
        }
        (&stream).write_all(b"all there\n").unwrap();
        assert_eq!(reader.next().unwrap(), None);
    });
    assert!(child.finish(SOON).success());
}

#[test]
fn small_messages_wait_for_a_flush_and_go_in_one_piece() {
    let (one, mut other) = Stream::pair().unwrap();
    other.set_nonblocking(true).unwrap();
    let mut writer = FrameWriter::new(one, Lines);
    writer.send(b"one").unwrap();
    writer.send(b"two").unwrap();
    assert_eq!((writer.pending_bytes(), other.unread_bytes().unwrap()), (8, 0));
    assert!(!writer.flush_if_older(Duration::from_secs(3600)).unwrap());
    let since = writer.waiting_since().unwrap();
    eventually(SOON, || since.elapsed() >= Duration::from_millis(1));
    assert!(writer.flush_if_older(Duration::from_millis(1)).unwrap());
    assert_eq!((writer.pending_bytes(), writer.waiting_since()), (0, None));
    let mut buffer = [0; 64];
    assert_eq!(other.read(&mut buffer).unwrap(), 8);
    assert!(!writer.flush_if_older(Duration::ZERO).unwrap(), "nothing waits");

    // A large one takes along what waits.
    writer.send(b"before").unwrap();
    writer.send(&[b'x'; 5000]).unwrap();
    assert_eq!((writer.pending_bytes(), other.unread_bytes().unwrap()), (0, 7 + 5001));

    // As many as fit together go by themselves.
    let mut count = 0;
    while other.unread_bytes().unwrap() == 5008 {
        writer.send(&[b'y'; 99]).unwrap();
        count += 1;
    }
    assert_eq!(count, 32_768 / 100 + 1);
    assert_eq!(writer.pending_bytes(), 100);
    drop(writer);
    assert_eq!(other.unread_bytes().unwrap(), 5008 + count * 100, "dropping flushes");
}

#[test]
fn a_write_timeout_leaves_no_half_message_behind() {
    let (one, other) = Stream::pair().unwrap();
    one.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut writer = FrameWriter::new(one, Native);
    let large = message(1, 2 << 20);
    writer.send(&large).unwrap();
    assert!(writer.pending_bytes() > 0, "a part has gone, the rest is kept");
    let error = writer.send(b"more").err();
    assert!(error.is_none_or(|error| error.is_would_block()));
    let error = writer.send(&large).unwrap_err();
    assert!(error.is_would_block(), "{error}");

    let reader = thread::spawn(move || {
        let mut reader = FrameReader::new(other, Native);
        let first = reader.next().unwrap().unwrap().to_vec();
        let second = reader.next().unwrap().map(<[u8]>::to_vec);
        (first, second)
    });
    deadline(SOON, move || {
        while writer.flush().is_err() {}
        drop(writer);
        let (first, second) = reader.join().unwrap();
        assert!(first == large);
        assert!(second.is_none_or(|second| second == b"more"));
    });
}

#[test]
fn a_stream_that_ends_inside_a_frame_is_cut_short() {
    for whole in [false, true] {
        let (mut one, other) = Stream::pair().unwrap();
        one.write_all(b"\x00\x00\x00\x02ab\x00\x00\x40\x00").unwrap();
        one.write_all(&[1; 1000]).unwrap();
        drop(one);
        let mut reader = FrameReader::new(other, LengthDelimited::BIG_ENDIAN);
        assert_eq!(reader.next().unwrap(), Some(&b"ab"[..]));
        for _ in 0..2 {
            let mut buffer = [0; 0x4000];
            let error = if whole { reader.next().map(drop) } else { reader.read_into(&mut buffer).map(drop) }
                .unwrap_err();
            assert!(error.is_peer_closed(), "{error}");
            assert_eq!(reader.failure(), Some(FrameError::UnexpectedEnd { received_bytes: 1004 }));
        }
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let (mut one, other) = Stream::pair().unwrap();
    one.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let mut reader = FrameReader::new(other, Native);
    let error = reader.next().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    let text = "cannot receive: invalid frame header (first byte 0x47): the peer may use another framing";
    assert_eq!(error.to_string(), text);
    let source = std::error::Error::source(&error).unwrap().downcast_ref::<std::io::Error>().unwrap();
    let inner = source.get_ref().unwrap().downcast_ref::<FrameError>();
    assert_eq!(inner, Some(&FrameError::BadHeader { first: b'G' }));

    let (mut one, other) = Stream::pair().unwrap();
    one.write_all(b"\xff\xff\xff\xff").unwrap();
    let mut reader = FrameReader::new(other, LengthDelimited::BIG_ENDIAN).max_bytes(100);
    assert_eq!(reader.next().unwrap_err().kind(), ErrorKind::MessageTooLarge);
    assert!(reader.failure().is_some());
    one.write_all(b"\x00\x00\x00\x00").unwrap();
    assert_eq!(reader.next().unwrap_err().kind(), ErrorKind::MessageTooLarge, "it lasts");

    let mut writer = FrameWriter::new(one, Lines).max_bytes(5);
    assert_eq!(writer.send(b"123456").unwrap_err().kind(), ErrorKind::MessageTooLarge);
    assert_eq!(writer.send(b"1\n2").unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(writer.pending_bytes(), 0);
}

#[test]
fn a_buffer_that_is_too_small_loses_nothing() {
    let (one, other) = Stream::pair().unwrap();
    let mut writer = FrameWriter::new(one, Native);
    writer.send(&[1; 30_000]).unwrap();
    writer.send(&[2; 30]).unwrap();
    writer.flush().unwrap();
    let mut reader = FrameReader::new(other, Native);
    let mut buffer = [0; 100];
    for _ in 0..2 {
        assert_eq!(reader.read_into(&mut buffer).unwrap_err().kind(), ErrorKind::MessageTooLarge);
    }
    assert_eq!(reader.next_len().unwrap(), Some(30_000));
    assert_eq!(reader.next().unwrap(), Some(&[1; 30_000][..]));
    assert_eq!(reader.read_into(&mut buffer).unwrap(), Some(30));
}

#[test]
fn a_peer_that_has_gone_is_an_error_and_no_signal() {
    const TEST: &str = "sockets::a_peer_that_has_gone_is_an_error_and_no_signal";
    if role().is_none() {
        return Role::new(TEST, "writer").run();
    }
    die_of_sigpipe();
    let gone = |send: fn(&mut FrameWriter<Stream>) -> stoop::Result<()>| {
        let (one, other) = Stream::pair().unwrap();
        drop(other);
        let error = send(&mut FrameWriter::new(one, Native)).unwrap_err();
        assert!(error.is_peer_closed(), "{error}");
    };
    gone(|writer| writer.send(b"small").and_then(|()| writer.flush()));
    gone(|writer| writer.send(&[0; 100_000]));
    gone(|writer| writer.send_with_descriptors(b"beside", &[]));
}

#[test]
fn any_reader_and_writer_will_do() {
    let mut bytes = Vec::new();
    let mut writer = FrameWriter::new(&mut bytes, Native);
    writer.send(b"small").unwrap();
    writer.send(&[9; 10_000]).unwrap();
    drop(writer);
    let mut reader = FrameReader::new(&bytes[..], Native).read_bytes(1000);
    assert_eq!(reader.next().unwrap(), Some(&b"small"[..]));
    let mut buffer = vec![0; 10_000];
    assert_eq!(reader.read_into(&mut buffer).unwrap(), Some(10_000));
    assert_eq!(buffer, [9; 10_000]);
    assert_eq!(reader.read_into(&mut buffer).unwrap(), None);
}

#[test]
fn the_other_direction_goes_on_after_a_half_close() {
    let (one, other) = Stream::pair().unwrap();
    let mut writer = FrameWriter::new(&one, Native);
    writer.send(b"question").unwrap();
    writer.flush().unwrap();
    one.shutdown(Shutdown::Write).unwrap();
    let mut reader = FrameReader::new(&other, Native);
    assert_eq!(reader.next().unwrap(), Some(&b"question"[..]));
    assert_eq!(reader.next().unwrap(), None);
    FrameWriter::new(&other, Native).send(&[4; 4096]).unwrap();
    assert_eq!(FrameReader::new(&one, Native).next().unwrap(), Some(&[4; 4096][..]));
}
