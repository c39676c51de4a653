use proptest::prelude::*;
use stoop_bpf::SocketKind;

use super::tests::{CLIENT, SERVER, Write, padded, texts};
use super::*;
use crate::decode::{Dialogue, Masker};

/// What is planted as a key, and as text.
const KEY: u8 = 0xa7;
const TEXT: &[u8] = b"Zk7qPlanted9";

/// An event with a key.
fn key(write: Write, code: u8) -> Vec<u8> {
    let mut event = write.answer(code, KEY, 4, &[77, 1, 2, 3, 4, 5], &[]);
    event[30] = 1;
    event
}

/// An event of the second version of XInput, with a key.
fn second(write: Write, kind: u16) -> Vec<u8> {
    let mut event = write.answer(35, 131, 4, &[8, 0, 0, KEY.into()], &[6; 32]);
    event[8..10].copy_from_slice(&write.half(kind));
    event
}

fn property(write: Write) -> Vec<u8> {
    let words = [5, 6, 7].map(|word| write.word(word)).concat();
    let body = [&words[..], &[8, 0, 0, 0], &write.word(TEXT.len() as u32), TEXT].concat();
    write.request(18, 0, &body)
}

/// What is asked for with numbers from 1 on: two extensions, a property, and the state of the keys.
fn asked(write: Write) -> Vec<u8> {
    let window = write.word(5);
    let asked = [
        write.named(98, b"XInputExtension"),
        write.named(98, b"XTEST"),
        write.request(20, 0, &window.repeat(5)),
    ];
    [&asked.concat()[..], &write.request(44, 0, &[])].concat()
}

fn numbered(write: Write) -> Vec<u8> {
    [write.extension(1, 131, 66, 129), write.extension(2, 132, 0, 0)].concat()
}

/// What each end sends that has keys and texts.
fn secrets(write: Write) -> [(Side, Vec<u8>); 2] {
    let sent = [&write.word(5)[..], &write.word(1), &key(write, 2)].concat();
    let requests = [write.request(25, 0, &sent), write.request(132, 2, &[2, KEY, 0, 0]), property(write)];
    let mut got = write.answer(1, 8, 3, &[3, 0, 0, TEXT.len() as u32], TEXT);
    got.resize(32 + TEXT.len(), 0);
    let mut keys = write.answer(1, 0, 4, &[2], &[KEY; 8]);
    keys[8..32].fill(KEY);
    let mut message = write.answer(33, 8, 4, &[5, 6], &[]);
    message[12..12 + TEXT.len()].copy_from_slice(TEXT);
    let events = [
        got,
        keys,
        key(write, 2),
        key(write, 3 | 0x80),
        [&[11][..], &[KEY; 31]].concat(),
        message,
        key(write, 67),
        second(write, 2),
        second(write, 14),
    ];
    [(CLIENT, requests.concat()), (SERVER, events.concat())]
}

fn is_clean(bytes: &[u8]) -> bool {
    !bytes.contains(&KEY) && !bytes.windows(4).any(|part| TEXT.windows(4).any(|text| part == text))
}

#[test]
fn keys_and_texts_are_overwritten_and_nothing_else_is() {
    for (order, cut) in [(Order::Little, 1), (Order::Little, 7), (Order::Big, 1000)] {
        let write = Write(order);
        let mut masker = Masker::new(SocketKind::STREAM);
        let mut mask = |from, bytes: &[u8]| -> Vec<u8> {
            let mask = |piece: &[u8]| {
                let mut piece = piece.to_vec();
                masker.data(from, &mut piece);
                piece
            };
            bytes.chunks(cut).flat_map(mask).collect()
        };
        let before = [
            (CLIENT, write.setup(b"", b"")),
            (SERVER, write.accepted(b"v")),
            (CLIENT, asked(write)),
            (SERVER, numbered(write)),
        ];
        for (from, bytes) in before {
            assert_eq!(mask(from, &bytes), bytes);
        }
        for (from, bytes) in secrets(write) {
            let masked = mask(from, &bytes);
            assert!(is_clean(&masked), "{masked:?}");
            let planted = bytes.iter().filter(|byte| **byte == KEY).count();
            let changed = masked.iter().zip(&bytes).filter(|(masked, plain)| masked != plain).count();
            // What stands around a text is overwritten with it, up to the end of the message.
            assert!(changed <= planted + 2 * TEXT.len() + 24, "{changed}");
        }
        // What is not secret stays, behind those too.
        let free = [write.answer(12, 0, 4, &[1, 2, 3, 4, 5, 6, 7], &[]), second(write, 6)].concat();
        assert_eq!(mask(SERVER, &free), free);
        let icon = [
            [5, 6, 7].map(|word| write.word(word)).concat(),
            vec![32, 0, 0, 0],
            write.word(1).to_vec(),
            vec![KEY; 4],
        ]
        .concat();
        let icon = write.request(18, 0, &icon);
        assert_eq!(mask(CLIENT, &icon), icon);
    }
}

