//! What is written is read back, and damaged files end without a panic.

use proptest::collection::vec;
use proptest::prelude::*;
use stoop_bpf::{End, SocketKind};

use super::{Label, Reader, Tail, Writer};
use crate::decode::Protocol;
use crate::follow::{Data, Piece, Side, What};
use crate::reorder::{Cause, Loss};

const START: u64 = 1_700_000_000_000_000_000;

/// Pieces of three connections: a stream, datagrams, seqpackets.
fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let side = prop_oneof![Just(Side::First), Just(Side::Second)];
    let data = (vec(any::<u8>(), 0..200), 0u32..50_000, 0u16..4).prop_map(|(bytes, missing, fds)| {
        What::Data(Data { len: bytes.len() as u32 + missing, bytes, fds, ..Data::default() })
    });
    let what = prop_oneof![
        6 => data,
        1 => Just(What::End),
        1 => (1i32..134).prop_map(What::Error),
        1 => (1u64..100_000).prop_map(What::Missed),
        1 => (1u64..1000, any::<bool>()).prop_map(|(count, full)| {
            What::Lost(Loss::new(count, if full { Cause::BufferFull } else { Cause::ProgramSkipped }))
        }),
    ];
    vec((1u64..4, side, what), 0..20).prop_map(|list| {
        let place = |(at, (flow, from, what))| {
            let (flow, from) = if matches!(what, What::Lost(_)) { (0, Side::First) } else { (flow, from) };
            Piece::new(START + at as u64, flow, from, what)
        };
        list.into_iter().enumerate().map(place).filter(is_written).collect()
    })
}

/// Whether the file has a place for it: messages have neither ends nor errors, and a stream has no
/// data of length 0.
fn is_written(piece: &Piece) -> bool {
    match &piece.what {
        What::End | What::Error(_) => piece.flow == 1,
        What::Data(data) => piece.flow != 1 || data.len > 0,
        What::Missed(_) => piece.flow == 1,
        _ => true,
    }
}

fn label(pid: u32) -> Label {
    Label { process: Some((pid, b"a b|%\xff".to_vec())), address: Some("/run/x y".into()), workload: None }
}

fn written(pieces: &[Piece]) -> Vec<u8> {
    let mut writer = Writer::new("test");
    for piece in pieces {
        if piece.flow != 0 && !writer.has(piece.flow) {
            let kind = SocketKind([1, 2, 5][piece.flow as usize - 1]);
            writer.open(piece.flow, kind, Protocol::Text, [&label(1), &label(2)], piece.time_ns);
        }
        match &piece.what {
            What::Data(data) => {
                writer.data(piece.flow, piece.from, piece.time_ns, data);
            }
            What::End => writer.end(piece.flow, piece.from, piece.time_ns),
            What::Error(errno) => writer.error(piece.flow, piece.from, piece.time_ns, *errno),
            What::Missed(len) => writer.missed(piece.flow, piece.from, piece.time_ns, *len),
            What::Lost(loss) => writer.lost(piece.time_ns, *loss),
            What::Connect { .. } => {}
        }
    }
    writer.take()
}

fn read(file: &[u8]) -> (Vec<Piece>, Reader<&[u8]>) {
    let mut reader = Reader::new(file).unwrap();
    let pieces = reader.by_ref().map(Result::unwrap).collect();
    (pieces, reader)
}

/// The length of an empty file.
fn header_len() -> usize {
    Writer::new("test").take().len()
}

proptest! {
    #[test]
    fn what_was_written_is_read(pieces in pieces()) {
        let file = written(&pieces);
        let (seen, reader) = read(&file);
        prop_assert_eq!(&seen, &pieces);
        prop_assert_eq!((reader.tail(), reader.skipped()), (Some(Tail::Whole), 0));
        for piece in pieces.iter().filter(|piece| piece.flow != 0) {
            let flow = reader.flow(piece.flow).unwrap();
            prop_assert_eq!(flow.kind.0, [1, 2, 5][piece.flow as usize - 1]);
            prop_assert_eq!(reader.label(flow.ends[1].socket), Some(&label(2)));
            prop_assert_eq!(&flow.ends[0].process, &label(1).process);
        }
    }

    #[test]
    fn a_file_that_is_cut_is_read_up_to_there(pieces in pieces(), cut in any::<prop::sample::Index>()) {
        let file = written(&pieces);
        let len = header_len() + cut.index(file.len() - header_len() + 1);
        let (seen, reader) = read(&file[..len]);
        prop_assert!(pieces.starts_with(&seen));
        match reader.tail() {
            Some(Tail::Whole) => {}
            Some(Tail::Incomplete { offset }) => prop_assert_eq!(read(&file[..offset as usize]).0, seen),
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn a_changed_byte_ends_it_at_worst(pieces in pieces(), at in any::<prop::sample::Index>(), by in 1u8..) {
        let mut file = written(&pieces);
        let at = at.index(file.len());
        file[at] = file[at].wrapping_add(by);
        if let Ok(reader) = Reader::new(&file[..]) {
            prop_assert!(reader.map(Result::unwrap).count() <= 4 * file.len());
        }
    }
}

#[test]
fn a_second_section_begins_connections_of_its_own() {
    let message = What::Data(Data { bytes: b"x".to_vec(), len: 1, ..Data::default() });
    let one = written(&[Piece::new(START, 1, Side::First, message)]);
    let two = [&one[..], &one].concat();
    let (pieces, reader) = read(&two);
    assert_eq!(pieces.iter().map(|piece| piece.flow).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(reader.tail(), Some(Tail::Whole));
}

#[test]
fn connects_are_kept() {
    let mut writer = Writer::new("test");
    writer.connected(START, &label(7), &label(8));
    let file = writer.take();
    let (pieces, reader) = read(&file);
    let [Piece { what: What::Connect { listener, process }, time_ns: START, .. }] = &pieces[..] else {
        panic!("{pieces:?}")
    };
    assert_eq!((Some(process), reader.label(*listener)), (label(7).process.as_ref(), Some(&label(8))));
    assert_eq!(reader.label(End::default()), None);
}

#[test]
fn messages_of_dbus_are_read_with_their_connection() {
    let message = [b"l\x01\0\x01\0\0\0\0\x01\0\0\0\0\0\0\0".as_slice(), b"l\x02\0\x01"].concat();
    let mut writer = Writer::new("test");
    writer.open(3, SocketKind::STREAM, Protocol::Dbus, [&label(1), &label(2)], START);
    writer.data(3, Side::First, START, &Data::new(b"\0AUTH EXTERNAL 30\r\nBEGIN\r\n".to_vec()));
    writer.data(3, Side::Second, START + 1, &Data::new(message.to_vec()));
    let mut file = writer.take();
    writer.restart("test");
    writer.open(3, SocketKind::STREAM, Protocol::Dbus, [&label(1), &label(2)], START);
    writer.data(3, Side::Second, START + 2, &Data::new(message[4..16].to_vec()));
    file.extend(writer.take());
    let (pieces, _) = read(&file);
    let seen: Vec<_> = pieces.iter().map(|piece| (piece.flow, piece.from)).collect();
    assert_eq!(seen, [(3, Side::Second), (4, Side::Second)], "continued in the next file");
    let What::Data(data) = &pieces[1].what else { panic!() };
    assert_eq!(data.bytes, [b"l\x02\0\x01", &message[4..16]].concat());
}

#[test]
fn other_files_are_refused() {
    for bytes in [&b""[..], b"stooprec\x01\0\0\0\0\0\0\0", b"GET / HTTP/1.1\r\n\r\n"] {
        assert_eq!(Reader::new(bytes).unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    }
}
