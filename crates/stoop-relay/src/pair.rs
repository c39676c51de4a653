//! A client's connection and the one to the server, and the two directions between them.

use std::io;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;

use crate::admission::Owner;
use crate::carry::{Carry, Drained, EndKind, Filled, Hooks, PIECE_BYTES, Tools};
use crate::counters::Counters;
use crate::direction::{Direction, Step};
use crate::end::End;
use crate::event::Ended;
use crate::pace::Pace;

/// How much one connection may move before others have their turn.
const TURN_BYTES: usize = 8 * PIECE_BYTES;

/// How long a reset waits for bytes before it that the peer has not taken: it would discard them.
const RESET_LIMIT: Duration = Duration::from_secs(5);

/// The client's end.
pub(crate) const CLIENT: usize = 0;
/// The server's end.
pub(crate) const SERVER: usize = 1;

/// What is said of a peer that sends something else.
const NOT_FRAMED: &str = "what came is not in the framing of stoop; is the other side another stoop relay?";

/// Two ends and the directions between them.
#[derive(Debug)]
pub(crate) struct Pair {
    ends: [End; 2],
    /// Whether each end may be read, and written, as far as is known.
    readable: [bool; 2],
    writable: [bool; 2],
    /// `ways[i]` leads away from `ends[i]`.
    ways: [Way; 2],
    pub(crate) number: u64,
    pub(crate) last_moved: Instant,
    pub(crate) started: Instant,
    /// Whom it is counted with.
    pub(crate) owners: Vec<Owner>,
    /// Whether the worker will come back to it without an event.
    pub(crate) is_listed: bool,
    /// Bytes to the server, and to the client.
    pub(crate) moved: [u64; 2],
    /// The first attempt to pass a reset on.
    reset_since: Option<Instant>,
    is_reset: bool,
    /// Whether a write to each end has found it reset.
    resets: [bool; 2],
    /// Why it could not be relayed to its end.
    failure: Option<io::Error>,
    /// When something is due, if a turn is planned for it.
    timer: Option<Instant>,
}

#[derive(Debug)]
struct Way {
    direction: Direction,
    carry: Carry,
    pace: Option<Pace>,
}

/// What a turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It waits for an event.
    Waits,
    /// It has more to do at once.
    GoesOn,
    /// It lacks a resource, or its time has not come, which no event will announce.
    Exhausted,
    /// It is over.
    Over,
    /// It is to be reset: a fault says so.
    Fault,
}

impl Pair {
    /// Relays between two ends. A number of 0 is that of no client: the pair is one side of one.
    pub(crate) fn new(
        client: End,
        server: End,
        allows_descriptors: bool,
        frames: bool,
        number: u64,
    ) -> io::Result<Pair> {
        let up = Carry::new(&client, &server, allows_descriptors, frames)?;
        let down = Carry::new(&server, &client, allows_descriptors, frames)?;
        Ok(Pair::with(client, server, [up, down], number))
    }

    /// A pair of which everything is recorded, or that has faults.
    pub(crate) fn hooked(
        client: End,
        server: End,
        hooks: [Hooks; 2],
        allows_descriptors: bool,
        number: u64,
    ) -> io::Result<Pair> {
        let [up, down] = hooks;
        let up = Carry::hooked(&client, &server, up, allows_descriptors)?;
        let down = Carry::hooked(&server, &client, down, allows_descriptors)?;
        Ok(Pair::with(client, server, [up, down], number))
    }

    fn with(client: End, server: End, [up, down]: [Carry; 2], number: u64) -> Pair {
        let way = |carry| Way { direction: Direction::new(), carry, pace: None };
        Pair {
            ends: [client, server],
            readable: [true; 2],
            writable: [true; 2],
            ways: [way(up), way(down)],
            number,
            last_moved: Instant::now(),
            started: Instant::now(),
            owners: Vec::new(),
            is_listed: false,
            moved: [0; 2],
            reset_since: None,
            is_reset: false,
            resets: [false; 2],
            failure: None,
            timer: None,
        }
    }

    /// Returns when the pair is to have its next turn, if that is sooner than what was returned
    /// before.
    pub(crate) fn sooner(&mut self) -> Option<Instant> {
        let due = self.ways.iter().filter_map(|way| way.carry.due()).min()?;
        if self.timer.is_some_and(|timer| timer <= due) {
            return None;
        }
        self.timer = Some(due);
        self.timer
    }

    /// The time that was returned has come.
    pub(crate) fn rang(&mut self) {
        self.timer = None;
    }

    /// Other faults apply: what was stalled may be read.
    pub(crate) fn faults_changed(&mut self) {
        self.readable = [true; 2];
    }

    /// Limits how fast each direction may go.
    pub(crate) fn limit(&mut self, bytes_per_second: Option<u64>) {
        for way in &mut self.ways {
            way.pace = bytes_per_second.map(Pace::new);
        }
    }

    pub(crate) fn ends(&self) -> &[End; 2] {
        &self.ends
    }

    /// Notes what the kernel reported about an end.
    pub(crate) fn event(&mut self, end: usize, flags: EventFlags) {
        let ended = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        self.readable[end] |= flags.intersects(EventFlags::IN | ended);
        self.writable[end] |= flags.intersects(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR);
        // Its peer has closed, and not only one direction: nobody reads there any more. What is on its
        // way to the other end still goes there.
        if flags.contains(EventFlags::HUP) {
            self.ways[1 - end].direction.sink_gone();
        }
    }

