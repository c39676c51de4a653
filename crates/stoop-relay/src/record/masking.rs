//! Masking the secrets of a connection before they are recorded, as a capture does.

use std::sync::{Arc, Mutex, PoisonError};

use stoop_tap::{Masker, Methods, SocketKind};

use super::format::Side;

/// Masks what both sides of a connection send: what one has sent may say what the other's is.
#[derive(Clone, Debug)]
pub(super) struct Masking(Arc<Mutex<Masker>>);

impl Masking {
    pub(super) fn new(is_stream: bool, methods: Option<Arc<dyn Methods>>) -> Masking {
        let masker = Masker::new(if is_stream { SocketKind::STREAM } else { SocketKind::DATAGRAM });
        let masker = methods.into_iter().fold(masker, Masker::with_methods);
        Masking(Arc::new(Mutex::new(masker)))
    }

    /// Masks the secrets in a copy of what a side sends next. Returns how many bytes were changed.
    pub(super) fn mask(&self, from: Side, plain: &[u8], copy: &mut [u8]) -> u32 {
        let from = match from {
            Side::Client => stoop_tap::Side::First,
            Side::Server => stoop_tap::Side::Second,
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).data(from, copy);
        let changed = plain.iter().zip(&*copy).filter(|(plain, masked)| plain != masked).count();
        u32::try_from(changed).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masked(conversation: &[(Side, &[u8])]) -> (Vec<Vec<u8>>, u32) {
        let masking = Masking::new(true, None);
        let mut sum = 0;
        let mut mask = |(from, bytes): &(Side, &[u8])| {
            let mut copy = bytes.to_vec();
            sum += masking.mask(*from, bytes, &mut copy);
            copy
        };
        (conversation.iter().map(&mut mask).collect(), sum)
    }

    /// The greeting of the server says that it is MySQL.
    #[test]
    fn the_login_of_mysql_is_masked() {
        let greeting = b"\x4a\0\0\0\x0a8.0.36\0\x01\0\0\0abcdefgh\0\xff\xf7\x21\x02\0\xff\xc1\x15";
        let mut login = (1u32 << 9 | 1 << 15).to_le_bytes().to_vec();
        login.resize(32, 0);
        login.extend(b"user\0\x06secret");
        let packet = [&[login.len() as u8, 0, 0, 1][..], &login].concat();
        let greeting = [&[greeting.len() as u8 - 4][..], &greeting[1..]].concat();
        let (seen, count) = masked(&[(Side::Server, &greeting), (Side::Client, &packet)]);
        assert_eq!((&seen[0][..], count), (&greeting[..], 6));
        assert!(seen[1].ends_with(b"user\0\x06******"), "{}", seen[1].escape_ascii());
    }

    #[test]
    fn a_login_of_ttrpc_is_masked() {
        let field = |number: u8, bytes: &[u8]| [&[number << 3 | 2, bytes.len() as u8][..], bytes].concat();
        let auth = |password: &[u8]| field(2, &field(2, password));
        let call = |password: &[u8]| {
            let names = [field(1, b"runtime.v1.ImageService"), field(2, b"PullImage")].concat();
            let call = [names, field(3, &auth(password))].concat();
            [&(call.len() as u32).to_be_bytes()[..], &[0, 0, 0, 1, 1, 0], &call].concat()
        };
        let (seen, count) = masked(&[(Side::Client, &call(b"secret"))]);
        assert_eq!((&seen[0], count), (&call(b"******"), 6));
    }

    proptest! {
        #[test]
        fn what_is_counted_was_changed(bytes in proptest::collection::vec("password=|[a-z*&\r\n]", 0..40)) {
            let text = bytes.concat().into_bytes();
            let (seen, count) = masked(&[(Side::Client, &text)]);
            let changed = text.iter().zip(&seen[0]).filter(|(one, other)| one != other).count();
            prop_assert_eq!((text.len(), changed), (seen[0].len(), count as usize));
        }
    }
}
