//! Facts about what `stoop bench` compares with sockets: memory files and System V queues.

#![expect(unsafe_code, reason = "System V queues have no safe binding")]

use std::ffi::{c_int, c_long};
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, ftruncate, memfd_create};
use rustix::io::Errno;
use rustix::thread::futex;
use stoop_kernel_facts::libc;
use stoop_testkit::{deadline, skip};

const LONG: Duration = Duration::from_secs(60);

fn memory(flags: MemfdFlags) -> rustix::io::Result<OwnedFd> {
    let memory = memfd_create("fact", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | flags)?;
    ftruncate(&memory, 4096).map(|()| memory)
}

/// K-MEM-1
#[test]
fn sealed_memory_keeps_its_size_and_its_seals() {
    let memory = memory(MemfdFlags::empty()).unwrap();
    fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL).unwrap();
    assert_eq!(ftruncate(&memory, 0), Err(Errno::PERM));
    assert_eq!(ftruncate(&memory, 8192), Err(Errno::PERM));
    assert_eq!(fcntl_add_seals(&memory, SealFlags::WRITE), Err(Errno::PERM));
    assert_eq!(rustix::io::write(&memory, b"x"), Ok(1), "its contents are not sealed");
}

/// K-MEM-2
#[test]
fn non_executable_memory_is_sealed_against_execution() {
    match memory(MemfdFlags::NOEXEC_SEAL) {
        Ok(memory) => assert!(fcntl_get_seals(&memory).unwrap().contains(SealFlags::EXEC)),
        Err(errno) => {
            assert_eq!(errno, Errno::INVAL, "older kernels, which do not support it");
            skip!("lacks MFD_NOEXEC_SEAL (Linux 6.3)");
        }
    }
}

/// K-MEM-3
#[test]
fn a_word_that_has_changed_is_not_slept_on() {
    deadline(LONG, || {
        let word = AtomicU32::new(7);
        assert_eq!(futex::wait(&word, futex::Flags::empty(), 6, None), Err(Errno::AGAIN));
    });
}

fn checked(result: isize) -> Result<isize, Errno> {
    if result == -1 {
        Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap())
    } else {
        Ok(result)
    }
}

fn remove(queue: c_int) -> Result<isize, Errno> {
    // SAFETY: plain numbers; the pointer is not looked at.
    checked(unsafe { libc::msgctl(queue, libc::IPC_RMID, std::ptr::null_mut()) } as isize)
}

fn receive(queue: c_int) -> Result<isize, Errno> {
    let mut message: [c_long; 2] = [0; 2];
    // SAFETY: a type, and room for eight bytes behind it.
    checked(unsafe { libc::msgrcv(queue, message.as_mut_ptr().cast(), size_of::<c_long>(), 0, 0) })
}

/// K-SYSV-1
#[test]
fn removing_a_queue_wakes_who_waits_on_it() {
    // SAFETY: plain numbers.
    let queue = match checked(unsafe { libc::msgget(libc::IPC_PRIVATE, 0o600) } as isize) {
        Ok(queue) => queue as c_int,
        Err(Errno::NOSYS | Errno::NOSPC) => skip!("lacks System V queues"),
        Err(errno) => panic!("{errno}"),
    };
    let waiting = std::thread::spawn(move || receive(queue));
    // It waits already or is about to: each has its own errno.
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(remove(queue), Ok(0));
    let woken = deadline(LONG, move || waiting.join().unwrap());
    assert!(matches!(woken, Err(Errno::IDRM | Errno::INVAL)), "{woken:?}");
    assert_eq!(receive(queue), Err(Errno::INVAL), "a number without a queue");
    assert_eq!(remove(queue), Err(Errno::INVAL));
}
