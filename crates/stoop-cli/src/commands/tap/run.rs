//! Captures until it is told to stop.

use std::time::{Duration, Instant, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use stoop_inspect::SocketId;
use stoop_tap::{CaptureOptions, Cause, Loss, Piece, Protocol, SocketKind, What};

use super::args::Tap as Flags;
use super::capture_file::{CaptureFile, Described};
use super::error::unavailable;
use super::label_filter::LabelFilter;
use super::names::{Label, Names};
use super::origin::Origin;
use super::program::Program;
use super::render;
use super::saved::Saved;
use super::select::{is_everything, others_of_that_name, select};
use super::session::{Session, Shown, counts};
use super::source::Source;
use super::stats::Stats;
use super::unread::Looker;
use super::view::View;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::{complain, print, status};
use crate::signals::Signals;
use crate::sockets::{format, note};

/// How long to wait for events before looking for a signal.
const PAUSE: Duration = Duration::from_millis(20);

/// Shows what the selected sockets transfer.
pub(crate) fn run(flags: &Flags) -> Outcome {
    flags.quiet.apply();
    let view = View::new(flags)?;
    if !flags.program.is_empty() {
        let program = Program::start(flags)?;
        return watch(flags, view, Box::new(program), Names::new().0, None);
    }
    let signals = Signals::catch()?;
    if let Some(path) = &flags.files.read {
        let saved = Saved::open(path, LabelFilter::new(&flags.selection)?)?;
        return watch(flags, view, Box::new(saved), Names::of_file(), Some(&signals));
    }
    let mut options = CaptureOptions::default();
    options.all = is_everything(&flags.selection);
    if let Some(snaplen) = flags.files.snaplen {
        options.payload_max = options.payload_max.min(u32::try_from(snaplen).unwrap_or(u32::MAX));
    }
    if flags.no_payload {
        options.payload_max = 0;
    }
    let looker = flags.unread.then(Looker::start).transpose()?;
    options.own_thread = looker.as_ref().map(Looker::thread);
    let tap = stoop_tap::Tap::start(options).map_err(unavailable)?;
    let (names, snapshot) = Names::new();
    if looker.is_some() && !tap.sees_receives() {
        return Err(Failure::new(
            Exit::Failed,
            "this kernel cannot tell what is unread from what is received",
        )
        .why("what was shown as unread would be shown again when it is received")
        .seen(
            "it has no tracepoint sock_recv_length (Linux 6.3), and lets no program run at functions (fexit)",
        )
        .next("stoop tap    # without --unread")
        .into());
    }
    let selected = select(&tap, &flags.selection, &snapshot)?;
    status(&note(&snapshot.missing));
    status(&others_of_that_name(&snapshot, &selected));
    if let Some(looker) = looker {
        let socket = |id: &SocketId| &snapshot[*id];
        status(&looker.look(selected.iter().map(socket)));
    }
    status(&format!("stoop: capturing {}; press Ctrl-C to stop\n", format::plural(selected.len(), "socket")));
    if !tap.sees_receives() {
        status(
            "stoop: on this kernel, data that is peeked at is shown again, and ends are not seen (Linux 6.3)\n",
        );
    }
    watch(flags, view, Box::new(tap), names, Some(&signals))
}

/// Shows what a source has, until it ends or is told to stop.
fn watch<'f>(
    flags: &'f Flags,
    view: View<'f>,
    source: Box<dyn Source + 'f>,
    names: Names,
    signals: Option<&Signals>,
) -> Outcome {
    let file = CaptureFile::create(&flags.files, view.methods())?;
    let session = Session::new(names, !flags.no_payload, view.methods());
    let (stats, losses) = (Stats::default(), Losses::default());
    let mut watch = Watch { flags, source, session, view, file, stats, shown: 0, losses };
    watch.until_stopped(signals)?;
    watch.finish()
}

/// A capture that runs.
struct Watch<'f> {
    flags: &'f Flags,
    source: Box<dyn Source + 'f>,
    session: Session,
    view: View<'f>,
    file: Option<CaptureFile>,
    stats: Stats,
    /// How many calls, answers and messages were shown.
    shown: u64,
    losses: Losses,
}

/// How many events are missing.
#[derive(Debug, Default)]
struct Losses {
    /// Because a buffer was full.
    lost: u64,
    /// At most, because the kernel skipped programs.
    skipped: u64,
}

