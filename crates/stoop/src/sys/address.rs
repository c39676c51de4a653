//! `sockaddr_un` with its exact length, and the conversions to and from addresses.

use std::io;
use std::mem::{offset_of, size_of};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::Address;

const PATH_OFFSET: usize = offset_of!(libc::sockaddr_un, sun_path);
const PATH_LEN: usize = size_of::<libc::sockaddr_un>() - PATH_OFFSET;

/// A socket address in the kernel's format.
///
/// It is one byte longer than `sockaddr_un`. For a full 108-byte path the kernel reports a length
/// of 111, which counts a NUL that does not fit into the structure ([K-NAME-3]).
///
/// [K-NAME-3]: crate::kernel_facts#K-NAME-3
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct RawAddress {
    raw: libc::sockaddr_un,
    spare: u8,
    len_bytes: libc::socklen_t,
}

impl RawAddress {
    fn with(name: &[u8], len_bytes: usize) -> RawAddress {
        let mut address = RawAddress::empty();
        address.raw.sun_family = libc::AF_UNIX as libc::sa_family_t;
        for (to, from) in address.raw.sun_path.iter_mut().zip(name) {
            *to = *from as libc::c_char;
        }
        address.len_bytes = (PATH_OFFSET + len_bytes) as libc::socklen_t;
        address
    }

    /// Returns a buffer into which the kernel can write an address. Its family is unspecified, so a
    /// buffer that was never written reads as unnamed.
    pub(crate) fn empty() -> RawAddress {
        RawAddress {
            raw: libc::sockaddr_un {
                sun_family: libc::AF_UNSPEC as libc::sa_family_t,
                sun_path: [0; PATH_LEN],
            },
            spare: 0,
            len_bytes: size_of::<libc::sockaddr_un>() as libc::socklen_t,
        }
    }

    /// Creates the address of a path of at most 108 bytes, with a terminating NUL if it fits.
    ///
    /// # Errors
    /// Returns an error if the path is longer (`ENAMETOOLONG`).
    pub(crate) fn path(path: &Path) -> io::Result<RawAddress> {
        let bytes = path.as_os_str().as_bytes();
        if bytes.len() > PATH_LEN {
            return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
        }
        Ok(RawAddress::with(bytes, (bytes.len() + 1).min(PATH_LEN)))
    }

    /// Creates the address of an abstract name, with its exact length ([K-NAME-7]).
    ///
    /// [K-NAME-7]: crate::kernel_facts#K-NAME-7
    pub(crate) fn abstract_name(name: &[u8]) -> RawAddress {
        let mut bytes = [0; PATH_LEN];
        bytes[1..=name.len()].copy_from_slice(name);
        RawAddress::with(&bytes, 1 + name.len())
    }

    /// Returns the address with which `bind` chooses a free abstract name ([K-NAME-9]).
    ///
    /// [K-NAME-9]: crate::kernel_facts#K-NAME-9
    pub(crate) fn autobind() -> RawAddress {
        RawAddress::with(&[], 0)
    }

    /// Returns whether a call has written an address of any family.
    pub(super) fn is_written(&self) -> bool {
        self.len_bytes as usize >= PATH_OFFSET && i32::from(self.raw.sun_family) != libc::AF_UNSPEC
    }

    /// Returns the address. One of another family, or of none, is unnamed. So is a path through a
    /// file descriptor, as used for paths too long for the kernel: it refers to another file in
    /// every other process.
    pub(crate) fn to_address(self) -> Address {
        let len_bytes = (self.len_bytes as usize).saturating_sub(PATH_OFFSET).min(PATH_LEN);
        let name = self.raw.sun_path.map(|byte| byte as u8);
        match &name[..len_bytes] {
            _ if i32::from(self.raw.sun_family) != libc::AF_UNIX => Address::UNNAMED,
            path if path.starts_with(b"/proc/self/fd/") => Address::UNNAMED,
            name => Address::from_sun_path(name).unwrap_or(Address::UNNAMED),
        }
    }

    /// Returns a pointer for calls that read an address, valid while `self` is borrowed.
    pub(super) fn as_ptr(&self) -> *const libc::sockaddr {
        (&raw const self.raw).cast()
    }

    pub(super) fn len(&self) -> libc::socklen_t {
        self.len_bytes
    }

    /// Returns pointers to the address and its length, for calls that write them, valid while
    /// `self` is borrowed.
    pub(super) fn as_mut_parts(&mut self) -> (*mut libc::sockaddr, *mut libc::socklen_t) {
        ((&raw mut self.raw).cast(), &raw mut self.len_bytes)
    }

    pub(super) fn set_len(&mut self, len_bytes: libc::socklen_t) {
        self.len_bytes = len_bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_names_round_trip() {
        for len in [1, 107, 108] {
            let path = Address::path("p".repeat(len)).unwrap();
            assert_eq!(RawAddress::path(path.as_pathname().unwrap()).unwrap().to_address(), path);
        }
        for len in [0, 1, 107] {
            let name = Address::abstract_name(vec![0; len]).unwrap();
            assert_eq!(RawAddress::abstract_name(name.as_abstract_name().unwrap()).to_address(), name);
        }
        assert_eq!(RawAddress::autobind().to_address(), Address::UNNAMED);
        let error = RawAddress::path(Path::new(&"p".repeat(109))).err().unwrap();
        assert_eq!(error.raw_os_error(), Some(libc::ENAMETOOLONG));
    }
}
