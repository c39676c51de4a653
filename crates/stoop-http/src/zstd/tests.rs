//! What is decoded, what is refused, and that no input makes more of itself than is allowed.

use std::io::Write;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use stoop_testkit::{has_program, skip};

use super::*;

/// "hello hello hello hello hello\n", as the program `zstd` writes it from a file without a
/// checksum, and from a pipe.
const FROM_FILE: &[u8] = &[
    0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x1e, 0x6d, 0x00, 0x00, 0x38, 0x68, 0x65, 0x6c, 0x6c, 0x6f, 0x20, 0x0a,
    0x01, 0x00, 0xa9, 0x4b, 0x11,
];
const FROM_PIPE: &[u8] = &[
    0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, 0x6d, 0x00, 0x00, 0x38, 0x68, 0x65, 0x6c, 0x6c, 0x6f, 0x20, 0x0a,
    0x01, 0x00, 0xa9, 0x4b, 0x11, 0x1a, 0x48, 0x72, 0xab,
];
const HELLO: &[u8] = b"hello hello hello hello hello\n";

/// Decompresses in pieces of this length.
fn in_pieces(bytes: &[u8], piece_bytes: usize, max_bytes: usize) -> Result<Vec<u8>, ZstdError> {
    let mut decoder = ZstdDecoder::new(max_bytes);
    let mut output = Vec::new();
    for piece in bytes.chunks(piece_bytes.max(1)) {
        decoder.push(piece);
        while let Some(piece) = decoder.next_piece()? {
            output.extend(piece);
        }
    }
    decoder.finish()?;
    Ok(output)
}

fn damaged(bytes: &[u8]) -> DamagedZstd {
    match decompress(bytes, 1 << 20) {
        Err(ZstdError::Damaged(why)) => why,
        other => panic!("{bytes:02x?}: {other:?}"),
    }
}

/// A frame of this many zeros that does not state its size: blocks of one repeated byte.
fn bomb(blocks: usize) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58];
    for block in 1..=blocks {
        let header = (128 << 10) << 3 | 1 << 1 | u32::from(block == blocks);
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

#[test]
fn frames_of_the_program_are_decoded() {
    for frame in [FROM_FILE, FROM_PIPE] {
        for piece_bytes in 1..frame.len() {
            assert_eq!(in_pieces(frame, piece_bytes, HELLO.len()).unwrap(), HELLO);
        }
    }
}

#[test]
fn frames_follow_each_other_and_skippable_ones_are_skipped() {
    let skipped =
        |len: u8| [&[0x5f, 0x2a, 0x4d, 0x18, len, 0, 0, 0][..], &vec![7; usize::from(len)]].concat();
    let all = [&skipped(3)[..], FROM_FILE, &skipped(0), FROM_PIPE, &skipped(200)].concat();
    for piece_bytes in [1, 2, 7, 1000] {
        assert_eq!(in_pieces(&all, piece_bytes, 1000).unwrap(), [HELLO, HELLO].concat());
    }
    assert_eq!(decompress(&[], 0).unwrap(), b"");
    assert_eq!(decompress(&skipped(9), 0).unwrap(), b"");
}

#[test]
fn what_is_not_complete_or_not_valid_is_refused() {
    for len in 1..FROM_PIPE.len() {
        assert_eq!(damaged(&FROM_PIPE[..len]), DamagedZstd::Truncated, "{len}");
    }
    assert_eq!(damaged(&[0x50, 0x2a, 0x4d, 0x18, 9, 0, 0, 0, 1]), DamagedZstd::Truncated);
    assert_eq!(damaged(b"hello"), DamagedZstd::NotAFrame);
    assert_eq!(damaged(b"\x1f\x8b\x08"), DamagedZstd::NotAFrame);
    assert_eq!(damaged(&[FROM_PIPE, b"x"].concat()), DamagedZstd::NotAFrame);
    let mut wrong = FROM_PIPE.to_vec();
    *wrong.last_mut().unwrap() ^= 1;
    assert_eq!(damaged(&wrong), DamagedZstd::Checksum);
    let mut wrong = FROM_FILE.to_vec();
    wrong[5] += 1;
    assert_eq!(damaged(&wrong), DamagedZstd::Size);
    let mut wrong = FROM_FILE.to_vec();
    wrong[4] |= 0x08;
    assert!(matches!(damaged(&wrong), DamagedZstd::Corrupt(_)));
    // A reserved kind of block.
    let reserved = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, 0x07, 0, 0];
    assert!(matches!(damaged(&reserved), DamagedZstd::Corrupt(_)));
    // A dictionary, named with one, two and four bytes.
    for (descriptor, id) in [(1, &[9][..]), (2, &[9, 0]), (3, &[9, 0, 0, 0])] {
        let frame = [&[0x28, 0xb5, 0x2f, 0xfd, descriptor, 0x58][..], id].concat();
        assert_eq!(damaged(&frame), DamagedZstd::Dictionary(9));
    }
}

