//! Overwrites well-known secrets in the bytes of a connection, in the same length. Pure.
//!
//! A secret may come in any number of pieces. In every protocol its name, or the field that it is
//! in, comes before it. Each byte is therefore judged when it comes, and nothing is held back. What
//! cannot be judged, because it is compressed or because what describes it was not seen, is
//! overwritten, too.

mod fastcgi;
mod grpc;
mod http1;
mod http2;
mod mysql;
mod postgres;
mod protobuf;
mod protocol;
mod redis;
#[cfg(test)]
mod tests;
mod ttrpc;
mod well_known;

use std::sync::Arc;

use stoop_bpf::SocketKind;

use super::methods::Methods;
use super::secrets::{MASK, Secrets};
use crate::follow::{Piece, Side, What};
use protocol::Mask;

/// How many bytes at the beginning of a direction may be needed to choose a protocol.
const BEGIN_MAX: usize = 64;

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
    methods: Option<Arc<dyn Methods>>,
    mask: Option<Box<dyn Mask>>,
    texts: [Secrets; 2],
    /// The first bytes of each direction, while they do not tell the protocol.
    begun: [Option<Vec<u8>>; 2],
    /// Whether bytes were lost within a secret of a protocol: all is overwritten until it begins
    /// anew.
    withheld: [bool; 2],
    /// Whether it follows an upgrade. Then there is no other one.
    is_upgraded: bool,
}

impl Masker {
    /// Creates a value for a connection of sockets of this type.
    pub fn new(kind: SocketKind) -> Masker {
        Masker {
            is_stream: kind == SocketKind::STREAM,
            methods: None,
            mask: None,
            texts: Default::default(),
            begun: [Some(Vec::new()), Some(Vec::new())],
            withheld: [false; 2],
            is_upgraded: false,
        }
    }

    /// Uses what is known of the methods of gRPC and ttrpc. Messages of methods without a schema
    /// are searched as text, except for those of a few well-known methods with credentials.
    #[must_use]
    pub fn with_methods(self, methods: Arc<dyn Methods>) -> Masker {
        Masker { methods: Some(methods), ..self }
    }

    fn upgraded(methods: Option<Arc<dyn Methods>>) -> Masker {
        Masker { methods, is_upgraded: true, ..Masker::new(SocketKind::STREAM) }
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
                self.withheld = [false; 2];
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
        match self.withheld[from.index()] {
            true => bytes.fill(MASK),
            false => self.texts[from.index()].mask(bytes),
        }
    }

    /// Skips bytes that were not captured.
    pub fn gap(&mut self, from: Side, len: u64) {
        if len == 0 || !self.is_stream {
            return;
        }
        self.texts[from.index()].gap();
        self.begun[from.index()] = None;
        let withheld = self.within();
        if self.mask.as_mut().is_some_and(|mask| !mask.gap(from, len)) {
            self.forget();
            self.withheld = withheld;
        }
    }

    /// Expects that any bytes may be missing from here on.
    pub fn lost(&mut self) {
        let withheld = self.within();
        self.texts.iter_mut().for_each(Secrets::gap);
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
        (self.mask, self.begun) = (None, [None, None]);
    }

    /// Chooses by the first bytes of a direction, or by those of a later piece, as the decoders do.
    fn choose(&mut self, from: Side, bytes: &[u8]) {
        let begun = &mut self.begun[from.index()];
        if let Some(before) = begun.take().filter(|before| !before.is_empty()) {
            let first = [&before[..], &bytes[..bytes.len().min(BEGIN_MAX)]].concat();
            self.mask = choose(&first, &self.methods, self.is_upgraded);
            if let Some(mask) = &mut self.mask {
                // It has to know them; they were passed on.
                mask.data(from, &mut before.clone());
                return;
            }
            let is_open = super::ttrpc::may_begin(&first);
            *begun = Some(first).filter(|first| first.len() < BEGIN_MAX);
            if is_open {
                return;
            }
        } else if self.mask.is_none() {
            *begun = Some(bytes.to_vec()).filter(|first| first.len() < BEGIN_MAX);
        }
        self.mask = choose(bytes, &self.methods, self.is_upgraded);
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

/// Returns what masks the protocol that begins like this; `None` if text is searched.
fn choose(bytes: &[u8], methods: &Option<Arc<dyn Methods>>, is_upgraded: bool) -> Option<Box<dyn Mask>> {
    use super::{dbus, fastcgi as fcgi, http1 as http, http2 as h2, jsonrpc, resp, syslog, varlink};
    use super::{postgres as pg, ttrpc as rpc};
    let methods = || methods.clone();
    Some(match bytes {
        _ if http::begins(bytes) && !is_upgraded => {
            Box::new(http1::Http1::new(Box::new(Masker::upgraded(methods()))))
        }
        _ if resp::begins(bytes) => Box::new(redis::Redis::default()),
        _ if pg::begins(bytes) => Box::new(postgres::Postgres::default()),
        _ if [dbus::begins, syslog::begins, varlink::begins, jsonrpc::begins].iter().any(|is| is(bytes)) => {
            return None;
        }
        _ if mysql::begins(bytes) => Box::new(mysql::Mysql::default()),
        _ if fcgi::begins(bytes) => Box::new(fastcgi::FastCgi::default()),
        _ if rpc::begins(bytes) => Box::new(ttrpc::Ttrpc::new(methods())),
        // Its header may look like one of HTTP/2.
        _ if rpc::may_begin(bytes) => return None,
        _ if h2::begins(bytes) || h2::is_joined(bytes) => Box::new(http2::Http2::new(methods())),
        _ => return None,
    })
}
