//! Compares `why` with the kernel in worlds of their own: file systems, mounts that map ids, full
//! file systems, limits, filters, and names without a server. A prediction may be unknown where
//! nothing shows the cause, and is never wrong.

use std::ffi::CStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::time::Duration;

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, unmount};
use stoop::{Address, Kind};
use stoop_inspect::internal::{Cause, Verdict, gather, why};
use stoop_inspect::why::{Operation, Outcome, Question, Who};
use stoop_kernel_facts::{
    DATAGRAM, Errno, Name, STREAM, UserNamespace, accept, become_user, bind, bound, connect, forbid_call,
    in_child, libc, listener, mount_with_ids, pair, socket, unshare, without_outer_abstract_sockets,
};
use stoop_testkit::{Role, is_root, public_tempdir, role, skip};

/// How long a test may take on a busy machine: each prediction reads the tables of sockets.
const PATIENCE: Duration = Duration::from_secs(300);

fn predict(operation: Operation, address: Address, subject: Who) -> Verdict {
    let kind = Some(Kind::Stream);
    why(&gather(&Question { operation, kind, address, subject }).unwrap())
}

fn outcome(result: Result<(), Errno>) -> Outcome {
    result.map_or_else(Outcome::Fails, |()| Outcome::Succeeds)
}

/// Makes the call as this user and group, without capabilities unless it is root.
fn call_as(uid: u32, operation: Operation, path: &Path) -> Outcome {
    let (_, status) = in_child(|| {
        if uid != 0 {
            become_user(uid, uid);
        }
        let (socket, name) = (socket(STREAM), Name::path(path));
        let done = if operation == Operation::Bind { bind(&socket, &name) } else { connect(&socket, &name) };
        done.map_or_else(Errno::raw_os_error, |()| 0)
    });
    match status.code().unwrap() {
        0 => Outcome::Succeeds,
        errno => Outcome::Fails(Errno::from_raw_os_error(errno)),
    }
}

fn who(uid: u32) -> Who {
    if uid == 0 { Who::CurrentProcess } else { Who::User(uid.to_string()) }
}

/// Compares both for a user. Returns whether the outcome was known.
fn compare(uid: u32, operation: Operation, path: &Path) -> bool {
    let verdict = predict(operation, Address::path(path).unwrap(), who(uid));
    let made = call_as(uid, operation, path);
    if operation == Operation::Bind && made == Outcome::Succeeds {
        fs::remove_file(path).unwrap();
    }
    let is_known = verdict.outcome != Outcome::Unknown;
    assert!(!is_known || verdict.outcome == made, "{operation:?} {path:?} as {uid}: {made:?}, {verdict:#?}");
    is_known
}

/// Takes a mount namespace for this process, which the test runs in.
fn own_mounts() {
    unshare(libc::CLONE_NEWNS).unwrap();
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).unwrap();
}

/// Returns whether the test is to be run here: it is run again as a process of its own.
fn is_inside(test: &str) -> bool {
    if role().is_some() {
        own_mounts();
        return true;
    }
    if is_root() {
        let status = Role::new(test, "worlds").spawn().finish(PATIENCE);
        assert!(status.success(), "{status}");
    } else {
        eprintln!("SKIP: lacks root");
    }
    false
}

#[test]
fn file_systems() {
    if !is_inside("file_systems") {
        return;
    }
    let dir = public_tempdir();
    let kinds = [
        "bpf",
        "binfmt_misc",
        "btrfs",
        "cgroup",
        "cgroup2",
        "configfs",
        "cpuset",
        "debugfs",
        "devpts",
        "devtmpfs",
        "efivarfs",
        "functionfs",
        "fusectl",
        "hugetlbfs",
        "mqueue",
        "nfsd",
        "pstore",
        "ramfs",
        "resctrl",
        "rpc_pipefs",
        "securityfs",
        "selinuxfs",
        "sysfs",
        "tmpfs",
        "tracefs",
        "xenfs",
    ];
    let mut mounted = 0;
    for kind in kinds {
        if mount("x", dir.path(), kind, MountFlags::empty(), None::<&CStr>).is_err() {
            continue;
        }
        let is_known = compare(0, Operation::Bind, &dir.path().join("socket"));
        unmount(dir.path(), UnmountFlags::DETACH).unwrap();
        assert!(is_known, "{kind}");
        mounted += 1;
    }
    assert!(mounted > 3, "hardly any file system could be mounted");
    compare(0, Operation::Bind, Path::new("/proc/self/fd/socket"));
    compare(0, Operation::Bind, Path::new("/proc/socket"));
}