    /// Moves what can be moved at once, in both directions.
    pub(crate) fn turn(&mut self, tools: &mut Tools, counters: &Counters) -> Turn {
        let mut turn = Turn::Waits;
        for from in [CLIENT, SERVER] {
            match self.way(from, tools, counters) {
                Turn::Waits | Turn::Over => {}
                Turn::Fault => return Turn::Fault,
                Turn::GoesOn if turn == Turn::Exhausted => {}
                other => turn = other,
            }
        }
        if self.is_reset || self.ways.iter().all(|way| way.direction.is_done()) {
            return Turn::Over;
        }
        turn
    }

    /// Moves one direction as far as it goes.
    fn way(&mut self, from: usize, tools: &mut Tools, counters: &Counters) -> Turn {
        let mut budget = TURN_BYTES;
        loop {
            let way = &mut self.ways[from];
            let (source, sink) = (&self.ends[from], &self.ends[1 - from]);
            let (filled, drained) = match way.direction.next(way.carry.is_holding()) {
                Step::Done => return Turn::Over,
                Step::ShutSink => {
                    sink.shutdown(Shutdown::Write);
                    way.direction.sink_shut();
                    continue;
                }
                Step::ResetSink => return self.reset(from, counters),
                Step::StopSource => {
                    source.shutdown(Shutdown::Read);
                    way.direction.source_told();
                    continue;
                }
                Step::Drain if !self.writable[1 - from] => return Turn::Waits,
                Step::Drain => (None, way.carry.drain(sink, tools, counters)),
                Step::Fill if !self.readable[from] => return Turn::Waits,
                Step::Fill if budget == 0 => return Turn::GoesOn,
                Step::Fill if way.pace.is_some_and(|pace| !pace.allows(self.started.elapsed())) => {
                    // It waits because of the limit, and not because nothing comes.
                    self.last_moved = Instant::now();
                    return Turn::Exhausted;
                }
                Step::Fill => {
                    let (filled, drained) = way.carry.fill(source, sink, tools, counters);
                    (Some(filled), drained)
                }
            };
            match filled {
                Some(Filled::Some(len)) => {
                    budget = budget.saturating_sub(len.max(1));
                    self.moved[from] += len as u64;
                    counters.bytes(from == CLIENT, len);
                    self.last_moved = Instant::now();
                    if let Some(pace) = &mut self.ways[from].pace {
                        pace.moved(self.started.elapsed(), len);
                    }
                }
                Some(Filled::Nothing) => self.readable[from] = false,
                Some(Filled::End(kind)) => self.source_ended(from, kind),
                Some(Filled::Exhausted) => return Turn::Exhausted,
                Some(Filled::Fault) => return Turn::Fault,
                None => {}
            }
            match drained {
                Drained::All => {}
                Drained::Some => self.writable[1 - from] = false,
                Drained::Gone => self.sink_gone(from),
                Drained::Reset => {
                    self.resets[1 - from] = true;
                    self.sink_gone(from);
                }
                Drained::Exhausted => return Turn::Exhausted,
                // More may be read meanwhile, unless too much waits.
                Drained::Later if filled.is_none() => return Turn::Waits,
                Drained::Later => {}
            }
        }
    }

    fn source_ended(&mut self, from: usize, kind: EndKind) {
        match kind {
            EndKind::Shutdown if self.resets[from] => self.ways[from].direction.source_reset(),
            EndKind::Shutdown => {
                self.ways[from].direction.source_ended();
                // A datagram server knows of no ends, so it would never end the answers.
                if matches!(self.ends[1 - from], End::Datagram(_)) {
                    self.ways[1 - from].direction.source_ended();
                }
            }
            EndKind::Reset => self.ways[from].direction.source_reset(),
            EndKind::NotFramed => {
                self.failure = Some(io::Error::new(io::ErrorKind::InvalidData, NOT_FRAMED));
                self.ways[from].direction.source_reset();
            }
        }
    }

    fn sink_gone(&mut self, from: usize) {
        self.ways[from].direction.sink_gone();
        if matches!(self.ends[1 - from], End::Datagram(_)) {
            self.ways[1 - from].direction.source_ended();
        }
    }

    /// Passes a reset on, with which both directions are over: who resets has closed.
    fn reset(&mut self, from: usize, counters: &Counters) -> Turn {
        let sink = &self.ends[1 - from];
        let since = *self.reset_since.get_or_insert_with(Instant::now);
        if sink.has_unsent() && since.elapsed() < RESET_LIMIT {
            return Turn::Exhausted;
        }
        if !sink.reset() {
            counters.lost_reset();
        }
        self.ways[from].direction.sink_shut();
        self.is_reset = true;
        Turn::Over
    }

    /// Returns why it ended.
    pub(crate) fn take_ended(&mut self) -> Ended {
        let bridge = || self.ends.iter().find_map(End::take_error);
        self.failure.take().or_else(bridge).map_or(Ended::Closed, Ended::Failed)
    }

    /// Gives back what the worker lent.
    pub(crate) fn end(self, tools: &mut Tools) {
        for way in self.ways {
            way.carry.end(tools);
        }
    }
}
