//! The kernel fields that the capture programs read: by name, and with BTF as offsets. Pure.

use crate::btf::{Btf, BtfError, Field, Kind, TypeId};
use crate::hook::{self, Happening, Hook};

/// The prototype of the tracepoint.
const COPY: &str = "btf_trace_skb_copy_datagram_iovec";

/// Declares memory to be of another type (Linux 6.2).
const CAST: &str = "bpf_rdonly_cast";
/// A type that begins with a number of eight bytes.
const NUMBER: &str = "timespec64";

const WANTED: &[(Kind, &str)] = &[
    (Kind::FUNC, CAST),
    (Kind::TYPEDEF, COPY),
    (Kind::STRUCT, "cgroup"),
    (Kind::STRUCT, "dentry"),
    (Kind::STRUCT, "file"),
    (Kind::STRUCT, "inode"),
    (Kind::STRUCT, "kernfs_node"),
    (Kind::STRUCT, "scm_fp_list"),
    (Kind::STRUCT, "sk_buff"),
    (Kind::STRUCT, "super_block"),
    (Kind::STRUCT, NUMBER),
    (Kind::STRUCT, "unix_skb_parms"),
    (Kind::STRUCT, "unix_sock"),
];

/// The offsets of everything that the programs need.
#[derive(Clone, Debug)]
pub(super) struct CaptureLayout {
    pub(super) copy: TypeId,
    /// The ends of calls that receive. Empty if the kernel has no such place, like the next two.
    pub(super) receive: Vec<Hook>,
    /// The ends of calls that send.
    pub(super) send: Vec<Hook>,
    /// What happens when a client connects.
    pub(super) ready: Vec<Hook>,
    /// The function that casts, and the type to which it casts. `None` before Linux 6.2.
    pub(super) cast: Option<(TypeId, TypeId)>,
    pub(super) sk: Field,
    pub(super) len: Field,
    pub(super) consumed: Field,
    /// The memory of a message, if it may grow after a part of it was received.
    pub(super) grows: Option<Field>,
    pub(super) fp: Field,
    pub(super) fp_count: Field,
    /// `None` if the kernel keeps open files in another way.
    pub(super) files: Option<FileLayout>,
    pub(super) family: Field,
    pub(super) state: Field,
    pub(super) kind: Field,
    pub(super) shutdown: Field,
    pub(super) cookie: Field,
    pub(super) peer: Field,
    pub(super) name: Field,
    /// The user that created a socket, or accepted it.
    pub(super) creator: Field,
    /// From a socket to the id of the cgroup in which it was created; for an accepted socket, that
    /// of its client. Empty before Linux 5.16.
    pub(super) cgroup: Vec<Field>,
    /// From a socket to its inode number: one field where the kernel has it, else through the file.
    pub(super) inode: Vec<Field>,
}

/// What leads from the files of a message to what is said of each.
#[derive(Clone, Debug)]
pub(super) struct FileLayout {
    /// The first file.
    pub(super) first: Field,
    pub(super) mode: [Field; 2],
    pub(super) inode: [Field; 2],
    pub(super) device: [Field; 3],
    pub(super) name: [Field; 2],
}

impl FileLayout {
    fn of(btf: &Btf<'_>) -> Result<FileLayout, BtfError> {
        let inode = btf.field("file", "f_inode")?;
        Ok(FileLayout {
            first: Field { len_bytes: 8, ..btf.field("scm_fp_list", "fp")? },
            mode: [inode, btf.field("inode", "i_mode")?],
            inode: [inode, btf.field("inode", "i_ino")?],
            device: [inode, btf.field("inode", "i_sb")?, btf.field("super_block", "s_dev")?],
            name: [btf.field("file", "f_path.dentry")?, btf.field("dentry", "d_name.name")?],
        })
    }
}

impl CaptureLayout {
    /// # Errors
    /// Returns an error that names what the kernel lacks.
    pub(super) fn of(blob: &[u8]) -> Result<CaptureLayout, BtfError> {
        let wanted = [WANTED, hook::WANTED].concat();
        let btf = &Btf::scan(blob, &wanted)?;
        let hooks = |happening: Happening| happening.hooks(btf).unwrap_or_default();
        Ok(CaptureLayout {
            copy: btf.type_id(Kind::TYPEDEF, COPY)?,
            receive: hooks(Happening::Received),
            send: hooks(Happening::Sent),
            ready: hooks(Happening::Ready),
            cast: btf.type_id(Kind::FUNC, CAST).ok().zip(btf.type_id(Kind::STRUCT, NUMBER).ok()),
            sk: btf.field("sk_buff", "sk")?,
            len: btf.field("sk_buff", "len")?,
            consumed: in_control_block(btf, "consumed")?,
            grows: hook::adds_pages(btf).then(|| btf.field("sk_buff", "head")).transpose()?,
            fp: in_control_block(btf, "fp")?,
            fp_count: btf.field("scm_fp_list", "count")?,
            files: FileLayout::of(btf).ok(),
            family: btf.field("sock", "__sk_common.skc_family")?,
            state: btf.field("sock", "__sk_common.skc_state")?,
            kind: btf.field("sock", "sk_type")?,
            shutdown: btf.field("sock", "sk_shutdown")?,
            cookie: btf.field("sock", "__sk_common.skc_cookie.counter")?,
            peer: btf.field("unix_sock", "peer")?,
            name: btf.field("unix_sock", "addr")?,
            creator: btf.field("sock", "sk_uid.val")?,
            cgroup: cgroup(btf),
            inode: btf.inode_of_socket()?,
        })
    }
}

/// Returns a field that Unix sockets keep in the control block of a message.
fn in_control_block(btf: &Btf<'_>, name: &str) -> Result<Field, BtfError> {
    let (block, field) = (btf.field("sk_buff", "cb")?, btf.field("unix_skb_parms", name)?);
    Ok(Field { offset_bytes: block.offset_bytes + field.offset_bytes, len_bytes: field.len_bytes })
}

/// Before Linux 5.16 the pointer had flags in it.
fn cgroup(btf: &Btf<'_>) -> Vec<Field> {
    if btf.field("sock", "sk_cgrp_data.val").is_ok() {
        return Vec::new();
    }
    let through = [("sock", "sk_cgrp_data.cgroup"), ("cgroup", "kn"), ("kernfs_node", "id")];
    btf.chain(&through).unwrap_or_default()
}