#[test]
fn file_systems_without_space() {
    if !is_inside("file_systems_without_space") {
        return;
    }
    let dir = public_tempdir();
    let path = dir.path().join("socket");
    for (options, cause) in [
        (c"nr_inodes=1,mode=777", Cause::NoSpace),
        (c"nr_inodes=2,mode=777", Cause::Nothing),
        (c"size=4k,mode=777", Cause::Nothing),
    ] {
        mount("x", dir.path(), "tmpfs", MountFlags::empty(), Some(options)).unwrap();
        if options.to_bytes().starts_with(b"size") {
            fs::write(dir.path().join("full"), [1; 4096]).unwrap();
        }
        for uid in [0, 4001] {
            assert!(compare(uid, Operation::Bind, &path), "{options:?}");
            let verdict = predict(Operation::Bind, Address::path(&path).unwrap(), who(uid));
            assert_eq!(verdict.cause, cause, "{options:?}: {verdict:?}");
        }
        unmount(dir.path(), UnmountFlags::DETACH).unwrap();
    }
}

/// A generator of numbers, the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn one_of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

const IDS: &[u32] = &[0, 7, 1000, 2000, 3000, 65534];

/// Returns a map of one to three single ids, without overlaps.
fn any_map(numbers: &mut Numbers) -> String {
    let (inside, outside) = (numbers.below(IDS.len()), numbers.below(IDS.len()));
    let count = 1 + numbers.below(3);
    let line = |at: usize| {
        let (inside, outside) = (IDS[(inside + at) % IDS.len()], IDS[(outside + at) % IDS.len()]);
        format!("{inside} {outside} 1\n")
    };
    (0..count).map(line).collect()
}

#[test]
fn mounts_that_map_ids() {
    const ROUNDS: u64 = 1;
    const SUBJECTS: &[u32] = &[0, 7, 2000, 65534];
    if !is_inside("mounts_that_map_ids") {
        return;
    }
    let mut known = 0;
    // Another seed gives other worlds.
    let first = std::env::var("STOOP_WORLDS_SEED").map_or(0, |seed| seed.parse().unwrap());
    for seed in first..first + ROUNDS {
        let dir = public_tempdir();
        let numbers = &mut Numbers(seed);
        let (real, mapped) = (dir.path().join("real"), dir.path().join("mapped"));
        for directory in [&real, &mapped, &real.join("a"), &real.join("b")] {
            fs::create_dir(directory).unwrap();
        }
        let places = ["s", "a/s", "b/s"];
        let _servers = places.map(|place| listener(STREAM, &Name::path(real.join(place)), 1024));
        for place in ["s", "a/s", "b/s", "a", "b", ""] {
            let (uid, gid) = (numbers.one_of(IDS), numbers.one_of(IDS));
            chown(real.join(place), Some(uid), Some(gid)).unwrap();
            let mode = numbers.one_of(&[0o777, 0o755, 0o770, 0o700, 0o707, 0o733]);
            fs::set_permissions(real.join(place), Permissions::from_mode(mode)).unwrap();
        }
        let (uids, gids) = (any_map(numbers), any_map(numbers));
        let Some(namespace) = UserNamespace::new(&uids, &gids) else { skip!("lacks user namespaces") };
        if mount_with_ids(&real, &mapped, &namespace).is_err() {
            skip!("lacks idmapped mounts (5.12)");
        }
        for &uid in SUBJECTS {
            for place in places {
                known += usize::from(compare(uid, Operation::Connect, &mapped.join(place)));
            }
            for place in ["new", "a/new", "b/new"] {
                known += usize::from(compare(uid, Operation::Bind, &mapped.join(place)));
            }
        }
        unmount(&mapped, UnmountFlags::DETACH).unwrap();
    }
    // Without statmount (6.15) only some are.
    assert!(known > 0, "no outcome was known");
    eprintln!("{known} of {} outcomes were known", ROUNDS as usize * SUBJECTS.len() * 6);
}

