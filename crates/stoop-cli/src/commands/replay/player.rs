//! Plays the records of one side, in their order, and compares what the other side does.

use std::collections::HashMap;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use stoop_relay::record::{Entry, Record, Side};

use super::args::How;
use super::compare::{
    Bytes, Compare, Difference, Http, Messages, NOTHING, Postgres, Verdict, looks_like_postgres,
};
#[cfg(feature = "grpc")]
use super::compare::{Grpc, Schemas, looks_like_http2};
use super::wire::{Came, Wire};

/// The start of what a client of HTTP/1 sends: a method, and in its first line the version.
const VERSION: &[u8] = b" HTTP/1.";

/// How a recording is played.
#[derive(Debug)]
pub(super) struct Rules {
    /// The side that is played.
    pub(super) side: Side,
    pub(super) speed: Option<f64>,
    pub(super) how: Option<How>,
    pub(super) ignore: Vec<String>,
    pub(super) only: Vec<u64>,
    pub(super) timeout: Duration,
    #[cfg(feature = "grpc")]
    pub(super) schemas: Schemas,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) connections: u64,
    /// Bytes that were sent, and that were compared.
    pub(super) sent_bytes: u64,
    pub(super) compared_bytes: u64,
    /// Bytes that were sent as `*`, because they are masked in the recording.
    pub(super) masked_bytes: u64,
    /// File descriptors that were recorded and could not be sent.
    pub(super) descriptors: u64,
}

/// Why playing has stopped.
#[derive(Debug)]
pub(super) enum Stop {
    Different { connection: u64, time: Duration, difference: Difference },
    Failed(crate::failure::Failure),
}

/// A connection that is being played.
struct Live {
    wire: Wire,
    /// Chosen when the first data is recorded.
    compare: Option<Box<dyn Compare>>,
    has_ended: bool,
}

/// Plays a recording.
pub(super) struct Player<'a> {
    rules: Rules,
    /// Makes the next connection.
    connect: Box<dyn FnMut() -> Result<Wire, crate::failure::Failure> + 'a>,
    live: HashMap<u64, Live>,
    start: Instant,
    pub(super) tally: Tally,
}

