//! Pieces from a file: what `--write` or a relay's `--record` has written.

use std::fs::File;
use std::io::{self, BufReader, Chain, Cursor, Read};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stoop_relay::record::{self, Recording};
use stoop_tap::pcapng::{self, Reader};
use stoop_tap::{End, Flow, FlowId, Piece, What};

use super::label_filter::LabelFilter;
use super::names::Label;
use super::recorded::Recorded;
use super::source::Source;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::status;
use crate::sockets::format;

/// How many pieces are read before they are shown.
const BATCH: usize = 1024;

/// A file, with the bytes by which its form was recognized in front again.
type Bytes = BufReader<Chain<Cursor<Vec<u8>>, Box<dyn Read>>>;

/// A file that is read.
#[derive(Debug)]
pub(super) struct Saved<'f> {
    name: String,
    form: Form,
    filter: LabelFilter<'f>,
}

/// Its form.
enum Form {
    Pcapng(Box<Reader<Bytes>>),
    Recording(Box<Recorded<Bytes>>),
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Form::Pcapng(_) => "Pcapng",
            Form::Recording(_) => "Recording",
        })
    }
}

impl<'f> Saved<'f> {
    /// Opens a file; `-` is standard input.
    pub(super) fn open(path: &Path, filter: LabelFilter<'f>) -> Result<Saved<'f>, Failure> {
        let name = path.display().to_string();
        let failed = |error: io::Error| Failure::io(format!("read '{name}'"), &error);
        let mut from: Box<dyn Read> = match path.as_os_str() == "-" {
            true => Box::new(io::stdin()),
            false => Box::new(File::open(path).map_err(failed)?),
        };
        let mut first = Vec::new();
        from.by_ref().take(8).read_to_end(&mut first).map_err(failed)?;
        let is_recording = first == b"stooprec";
        let bytes = BufReader::with_capacity(1 << 16, Cursor::new(first).chain(from));
        let form = match is_recording {
            true => Form::Recording(Box::new(Recorded::new(Recording::read(bytes).map_err(failed)?))),
            false => Form::Pcapng(Box::new(Reader::new(bytes).map_err(|error| unreadable(&name, &error))?)),
        };
        Ok(Saved { name, form, filter })
    }

    fn piece(&mut self) -> Option<io::Result<Piece>> {
        match &mut self.form {
            Form::Pcapng(reader) => reader.next(),
            Form::Recording(recorded) => recorded.next(),
        }
    }

    /// Returns whether a piece is of a selected connection.
    fn is_selected(&self, piece: &Piece) -> bool {
        let known = |end: End| self.label(end).unwrap_or_default();
        match (&piece.what, self.flow(piece.flow)) {
            (What::Connect { listener, process }, _) => {
                let client = Label { process: Some(process.clone()), ..Label::default() };
                self.filter.matches(&[client, known(*listener)], None)
            }
            (_, Some(flow)) => {
                let ends = flow.ends.each_ref().map(|end| known(end.socket));
                self.filter.matches(&ends, Some(flow.kind))
            }
            (_, None) => true,
        }
    }
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    if error.kind() != io::ErrorKind::InvalidData {
        return Failure::io(format!("read '{name}'"), error);
    }
    Failure::new(Exit::Failed, format!("cannot read '{name}': it is neither a capture nor a recording"))
        .why("captures of 'stoop tap -w' are pcapng files, recordings of 'stoop relay --record' begin with stooprec")
        .seen(format!("its first bytes: {error}"))
        .next(format!("file {name}    # what it is"))
        .into()
}

impl Source for Saved<'_> {
    fn next(&mut self, _timeout: Duration) -> Result<Option<Vec<Piece>>, Failure> {
        let mut pieces = Vec::new();
        for read in 0..BATCH {
            match self.piece() {
                None if read == 0 => return Ok(None),
                None => break,
                Some(Ok(piece)) if self.is_selected(&piece) => pieces.push(piece),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(Failure::io(format!("read '{}'", self.name), &error)),
            }
        }
        Ok(Some(pieces))
    }

    fn flow(&self, id: FlowId) -> Option<&Flow> {
        match &self.form {
            Form::Pcapng(reader) => reader.flow(id),
            Form::Recording(recorded) => recorded.flow(id),
        }
    }

    fn wall_time(&self, time_ns: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(time_ns)
    }

    fn label(&self, end: End) -> Option<Label> {
        match &self.form {
            Form::Pcapng(reader) => reader.label(end).map(of_file),
            Form::Recording(recorded) => recorded.label(end).cloned(),
        }
    }

    fn is_live(&self) -> bool {
        false
    }

    fn finish(&mut self) -> Result<Exit, Failure> {
        let (end, is_damaged) = match &self.form {
            Form::Pcapng(reader) => tail_of_capture(reader.tail()),
            Form::Recording(recorded) => tail_of_recording(recorded.tail()),
        };
        if let Some(end) = end {
            status(&format!("stoop: '{}' {end}\n", self.name));
        }
        if let Form::Pcapng(reader) = &self.form
            && reader.skipped() > 0
        {
            let count = format::plural(reader.skipped() as usize, "block");
            status(&format!("stoop: {count} left out: no packets of Unix sockets, or malformed\n"));
        }
        Ok(if is_damaged { Exit::Partial } else { Exit::Done })
    }
}

/// How a file ends in words, if there is anything to say, and whether it is damaged.
fn tail_of_capture(tail: Option<pcapng::Tail>) -> (Option<String>, bool) {
    match tail {
        Some(pcapng::Tail::Incomplete { offset }) => (Some(incomplete(offset)), false),
        Some(pcapng::Tail::Damaged { offset }) => (Some(damaged(offset)), true),
        _ => (None, false),
    }
}

fn tail_of_recording(tail: Option<record::Tail>) -> (Option<String>, bool) {
    match tail {
        Some(record::Tail::Incomplete { offset }) => (Some(incomplete(offset)), false),
        Some(record::Tail::Damaged { offset }) => (Some(damaged(offset)), true),
        _ => (None, false),
    }
}

fn incomplete(offset: u64) -> String {
    format!("ends within what begins at byte {offset}: it is still being written, or was cut off")
}

fn damaged(offset: u64) -> String {
    format!("is damaged from byte {offset} on: what follows was not read")
}

/// Converts what a capture says of an end.
fn of_file(label: &pcapng::Label) -> Label {
    Label {
        process: label.process.clone(),
        address: label.address.as_ref().and_then(|address| address.parse().ok()),
        workload: label.workload.clone(),
        // A container is written as `RUNTIME:ID`; the name of a unit has its type behind a dot.
        is_container: label.workload.as_ref().is_some_and(|text| text.contains(':') && !text.contains('.')),
    }
}
