//! Edits lines at a terminal, with a history. What the server sends appears above the line being
//! edited.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Config, DefaultEditor, Editor, ExternalPrinter};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Printer};
use crate::pump::Source;

const PROMPT: &str = "> ";

/// Moves up a line and down again: it shows nothing, but the editor treats it as a line.
const NOTHING: &str = "\x1b[A\n";

/// How long to wait for the editor to show its pending output before exiting.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// How long to wait for the editor to finish drawing.
const LAST_STROKE: Duration = Duration::from_millis(20);

/// The terminal of an interactive conversation.
pub(super) struct Terminal {
    editor: Option<Editor<(), FileHistory>>,
    /// A second printer, used at the end.
    printer: Option<EditorPrinter>,
    /// The terminal's mode before editing started.
    before: Termios,
    /// Whether typed lines are recorded in a file.
    has_history: bool,
}

/// The printer that the editor offers.
type EditorPrinter = Box<dyn ExternalPrinter + Send>;

impl Terminal {
    /// Opens the terminal, if standard input and standard output are terminals and lines can be
    /// edited there. A terminal that does not echo is left as it is: what is typed there is secret.
    pub(super) fn open(has_history: bool) -> Option<Terminal> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return None;
        }
        let before = tcgetattr(io::stdin()).ok()?;
        if !before.local_modes.contains(LocalModes::ECHO) {
            return None;
        }
        let config =
            Config::builder().auto_add_history(true).history_ignore_space(true).bracketed_paste(false);
        let mut editor = DefaultEditor::with_config(config.build()).ok()?;
        // A terminal without editing also has no way to print above the line.
        let printer: EditorPrinter = Box::new(editor.create_external_printer().ok()?);
        Some(Terminal { editor: Some(editor), printer: Some(printer), before, has_history })
    }

    /// Returns a printer that prints above the line being edited.
    pub(super) fn printer(&mut self) -> Printer {
        let printer = self.editor.as_mut().and_then(|editor| editor.create_external_printer().ok());
        match printer {
            Some(mut printer) => Box::new(move |text| printer.print(text).map_err(|error| failed(&error))),
            None => Box::new(|text| output::print(text.as_bytes())),
        }
    }

    /// Returns the lines the user types. This gives the editor away.
    pub(super) fn editor(&mut self) -> Option<Box<dyn Source + Send>> {
        let editor = self.editor.take()?;
        Some(Box::new(Lines::new(editor, self.has_history)))
    }

    /// Restores the terminal, even while a line is being edited.
    pub(super) fn settle(&mut self) {
        let is_editing = tcgetattr(io::stdin()).is_ok_and(|now| now.local_modes != self.before.local_modes);
        if is_editing {
            self.show_all();
            let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.before);
            // This also ends a synchronized update of the screen that the editor may have started.
            let _ = output::print(b"\x1b[?2026l\r\x1b[K");
        }
    }

    /// Waits until the editor has shown its pending output. Its channel accepts the second of two
    /// lines once the first has been shown, and the first once everything before it has been shown.
    fn show_all(&mut self) {
        let Some(mut printer) = self.printer.take() else { return };
        let (done, shown) = mpsc::channel();
        thread::spawn(move || {
            let both = printer.print(NOTHING.into()).and_then(|()| printer.print(NOTHING.into()));
            let _ = done.send(both.is_ok());
        });
        let _ = shown.recv_timeout(LAST_WORDS);
        thread::sleep(LAST_STROKE);
    }
}

/// Lines edited by the user.
struct Lines {
    editor: Editor<(), FileHistory>,
    history: Option<PathBuf>,
    line: Vec<u8>,
}

impl Lines {
    fn new(mut editor: Editor<(), FileHistory>, has_history: bool) -> Lines {
        let history = if has_history { history_file() } else { None };
        if let Some(history) = &history {
            // The first time there is no history file.
            let _ = editor.load_history(history);
        }
        Lines { editor, history, line: Vec::new() }
    }
}

impl Source for Lines {
    fn next(&mut self) -> Result<Option<&[u8]>, Failure> {
        match self.editor.readline(PROMPT) {
            Ok(line) => {
                if let Some(history) = &self.history {
                    // A history that cannot be saved is not a reason to stop.
                    let _ = self.editor.append_history(history);
                }
                self.line = line.into_bytes();
                self.line.push(b'\n');
                Ok(Some(&self.line))
            }
            Err(ReadlineError::Eof) => Ok(None),
            Err(ReadlineError::Interrupted) => Err(Failure::Quit),
            Err(error) => Err(failed(&error)),
        }
    }
}

/// Returns `$XDG_STATE_HOME/stoop/history`. Its directory is created with access for its user only.
fn history_file() -> Option<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    let directory = state.join("stoop");
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory).ok()?;
    Some(directory.join("history"))
}

fn failed(error: &ReadlineError) -> Failure {
    match error {
        ReadlineError::Io(error) => Failure::io("use the terminal", error),
        other => Failure::new(Exit::Failed, format!("cannot use the terminal: {other}")).into(),
    }
}