#[test]
fn a_connection_that_began_before_is_decoded_if_its_server_is_known() {
    for order in [Order::Little, Order::Big] {
        let write = Write(order);
        let mut dialogue = Dialogue::new(SocketKind::STREAM).joined().served(Protocol::X11, SERVER);
        let mut masker = Masker::new(SocketKind::STREAM).joined().served(Protocol::X11, SERVER);
        let mut take = |from, bytes: &[u8]| {
            let lines = dialogue.data(from, 0, bytes, 0);
            let mut masked = bytes.to_vec();
            masker.data(from, &mut masked);
            (texts(&lines), lines, masked)
        };
        // The rest of a message shows nothing.
        let (shown, _, masked) = take(SERVER, &[&[0, 0, KEY][..], TEXT, &[0]].concat());
        assert_eq!((shown, masked), (vec!["joined in the middle: not shown".to_owned()], vec![b'*'; 16]));
        let (shown, lines, _) =
            take(CLIENT, &[write.request(8, 0, &write.word(0x77)), write.request(43, 0, &[])].concat());
        assert_eq!(shown, ["MapWindow 0x77", "GetInputFocus"]);
        assert_eq!(lines[1].kind, Kind::Call);
        let (shown, lines, masked) =
            take(SERVER, &[write.answer(1, 0, 3, &[0, KEY.into()], &[]), key(write, 2)].concat());
        assert_eq!(shown, ["reply", "event KeyPress"]);
        // Which request a reply answers is unknown.
        assert!(lines.iter().all(|line| line.latency_ns.is_none()));
        assert!(is_clean(&masked), "{masked:?}");
        for (from, bytes) in secrets(write) {
            let (shown, _, masked) = take(from, &bytes);
            assert!(is_clean(&masked), "{masked:?}");
            assert!(!shown.iter().any(|text| text.contains("joined")), "{shown:?}");
        }
        let (shown, ..) = take(CLIENT, &write.request(132, 2, &[2, KEY, 0, 0]));
        assert_eq!(shown, ["extension 132.2"]);
    }
}

#[test]
fn behind_a_loss_keys_are_neither_shown_nor_written() {
    let write = Write(Order::Little);
    let mut dialogue = Dialogue::new(SocketKind::STREAM);
    let mut masker = Masker::new(SocketKind::STREAM);
    let mut bytes = [(CLIENT, write.setup(b"", b"")), (SERVER, write.accepted(b"v"))];
    for (from, bytes) in &mut bytes {
        dialogue.data(*from, 0, bytes, 0);
        masker.data(*from, bytes);
    }
    dialogue.gap(SERVER, 40);
    masker.gap(SERVER, 40);
    let rest = [&[KEY; 9][..], &padded(TEXT)].concat();
    let mut masked = rest.clone();
    masker.data(SERVER, &mut masked);
    assert_eq!(masked, vec![b'*'; rest.len()]);
    assert_eq!(texts(&dialogue.data(SERVER, 0, &rest, 0)), ["joined in the middle: not shown"]);
    let mut event = key(write, 2);
    assert_eq!(texts(&dialogue.data(SERVER, 0, &event, 0)), ["event KeyPress"]);
    masker.data(SERVER, &mut event);
    assert!(is_clean(&event));
}

#[test]
fn what_is_no_row_of_messages_is_not_taken_for_one() {
    let write = Write(Order::Little);
    let not = |is_client, bytes: &[u8]| {
        assert!(!wire::is_row(Order::Little, is_client, bytes), "{bytes:?}");
    };
    for is_client in [false, true] {
        not(is_client, b"");
        not(is_client, &[0; 64]);
        not(is_client, &[0xff; 64]);
        not(is_client, b"some text that is as long as an event is, or two, or more than that");
    }
    // Of another length than such a request has; of a key that no keyboard has; out of order.
    not(true, &write.request(8, 0, &[0; 8]));
    not(false, &write.answer(2, 3, 1, &[], &[]));
    not(false, &[write.answer(12, 0, 9, &[], &[]), write.answer(12, 0, 7, &[], &[])].concat());
    not(true, &write.long(72, 2, &[1; 64])[..40]);
    // Behind requests, too, nothing may speak against it.
    not(true, &[write.request(43, 0, &[]).repeat(9), vec![0; 8]].concat());
}

proptest! {
    #[test]
    fn anything_is_decoded_and_masked_in_the_middle(
        is_x11 in any::<bool>(),
        pieces in proptest::collection::vec((any::<bool>(), 0usize..5, proptest::collection::vec(any::<u8>(), 0..80)), 0..20),
    ) {
        let write = Write(Order::Little);
        let protocol = if is_x11 { Protocol::X11 } else { Protocol::Wayland };
        let mut dialogue = Dialogue::new(SocketKind::STREAM).joined().served(protocol, SERVER);
        let mut masker = Masker::new(SocketKind::STREAM).joined().served(protocol, SERVER);
        for (is_client, what, noise) in pieces {
            let (from, mut bytes) = if is_client { (CLIENT, asked(write)) } else { (SERVER, key(write, 2)) };
            match what {
                0 => {}
                1 => bytes.extend(&noise),
                2 => bytes = noise,
                3 => {
                    dialogue.gap(from, noise.len() as u64 + 1);
                    masker.gap(from, noise.len() as u64 + 1);
                }
                _ => {
                    dialogue.decoder.lost();
                    masker.lost();
                }
            }
            dialogue.data(from, 0, &bytes, 0);
            let len = bytes.len();
            masker.data(from, &mut bytes);
            prop_assert_eq!(bytes.len(), len);
        }
    }
}
