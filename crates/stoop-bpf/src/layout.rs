//! What goes into a record and where the kernel has it, as names; and from those, with BTF, as numbers. Pure.
//!
//! A name that a kernel does not have is said in the error; only what a kernel may lack by its configuration is left out.

use crate::btf::{Btf, BtfError, Field, Kind, TypeId};
use crate::record::*;

/// A field by its structure and its path in it.
type Name = (&'static str, &'static str);

/// Where a chain of fields begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// What the iterator gives to the program: followed by plain loads, which the verifier checks.
    Context,
    /// The socket: followed by plain loads.
    Socket,
    /// The socket, past what its type covers: every step copies memory that may not be there.
    Around,
    /// The peer, which may be gone at any moment: likewise.
    Peer,
}

/// Each value of a record: where the chain of fields to it begins, and the chain. All but the last are pointers.
const CHAINS: &[(Slot, Base, &[Name])] = &[
    (STARTED, Base::Context, &[TASK, LEADER, ("task_struct", "start_boottime")]),
    (TABLE, Base::Context, &[TASK, ("task_struct", "files")]),
    (COMMAND, Base::Context, &[TASK, LEADER, ("task_struct", "comm")]),
    (PID, Base::Context, &[TASK, ("task_struct", "tgid")]),
    (TID, Base::Context, &[TASK, ("task_struct", "pid")]),
    (USER, Base::Context, &[TASK, LEADER, ("task_struct", "cred"), ("cred", "euid.val")]),
    (FD, Base::Context, &[(CONTEXT, "fd")]),
    (INODE, Base::Context, &[(CONTEXT, "file"), ("file", "f_inode"), ("inode", "i_ino")]),
    (COOKIE, Base::Socket, &[("sock", "__sk_common.skc_cookie.counter")]),
    (OWNER, Base::Socket, &[("sock", "sk_uid.val")]),
    (QUEUE, Base::Socket, &[("sock", "sk_receive_queue.qlen")]),
    (BACKLOG, Base::Socket, &[("sock", "sk_max_ack_backlog")]),
    (KIND, Base::Socket, &[("sock", "sk_type")]),
    (STATE, Base::Socket, &[("sock", "__sk_common.skc_state")]),
    (SHUTDOWN, Base::Socket, &[("sock", "sk_shutdown")]),
    (PEER, Base::Around, &[("unix_sock", "peer")]),
];
/// Not there when the kernel was built with one network namespace only.
const NETWORK_CHAIN: (Slot, Base, &[Name]) =
    (NETWORK, Base::Socket, &[("sock", "__sk_common.skc_net.net"), ("net", "ns.inum")]);

const CONTEXT: &str = "bpf_iter__task_file";
const TASK: Name = (CONTEXT, "task");
const LEADER: Name = ("task_struct", "group_leader");
/// The function whose type says what the iterator is.
const ITERATOR: &str = "bpf_iter_task_file";

/// The types that [`Layout::of`] looks for.
pub(crate) const WANTED: &[(Kind, &str)] = &[
    (Kind::FUNC, ITERATOR),
    (Kind::STRUCT, CONTEXT),
    (Kind::STRUCT, "bpf_iter_meta"),
    (Kind::STRUCT, "cred"),
    (Kind::STRUCT, "file"),
    (Kind::STRUCT, "inode"),
    (Kind::STRUCT, "net"),
    (Kind::STRUCT, "sock"),
    (Kind::STRUCT, "socket"),
    (Kind::STRUCT, "socket_alloc"),
    (Kind::STRUCT, "task_struct"),
    (Kind::STRUCT, "unix_sock"),
];

/// How to get one value of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) slot: Slot,
    pub(crate) base: Base,
    pub(crate) steps: Vec<Field>,
}

/// Where everything lies that the program needs.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) iterator: TypeId,
    pub(crate) file: Field,
    pub(crate) meta: Field,
    pub(crate) seq: Field,
    pub(crate) sk: Field,
    pub(crate) family: Field,
    pub(crate) chains: Vec<Chain>,
}

/// Where the inode number of a socket is found that no descriptor leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InodeFrom {
    /// In the socket itself: newer kernels.
    Socket,
    /// In the inode beside which the outer half of the socket lies: all of them.
    Outer,
}

impl Layout {
    /// The layout of the kernel whose type information this is.
    pub(crate) fn of(blob: &[u8]) -> Result<Layout, BtfError> {
        let btf = Btf::scan(blob, WANTED)?;
        let newer = btf.field("sock", "sk_ino").is_ok();
        Layout::with(&btf, if newer { InodeFrom::Socket } else { InodeFrom::Outer })
    }

    /// The same, the inode of a peer being looked for there.
    pub(crate) fn with(btf: &Btf<'_>, inode: InodeFrom) -> Result<Layout, BtfError> {
        let mut chains = CHAINS.iter().map(|named| resolve(btf, named)).collect::<Result<Vec<_>, _>>()?;
        chains.push(Chain { slot: PEER_INODE, base: Base::Peer, steps: inode_steps(btf, inode)? });
        chains.extend(resolve(btf, &NETWORK_CHAIN).ok());
        Ok(Layout {
            iterator: btf.type_id(Kind::FUNC, ITERATOR)?,
            file: btf.field(CONTEXT, "file")?,
            meta: btf.field(CONTEXT, "meta")?,
            seq: btf.field("bpf_iter_meta", "seq")?,
            sk: btf.field("socket", "sk")?,
            family: btf.field("sock", "__sk_common.skc_family")?,
            chains,
        })
    }
}

fn resolve(btf: &Btf<'_>, (slot, base, names): &(Slot, Base, &[Name])) -> Result<Chain, BtfError> {
    let steps = names.iter().map(|(within, path)| btf.field(within, path)).collect::<Result<_, _>>()?;
    Ok(Chain { slot: *slot, base: *base, steps })
}

fn inode_steps(btf: &Btf<'_>, from: InodeFrom) -> Result<Vec<Field>, BtfError> {
    if from == InodeFrom::Socket {
        return Ok(vec![btf.field("sock", "sk_ino")?]);
    }
    let outer = btf.field("sock", "sk_socket")?;
    let beside = btf.field("socket_alloc", "vfs_inode")?.offset_bytes;
    let number = btf.field("inode", "i_ino")?;
    let within = btf.field("socket_alloc", "socket")?.offset_bytes;
    let offset = beside.checked_add(number.offset_bytes).and_then(|sum| sum.checked_sub(within));
    let offset_bytes = offset.ok_or(BtfError::Malformed("an inode that lies before its socket"))?;
    Ok(vec![outer, Field { offset_bytes, ..number }])
}
