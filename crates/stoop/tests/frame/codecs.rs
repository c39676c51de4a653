//! The framings themselves, without I/O.

use proptest::prelude::*;
use stoop::frame::{Codec, LengthDelimited, Lines, Native, Varint};
use stoop::internal::{Decoder, Encoder, FrameError, PAGE_BYTES};

use super::{length, messages};

fn encoded(codec: impl Codec, messages: &[Vec<u8>]) -> Vec<u8> {
    let mut encoder = Encoder::new(codec);
    let mut bytes = Vec::new();
    let mut drain = |encoder: &mut Encoder<_>| {
        bytes.extend_from_slice(encoder.pending());
        encoder.consume(encoder.pending().len());
    };
    for message in messages {
        if !encoder.push(message).unwrap() {
            drain(&mut encoder);
            assert!(encoder.push(message).unwrap(), "an empty encoder takes anything");
        }
    }
    drain(&mut encoder);
    bytes
}

/// Feeds pieces of these sizes, over and over, and takes every message after each.
fn decoded<C: Codec>(
    decoder: &mut Decoder<C>,
    mut bytes: &[u8],
    pieces: &[usize],
) -> Result<Vec<Vec<u8>>, FrameError> {
    let mut messages = Vec::new();
    let mut pieces = pieces.iter().cycle();
    while !bytes.is_empty() {
        let room = decoder.room();
        let count = room.len().min(*pieces.next().unwrap()).min(bytes.len());
        room[..count].copy_from_slice(&bytes[..count]);
        decoder.filled(count);
        bytes = &bytes[count..];
        while let Some(message) = decoder.next()? {
            messages.push(message.to_vec());
        }
    }
    Ok(messages)
}

fn round_trip(codec: impl Codec + Copy, lengths: &[usize], pieces: &[usize], read: usize) {
    let sent = messages(lengths);
    let bytes = encoded(codec, &sent);
    let mut decoder = Decoder::new(codec).read_bytes(read);
    assert_eq!(decoded(&mut decoder, &bytes, pieces), Ok(sent));
    assert_eq!(decoder.finish(), Ok(()));
    assert_eq!(decoder.unread_bytes(), 0);

    // The same without the last byte is cut short, and the last message does not come.
    let mut decoder = Decoder::new(codec).read_bytes(read);
    let came = decoded(&mut decoder, &bytes[..bytes.len() - 1], pieces).unwrap();
    assert_eq!(came.len(), lengths.len() - 1);
    match (decoder.unread_bytes(), decoder.finish()) {
        // The last frame was that one byte.
        (0, finished) => assert_eq!(finished, Ok(())),
        (received_bytes, finished) => assert_eq!(finished, Err(FrameError::UnexpectedEnd { received_bytes })),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_framing_round_trips_in_pieces_of_any_size(
        lengths in proptest::collection::vec(length(), 1..40),
        pieces in proptest::collection::vec(prop_oneof![1usize..10, 1usize..5000, 1usize..200_000], 1..10),
        read in prop_oneof![64usize..200, 4096usize..100_000],
    ) {
        // One byte at a time through a long message takes long and shows nothing more.
        let total: usize = lengths.iter().sum();
        let least = total / 20_000;
        let pieces: Vec<usize> = pieces.iter().map(|piece| piece + least).collect();
        round_trip(Native, &lengths, &pieces, read);
        round_trip(LengthDelimited::BIG_ENDIAN, &lengths, &pieces, read);
        round_trip(LengthDelimited::LITTLE_ENDIAN, &lengths, &pieces, read);
        round_trip(Varint, &lengths, &pieces, read);
        round_trip(Lines, &lengths, &pieces, read);
    }

    #[test]
    fn hostile_bytes_neither_panic_nor_take_memory(
        bytes in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..5000),
            // Such as look like headers.
            proptest::collection::vec(prop_oneof![Just(0x10u8), Just(0x12), Just(0x13), Just(0), Just(0xff), any::<u8>()], 0..600),
        ],
        pieces in proptest::collection::vec(1usize..700, 1..5),
        max in prop_oneof![Just(0usize), 1usize..100, 1000usize..5000],
        read in 64usize..2000,
    ) {
        hostile(Native, &bytes, &pieces, max, read);
        hostile(LengthDelimited::BIG_ENDIAN, &bytes, &pieces, max, read);
        hostile(LengthDelimited::LITTLE_ENDIAN, &bytes, &pieces, max, read);
        hostile(Varint, &bytes, &pieces, max, read);
        hostile(Lines, &bytes, &pieces, max, read);
    }
}

fn hostile(codec: impl Codec, bytes: &[u8], pieces: &[usize], max: usize, read: usize) {
    let mut decoder = Decoder::new(codec).max_bytes(max).read_bytes(read);
    match decoded(&mut decoder, bytes, pieces) {
        Ok(messages) => assert!(messages.iter().all(|message| message.len() <= max)),
        Err(error) => {
            assert_eq!(decoder.failure(), Some(error));
            let room = decoder.room();
            room[..1].fill(0);
            decoder.filled(1);
            assert_eq!(decoder.next(), Err(error), "an error lasts");
            assert_eq!(decoder.finish(), Err(error));
        }
    }
    let most = max + read + 3 * PAGE_BYTES;
    assert!(decoder.buffer_bytes() <= most, "{} bytes, {most} at most", decoder.buffer_bytes());
}

