//! The protocols, and how each is recognized by the first bytes of a direction: for decoders and
//! for masks alike. Pure.

use std::sync::Arc;

use super::framed::Messages;
use super::line::{Decode, Protocol};
use super::mask::{self, Mask};
use super::methods::Methods;
use super::{
    assuan, dbus, fastcgi, http1, http2, jsonrpc, mysql, postgres, resp, ssh_agent, syslog, ttrpc, uwsgi,
    varlink, wayland, x11,
};
use crate::follow::Side;

/// How many bytes of a begin may wait until they show the protocol.
pub(super) const WAITING_MAX: usize = 4096;

/// What is known of the methods of calls, if anything is.
pub(super) type Schemas = Option<Arc<dyn Methods>>;

/// Creates a decoder.
pub(super) type Decoder = fn(&Schemas) -> Box<dyn Decode>;

/// Creates what masks a protocol.
pub(super) type Create = fn(&Schemas) -> Box<dyn Mask>;

/// A protocol, and how it is recognized.
pub(super) struct Known {
    protocol: Protocol,
    /// Returns whether the bytes begin it.
    begins: fn(&[u8]) -> bool,
    /// Returns whether they may be the begin of it, and are too few to tell.
    may_begin: fn(&[u8]) -> bool,
    /// Creates its decoder, with what creates that of the bytes behind an upgrade.
    pub(super) decoder: fn(&Schemas, Decoder) -> Box<dyn Decode>,
    /// Creates what masks it, if text is not all there is to search.
    pub(super) mask: Option<Create>,
    /// How it is recognized in the middle of a connection that began before, if it is.
    joined: Option<Joined>,
    /// What decodes and masks it from the middle of a connection on, if the server is known.
    served: Option<Served>,
}

/// What takes a connection in whose middle messages are found, with this end as the server.
pub(super) struct Served {
    pub(super) decoder: fn(Side) -> Box<dyn Decode>,
    pub(super) mask: fn(Side) -> Box<dyn Mask>,
}

/// How a protocol is recognized by bytes in the middle of a connection.
struct Joined {
    /// Returns whether the bytes are of it.
    goes_on: fn(&[u8]) -> bool,
    /// Returns whether they may be, and are too few to tell.
    may_go_on: fn(&[u8]) -> bool,
}

/// What is known of the place in a connection at which bytes stand.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// Behind an upgrade: HTTP/1 is left out.
    pub(super) is_upgraded: bool,
    /// In the middle of a connection whose begin was not seen, possibly.
    pub(super) is_joined: bool,
}

/// Declares a protocol by its module.
macro_rules! known {
    ($protocol:ident, $module:ident, $decoder:expr, $mask:expr) => {
        known!($protocol, $module, $decoder, $mask, None)
    };
    ($protocol:ident, $module:ident, $decoder:expr, $mask:expr, joined) => {
        known!(
            $protocol,
            $module,
            $decoder,
            $mask,
            Some(Joined { goes_on: $module::goes_on, may_go_on: $module::may_go_on })
        )
    };
    ($protocol:ident, $module:ident, $decoder:expr, $mask:expr, $joined:expr) => {
        Known {
            joined: $joined,
            served: None,
            protocol: Protocol::$protocol,
            begins: $module::begins,
            may_begin: $module::may_begin,
            decoder: $decoder,
            mask: $mask,
        }
    };
}

/// Declares a protocol of messages that begin with their length.
macro_rules! framed {
    ($protocol:ident, $module:ident) => {
        Known {
            served: Some(Served {
                decoder: |server| Box::new(Messages::certain($module::$protocol::served_by(server))),
                mask: |server| {
                    Box::new(mask::framed::Messages::certain($module::$protocol::served_by(server)))
                },
            }),
            ..known!(
                $protocol,
                $module,
                |_, _| Box::new(Messages::new($module::$protocol::default())),
                Some(|_| Box::new(mask::framed::Messages::new($module::$protocol::default())))
            )
        }
    };
}

