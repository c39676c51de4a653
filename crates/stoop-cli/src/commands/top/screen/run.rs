//! Looks, draws, and waits for a key.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::super::accounts::{Entry, entries, members};
use super::super::args::By;
use super::super::column::Moment;
use super::super::frame::Frame;
use super::super::order;
use super::super::run::Look;
use super::draw::{draw, page};
use super::history::History;
use super::state::{Effect, Key, State};
use super::terminal::{Input, Screen};
use super::view::View;
use crate::failure::{Failure, Outcome};
use crate::output::has_color;
use crate::sockets::Row;
use crate::time;

/// The first look is soon: until then, nothing is known.
const SOON: Duration = Duration::from_millis(500);
/// While frozen, nothing is to be done before a key is pressed.
const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// Shows what sockets do until the user quits.
pub(in super::super) fn run(mut look: Look<'_>) -> Outcome {
    // What happened before is not known.
    let mut seen = look.look()?;
    seen.0.activities = None;
    let flags = look.flags;
    let state = State::new(flags.by, flags.sort, flags.interval);
    let mut screen = Screen::enter()?;
    let missing = look.missing();
    let mut next = Instant::now() + SOON.min(flags.interval);
    let history = History::default();
    let mut session = Session { look, state, seen, entries: Vec::new(), lines: Vec::new(), history, missing };
    session.recount();
    loop {
        session.draw(&mut screen)?;
        let pause = match session.state.is_frozen {
            true => A_DAY,
            false => next.saturating_duration_since(Instant::now()),
        };
        let effect = match screen.wait(pause)? {
            Input::Key(key) => session.press(key),
            Input::Resized => Effect::Draw,
            Input::TimedOut if session.state.is_frozen => Effect::Draw,
            Input::TimedOut => Effect::Look,
            Input::End => Effect::Quit,
        };
        match effect {
            Effect::Quit => break,
            Effect::Draw => {}
            Effect::Recount => session.recount(),
            Effect::Redraw => screen.forget()?,
            Effect::Suspend => screen.suspend()?,
            Effect::Look => {
                session.look()?;
                next = Instant::now() + session.state.interval;
            }
        }
    }
    drop(screen);
    Ok(session.look.exit())
}

struct Session<'f> {
    look: Look<'f>,
    state: State,
    seen: (Frame, Vec<Row>),
    entries: Vec<Entry>,
    /// The ids and names of the entries.
    lines: Vec<(Rc<str>, Rc<str>)>,
    history: History,
    missing: Option<String>,
}

impl Session<'_> {
    fn press(&mut self, key: Key) -> Effect {
        self.state.press(key, &self.lines)
    }

    fn moment(&self) -> Moment {
        Moment { span: self.seen.0.span, now_ns: self.seen.0.now_ns }
    }

    fn look(&mut self) -> Result<(), Failure> {
        self.seen = self.look.look()?;
        let (frame, rows) = &self.seen;
        let by = self.state.detail.as_ref().map_or(self.state.by, |detail| detail.by);
        let all = self.look.entries(frame, rows, by);
        self.history.add(&all, self.moment());
        self.recount();
        Ok(())
    }

    /// Computes the lines again.
    fn recount(&mut self) {
        let (frame, rows) = &self.seen;
        self.entries = match &self.state.detail {
            Some(detail) => {
                let rows = members(frame, rows, detail.by, &detail.id);
                entries(frame, &rows, By::Socket, |_| false)
            }
            None => self.look.entries(frame, rows, self.state.by),
        };
        order::filter(&mut self.entries, &self.state.filter);
        order::sort(&mut self.entries, self.state.sort, self.state.is_reversed);
        self.lines = self.entries.iter().map(|entry| (entry.id.clone(), entry.name.clone())).collect();
        self.state.scroll(&self.lines);
    }

    fn draw(&mut self, screen: &mut Screen) -> Result<(), Failure> {
        let height = screen.height();
        self.state.page = page(&self.view(""), height);
        self.state.scroll(&self.lines);
        let stamp = time::utc(self.seen.0.snapshot.taken);
        let clock = stamp.split_once('T').map_or(&*stamp, |(_, clock)| clock);
        let view = self.view(clock);
        screen.draw(|screen| draw(&view, screen))
    }

    fn view<'v>(&'v self, clock: &'v str) -> View<'v> {
        View {
            state: &self.state,
            entries: &self.entries,
            selected: self.state.position(&self.lines),
            moment: self.moment(),
            history: &self.history,
            clock,
            sockets: self.seen.0.snapshot.sockets.len(),
            uncounted: self.seen.0.uncounted,
            missing: self.missing.as_deref(),
            has_color: has_color(),
        }
    }
}
