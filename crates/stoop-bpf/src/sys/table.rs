//! A table: a hash map from numbers to values of any length, which programs fill and this process
//! reads.

#![expect(unsafe_code, reason = "bpf(2) has no safe binding")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use libc::c_long;

const MAP_CREATE: c_long = 0;
const MAP_LOOKUP: c_long = 1;
const MAP_UPDATE: c_long = 2;
const MAP_DELETE: c_long = 3;
const MAP_LOOKUP_BATCH: c_long = 24;
const HASH: u32 = 1;
const KEY_BYTES: usize = 8;
/// How many values are read with one call. A bucket of the map must fit.
const BATCH: usize = 1024;

#[repr(C)]
struct Create {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
}

#[repr(C)]
struct Element {
    map_fd: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct Batch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// A hash map from `u64` to values of `value_bytes`.
#[derive(Debug)]
pub(crate) struct Table {
    fd: OwnedFd,
    value_bytes: usize,
    keys: Vec<u64>,
    values: Vec<u8>,
}

impl Table {
    /// Creates a table. The kernel allocates all of it at once.
    pub(crate) fn create(value_bytes: usize, entries: u32) -> io::Result<Table> {
        let attributes = Create {
            map_type: HASH,
            key_size: KEY_BYTES as u32,
            value_size: value_bytes as u32,
            max_entries: entries,
        };
        // SAFETY: `attributes` has the layout of the command and contains no pointer.
        let fd = unsafe { super::bpf(MAP_CREATE, &attributes) }?;
        Ok(Table { fd, value_bytes, keys: Vec::new(), values: Vec::new() })
    }

    /// Returns the value of a key. `None` if it has none.
    pub(crate) fn get(&self, key: u64) -> io::Result<Option<Vec<u8>>> {
        let mut value = vec![0; self.value_bytes];
        match self.element(MAP_LOOKUP, key, &mut value) {
            Ok(()) => Ok(Some(value)),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets the value of a key.
    pub(crate) fn set(&self, key: u64, mut value: Vec<u8>) -> io::Result<()> {
        self.element(MAP_UPDATE, key, &mut value)
    }

    /// Removes a key.
    pub(crate) fn remove(&self, key: u64) -> io::Result<()> {
        self.element(MAP_DELETE, key, &mut vec![0; self.value_bytes])
    }

    /// Calls `each` with every key and its value. A key that is set or removed meanwhile may be
    /// missing.
    pub(crate) fn read_each(&mut self, mut each: impl FnMut(u64, &[u8])) -> io::Result<()> {
        let mut position: Option<u64> = None;
        let mut len = BATCH;
        loop {
            self.keys.resize(len, 0);
            self.values.resize(len * self.value_bytes, 0);
            let (count, next) = match self.batch(position) {
                Ok(read) => read,
                // A bucket has more than that.
                Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => {
                    len *= 2;
                    continue;
                }
                Err(error) => return Err(error),
            };
            for (key, value) in self.keys.iter().zip(self.values.chunks_exact(self.value_bytes)).take(count) {
                each(*key, value);
            }
            let Some(next) = next else { return Ok(()) };
            position = Some(next);
        }
    }

    /// Reads values from a position on (`BPF_MAP_LOOKUP_BATCH`). Returns their number and the next
    /// position; `None` at the end.
    fn batch(&mut self, position: Option<u64>) -> io::Result<(usize, Option<u64>)> {
        let from = position.unwrap_or_default();
        let mut next = 0u64;
        let mut attributes = Batch {
            in_batch: if position.is_some() { std::ptr::from_ref(&from) as u64 } else { 0 },
            out_batch: std::ptr::from_mut(&mut next) as u64,
            keys: self.keys.as_mut_ptr() as u64,
            values: self.values.as_mut_ptr() as u64,
            count: self.keys.len() as u32,
            map_fd: self.fd.as_raw_fd() as u32,
            elem_flags: 0,
            flags: 0,
        };
        // SAFETY: `attributes` has the layout of the command. The kernel writes at most `count` keys
        // of eight bytes and as many values of the length that the map was created with: both vectors
        // have that space. A position has four bytes. It writes the number back into `attributes`.
        // Everything lives, exclusively, until the call returns.
        let result = unsafe {
            let size = size_of::<Batch>();
            libc::syscall(libc::SYS_bpf, MAP_LOOKUP_BATCH, std::ptr::from_mut(&mut attributes), size)
        };
        let error = if result == -1 { Some(io::Error::last_os_error()) } else { None };
        match error {
            None => Ok((attributes.count as usize, Some(next))),
            Some(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                Ok((attributes.count as usize, None))
            }
            Some(error) => Err(error),
        }
    }

    fn element(&self, command: c_long, key: u64, value: &mut Vec<u8>) -> io::Result<()> {
        assert_eq!(value.len(), self.value_bytes, "a value of this table");
        let attributes = Element {
            map_fd: self.fd.as_raw_fd() as u32,
            padding: 0,
            key: std::ptr::from_ref(&key) as u64,
            value: if command == MAP_DELETE { 0 } else { value.as_mut_ptr() as u64 },
            flags: 0,
        };
        let len = size_of::<Element>();
        // SAFETY: `attributes` has the layout of these commands. The kernel reads a key of eight bytes,
        // and reads or writes a value of the length that the map was created with, which is that of
        // the vector. Both live until the call returns.
        let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(&attributes), len) };
        if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

impl AsFd for Table {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
