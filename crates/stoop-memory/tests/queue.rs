//! System V queues: messages, limits, and queues that go away.

use std::time::Duration;

use proptest::prelude::*;
use stoop_memory::{ErrorKind, Queue};
use stoop_testkit::{KillOnDrop, Role, deadline, role};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(20);

/// A new queue; leaves the test where the kernel has none, or no more.
macro_rules! queue {
    ($limit:expr) => {
        match Queue::new($limit) {
            Ok(queue) => queue,
            Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::LimitReached) => {
                stoop_testkit::skip!("lacks System V queues")
            }
            Err(error) => panic!("{error}"),
        }
    };
}

fn received(queue: &mut Queue) -> Result<Vec<u8>, ErrorKind> {
    let mut message = vec![0xee; 3];
    queue.recv(&mut message).map(|()| message).map_err(|error| error.kind())
}

fn sent(queue: &mut Queue, message: &[u8]) -> Result<(), ErrorKind> {
    queue.send(message).map_err(|error| error.kind())
}

#[test]
fn messages_of_any_size_come_out_as_they_went_in() {
    let mut ours = queue!(LONG);
    let mut theirs = Queue::open(ours.id(), LONG).unwrap();
    let longest = ours.message_max_bytes();
    let sizes = prop_oneof![Just(0), 0..100usize, Just(longest), 0..=longest];
    let mut runner = proptest::test_runner::TestRunner::default();
    let law = |(size, first): (usize, u8)| {
        let message: Vec<u8> = (0..size).map(|at| first.wrapping_add(at as u8)).collect();
        prop_assert_eq!(sent(&mut ours, &message), Ok(()));
        prop_assert_eq!(received(&mut theirs), Ok(message));
        Ok(())
    };
    let law = std::cell::RefCell::new(law);
    runner.run(&(sizes, any::<u8>()), |case| (law.borrow_mut())(case)).unwrap();
    assert_eq!(sent(&mut ours, &vec![0; longest + 1]), Err(ErrorKind::TooLarge));
}

#[test]
fn a_wait_for_a_message_ends_and_so_does_the_queue() {
    let mut ours = queue!(SHORT);
    deadline(LONG, move || {
        let mut theirs = Queue::open(ours.id(), LONG * 2).unwrap();
        assert_eq!(received(&mut ours), Err(ErrorKind::TimedOut));
        assert_eq!(received(&mut theirs), Err(ErrorKind::Closed));
        assert_eq!(sent(&mut theirs, b"x"), Err(ErrorKind::Closed));
        assert_eq!(Queue::open(ours.id(), SHORT).unwrap_err().kind(), ErrorKind::Closed);
    });
}

#[test]
fn a_wait_for_room_ends() {
    let mut ours = queue!(SHORT);
    deadline(LONG, move || {
        let message = vec![0; ours.message_max_bytes()];
        let refused = std::iter::repeat_with(|| sent(&mut ours, &message)).find(Result::is_err);
        assert_eq!(refused, Some(Err(ErrorKind::TimedOut)));
    });
}

#[test]
fn who_made_it_removes_it() {
    let ours = queue!(SHORT);
    let id = ours.id();
    drop(Queue::open(id, SHORT).unwrap());
    drop(Queue::open(id, SHORT).expect("whoever opened it leaves it alone"));
    drop(ours);
    assert_eq!(Queue::open(id, SHORT).unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_peer_that_is_killed_costs_no_more_than_the_limit() {
    const TEST: &str = "a_peer_that_is_killed_costs_no_more_than_the_limit";
    if role().is_some() {
        let id = std::env::var("QUEUE").unwrap().parse().unwrap();
        Queue::open(id, LONG).unwrap().send(b"last words").unwrap();
        std::thread::sleep(LONG);
        return;
    }
    let mut ours = queue!(SHORT);
    deadline(LONG, move || {
        let child: KillOnDrop = Role::new(TEST, "die").env("QUEUE", &ours.id().to_string()).spawn();
        // How long the child takes to start is not what this is about.
        let mut patient = Queue::open(ours.id(), LONG * 2).unwrap();
        assert_eq!(received(&mut patient), Ok(b"last words".to_vec()));
        drop(child);
        assert_eq!(received(&mut ours), Err(ErrorKind::TimedOut));
    });
}
