//! From pieces to entries, in order.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use stoop_tap::{Dialogue, End, FlowId, Kind, Line, Loss, Methods, Piece, Protocol, Side, SocketKind, What};

use super::names::{Label, Names};
use super::origin::{self, Origin};
use super::source::Source;

/// How long an entry may wait until both processes of its connection are known.
const PATIENCE: Duration = Duration::from_millis(60);
/// How long bytes may wait for more that show their protocol.
const UNDECIDED_MAX: Duration = Duration::from_millis(250);
/// Connections whose decoders are kept.
pub(super) const DIALOGUES_MAX: usize = 50_000;

/// Something to show.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) time_ns: u64,
    pub(super) flow: FlowId,
    pub(super) from: Side,
    pub(super) what: Shown,
}

/// What to show.
#[derive(Clone, Debug)]
pub(super) enum Shown {
    Line(Line),
    /// A process connected to a listener.
    Connected {
        client: (u32, Vec<u8>),
        listener: Label,
    },
    End,
    Error(i32),
    Missed(u64),
    Lost(Loss),
}

/// Decoders of all connections, and what was not shown yet.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) names: Names,
    dialogues: HashMap<FlowId, Dialogue>,
    /// Connections whose ends were looked up.
    known: HashSet<FlowId>,
    waiting: VecDeque<(Instant, Entry)>,
    /// Connections whose decoders wait for more bytes, since when.
    undecided: VecDeque<(Instant, FlowId)>,
    /// Whether decoders were dropped, so that a new one may be of an old connection.
    has_forgotten: bool,
    with_payload: bool,
    methods: Option<Arc<dyn Methods>>,
}

impl Session {
    pub(super) fn new(names: Names, with_payload: bool, methods: Option<Arc<dyn Methods>>) -> Session {
        Session {
            names,
            dialogues: HashMap::new(),
            known: HashSet::new(),
            waiting: VecDeque::new(),
            undecided: VecDeque::new(),
            has_forgotten: false,
            with_payload,
            methods,
        }
    }

    /// Takes a piece, and decodes it.
    pub(super) fn take(&mut self, source: &dyn Source, piece: &Piece) {
        let is_new = self.known.insert(piece.flow) || source.learns_ends();
        if let Some(flow) = source.flow(piece.flow).filter(|_| is_new) {
            self.names.refresh(&flow.ends);
        }
        if self.known.len() > DIALOGUES_MAX {
            self.known.clear();
        }
        let shown = self.shown(source, piece);
        self.wait(piece.flow, piece.from, piece.time_ns, shown);
    }

    fn wait(&mut self, flow: FlowId, from: Side, time_ns: u64, shown: Vec<Shown>) {
        let now = Instant::now();
        for what in shown {
            // What was held back is older than the piece that shows what it is.
            let (from, time_ns) = match &what {
                Shown::Line(line) => (line.from, line.time_ns),
                _ => (from, time_ns),
            };
            self.waiting.push_back((now, Entry { time_ns, flow, from, what }));
        }
    }

    /// Shows as they are the bytes that have waited for more: as long as they may, or all of them.
    fn decide(&mut self, all: bool) {
        while let Some((_, flow)) =
            self.undecided.pop_front_if(|(since, _)| all || since.elapsed() > UNDECIDED_MAX)
        {
            let lines = self.dialogues.get_mut(&flow).map(Dialogue::release).unwrap_or_default();
            self.wait(flow, Side::First, 0, lines.into_iter().map(Shown::Line).collect());
        }
    }

