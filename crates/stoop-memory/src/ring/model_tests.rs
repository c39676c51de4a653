//! Two ends of a ring in modelled memory, run in every order of their accesses that the memory
//! model permits (`cargo xtask models`).

use std::time::Duration;

use super::end::{End, HEADER_BYTES};
use super::model::{self, Mapping};
use super::{Receiver, Sender};
use crate::ErrorKind;
use crate::waiting::Waiting;

const _: () = assert!(model::HEADER_BYTES == HEADER_BYTES);

fn ring(capacity_bytes: u32) -> (Sender, Receiver) {
    let memory = Mapping::with_capacity(capacity_bytes);
    let end = |is_sender| {
        End::over(memory.clone(), capacity_bytes, is_sender, Waiting::Futex, Duration::MAX, "test a ring")
    };
    (Sender(end(true)), Receiver(end(false)))
}

/// Runs every order with at most this many involuntary switches between the two threads.
fn explore(switches: usize, model: fn()) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(switches);
    builder.check(model);
}

/// A message of four bytes takes sixteen.
const RECORD_BYTES: u32 = 16;

#[test]
fn each_message_arrives_once_and_in_order() {
    explore(3, || {
        let (mut sender, mut receiver) = ring(2 * RECORD_BYTES);
        let sending = loom::thread::spawn(move || {
            for n in 1..=3_u32 {
                sender.send(&n.to_ne_bytes()).unwrap();
            }
        });
        let mut message = Vec::new();
        for n in 1..=3_u32 {
            receiver.recv(&mut message).unwrap();
            assert_eq!(message, n.to_ne_bytes());
        }
        assert_eq!(receiver.recv(&mut message).unwrap_err().kind(), ErrorKind::Closed);
        sending.join().unwrap();
    });
}

#[test]
fn a_message_that_wraps_around_arrives_whole() {
    explore(3, || {
        let (mut sender, mut receiver) = ring(2 * RECORD_BYTES);
        // A record of 24 bytes begins at 16 and ends at 8.
        let long = [1_u32, 2, 3, 4].map(u32::to_ne_bytes).concat();
        let sent = long.clone();
        let sending = loom::thread::spawn(move || {
            sender.send(&[0; 4]).unwrap();
            sender.send(&sent).unwrap();
        });
        let mut message = Vec::new();
        receiver.recv(&mut message).unwrap();
        receiver.recv(&mut message).unwrap();
        assert_eq!(message, long);
        sending.join().unwrap();
    });
}

#[test]
fn a_receiver_that_closes_wakes_its_sender() {
    explore(4, || {
        let (mut sender, receiver) = ring(RECORD_BYTES);
        let closing = loom::thread::spawn(move || drop(receiver));
        sender.send(&[0; 4]).unwrap();
        // The ring is full, and stays so.
        assert_eq!(sender.send(&[0; 4]).unwrap_err().kind(), ErrorKind::Closed);
        closing.join().unwrap();
    });
}
