//! Chooses a decoder by the first bytes.

use std::sync::Arc;

use super::line::{Decode, Line, Protocol};
use super::methods::Methods;
use super::{
    dbus, fastcgi, http1, http2, jsonrpc, mysql, notify, postgres, resp, syslog, text, ttrpc, varlink,
};
use crate::follow::Side;

/// A decoder that is chosen by the first bytes. While no other protocol is recognized, bytes are
/// text, and the next ones may show what it is.
#[derive(Debug, Default)]
pub(super) struct Sniffed {
    decoder: Option<Box<dyn Decode>>,
    methods: Option<Arc<dyn Methods>>,
    /// Whether it decodes what follows an upgrade. Then there is no other one.
    is_upgraded: bool,
}

impl Sniffed {
    pub(super) fn new(methods: Option<Arc<dyn Methods>>) -> Sniffed {
        Sniffed { methods, ..Sniffed::default() }
    }

    /// Returns the protocol that was chosen last.
    pub(super) fn chosen(&self) -> Option<Protocol> {
        self.decoder.as_ref().map(|decoder| decoder.protocol())
    }

    /// Chooses again by the next bytes.
    pub(super) fn forget(&mut self) {
        self.decoder = None;
    }

    /// Decodes a message of a socket that keeps boundaries.
    pub(super) fn packet(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) {
        let mut decoder: Box<dyn Decode> = match bytes {
            _ if syslog::begins(bytes) => Box::new(syslog::Syslog),
            _ if notify::begins(bytes) => Box::new(notify::Notify),
            _ => Box::new(text::Text),
        };
        decoder.data(from, time_ns, bytes, lines);
        self.decoder = Some(decoder);
    }

    fn stream(&self, bytes: &[u8]) -> Box<dyn Decode> {
        match bytes {
            _ if http1::begins(bytes) && !self.is_upgraded => {
                let upgraded = Sniffed { is_upgraded: true, ..Sniffed::new(self.methods.clone()) };
                Box::new(http1::Http1::new(Box::new(upgraded)))
            }
            _ if resp::begins(bytes) => Box::new(resp::Resp::default()),
            _ if postgres::begins(bytes) => Box::new(postgres::Postgres::default()),
            _ if dbus::begins(bytes) => Box::new(dbus::Dbus::default()),
            _ if syslog::begins(bytes) => Box::new(syslog::Syslog),
            _ if varlink::begins(bytes) => Box::new(varlink::Varlink::default()),
            _ if jsonrpc::begins(bytes) => Box::new(jsonrpc::JsonRpc::default()),
            _ if mysql::begins(bytes) => Box::new(mysql::Mysql::default()),
            _ if fastcgi::begins(bytes) => Box::new(fastcgi::FastCgi::default()),
            _ if ttrpc::begins(bytes) => Box::new(ttrpc::Ttrpc::default()),
            _ if http2::begins(bytes) => Box::new(http2::Http2::new(self.methods.clone())),
            _ => Box::new(text::Text),
        }
    }
}

impl Decode for Sniffed {
    fn protocol(&self) -> Protocol {
        self.chosen().unwrap_or(Protocol::Bytes)
    }

    fn data(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) -> bool {
        let known = self.decoder.take().filter(|decoder| decoder.protocol() != Protocol::Text);
        let mut decoder = known.unwrap_or_else(|| self.stream(bytes));
        let shown = lines.len();
        if !decoder.data(from, time_ns, bytes, lines) {
            decoder = Box::new(text::Text);
            // What was decoded of it is not shown again.
            if lines.len() == shown {
                decoder.data(from, time_ns, bytes, lines);
            }
        }
        self.decoder = Some(decoder);
        true
    }

    fn gap(&mut self, from: Side, len: u64) -> bool {
        let goes_on = self.decoder.as_mut().is_some_and(|decoder| decoder.gap(from, len));
        if !goes_on {
            self.forget();
        }
        // What follows shows what it is.
        true
    }

    fn end(&mut self, from: Side, time_ns: u64, lines: &mut Vec<Line>) {
        if let Some(decoder) = &mut self.decoder {
            decoder.end(from, time_ns, lines);
        }
    }
}
