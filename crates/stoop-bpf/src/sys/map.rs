//! Maps: tables that programs and this process share.

#![expect(unsafe_code, reason = "bpf(2) has no safe binding")]

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use libc::c_long;

const MAP_CREATE: c_long = 0;
const MAP_UPDATE: c_long = 2;
const MAP_DELETE: c_long = 3;

/// A kind of map.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(crate) enum MapKind {
    Hash = 1,
    Array = 2,
    /// A perf buffer for each processor.
    PerfEvents = 4,
}

/// The beginning of `union bpf_attr` for `BPF_MAP_CREATE`. The kernel takes the rest as zero.
#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
}

/// The same for commands that set or remove one value.
#[repr(C)]
struct MapElement {
    map_fd: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// The type of a map's keys: a plain integer.
pub(crate) trait MapKey: Copy {}

impl MapKey for u32 {}
impl MapKey for u64 {}

/// A map from `K` to numbers of four bytes.
#[derive(Debug)]
pub(crate) struct Map<K> {
    fd: OwnedFd,
    keys: PhantomData<K>,
}

/// Creates a map (`BPF_MAP_CREATE`) with keys and values of these sizes.
pub(super) fn create(
    kind: MapKind,
    key_bytes: usize,
    value_bytes: usize,
    entries: u32,
    map_flags: u32,
) -> io::Result<OwnedFd> {
    let attributes = MapCreate {
        map_type: kind as u32,
        key_size: key_bytes as u32,
        value_size: value_bytes as u32,
        max_entries: entries,
        map_flags,
    };
    // SAFETY: `attributes` has the layout of the command and contains no pointer.
    unsafe { super::bpf(MAP_CREATE, &attributes) }
}

impl<K: MapKey> Map<K> {
    /// Creates a map.
    pub(crate) fn create(kind: MapKind, entries: u32) -> io::Result<Map<K>> {
        let fd = create(kind, size_of::<K>(), size_of::<u32>(), entries, 0)?;
        Ok(Map { fd, keys: PhantomData })
    }

    /// Sets the value of a key (`BPF_MAP_UPDATE_ELEM`).
    pub(crate) fn set(&self, key: K, value: u32) -> io::Result<()> {
        self.element(MAP_UPDATE, &key, Some(&value))
    }

    /// Removes a key (`BPF_MAP_DELETE_ELEM`).
    pub(crate) fn remove(&self, key: K) -> io::Result<()> {
        self.element(MAP_DELETE, &key, None)
    }

    fn element(&self, command: c_long, key: &K, value: Option<&u32>) -> io::Result<()> {
        let attributes = MapElement {
            map_fd: self.fd.as_raw_fd() as u32,
            padding: 0,
            key: std::ptr::from_ref(key) as u64,
            value: value.map_or(0, |value| std::ptr::from_ref(value) as u64),
            flags: 0,
        };
        let len = size_of::<MapElement>();
        // SAFETY: `attributes` has the layout of both commands. The kernel reads a key and a value of
        // the sizes that the map was created with, which are those of the types here, an integer
        // each. Both live until the call returns.
        let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(&attributes), len) };
        if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

impl<K> AsFd for Map<K> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