#[test]
fn a_process_without_a_free_descriptor() {
    if role().is_some() {
        // Every number below the limit is in use, and one above it.
        let limit = rustix::process::Rlimit { current: Some(8), maximum: Some(8) };
        let high = rustix::io::dup(std::io::stdin()).unwrap();
        while rustix::io::dup(std::io::stdin()).map(std::mem::forget).is_ok_and(|()| open_count() < 12) {}
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
        println!("ready");
        let _ = std::io::read_to_string(std::io::stdin());
        drop(high);
        return;
    }
    let dir = public_tempdir();
    let address = Address::path(dir.path().join("s")).unwrap();
    let mut child = Role::new("a_process_without_a_free_descriptor", "full").spawn();
    child.line("ready", stoop_kernel_facts::SOON);
    let verdict = predict(Operation::Bind, address.clone(), Who::Process(child.0.id()));
    assert_eq!((verdict.outcome, verdict.cause), (Outcome::Fails(Errno::MFILE), Cause::OutOfDescriptors));
    let verdict = predict(Operation::Bind, address, Who::CurrentProcess);
    assert_eq!(verdict.outcome, Outcome::Succeeds);
}

fn open_count() -> usize {
    fs::read_dir("/proc/self/fd").map_or(usize::MAX, Iterator::count)
}

#[test]
fn a_filter_of_this_process() {
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    let path = dir.path().join("s");
    let _server = listener(STREAM, &Name::path(&path), 8);
    for (call, errno) in [(libc::SYS_connect, Errno::PERM), (libc::SYS_socket, Errno::AFNOSUPPORT)] {
        std::thread::scope(|scope| {
            let forbidden = || {
                let made = socket(STREAM);
                forbid_call(call, errno);
                let verdict = predict(Operation::Connect, Address::path(&path).unwrap(), Who::CurrentProcess);
                assert_eq!((verdict.outcome, verdict.cause), (Outcome::Fails(errno), Cause::Filtered));
                if call == libc::SYS_connect {
                    assert_eq!(outcome(connect(&made, &Name::path(&path))), verdict.outcome);
                }
            };
            scope.spawn(forbidden).join().unwrap();
        });
    }
}

#[test]
fn abstract_names_out_of_a_sandbox() {
    let name = Name::unique("out-of-sandbox");
    let _server = listener(STREAM, &name, 8);
    let address = Address::abstract_name(name.bytes()[1..].to_vec()).unwrap();
    let ask = || predict(Operation::Connect, address.clone(), Who::CurrentProcess);
    let Some((verdict, made)) =
        without_outer_abstract_sockets(|| (ask(), outcome(connect(&socket(STREAM), &name))))
    else {
        skip!("lacks a kernel with Landlock scopes (6.12)");
    };
    assert_eq!((verdict.outcome, made), (Outcome::Unknown, Outcome::Fails(Errno::PERM)));
}

#[test]
fn names_without_a_listener() {
    let [client_name, server_name, pair_name, free, of_messages] =
        ["client", "server", "pair", "free", "messages"].map(|word| Name::unique(&format!("kept-{word}")));
    let (listening, client) = (listener(STREAM, &server_name, 8), socket(STREAM));
    bind(&client, &client_name).unwrap();
    connect(&client, &server_name).unwrap();
    let _accepted = accept(&listening).unwrap();
    drop(listening);
    let (end, _other) = pair(STREAM);
    bind(&end, &pair_name).unwrap();
    let _messages = bound(DATAGRAM, &of_messages);
    for name in [&client_name, &server_name, &pair_name, &free, &of_messages] {
        let address = Address::abstract_name(name.bytes()[1..].to_vec()).unwrap();
        for operation in [Operation::Connect, Operation::Bind] {
            let verdict = predict(operation, address.clone(), Who::CurrentProcess);
            let socket = socket(STREAM);
            let made = match operation {
                Operation::Bind => bind(&socket, name),
                _ => connect(&socket, name),
            };
            let is_known = verdict.outcome != Outcome::Unknown;
            assert!(
                !is_known || verdict.outcome == outcome(made),
                "{operation:?} {address}: {made:?}, {verdict:#?}"
            );
            assert!(is_known || operation == Operation::Bind, "{verdict:#?}");
        }
    }
}
