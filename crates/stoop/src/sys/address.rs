//! `sockaddr_un` with its exact length, and the way there and back.

use std::ffi::OsStr;
use std::io;
use std::mem::{offset_of, size_of};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::Address;

const PATH_OFFSET: usize = offset_of!(libc::sockaddr_un, sun_path);
const PATH_LEN: usize = size_of::<libc::sockaddr_un>() - PATH_OFFSET;

/// A socket address as the kernel takes and gives it.
///
/// One byte longer than `sockaddr_un`: for a full 108-byte path the kernel reports a length of 111,
/// counting a NUL that the structure has no room for (K-NAME-3).
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

    /// Room for the kernel to write an address into: of no family, so that what was never written
    /// is unnamed.
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

    /// A path of at most 108 bytes, with its NUL where there is room for one.
    ///
    /// # Errors
    /// `ENAMETOOLONG` beyond that.
    pub(crate) fn path(path: &Path) -> io::Result<RawAddress> {
        let bytes = path.as_os_str().as_bytes();
        if bytes.len() > PATH_LEN {
            return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
        }
        Ok(RawAddress::with(bytes, (bytes.len() + 1).min(PATH_LEN)))
    }

    /// An abstract name, exactly as long as it is (K-NAME-7).
    pub(crate) fn abstract_name(name: &[u8]) -> RawAddress {
        let mut bytes = [0; PATH_LEN];
        bytes[1..=name.len()].copy_from_slice(name);
        RawAddress::with(&bytes, 1 + name.len())
    }

    /// The address that makes `bind` choose a free abstract name (K-NAME-9).
    pub(crate) fn autobind() -> RawAddress {
        RawAddress::with(&[], 0)
    }

    /// Whether a call has written an address of any family.
    pub(super) fn is_written(&self) -> bool {
        self.len_bytes as usize >= PATH_OFFSET && i32::from(self.raw.sun_family) != libc::AF_UNSPEC
    }

    /// What this names. An address of another family, or of none, is unnamed; so is one that goes
    /// through a descriptor, as a path too long for the kernel does: it leads somewhere for the
    /// process that bound it, and elsewhere for all others.
    pub(crate) fn to_address(self) -> Address {
        let len_bytes = (self.len_bytes as usize).saturating_sub(PATH_OFFSET).min(PATH_LEN);
        let name = self.raw.sun_path.map(|byte| byte as u8);
        match &name[..len_bytes] {
            [] => Address::UNNAMED,
            _ if i32::from(self.raw.sun_family) != libc::AF_UNIX => Address::UNNAMED,
            [0, name @ ..] => Address::abstract_name(name).unwrap_or(Address::UNNAMED),
            path if path.starts_with(b"/proc/self/fd/") => Address::UNNAMED,
            path => {
                let end = path.iter().position(|&byte| byte == 0).unwrap_or(path.len());
                Address::path(OsStr::from_bytes(&path[..end])).unwrap_or(Address::UNNAMED)
            }
        }
    }

    /// For calls that read an address. Valid as long as `self` is borrowed.
    pub(super) fn as_ptr(&self) -> *const libc::sockaddr {
        (&raw const self.raw).cast()
    }

    pub(super) fn len(&self) -> libc::socklen_t {
        self.len_bytes
    }

    /// For calls that write an address: where to, and where its length goes. Valid as long as
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
            assert_eq!(RawAddress::path(path.as_path().unwrap()).unwrap().to_address(), path);
        }
        for len in [0, 1, 107] {
            let name = Address::abstract_name(vec![0; len]).unwrap();
            assert_eq!(RawAddress::abstract_name(name.as_abstract().unwrap()).to_address(), name);
        }
        assert_eq!(RawAddress::autobind().to_address(), Address::UNNAMED);
        let error = RawAddress::path(Path::new(&"p".repeat(109))).err().unwrap();
        assert_eq!(error.raw_os_error(), Some(libc::ENAMETOOLONG));
    }
}