#[test]
fn memory_is_bounded_by_the_limit_and_by_the_window() {
    assert_eq!(decompress(&bomb(4), 512 << 10).unwrap().len(), 512 << 10);
    assert_eq!(decompress(&bomb(4), (512 << 10) - 1), Err(ZstdError::TooLarge));
    assert_eq!(decompress(&bomb(4000), 1 << 20), Err(ZstdError::TooLarge));
    // Without a limit, no piece is larger than the window and a block.
    let mut decoder = ZstdDecoder::new(usize::MAX);
    decoder.push(&bomb(400));
    let mut total = 0;
    while let Some(piece) = decoder.next_piece().unwrap() {
        assert!(piece.len() <= (2 << 20) + (128 << 10), "{}", piece.len());
        total += piece.len();
    }
    assert_eq!(total, 400 * (128 << 10));
    // The header alone: 2 GiB and 16 MiB of window, and a content of 1 GiB.
    assert_eq!(damaged(&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3]), DamagedZstd::Window(1 << 31));
    assert_eq!(damaged(&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 14 << 3]), DamagedZstd::Window(16 << 20));
    let stated = [0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0x40];
    assert_eq!(decompress(&stated, 1 << 20), Err(ZstdError::TooLarge));
    assert_eq!(decompress(&stated, usize::MAX), Err(DamagedZstd::Window(1 << 30).into()));
    assert!(decompress(FROM_FILE, HELLO.len()).is_ok());
    assert_eq!(decompress(FROM_FILE, HELLO.len() - 1), Err(ZstdError::TooLarge));
    assert_eq!(decompress(FROM_PIPE, HELLO.len() - 1), Err(ZstdError::TooLarge));
}

/// Bytes that repeat, as text does, in more than one block now and then.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let words = proptest::collection::vec(any::<u8>(), 1..40);
    (words, 0_usize..6000, any::<Vec<u8>>()).prop_map(|(words, times, rest)| {
        let mut bytes = words.repeat(times);
        bytes.extend(rest);
        bytes
    })
}

/// Decompresses with the program `zstd`.
fn by_the_program(bytes: &[u8]) -> Vec<u8> {
    let mut command = Command::new("zstd");
    command.args(["-d", "-c"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut input, bytes) = (child.stdin.take().unwrap(), bytes.to_vec());
    let writing = std::thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(output.status.success());
    output.stdout
}

#[test]
fn the_program_restores_what_was_compressed() {
    if !has_program("zstd") {
        skip!("lacks zstd");
    }
    // Of one block and of several, repetitive, and as good as random.
    for len in [0, 1, 100, 128 << 10, 300_000_usize] {
        let noise = |at: usize| (at.wrapping_mul(0x9e37_79b9) >> 13) as u8;
        for content in [vec![b'a'; len], (0..len).map(noise).collect(), (0..len).map(|at| at as u8).collect()]
        {
            assert!(by_the_program(&compress(&content)) == content, "{len} bytes");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_was_compressed_is_restored_from_any_pieces(bytes in content(), piece_bytes in 1_usize..5000) {
        let compressed = compress(&bytes);
        let restored = in_pieces(&compressed, piece_bytes, bytes.len());
        prop_assert_eq!(restored.as_ref(), Ok(&bytes));
        if !bytes.is_empty() {
            prop_assert_eq!(decompress(&compressed, bytes.len() - 1), Err(ZstdError::TooLarge));
        }
    }

    #[test]
    fn damage_is_noticed_and_does_no_harm(at: prop::sample::Index, value: u8, piece_bytes in 1_usize..40) {
        let mut bytes = FROM_PIPE.to_vec();
        let at = at.index(bytes.len());
        bytes[at] = value;
        let whole = decompress(&bytes, 1 << 20);
        prop_assert_eq!(&in_pieces(&bytes, piece_bytes, 1 << 20), &whole);
        if let Ok(output) = whole {
            prop_assert!(output == HELLO, "{:?}", output);
        }
    }
}