impl Losses {
    fn add(&mut self, loss: &Loss) {
        match loss.cause {
            Cause::BufferFull => self.lost += loss.count,
            _ => self.skipped += loss.count,
        }
    }

    /// Says what is missing. `None` if nothing is.
    fn note(&self) -> Option<String> {
        let events = |count: u64| format::plural(count as usize, "event");
        let lost = (self.lost > 0).then(|| format!("{} lost: the buffer was full", events(self.lost)));
        let skipped = (self.skipped > 0).then(|| {
            format!("up to {} not seen: the kernel skipped interrupted programs", events(self.skipped))
        });
        let notes: Vec<String> = lost.into_iter().chain(skipped).collect();
        (!notes.is_empty()).then(|| format!("stoop: {}\n", notes.join("; ")))
    }
}

impl Watch<'_> {
    fn until_stopped(&mut self, signals: Option<&Signals>) -> Result<(), Failure> {
        let end = self.flags.timeout.map(|timeout| Instant::now() + timeout);
        loop {
            let is_over = end.is_some_and(|end| Instant::now() >= end);
            if is_over || self.is_enough() || signals.map_or(Ok(false), is_signalled)? {
                return Ok(());
            }
            let Some(pieces) = self.source.next(PAUSE)? else { return Ok(()) };
            self.take(&pieces, false)?;
        }
    }

    fn is_enough(&self) -> bool {
        self.flags.count.is_some_and(|count| self.shown >= count)
    }

    fn finish(mut self) -> Outcome {
        let rest = self.source.stop();
        self.take(&rest, true)?;
        while self.source.ends_when_stopped()
            && let Some(pieces) = self.source.next(PAUSE)?
        {
            self.take(&pieces, true)?;
        }
        let exit = self.source.finish()?;
        if self.flags.stats {
            match self.flags.json {
                true => self.print(&self.stats.json())?,
                false => self.print(self.stats.table().as_bytes())?,
            }
        }
        let Some(note) = self.losses.note() else { return Ok(exit) };
        status(&note);
        Ok(if exit == Exit::Done { Exit::Partial } else { exit })
    }

    fn take(&mut self, pieces: &[Piece], is_last: bool) -> Result<(), Failure> {
        for piece in pieces {
            if let What::Lost(loss) = &piece.what {
                self.losses.add(loss);
            }
            self.session.take(&*self.source, piece);
            if let Some(file) = &mut self.file {
                let (source, session) = (&*self.source, &self.session);
                let time = source.wall_time(piece.time_ns);
                let time_ns = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
                file.piece(piece, time_ns, || described(source, session, piece))?;
            }
        }
        self.show(is_last)
    }

    /// Shows the entries that are ready.
    fn show(&mut self, is_last: bool) -> Result<(), Failure> {
        let mut out = Vec::new();
        for (entry, ends) in self.session.ready(&*self.source, is_last) {
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
            let time = self.source.wall_time(entry.time_ns);
            if self.flags.json {
                render::json(&entry, &seen, &ends, time, &mut out);
            } else if let Some(text) = render::text(&entry, &seen, &ends, time) {
                out.extend(self.view.named(&text).as_bytes());
            }
        }
        match &mut self.file {
            Some(file) => file.flush(),
            None if out.is_empty() => Ok(()),
            None => self.print(&out),
        }
    }

    /// Standard output is the program's, if one was started.
    fn print(&self, bytes: &[u8]) -> Result<(), Failure> {
        if self.flags.program.is_empty() { print(bytes) } else { complain(bytes) }
    }
}

/// Describes the connection of a piece, or the client and the listener of a connect.
fn described(source: &dyn Source, session: &Session, piece: &Piece) -> Described {
    if let What::Connect { listener, process } = &piece.what {
        let client = Label { process: Some(process.clone()), ..Label::default() };
        let ends = [client, session.socket(source, *listener)];
        let origin = Origin { kind: SocketKind::STREAM, is_older: false, served: None };
        return Described { origin, protocol: Protocol::Bytes, ends };
    }
    let protocol = session.protocol(piece.flow).unwrap_or(Protocol::Bytes);
    let origin = session.origin(source, piece.flow);
    Described { origin, protocol, ends: session.labels(source, piece.flow) }
}

fn is_signalled(signals: &Signals) -> Result<bool, Failure> {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut [PollFd::new(signals, PollFlags::IN)], Some(&now)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(Failure::io("wait for signals", &error.into())),
    }
}
