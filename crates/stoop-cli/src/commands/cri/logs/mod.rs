//! The log of a container: the runtime names its file, and this reads it.
//!
//! | file | does |
//! |---|---|
//! | `mod.rs` | finds the file, and prints it |
//! | `line.rs` | decodes lines: pure |
//! | `file.rs` | reads the file, also while it grows and is rotated |

mod file;
mod line;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use stoop::escaped;

use self::file::LogFile;
use self::line::{Choice, Decoder, Printed, Source};
use super::args::Logs;
use super::field::text;
use super::moment::nanos;
use super::select::{Sort, previous};
use super::session::Session;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::Screen;
use crate::pump::Sink;

/// How often a log that is followed is read. No notification works for every file system that may
/// hold it.
const INTERVAL: Duration = Duration::from_millis(100);

/// How many times a log is read between two questions whether its container still runs.
const READS_PER_QUESTION: u32 = 5;

/// Prints the log of a container.
pub(super) async fn run(session: &Session<'_>, flags: &Logs) -> Outcome {
    let container = find(session, flags).await?;
    let id = text(&container, "id").to_owned();
    let path = path_of(session, &id).await?;
    let mut file = LogFile::open(path, flags.tail.and_then(|tail| tail.0))?;
    let choice = Choice {
        since: flags.since.map(|since| since.nanos(nanos(SystemTime::now()))),
        timestamps: flags.timestamps,
        limit_bytes: flags.limit_bytes,
    };
    let mut printer = Printer::new(choice);
    let mut reads = 0;
    let mut is_last = !flags.follow;
    loop {
        while let Some(piece) = file.read()? {
            if !printer.put(piece)? {
                return printer.finish();
            }
        }
        if is_last {
            return printer.finish();
        }
        tokio::time::sleep(INTERVAL).await;
        reads += 1;
        // What was written before it exited is read once more.
        is_last = reads % READS_PER_QUESTION == 0 && !is_running(session, &id).await?;
    }
}

async fn find(session: &Session<'_>, flags: &Logs) -> Result<Value, Failure> {
    let current = session.find(Sort::Container, &flags.id).await?;
    if !flags.previous {
        return Ok(current);
    }
    let all = session.all(Sort::Container).await?;
    previous(&all, &current).cloned().ok_or_else(|| {
        let what = format!("container '{}' has no previous instance", escaped(&flags.id));
        let report = Failure::new(Exit::No, what);
        report
            .why("it was never restarted, or the previous instance was removed")
            .next(session.errors.command("ps -a"))
            .into()
    })
}

async fn path_of(session: &Session<'_>, id: &str) -> Result<PathBuf, Failure> {
    let status = session.call("ContainerStatus", &json!({"containerId": id})).await?;
    match text(&status, "status.logPath") {
        "" => Err(Failure::new(Exit::No, format!("container '{id}' has no log file"))
            .why("it was created without a log path, so the runtime discards its output")
            .next(session.errors.command(&format!("attach {id}    # what it prints from now on")))
            .into()),
        path => Ok(PathBuf::from(path)),
    }
}

/// Returns whether the container still runs. One that was removed does not.
async fn is_running(session: &Session<'_>, id: &str) -> Result<bool, Failure> {
    let all = session.all(Sort::Container).await?;
    let own = all.iter().find(|item| text(item, "id") == id);
    Ok(own.is_some_and(|item| ["CONTAINER_RUNNING", "CONTAINER_CREATED"].contains(&text(item, "state"))))
}

/// Prints each line to the stream that the container wrote it to.
struct Printer {
    decoder: Decoder,
    out: Screen,
    err: Screen,
}

impl Printer {
    fn new(choice: Choice) -> Printer {
        Printer { decoder: Decoder::new(choice), out: Screen::new(None), err: Screen::on_stderr() }
    }

    /// Prints a piece of the file. Returns whether more is wanted.
    fn put(&mut self, piece: &[u8]) -> Result<bool, Failure> {
        self.decoder.push(piece);
        while let Some(Printed { source, text }) = self.decoder.next() {
            match source {
                Source::Stdout => self.out.put(&text)?,
                Source::Stderr => self.err.put(&text)?,
            }
        }
        Ok(!self.decoder.is_full())
    }

    fn finish(mut self) -> Outcome {
        self.out.finish()?;
        self.err.finish()?;
        Ok(Exit::Done)
    }
}
