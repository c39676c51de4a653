//! The two sides of a hand-over as pure state machines, which decide which side serves.
//!
//! The predecessor alone decides. It serves, whatever happens, until the kernel has accepted its
//! *done* message; from then on the successor serves. If the connection closes after *ready*
//! without another message, the predecessor has died, because a running one always sends *done* or
//! *abort* first. A successor that holds the sockets then serves.
//!
//! A successor that times out after *ready* cannot simply close, because *done* may already be in
//! its queue. It first shuts down its side, after which the kernel refuses every further message.
//! Then it reads what had arrived before.

use super::message::{Entry, Message, Reason, VERSION};

/// An event on the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Message(Message),
    /// A packet arrived that is not a valid message.
    Invalid,
    /// The other side has exited or closed its end.
    Closed,
    /// Nothing arrived before the deadline.
    TimedOut,
}

/// The reason why a hand-over failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The other side has exited or closed its end.
    Closed,
    /// The other side aborted.
    PeerAborted(Reason),
    /// This side aborts.
    Aborting(Reason),
}

impl Failure {
    /// Returns the reason to send to the other side, if any.
    pub(super) fn reason_to_send(self) -> Option<Reason> {
        match self {
            Failure::Aborting(reason) => Some(reason),
            Failure::Closed | Failure::PeerAborted(_) => None,
        }
    }

    fn of(event: Event) -> Failure {
        match event {
            Event::Message(Message::Abort(reason)) => Failure::PeerAborted(reason),
            Event::Message(_) | Event::Invalid => Failure::Aborting(Reason::Invalid),
            Event::Closed => Failure::Closed,
            Event::TimedOut => Failure::Aborting(Reason::TimedOut),
        }
    }
}

/// The side that serves and then stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Predecessor {
    /// Waits for *hello*.
    Waiting,
    /// Has sent the offer and waits for *ready*.
    Offered,
}

/// What the predecessor must do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Send the offer and continue.
    Offer,
    /// Send *done*. If the kernel accepts it, release the sockets; otherwise continue to serve.
    Commit,
    /// Abort the hand-over and continue to serve.
    GiveUp(Failure),
}

impl Predecessor {
    pub(super) fn on(&mut self, event: Event) -> Answer {
        match (*self, event) {
            (Predecessor::Waiting, Event::Message(Message::Hello { oldest, newest })) => {
                if !(oldest..=newest).contains(&VERSION) {
                    return Answer::GiveUp(Failure::Aborting(Reason::Version));
                }
                *self = Predecessor::Offered;
                Answer::Offer
            }
            (Predecessor::Offered, Event::Message(Message::Ready)) => Answer::Commit,
            (_, event) => Answer::GiveUp(Failure::of(event)),
        }
    }
}

/// The side that takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Successor {
    /// Has sent *hello* and waits for the offer.
    Asking,
    /// Has sent *ready* and waits for *done*.
    Ready,
    /// Has shut down its side for this reason, and reads what had arrived before.
    Leaving(Failure),
}

/// What the successor must do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Check and hold the offered sockets.
    Hold(Vec<Entry>),
    /// Serve.
    Serve,
    /// Shut down the receiving side, then read again.
    ShutDown,
    /// Read again.
    ReadAgain,
    /// Close all sockets.
    GiveUp(Failure),
}

