//! Facts about inspecting other processes: their file descriptors, copies of them, and the network
//! namespaces of sockets.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, ResolveFlags, fstat};
use rustix::mount::{MountFlags, mount};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use rustix::thread::{
    CapabilitySet, LinkNameSpaceType, capabilities, move_into_link_name_space, set_capabilities,
};
use stoop_kernel_facts::*;
use stoop_testkit::{NOBODY, Role, eventually, has_program, is_root, role, skip, tempdir};

const LIMIT: Duration = Duration::from_secs(20);

fn inode(socket: &OwnedFd) -> u64 {
    fstat(socket).unwrap().st_ino
}

/// The network namespace of this thread.
fn network() -> File {
    File::open("/proc/thread-self/ns/net").unwrap()
}

fn identity(file: &impl AsFd) -> u64 {
    fstat(file).unwrap().st_ino
}

fn is_here(socket: &OwnedFd) -> bool {
    dump().iter().any(|listed| u64::from(listed.inode) == inode(socket))
}

/// K-PROC-1
#[test]
fn links_may_be_closed_where_the_directory_is_open() {
    const TEST: &str = "links_may_be_closed_where_the_directory_is_open";
    if !is_root() {
        skip!("lacks root");
    }
    if role().is_none() {
        return Role::new(TEST, "root without capabilities")
            .env("THEM", &std::process::id().to_string())
            .run();
    }
    let mine = capabilities(None).unwrap();
    let none = CapabilitySet::empty();
    set_capabilities(None, rustix::thread::CapabilitySets { effective: none, permitted: none, ..mine })
        .unwrap();
    let directory = format!("/proc/{}/fd", std::env::var("THEM").unwrap());
    let first = fs::read_dir(&directory).unwrap().next().unwrap().unwrap();
    assert_eq!(fs::read_link(first.path()).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
}

/// K-PROC-2
#[test]
fn a_copy_is_the_same_socket_and_requires_ptrace_permission() {
    const TEST: &str = "a_copy_is_the_same_socket_and_requires_ptrace_permission";
    let copy = |pid: i32, fd: i32| {
        let process = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty())?;
        pidfd_getfd(process, fd, PidfdGetfdFlags::empty())
    };
    if role().is_some() {
        let parent = std::env::var("THEM").unwrap().parse().unwrap();
        assert_eq!(copy(parent, 0).unwrap_err(), Errno::PERM);
        return;
    }
    let (one, _other) = pair(STREAM);
    match copy(getpid().as_raw_pid(), raw(&one)) {
        Err(Errno::NOSYS) => skip!("lacks pidfd_getfd"),
        copied => assert_eq!(inode(&copied.unwrap()), inode(&one)),
    }
    if is_root() {
        Role::new(TEST, "ordinary user")
            .env("THEM", &std::process::id().to_string())
            .user(NOBODY, NOBODY)
            .run();
    }
}

/// K-PROC-5
#[test]
fn a_thread_is_copied_from_by_a_descriptor_of_its_own() {
    let of_a_thread = PidfdFlags::from_bits_retain(libc::O_EXCL as u32);
    let (one, _other) = pair(STREAM);
    let (held, free) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            with_own_descriptors(move || {
                let own = pair(DATAGRAM).0;
                held.send((rustix::thread::gettid(), raw(&own), inode(&own))).unwrap();
                let _ = ended.recv();
            });
        });
        let (thread, fd, number) = free.recv().unwrap();
        let of = |task, flags, fd| pidfd_getfd(pidfd_open(task, flags)?, fd, PidfdGetfdFlags::empty());
        match of(thread, of_a_thread, fd) {
            Err(Errno::INVAL) if !kernel_at_least(6, 9) => {}
            copied => assert_eq!(inode(&copied.unwrap()), number),
        }
        let of_process = of(getpid(), PidfdFlags::empty(), fd);
        assert!(of_process.is_err() || inode(&of_process.unwrap()) != number);
        assert_eq!(inode(&of(getpid(), PidfdFlags::empty(), raw(&one)).unwrap()), inode(&one));
        drop(end);
    });
}

/// K-PROC-3
#[test]
fn a_process_without_its_first_thread_shows_no_descriptors() {
    const TEST: &str = "a_process_without_its_first_thread_shows_no_descriptors";
    if role().is_some() {
        in_child(|| {
            std::thread::spawn(|| io::stdin().read_to_end(&mut Vec::new()));
            println!("process {}", std::process::id());
            end_this_thread()
        });
        return;
    }
    let mut child = Role::new(TEST, "without a first thread").spawn();
    let pid: u32 = child.line("process", LIMIT).parse().unwrap();
    let process = std::path::PathBuf::from(format!("/proc/{pid}"));
    let count = |path: &std::path::Path| fs::read_dir(path).map_or(0, Iterator::count);
    eventually(LIMIT, || count(&process.join("fd")) == 0);
    let threads = fs::read_dir(process.join("task")).unwrap().flatten();
    let shown: Vec<usize> =
        threads.map(|thread| count(&thread.path().join("fd"))).filter(|&n| n > 0).collect();
    assert_eq!(shown.len(), 1);
    assert!(child.finish(LIMIT).success());
}

