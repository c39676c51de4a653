//! Runs a command in a container, or attaches to its first process.

use std::io;

use serde_json::{Value, json};
use stoop::escaped;

use super::super::args::{Attach, Exec};
use super::super::field::{number, text};
use super::super::select::Sort;
use super::super::session::{Session, bytes_of, value_of};
use super::connection::Connection;
use super::spdy::Event;
use super::status::{self, Ended};
use super::terminal;
use super::upgrade::{Purpose, upgrade};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, describe};
use crate::output::Screen;
use crate::pump::Sink;
use crate::raw_mode::{self, Passthrough, RawMode};

/// Runs a command in a container.
pub(in super::super) async fn exec(session: &Session<'_>, flags: &Exec) -> Outcome {
    if flags.tty && flags.interactive {
        raw_mode::check()?;
    }
    let id = session.id_of(Sort::Container, &flags.id).await?;
    if flags.sync {
        return exec_sync(session, flags, &id).await;
    }
    let ends = Ends { input: flags.interactive, tty: flags.tty };
    let mut request = ends.request(&id);
    request["cmd"] = json!(flags.command);
    converse(session, "Exec", &request, ends).await
}

/// Attaches to the first process of a container.
pub(in super::super) async fn attach(session: &Session<'_>, flags: &Attach) -> Outcome {
    if flags.tty && flags.interactive {
        raw_mode::check()?;
    }
    let id = session.id_of(Sort::Container, &flags.id).await?;
    let ends = Ends { input: flags.interactive, tty: flags.tty };
    converse(session, "Attach", &ends.request(&id), ends).await
}

/// Runs a command by a single call.
async fn exec_sync(session: &Session<'_>, flags: &Exec, id: &str) -> Outcome {
    let timeout = flags.timeout.map_or(0, |timeout| timeout.as_secs().max(1));
    let request = json!({"containerId": id, "cmd": flags.command, "timeout": timeout});
    let answer = session.message("ExecSync", &request).await?;
    for (mut screen, field) in [(Screen::new(None), "stdout"), (Screen::on_stderr(), "stderr")] {
        screen.put(&bytes_of(&answer, field))?;
        screen.finish()?;
    }
    Ok(exit_with(u8::try_from(number(&value_of(&answer), "exitCode")).unwrap_or(u8::MAX)))
}

/// Returns the exit of this command for the exit code of another. Codes that have no meaning here
/// are passed on as well.
fn exit_with(code: u8) -> Exit {
    if code == 0 {
        return Exit::Done;
    }
    std::process::exit(code.into())
}

/// Which streams there are besides standard output.
#[derive(Clone, Copy, Debug)]
struct Ends {
    input: bool,
    /// A terminal has no separate standard error.
    tty: bool,
}

impl Ends {
    fn request(self, id: &str) -> Value {
        json!({"containerId": id, "stdin": self.input, "stdout": true, "stderr": !self.tty, "tty": self.tty})
    }

    /// Returns the streams to open.
    fn streams(self) -> Vec<&'static str> {
        let optional = [("stdin", self.input), ("stderr", !self.tty), ("resize", self.tty)];
        let asked = optional.iter().filter(|(_, is_asked)| *is_asked).map(|(name, _)| *name);
        ["error", "stdout"].into_iter().chain(asked).collect()
    }
}

/// Connects to the stream that the runtime returns, and copies until the command has exited.
async fn converse(session: &Session<'_>, method: &str, request: &Value, ends: Ends) -> Outcome {
    let answer = session.call(method, request).await?;
    let upgraded = upgrade(text(&answer, "url"), Purpose::Process, &session.errors).await?;
    let mut connection = Connection::new(upgraded);
    let names = ends.streams();
    let headers: Vec<[(&str, &str); 1]> = names.iter().map(|name| [("streamtype", *name)]).collect();
    let headers: Vec<&[(&str, &str)]> = headers.iter().map(|one| &one[..]).collect();
    let numbers = connection.open(&headers).await.map_err(|error| cut(&error))?;
    let stream = |wanted: &str| {
        names.iter().zip(&numbers).find(|(name, _)| **name == wanted).map(|(_, number)| *number)
    };
    let keys = (ends.tty && ends.input).then(RawMode::enable).transpose()?;
    if let Some(stream) = stream("stdin") {
        terminal::send_input(connection.sender(), stream)?;
    }
    if let Some(stream) = stream("resize") {
        terminal::send_size(connection.sender(), stream)?;
    }
    let out: Box<dyn Sink> = if keys.is_some() { Box::new(Passthrough) } else { Box::new(Screen::new(None)) };
    let places = Places { report: stream("error"), out: stream("stdout"), err: stream("stderr") };
    let ended = copy(&mut connection, places, out).await;
    // Before anything is reported.
    drop(keys);
    conclude(session, ended?)
}

/// The numbers of the streams that are read.
#[derive(Clone, Copy, Debug)]
struct Places {
    report: Option<u32>,
    out: Option<u32>,
    err: Option<u32>,
}

/// Prints what arrives, until all streams have ended. Returns how the command ended.
async fn copy(connection: &mut Connection, places: Places, mut out: Box<dyn Sink>) -> Result<Ended, Failure> {
    let mut err = Screen::on_stderr();
    let mut report = Vec::new();
    let mut open: Vec<u32> = [places.report, places.out, places.err].into_iter().flatten().collect();
    let mut failed = None;
    while !open.is_empty() {
        let event = match connection.next().await {
            Ok(Some(event)) => event,
            Ok(None) => break,
            Err(error) => {
                failed = Some(error);
                break;
            }
        };
        let closed = match event {
            Event::Data { stream, bytes, is_last } => {
                match Some(stream) {
                    at if at == places.report => report.extend(bytes),
                    at if at == places.out => out.put(&bytes)?,
                    at if at == places.err => err.put(&bytes)?,
                    _ => {}
                }
                is_last.then_some(stream)
            }
            Event::Reset { stream, .. } => Some(stream),
            _ => None,
        };
        open.retain(|&stream| Some(stream) != closed);
    }
    out.finish()?;
    err.finish()?;
    match (status::read(&report), failed) {
        (Ended::Unknown, Some(error)) => Err(cut(&error)),
        (ended, _) => Ok(ended),
    }
}

fn conclude(session: &Session<'_>, ended: Ended) -> Outcome {
    match ended {
        Ended::Exited(code) => Ok(exit_with(code)),
        Ended::Failed(message) => {
            Err(Failure::new(Exit::Failed, format!("the command was not run: {}", escaped(&message)))
                .why("the runtime reports this instead of an exit code")
                .next(session.errors.command("ps -a"))
                .into())
        }
        Ended::Unknown => Err(Failure::new(Exit::CutOff, "the exit code is not known")
            .why("the runtime closed the stream before it reported one")
            .next(session.errors.command("ps -a"))
            .into()),
    }
}

/// Reports that the connection of the streams broke.
pub(super) fn cut(error: &io::Error) -> Failure {
    Failure::new(Exit::CutOff, format!("the stream was cut off: {}", describe(error)))
        .why("the runtime closed the connection, or exited")
        .into()
}
