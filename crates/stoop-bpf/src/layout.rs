//! The kernel fields that go into a record: by name here, and with BTF as offsets. Pure.
//!
//! If the kernel lacks a name, the error says which. Only fields that depend on the kernel's
//! configuration are optional.

use crate::btf::{Btf, BtfError, Field, Kind, TypeId};
use crate::record::*;

/// A field: the structure, and the path in it.
type Name = (&'static str, &'static str);

/// A value of a record: its slot, and the start and fields of the pointer chain to it. All fields
/// but the last are pointers.
type Named = (Slot, Base, &'static [Name]);

/// The start of a pointer chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// The context that the iterator passes to the program.
    Context,
    /// The socket as a generic `struct sock`.
    Socket,
    /// The socket as a `struct unix_sock`.
    Local,
}

/// The values that every kernel has.
const CHAINS: &[Named] = &[
    (STARTED, Base::Context, &[TASK, LEADER, ("task_struct", "start_boottime")]),
    (TABLE, Base::Context, &[TASK, ("task_struct", "files")]),
    (COMMAND, Base::Context, &[TASK, LEADER, ("task_struct", "comm")]),
    (PID, Base::Context, &[TASK, ("task_struct", "tgid")]),
    (TID, Base::Context, &[TASK, ("task_struct", "pid")]),
    (USER, Base::Context, &[TASK, LEADER, ("task_struct", "cred"), ("cred", "euid.val")]),
    (FD, Base::Context, &[(CONTEXT, "fd")]),
    (INODE, Base::Context, &[(CONTEXT, "file"), FILE_INODE, INODE_NUMBER]),
    (COOKIE, Base::Socket, &[("sock", "__sk_common.skc_cookie.counter")]),
];
/// Missing if the kernel was built with a single network namespace.
const NETWORK_CHAIN: Named =
    (NETWORK, Base::Socket, &[("sock", "__sk_common.skc_net.net"), ("net", "ns.inum")]);
/// Missing before Linux 5.16; see [`CAST`].
const NAME_CHAIN: Named = (NAME, Base::Local, &[("unix_sock", "addr")]);

/// Values that some kernels lack, or that have another meaning there.
const OPTIONAL: &[Named] = &[
    NETWORK_CHAIN,
    (BIND_LINK, Base::Socket, &[("sock", "__sk_common.skc_bind_node.pprev")]),
    (HASH, Base::Socket, &[("sock", "__sk_common.skc_hash")]),
    (QUEUED, Base::Socket, &[("sock", "sk_receive_queue.qlen")]),
    (QUEUE_LIMIT, Base::Socket, &[("sock", "sk_max_ack_backlog")]),
];

const CONTEXT: &str = "bpf_iter__task_file";
const TASK: Name = (CONTEXT, "task");
const LEADER: Name = ("task_struct", "group_leader");
const FILE_INODE: Name = ("file", "f_inode");
const INODE_NUMBER: Name = ("inode", "i_ino");
/// The function whose type identifies the iterator.
const ITERATOR: &str = "bpf_iter_task_file";
/// The function behind the helper that casts `struct sock` to `struct unix_sock`. Without it the
/// verifier permits no load of the latter's fields ([K-BPF-8]).
///
/// [K-BPF-8]: https://docs.rs/stoop/latest/stoop/kernel_facts/index.html#K-BPF-8
const CAST: &str = "bpf_skc_to_unix_sock";

/// The types that [`Layout::of`] looks up.
const WANTED: &[(Kind, &str)] = &[
    (Kind::FUNC, ITERATOR),
    (Kind::FUNC, CAST),
    (Kind::STRUCT, CONTEXT),
    (Kind::STRUCT, "bpf_iter_meta"),
    (Kind::STRUCT, "cred"),
    (Kind::STRUCT, "file"),
    (Kind::STRUCT, "inode"),
    (Kind::STRUCT, "net"),
    (Kind::STRUCT, "sk_buff"),
    (Kind::STRUCT, "sock"),
    (Kind::STRUCT, "socket"),
    (Kind::STRUCT, "task_struct"),
    (Kind::STRUCT, "unix_sock"),
];

/// The pointer chain to one value of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) slot: Slot,
    pub(crate) base: Base,
    pub(crate) steps: Vec<Field>,
}

/// The fields by which the messages in a receive queue are visited.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MessageFields {
    /// The socket's type.
    pub(crate) kind: Field,
    /// How many there are.
    pub(crate) queued: Field,
    /// The first message.
    pub(crate) first: Field,
    /// The message behind a message.
    pub(crate) next: Field,
    /// The length of a message.
    pub(crate) len: Field,
}

impl MessageFields {
    fn of(btf: &Btf<'_>) -> Result<MessageFields, BtfError> {
        Ok(MessageFields {
            kind: btf.field("sock", "sk_type")?,
            queued: btf.field("sock", "sk_receive_queue.qlen")?,
            first: btf.field("sock", "sk_receive_queue.next")?,
            next: btf.field("sk_buff", "next")?,
            len: btf.field("sk_buff", "len")?,
        })
    }
}

/// The offsets of everything that the program needs.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) iterator: TypeId,
    pub(crate) file: Field,
    pub(crate) meta: Field,
    pub(crate) seq: Field,
    pub(crate) sk: Field,
    pub(crate) family: Field,
    /// `None` if the kernel's fields have other names.
    pub(crate) messages: Option<MessageFields>,
    pub(crate) chains: Vec<Chain>,
}

impl Layout {
    /// Resolves the layout from a kernel's type information. [`Record::name`] is omitted if it is
    /// not wanted.
    ///
    /// # Errors
    /// Returns an error that names what the kernel lacks.
    pub(crate) fn of(blob: &[u8], wants_names: bool) -> Result<Layout, BtfError> {
        let btf = &Btf::scan(blob, WANTED)?;
        let mut chains = CHAINS.iter().map(|named| resolve(btf, named)).collect::<Result<Vec<_>, _>>()?;
        chains.extend(OPTIONAL.iter().filter_map(|named| resolve(btf, named).ok()));
        if wants_names && btf.type_id(Kind::FUNC, CAST).is_ok() {
            chains.push(resolve(btf, &NAME_CHAIN)?);
        }
        Ok(Layout {
            iterator: btf.type_id(Kind::FUNC, ITERATOR)?,
            file: btf.field(CONTEXT, "file")?,
            meta: btf.field(CONTEXT, "meta")?,
            seq: btf.field("bpf_iter_meta", "seq")?,
            sk: btf.field("socket", "sk")?,
            family: btf.field("sock", "__sk_common.skc_family")?,
            messages: MessageFields::of(btf).ok(),
            chains,
        })
    }
}

fn resolve(btf: &Btf<'_>, (slot, base, names): &Named) -> Result<Chain, BtfError> {
    let steps = names.iter().map(|(within, path)| btf.field(within, path)).collect::<Result<_, _>>()?;
    Ok(Chain { slot: *slot, base: *base, steps })
}
