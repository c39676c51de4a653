//! What events mean, in cases that are rare on a real machine.

use stoop_bpf::{Captured, Event, HEADER_BYTES};
use stoop_tap::{Entry, Follow, Piece, Reorder, What};

/// A record as the programs write it.
#[derive(Clone, Copy, Default)]
struct Record {
    time_ns: u64,
    what: u16,
    /// Cookie and inode; 0 if unknown.
    sender: (u64, u32),
    receiver: (u64, u32),
    buffer: u64,
    tid: u32,
    len: u32,
    consumed: u32,
    result: i32,
    peeks: bool,
    is_wanted: bool,
    kind: u16,
}

const COPIED: u16 = 1;
const RECEIVED: u16 = 2;
const STREAM: u16 = 1;
const DATAGRAM: u16 = 2;

impl Record {
    fn bytes(self, message: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &self.time_ns.to_le_bytes());
        put(8, &self.sender.0.to_le_bytes());
        put(16, &self.receiver.0.to_le_bytes());
        put(24, &self.buffer.to_le_bytes());
        put(32, &self.sender.1.to_le_bytes());
        put(36, &self.receiver.1.to_le_bytes());
        put(40, &self.tid.to_le_bytes());
        put(44, &self.tid.to_le_bytes());
        put(64, &self.len.to_le_bytes());
        put(68, &self.consumed.to_le_bytes());
        put(72, &self.result.to_le_bytes());
        put(76, &(u32::from(self.peeks) * 2).to_le_bytes());
        put(80, &self.what.to_le_bytes());
        put(82, &self.kind.to_le_bytes());
        put(86, &u16::from(self.is_wanted).to_le_bytes());
        put(88, &(message.len() as u32).to_le_bytes());
        bytes.extend(message);
        bytes
    }

    fn entry(self, message: &[u8]) -> Entry {
        let bytes = self.bytes(message);
        let (event, message) = Event::parse(&bytes).expect("a whole record");
        Entry::Event(event, message.to_vec())
    }
}

/// A message of a stream from socket 1 to socket 2, received as a whole.
fn copied(buffer: u64, message: &[u8]) -> (Record, &[u8]) {
    let len = message.len() as u32;
    let record = Record {
        what: COPIED,
        sender: (1, 101),
        receiver: (2, 102),
        buffer,
        tid: 7,
        len,
        result: len as i32,
        is_wanted: true,
        kind: STREAM,
        ..Record::default()
    };
    (record, message)
}

fn received(result: i32, peeks: bool) -> Record {
    let (record, _) = copied(0, b"");
    Record { what: RECEIVED, result, peeks, ..record }
}

fn data(pieces: &[Piece]) -> Vec<&[u8]> {
    pieces
        .iter()
        .map(|piece| match &piece.what {
            What::Data(data) => &data.bytes[..],
            other => panic!("{other:?}"),
        })
        .collect()
}

fn followed(follow: &mut Follow, entries: impl IntoIterator<Item = Entry>) -> Vec<Piece> {
    entries.into_iter().flat_map(|entry| follow.next(entry)).collect()
}

#[test]
fn what_was_peeked_at_is_reported_once_also_if_its_buffer_is_used_again() {
    let mut follow = Follow::new(false);
    let (first, text) = copied(9, b"once");
    let (next, other) = copied(9, b"anew");
    let peek = received(4, true).entry(b"");
    let pieces = followed(
        &mut follow,
        [
            first.entry(text),
            peek.clone(),
            first.entry(text),
            peek,
            first.entry(text),
            // The call did not peek: the buffer is free, and used for the next message.
            next.entry(other),
        ],
    );
    assert_eq!(data(&pieces), [b"once", b"anew"]);
}

#[test]
fn a_message_in_the_buffer_of_one_that_was_dropped_unread_is_reported() {
    let mut follow = Follow::new(false);
    let (dropped, text) = copied(9, b"once");
    let (next, other) = copied(9, b"anew");
    let entries = [dropped.entry(text), received(4, true).entry(b""), next.entry(other), dropped.entry(text)];
    assert_eq!(data(&followed(&mut follow, entries)), [&b"once"[..], b"anew"]);
}

#[test]
fn parts_of_a_message_are_not_reported_again_and_a_missed_begin_is_counted() {
    let mut follow = Follow::new(false);
    let (record, _) = copied(5, b"0123456789");
    let part = |consumed| Record { consumed, result: 3, ..record }.entry(b"");
    let pieces = followed(&mut follow, [part(4), part(7), copied(6, b"next").0.entry(b"next")]);
    assert_eq!(pieces[0].what, What::Missed(6));
    assert_eq!(data(&pieces[1..]), [b"next"]);
    let Some(flow) = follow.flow(pieces[0].flow) else { panic!("it was followed") };
    assert_eq!((flow.ends[0].socket.cookie, flow.ends[1].socket.inode), (Some(1), Some(102)));
}

