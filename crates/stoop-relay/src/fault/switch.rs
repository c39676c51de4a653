//! The faults of a relay, which can be changed while it runs, and their plan for one direction.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::parse::Faults;
use super::plan::{Gate, Pass, Planner, refuses, seed_of};

/// The faults of a relay: from clients to the server, and back.
#[derive(Debug)]
pub(crate) struct Switch {
    seed: u64,
    start: Instant,
    /// Counts the changes.
    generation: AtomicU64,
    faults: Mutex<[Faults; 2]>,
}

impl Switch {
    pub(crate) fn new(seed: u64, up: Faults, down: Faults) -> Switch {
        let faults = Mutex::new([up, down]);
        Switch { seed, start: Instant::now(), generation: AtomicU64::new(0), faults }
    }

    pub(crate) fn set(&self, up: Faults, down: Faults) {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner) = [up, down];
        self.generation.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn faults(&self) -> [Faults; 2] {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the number of changes so far.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Returns whether a client is to be closed at once.
    pub(crate) fn refuses(&self, connection: u64) -> bool {
        let [up, down] = self.faults();
        refuses(&up, self.seed, connection) || refuses(&down, self.seed, connection)
    }

    /// Returns the plan for what one end sends: 0 the client, 1 the server.
    pub(crate) fn injector(self: &Arc<Self>, connection: u64, from: usize, is_stream: bool) -> Injector {
        let generation = self.generation();
        let faults = self.faults()[from].clone();
        let planner = Planner::new(faults, seed_of(self.seed, connection, from as u64), is_stream);
        Injector { switch: Arc::clone(self), from, generation, planner }
    }
}

/// The plan for one direction of a connection, with a clock.
#[derive(Debug)]
pub(crate) struct Injector {
    switch: Arc<Switch>,
    from: usize,
    generation: u64,
    planner: Planner,
}

impl Injector {
    /// Returns whether, and how far, more may be read.
    pub(crate) fn gate(&mut self) -> Gate {
        self.refresh();
        self.planner.gate()
    }

    /// Returns what happens to the next bytes, or to a message.
    pub(crate) fn pass(&mut self, len: usize) -> Pass {
        self.planner.pass(len, self.switch.start.elapsed())
    }

    /// Returns when something is due.
    pub(crate) fn instant(&self, due: Duration) -> Instant {
        // So late that it cannot be said is as good as never.
        const NEVER: Duration = Duration::from_secs(86_400 * 365);
        self.switch.start + due.min(NEVER)
    }

    /// Returns whether the end of what is sent never arrives.
    pub(crate) fn holds_end(&self) -> bool {
        // The end has come already, so the plan is not asked any more.
        self.switch.faults()[self.from].is_half_open()
    }

    fn refresh(&mut self) {
        let generation = self.switch.generation();
        if self.generation != generation {
            self.generation = generation;
            self.planner.change(self.switch.faults()[self.from].clone());
        }
    }
}
