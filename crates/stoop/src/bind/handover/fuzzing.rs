//! Fuzz targets: everything that the other side of a hand-over can send.

use super::check_entries;
use super::message::{MESSAGE_MAX_BYTES, Message};
use super::protocol::{Answer, Event, Predecessor, Successor, Verdict};
use crate::control::DESCRIPTORS_MAX;

/// Decodes a message. If it is accepted, encoding it gives the same bytes.
pub fn message(data: &[u8]) {
    let Ok(message) = Message::decode(data) else { return };
    assert_eq!(message.encode(), data);
    if let Message::Offer(entries) = &message {
        assert!(entries.iter().all(|entry| entry.fits()));
        if check_entries(entries).is_ok() {
            assert!(entries.len() <= DESCRIPTORS_MAX);
        }
    }
}

/// Drives each side with a script of events, and checks that neither side serves, commits or takes
/// over before the protocol permits it.
///
/// Each event begins with one byte. Up to 250 it is the length of a message that follows; the
/// values above stand for noise, silence and the end.
pub fn protocol(data: &[u8]) {
    let (mut old, mut new) = (Some(Predecessor::Waiting), Some(Successor::Asking));
    let (mut offered, mut ready) = (false, false);
    for event in events(data) {
        if let Some(machine) = &mut old {
            match machine.on(event.clone()) {
                Answer::Offer => assert!(!std::mem::replace(&mut offered, true), "offered twice"),
                Answer::Commit => {
                    assert!(offered && event == Event::Message(Message::Ready), "committed after {event:?}");
                    old = None;
                }
                Answer::GiveUp(_) => old = None,
            }
        }
        let Some(machine) = &mut new else { continue };
        match machine.on(event.clone()) {
            Verdict::Hold(entries) => {
                assert!(!ready && event == Event::Message(Message::Offer(entries)));
                (ready, *machine) = (true, Successor::Ready);
            }
            Verdict::Serve => {
                assert!(
                    ready && matches!(event, Event::Message(Message::Done) | Event::Closed),
                    "served: {event:?}"
                );
                new = None;
            }
            Verdict::ShutDown => assert!(ready, "closed before it held anything"),
            // Repeated reads end with the events: the kernel's queue is finite.
            Verdict::ReadAgain => assert!(!matches!(event, Event::Closed | Event::TimedOut)),
            Verdict::GiveUp(failure) => {
                let told = failure.reason_to_send().map(|reason| Message::Abort(reason).encode());
                assert!(told.is_none_or(|told| Message::decode(&told).is_ok()));
                new = None;
            }
        }
    }
}

fn events(mut data: &[u8]) -> impl Iterator<Item = Event> {
    std::iter::from_fn(move || {
        let (&first, rest) = data.split_first()?;
        let len = if first > 250 { 0 } else { rest.len().min(first.into()) };
        let (message, rest) = rest.split_at(len);
        data = rest;
        Some(match first {
            251 | 252 => Event::Closed,
            253 | 254 => Event::TimedOut,
            255 => Event::Invalid,
            _ => {
                assert!(message.len() <= MESSAGE_MAX_BYTES);
                Message::decode(message).map_or(Event::Invalid, Event::Message)
            }
        })
    })
}
