//! Captures until it is told to stop.

use std::borrow::Cow;
use std::time::{Duration, Instant, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use stoop_tap::{CaptureOptions, Piece, Protocol, What};

use super::args::Tap as Flags;
use super::capture_file::CaptureFile;
use super::error::unavailable;
use super::names::Names;
use super::render;
use super::select::{is_everything, select};
use super::session::{Session, Shown, counts};
use super::stats::Stats;
use super::view::View;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::{print, status};
use crate::signals::Signals;
use crate::sockets::{format, note};

/// How long to wait for events before looking for a signal.
const PAUSE: Duration = Duration::from_millis(20);

/// Shows what the selected sockets transfer.
pub(crate) fn run(flags: &Flags) -> Outcome {
    flags.quiet.apply();
    let view = View::new(flags)?;
    let signals = Signals::catch()?;
    let mut options = CaptureOptions::default();
    options.all = is_everything(&flags.selection);
    if flags.no_payload {
        options.payload_max = 0;
    }
    let tap = stoop_tap::Tap::start(options).map_err(unavailable)?;
    let (names, snapshot) = Names::new();
    let selected = select(&tap, &flags.selection, &snapshot)?;
    let file = match &flags.write {
        Some(path) => Some(CaptureFile::create(path, flags.secrets)?),
        None => None,
    };
    status(&note(&snapshot.missing));
    status(&format!("stoop: capturing {}; press Ctrl-C to stop\n", format::plural(selected, "socket")));
    if !tap.sees_receives() {
        status("stoop: before Linux 6.3, data that is peeked at is shown again, and ends are not seen\n");
    }
    let session = Session::new(names, !flags.no_payload, view.methods());
    let mut watch = Watch { flags, tap, session, view, file, stats: Stats::default(), shown: 0, lost: 0 };
    watch.until_stopped(&signals)?;
    watch.finish()
}

/// A capture that runs.
struct Watch<'f> {
    flags: &'f Flags,
    tap: stoop_tap::Tap,
    session: Session,
    view: View<'f>,
    file: Option<CaptureFile>,
    stats: Stats,
    /// How many calls, answers and messages were shown.
    shown: u64,
    lost: u64,
}

impl Watch<'_> {
    fn until_stopped(&mut self, signals: &Signals) -> Result<(), Failure> {
        let end = self.flags.timeout.map(|timeout| Instant::now() + timeout);
        loop {
            let is_over = end.is_some_and(|end| Instant::now() >= end);
            if is_over || self.is_enough() || is_signalled(signals)? {
                return Ok(());
            }
            let pieces = self.tap.next(PAUSE);
            let pieces = pieces.map_err(|error| Failure::io("wait for events", &error))?;
            self.take(&pieces, false)?;
        }
    }

    fn is_enough(&self) -> bool {
        self.flags.count.is_some_and(|count| self.shown >= count)
    }

    fn finish(mut self) -> Outcome {
        let rest = self.tap.flush();
        self.take(&rest, true)?;
        if self.flags.stats {
            match self.flags.json {
                true => print(&self.stats.json())?,
                false => print(self.stats.table().as_bytes())?,
            }
        }
        if self.lost > 0 {
            status(&format!(
                "stoop: {} lost: the buffer was full\n",
                format::plural(self.lost as usize, "event")
            ));
            return Ok(Exit::Partial);
        }
        Ok(Exit::Done)
    }

    fn take(&mut self, pieces: &[Piece], is_last: bool) -> Result<(), Failure> {
        for piece in pieces {
            if let What::Lost(count) = piece.what {
                self.lost += count;
            }
            let lines = self.session.take(&self.tap, piece);
            if let Some(file) = &mut self.file {
                let piece = &*match self.flags.secrets {
                    true => Cow::Borrowed(piece),
                    false => self.view.without_secrets(piece, &lines),
                };
                let time = self.tap.wall_time(piece.time_ns);
                let time_ns = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
                match &piece.what {
                    What::Data(data) => {
                        let (tap, session) = (&self.tap, &self.session);
                        let open = || {
                            let kind =
                                tap.flow(piece.flow).map_or(stoop_tap::SocketKind::STREAM, |flow| flow.kind);
                            let protocol = session.protocol(piece.flow).unwrap_or(Protocol::Bytes);
                            (kind, protocol, session.labels(tap, piece.flow))
                        };
                        file.data(piece, data, time_ns, &lines, open);
                    }
                    What::End => file.end(piece.flow, piece.from, time_ns),
                    _ => {}
                }
            }
        }
        self.show(is_last)
    }

    /// Shows the entries that are ready.
    fn show(&mut self, is_last: bool) -> Result<(), Failure> {
        let mut out = Vec::new();
        for (entry, ends) in self.session.ready(&self.tap, is_last) {
            if self.is_enough() {
                break;
            }
            let Some(seen) = self.view.see(&entry) else { continue };
            self.shown += u64::from(counts(&entry));
            if let (true, Shown::Line(line)) = (self.flags.stats, &entry.what) {
                self.stats.add(line, seen.method.as_deref());
            }
            if self.flags.stats || self.file.is_some() {
                continue;
            }
            let time = self.tap.wall_time(entry.time_ns);
            if self.flags.json {
                render::json(&entry, &seen, &ends, time, &mut out);
            } else if let Some(text) = render::text(&entry, &seen, &ends, time) {
                out.extend(self.view.named(&text).as_bytes());
            }
        }
        match &mut self.file {
            Some(file) => file.flush(),
            None if out.is_empty() => Ok(()),
            None => print(&out),
        }
    }
}

fn is_signalled(signals: &Signals) -> Result<bool, Failure> {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut [PollFd::new(signals, PollFlags::IN)], Some(&now)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(Failure::io("wait for signals", &error.into())),
    }
}