/// In the order in which they are asked.
static KNOWN: [Known; 16] = [
    known!(
        Http1,
        http1,
        |schemas, upgraded| Box::new(http1::Http1::new(upgraded(schemas))),
        Some(mask::http1)
    ),
    known!(Redis, resp, |_, _| Box::new(resp::Resp::default()), Some(mask::redis)),
    known!(Postgres, postgres, |_, _| Box::new(postgres::Postgres::default()), Some(mask::postgres)),
    known!(Dbus, dbus, |_, _| Box::new(dbus::Dbus::default()), None),
    known!(Syslog, syslog, |_, _| Box::new(syslog::Syslog::default()), None),
    known!(Varlink, varlink, |_, _| Box::new(varlink::Varlink::default()), None),
    known!(JsonRpc, jsonrpc, |_, _| Box::new(jsonrpc::JsonRpc::default()), None),
    known!(Assuan, assuan, |_, _| Box::new(assuan::Assuan::default()), Some(mask::assuan), joined),
    known!(SshAgent, ssh_agent, |_, _| Box::new(ssh_agent::SshAgent::default()), Some(mask::ssh_agent)),
    known!(Mysql, mysql, |_, _| Box::new(mysql::Mysql::default()), Some(mask::mysql)),
    known!(FastCgi, fastcgi, |_, _| Box::new(fastcgi::FastCgi::default()), Some(mask::fastcgi)),
    known!(Uwsgi, uwsgi, |_, _| Box::new(uwsgi::Uwsgi::default()), Some(mask::uwsgi)),
    framed!(Wayland, wayland),
    framed!(X11, x11),
    known!(Ttrpc, ttrpc, |_, _| Box::new(ttrpc::Ttrpc::default()), Some(mask::ttrpc)),
    // The last one: connections that began before are recognized as it, too.
    known!(Http2, http2, |schemas, _| Box::new(http2::Http2::new(schemas.clone())), Some(mask::http2)),
];

/// What bytes show that begin a direction.
pub(super) enum Shows {
    /// They begin this protocol.
    Protocol(&'static Known),
    /// They may begin this one, and are too few to tell.
    TooShort(&'static Known),
    Nothing,
}

/// Returns what the begin of a direction shows.
pub(super) fn begin(bytes: &[u8], place: Place) -> Shows {
    for known in all(place) {
        if (known.may_begin)(bytes) && bytes.len() < WAITING_MAX {
            return Shows::TooShort(known);
        }
        if (known.begins)(bytes) {
            return Shows::Protocol(known);
        }
    }
    match joined(place, |joined| (joined.may_go_on)(bytes)) {
        Some(known) => Shows::TooShort(known),
        None => Shows::Nothing,
    }
}

/// Returns the protocol that these bytes begin, or that goes on in them.
pub(super) fn find(bytes: &[u8], place: Place) -> Option<&'static Known> {
    let goes_on = || joined(place, |joined| (joined.goes_on)(bytes));
    let http2 = || KNOWN.last().filter(|_| http2::is_joined(bytes));
    all(place).find(|known| (known.begins)(bytes)).or_else(goes_on).or_else(http2)
}

/// Returns the protocol that these bytes begin, or else the first one that they may begin.
pub(super) fn guess(bytes: &[u8], place: Place) -> Option<Protocol> {
    let may_begin = || all(place).find(|known| (known.may_begin)(bytes));
    all(place).find(|known| (known.begins)(bytes)).or_else(may_begin).map(|known| known.protocol)
}

/// Returns what takes a connection of this protocol from its middle on, if that is possible.
pub(super) fn served(protocol: Protocol) -> Option<&'static Served> {
    KNOWN.iter().find(|known| known.protocol == protocol)?.served.as_ref()
}

fn all(place: Place) -> impl Iterator<Item = &'static Known> {
    let known = KNOWN.iter().skip(usize::from(place.is_upgraded));
    // In the middle, an event of the server looks like the first request of a client.
    known.filter(move |known| !(place.is_joined && known.protocol == Protocol::Wayland))
}

fn joined(place: Place, shows: impl Fn(&Joined) -> bool) -> Option<&'static Known> {
    all(place).filter(|_| place.is_joined).find(|known| known.joined.as_ref().is_some_and(&shows))
}
