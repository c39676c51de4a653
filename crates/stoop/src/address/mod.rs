//! Addresses of Unix domain sockets: a path, an abstract name, or unnamed.
//!
//! | file | contents |
//! |---|---|
//! | `mod.rs` | [`Address`], and what can be used as one: [`ToAddress`] |
//! | `text.rs` | the text form: parsing and printing; also a socket type, or a file descriptor |
//! | `escaped.rs` | bytes as text that is safe on a terminal |
//! | `limits.rs` | the kernel's limits |
//! | `sockaddr.rs` | the kernel's format, as bytes |
//! | `serde.rs` | serde's formats |
//! | `error.rs` | why something is not an address |
//!
//! Nothing here touches the file system.

pub(crate) mod error;
mod escaped;
pub(crate) mod limits;
#[cfg(feature = "serde")]
mod serde;
mod sockaddr;
pub(crate) mod text;

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

pub use error::AddressError;
pub use escaped::escaped;

pub(crate) use error::AddressErrorKind;
pub(crate) use limits::{ABSTRACT_NAME_MAX_BYTES, DIRECT_PATH_MAX_BYTES};

/// The address of a Unix domain socket.
///
/// A path may be longer than the kernel's limit of 108 bytes. Binding and connecting then go
/// through the file descriptor of a directory or file ([K-NAME-11]), without changing the working
/// directory of the process.
///
/// An abstract name is an exact string of bytes: every byte counts, including NUL ([K-NAME-7]).
///
/// ```
/// use stoop::Address;
/// let address: Address = "unix:/run/app.sock".parse()?;
/// assert_eq!(address, Address::path("/run/app.sock")?);
/// assert_eq!(address.to_string(), "/run/app.sock");
/// assert_eq!(Address::abstract_name(b"a\0b")?.to_string(), "@a%00b");
/// # Ok::<(), stoop::AddressError>(())
/// ```
///
/// [K-NAME-11]: crate::kernel_facts#K-NAME-11
/// [K-NAME-7]: crate::kernel_facts#K-NAME-7
#[doc(alias("sockaddr_un", "AF_UNIX", "SocketAddr"))]
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(Repr);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Repr {
    Path(PathBuf),
    Abstract(Vec<u8>),
    Unnamed,
}

impl Address {
    /// The unnamed address: that of an unbound client, or of one end of a socket pair.
    ///
    /// ```
    /// use stoop::{Address, Stream};
    ///
    /// let (one, _other) = Stream::pair()?;
    /// assert_eq!(one.local_addr()?, Address::UNNAMED);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub const UNNAMED: Address = Address(Repr::Unnamed);

    /// Creates a path address.
    ///
    /// The path is used as it is: `@`, `%` and `:` have no special meaning here.
    ///
    /// ```
    /// use std::path::Path;
    /// use stoop::Address;
    ///
    /// let address = Address::path("/run/100%25@home.sock")?;
    /// assert_eq!(address.as_pathname(), Some(Path::new("/run/100%25@home.sock")));
    ///
    /// assert!(Address::path("").is_err());
    /// assert!(Address::path("/run/a\0b").unwrap_err().to_string().contains("NUL byte"));
    /// # Ok::<(), stoop::AddressError>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the path is empty or contains a NUL byte: the kernel would truncate it
    /// there ([K-NAME-4]).
    ///
    /// [K-NAME-4]: crate::kernel_facts#K-NAME-4
    pub fn path(path: impl Into<PathBuf>) -> Result<Address, AddressError> {
        let path = path.into();
        let bytes = path.as_os_str().as_bytes();
        if bytes.is_empty() {
            return Err(AddressError::new(AddressErrorKind::EmptyPath, bytes));
        }
        if let Some(at) = bytes.iter().position(|&byte| byte == 0) {
            return Err(AddressError::new(AddressErrorKind::NulInPath { at }, bytes));
        }
        Ok(Address(Repr::Path(path)))
    }

    /// Creates an abstract address: a name in the network namespace, without a file (Linux only).
    ///
    /// The empty name is valid.
    ///
    /// ```
    /// use stoop::Address;
    ///
    /// // Every byte counts: these are three names.
    /// let names = ["app", "app\0", "app\0\0"].map(Address::abstract_name);
    /// assert!(names[0] != names[1] && names[1] != names[2]);
    ///
    /// assert!(Address::abstract_name([0; 107]).is_ok());
    /// assert!(Address::abstract_name([0; 108]).is_err());
    /// ```
    ///
    /// # Errors
    /// Returns an error if the name is longer than 107 bytes ([K-NAME-14]).
    ///
    /// [K-NAME-14]: crate::kernel_facts#K-NAME-14
    #[doc(alias = "sun_path")]
    pub fn abstract_name(name: impl Into<Vec<u8>>) -> Result<Address, AddressError> {
        let name = name.into();
        if name.len() > ABSTRACT_NAME_MAX_BYTES {
            let kind = AddressErrorKind::NameTooLong { len_bytes: name.len() };
            return Err(AddressError::new(kind, &name));
        }
        Ok(Address(Repr::Abstract(name)))
    }

