//! Sockets that processes have open but no table listed: created a moment ago, or in a network
//! namespace that no process is in and no file names. An accepted socket is in the namespace of its
//! client, which may have exited long ago.
//!
//! Each socket is queried for its namespace (`SIOCGSKNS`), through a duplicate of its file
//! descriptor. This requires permission to trace its process, and `CAP_NET_ADMIN` ([K-NETNS-2]).
//! Sockets that cannot be queried are reported as missing from the snapshot.
//!
//! [K-NETNS-2]: stoop::kernel_facts#K-NETNS-2

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
pub(crate) fn locate(unlisted: &[Holding], is_known: impl Fn(NamespaceIno) -> bool) -> Located {
    let mut located = Located::default();
    let mut unlisted: Vec<_> = unlisted
        .iter()
        .filter(|holding| holding.namespace.is_some() || owners::is_local(holding.owner, holding.ino))
        .collect();
    unlisted.sort_unstable_by_key(|holding| (holding.ino, holding.namespace));
    unlisted.dedup_by_key(|holding| (holding.ino, holding.namespace));
    for holding in unlisted {
        match namespace_of(holding, &is_known, &located.new) {
            Ok((ino, None)) if is_known(ino) => located.known.entry(ino).or_default().push(holding.ino),
            Ok((_, None)) => {}
            Ok((ino, Some(file))) => {
                located.new.insert(ino, file);
            }
            Err(error) if crate::procfs::is_gone(&error) || error.raw_os_error() == Some(EBADF) => {}
            Err(error) => {
                located.lost.push(holding.ino);
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
    holding: &Holding,
    is_known: &impl Fn(NamespaceIno) -> bool,
    new: &BTreeMap<NamespaceIno, OwnedFd>,
) -> io::Result<(NamespaceIno, Option<OwnedFd>)> {
    let is_had = |ino: &NamespaceIno| is_known(*ino) || new.contains_key(ino);
    if let Some(ino) = holding.namespace.filter(is_had) {
        return Ok((ino, None));
    }
    let file = stoop::diag::network_namespace_of(owners::dup_fd(holding.owner)?)?;
    let ino = NamespaceIno(rustix::fs::fstat(&file)?.st_ino);
    Ok((ino, (!is_had(&ino)).then_some(file)))
}
