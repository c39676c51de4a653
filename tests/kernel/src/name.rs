//! Socket addresses to the byte: the bytes after the family, and exactly how many of them.

use std::ffi::c_int;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::{Result, checked};

/// The significant bytes of `sun_path`; the address length passed to the kernel determines their
/// number.
#[derive(Clone, PartialEq, Eq)]
pub struct Name(Vec<u8>);

impl Name {
    /// Creates the name of a path without a closing NUL.
    pub fn path(path: impl AsRef<Path>) -> Name {
        Name(path.as_ref().as_os_str().as_bytes().to_vec())
    }

    /// Creates an abstract name: a NUL and these bytes.
    pub fn abstract_name(name: impl AsRef<[u8]>) -> Name {
        Name([b"\0", name.as_ref()].concat())
    }

    /// Creates an abstract name that is unique on the machine: `text`, the pid and a number.
    pub fn unique(text: &str) -> Name {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Name::abstract_name(format!("stoop-{text}-{}-{count}", std::process::id()))
    }

    /// Returns the name as text for a child's environment: `@` stands for NUL. Only for names that
    /// tests chose themselves.
    pub fn to_text(&self) -> String {
        String::from_utf8(self.0.clone()).expect("a name in UTF-8").replace('\0', "@")
    }

    /// Parses the output of [`Name::to_text`].
    pub fn from_text(text: &str) -> Name {
        Name(text.replace('@', "\0").into_bytes())
    }

    /// Creates a name of these exact bytes.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Name {
        Name(bytes.into())
    }

    /// Creates a name of no bytes: the family alone.
    pub fn unnamed() -> Name {
        Name(Vec::new())
    }

    /// Returns the bytes after the family. For a path returned by the kernel they include the
    /// closing NUL.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the whole address as the kernel takes it.
    pub(crate) fn sockaddr(&self) -> Vec<u8> {
        [&(libc::AF_UNIX as u16).to_ne_bytes(), self.bytes()].concat()
    }

    /// Returns the name written by a call that fills in an address and its length.
    pub(crate) fn filled(call: impl FnOnce(*mut libc::sockaddr, *mut u32) -> c_int) -> Result<Name> {
        let mut address = [0_u8; 128];
        let mut length = address.len() as u32;
        checked(call(address.as_mut_ptr().cast(), &mut length) as isize)?;
        Ok(Name::from_sockaddr(&address[..length as usize]))
    }

    /// Returns the name in a whole address.
    pub(crate) fn from_sockaddr(address: &[u8]) -> Name {
        Name(address.get(2..).unwrap_or_default().to_vec())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}
