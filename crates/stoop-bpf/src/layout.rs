//! The kernel fields that go into a record: by name here, and with BTF as offsets. Pure.
//!
//! If the kernel lacks a name, the error says which. Only fields that depend on the kernel's
//! configuration are optional.

use crate::btf::{Btf, BtfError, Field, Kind, TypeId};
use crate::record::*;

/// A field: the structure, and the path in it.
type Name = (&'static str, &'static str);

/// The start of a chain, and its steps.
type Named = (Base, &'static [Step<Name>]);

/// The start of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// The context that the iterator passes to the program.
    Context,
    /// The socket, as a `struct unix_sock` if the kernel has [`CAST`], else as a `struct sock`.
    Socket,
}

/// A step of a chain, at one structure. If a pointer is null, the rest of the chain is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step<F> {
    /// Stores a field in the record.
    Keep(Slot, F),
    /// Goes on to the structure to which a field points.
    Follow(F),
}

use Step::{Follow, Keep};

/// The values that every kernel has.
///
/// The verifier looks up the structures behind a pointer of a task by name, in all types, which
/// takes it a tenth of a millisecond for each: no pointer is followed twice.
const CHAINS: &[Named] = &[
    (
        Base::Context,
        &[
            Keep(FD, (CONTEXT, "fd")),
            Follow((CONTEXT, "task")),
            Keep(TABLE, ("task_struct", "files")),
            Keep(PID, ("task_struct", "tgid")),
            Keep(TID, ("task_struct", "pid")),
            Follow(("task_struct", "group_leader")),
            Keep(STARTED, ("task_struct", "start_boottime")),
            Keep(COMMAND, ("task_struct", "comm")),
            Follow(("task_struct", "cred")),
            Keep(USER, ("cred", "euid.val")),
        ],
    ),
    (Base::Socket, &[Keep(COOKIE, ("sock", "__sk_common.skc_cookie.counter"))]),
];
/// The socket's inode: from its own copy of the number, and on kernels without one.
const INODES: [Named; 2] = [
    (Base::Socket, &[Keep(INODE, ("sock", "sk_ino"))]),
    (Base::Context, &[Follow((CONTEXT, "file")), Follow(FILE_INODE_POINTER), Keep(INODE, INODE_NUMBER)]),
];
/// Missing before Linux 5.16; see [`CAST`].
const NAME_CHAIN: Named = (Base::Socket, &[Keep(NAME, ADDRESS_POINTER)]);

/// Values that some kernels lack, or that have another meaning there.
const OPTIONAL: &[Named] = &[
    // Missing if the kernel was built with a single network namespace.
    (Base::Socket, &[Follow(("sock", "__sk_common.skc_net.net")), Keep(NETWORK, ("net", "ns.inum"))]),
    (Base::Socket, &[Keep(BIND_LINK, ("sock", "__sk_common.skc_bind_node.pprev"))]),
    (Base::Socket, &[Keep(HASH, ("sock", "__sk_common.skc_hash"))]),
    (Base::Socket, &[Keep(QUEUED, QUEUE_LENGTH), Keep(QUEUE_LIMIT, ("sock", "sk_max_ack_backlog"))]),
];

/// What the kernel's socket table has: all of it, or none.
const DETAILS: &[Named] = &[
    (
        Base::Socket,
        &[
            Keep(KIND, SOCKET_KIND),
            Keep(STATE, ("sock", "__sk_common.skc_state")),
            Keep(SHUTDOWN, ("sock", "sk_shutdown")),
            Keep(CREATOR, ("sock", "sk_uid.val")),
            Keep(SENT_REFERENCES, ("sock", "sk_wmem_alloc")),
            Keep(RECEIVED_BYTES, ("sock", "sk_backlog.rmem_alloc")),
            Keep(RECEIVE_LIMIT, ("sock", "sk_rcvbuf")),
            Keep(SEND_LIMIT, ("sock", "sk_sndbuf")),
            Keep(DROPS, ("sock", "sk_drops")),
        ],
    ),
    (Base::Socket, &[Follow(ADDRESS_POINTER), Keep(ADDRESS_BYTES, ("unix_address", "len"))]),
    (Base::Socket, &[Follow(BOUND_FILE), Follow(("dentry", "d_inode")), Keep(FILE_INODE, INODE_NUMBER)]),
    (
        Base::Socket,
        &[Follow(BOUND_FILE), Follow(("dentry", "d_sb")), Keep(FILE_DEVICE, ("super_block", "s_dev"))],
    ),
];
/// The peer and its inode, as in [`INODES`].
const PEERS: [Named; 2] = [
    (Base::Socket, &[Keep(PEER, PEER_POINTER), Follow(PEER_POINTER), Keep(PEER_INODE, ("sock", "sk_ino"))]),
    (
        Base::Socket,
        &[
            Keep(PEER, PEER_POINTER),
            Follow(PEER_POINTER),
            Follow(("sock", "sk_socket")),
            Follow(("socket", "file")),
            Follow(FILE_INODE_POINTER),
            Keep(PEER_INODE, INODE_NUMBER),
        ],
    ),
];

