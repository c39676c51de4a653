//! A client's connection and the one to the server, and the two directions between them.

use std::io;
use std::net::Shutdown;
use std::time::Instant;

use rustix::event::epoll::EventFlags;

use crate::admission::Owner;
use crate::carry::{Carry, Drained, EndKind, Filled, PIECE_BYTES, Tools};
use crate::counters::Counters;
use crate::direction::{Direction, Step};
use crate::end::End;
use crate::pace::Pace;

/// How much one connection may move before others have their turn.
const TURN_BYTES: usize = 8 * PIECE_BYTES;

/// The client's end.
pub(crate) const CLIENT: usize = 0;
/// The server's end.
pub(crate) const SERVER: usize = 1;

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
}

impl Pair {
    pub(crate) fn new(client: End, server: End, allows_descriptors: bool, number: u64) -> io::Result<Pair> {
        let up = Carry::new(&client, &server, allows_descriptors)?;
        let down = Carry::new(&server, &client, allows_descriptors)?;
        let way = |carry| Way { direction: Direction::new(), carry, pace: None };
        Ok(Pair {
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
        })
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
                Turn::GoesOn if turn == Turn::Exhausted => {}
                other => turn = other,
            }
        }
        if self.ways.iter().all(|way| way.direction.is_done()) {
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
                Some(Filled::End(kind)) => {
                    self.ways[from].direction.source_ended();
                    if kind == EndKind::Reset {
                        counters.lost_reset();
                    }
                }
                Some(Filled::Exhausted) => return Turn::Exhausted,
                None => {}
            }
            match drained {
                Drained::All => {}
                Drained::Some => self.writable[1 - from] = false,
                Drained::Gone => self.ways[from].direction.sink_gone(),
                Drained::Exhausted => return Turn::Exhausted,
            }
        }
    }

    /// Gives back what the worker lent.
    pub(crate) fn end(self, tools: &mut Tools) {
        for way in self.ways {
            way.carry.end(tools);
        }
    }
}
