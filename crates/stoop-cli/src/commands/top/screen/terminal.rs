//! The terminal, its keys, and signals.

use std::io::{self, Stdout};
use std::os::fd::AsFd;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGTSTP};
use signal_hook::low_level::emulate_default_handler;

use super::state::Key;
use crate::failure::Failure;
use crate::signals::Signals;

/// What happened while waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Key(Key),
    Resized,
    TimedOut,
    /// A signal asks to end.
    End,
}

/// The screen while it belongs to this program. It is restored on drop, and at a panic.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    signals: Signals,
    stops: Signals,
    hangups: Signals,
}

impl Screen {
    pub(super) fn enter() -> Result<Screen, Failure> {
        let (signals, stops, hangups) =
            (Signals::catch()?, Signals::catch_one(SIGTSTP)?, Signals::catch_one(SIGHUP)?);
        // A panic restores the terminal before it is reported.
        let terminal = ratatui::try_init().map_err(|error| Failure::io("prepare the terminal", &error))?;
        Ok(Screen { terminal, signals, stops, hangups })
    }

    pub(super) fn height(&self) -> u16 {
        self.terminal.size().map_or(24, |size| size.height)
    }

    /// Draws, at the present size of the terminal.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut ratatui::Frame<'_>)) -> Result<(), Failure> {
        let drawn = self.terminal.draw(draw);
        drawn.map(drop).map_err(|error| Failure::io("draw", &error))
    }

    /// Forgets what is on the screen: everything is drawn again.
    pub(super) fn forget(&mut self) -> Result<(), Failure> {
        self.terminal.clear().map_err(|error| Failure::io("draw", &error))
    }

    /// Gives the terminal back, stops this process, and takes it again when it continues.
    pub(super) fn suspend(&mut self) -> Result<(), Failure> {
        ratatui::restore();
        let stopped = emulate_default_handler(SIGTSTP);
        let failed = |error| Failure::io("prepare the terminal", &error);
        self.terminal = ratatui::try_init().map_err(failed)?;
        stopped.map_err(failed)?;
        self.forget()
    }

    /// Waits for a key, a signal, another size, or this long.
    pub(super) fn wait(&mut self, span: Duration) -> Result<Input, Failure> {
        if let Some(input) = next_event()? {
            return Ok(input);
        }
        let stdin = io::stdin();
        let mut fds = [
            PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.stops.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.hangups.as_fd(), PollFlags::IN),
        ];
        let span = Timespec { tv_sec: span.as_secs() as i64, tv_nsec: span.subsec_nanos().into() };
        match poll(&mut fds, Some(&span)) {
            Ok(0) => return Ok(Input::TimedOut),
            // The size may have changed.
            Err(rustix::io::Errno::INTR) => return Ok(next_event()?.unwrap_or(Input::Resized)),
            Err(error) => return Err(Failure::io("wait for keys", &error.into())),
            Ok(_) => {}
        }
        let is_ready = |at: usize| !fds[at].revents().is_empty();
        if is_ready(1) || is_ready(3) || fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR) {
            return Ok(Input::End);
        }
        if is_ready(2) {
            self.stops.take();
            return Ok(Input::Key(Key::Suspend));
        }
        Ok(next_event()?.unwrap_or(Input::Resized))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Returns what the terminal has sent, if it means something.
fn next_event() -> Result<Option<Input>, Failure> {
    let failed = |error| Failure::io("read keys", &error);
    while event::poll(Duration::ZERO).map_err(failed)? {
        let input = match event::read().map_err(failed)? {
            Event::Key(pressed) if pressed.kind != KeyEventKind::Release => key(pressed).map(Input::Key),
            Event::Resize(..) => Some(Input::Resized),
            _ => None,
        };
        if input.is_some() {
            return Ok(input);
        }
    }
    Ok(None)
}

fn key(pressed: KeyEvent) -> Option<Key> {
    let has_control = pressed.modifiers.contains(KeyModifiers::CONTROL);
    Some(match pressed.code {
        KeyCode::Char('c') if has_control => Key::Interrupt,
        KeyCode::Char('z') if has_control => Key::Suspend,
        KeyCode::Char('l') if has_control => Key::Redraw,
        KeyCode::Char(_) if has_control => return None,
        KeyCode::Char(letter) => Key::Character(letter),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::First,
        KeyCode::End => Key::Last,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        _ => return None,
    })
}
