//! What is known of a connection before its bytes are seen. Pure.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use stoop::Address;
use stoop_tap::{Dialogue, Masker, Methods, Protocol, Side, SocketKind};

use super::names::Label;

/// What decides how the bytes of a connection are decoded and masked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) kind: SocketKind,
    /// Whether its begin may not have been seen.
    pub(super) is_older: bool,
    /// The protocol that its server speaks, by its address, and which end that is.
    pub(super) served: Option<(Protocol, Side)>,
}

/// Creates what decodes or masks a connection.
macro_rules! begin {
    ($type:ty, $origin:expr, $methods:expr) => {{
        let new = <$type>::new($origin.kind);
        let new = if $origin.is_older { new.joined() } else { new };
        let new =
            $origin.served.into_iter().fold(new, |new, (protocol, server)| new.served(protocol, server));
        $methods.iter().fold(new, |new, methods| new.with_methods(Arc::clone(methods)))
    }};
}

impl Origin {
    pub(super) fn dialogue(self, methods: Option<&Arc<dyn Methods>>) -> Dialogue {
        begin!(Dialogue, self, methods)
    }

    pub(super) fn masker(self, methods: Option<&Arc<dyn Methods>>) -> Masker {
        begin!(Masker, self, methods)
    }
}

/// Returns the protocol of the end that has the address of a display, and that end.
pub(super) fn served(ends: &[Label; 2]) -> Option<(Protocol, Side)> {
    [Side::First, Side::Second].into_iter().find_map(|side| {
        let address = ends[side.index()].address.as_ref()?;
        Some((display(address)?, side))
    })
}

/// Returns the protocol of a display, by the names that X servers and compositors give to their
/// sockets.
fn display(address: &Address) -> Option<Protocol> {
    let of_abstract = || address.as_abstract_name().map(|name| Path::new(std::ffi::OsStr::from_bytes(name)));
    let path = address.as_pathname().or_else(of_abstract)?;
    let name = path.file_name()?.as_bytes();
    let is_number = |rest: &[u8]| !rest.is_empty() && rest.iter().all(u8::is_ascii_digit);
    let is_x11 = path.parent().is_some_and(|parent| parent.ends_with(".X11-unix"));
    if is_x11 && name.strip_prefix(b"X").is_some_and(is_number) {
        return Some(Protocol::X11);
    }
    name.strip_prefix(b"wayland-").is_some_and(is_number).then_some(Protocol::Wayland)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displays_are_known_by_their_names() {
        for (text, protocol) in [
            ("/tmp/.X11-unix/X0", Some(Protocol::X11)),
            ("@/tmp/.X11-unix/X730", Some(Protocol::X11)),
            ("/run/user/1000/wayland-0", Some(Protocol::Wayland)),
            ("/run/user/1000/wayland-", None),
            ("/run/user/1000/wayland-0.lock", None),
            ("/srv/X0", None),
            ("/tmp/.X11-unix/Xorg", None),
        ] {
            let label = Label { address: Some(text.parse().unwrap()), ..Label::default() };
            let expected = protocol.map(|protocol| (protocol, Side::Second));
            assert_eq!(served(&[Label::default(), label]), expected, "{text}");
        }
    }
}
