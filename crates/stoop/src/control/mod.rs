//! Control messages (ancillary data): file descriptors, credentials, pidfds and security labels.
//!
//! A pure codec without I/O. It neither owns nor closes file descriptors, and never panics,
//! whatever the input. The system-call layer owns what was received, and [`crate::Received`]
//! presents it to a program.

mod decode;
mod encode;

pub use decode::{Item, decode};
pub use encode::Encoder;

/// The maximum number of file descriptors in one message ([K-FD-11]).
///
/// [K-FD-11]: crate::kernel_facts#K-FD-11
pub const DESCRIPTORS_MAX: usize = 253;

/// The size of a header: the length of the message as a `size_t`, its level and its type.
const HEADER_BYTES: usize = size_of::<usize>() + 2 * size_of::<i32>();

/// The alignment of every control message.
const ALIGN_BYTES: usize = size_of::<usize>();

/// Returns the buffer space for a control message with this many bytes of data (`CMSG_SPACE`).
pub const fn space(data_len_bytes: usize) -> usize {
    HEADER_BYTES + data_len_bytes.next_multiple_of(ALIGN_BYTES)
}

/// The credentials of a process (`SCM_CREDENTIALS`): received from a message's sender, or sent.
///
/// The kernel checks what is sent. An unprivileged process can name only itself ([K-CRED-10]).
///
/// [K-CRED-10]: crate::kernel_facts#K-CRED-10
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// The process id, as seen from the receiver's pid namespace; 0 if it has none there.
    pub pid: u32,
    /// The user id, as seen from the receiver's user namespace. See [`Credentials::known_uid`] for
    /// users without an id there.
    pub uid: u32,
    /// The group id, as seen from the receiver's user namespace. See [`Credentials::known_gid`].
    pub gid: u32,
}

impl Credentials {
    const BYTES: usize = 12;

    fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.pid.to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.uid.to_ne_bytes());
        bytes[8..].copy_from_slice(&self.gid.to_ne_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Credentials> {
        let word = |at: usize| bytes.get(at..at + 4)?.try_into().ok();
        let credentials = Credentials {
            pid: u32::from_ne_bytes(word(0)?),
            uid: u32::from_ne_bytes(word(4)?),
            gid: u32::from_ne_bytes(word(8)?),
        };
        (bytes.len() == Self::BYTES).then_some(credentials)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn space_is_header_and_padded_data() {
        for len in 0..64 {
            assert_eq!(space(len), 16 + len.div_ceil(8) * 8);
        }
    }

    #[test]
    fn a_buffer_that_is_too_small_stays_unchanged() {
        let mut buffer = vec![0; space(4)];
        let mut encoder = Encoder::new(&mut buffer);
        assert_eq!(encoder.descriptors([3, 4, 5].into_iter()), Err(encode::NoRoom));
        encoder.descriptors([3].into_iter()).unwrap();
        assert_eq!(encoder.finish().len(), space(4));
    }

    #[test]
    fn a_truncated_message_is_malformed() {
        let mut buffer = vec![0; space(2 * 4)];
        let mut encoder = Encoder::new(&mut buffer);
        encoder.descriptors([3, 4].into_iter()).unwrap();
        let encoded = encoder.finish();
        let mut items = decode(encoded);
        let Some(Item::Descriptors(numbers)) = items.next() else { panic!("not file descriptors") };
        assert_eq!(numbers.collect::<Vec<_>>(), [3, 4]);
        assert!(items.next().is_none());
        assert!(matches!(decode(&encoded[..7]).next(), Some(Item::Malformed)));
    }

    #[derive(Clone, Debug)]
    enum Sent {
        Descriptors(Vec<i32>),
        Credentials(Credentials),
    }

    fn sent() -> impl Strategy<Value = Sent> {
        prop_oneof![
            proptest::collection::vec(0i32..1 << 20, 1..=DESCRIPTORS_MAX).prop_map(Sent::Descriptors),
            (any::<u32>(), any::<u32>(), any::<u32>())
                .prop_map(|(pid, uid, gid)| Sent::Credentials(Credentials { pid, uid, gid })),
        ]
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(messages in proptest::collection::vec(sent(), 0..5)) {
            let mut room = vec![0; 5 * space(DESCRIPTORS_MAX * 4)];
            let mut encoder = Encoder::new(&mut room);
            for message in &messages {
                match message {
                    Sent::Descriptors(fds) => encoder.descriptors(fds.iter().copied()).unwrap(),
                    Sent::Credentials(credentials) => encoder.credentials(*credentials).unwrap(),
                }
            }
            let mut items = decode(encoder.finish());
            for message in messages {
                match (message, items.next()) {
                    (Sent::Descriptors(fds), Some(Item::Descriptors(got))) => prop_assert_eq!(fds, got.collect::<Vec<_>>()),
                    (Sent::Credentials(sent), Some(Item::Credentials(got))) => prop_assert_eq!(sent, got),
                    (message, got) => prop_assert!(false, "{:?} came back as {:?}", message, got),
                }
            }
            prop_assert!(items.next().is_none());
        }

        #[test]
        fn any_bytes_decode_without_panic_and_end(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            prop_assert!(decode(&bytes).count() <= bytes.len() / HEADER_BYTES + 1);
        }

        #[test]
        fn no_room_is_refused_and_leaves_the_rest(room in 0usize..64, count in 1usize..20) {
            let mut bytes = vec![0; room];
            let mut encoder = Encoder::new(&mut bytes);
            let fits = space(count * 4) <= room;
            prop_assert_eq!(encoder.descriptors(0..count as i32).is_ok(), fits);
            prop_assert_eq!(encoder.finish().is_empty(), !fits);
        }
    }
}
