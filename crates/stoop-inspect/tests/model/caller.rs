//! The caller: a thread with its own ids, capabilities, root, working directory and network
//! namespace. The kernel keeps all of these per thread, so a case needs no process, and `/proc/TID`
//! shows them as it does those of a process.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::thread::{
    CapabilitySet, CapabilitySets, Gid, LinkNameSpaceType, Uid, UnshareFlags, move_into_link_name_space,
    set_capabilities, set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::rng::Rng;

/// The users that cases use.
pub const USERS: [u32; 4] = [0, 1000, 1001, 65534];
/// The groups that cases use.
pub const GROUPS: [u32; 5] = [0, 1000, 1001, 2000, 65534];

/// The caller's attributes.
#[derive(Clone, Debug)]
pub struct Caller {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub capabilities: CapabilitySet,
    /// Its root directory, if that differs from ours.
    pub root: Option<PathBuf>,
    pub cwd: PathBuf,
    /// Whether it is in the other network namespace.
    pub other_network: bool,
}

impl Caller {
    pub fn random(rng: &mut Rng) -> Caller {
        let uid = rng.weighted(&[(30, USERS[0]), (50, USERS[1]), (10, USERS[2]), (10, USERS[3])]);
        let dac = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
        let all = every_capability(true);
        let capabilities = if uid == 0 {
            rng.weighted(&[
                (40, all),
                (15, CapabilitySet::empty()),
                (15, CapabilitySet::DAC_OVERRIDE),
                (15, CapabilitySet::DAC_READ_SEARCH),
                (15, all - dac),
            ])
        } else {
            rng.weighted(&[
                (90, CapabilitySet::empty()),
                (3, CapabilitySet::DAC_OVERRIDE),
                (3, CapabilitySet::DAC_READ_SEARCH),
                (3, CapabilitySet::FOWNER | CapabilitySet::NET_ADMIN),
                (1, all),
            ])
        };
        Caller {
            uid,
            gid: if rng.chance(70) { uid } else { rng.one(&GROUPS) },
            groups: GROUPS.into_iter().filter(|_| rng.chance(20)).collect(),
            capabilities,
            root: None,
            cwd: "/".into(),
            other_network: rng.chance(10),
        }
    }

    /// Applies these attributes to the calling thread.
    fn enter(&self, other_network: &OwnedFd) {
        own_file_system_view();
        let directory = |path: &Path| {
            openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).expect("open a directory")
        };
        let cwd = directory(&self.cwd);
        if let Some(root) = &self.root {
            rustix::process::fchdir(directory(root)).expect("go to the root to be");
            rustix::process::chroot(".").expect("make it the root");
        }
        rustix::process::fchdir(cwd).expect("go to the working directory");
        if self.other_network {
            let net = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(other_network.as_fd(), net).expect("go to the other network");
        }
        let groups: Vec<Gid> = self.groups.iter().map(|&gid| Gid::from_raw(gid)).collect();
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        set_thread_groups(&groups).expect("change the groups");
        set_thread_res_gid(gid, gid, gid).expect("change the group");
        set_keep_capabilities(true).expect("keep capabilities");
        set_thread_res_uid(uid, uid, uid).expect("change the user");
        let (effective, permitted) = (self.capabilities, self.capabilities);
        let inheritable = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective, permitted, inheritable }).expect("capabilities");
    }
}

/// Unshares the calling thread's root, umask and working directory.
#[expect(
    deprecated,
    reason = "only other flags are unsafe: the shared table of file descriptors is left alone"
)]
pub fn own_file_system_view() {
    rustix::thread::unshare(UnshareFlags::FS).expect("unshare root and working directory");
}

/// Creates a network namespace that no process is in.
#[expect(
    deprecated,
    reason = "only other flags are unsafe: the shared table of file descriptors is left alone"
)]
pub fn new_network() -> OwnedFd {
    let make = || {
        rustix::thread::unshare(UnshareFlags::NEWNET).expect("make a network namespace");
        OwnedFd::from(std::fs::File::open("/proc/thread-self/ns/net").expect("open it"))
    };
    std::thread::spawn(make).join().expect("the thread ends")
}

/// Runs `work` on a thread in that network namespace.
pub fn in_network<T: Send>(network: &OwnedFd, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let there = || {
            let net = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(network.as_fd(), net).expect("go to the other network");
            work()
        };
        scope.spawn(there).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Returns the capabilities of this process if `is_so`, otherwise none.
pub fn every_capability(is_so: bool) -> CapabilitySet {
    match is_so {
        true => rustix::thread::capabilities(None).expect("our capabilities").permitted,
        false => CapabilitySet::empty(),
    }
}

type Work = Box<dyn FnOnce() + Send>;

/// A thread with a caller's attributes that runs closures.
pub struct Actor {
    /// Its thread id, under which `/proc` shows it.
    pub tid: u32,
    tell: Option<Sender<Work>>,
    thread: Option<JoinHandle<()>>,
}

impl Actor {
    pub fn new(caller: &Caller, other_network: &OwnedFd) -> Actor {
        let (tell, told): (Sender<Work>, Receiver<Work>) = channel();
        let (ready, is_ready) = channel();
        let (caller, other_network) = (caller.clone(), other_network.try_clone().expect("copy a descriptor"));
        let thread = std::thread::spawn(move || {
            caller.enter(&other_network);
            let tid = rustix::thread::gettid().as_raw_nonzero().get() as u32;
            ready.send(tid).expect("the receiver waits");
            told.into_iter().for_each(|work| work());
        });
        let tid = is_ready.recv().expect("the actor is ready");
        Actor { tid, tell: Some(tell), thread: Some(thread) }
    }

    /// Runs this on the thread and returns its result.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, answer) = channel();
        let work = Box::new(move || done.send(work()).expect("the receiver waits"));
        self.tell.as_ref().expect("it is open until the drop").send(work).expect("the actor is there");
        answer.recv().expect("the actor answers")
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        drop(self.tell.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
