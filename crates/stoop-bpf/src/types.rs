//! The running kernel's type information as bytes: mapped if the kernel supports that, otherwise
//! read.

use std::fs;
use std::io;
use std::ops::Deref;

use crate::sys::{Mapping, TYPES};

/// The type information of the running kernel.
pub(crate) enum Types {
    /// The kernel's own memory (Linux 6.16; [K-BPF-7]). It avoids copying five megabytes, one page
    /// per read.
    ///
    /// [K-BPF-7]: https://docs.rs/stoop/latest/stoop/kernel_facts/index.html#K-BPF-7
    Mapped(Mapping),
    /// A copy.
    Read(Vec<u8>),
}

impl Types {
    /// # Errors
    /// Returns an error if the file cannot be opened or read: `ENOENT` if the kernel was built
    /// without BTF, or sysfs is not mounted.
    pub(crate) fn open() -> io::Result<Types> {
        let len = usize::try_from(fs::metadata(TYPES)?.len()).map_err(io::Error::other)?;
        Mapping::of_types(len).map(Types::Mapped).or_else(|_| fs::read(TYPES).map(Types::Read))
    }
}

impl Deref for Types {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Types::Mapped(mapping) => mapping,
            Types::Read(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [K-BPF-7]
    ///
    /// [K-BPF-7]: https://docs.rs/stoop/latest/stoop/kernel_facts/index.html#K-BPF-7
    #[test]
    fn what_is_mapped_is_what_is_read() {
        let Ok(types) = Types::open() else { stoop_testkit::skip!("lacks type information") };
        assert_eq!(&*types, fs::read(TYPES).unwrap());
        if let Types::Read(_) = types {
            stoop_testkit::skip!("lacks type information that can be mapped (Linux 6.16)");
        }
        assert!(Mapping::of_types(2 * types.len()).is_err(), "more than there is");
    }
}
