//! What is shown, and what a key changes. Pure.

use std::rc::Rc;
use std::time::Duration;

use super::super::args::{By, Sort};

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Character(char),
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    First,
    Last,
    Enter,
    Escape,
    Backspace,
    Interrupt,
    Suspend,
    Redraw,
}

/// What is to be done after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Draw,
    /// The lines are to be computed again.
    Recount,
    /// Look now.
    Look,
    Redraw,
    Suspend,
    Quit,
}

/// An entry of which all sockets are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Detail {
    pub(super) id: Rc<str>,
    pub(super) name: Rc<str>,
    pub(super) by: By,
}

/// What is shown.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) by: By,
    pub(super) sort: Sort,
    pub(super) is_reversed: bool,
    pub(super) filter: String,
    /// Whether the filter is being typed.
    pub(super) is_typing: bool,
    pub(super) is_frozen: bool,
    pub(super) is_help: bool,
    pub(super) interval: Duration,
    /// The selected entry, which stays selected where it goes.
    pub(super) selected: Option<Rc<str>>,
    pub(super) detail: Option<Detail>,
    /// The first line that is shown.
    pub(super) top: usize,
    /// How many lines are shown at once.
    pub(super) page: usize,
}

const INTERVAL_MIN: Duration = Duration::from_millis(250);
const INTERVAL_MAX: Duration = Duration::from_secs(60);
/// The longest filter.
const FILTER_MAX: usize = 100;

impl State {
    pub(super) fn new(by: By, sort: Sort, interval: Duration) -> State {
        State {
            by,
            sort,
            is_reversed: false,
            filter: String::new(),
            is_typing: false,
            is_frozen: false,
            is_help: false,
            interval,
            selected: None,
            detail: None,
            top: 0,
            page: 1,
        }
    }

    /// Returns what the lines are about.
    pub(super) fn lines_by(&self) -> By {
        if self.detail.is_some() { By::Socket } else { self.by }
    }

    /// Changes what is shown. `lines` are the entries now: their ids and names.
    pub(super) fn press(&mut self, key: Key, lines: &[(Rc<str>, Rc<str>)]) -> Effect {
        match key {
            Key::Interrupt => return Effect::Quit,
            Key::Suspend => return Effect::Suspend,
            Key::Redraw => return Effect::Redraw,
            _ => {}
        }
        if self.is_typing {
            return self.type_filter(key);
        }
        if self.is_help {
            self.is_help = false;
            return if key == Key::Character('q') { Effect::Quit } else { Effect::Draw };
        }
        match key {
            Key::Character(letter) => self.letter(letter, lines),
            Key::Enter => self.open(lines),
            Key::Escape | Key::Backspace => self.back(),
            Key::Left => self.sort_by(-1),
            Key::Right => self.sort_by(1),
            _ => {
                self.step(key, lines);
                Effect::Draw
            }
        }
    }

    fn letter(&mut self, letter: char, lines: &[(Rc<str>, Rc<str>)]) -> Effect {
        match letter {
            'q' => return Effect::Quit,
            '?' | 'h' => self.is_help = true,
            '/' => self.is_typing = true,
            'b' => return self.next_view(),
            's' => return self.sort_by(1),
            'S' => return self.sort_by(-1),
            'r' => {
                self.is_reversed = !self.is_reversed;
                return Effect::Recount;
            }
            ' ' => {
                self.is_frozen = !self.is_frozen;
                return if self.is_frozen { Effect::Draw } else { Effect::Look };
            }
            '+' => self.interval = (self.interval * 2).min(INTERVAL_MAX),
            '-' => self.interval = (self.interval / 2).max(INTERVAL_MIN),
            'j' => self.step(Key::Down, lines),
            'k' => self.step(Key::Up, lines),
            'g' => self.step(Key::First, lines),
            'G' => self.step(Key::Last, lines),
            _ => {}
        }
        Effect::Draw
    }

    fn type_filter(&mut self, key: Key) -> Effect {
        match key {
            Key::Enter => self.is_typing = false,
            Key::Escape => {
                self.is_typing = false;
                self.filter.clear();
            }
            Key::Backspace => drop(self.filter.pop()),
            Key::Character(letter) if self.filter.len() < FILTER_MAX && !letter.is_control() => {
                self.filter.push(letter);
            }
            _ => return Effect::Draw,
        }
        Effect::Recount
    }

    fn next_view(&mut self) -> Effect {
        if self.detail.is_some() {
            return Effect::Draw;
        }
        let at = By::ALL.iter().position(|by| *by == self.by).unwrap_or_default();
        self.by = By::ALL[(at + 1) % By::ALL.len()];
        (self.selected, self.top) = (None, 0);
        Effect::Recount
    }

    fn sort_by(&mut self, step: isize) -> Effect {
        let at = Sort::ALL.iter().position(|sort| *sort == self.sort).unwrap_or_default();
        let len = Sort::ALL.len() as isize;
        self.sort = Sort::ALL[(at as isize + step).rem_euclid(len) as usize];
        Effect::Recount
    }

    fn open(&mut self, lines: &[(Rc<str>, Rc<str>)]) -> Effect {
        let at = self.position(lines);
        let Some((id, name)) = lines.get(at).filter(|_| self.detail.is_none()) else { return Effect::Draw };
        self.detail = Some(Detail { id: id.clone(), name: name.clone(), by: self.by });
        (self.selected, self.top) = (None, 0);
        Effect::Recount
    }

    fn back(&mut self) -> Effect {
        if let Some(detail) = self.detail.take() {
            (self.selected, self.top) = (Some(detail.id), 0);
        } else {
            self.filter.clear();
        }
        Effect::Recount
    }

    fn step(&mut self, key: Key, lines: &[(Rc<str>, Rc<str>)]) {
        let Some(last) = lines.len().checked_sub(1) else { return };
        let at = self.position(lines);
        let to = match key {
            Key::Up => at.saturating_sub(1),
            Key::Down => at + 1,
            Key::PageUp => at.saturating_sub(self.page.max(1)),
            Key::PageDown => at + self.page.max(1),
            Key::First => 0,
            _ => last,
        };
        self.selected = Some(lines[to.min(last)].0.clone());
        self.scroll(lines);
    }

    /// Returns the line of the selected entry: the first, if it is missing.
    pub(super) fn position(&self, lines: &[(Rc<str>, Rc<str>)]) -> usize {
        let selected = self.selected.as_ref();
        selected.and_then(|selected| lines.iter().position(|(id, _)| id == selected)).unwrap_or(0)
    }

    /// Moves the page so that the selected entry is on it, if there is one.
    pub(super) fn scroll(&mut self, lines: &[(Rc<str>, Rc<str>)]) {
        let page = self.page.max(1);
        self.top = self.top.min(lines.len().saturating_sub(page));
        if self.selected.is_some() {
            let at = self.position(lines);
            self.top = self.top.min(at).max((at + 1).saturating_sub(page));
        }
    }
}
