//! Sockets that processes have open but no table listed: created a moment ago, or in a network
//! namespace that no process is in and no file names. An accepted socket is in the namespace of its
//! client, which may have exited long ago.
//!
//! Each socket is queried for its namespace (`SIOCGSKNS`), through a duplicate of its file
//! descriptor. This requires permission to trace its process, and `CAP_NET_ADMIN` (K-NETNS-2).
//! Sockets that cannot be queried are reported as missing from the snapshot.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;

use crate::model::{NamespaceIno, SocketIno};
use crate::owners::{self, Holding};

/// The result: in which namespace each socket is.
#[derive(Debug, Default)]
pub(crate) struct Located {
    /// Sockets of namespaces whose table is already open.
    pub(crate) known: BTreeMap<NamespaceIno, Vec<SocketIno>>,
    /// Namespaces found this way, each with a file descriptor that refers to it.
    pub(crate) new: BTreeMap<NamespaceIno, OwnedFd>,
    /// Unix domain sockets that could not be queried, and why the last of them could not.
    pub(crate) lost: Vec<SocketIno>,
    pub(crate) why: Option<io::Error>,
}

/// Determines which of the sockets are Unix domain sockets, and their network namespaces.
pub(crate) fn locate(strays: &[Holding], is_known: impl Fn(NamespaceIno) -> bool) -> Located {
    let mut located = Located::default();
    let mut strays: Vec<_> = strays
        .iter()
        .filter(|stray| stray.namespace.is_some() || owners::is_local(stray.owner, stray.ino))
        .collect();
    strays.sort_unstable_by_key(|stray| (stray.ino, stray.namespace));
    strays.dedup_by_key(|stray| (stray.ino, stray.namespace));
    for stray in strays {
        match namespace_of(stray, &is_known, &located.new) {
            Ok((ino, None)) if is_known(ino) => located.known.entry(ino).or_default().push(stray.ino),
            Ok((_, None)) => {}
            Ok((ino, Some(file))) => {
                located.new.insert(ino, file);
            }
            Err(error) if crate::procfs::is_gone(&error) || error.raw_os_error() == Some(EBADF) => {}
            Err(error) => {
                located.lost.push(stray.ino);
                located.why = Some(error);
            }
        }
    }
    located
}

/// The file descriptor was closed meanwhile.
const EBADF: i32 = rustix::io::Errno::BADF.raw_os_error();

/// Returns the socket's namespace, with a file descriptor that refers to it if the namespace is
/// new.
fn namespace_of(
    stray: &Holding,
    is_known: &impl Fn(NamespaceIno) -> bool,
    new: &BTreeMap<NamespaceIno, OwnedFd>,
) -> io::Result<(NamespaceIno, Option<OwnedFd>)> {
    let is_had = |ino: &NamespaceIno| is_known(*ino) || new.contains_key(ino);
    if let Some(ino) = stray.namespace.filter(is_had) {
        return Ok((ino, None));
    }
    let file = stoop::diag::network_namespace_of(owners::copy_of(stray.owner)?)?;
    let ino = NamespaceIno(rustix::fs::fstat(&file)?.st_ino);
    Ok((ino, (!is_had(&ino)).then_some(file)))
}
