//! Editing lines at a terminal, with a history, while the server's words appear above the line that
//! is being edited.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Config, DefaultEditor, Editor, ExternalPrinter};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Printer};
use crate::pump::Source;

const PROMPT: &str = "> ";

/// Goes up a line and down again: nothing to see, and a line of its own to the editor.
const NOTHING: &str = "\x1b[A\n";

/// How long the editor has to show what it was given, before we end.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// How long the editor has to finish what it was drawing.
const LAST_STROKE: Duration = Duration::from_millis(20);

/// The terminal of a conversation.
pub(super) struct Terminal {
    editor: Option<Editor<(), FileHistory>>,
    /// A second way to print, for the end.
    printer: Option<EditorPrinter>,
    /// How the terminal was before it was used for editing.
    before: Termios,
}

/// The way that the editor offers.
type EditorPrinter = Box<dyn ExternalPrinter + Send>;

impl Terminal {
    /// The terminal that we talk through, where both ends of the conversation with a person are
    /// one, and it can be edited on.
    pub(super) fn open() -> Option<Terminal> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return None;
        }
        let before = tcgetattr(io::stdin()).ok()?;
        let config =
            Config::builder().auto_add_history(true).history_ignore_space(true).bracketed_paste(false);
        let mut editor = DefaultEditor::with_config(config.build()).ok()?;
        // A terminal that cannot be edited on has no way to print beside the line, either.
        let printer: EditorPrinter = Box::new(editor.create_external_printer().ok()?);
        Some(Terminal { editor: Some(editor), printer: Some(printer), before })
    }

    /// A way to print beside the line that is being edited.
    pub(super) fn printer(&mut self) -> Printer {
        let printer = self.editor.as_mut().and_then(|editor| editor.create_external_printer().ok());
        match printer {
            Some(mut printer) => Box::new(move |text| printer.print(text).map_err(|error| failed(&error))),
            None => Box::new(|text| output::print(text.as_bytes())),
        }
    }

    /// The person's lines. Gives the editor away.
    pub(super) fn editor(&mut self) -> Option<Box<dyn Source + Send>> {
        let editor = self.editor.take()?;
        Some(Box::new(Lines::new(editor)))
    }

    /// Leaves the terminal as it was, also while a line is still being edited.
    pub(super) fn settle(&mut self) {
        let is_editing = tcgetattr(io::stdin()).is_ok_and(|now| now.local_modes != self.before.local_modes);
        if is_editing {
            self.show_all();
            let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.before);
            // Also ends an update of the screen that the editor may be in the middle of.
            let _ = output::print(b"\x1b[?2026l\r\x1b[K");
        }
    }

    /// Waits until the editor has shown what it was given: it takes the second of two lines when it
    /// has shown the first, and the first when it has shown what came before.
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

/// Lines as a person has edited them.
struct Lines {
    editor: Editor<(), FileHistory>,
    history: Option<PathBuf>,
    line: Vec<u8>,
}

impl Lines {
    fn new(mut editor: Editor<(), FileHistory>) -> Lines {
        let history = history_file();
        if let Some(history) = &history {
            // There is none the first time.
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
                    // A history that cannot be kept is no reason to stop talking.
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

/// `$XDG_STATE_HOME/stoop/history`; its directory is made for its user alone.
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
