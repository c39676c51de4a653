//! Sockets that processes have open and no table has shown: made a moment ago, or in a network
//! namespace that no process is in and no file names. An accepted socket is in the namespace of its
//! client, which may be long gone.
//!
//! Each is asked for its namespace, through a copy of its descriptor. Takes the right to trace its
//! process and `CAP_NET_ADMIN` (K-NETNS-2); what cannot be asked is missing from the snapshot, and
//! said to be.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;

use crate::model::{NamespaceIno, SocketIno};
use crate::owners::{self, Holding};

/// Where strays are.
#[derive(Debug, Default)]
pub(crate) struct Located {
    /// Sockets of namespaces whose table is open.
    pub(crate) known: BTreeMap<NamespaceIno, Vec<SocketIno>>,
    /// Namespaces found this way, each with a descriptor of it.
    pub(crate) new: BTreeMap<NamespaceIno, OwnedFd>,
    /// Local sockets that could not be asked, and why the last of them.
    pub(crate) lost: Vec<SocketIno>,
    pub(crate) why: Option<io::Error>,
}

/// Finds out which of the strays are local sockets, and where they are.
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

/// The descriptor was closed meanwhile.
const EBADF: i32 = rustix::io::Errno::BADF.raw_os_error();

/// The namespace, with a descriptor of it where it is new.
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
