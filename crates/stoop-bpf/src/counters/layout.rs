//! The kernel fields that the counting programs read: by name, and with BTF as offsets. Pure.

use crate::btf::{Btf, BtfError, Field, Kind, TypeId};

/// The prototypes of the tracepoints, since Linux 6.3.
const SEND: &str = "btf_trace_sock_send_length";
const RECEIVE: &str = "btf_trace_sock_recv_length";
const READY: &str = "btf_trace_sk_data_ready";

const WANTED: &[(Kind, &str)] = &[
    (Kind::TYPEDEF, SEND),
    (Kind::TYPEDEF, RECEIVE),
    (Kind::TYPEDEF, READY),
    (Kind::STRUCT, "file"),
    (Kind::STRUCT, "inode"),
    (Kind::STRUCT, "sock"),
    (Kind::STRUCT, "socket"),
    (Kind::STRUCT, "unix_sock"),
];

/// The offsets of everything that the programs need.
#[derive(Clone, Debug)]
pub(super) struct CounterLayout {
    pub(super) send: TypeId,
    pub(super) receive: TypeId,
    pub(super) ready: TypeId,
    pub(super) family: Field,
    pub(super) state: Field,
    pub(super) kind: Field,
    pub(super) cookie: Field,
    /// How many messages are in the receive queue.
    pub(super) queued: Field,
    pub(super) peer: Field,
    pub(super) name: Field,
    /// From a socket to its inode number: one field if the kernel has it, else through the file.
    pub(super) inode: Vec<Field>,
}

impl CounterLayout {
    /// # Errors
    /// Returns an error that names what the kernel lacks.
    pub(super) fn of(blob: &[u8]) -> Result<CounterLayout, BtfError> {
        let btf = &Btf::scan(blob, WANTED)?;
        Ok(CounterLayout {
            send: btf.type_id(Kind::TYPEDEF, SEND)?,
            receive: btf.type_id(Kind::TYPEDEF, RECEIVE)?,
            ready: btf.type_id(Kind::TYPEDEF, READY)?,
            family: btf.field("sock", "__sk_common.skc_family")?,
            state: btf.field("sock", "__sk_common.skc_state")?,
            kind: btf.field("sock", "sk_type")?,
            cookie: btf.field("sock", "__sk_common.skc_cookie.counter")?,
            queued: btf.field("sock", "sk_receive_queue.qlen")?,
            peer: btf.field("unix_sock", "peer")?,
            name: btf.field("unix_sock", "addr")?,
            inode: btf.inode_of_socket()?,
        })
    }
}
