//! Overwrites well-known secrets in the bytes of a connection, in the same length. Pure.
//!
//! A secret may come in any number of pieces. In every protocol its name, or the field that it is
//! in, comes before it. Each byte is therefore judged when it comes, and nothing is held back. What
//! cannot be judged, because it is compressed or because what describes it was not seen, is
//! overwritten, too.

mod assuan;
mod fastcgi;
pub(super) mod framed;
mod grpc;
mod http1;
mod http2;
mod mysql;
mod postgres;
mod protobuf;
mod protocol;
mod redis;
mod ssh_agent;
#[cfg(test)]
mod tests;
mod ttrpc;
mod uwsgi;
mod well_known;

use std::sync::Arc;

use stoop_bpf::SocketKind;

use super::known::{self, Create, Known, Place, Schemas, Shows, WAITING_MAX};
use super::line::Protocol;
use super::methods::Methods;
use super::secrets::{MASK, Secrets};
use super::unseen::Unseen;
use crate::follow::{Piece, Side, What};
pub(super) use protocol::Mask;

/// Overwrites the secrets of one connection.
///
/// # Examples
///
/// ```
/// use stoop_tap::{Masker, Side, SocketKind};
///
/// let mut masker = Masker::new(SocketKind::STREAM);
/// let mut pieces = [b"*2\r\n$4\r\nAU".to_vec(), b"TH\r\n$6\r\nsec".to_vec(), b"ret\r\n".to_vec()];
/// for piece in &mut pieces {
///     masker.data(Side::First, piece);
/// }
/// assert_eq!(pieces.concat(), b"*2\r\n$4\r\nAUTH\r\n$6\r\n******\r\n");
/// ```
#[derive(Debug)]
pub struct Masker {
    is_stream: bool,
    schemas: Schemas,
    mask: Option<Box<dyn Mask>>,
    texts: [Secrets; 2],
    /// Bytes of each direction that may begin a protocol, and are too few to tell.
    begun: [Vec<u8>; 2],
    /// Whether bytes were lost within a secret of a protocol: all is overwritten until it begins
    /// anew.
    withheld: [bool; 2],
    /// What may go on with something that was not seen.
    unseen: Unseen,
    /// Whether it follows an upgrade. Then there is no other one.
    is_upgraded: bool,
}

impl Masker {
    /// Creates a value for a connection of sockets of this type.
    pub fn new(kind: SocketKind) -> Masker {
        Masker {
            is_stream: kind == SocketKind::STREAM,
            schemas: None,
            mask: None,
            texts: Default::default(),
            begun: Default::default(),
            withheld: [false; 2],
            unseen: Unseen::default(),
            is_upgraded: false,
        }
    }

    /// Uses what is known of the methods of gRPC and ttrpc. Messages of methods without a schema
    /// are searched as text, except for those of a few well-known methods with credentials.
    #[must_use]
    pub fn with_methods(self, methods: Arc<dyn Methods>) -> Masker {
        Masker { schemas: Some(methods), ..self }
    }

    /// Expects that the connection is older than the capture. Its first bytes may then be the rest
    /// of something that was not seen, such as compressed headers with credentials. Until they show
    /// a protocol, or are text, they are overwritten, up to the length of a frame of HTTP/2.
    #[must_use]
    pub fn joined(self) -> Masker {
        Masker { unseen: Unseen::joined(), ..self }
    }

    /// Says of which protocol that end is a server, as for a
    /// [`Dialogue`](super::Dialogue::served).
    #[must_use]
    pub fn served(self, protocol: Protocol, server: Side) -> Masker {
        match known::served(protocol).filter(|_| self.unseen.is_joined()) {
            Some(served) => Masker { mask: Some((served.mask)(server)), ..self },
            None => self,
        }
    }

    fn upgraded(schemas: Schemas) -> Masker {
        Masker { schemas, is_upgraded: true, ..Masker::new(SocketKind::STREAM) }
    }

    /// Overwrites the secrets in a piece of the connection.
    pub fn piece(&mut self, piece: &mut Piece) {
        match &mut piece.what {
            What::Data(data) => {
                self.data(piece.from, &mut data.bytes);
                let missing = u64::from(data.len).saturating_sub(data.bytes.len() as u64);
                self.gap(piece.from, missing);
            }
            What::Missed(len) => self.gap(piece.from, *len),
            _ => {}
        }
    }

    /// Overwrites the secrets in the next bytes that an end sent.
    pub fn data(&mut self, from: Side, bytes: &mut [u8]) {
        if !self.is_stream {
            return Secrets::default().mask(bytes);
        }
        if self.mask.is_none() {
            self.choose(from, bytes);
            if self.mask.is_some() {
                (self.withheld, self.unseen) = ([false; 2], Unseen::default());
            }
        }
        let goes_on = match &mut self.mask {
            Some(mask) => mask.data(from, bytes),
            None => {
                self.text(from, bytes);
                true
            }
        };
        if !goes_on {
            self.forget();
            self.text(from, bytes);
        }
    }

    fn text(&mut self, from: Side, bytes: &mut [u8]) {
        if self.withheld[from.index()] {
            return bytes.fill(MASK);
        }
        let (rest, bytes) = bytes.split_at_mut(self.unseen.take(from, bytes));
        rest.fill(MASK);
        self.texts[from.index()].mask(bytes);
    }

