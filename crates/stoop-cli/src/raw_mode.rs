//! Puts the terminal into raw mode, so that keys are sent to the server as they are typed, and
//! restores it afterwards, however the command ends.

use std::io::{self, IsTerminal};
use std::thread;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level::emulate_default_handler;

use crate::failure::Failure;
use crate::output;
use crate::pump::Sink;

/// Signals that would end or stop this process without restoring the terminal. In raw mode keys
/// generate none of them, but other processes may send them.
const SIGNALS: [i32; 5] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP];

/// Checks that standard input and standard output are terminals.
pub(crate) fn check() -> Result<(), Failure> {
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        return Ok(());
    }
    Err(Failure::usage(
        "--tty cannot be used here",
        "it requires standard input and standard output to be a terminal",
    ))
}

/// A terminal in raw mode, restored on drop.
pub(crate) struct RawMode {
    before: Termios,
    signals: Handle,
}

impl RawMode {
    pub(crate) fn enable() -> Result<RawMode, Failure> {
        let failed = |error: io::Error| Failure::io("prepare the terminal", &error);
        let before = tcgetattr(io::stdin()).map_err(|error| failed(error.into()))?;
        let mut raw = before.clone();
        raw.make_raw();
        let mut signals = Signals::new(SIGNALS).map_err(failed)?;
        let raw_mode = RawMode { before: before.clone(), signals: signals.handle() };
        set(&raw).map_err(failed)?;
        thread::Builder::new()
            .spawn(move || {
                for signal in &mut signals {
                    let _ = set(&before);
                    let _ = emulate_default_handler(signal);
                    // The process was stopped and continues.
                    let _ = set(&raw);
                }
            })
            .map_err(failed)?;
        Ok(raw_mode)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        self.signals.close();
        // A terminal that was closed does not need to be restored.
        let _ = set(&self.before);
    }
}

fn set(modes: &Termios) -> io::Result<()> {
    Ok(tcsetattr(io::stdin(), OptionalActions::Drain, modes)?)
}

/// Shows the server's output unchanged: it controls the terminal.
pub(crate) struct Passthrough;

impl Sink for Passthrough {
    fn put(&mut self, piece: &[u8]) -> Result<(), Failure> {
        output::print(piece)
    }

    fn finish(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}
