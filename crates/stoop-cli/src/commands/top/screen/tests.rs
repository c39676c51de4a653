//! Whole screens, compared with golden files, and random keys.

use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::super::accounts::{Entry, entries, members};
use super::super::args::{By, Sort};
use super::super::column::Moment;
use super::super::frame::Frame;
use super::super::{order, sample};
use super::draw::{draw, page};
use super::history::History;
use super::state::{Effect, Key, State};
use super::view::View;
use crate::sockets::{self, Row, rows};

/// A machine, and what is shown of it.
struct Machine {
    frame: Frame,
    rows: Vec<Row>,
    state: State,
    history: History,
    missing: Option<&'static str>,
}

impl Machine {
    fn new() -> Machine {
        let frame = sample::frame(sockets::sample::machine());
        let rows = rows(&frame.snapshot);
        let state = State::new(By::Address, Sort::Traffic, Duration::from_secs(2));
        Machine { frame, rows, state, history: History::default(), missing: None }
    }

    fn entries(&self) -> Vec<Entry> {
        let mut entries = match &self.state.detail {
            Some(detail) => {
                let rows = members(&self.frame, &self.rows, detail.by, &detail.id);
                entries(&self.frame, &rows, By::Socket, |_| false)
            }
            None => entries(&self.frame, &self.rows, self.state.by, |_| true),
        };
        order::filter(&mut entries, &self.state.filter);
        order::sort(&mut entries, self.state.sort, self.state.is_reversed);
        entries
    }

    fn press(&mut self, keys: &[Key]) -> Effect {
        let mut effect = Effect::Draw;
        for key in keys {
            let lines = lines(&self.entries());
            effect = self.state.press(*key, &lines);
        }
        effect
    }

    /// Returns the screen as text.
    fn screen(&mut self, width: u16, height: u16) -> String {
        let entries = self.entries();
        let lines = lines(&entries);
        let moment = Moment { span: self.frame.span, now_ns: self.frame.now_ns };
        self.state.page = page(&self.view(&entries, 0, moment), height);
        self.state.scroll(&lines);
        let selected = self.state.position(&lines);
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|screen| draw(&self.view(&entries, selected, moment), screen)).unwrap();
        let buffer = terminal.backend().buffer();
        let line = |y: u16| -> String { (0..width).map(|x| buffer[(x, y)].symbol()).collect() };
        (0..height).map(|y| line(y).trim_end().to_owned() + "\n").collect()
    }

    fn view<'v>(&'v self, entries: &'v [Entry], selected: usize, moment: Moment) -> View<'v> {
        View {
            state: &self.state,
            entries,
            selected,
            moment,
            history: &self.history,
            clock: "22:10:03Z",
            sockets: self.frame.snapshot.sockets.len(),
            uncounted: self.frame.uncounted,
            missing: self.missing,
            has_color: true,
        }
    }
}

fn lines(entries: &[Entry]) -> Vec<(Rc<str>, Rc<str>)> {
    entries.iter().map(|entry| (entry.id.clone(), entry.name.clone())).collect()
}

#[test]
fn screens_match_the_golden_files() {
    for (name, width, height) in [("top-80.txt", 80, 24), ("top-40.txt", 40, 10), ("top-200.txt", 200, 20)] {
        sockets::sample::golden(name, &Machine::new().screen(width, height));
    }
}

#[test]
fn an_entry_is_opened_with_its_sockets_and_its_past() {
    let mut machine = Machine::new();
    machine.state.sort = Sort::Name;
    for calls in [1, 50, 20, 80] {
        let mut all = machine.entries();
        all.iter_mut().for_each(|entry| entry.activity = Some(sample::activity(calls, calls * 100)));
        let moment = Moment { span: Duration::from_secs(1), now_ns: 0 };
        machine.history.add(&all, moment);
    }
    assert_eq!(machine.press(&[Key::Down, Key::Down, Key::Down, Key::Down, Key::Enter]), Effect::Recount);
    sockets::sample::golden("top-detail.txt", &machine.screen(100, 16));
    machine.press(&[Key::Escape]);
    assert_eq!(machine.state.detail, None);
    assert!(machine.state.selected.is_some(), "it is still selected");
}

#[test]
fn what_is_missing_is_named() {
    let mut machine = Machine::new();
    machine.frame.activities = None;
    machine.missing = Some("CAP_BPF and CAP_PERFMON missing");
    let screen = machine.screen(80, 12);
    assert!(screen.contains("rates not known (-): CAP_BPF and CAP_PERFMON missing"), "{screen}");
    let line = screen.lines().find(|line| line.contains("PGSQL")).unwrap();
    let cells: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(&cells[1..6], ["-", "-", "-", "-", "-"], "{line}");
    assert_eq!(cells[6..8], ["240", "1/244"], "{line}");
}

#[test]
fn a_filter_is_typed_and_cleared() {
    let mut machine = Machine::new();
    let typed: Vec<Key> = "/PGsql".chars().map(Key::Character).collect();
    assert_eq!(machine.press(&typed), Effect::Recount);
    assert_eq!(machine.entries().len(), 1);
    assert!(machine.screen(80, 10).contains("filter: PGsql_"));
    machine.press(&[Key::Enter]);
    // q is no longer a letter of the filter.
    assert_eq!(machine.press(&[Key::Character('q')]), Effect::Quit);
    machine.press(&[Key::Escape]);
    assert!(machine.state.filter.is_empty() && machine.entries().len() > 1);
}

#[test]
fn a_selected_entry_stays_selected_when_the_order_changes() {
    let mut machine = Machine::new();
    machine.state.sort = Sort::Name;
    machine.press(&[Key::Down]);
    let name = machine.state.selected.clone();
    machine.press(&[Key::Character('r')]);
    let entries = machine.entries();
    assert_eq!(Some(&entries[machine.state.position(&lines(&entries))].id), name.as_ref());
}

#[test]
fn freezing_stops_looking_and_goes_on_with_a_look() {
    let mut machine = Machine::new();
    assert_eq!(machine.press(&[Key::Character(' ')]), Effect::Draw);
    assert!(machine.state.is_frozen && machine.screen(80, 10).contains("FROZEN"));
    assert_eq!(machine.press(&[Key::Character(' ')]), Effect::Look);
    assert_eq!(machine.press(&[Key::Interrupt]), Effect::Quit);
    assert_eq!(machine.press(&[Key::Suspend]), Effect::Suspend);
}

fn keys() -> impl Strategy<Value = Key> {
    prop_oneof![
        any::<char>().prop_map(Key::Character),
        proptest::sample::select(" ?/bsSrjkgG+-h".chars().collect::<Vec<_>>()).prop_map(Key::Character),
        proptest::sample::select(vec![
            Key::Up,
            Key::Down,
            Key::Left,
            Key::Right,
            Key::PageUp,
            Key::PageDown,
            Key::First,
            Key::Last,
            Key::Enter,
            Key::Escape,
            Key::Backspace,
            Key::Redraw,
        ]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is typed, at whatever size: it is drawn, and the selected line is on the screen.
    #[test]
    fn any_keys_at_any_size_are_drawn(
        keys in proptest::collection::vec(keys(), 0..40),
        width in 1u16..220,
        height in 1u16..60,
    ) {
        let mut machine = Machine::new();
        machine.press(&keys);
        machine.screen(width, height);
        let lines = lines(&machine.entries());
        let (at, state) = (machine.state.position(&lines), &machine.state);
        prop_assert!(state.top <= lines.len());
        if state.selected.is_some() && !lines.is_empty() {
            prop_assert!((state.top..state.top + state.page).contains(&at));
        }
    }
}
