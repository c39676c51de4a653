//! The header of the PROXY protocol, version 2, with which a relay tells a server who the client
//! is. Pure, except for asking a socket.

use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;

use stoop::Peer;

use crate::end::End;

/// What begins every header of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version 2, on behalf of a client.
const VERSION_AND_COMMAND: u8 = 0x21;

/// The room for each of the two paths.
const PATH_BYTES: usize = 108;

/// The type of the value with the client's process and ids: the first one for private use.
const TYPE_CREDENTIALS: u8 = 0xE0;

/// What is said of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Client {
    addresses: Addresses,
    pid: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Addresses {
    #[default]
    Unknown,
    /// The path of the relay's socket. That of a client is hardly ever there.
    Unix(Vec<u8>),
    Inet(SocketAddr, SocketAddr),
}

impl Client {
    pub(crate) fn of(end: &End, peer: Option<&Peer>) -> Client {
        let addresses = match end {
            End::Stream(stream) => {
                let own = stream.local_addr().ok();
                let path = own.as_ref().and_then(|own| own.as_pathname());
                let path = path.map(|path| path.as_os_str().as_bytes().to_vec());
                Addresses::Unix(path.unwrap_or_default())
            }
            End::Tcp(stream) => match (stream.peer_addr(), stream.local_addr()) {
                (Ok(from), Ok(to)) => Addresses::Inet(from, to),
                _ => Addresses::Unknown,
            },
            _ => Addresses::Unknown,
        };
        let peer = peer.filter(|_| matches!(end, End::Stream(_)));
        let Some(peer) = peer else { return Client { addresses, ..Client::default() } };
        let [pid, uid, gid] = [&peer.pid, &peer.uid, &peer.gid].map(|fact| fact.known().copied());
        Client { addresses, pid, uid, gid }
    }

    /// Returns the header.
    pub(crate) fn header(&self) -> Vec<u8> {
        let (family, mut rest) = self.addresses.encoded();
        if let Some(text) = self.credentials() {
            rest.push(TYPE_CREDENTIALS);
            rest.extend(length(text.len()));
            rest.extend(text.into_bytes());
        }
        let mut header = SIGNATURE.to_vec();
        header.extend([VERSION_AND_COMMAND, family]);
        header.extend(length(rest.len()));
        header.extend(rest);
        header
    }

    /// Returns `pid=812 uid=1000 gid=1000`, without what is not known.
    fn credentials(&self) -> Option<String> {
        let known = [("pid", self.pid), ("uid", self.uid), ("gid", self.gid)];
        let words = known.iter().filter_map(|(name, value)| Some(format!("{name}={}", (*value)?)));
        Some(words.collect::<Vec<_>>().join(" ")).filter(|text| !text.is_empty())
    }
}

impl Addresses {
    /// Returns the family and the bytes of both addresses.
    fn encoded(&self) -> (u8, Vec<u8>) {
        match self {
            Addresses::Unknown => (0x00, Vec::new()),
            Addresses::Unix(path) => {
                let mut bytes = vec![0; 2 * PATH_BYTES];
                let len = path.len().min(PATH_BYTES);
                bytes[PATH_BYTES..PATH_BYTES + len].copy_from_slice(&path[..len]);
                (0x31, bytes)
            }
            Addresses::Inet(SocketAddr::V4(from), SocketAddr::V4(to)) => {
                (0x11, inet(&from.ip().octets(), &to.ip().octets(), from.port(), to.port()))
            }
            Addresses::Inet(SocketAddr::V6(from), SocketAddr::V6(to)) => {
                (0x21, inet(&from.ip().octets(), &to.ip().octets(), from.port(), to.port()))
            }
            Addresses::Inet(..) => (0x00, Vec::new()),
        }
    }
}

fn inet(from: &[u8], to: &[u8], from_port: u16, to_port: u16) -> Vec<u8> {
    [from, to, &from_port.to_be_bytes(), &to_port.to_be_bytes()].concat()
}

/// Returns a length as it is sent. What is encoded here is always shorter than 65,536 bytes.
fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_the_network_is_encoded_as_in_the_specification() {
        let addresses = Addresses::Inet("192.0.2.1:51234".parse().unwrap(), "192.0.2.2:443".parse().unwrap());
        let header = Client { addresses, ..Client::default() }.header();
        let expected =
            [&SIGNATURE[..], &[0x21, 0x11, 0, 12], &[192, 0, 2, 1, 192, 0, 2, 2], &[0xc8, 0x22, 0x01, 0xbb]];
        assert_eq!(header, expected.concat());
        let addresses = Addresses::Inet("[::1]:1".parse().unwrap(), "[::2]:2".parse().unwrap());
        assert_eq!(&Client { addresses, ..Client::default() }.header()[12..16], [0x21, 0x21, 0, 36]);
    }

    #[test]
    fn a_local_client_is_named_by_its_ids() {
        let client = Client {
            addresses: Addresses::Unix(b"/run/app.sock".to_vec()),
            pid: Some(812),
            uid: Some(1000),
            gid: None,
        };
        let header = client.header();
        let text = b"pid=812 uid=1000";
        assert_eq!(&header[12..16], [0x21, 0x31, 0, 216 + 3 + text.len() as u8]);
        assert_eq!(&header[16 + 108..16 + 108 + 14], b"/run/app.sock\0");
        assert_eq!(&header[232..235], [0xE0, 0, text.len() as u8]);
        assert_eq!(&header[235..], text);
        // A path that fills its room is whole, and a longer one is cut.
        let long = Client { addresses: Addresses::Unix(vec![b'x'; 300]), ..Client::default() };
        assert_eq!(long.header().len(), 232);
    }

    #[test]
    fn of_an_unknown_client_nothing_is_said() {
        assert_eq!(&Client::default().header()[12..], [0x21, 0, 0, 0]);
    }
}
