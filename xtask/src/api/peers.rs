//! Which items of `stoop` have the name and meaning of an item of `std::os::unix::net` or of
//! `tokio::net`: nothing that a user of those has to learn.
//!
//! The lists are checked: each call occurs in the program of `crates/stoop/tests` that is compiled
//! with the types of std (or tokio) as well as with those of `stoop`.

/// An item that others have: the library, the type without the crate's name, the calls.
type Known = (Library, &'static str, &'static [&'static str]);

/// A library with Unix domain sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    Std,
    Tokio,
}

const KNOWN: &[Known] = &[
    (Library::Std, "Address", &["as_abstract_name", "as_pathname", "is_unnamed"]),
    (
        Library::Std,
        "Stream",
        &[
            "connect",
            "connect_addr",
            "local_addr",
            "pair",
            "peer_addr",
            "read_timeout",
            "set_nonblocking",
            "set_read_timeout",
            "set_write_timeout",
            "shutdown",
            "take_error",
            "try_clone",
            "write_timeout",
        ],
    ),
    (
        Library::Std,
        "Listener",
        &[
            "accept",
            "bind",
            "bind_addr",
            "incoming",
            "local_addr",
            "set_nonblocking",
            "take_error",
            "try_clone",
        ],
    ),
    (Library::Std, "Incoming", &[]),
    (
        Library::Std,
        "Datagram",
        &[
            "bind",
            "bind_addr",
            "connect",
            "connect_addr",
            "local_addr",
            "pair",
            "peer_addr",
            "read_timeout",
            "recv",
            "recv_from",
            "send",
            "send_to",
            "send_to_addr",
            "set_nonblocking",
            "set_read_timeout",
            "set_write_timeout",
            "shutdown",
            "take_error",
            "try_clone",
            "unbound",
            "write_timeout",
        ],
    ),
    (
        Library::Tokio,
        "aio::Async<S>",
        &[
            "async_io",
            "local_addr",
            "poll_read_ready",
            "poll_write_ready",
            "readable",
            "ready",
            "take_error",
            "try_io",
            "writable",
        ],
    ),
    (Library::Tokio, "aio::Stream", &[]),
    (
        Library::Tokio,
        "aio::Async<stoop::Stream",
        &[
            "connect",
            "connect_addr",
            "from_std",
            "into_split",
            "into_std",
            "pair",
            "peer_addr",
            "split",
            "try_read",
            "try_read_buf",
            "try_read_vectored",
            "try_write",
            "try_write_vectored",
        ],
    ),
    (Library::Tokio, "aio::Listener", &[]),
    (
        Library::Tokio,
        "aio::Async<stoop::Listener",
        &["accept", "bind", "bind_addr", "from_std", "into_std", "poll_accept"],
    ),
    (Library::Tokio, "aio::Datagram", &[]),
    (
        Library::Tokio,
        "aio::Async<stoop::Datagram",
        &[
            "bind",
            "connect",
            "from_std",
            "into_std",
            "pair",
            "peer_addr",
            "poll_recv",
            "poll_recv_from",
            "poll_recv_ready",
            "poll_send",
            "poll_send_ready",
            "poll_send_to",
            "recv",
            "recv_buf",
            "recv_buf_from",
            "recv_from",
            "send",
            "send_to",
            "shutdown",
            "try_recv",
            "try_recv_buf",
            "try_recv_buf_from",
            "try_recv_from",
            "try_send",
            "try_send_to",
            "unbound",
        ],
    ),
    (
        Library::Tokio,
        "aio::split::ReadHalf",
        &["readable", "ready", "reunite", "try_read", "try_read_vectored"],
    ),
    (
        Library::Tokio,
        "aio::split::WriteHalf",
        &["forget", "ready", "reunite", "try_write", "try_write_vectored", "writable"],
    ),
    (Library::Tokio, "aio::split::OwnedReadHalf", &[]),
    (Library::Tokio, "aio::split::OwnedWriteHalf", &[]),
    (Library::Tokio, "aio::split::ReuniteError", &[]),
];

/// Returns the library that has this item of the listing of `stoop`: a type or a call.
pub fn library(item: &str) -> Option<Library> {
    let (kind, rest) = item.strip_prefix("pub ")?.split_once("stoop::")?;
    let path = path(rest);
    let is_call = kind.ends_with("fn ");
    let has = |&&(_, name, calls): &&Known| match is_call {
        true => path.rsplit_once("::").is_some_and(|(of, call)| is_type(of, name) && calls.contains(&call)),
        false => path == name && !path.contains('<'),
    };
    KNOWN.iter().find(has).map(|(library, ..)| *library)
}

/// Returns the path at the start of a text, with the parameters of its types and without those of
/// its last segment.
fn path(text: &str) -> &str {
    let mut depth = 0_usize;
    let mut segment = 0;
    for (at, character) in text.char_indices() {
        match character {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            ':' if depth == 0 && text[at..].starts_with("::") => segment = at + 2,
            '(' | ' ' | ';' if depth == 0 => return without_parameters(&text[..at], segment),
            _ => {}
        }
    }
    without_parameters(text, segment)
}

fn without_parameters(path: &str, segment: usize) -> &str {
    path[segment..].find('<').map_or(path, |end| &path[..segment + end])
}

/// Returns whether the type has this name, with parameters or without.
fn is_type(path: &str, name: &str) -> bool {
    path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['<', '>']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_others_are_found() {
        for (item, library_with_it) in [
            ("pub struct stoop::Stream(_)", Some(Library::Std)),
            ("pub struct stoop::Listener<C: stoop::Connected>", Some(Library::Std)),
            (
                "pub fn stoop::Stream::connect(impl stoop::ToAddress) -> stoop::Result<stoop::Stream>",
                Some(Library::Std),
            ),
            (
                "pub fn stoop::Listener<C>::accept(&self) -> stoop::Result<(C, stoop::Address)>",
                Some(Library::Std),
            ),
            ("pub fn stoop::Stream::peer(&self) -> stoop::Peer", None),
            ("pub fn stoop::SeqPacket::pair() -> stoop::Result<(Self, Self)>", None),
            ("pub type stoop::aio::Stream = stoop::aio::Async<stoop::Stream>", Some(Library::Tokio)),
            ("pub struct stoop::aio::Async<S: std::os::fd::owned::AsFd>", None),
            (
                "pub async fn stoop::aio::Async<stoop::Datagram>::recv_buf<B: bytes::BufMut>(&self, &mut B) -> ()",
                Some(Library::Tokio),
            ),
            ("pub async fn stoop::aio::Async<stoop::Listener<C>>::accept(&self) -> ()", Some(Library::Tokio)),
            ("pub async fn stoop::aio::Async<stoop::Listener<C>>::accept_any(&self) -> ()", None),
        ] {
            assert_eq!(library(item), library_with_it, "{item}");
        }
    }

    #[test]
    fn each_call_is_in_the_program_of_its_library() {
        let program = |library| match library {
            Library::Std => include_str!("../../../crates/stoop/tests/std_program/program.rs"),
            Library::Tokio => include_str!("../../../crates/stoop/tests/tokio_program/program.rs"),
        };
        for (library, name, calls) in KNOWN {
            for call in *calls {
                let calls_it =
                    [".", "::"].iter().any(|dot| program(*library).contains(&format!("{dot}{call}(")));
                assert!(calls_it, "{library:?}: {name}::{call}");
            }
        }
    }
}