    /// Returns the path, if this is a path address.
    ///
    /// ```
    /// use stoop::{Bind, Datagram};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let server = Bind::new(&path).datagram()?;
    /// assert_eq!(server.local_addr()?.as_pathname(), Some(path.as_path()));
    /// // A client has an abstract name, which the kernel assigned.
    /// assert_eq!(Datagram::client(&path)?.local_addr()?.as_pathname(), None);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn as_pathname(&self) -> Option<&Path> {
        match &self.0 {
            Repr::Path(path) => Some(path),
            _ => None,
        }
    }

    /// Returns the bytes of the abstract name, if this is an abstract address.
    ///
    /// ```
    /// use stoop::{Address, Bind};
    ///
    /// let listener = Bind::new(Address::UNNAMED).listen()?;
    /// let address = listener.local_addr()?;
    /// assert_eq!(address.as_abstract_name().map(<[u8]>::len), Some(5)); // five hexadecimal digits
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn as_abstract_name(&self) -> Option<&[u8]> {
        match &self.0 {
            Repr::Abstract(name) => Some(name),
            _ => None,
        }
    }

    /// Returns whether this is the unnamed address.
    ///
    /// ```
    /// use stoop::{Bind, Stream};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).listen()?;
    /// let client = Stream::connect(&path)?;
    /// assert!(client.local_addr()?.is_unnamed());
    /// assert!(!client.peer_addr()?.is_unnamed());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn is_unnamed(&self) -> bool {
        matches!(self.0, Repr::Unnamed)
    }
}

/// A value that names a Unix domain socket.
///
/// Text and bytes are a path, exactly as they are: `@`, `%` and `unix:` have no special meaning. An
/// abstract name is an [`Address::abstract_name`]. The text form of addresses, as a user types it,
/// is parsed by [`str::parse`] or [`Address::parse`].
///
/// ```
/// use std::os::unix::net::UnixListener;
/// use stoop::{Address, Stream};
///
/// # let directory = stoop_testkit::tempdir();
/// let path = directory.path().join("100%25.sock");
/// let listener = UnixListener::bind(&path)?;
/// assert!(Stream::connect(&path).is_ok());
///
/// let text = path.to_str().unwrap();
/// assert!(Stream::connect(text).is_ok());
/// let parsed: Address = text.parse()?; // %25 is an escape here: 100%.sock
/// assert!(Stream::connect(parsed).unwrap_err().is_not_found());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait ToAddress {
    /// Returns the address.
    ///
    /// # Errors
    /// Returns an error if the path is empty or contains a NUL byte ([`AddressError`]).
    fn to_address(&self) -> Result<Address, AddressError>;

    /// Returns the address if it need not be created, to save a copy.
    #[doc(hidden)]
    fn as_address(&self) -> Option<&Address> {
        None
    }
}

impl ToAddress for Address {
    fn as_address(&self) -> Option<&Address> {
        Some(self)
    }

    fn to_address(&self) -> Result<Address, AddressError> {
        Ok(self.clone())
    }
}

/// Implements [`ToAddress`] for types whose value is a path.
macro_rules! paths {
    ($($type:ty),*) => {
        $(impl ToAddress for $type {
            fn to_address(&self) -> Result<Address, AddressError> {
                Address::path(self)
            }
        })*
    };
}

paths!(str, String, OsStr, OsString, Path, PathBuf);

impl ToAddress for [u8] {
    fn to_address(&self) -> Result<Address, AddressError> {
        Address::path(OsStr::from_bytes(self))
    }
}

impl<const N: usize> ToAddress for [u8; N] {
    fn to_address(&self) -> Result<Address, AddressError> {
        self[..].to_address()
    }
}

impl ToAddress for Vec<u8> {
    fn to_address(&self) -> Result<Address, AddressError> {
        self[..].to_address()
    }
}

impl<T: ToAddress + ToOwned + ?Sized> ToAddress for Cow<'_, T> {
    fn to_address(&self) -> Result<Address, AddressError> {
        (**self).to_address()
    }
}

impl<T: ToAddress + ?Sized> ToAddress for &T {
    fn as_address(&self) -> Option<&Address> {
        (**self).as_address()
    }

    fn to_address(&self) -> Result<Address, AddressError> {
        (**self).to_address()
    }
}