/// K-TAP-13
#[test]
fn what_is_added_to_a_message_is_reported_once_or_counted() {
    let (record, message) = copied(5, b"0123456789");
    let part = |consumed, result, len| Record { consumed, result, len, ..record };
    let first = part(0, 3, 10).entry(message);
    let mut follow = Follow::new(false);
    let seen = [first.clone(), part(3, 4, 16).entry(b"0123456789abcdef"), part(7, 9, 16).entry(b"")];
    assert_eq!(data(&followed(&mut follow, seen)), [message, b"abcdef"]);
    let mut follow = Follow::new(false);
    let unseen = [first.clone(), part(3, 4, 16).entry(b""), part(7, 9, 16).entry(b"")];
    let pieces = followed(&mut follow, unseen);
    assert_eq!(data(&pieces[..1]), [message]);
    assert_eq!(pieces[1..].iter().map(|piece| &piece.what).collect::<Vec<_>>(), [&What::Missed(6)]);
    // It grows after a look at it.
    let mut follow = Follow::new(false);
    let looked = [first, received(3, true).entry(b""), part(0, 16, 16).entry(b"0123456789abcdef")];
    assert_eq!(data(&followed(&mut follow, looked)), [message, b"abcdef"]);
}

#[test]
fn a_message_of_a_closed_sender_waits_for_its_receiver() {
    let unknown = |cookie: u64| {
        let (record, text) = copied(cookie, b"last");
        Record { sender: (cookie, 0), receiver: (0, 0), is_wanted: false, ..record }.entry(text)
    };
    let ended = |cookie: u64| Record { sender: (cookie, 0), ..received(4, false) }.entry(b"");
    // Its receiver is wanted: the call that received is reported.
    let mut follow = Follow::new(false);
    assert_eq!(follow.next(unknown(1)), []);
    assert_eq!(data(&follow.next(ended(1))), [b"last"]);
    // The call was about another connection of the thread.
    let mut follow = Follow::new(false);
    assert_eq!(followed(&mut follow, [unknown(1), ended(3)]), []);
    // No call is reported: it was not wanted, unless everything is.
    for all in [false, true] {
        let mut follow = Follow::new(all);
        assert_eq!(follow.next(unknown(1)), []);
        assert_eq!(follow.give_up(u64::MAX).len(), usize::from(all));
    }
}

#[test]
fn senders_of_datagrams_to_one_socket_are_distinguished() {
    let mut follow = Follow::new(false);
    let from = |cookie: u64| {
        let (record, text) = copied(cookie, b"dgram");
        let copy = Record { sender: (cookie, 0), receiver: (0, 0), kind: DATAGRAM, ..record };
        let end = Record { sender: (0, 0), kind: DATAGRAM, ..received(5, false) };
        [copy.entry(text), end.entry(b"")]
    };
    let pieces = followed(&mut follow, [from(11), from(12), from(11)].concat());
    let flows: Vec<u64> = pieces.iter().map(|piece| piece.flow).collect();
    assert_eq!(flows, [1, 2, 1]);
}

#[test]
fn an_end_and_an_error_are_those_of_the_sender() {
    let mut follow = Follow::new(false);
    let pieces = followed(
        &mut follow,
        [copied(1, b"x").0.entry(b"x"), received(0, false).entry(b""), received(-104, false).entry(b"")],
    );
    let what: Vec<_> =
        pieces.iter().map(|piece| (piece.flow, piece.from.index(), piece.what.clone())).collect();
    assert_eq!(what[1..], [(1, 0, What::End), (1, 0, What::Error(104))]);
}

#[test]
fn processors_are_put_in_order_and_losses_stay_at_their_place() {
    let mut reorder = Reorder::default();
    let event = |time_ns: u64| {
        let bytes = Record { time_ns, ..copied(time_ns, b"").0 }.bytes(b"");
        Event::parse(&bytes).expect("a whole record").0
    };
    for (processor, time_ns) in [(0, 10), (0, 40), (1, 20)] {
        reorder.push(processor, Captured::Event(event(time_ns), b""));
    }
    reorder.push(1, Captured::Lost(3));
    for time_ns in [30, 60] {
        reorder.push(1, Captured::Event(event(time_ns), b""));
    }
    let time = |entry: &Entry| match entry {
        Entry::Event(event, _) => event.time_ns,
        Entry::Lost(loss) => 1000 + loss.count,
    };
    let times = |entries: Vec<Entry>| entries.iter().map(time).collect::<Vec<_>>();
    assert_eq!(times(reorder.release(50)), [10, 20, 1003, 30, 40]);
    assert_eq!(times(reorder.release(u64::MAX)), [60]);
}

#[test]
fn connections_that_were_not_used_for_long_are_forgotten() {
    const MANY: u64 = 60_000;
    let mut follow = Follow::new(false);
    for number in 1..=MANY {
        let (record, text) = copied(number, b"x");
        let (sender, receiver) = ((2 * number, 0), (2 * number + 1, 0));
        follow.next(Record { time_ns: number, sender, receiver, ..record }.entry(text));
    }
    assert!(follow.flow(1).is_none() && follow.flow(MANY).is_some());
}
