//! The file of `--write`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use stoop_tap::pcapng::Writer;
use stoop_tap::{Data, Line, Piece, Protocol, Side, SocketKind, mask};

use super::names::Label;
use crate::failure::Failure;
use crate::output::print;

/// The file, or standard output.
#[derive(Debug)]
pub(super) struct CaptureFile {
    writer: Writer,
    /// `None`: standard output.
    file: Option<File>,
    name: String,
    with_secrets: bool,
}

impl CaptureFile {
    /// Creates the file, readable by its owner only: it has what was said.
    pub(super) fn create(path: &Path, with_secrets: bool) -> Result<CaptureFile, Failure> {
        let name = path.display().to_string();
        let file = match path.as_os_str() == "-" {
            true => None,
            false => {
                let mut options = OpenOptions::new();
                let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
                Some(file.map_err(|error| Failure::io(format!("create '{name}'"), &error))?)
            }
        };
        let writer = Writer::new(concat!("stoop ", env!("CARGO_PKG_VERSION")));
        Ok(CaptureFile { writer, file, name, with_secrets })
    }

    /// Adds a message. `lines` is what it was decoded as.
    pub(super) fn data(
        &mut self,
        piece: &Piece,
        data: &Data,
        time_ns: u64,
        lines: &[Line],
        open: impl FnOnce() -> (SocketKind, Protocol, [Label; 2]),
    ) {
        if !self.writer.has(piece.flow) {
            let (kind, protocol, ends) = open();
            let words = ends.each_ref().map(described);
            // It was opened by the end that sent first, which may be the second of the connection.
            self.writer.open(piece.flow, kind, protocol, [&words[0], &words[1]], time_ns);
        }
        let mut bytes = data.bytes.clone();
        if !self.with_secrets {
            bytes = mask(&bytes);
            // A secret that only the decoder knows: its place in the bytes does not stand out.
            if bytes == data.bytes && lines.iter().any(is_redacted) {
                bytes.clear();
            }
        }
        self.writer.data(piece.flow, piece.from, time_ns, &bytes, data.len, data.fds);
    }

    /// Ends a direction.
    pub(super) fn end(&mut self, flow: u64, from: Side, time_ns: u64) {
        self.writer.end(flow, from, time_ns);
    }

    /// Writes what was added.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        let bytes = self.writer.take();
        match &mut self.file {
            None => print(&bytes),
            Some(file) => {
                write_all(file, &bytes).map_err(|error| Failure::io(format!("write '{}'", self.name), &error))
            }
        }
    }
}

fn write_all(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() { Ok(()) } else { file.write_all(bytes) }
}

fn is_redacted(line: &Line) -> bool {
    line.text.windows(10).any(|window| window == b"[redacted]")
}

/// An end in words: the process, its number, the address.
fn described(label: &Label) -> String {
    let process = label.process.as_ref().map(|(pid, command)| format!("{}[{pid}]", stoop::escaped(command)));
    let address = label.address.as_ref().map(|address| address.to_string());
    let words: Vec<String> = [process, address].into_iter().flatten().collect();
    if words.is_empty() { "unknown".to_owned() } else { words.join(" ") }
}