const FILE_INODE_POINTER: Name = ("file", "f_inode");
const INODE_NUMBER: Name = ("inode", "i_ino");
const ADDRESS_POINTER: Name = ("unix_sock", "addr");
const BOUND_FILE: Name = ("unix_sock", "path.dentry");
const PEER_POINTER: Name = ("unix_sock", "peer");
const SOCKET_KIND: Name = ("sock", "sk_type");
const QUEUE_LENGTH: Name = ("sock", "sk_receive_queue.qlen");
const CONTEXT: &str = "bpf_iter__task_file";
/// The function whose type identifies the iterator.
const ITERATOR: &str = "bpf_iter_task_file";
/// The function behind the helper that casts `struct sock` to `struct unix_sock`. Without it the
/// verifier permits no load of the latter's fields ([K-BPF-8]).
///
/// [K-BPF-8]: https://docs.rs/stoop/latest/stoop/kernel_facts/index.html#K-BPF-8
const CAST: &str = "bpf_skc_to_unix_sock";

/// The functions of the kernel's iterator over numbers (Linux 6.4; [K-BPF-12]).
///
/// [K-BPF-12]: https://docs.rs/stoop/latest/stoop/kernel_facts/index.html#K-BPF-12
const NUMBERS: [&str; 3] = ["bpf_iter_num_new", "bpf_iter_num_next", "bpf_iter_num_destroy"];

/// The types that [`Layout::of`] looks up.
const WANTED: &[(Kind, &str)] = &[
    (Kind::FUNC, ITERATOR),
    (Kind::FUNC, CAST),
    (Kind::FUNC, NUMBERS[0]),
    (Kind::FUNC, NUMBERS[1]),
    (Kind::FUNC, NUMBERS[2]),
    (Kind::STRUCT, CONTEXT),
    (Kind::STRUCT, "bpf_iter_meta"),
    (Kind::STRUCT, "cred"),
    (Kind::STRUCT, "dentry"),
    (Kind::STRUCT, "file"),
    (Kind::STRUCT, "inode"),
    (Kind::STRUCT, "net"),
    (Kind::STRUCT, "sk_buff"),
    (Kind::STRUCT, "sock"),
    (Kind::STRUCT, "socket"),
    (Kind::STRUCT, "super_block"),
    (Kind::STRUCT, "task_struct"),
    (Kind::STRUCT, "unix_address"),
    (Kind::STRUCT, "unix_skb_parms"),
    (Kind::STRUCT, "unix_sock"),
];

/// Steps from a base to values of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) base: Base,
    pub(crate) steps: Vec<Step<Field>>,
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
    /// How much of it has been read. `None` if the kernel's field has another name.
    pub(crate) consumed: Option<Field>,
}

impl MessageFields {
    fn of(btf: &Btf<'_>) -> Result<MessageFields, BtfError> {
        Ok(MessageFields {
            kind: field(btf, SOCKET_KIND)?,
            queued: field(btf, QUEUE_LENGTH)?,
            first: btf.field("sock", "sk_receive_queue.next")?,
            next: btf.field("sk_buff", "next")?,
            len: btf.field("sk_buff", "len")?,
            consumed: consumed(btf).ok(),
        })
    }
}

/// A message's room for its socket family has what Unix sockets keep of it.
fn consumed(btf: &Btf<'_>) -> Result<Field, BtfError> {
    let (room, own) = (btf.field("sk_buff", "cb")?, btf.field("unix_skb_parms", "consumed")?);
    let offset_bytes = room.offset_bytes.checked_add(own.offset_bytes);
    let offset_bytes = offset_bytes.ok_or(BtfError::Malformed("a field lies too far out"))?;
    Ok(Field { offset_bytes, len_bytes: own.len_bytes })
}

/// The fields by which a socket's address is copied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AddressFields {
    /// The pointer to the address.
    pub(crate) pointer: Field,
    /// The address in it, of any length.
    pub(crate) bytes: Field,
}

