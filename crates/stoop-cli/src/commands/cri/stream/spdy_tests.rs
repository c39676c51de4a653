//! Tests of the frames.

use proptest::prelude::*;

use super::spdy::{Decoder, Event, data, open, pong};

fn events(bytes: &[u8], size: usize) -> Vec<Event> {
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    for piece in bytes.chunks(size) {
        decoder.push(piece);
        events.extend(std::iter::from_fn(|| decoder.next()));
    }
    events
}

#[test]
fn the_first_frame_begins_the_compressed_stream() {
    let first = open(1, &[("streamtype", "error")], true);
    let head = [0x80, 3, 0, 1, 0, 0, 0, first.len() as u8 - 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    assert_eq!(first[..18], head);
    assert_eq!(first[18..25], [0x78, 0x01, 0, 27, 0, 0xe4, 0xff]);
    assert_eq!(first[25..29], [0, 0, 0, 1]);
    assert!(first.ends_with(&[0, 0, 0, 0xff, 0xff]));
    let second = open(3, &[("streamtype", "error")], false);
    assert_eq!(second.len() + 2, first.len());
}

#[test]
fn frames_of_the_other_side_are_decoded() {
    let mut bytes = vec![0x80, 3, 0, 2, 0, 0, 0, 6, 0, 0, 0, 5, 9, 9];
    // Settings and window updates need no attention.
    bytes.extend([0x80, 3, 0, 4, 0, 0, 0, 4, 0, 0, 0, 0]);
    bytes.extend(data(5, b"word", true));
    bytes.extend([0x80, 3, 0, 3, 0, 0, 0, 8, 0, 0, 0, 7, 0, 0, 0, 1]);
    bytes.extend(pong(0x8000_0002));
    bytes.extend([0x80, 3, 0, 7, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
    let expected = [
        Event::Accepted { stream: 5, is_last: false },
        Event::Data { stream: 5, bytes: b"word".to_vec(), is_last: true },
        Event::Reset { stream: 7, status: 1 },
        Event::Ping(0x8000_0002),
        Event::GoAway,
    ];
    for size in [1, 5, 1000] {
        assert_eq!(events(&bytes, size), expected, "{size}");
    }
}

#[test]
fn a_frame_that_was_cut_is_noticed() {
    let mut decoder = Decoder::default();
    decoder.push(&data(1, b"word", false)[..9]);
    assert_eq!((decoder.next(), decoder.is_within_frame()), (None, true));
    decoder.push(b"ord");
    assert!(decoder.next().is_some() && !decoder.is_within_frame());
}

proptest! {
    #[test]
    fn pieces_do_not_matter(bytes in prop::collection::vec(any::<u8>(), 0..300), size in 1usize..40) {
        prop_assert_eq!(events(&bytes, size), events(&bytes, 1000));
    }

    #[test]
    fn data_arrives_whole(pieces in prop::collection::vec((0u32..0x7fff_ffff, any::<Vec<u8>>(), any::<bool>()), 0..8)) {
        let bytes: Vec<u8> = pieces.iter().flat_map(|(stream, bytes, last)| data(*stream, bytes, *last)).collect();
        let expected: Vec<Event> = pieces
            .into_iter()
            .map(|(stream, bytes, is_last)| Event::Data { stream, bytes, is_last })
            .collect();
        prop_assert_eq!(events(&bytes, 7), expected);
    }
}
