//! Chooses the output, and repeats it.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::{self, IsTerminal};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use stoop_tap::{Missing, Unavailable};

use super::accounts::{Entry, entries};
use super::args::{By, Top};
use super::column::Moment;
use super::frame::Frame;
use super::publish::Publisher;
use super::source::Source;
use super::{json, order, screen, text};
use crate::commands::tap::select::is_everything;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::{print, status, terminal_width};
use crate::signals::Signals;
use crate::sockets::{self, Completeness, Filter, Row, format, note, rows};
use crate::time;

/// How many names are remembered.
const KNOWN_MAX: usize = 50_000;

/// Shows what the selected sockets do.
pub(crate) fn run(flags: &Top) -> Outcome {
    flags.quiet.apply();
    let filter = Filter::new(&flags.selection)?;
    let publisher = Publisher::start(flags)?;
    let look = Look {
        flags,
        filter,
        source: Source::start(),
        publisher,
        completeness: None,
        known: RefCell::default(),
    };
    if is_interactive(flags) { screen::run(look) } else { repeat(look) }
}

fn is_interactive(flags: &Top) -> bool {
    let wants_text = flags.batch || flags.plain || flags.json || flags.once || flags.count.is_some();
    let is_published = flags.metrics.is_some() || flags.textfile.is_some();
    !wants_text && !is_published && io::stdout().is_terminal() && io::stdin().is_terminal()
}

/// Looks again and again.
pub(super) struct Look<'f> {
    pub(super) flags: &'f Top,
    filter: Filter<'f>,
    source: Source,
    publisher: Option<Publisher>,
    completeness: Option<Completeness>,
    /// What was selected before: what its sockets did before they were closed is shown, too.
    known: RefCell<HashSet<Rc<str>>>,
}

impl Look<'_> {
    /// Looks once, and publishes what was seen.
    pub(super) fn look(&mut self) -> Result<(Frame, Vec<Row>), Failure> {
        let frame = self.source.frame()?;
        self.filter.prepare(&frame.snapshot);
        if self.completeness.is_none() {
            self.filter.check(&frame.snapshot)?;
            sockets::report_files(&self.filter, &frame.snapshot);
            status(&note(&frame.snapshot.missing));
        }
        self.completeness = Some(Completeness::of(&frame.snapshot));
        let mut rows = rows(&frame.snapshot);
        rows.retain(|row| {
            self.filter.matches(&frame.snapshot, row) && (self.flags.all || !row.is_minor(&frame.snapshot))
        });
        if self.publisher.is_some() {
            let addresses = self.entries(&frame, &rows, By::Address);
            if let Some(publisher) = &mut self.publisher {
                publisher.publish(&frame, &addresses)?;
            }
        }
        Ok((frame, rows))
    }

    /// Returns what the lines of this look are about.
    pub(super) fn entries(&self, frame: &Frame, rows: &[Row], by: By) -> Vec<Entry> {
        if is_everything(&self.flags.selection) {
            return entries(frame, rows, by, |_| true);
        }
        let mut known = self.known.borrow_mut();
        let entries = entries(frame, rows, by, |group| known.contains(group));
        if known.len() > KNOWN_MAX {
            known.clear();
        }
        known.extend(entries.iter().map(|entry| entry.name.clone()));
        entries
    }

    /// Returns why nothing is counted, in words.
    pub(super) fn missing(&self) -> Option<String> {
        self.source.missing().map(ToString::to_string)
    }

    fn explain(&self) {
        let Some(missing) = self.source.missing() else { return };
        status(&format!("stoop: rates and latencies are not known (-): {missing}\n"));
        if let Unavailable::No(Missing::Capabilities(_)) = missing {
            status(&format!("  next: sudo {}\n", format::command_line()));
        }
    }

    /// Returns how the command ends.
    pub(super) fn exit(&self) -> Exit {
        match (&self.completeness, self.source.missing()) {
            (_, Some(_)) => Exit::Partial,
            (Some(completeness), None) => completeness.exit(),
            (None, None) => Exit::Done,
        }
    }
}

/// Prints each look until it is told to stop.
fn repeat(mut look: Look<'_>) -> Outcome {
    let flags = look.flags;
    let signals = Signals::catch()?;
    look.explain();
    // What there is at the start: of what happened before, nothing is known.
    look.look()?;
    if !flags.once {
        let every = time::show(flags.interval);
        status(&format!("stoop: looking every {every}; press Ctrl-C to stop\n"));
    }
    let most = if flags.once { Some(1) } else { flags.count };
    let (mut count, mut next) = (0, Instant::now() + flags.interval);
    while most.is_none_or(|most| count < most) {
        if is_interrupted(&signals, next.saturating_duration_since(Instant::now()))? {
            break;
        }
        next = (next + flags.interval).max(Instant::now());
        let (frame, rows) = look.look()?;
        count += 1;
        if !flags.publishes_alone() {
            show(&look, &frame, &rows, count)?;
        }
    }
    Ok(look.exit())
}

impl Top {
    /// Returns whether nothing is printed, because metrics are published.
    fn publishes_alone(&self) -> bool {
        let wants_text = self.batch || self.plain || self.json || self.once;
        !wants_text && (self.metrics.is_some() || self.textfile.is_some())
    }
}

fn show(look: &Look<'_>, frame: &Frame, rows: &[Row], count: u64) -> Result<(), Failure> {
    let flags = look.flags;
    let moment = Moment { span: frame.span, now_ns: frame.now_ns };
    let mut entries = look.entries(frame, rows, flags.by);
    order::sort(&mut entries, flags.sort, false);
    if frame.uncounted > 0 {
        let events = format::plural(frame.uncounted as usize, "event");
        status(&format!("stoop: {events} not counted in this time\n"));
    }
    if flags.json {
        return print(&json::lines(frame, &entries, flags.by, look.missing().as_deref()));
    }
    let time = time::utc(frame.snapshot.taken);
    let text = match flags.plain {
        true => format!("{time}\n{}", text::sentences(&entries, moment)),
        false => text::table(&entries, flags.by, moment, terminal_width()),
    };
    let head = match (flags.plain || flags.once, count) {
        (true, _) => String::new(),
        (false, 1) => format!("{time}\n"),
        (false, _) => format!("\n{time}\n"),
    };
    print(format!("{head}{text}").as_bytes())
}

/// Waits. Returns true if a signal arrived.
fn is_interrupted(signals: &Signals, span: Duration) -> Result<bool, Failure> {
    let span = Timespec { tv_sec: span.as_secs() as i64, tv_nsec: span.subsec_nanos().into() };
    match poll(&mut [PollFd::new(signals, PollFlags::IN)], Some(&span)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(Failure::io("wait for signals", &error.into())),
    }
}
