//! The file of `--write`.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use stoop_tap::pcapng::{self, Writer};
use stoop_tap::{Data, FlowId, Masker, Methods, Piece, Protocol, Side, What};

use super::file_flags::FileFlags;
use super::names::Label;
use super::origin::Origin;
use super::rotation::{Files, Rotation};
use super::session::DIALOGUES_MAX;
use crate::failure::Failure;
use crate::output::print;

/// The file, or standard output.
#[derive(Debug)]
pub(super) struct CaptureFile {
    writer: Writer,
    /// `None`: standard output.
    files: Option<Files>,
    /// `None`: secrets are written.
    maskers: Option<Maskers>,
    /// How much of each message is written.
    snaplen: usize,
    /// What was not written yet.
    pending: Vec<u8>,
}

/// What is known of a connection.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) origin: Origin,
    pub(super) protocol: Protocol,
    pub(super) ends: [Label; 2],
}

/// What overwrites the secrets of each connection.
#[derive(Debug)]
struct Maskers {
    flows: HashMap<FlowId, Masker>,
    methods: Option<Arc<dyn Methods>>,
    /// Whether some were dropped, so that a new one may be of an old connection.
    has_forgotten: bool,
}

const APPLICATION: &str = concat!("stoop ", env!("CARGO_PKG_VERSION"));

impl CaptureFile {
    /// Creates the file, if one is to be written.
    pub(super) fn create(
        flags: &FileFlags,
        methods: Option<Arc<dyn Methods>>,
    ) -> Result<Option<CaptureFile>, Failure> {
        let Some(path) = &flags.write else { return Ok(None) };
        let rotation = Rotation::of(flags)?;
        if flags.read.as_deref().is_some_and(|read| is_same_file(read, path)) {
            let name = path.display();
            return Err(Failure::usage(
                format!("'{name}' is the file that is read"),
                "it would be empty before it is read; write to another file",
            ));
        }
        let files = match path.as_os_str() == "-" {
            true => None,
            false => Some(Files::create(path, rotation)?),
        };
        let snaplen = flags.snaplen.map_or(usize::MAX, |len| usize::try_from(len).unwrap_or(usize::MAX));
        let writer = Writer::new(APPLICATION);
        let maskers =
            (!flags.secrets).then(|| Maskers { flows: HashMap::new(), methods, has_forgotten: false });
        Ok(Some(CaptureFile { writer, files, maskers, snaplen, pending: Vec::new() }))
    }

    /// Adds a piece. `ends` describes its connection, or the
    /// client and the listener of a connect.
    pub(super) fn piece(
        &mut self,
        piece: &Piece,
        time_ns: u64,
        described: impl Fn() -> Described,
    ) -> Result<(), Failure> {
        self.add(piece, time_ns, described);
        self.pending.append(&mut self.writer.take());
        let is_full = |files: &Files| files.is_full(self.pending.len() as u64);
        if self.files.as_ref().is_some_and(is_full) { self.flush() } else { Ok(()) }
    }

    fn add(&mut self, piece: &Piece, time_ns: u64, described: impl Fn() -> Described) {
        let (flow, from) = (piece.flow, piece.from);
        match &piece.what {
            What::Lost(loss) => {
                self.maskers.iter_mut().flat_map(|all| all.flows.values_mut()).for_each(Masker::lost);
                return self.writer.lost(time_ns, *loss);
            }
            What::Connect { .. } => {
                let [client, listener] = described().ends;
                return self.writer.connected(time_ns, &written(&client), &written(&listener));
            }
            _ if self.writer.has(flow) => {}
            What::End | What::Error(_) => return,
            _ => {
                let Described { origin, protocol, ends } = described();
                let labels = ends.each_ref().map(written);
                // It was opened by the end that sent first, which may be the second of the
                // connection.
                self.writer.open(flow, origin.kind, protocol, [&labels[0], &labels[1]], time_ns);
            }
        }
        match &piece.what {
            What::Data(data) => {
                let mut data = data.clone();
                self.hide(flow, from, &mut data, || described().origin);
                self.writer.data(flow, from, time_ns, &data);
            }
            What::Missed(len) => {
                self.maskers.iter_mut().for_each(|all| all.gap(flow, from, *len));
                self.writer.missed(flow, from, time_ns, *len);
            }
            What::End => self.writer.end(flow, from, time_ns),
            What::Error(errno) => self.writer.error(flow, from, time_ns, *errno),
            _ => {}
        }
    }

    /// Leaves what is written of a message: without secrets, and not more than was asked for.
    fn hide(&mut self, flow: FlowId, from: Side, data: &mut Data, origin: impl FnOnce() -> Origin) {
        if let Some(all) = &mut self.maskers {
            all.masker(flow, origin).data(from, &mut data.bytes);
            all.gap(flow, from, u64::from(data.len).saturating_sub(data.bytes.len() as u64));
        }
        data.bytes.truncate(self.snaplen);
    }

    /// Writes what was added. Begins another file if that is due.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.pending.append(&mut self.writer.take());
        let bytes = std::mem::take(&mut self.pending);
        let Some(files) = &mut self.files else { return print(&bytes) };
        if !bytes.is_empty() {
            files.write(&bytes)?;
        }
        if files.is_full(0) {
            files.rotate()?;
            // Each file is whole: connections are introduced in each again.
            self.writer.restart(APPLICATION);
        }
        Ok(())
    }
}

impl Maskers {
    /// Returns what masks a connection, which may be a new one.
    fn masker(&mut self, flow: FlowId, origin: impl FnOnce() -> Origin) -> &mut Masker {
        if self.flows.len() >= DIALOGUES_MAX && !self.flows.contains_key(&flow) {
            self.flows.clear();
            self.has_forgotten = true;
        }
        let (methods, has_forgotten) = (self.methods.as_ref(), self.has_forgotten);
        self.flows.entry(flow).or_insert_with(|| {
            let origin = origin();
            Origin { is_older: origin.is_older || has_forgotten, ..origin }.masker(methods)
        })
    }

    fn gap(&mut self, flow: FlowId, from: Side, len: u64) {
        if let Some(masker) = self.flows.get_mut(&flow) {
            masker.gap(from, len);
        }
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let id = |path| std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
    id(one).is_some() && id(one) == id(other)
}

fn written(label: &Label) -> pcapng::Label {
    let mut written = pcapng::Label::default();
    written.process.clone_from(&label.process);
    written.address = label.address.as_ref().map(|address| address.to_string());
    written.workload.clone_from(&label.workload);
    written
}