impl Successor {
    pub(super) fn on(&mut self, event: Event) -> Verdict {
        match (*self, event) {
            (Successor::Asking, Event::Message(Message::Offer(entries))) => Verdict::Hold(entries),
            (Successor::Asking, event) => Verdict::GiveUp(Failure::of(event)),
            (Successor::Ready | Successor::Leaving(_), Event::Message(Message::Done)) => Verdict::Serve,
            (Successor::Ready, Event::Closed) => Verdict::Serve,
            (Successor::Ready | Successor::Leaving(_), Event::Message(Message::Abort(reason))) => {
                Verdict::GiveUp(Failure::PeerAborted(reason))
            }
            (Successor::Ready, event) => {
                *self = Successor::Leaving(Failure::of(event));
                Verdict::ShutDown
            }
            (Successor::Leaving(failure), Event::Closed | Event::TimedOut) => Verdict::GiveUp(failure),
            (Successor::Leaving(_), Event::Message(_) | Event::Invalid) => Verdict::ReadAgain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::tests::message;
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    /// One direction of the connection, modelled on the kernel.
    #[derive(Default)]
    struct Channel {
        queue: VecDeque<Message>,
        /// Either end has closed it: nothing more can be sent.
        closed: bool,
    }

    impl Channel {
        fn send(&mut self, message: Message) -> bool {
            if !self.closed {
                self.queue.push_back(message);
            }
            !self.closed
        }

        /// Returns what a reader finds, or `None` if it would block.
        fn next(&mut self) -> Option<Event> {
            match self.queue.pop_front() {
                Some(message) => Some(Event::Message(message)),
                None => self.closed.then_some(Event::Closed),
            }
        }
    }

    /// Both sides and the connection between them. Drives the state machines as the real drivers
    /// do.
    struct Simulation {
        to_old: Channel,
        to_new: Channel,
        old: Option<Predecessor>,
        old_alive: bool,
        old_serves: bool,
        new: Option<Successor>,
        new_alive: bool,
        new_serves: bool,
        holds: bool,
        /// About to shut down its side. Other events may come first.
        closes: bool,
    }

    impl Simulation {
        fn new() -> Simulation {
            let mut simulation = Simulation {
                to_old: Channel::default(),
                to_new: Channel::default(),
                old: Some(Predecessor::Waiting),
                old_alive: true,
                old_serves: true,
                new: Some(Successor::Asking),
                new_alive: true,
                new_serves: false,
                holds: false,
                closes: false,
            };
            simulation.to_old.send(Message::Hello { oldest: VERSION, newest: VERSION });
            simulation
        }

        fn close(&mut self) {
            self.to_old.closed = true;
            self.to_new.closed = true;
        }

        fn old_steps(&mut self, late: bool) {
            let Some(mut state) = self.old.filter(|_| self.old_alive) else { return };
            let Some(event) = self.to_old.next().or(late.then_some(Event::TimedOut)) else { return };
            match state.on(event) {
                Answer::Offer => {
                    self.old = self.to_new.send(Message::Offer(Vec::new())).then_some(state);
                }
                Answer::Commit => {
                    self.old = None;
                    if self.to_new.send(Message::Done) {
                        self.old_serves = false;
                    }
                    self.close();
                }
                Answer::GiveUp(failure) => {
                    self.old = None;
                    failure.reason_to_send().map(|reason| self.to_new.send(Message::Abort(reason)));
                    self.close();
                }
            }
        }

        fn new_steps(&mut self, late: bool) {
            let Some(mut state) = self.new.filter(|_| self.new_alive) else { return };
            if std::mem::take(&mut self.closes) {
                self.to_new.closed = true;
            }
            let late = late || matches!(state, Successor::Leaving(_));
            if self.holds && state == Successor::Asking {
                // The successor initializes, then signals readiness, whether or not the message
                // arrives.
                self.new = Some(Successor::Ready);
                self.to_old.send(Message::Ready);
                return;
            }
            let Some(event) = self.to_new.next().or(late.then_some(Event::TimedOut)) else { return };
            match state.on(event) {
                Verdict::Hold(_) => self.holds = true,
                Verdict::Serve => {
                    self.new = None;
                    self.new_serves = true;
                    return self.close();
                }
                Verdict::ShutDown => self.closes = true,
                Verdict::ReadAgain => {}
                Verdict::GiveUp(failure) => {
                    failure.reason_to_send().map(|reason| self.to_old.send(Message::Abort(reason)));
                    self.new = None;
                    return self.close();
                }
            }
            self.new = Some(state);
        }

        fn act(&mut self, step: Step) {
            match step {
                Step::Old { late } => self.old_steps(late),
                Step::New { late } => self.new_steps(late),
                Step::OldDies => {
                    self.old_alive = false;
                    self.close();
                }
                Step::NewDies => {
                    self.new_alive = false;
                    self.close();
                }
            }
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Old { late: bool },
        New { late: bool },
        OldDies,
        NewDies,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            10 => proptest::bool::weighted(0.1).prop_map(|late| Step::Old { late }),
            10 => proptest::bool::weighted(0.1).prop_map(|late| Step::New { late }),
            1 => Just(Step::OldDies),
            1 => Just(Step::NewDies),
        ]
    }

    #[test]
    fn an_undisturbed_successor_serves() {
        let mut simulation = Simulation::new();
        for _ in 0..4 {
            simulation.act(Step::Old { late: false });
            simulation.act(Step::New { late: false });
        }
        assert!(simulation.new_serves && !simulation.old_serves);
    }

    #[test]
    fn versions_must_overlap() {
        for (oldest, newest, meets) in
            [(1, 1, true), (0, 9, true), (2, 9, false), (0, 0, false), (9, 1, false)]
        {
            let answer = Predecessor::Waiting.on(Event::Message(Message::Hello { oldest, newest }));
            let refused = Answer::GiveUp(Failure::Aborting(Reason::Version));
            assert_eq!(answer, if meets { Answer::Offer } else { refused });
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn exactly_one_survivor_serves(steps in proptest::collection::vec(step(), 0..24)) {
            let mut simulation = Simulation::new();
            let (mut in_time, mut died_early) = (true, false);
            for step in steps {
                in_time &= !matches!(step, Step::Old { late: true } | Step::New { late: true });
                died_early |= matches!(step, Step::NewDies) && simulation.new_alive && simulation.new == Some(Successor::Asking);
                simulation.act(step);
            }
            // First all messages are received; then the side that still waits times out.
            for late in [false, true] {
                for _ in 0..8 {
                    simulation.act(Step::Old { late });
                    simulation.act(Step::New { late });
                }
            }
            match (simulation.old_alive, simulation.new_alive) {
                (true, true) => prop_assert!(simulation.old_serves != simulation.new_serves),
                // A successor that dies after *ready* may have taken over, and then died as any
                // server may.
                (true, false) => prop_assert!(simulation.old_serves || !died_early),
                (false, true) => prop_assert!(simulation.new_serves || !simulation.holds || !in_time),
                (false, false) => {}
            }
        }

        #[test]
        fn nothing_but_ready_makes_the_predecessor_give_up(message in message()) {
            for state in [Predecessor::Waiting, Predecessor::Offered] {
                let answer = { state }.on(Event::Message(message.clone()));
                prop_assert_eq!(answer == Answer::Commit, state == Predecessor::Offered && message == Message::Ready);
            }
        }
    }
}
