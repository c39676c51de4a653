//! A terminal whose keys go to the server as they are typed, and which is as it was before when
//! that is over, however it ends.

use std::io::{self, IsTerminal};
use std::thread;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level::emulate_default_handler;

use crate::failure::Failure;
use crate::output;
use crate::pump::Sink;

/// What would end or stop us, and leave the terminal as it is: keys send none of them any more,
/// other processes may.
const SIGNALS: [i32; 5] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP];

/// Whether a person is at both ends.
pub(super) fn check() -> Result<(), Failure> {
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        return Ok(());
    }
    Err(Failure::usage(
        "--tty needs a terminal as standard input and output; without it both are passed on as they are",
    ))
}

/// A terminal that does nothing with keys but pass them on; until it is dropped.
pub(super) struct Keys {
    before: Termios,
    signals: Handle,
}

impl Keys {
    pub(super) fn pass_on() -> Result<Keys, Failure> {
        let failed = |error: io::Error| Failure::io("prepare the terminal", &error);
        let before = tcgetattr(io::stdin()).map_err(|error| failed(error.into()))?;
        let mut raw = before.clone();
        raw.make_raw();
        let mut signals = Signals::new(SIGNALS).map_err(failed)?;
        let keys = Keys { before: before.clone(), signals: signals.handle() };
        set(&raw).map_err(failed)?;
        thread::Builder::new()
            .spawn(move || {
                for signal in &mut signals {
                    let _ = set(&before);
                    let _ = emulate_default_handler(signal);
                    // We were stopped, and go on.
                    let _ = set(&raw);
                }
            })
            .map_err(failed)?;
        Ok(keys)
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.signals.close();
        // A terminal that is gone needs nothing.
        let _ = set(&self.before);
    }
}

fn set(modes: &Termios) -> io::Result<()> {
    Ok(tcsetattr(io::stdin(), OptionalActions::Drain, modes)?)
}

/// What the other side draws, as it comes: it has been given the terminal.
pub(super) struct Picture;

impl Sink for Picture {
    fn put(&mut self, piece: &[u8]) -> Result<(), Failure> {
        output::print(piece)
    }

    fn finish(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}