/// K-PROC-4
#[test]
fn descriptors_in_flight_are_counted() {
    let (sender, receiver) = pair(STREAM);
    let count = || {
        let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", raw(&receiver))).unwrap();
        text.lines().find_map(|line| line.strip_prefix("scm_fds: ")).map(str::to_owned)
    };
    if count().is_none() {
        skip!("lacks the line scm_fds");
    }
    let rights = [sender.as_fd(), receiver.as_fd()];
    send_message(&sender, b"x", &[Control::Rights(&rights)], 0, None).unwrap();
    assert_eq!(count().as_deref(), Some("2"));
    drop(receive(&receiver, 8).unwrap());
    assert_eq!(count().as_deref(), Some("0"));
}

/// K-NETNS-1
#[test]
fn a_netlink_socket_stays_where_it_was_opened() {
    const TEST: &str = "a_netlink_socket_stays_where_it_was_opened";
    if role().is_some() {
        let file = network();
        let entered = move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network));
        assert_eq!(entered, Err(Errno::PERM), "even its own");
        return;
    }
    let Some((socket, there)) = in_new_network(|| (bound(STREAM, &Name::unique("there")), network())) else {
        skip!("lacks permission to create a network namespace");
    };
    assert!(!is_here(&socket));
    let netlink = std::thread::scope(|scope| {
        let enter = || {
            move_into_link_name_space(there.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            assert!(is_here(&socket));
            netlink()
        };
        scope.spawn(enter).join().unwrap()
    });
    assert_ne!(identity(&network()), identity(&there), "only that thread has changed");
    let inode = inode(&socket);
    assert!(dump_through(&netlink).iter().any(|listed| u64::from(listed.inode) == inode));
    if is_root() {
        Role::new(TEST, "ordinary user").user(NOBODY, NOBODY).run();
    }
}

/// K-NETNS-2
#[test]
fn a_socket_reports_its_network_namespace() {
    const TEST: &str = "a_socket_reports_its_network_namespace";
    let (one, _other) = pair(STREAM);
    if role().is_some() {
        return assert_eq!(network_of(&one).unwrap_err(), Errno::PERM);
    }
    let Some((socket, there)) = in_new_network(|| (pair(STREAM).0, network())) else {
        skip!("lacks permission to create a network namespace");
    };
    assert_eq!(identity(&network_of(&socket).unwrap()), identity(&there));
    assert_eq!(identity(&network_of(&one).unwrap()), identity(&network()));
    if is_root() {
        Role::new(TEST, "ordinary user").user(NOBODY, NOBODY).run();
    }
}

/// K-NETNS-3
#[test]
fn an_accepted_socket_is_in_the_namespace_of_its_client() {
    let dir = stoop_testkit::tempdir();
    let name = Name::path(dir.path().join("socket"));
    let listener = listener(STREAM, &name, 8);
    let Some((client, there)) = in_new_network(|| (client(STREAM, &name), identity(&network()))) else {
        skip!("lacks permission to create a network namespace");
    };
    let accepted = accept(&listener).unwrap();
    assert_eq!(identity(&network_of(&accepted).unwrap()), there);
    assert!(is_here(&listener) && !is_here(&accepted));
    // Only the accepted socket keeps that namespace alive now.
    stoop_testkit::close(client);
    assert_eq!(identity(&network_of(&accepted).unwrap()), there);
}