    /// Skips bytes that were not captured.
    pub fn gap(&mut self, from: Side, len: u64) {
        if len == 0 || !self.is_stream {
            return;
        }
        self.texts[from.index()].gap();
        self.begun[from.index()].clear();
        let withheld = self.within();
        if self.mask.as_mut().is_some_and(|mask| !mask.gap(from, len)) {
            self.forget();
            self.withheld = withheld;
        }
    }

    /// Expects that any bytes may be missing from here on.
    pub fn lost(&mut self) {
        self.texts.iter_mut().for_each(Secrets::gap);
        if self.mask.as_mut().is_some_and(|mask| mask.lost()) {
            return;
        }
        let withheld = self.within();
        self.forget();
        self.withheld = withheld;
    }

    fn within(&self) -> [bool; 2] {
        let of = |from| self.mask.as_ref().is_some_and(|mask| mask.is_within(from));
        let [one, other] = self.withheld;
        [one || of(Side::First), other || of(Side::Second)]
    }

    /// Chooses by what comes next.
    fn forget(&mut self) {
        if self.mask.is_some() {
            self.unseen = Unseen::joined();
        }
        (self.mask, self.begun) = (None, Default::default());
    }

    /// Chooses by the next bytes of a direction, together with those before them that may begin a
    /// protocol.
    fn choose(&mut self, from: Side, bytes: &[u8]) {
        let begun = std::mem::take(&mut self.begun[from.index()]);
        let whole = [&begun[..], &bytes[..bytes.len().min(WAITING_MAX)]].concat();
        let (create, open) = self.shown(&whole);
        let is_first = begun.is_empty();
        self.begun[from.index()] = match open {
            Some(_) => whole,
            None if create.is_some() => begun,
            None => Vec::new(),
        };
        // A part of the begin of a protocol may look like another one's. Text does not: another
        // protocol may begin in the middle of it.
        if create.is_none() && !is_first && open.is_none_or(|known| known.mask.is_none()) {
            return self.choose_alone(from, bytes, open.is_some());
        }
        self.start(create);
    }

    /// Chooses by a piece alone.
    fn choose_alone(&mut self, from: Side, bytes: &[u8], is_waiting: bool) {
        let (create, open) = self.shown(bytes);
        let begun = &mut self.begun[from.index()];
        if create.is_some() {
            begun.clear();
        } else if open.is_some() && !is_waiting {
            begun.extend_from_slice(bytes);
        }
        self.start(create);
    }

    /// Returns what masks the protocol that these bytes show, or the one that they may begin.
    fn shown(&self, bytes: &[u8]) -> (Option<Create>, Option<&'static Known>) {
        let place = Place { is_upgraded: self.is_upgraded, is_joined: self.unseen.is_joined() };
        match known::begin(bytes, place) {
            Shows::TooShort(known) => (None, Some(known)),
            Shows::Protocol(known) => (known.mask, None),
            Shows::Nothing => (known::find(bytes, place).and_then(|known| known.mask), None),
        }
    }

    /// Masks a protocol from here on. It has to know the bytes of its begin, which were passed on.
    fn start(&mut self, create: Option<Create>) {
        let Some(create) = create else { return };
        let mut mask = create(&self.schemas);
        for from in [Side::First, Side::Second] {
            let mut begun = std::mem::take(&mut self.begun[from.index()]);
            if !begun.is_empty() {
                mask.data(from, &mut begun);
            }
        }
        self.mask = Some(mask);
    }
}

impl Mask for Masker {
    fn data(&mut self, from: Side, bytes: &mut [u8]) -> bool {
        Masker::data(self, from, bytes);
        true
    }

    fn gap(&mut self, from: Side, len: u64) -> bool {
        Masker::gap(self, from, len);
        true
    }

    fn is_within(&self, from: Side) -> bool {
        self.within()[from.index()] || self.texts[from.index()].is_within()
    }
}

/// Creates what masks HTTP/1, and what follows an upgrade.
pub(super) fn http1(schemas: &Schemas) -> Box<dyn Mask> {
    Box::new(http1::Http1::new(Box::new(Masker::upgraded(schemas.clone()))))
}

pub(super) fn redis(_: &Schemas) -> Box<dyn Mask> {
    Box::new(redis::Redis::default())
}

pub(super) fn postgres(_: &Schemas) -> Box<dyn Mask> {
    Box::new(postgres::Postgres::default())
}

pub(super) fn mysql(_: &Schemas) -> Box<dyn Mask> {
    Box::new(mysql::Mysql::default())
}

pub(super) fn fastcgi(_: &Schemas) -> Box<dyn Mask> {
    Box::new(fastcgi::FastCgi::default())
}

pub(super) fn uwsgi(_: &Schemas) -> Box<dyn Mask> {
    Box::new(uwsgi::Uwsgi::default())
}

pub(super) fn assuan(_: &Schemas) -> Box<dyn Mask> {
    Box::new(assuan::Assuan::default())
}

pub(super) fn ssh_agent(_: &Schemas) -> Box<dyn Mask> {
    Box::new(ssh_agent::SshAgent::default())
}

pub(super) fn ttrpc(schemas: &Schemas) -> Box<dyn Mask> {
    Box::new(ttrpc::Ttrpc::new(schemas.clone()))
}

pub(super) fn http2(schemas: &Schemas) -> Box<dyn Mask> {
    Box::new(http2::Http2::new(schemas.clone()))
}