/// The kernel's iterator over numbers, with which a loop is verified once instead of once for each
/// repetition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    pub(crate) new: TypeId,
    pub(crate) next: TypeId,
    pub(crate) destroy: TypeId,
}

impl Numbers {
    fn of(btf: &Btf<'_>) -> Result<Numbers, BtfError> {
        let [new, next, destroy] = NUMBERS.map(|name| btf.type_id(Kind::FUNC, name));
        Ok(Numbers { new: new?, next: next?, destroy: destroy? })
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
    /// Whether the kernel can cast a `struct sock` to a `struct unix_sock`: since Linux 5.16.
    pub(crate) casts: bool,
    /// `None` if the kernel's fields have other names.
    pub(crate) messages: Option<MessageFields>,
    /// `None` before Linux 6.4.
    pub(crate) numbers: Option<Numbers>,
    pub(crate) chains: Vec<Chain>,
    /// `None` if details were not requested, or if the kernel lacks one of their fields.
    pub(crate) details: Option<Details>,
}

/// What the program needs for the details of a socket.
#[derive(Clone, Debug)]
pub(crate) struct Details {
    pub(crate) chains: Vec<Chain>,
    pub(crate) address: AddressFields,
}

impl Details {
    fn of(btf: &Btf<'_>) -> Result<Details, BtfError> {
        btf.type_id(Kind::FUNC, CAST)?;
        consumed(btf)?;
        let mut chains = DETAILS.iter().map(|named| resolve(btf, named)).collect::<Result<Vec<_>, _>>()?;
        chains.push(first_of(btf, &PEERS)?);
        let address = AddressFields {
            pointer: field(btf, ADDRESS_POINTER)?,
            bytes: btf.field("unix_address", "name")?,
        };
        Ok(Details { chains, address })
    }
}

impl Layout {
    /// Resolves the layout from a kernel's type information. Names and details are omitted if they
    /// are not wanted.
    ///
    /// # Errors
    /// Returns an error that names what the kernel lacks.
    pub(crate) fn of(blob: &[u8], wants_details: bool) -> Result<Layout, BtfError> {
        let btf = &Btf::scan(blob, WANTED)?;
        let mut chains = CHAINS.iter().map(|named| resolve(btf, named)).collect::<Result<Vec<_>, _>>()?;
        chains.push(first_of(btf, &INODES)?);
        chains.extend(OPTIONAL.iter().filter_map(|named| resolve(btf, named).ok()));
        let casts = wants_details && btf.type_id(Kind::FUNC, CAST).is_ok();
        if casts {
            chains.push(resolve(btf, &NAME_CHAIN)?);
        }
        let messages = MessageFields::of(btf).ok();
        Ok(Layout {
            iterator: btf.type_id(Kind::FUNC, ITERATOR)?,
            file: btf.field(CONTEXT, "file")?,
            meta: btf.field(CONTEXT, "meta")?,
            seq: btf.field("bpf_iter_meta", "seq")?,
            sk: btf.field("socket", "sk")?,
            family: btf.field("sock", "__sk_common.skc_family")?,
            casts,
            messages,
            numbers: Numbers::of(btf).ok(),
            chains,
            details: Details::of(btf).ok().filter(|_| wants_details && messages.is_some()),
        })
    }

    /// Leaves out what some kernels with all fields refuse, a part at a time: they have no compiler
    /// for programs, which alone may call their functions, or let programs copy no memory of
    /// theirs. Returns `false` if nothing is left that could be left out.
    pub(crate) fn reduce(&mut self) -> bool {
        self.numbers.take().is_some() || self.details.take().is_some()
    }
}

fn resolve(btf: &Btf<'_>, (base, names): &Named) -> Result<Chain, BtfError> {
    let step = |step: &Step<Name>| {
        Ok(match *step {
            Keep(slot, name) => Keep(slot, field(btf, name)?),
            Follow(name) => Follow(field(btf, name)?),
        })
    };
    Ok(Chain { base: *base, steps: names.iter().map(step).collect::<Result<_, _>>()? })
}

/// Resolves the first of two chains that the kernel has.
fn first_of(btf: &Btf<'_>, [new, old]: &[Named; 2]) -> Result<Chain, BtfError> {
    resolve(btf, new).or_else(|_| resolve(btf, old))
}

fn field(btf: &Btf<'_>, (within, path): Name) -> Result<Field, BtfError> {
    btf.field(within, path)
}
