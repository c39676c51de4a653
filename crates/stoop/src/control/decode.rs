//! Decoding control messages.

use super::{ALIGN_BYTES, Credentials, HEADER_BYTES};

const SCM_SECURITY: i32 = 3;
const SCM_PIDFD: i32 = 4;

/// A control message.
#[derive(Clone, Debug)]
pub enum Item<'a> {
    /// File descriptor numbers (`SCM_RIGHTS`), as the kernel installed them.
    Descriptors(DescriptorNumbers<'a>),
    /// The sender's credentials (`SCM_CREDENTIALS`).
    Credentials(Credentials),
    /// A pidfd of the sender (`SCM_PIDFD`), or a negative errno if the kernel could not create one.
    Pidfd(i32),
    /// The sender's security label (`SCM_SECURITY`), without its terminating NUL.
    Label(&'a [u8]),
    /// A control message of a type that this version does not know.
    Unknown {
        /// The `cmsg_level`.
        level: i32,
        /// The `cmsg_type`.
        kind: i32,
    },
    /// The following bytes are not a control message. Decoding ends here.
    Malformed,
}

/// An iterator over the file descriptor numbers of an `SCM_RIGHTS` message.
#[derive(Clone, Debug)]
pub struct DescriptorNumbers<'a>(std::slice::ChunksExact<'a, u8>);

impl Iterator for DescriptorNumbers<'_> {
    type Item = i32;

    fn next(&mut self) -> Option<i32> {
        self.0.next().map(|bytes| i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for DescriptorNumbers<'_> {}

/// Decodes the control messages in `bytes`, in order. Ends after the first malformed one.
pub fn decode(bytes: &[u8]) -> impl Iterator<Item = Item<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some((level, kind, data, next)) = split_first(rest) else {
            rest = &[];
            return Some(Item::Malformed);
        };
        rest = next;
        Some(classify(level, kind, data))
    })
}

/// Splits off the first control message: returns its level, type and data, and the bytes after its
/// padding.
///
/// `cmsg_len` counts the header and the data but not the padding up to the next multiple of
/// `ALIGN_BYTES`. The kernel may leave out the padding of the last message.
fn split_first(bytes: &[u8]) -> Option<(i32, i32, &[u8], &[u8])> {
    let (header, _) = bytes.split_at_checked(HEADER_BYTES)?;
    let (len, rest) = header.split_at(size_of::<usize>());
    let len_bytes = usize::from_ne_bytes(len.try_into().ok()?);
    let level = i32::from_ne_bytes(rest[..4].try_into().ok()?);
    let kind = i32::from_ne_bytes(rest[4..].try_into().ok()?);
    let data = bytes.get(HEADER_BYTES..len_bytes)?;
    let next = bytes.get(len_bytes.next_multiple_of(ALIGN_BYTES)..).unwrap_or(&[]);
    Some((level, kind, data, next))
}

fn classify(level: i32, kind: i32, data: &[u8]) -> Item<'_> {
    let unknown = Item::Unknown { level, kind };
    match (level, kind) {
        (libc::SOL_SOCKET, libc::SCM_RIGHTS) => Item::Descriptors(DescriptorNumbers(data.chunks_exact(4))),
        (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => {
            Credentials::from_bytes(data).map_or(unknown, Item::Credentials)
        }
        (libc::SOL_SOCKET, SCM_PIDFD) => {
            data.try_into().map_or(unknown, |number| Item::Pidfd(i32::from_ne_bytes(number)))
        }
        (libc::SOL_SOCKET, SCM_SECURITY) => Item::Label(data.strip_suffix(&[0]).unwrap_or(data)),
        _ => unknown,
    }
}