impl<'a> Player<'a> {
    pub(super) fn new(
        rules: Rules,
        connect: impl FnMut() -> Result<Wire, crate::failure::Failure> + 'a,
    ) -> Player<'a> {
        Player {
            rules,
            connect: Box::new(connect),
            live: HashMap::new(),
            start: Instant::now(),
            tally: Tally::default(),
        }
    }

    /// Plays one record.
    pub(super) fn play(&mut self, record: Record) -> Result<(), Stop> {
        let Record { time, connection, entry, .. } = record;
        if connection == 0 || !(self.rules.only.is_empty() || self.rules.only.contains(&connection)) {
            return Ok(());
        }
        if let Entry::Opened { .. } = entry {
            self.keep_time(time);
            let wire = (self.connect)().map_err(Stop::Failed)?;
            wire.set_nonblocking().map_err(failed)?;
            self.tally.connections += 1;
            self.live.insert(connection, Live { wire, compare: None, has_ended: false });
            return Ok(());
        }
        let Some(mut live) = self.live.remove(&connection) else { return Ok(()) };
        let is_open = !matches!(entry, Entry::Closed { .. });
        let played = self.play_on(&mut live, time, entry);
        if is_open {
            self.live.insert(connection, live);
        }
        played.map_err(|stop| match stop {
            Found::Failed(error) => failed(error),
            Found::Different(difference) => Stop::Different { connection, time, difference: *difference },
        })
    }

    fn play_on(&mut self, live: &mut Live, time: Duration, entry: Entry) -> Result<(), Found> {
        let side = self.rules.side;
        match entry {
            Entry::Data { from, bytes, masked, files } if from == side => {
                self.keep_time(time);
                self.tally.masked_bytes += u64::from(masked);
                self.tally.descriptors += files.len() as u64;
                self.tally.sent_bytes += bytes.len() as u64;
                self.compare(live, &bytes, from).sent(&bytes);
                self.send(live, &bytes)
            }
            Entry::Data { from, bytes, masked, .. } => {
                self.tally.compared_bytes += bytes.len() as u64;
                self.compare(live, &bytes, from).recorded(&bytes, masked > 0);
                self.settle(live)
            }
            Entry::Ended { from } if from == side => {
                self.keep_time(time);
                live.wire.shut();
                Ok(())
            }
            Entry::Ended { from } | Entry::Reset { from } if from != side => {
                self.compare(live, b"", from).recorded_end();
                self.settle(live)
            }
            Entry::Closed { .. } => self.settle(live),
            _ => Ok(()),
        }
    }

    /// Returns the comparison of a connection. `first` and `from` are of the first data.
    fn compare<'l>(&self, live: &'l mut Live, first: &[u8], from: Side) -> &'l mut dyn Compare {
        let how = self.rules.how.unwrap_or_else(|| match from {
            #[cfg(feature = "grpc")]
            _ if looks_like_http2(first) => How::Grpc,
            Side::Client if looks_like_http(first) => How::Http,
            Side::Client if self.rules.side == Side::Client && looks_like_postgres(first) => How::Postgresql,
            _ => How::Bytes,
        });
        let is_stream = live.wire.is_stream();
        let compare = live.compare.get_or_insert_with(|| match (is_stream, how) {
            (false, _) => Box::new(Messages::default()),
            #[cfg(feature = "grpc")]
            (true, How::Grpc) => Box::new(Grpc::new(&self.rules.ignore, &self.rules.schemas)),
            (true, How::Postgresql) => Box::new(Postgres::default()),
            (true, How::Bytes) => Box::new(Bytes::default()),
            (true, How::Http) => Box::new(Http::new(self.rules.side == Side::Client, &self.rules.ignore)),
        });
        compare.as_mut()
    }

    fn keep_time(&self, time: Duration) {
        if let Some(speed) = self.rules.speed {
            let due = time.div_f64(speed);
            thread::sleep(due.saturating_sub(self.start.elapsed()));
        }
    }

    /// Sends everything. Meanwhile takes what comes, so that neither side waits for the other.
    fn send(&self, live: &mut Live, mut bytes: &[u8]) -> Result<(), Found> {
        let until = Instant::now() + self.rules.timeout;
        loop {
            match live.wire.send(bytes) {
                Ok(len) if len >= bytes.len() => return Ok(()),
                Ok(len) => bytes = &bytes[len..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !live.wire.wait(true, until)? {
                        let now = format!("(nothing more is taken within {:?})", self.rules.timeout);
                        return Err(Difference::new("what is sent", "(it was taken)", now).into());
                    }
                }
                // It ends early: the comparison says where.
                Err(error) if is_end(&error) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            live.take()?;
        }
    }

    /// Waits until everything came that was recorded.
    fn settle(&self, live: &mut Live) -> Result<(), Found> {
        let until = Instant::now() + self.rules.timeout;
        loop {
            live.take()?;
            let Some(compare) = &mut live.compare else { return Ok(()) };
            match compare.verdict() {
                Verdict::Same => return Ok(()),
                Verdict::Different(difference) => return Err(difference.into()),
                Verdict::Missing if live.wire.wait(false, until)? => {}
                Verdict::Missing => {
                    // What is missing is what would be if the connection ended here.
                    compare.came_end();
                    let found = match compare.verdict() {
                        Verdict::Different(found) => found,
                        _ => Difference::new("the end", "(the end of the connection)", NOTHING),
                    };
                    let now = format!("{} within {:?}", NOTHING, self.rules.timeout);
                    return Err(Difference { now, ..found }.into());
                }
            }
        }
    }
}

impl Live {
    /// Takes what has come.
    fn take(&mut self) -> io::Result<()> {
        while !self.has_ended {
            match self.wire.receive()? {
                Came::Nothing => break,
                Came::Data(bytes) => self.compare.iter_mut().for_each(|compare| compare.came(&bytes)),
                Came::End => {
                    self.has_ended = true;
                    self.compare.iter_mut().for_each(|compare| compare.came_end());
                }
            }
        }
        Ok(())
    }
}

/// Why a connection cannot be played on.
enum Found {
    Different(Box<Difference>),
    Failed(io::Error),
}

impl From<Difference> for Found {
    fn from(difference: Difference) -> Found {
        Found::Different(Box::new(difference))
    }
}

impl From<io::Error> for Found {
    fn from(error: io::Error) -> Found {
        Found::Failed(error)
    }
}

fn failed(error: io::Error) -> Stop {
    Stop::Failed(crate::failure::Failure::io("replay a connection", &error))
}

fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

fn looks_like_http(bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.first().is_some_and(u8::is_ascii_uppercase)
        && line.windows(VERSION.len()).any(|part| part == VERSION)
}
