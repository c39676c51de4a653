//! Socket addresses to the byte: what stands after the family, and exactly how much of it.

use std::ffi::c_int;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::{Result, checked};

/// The bytes of `sun_path` that count, which the address length given to the kernel decides.
#[derive(Clone, PartialEq, Eq)]
pub struct Name(Vec<u8>);

impl Name {
    /// A path without a closing NUL.
    pub fn path(path: impl AsRef<Path>) -> Name {
        Name(path.as_ref().as_os_str().as_bytes().to_vec())
    }

    /// An abstract name: a NUL and these bytes.
    pub fn abstract_name(name: impl AsRef<[u8]>) -> Name {
        Name([b"\0", name.as_ref()].concat())
    }

    /// An abstract name nobody else on the machine uses: `text`, the pid and a number.
    pub fn unique(text: &str) -> Name {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Name::abstract_name(format!("stoop-{text}-{}-{count}", std::process::id()))
    }

    /// The name as text for a child's environment: `@` stands for NUL. Only for names of tests' own
    /// making.
    pub fn to_text(&self) -> String {
        String::from_utf8(self.0.clone()).expect("a name in UTF-8").replace('\0', "@")
    }

    /// The name that [`Name::to_text`] made this of.
    pub fn from_text(text: &str) -> Name {
        Name(text.replace('@', "\0").into_bytes())
    }

    /// These bytes as they are.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Name {
        Name(bytes.into())
    }

    /// No bytes: the family alone.
    pub fn unnamed() -> Name {
        Name(Vec::new())
    }

    /// The bytes after the family. Of a path that the kernel returned, the closing NUL is one of
    /// them.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The whole address as the kernel takes it.
    pub(crate) fn sockaddr(&self) -> Vec<u8> {
        [&(libc::AF_UNIX as u16).to_ne_bytes(), self.bytes()].concat()
    }

    /// The name that a call which writes an address and its length has left.
    pub(crate) fn filled(call: impl FnOnce(*mut libc::sockaddr, *mut u32) -> c_int) -> Result<Name> {
        let mut address = [0_u8; 128];
        let mut length = address.len() as u32;
        checked(call(address.as_mut_ptr().cast(), &mut length) as isize)?;
        Ok(Name::from_sockaddr(&address[..length as usize]))
    }

    /// The name in a whole address.
    pub(crate) fn from_sockaddr(address: &[u8]) -> Name {
        Name(address.get(2..).unwrap_or_default().to_vec())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}