    fn shown(&mut self, source: &dyn Source, piece: &Piece) -> Vec<Shown> {
        match &piece.what {
            What::Connect { listener, process } => {
                let listener = self.socket(source, *listener);
                vec![Shown::Connected { client: process.clone(), listener }]
            }
            What::Data(data) if !self.with_payload => {
                let mut line = Line::message(piece.time_ns, piece.from, Protocol::Bytes, "");
                line.len = Some(data.len.into());
                (line.fds, line.files, line.is_unread) = (data.fds, data.files.clone(), data.is_unread);
                vec![Shown::Line(line)]
            }
            What::Lost(loss) => {
                self.names.lose();
                self.decide(true);
                for dialogue in self.dialogues.values_mut() {
                    dialogue.piece(piece);
                }
                vec![Shown::Lost(*loss)]
            }
            what => {
                let lines = self.decode(source, piece);
                let then = match what {
                    What::End => Some(Shown::End),
                    What::Error(errno) => Some(Shown::Error(*errno)),
                    What::Missed(len) => Some(Shown::Missed(*len)),
                    _ => None,
                };
                lines.into_iter().map(Shown::Line).chain(then).collect()
            }
        }
    }

    fn decode(&mut self, source: &dyn Source, piece: &Piece) -> Vec<Line> {
        if source.flow(piece.flow).is_none() {
            return Vec::new();
        }
        if self.dialogues.len() > DIALOGUES_MAX {
            self.decide(true);
            self.dialogues.clear();
            self.has_forgotten = true;
        }
        if !self.dialogues.contains_key(&piece.flow) {
            let new = self.origin(source, piece.flow).dialogue(self.methods.as_ref());
            self.dialogues.insert(piece.flow, new);
        }
        let Some(dialogue) = self.dialogues.get_mut(&piece.flow) else { return Vec::new() };
        let was_waiting = dialogue.is_waiting();
        let lines = dialogue.piece(piece);
        if dialogue.is_waiting() && !was_waiting {
            self.undecided.push_back((Instant::now(), piece.flow));
        }
        lines
    }

    /// Returns what is known of a connection before its bytes are seen. A file does not say whether
    /// it has their begin.
    pub(super) fn origin(&self, source: &dyn Source, flow: FlowId) -> Origin {
        let served = origin::served(&self.labels(source, flow));
        let of_file = !source.is_live() && served.is_some();
        let found = source.flow(flow);
        let is_older = found.is_some_and(|flow| self.names.is_older(&flow.ends)) || self.has_forgotten;
        let kind = found.map_or(SocketKind::STREAM, |flow| flow.kind);
        Origin { kind, is_older: is_older || of_file, served }
    }

    /// Returns the protocol of a connection.
    pub(super) fn protocol(&self, flow: FlowId) -> Option<Protocol> {
        self.dialogues.get(&flow)?.protocol()
    }

    /// Returns the entries that can be shown: those whose ends are known, or have been waited for.
    pub(super) fn ready(&mut self, source: &dyn Source, all: bool) -> Vec<(Entry, [Label; 2])> {
        if all || source.is_live() {
            self.decide(all);
        }
        let mut ready = Vec::new();
        while let Some((since, entry)) = self.waiting.front() {
            let labels = self.labels(source, entry.flow);
            let is_known = entry.flow == 0 || labels.iter().all(|label| label.process.is_some());
            if !(all || is_known || !source.is_live() || since.elapsed() > PATIENCE) {
                break;
            }
            if let Some((_, entry)) = self.waiting.pop_front() {
                ready.push((entry, labels));
            }
        }
        ready
    }

    /// Describes both ends of a connection.
    pub(super) fn labels(&self, source: &dyn Source, flow: FlowId) -> [Label; 2] {
        match source.flow(flow) {
            Some(flow) => [0, 1].map(|end: usize| {
                let end = &flow.ends[end];
                self.names.label(end).or(source.label(end.socket))
            }),
            None => Default::default(),
        }
    }

    /// Describes a socket.
    pub(super) fn socket(&self, source: &dyn Source, end: End) -> Label {
        self.names.socket(end).or(source.label(end))
    }
}

/// Returns whether an entry counts for `--count`: calls, answers and messages.
pub(super) fn counts(entry: &Entry) -> bool {
    matches!(entry.what, Shown::Line(_))
}

/// Returns the word for the kind of a line.
pub(super) fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Call => "call",
        Kind::Answer { .. } => "response",
        Kind::Message => "data",
    }
}