/// K-PROC-6
#[test]
fn the_root_of_a_process_shows_its_mounts() {
    const TEST: &str = "the_root_of_a_process_shows_its_mounts";
    let look = |pid: u32, path: &Path| {
        let root =
            rustix::fs::open(format!("/proc/{pid}/root"), OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
        rustix::fs::openat2(&root, path, OFlags::PATH, Mode::empty(), ResolveFlags::IN_ROOT)
    };
    if let Some(part) = role() {
        let directory = PathBuf::from(std::env::var("DIRECTORY").unwrap());
        if part == "stranger" {
            let other = std::env::var("OTHER").unwrap().parse().unwrap();
            return assert_eq!(look(other, &directory).unwrap_err(), Errno::ACCESS);
        }
        mount("none", &directory, "tmpfs", MountFlags::empty(), None).unwrap();
        fs::write(directory.join("file"), "inside").unwrap();
        symlink(directory.join("file"), directory.join("link")).unwrap();
        println!("\nmounted");
        io::read_to_string(io::stdin()).unwrap();
        return;
    }
    if !is_root() || !has_program("unshare") {
        skip!("lacks root or unshare");
    }
    let dir = tempdir();
    let file = dir.path().join("file");
    fs::write(&file, "outside").unwrap();
    let directory = dir.path().to_str().unwrap();
    let inside = Role::new(TEST, "inside").env("DIRECTORY", directory);
    let mut child = inside.within("unshare", &["--mount"]).spawn();
    child.line("mounted", LIMIT);
    let ours = identity(&File::open(&file).unwrap());
    let theirs = look(child.0.id(), &file).unwrap();
    assert_ne!(fs::metadata(&file).unwrap().dev(), fstat(&theirs).unwrap().st_dev);
    // A link's absolute target is looked up there as well.
    let linked = look(child.0.id(), &dir.path().join("link")).unwrap();
    assert_eq!(identity(&linked), identity(&theirs));
    assert_eq!(identity(&look(std::process::id(), &file).unwrap()), ours);
    let pid = child.0.id();
    let stranger = Role::new(TEST, "stranger").env("DIRECTORY", directory).env("OTHER", &pid.to_string());
    stranger.user(NOBODY, NOBODY).run();
    // An exited process has none, reaped or not.
    drop(child.0.stdin.take());
    eventually(LIMIT, || look(pid, &file).is_err());
    assert_eq!(look(pid, &file).unwrap_err(), Errno::NOENT);
    child.finish(LIMIT);
    assert_eq!(look(pid, &file).unwrap_err(), Errno::NOENT);
}

/// K-PROC-7
#[test]
fn a_process_shows_its_network_namespace_by_identity() {
    const TEST: &str = "a_process_shows_its_network_namespace_by_identity";
    if role().is_some() {
        println!("\nthere");
        io::read_to_string(io::stdin()).unwrap();
        return;
    }
    if !is_root() || !has_program("unshare") {
        skip!("lacks root or unshare");
    }
    let ours = fstat(network_of(&pair(STREAM).0).unwrap()).unwrap();
    let of =
        |pid: u32| rustix::fs::stat(format!("/proc/{pid}/ns/net")).map(|stat| (stat.st_dev, stat.st_ino));
    assert_eq!(of(std::process::id()), Ok((ours.st_dev, ours.st_ino)));
    let mut child = Role::new(TEST, "inside").within("unshare", &["--net"]).spawn();
    child.line("there", LIMIT);
    let (pid, theirs) = (child.0.id(), of(child.0.id()).unwrap());
    assert_ne!(theirs, (ours.st_dev, ours.st_ino));
    drop(child.0.stdin.take());
    eventually(LIMIT, || of(pid).is_err());
    assert_eq!(of(pid), Err(Errno::NOENT));
}

/// K-PROC-8
#[test]
fn a_pidfd_has_the_inode_of_its_process() {
    let of = |pid| {
        let stat = fstat(pidfd_open(pid, PidfdFlags::empty()).unwrap()).unwrap();
        (stat.st_dev, stat.st_ino)
    };
    let child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let mut child = stoop_testkit::KillOnDrop(child);
    let other = of(Pid::from_child(&child.0));
    assert_eq!(of(getpid()), of(getpid()));
    assert_eq!(of(getpid()) == other, !kernel_at_least(6, 9));
    child.0.kill().unwrap();
}

/// K-PROC-9
#[test]
fn the_times_of_a_socket_mean_nothing() {
    use std::os::fd::AsRawFd;
    let times = |socket: &OwnedFd| {
        let own = fstat(socket).unwrap();
        let link = rustix::fs::stat(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        assert_eq!((own.st_ctime, own.st_mtime, own.st_atime), (link.st_ctime, link.st_mtime, link.st_atime));
        (own.st_ctime, own.st_mtime, own.st_atime)
    };
    let directory = tempdir();
    let path = directory.path().join("s");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let client = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    let [listener, client, accepted] = [listener.into(), client.into(), accepted.into()];
    let all = [&listener, &client, &accepted];
    // Usually 0, but the memory of the inode may have been another's, whose times are still there.
    let before = all.map(times);
    rustix::net::send(&client, b"x", rustix::net::SendFlags::empty()).unwrap();
    assert_eq!(rustix::net::recv(&accepted, &mut [0], rustix::net::RecvFlags::empty()).unwrap().0, 1);
    assert_eq!(all.map(times), before, "data changes none");
    let time = rustix::fs::Timespec { tv_sec: 1_000_000_000, tv_nsec: 0 };
    let set = rustix::fs::Timestamps { last_access: time, last_modification: time };
    rustix::fs::futimens(&client, &set).unwrap();
    assert_eq!(times(&client).1, 1_000_000_000, "so a time there may be anything");
}
