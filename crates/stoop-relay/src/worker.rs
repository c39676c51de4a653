//! A thread that moves the data of many connections.
//!
//! Each end is registered once, edge-triggered, and a connection is looked at when the kernel
//! reported something about it. Before it sleeps, a worker polls for a moment, as long as that
//! has paid off: a round trip then costs no wake-up.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

use crate::carry::Tools;
use crate::counters::Counters;
use crate::event::Ended;
use crate::inbox::Inbox;
use crate::pair::{Pair, Turn};
use crate::shared::Shared;

/// How many events are taken at a time.
const EVENTS: usize = 256;

/// The delay before a connection that lacks a resource is tried again, and before idle ones are
/// looked for.
const PAUSE: Duration = Duration::from_millis(10);
const IDLE_CHECK: Duration = Duration::from_millis(500);

/// How long a worker polls before it sleeps.
const SPIN: Duration = Duration::from_micros(20);

/// After so many polls in vain in a row, it sleeps at once, and tries polling again after as many
/// sleeps.
const VAIN_SPINS: u32 = 16;

/// The event of the wake-up descriptor; connections have `2 * slot + end`.
const WAKE: u64 = u64::MAX;

/// The state of the thread.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    inbox: Arc<Inbox>,
    epoll: OwnedFd,
    pairs: Vec<Option<Pair>>,
    free: Vec<usize>,
    /// Slots that may be used again after the events at hand: these may still name them.
    freed: Vec<usize>,
    tools: Tools,
    /// Connections with more to do at once.
    ready: VecDeque<usize>,
    /// Connections that lack a resource.
    exhausted: Vec<usize>,
    /// When connections have something that is due.
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    faults_generation: u64,
    spin: Spin,
    uncounted: Counters,
    last_idle_check: Instant,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, inbox: Arc<Inbox>) -> Result<Worker, Errno> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &*inbox, EventData::new_u64(WAKE), EventFlags::IN)?;
        Ok(Worker {
            shared,
            inbox,
            epoll,
            pairs: Vec::new(),
            free: Vec::new(),
            freed: Vec::new(),
            tools: Tools::new(),
            ready: VecDeque::new(),
            exhausted: Vec::new(),
            timers: BinaryHeap::new(),
            faults_generation: 0,
            spin: Spin::new(),
            uncounted: Counters::default(),
            last_idle_check: Instant::now(),
        })
    }

    /// Works until it is stopped.
    pub(crate) fn run(mut self) {
        let mut events = Vec::with_capacity(EVENTS);
        while !self.inbox.must_stop() {
            self.wait(&mut events);
            for event in events.drain(..) {
                let (data, flags) = (event.data, event.flags);
                self.event(data.u64(), flags);
            }
            self.free.append(&mut self.freed);
            for _ in 0..self.ready.len() {
                let Some(slot) = self.ready.pop_front() else { break };
                self.turn(slot);
            }
            self.ring();
            self.close_old();
        }
        for slot in 0..self.pairs.len() {
            self.remove(slot, Ended::Stopped);
        }
    }

    fn event(&mut self, data: u64, flags: EventFlags) {
        if data == WAKE {
            for pair in self.inbox.take() {
                self.adopt(pair);
            }
            self.apply_faults();
            return;
        }
        let (slot, end) = ((data / 2) as usize, (data % 2) as usize);
        if let Some(Some(pair)) = self.pairs.get_mut(slot) {
            pair.event(end, flags);
            self.turn(slot);
        }
    }

    fn adopt(&mut self, pair: Pair) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.pairs.push(None);
            self.pairs.len() - 1
        });
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        let registered = pair.ends().iter().enumerate().try_for_each(|(end, socket)| {
            epoll::add(&self.epoll, socket, EventData::new_u64(2 * slot as u64 + end as u64), flags)
        });
        self.pairs[slot] = Some(pair);
        match registered {
            Ok(()) => self.turn(slot),
            Err(errno) => self.remove(slot, Ended::Failed(errno.into())),
        }
    }

    fn turn(&mut self, slot: usize) {
        let Some(Some(pair)) = self.pairs.get_mut(slot) else { return };
        // One side of a datagram client is counted there.
        let counters = if pair.number == 0 { &self.uncounted } else { &self.shared.counters };
        match pair.turn(&mut self.tools, counters) {
            Turn::Waits => {}
            Turn::GoesOn => self.ready.push_back(slot),
            Turn::Exhausted if std::mem::replace(&mut pair.is_listed, true) => {}
            Turn::Exhausted => self.exhausted.push(slot),
            Turn::Over => {
                let ended = pair.take_ended();
                return self.remove(slot, ended);
            }
            Turn::Fault => {
                for end in pair.ends() {
                    // A Unix socket whose peer sees an end instead has nothing unread.
                    end.reset();
                }
                return self.remove(slot, Ended::Fault);
            }
        }
        if let Some(due) = pair.sooner() {
            self.timers.push(Reverse((due, slot)));
        }
    }

    /// Gives those their turn that have something due.
    fn ring(&mut self) {
        while let Some(Reverse((due, slot))) = self.timers.peek().copied() {
            if due > Instant::now() {
                return;
            }
            self.timers.pop();
            if let Some(Some(pair)) = self.pairs.get_mut(slot) {
                pair.rang();
                self.turn(slot);
            }
        }
    }

    /// Gives everyone a turn if the faults were changed.
    fn apply_faults(&mut self) {
        let Some(generation) = self.shared.faults.as_ref().map(|faults| faults.generation()) else { return };
        if self.faults_generation == generation {
            return;
        }
        self.faults_generation = generation;
        for (slot, pair) in self.pairs.iter_mut().enumerate() {
            if let Some(pair) = pair {
                pair.faults_changed();
                self.ready.push_back(slot);
            }
        }
    }

    /// Returns the shorter of the limit and the time until something is due.
    fn until_due(&self, limit: Option<Duration>) -> Option<Duration> {
        let due = self.timers.peek().map(|Reverse((due, _))| due.saturating_duration_since(Instant::now()));
        limit.into_iter().chain(due).min()
    }

    /// Closes a connection. Its descriptors leave the epoll set with it.
    fn remove(&mut self, slot: usize, ended: Ended) {
        let Some(pair) = self.pairs[slot].take() else { return };
        let (number, moved) = (pair.number, pair.moved);
        self.shared.dismiss(&pair.owners);
        pair.end(&mut self.tools);
        self.freed.push(slot);
        self.inbox.connections.fetch_sub(1, Ordering::Relaxed);
        if number != 0 {
            self.shared.closed(number, moved, ended);
        }
    }

    /// Closes connections that have been idle, or open, for as long as they may.
    fn close_old(&mut self) {
        let Some(shortest) = self.shared.shortest_limit() else { return };
        if self.last_idle_check.elapsed() < IDLE_CHECK.min(shortest) {
            return;
        }
        self.last_idle_check = Instant::now();
        let has_passed =
            |limit: Option<Duration>, since: Instant| limit.is_some_and(|limit| since.elapsed() >= limit);
        for slot in 0..self.pairs.len() {
            let Some(pair) = self.pairs[slot].as_ref().filter(|pair| pair.number != 0) else { continue };
            if has_passed(self.shared.idle_timeout, pair.last_moved) {
                self.shared.counters.idle();
                self.remove(slot, Ended::Idle);
            } else if has_passed(self.shared.max_time, pair.started) {
                self.shared.counters.out_of_time();
                self.remove(slot, Ended::OutOfTime);
            }
        }
    }

    /// Waits for events: not at all while a connection has more to do, shortly while one lacks a
    /// resource, else indefinitely.
    fn wait(&mut self, events: &mut Vec<Event>) {
        if !self.ready.is_empty() {
            self.poll(events, Some(Duration::ZERO));
            return;
        }
        if !self.exhausted.is_empty() {
            self.poll(events, self.until_due(Some(PAUSE)));
            for slot in self.exhausted.drain(..) {
                if let Some(Some(pair)) = self.pairs.get_mut(slot) {
                    pair.is_listed = false;
                }
                self.ready.push_back(slot);
            }
            return;
        }
        if self.spin.pays_off() {
            let start = Instant::now();
            while start.elapsed() < SPIN {
                self.poll(events, Some(Duration::ZERO));
                if !events.is_empty() {
                    return self.spin.found();
                }
            }
            self.spin.in_vain();
        }
        let limit = self.shared.shortest_limit().map(|limit| IDLE_CHECK.min(limit));
        let limit = limit.filter(|_| self.inbox.connections.load(Ordering::Relaxed) > 0);
        self.poll(events, self.until_due(limit));
    }

    fn poll(&self, events: &mut Vec<Event>, limit: Option<Duration>) {
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(events), limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            // Not to be expected of a descriptor of our own; not to be repeated without a pause.
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// Whether polling before sleeping pays off.
#[derive(Debug)]
struct Spin {
    is_alone: bool,
    vain: u32,
    sleeps: u32,
}

impl Spin {
    fn new() -> Spin {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Spin { is_alone: processors == 1, vain: 0, sleeps: 0 }
    }

    fn pays_off(&mut self) -> bool {
        if self.is_alone {
            return false;
        }
        if self.vain < VAIN_SPINS {
            return true;
        }
        self.sleeps += 1;
        if self.sleeps >= VAIN_SPINS {
            (self.vain, self.sleeps) = (VAIN_SPINS - 1, 0);
        }
        false
    }

    fn found(&mut self) {
        self.vain = 0;
    }

    fn in_vain(&mut self) {
        self.vain += 1;
    }
}