fn first<C: Codec>(codec: C, bytes: &[u8]) -> Result<Option<Vec<u8>>, FrameError> {
    let mut decoder = Decoder::new(codec).max_bytes(1 << 20);
    decoder.room()[..bytes.len()].copy_from_slice(bytes);
    decoder.filled(bytes.len());
    let message = decoder.next().map(|message| message.map(<[u8]>::to_vec));
    assert!(decoder.buffer_bytes() < 100_000, "nothing is allocated for a length that is refused");
    message
}

#[test]
fn lengths_beyond_the_limit_are_refused_at_once() {
    let refused = |len_bytes| Err(FrameError::TooLong { len_bytes, max_bytes: 1 << 20 });
    let mut native = [0; 32];
    native[0] = 0x12;
    for len in [(1 << 20) + 1, u64::MAX] {
        native[4..12].copy_from_slice(&len.to_le_bytes());
        assert_eq!(first(Native, &native), refused(len));
    }
    assert_eq!(first(LengthDelimited::BIG_ENDIAN, b"\x00\x10\x00\x01"), refused((1 << 20) + 1));
    assert_eq!(first(LengthDelimited::LITTLE_ENDIAN, b"\xff\xff\xff\xff"), refused(u32::MAX.into()));
    assert_eq!(first(Varint, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), refused(u64::MAX));
    assert_eq!(
        first(LengthDelimited::BIG_ENDIAN, b"\x00\x10\x00\x00"),
        Ok(None),
        "the limit itself is allowed"
    );
}

#[test]
fn a_line_without_end_is_refused_at_the_limit() {
    let mut decoder = Decoder::new(Lines).max_bytes(100);
    let line = [b'x'; 100];
    assert_eq!(decoded(&mut decoder, &line, &[7]), Ok(vec![]), "its end may come next");
    assert_eq!(decoded(&mut decoder, b"\n", &[1]), Ok(vec![line.to_vec()]));
    let error = FrameError::TooLong { len_bytes: 101, max_bytes: 100 };
    assert_eq!(decoded(&mut decoder, &[b'x'; 101], &[101]), Err(error));
}

#[test]
fn the_native_bytes_are_as_documented() {
    assert_eq!(encoded(Native, &[b"hi".to_vec(), vec![]]), b"\x10\x00\x02\x00hi\x10\x00\x00\x00");
    let long = encoded(Native, &[vec![7; 2048]]);
    let mut header = [0; 32];
    (header[0], header[5]) = (0x12, 0x08);
    assert_eq!(long[..32], header);
    assert_eq!(long[32..], [7; 2048]);
    assert_eq!(encoded(Native, &[vec![7; 2047]])[..4], [0x10, 0, 0xff, 0x07]);
}

#[test]
fn the_native_framing_has_one_encoding_of_a_message_and_refuses_the_rest() {
    let bad = |bytes: &[u8]| {
        assert_eq!(first(Native, bytes), Err(FrameError::BadHeader { first: bytes[0] }), "{bytes:x?}")
    };
    bad(b"G");
    bad(b"\x20\x00\x01\x00x");
    bad(b"\x14\x00\x01\x00x");
    bad(b"\x10\x01\x01\x00x"); // descriptors without the flag
    bad(b"\x11\x00\x01\x00x"); // the flag without descriptors
    bad(b"\x11\xfe\x01\x00x"); // more than the kernel carries
    bad(b"\x10\x00\x00\x08"); // 2,048 in the short form
    let long = |at: usize, value: u8| {
        let mut header = [0; 32];
        (header[0], header[5]) = (0x12, 0x08);
        header[at] = value;
        header
    };
    assert_eq!(first(Native, &long(0, 0x12)), Ok(None));
    bad(&long(5, 0x07)); // 1,792 in the long form
    for at in [2, 3].into_iter().chain(12..32) {
        bad(&long(at, 1));
    }
}

#[test]
fn the_others_are_as_everybody_has_them() {
    let message = [vec![b'x'; 300]];
    assert_eq!(encoded(LengthDelimited::BIG_ENDIAN, &message)[..5], *b"\x00\x00\x01\x2cx");
    assert_eq!(encoded(LengthDelimited::LITTLE_ENDIAN, &message)[..5], *b"\x2c\x01\x00\x00x");
    assert_eq!(encoded(Varint, &message)[..3], *b"\xac\x02x");
    assert_eq!(encoded(Varint, &[vec![]]), b"\x00");
    assert_eq!(encoded(Lines, &[b"one".to_vec(), vec![]]), b"one\n\n");
    assert_eq!(first(Lines, b"dos\r\n"), Ok(Some(b"dos\r".to_vec())));
    assert_eq!(
        first(Varint, b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02"),
        Err(FrameError::BadHeader { first: 0x80 })
    );
}

#[test]
fn what_cannot_be_framed_is_refused_and_nothing_is_added() {
    let mut encoder = Encoder::new(Lines).max_bytes(10);
    assert_eq!(encoder.push(b"two\nlines"), Err(FrameError::ContainsDelimiter));
    let error = FrameError::TooLong { len_bytes: 11, max_bytes: 10 };
    assert_eq!(encoder.push(&[0; 11]), Err(error));
    assert!(encoder.is_empty());
}

#[test]
fn a_buffer_that_grew_is_given_back() {
    let mut decoder = Decoder::new(Native);
    let bytes = encoded(Native, &messages(&[5 << 20, 10, 10]));
    assert_eq!(decoded(&mut decoder, &bytes, &[50_000]).unwrap().len(), 3);
    decoder.room();
    assert!(decoder.buffer_bytes() < 1 << 20, "{}", decoder.buffer_bytes());
}
