//! Addresses in the kernel's format, `sockaddr_un`, as bytes. Pure.

use std::ffi::OsStr;
use std::mem::offset_of;
use std::os::unix::ffi::OsStrExt;

use super::{ABSTRACT_NAME_MAX_BYTES, Address, AddressError, AddressErrorKind, DIRECT_PATH_MAX_BYTES, Repr};

/// The length of the address family, which precedes the name.
const FAMILY_BYTES: usize = offset_of!(libc::sockaddr_un, sun_path);

impl Address {
    /// Returns the address as the bytes of a `sockaddr_un`, for system calls that this crate does
    /// not make. Their number is the length to pass with it.
    ///
    /// A path ends with a NUL if that fits, and an abstract name begins with one ([K-NAME-7]).
    ///
    /// ```
    /// use stoop::Address;
    ///
    /// let bytes = Address::abstract_name("app")?.to_sockaddr()?;
    /// assert_eq!(&bytes[2..], b"\0app"); // after the address family
    /// assert_eq!(Address::from_sockaddr(&bytes)?, Address::abstract_name("app")?);
    ///
    /// assert!(Address::path("p".repeat(109))?.to_sockaddr().is_err()); // too long
    /// # Ok::<(), stoop::AddressError>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if a path is longer than 108 bytes ([K-NAME-3]). This crate itself binds
    /// and connects such paths.
    ///
    /// [K-NAME-3]: crate::kernel_facts#K-NAME-3
    /// [K-NAME-7]: crate::kernel_facts#K-NAME-7
    pub fn to_sockaddr(&self) -> Result<Vec<u8>, AddressError> {
        let mut bytes = (libc::AF_UNIX as libc::sa_family_t).to_ne_bytes().to_vec();
        match &self.0 {
            Repr::Unnamed => {}
            Repr::Abstract(name) => {
                bytes.push(0);
                bytes.extend_from_slice(name);
            }
            Repr::Path(path) => {
                let path = path.as_os_str().as_bytes();
                if path.len() > DIRECT_PATH_MAX_BYTES {
                    let kind = AddressErrorKind::PathTooLong { len_bytes: path.len() };
                    return Err(AddressError::new(kind, path));
                }
                bytes.extend_from_slice(path);
                if path.len() < DIRECT_PATH_MAX_BYTES {
                    bytes.push(0);
                }
            }
        }
        Ok(bytes)
    }

    /// Creates an address from the bytes of a `sockaddr_un`, as many as the kernel has returned.
    ///
    /// Without a name it is the unnamed address. A path ends at its first NUL.
    ///
    /// # Errors
    /// Returns an error if the address family is another, or the name is longer than the kernel's.
    pub fn from_sockaddr(bytes: &[u8]) -> Result<Address, AddressError> {
        let invalid = |kind| AddressError::new(kind, bytes);
        match bytes.split_at_checked(FAMILY_BYTES) {
            Some((family, name)) if family == (libc::AF_UNIX as libc::sa_family_t).to_ne_bytes() => {
                Address::from_sun_path(name).map_err(invalid)
            }
            _ => Err(invalid(AddressErrorKind::NotUnix)),
        }
    }

    /// Interprets the bytes after the address family.
    pub(crate) fn from_sun_path(name: &[u8]) -> Result<Address, AddressErrorKind> {
        match name {
            [] => Ok(Address::UNNAMED),
            [0, name @ ..] if name.len() > ABSTRACT_NAME_MAX_BYTES => {
                Err(AddressErrorKind::NameTooLong { len_bytes: name.len() })
            }
            [0, name @ ..] => Ok(Address(Repr::Abstract(name.to_vec()))),
            path => {
                let len_bytes = path.iter().position(|&byte| byte == 0).unwrap_or(path.len());
                match len_bytes > DIRECT_PATH_MAX_BYTES {
                    true => Err(AddressErrorKind::PathTooLong { len_bytes }),
                    false => Ok(Address(Repr::Path(OsStr::from_bytes(&path[..len_bytes]).into()))),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_a_unix_address_is_rejected() {
        for bytes in [&b""[..], b"\x01", b"\x02\0abc"] {
            assert_eq!(Address::from_sockaddr(bytes).unwrap_err().kind(), AddressErrorKind::NotUnix);
        }
        let long = [&1u16.to_ne_bytes()[..], &[b'x'; 109]].concat();
        let error = Address::from_sockaddr(&long).unwrap_err();
        assert_eq!(error.kind(), AddressErrorKind::PathTooLong { len_bytes: 109 });
    }

    proptest! {
        #[test]
        fn every_address_that_fits_round_trips(
            path in proptest::collection::vec(1u8.., 1..=108),
            name in proptest::collection::vec(any::<u8>(), 0..=107),
        ) {
            let path = Address::path(OsStr::from_bytes(&path)).unwrap();
            for address in [path, Address::abstract_name(name).unwrap(), Address::UNNAMED] {
                prop_assert_eq!(Address::from_sockaddr(&address.to_sockaddr().unwrap()), Ok(address));
            }
        }
    }
}
