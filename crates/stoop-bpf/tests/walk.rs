//! Compares the iterator with a walk through `/proc` on the same state of the machine: the results
//! must be equal for every process.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use stoop_bpf::{Support, TaskFiles, probe};
use stoop_kernel_facts::{STREAM, dump, pair};
use stoop_testkit::{Role, is_root, role, skip};

/// The file descriptor and inode of each socket, by process.
type Sockets = BTreeMap<u32, BTreeSet<(u32, u32)>>;

/// Returns the sockets of all families in `/proc`.
fn walked() -> Sockets {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.map(|pid: u32| (pid, sockets_of(pid))).collect()
}

fn sockets_of(pid: u32) -> BTreeSet<(u32, u32)> {
    // A process that has exited meanwhile has none.
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return BTreeSet::new() };
    let named = |path: &Path| Some((path.file_name()?.to_str()?.parse().ok()?, inode_of(path)?));
    descriptors.flatten().filter_map(|entry| named(&entry.path())).collect()
}

fn inode_of(link: &Path) -> Option<u32> {
    let target = fs::read_link(link).ok()?;
    target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

fn iterated(program: &TaskFiles) -> Sockets {
    let mut found = Sockets::new();
    // The walk sees only the table of the process, not those of its threads.
    for record in program.read().unwrap().iter().filter(|record| record.tid == record.pid) {
        assert!(found.entry(record.pid).or_default().insert((record.fd, record.inode)), "twice: {record:?}");
    }
    found
}

#[test]
fn the_iterator_and_the_walk_agree() {
    const TEST: &str = "the_iterator_and_the_walk_agree";
    const CHILDREN: usize = 8;
    const PAIRS: usize = 150;
    if role().is_some() {
        let _sockets: Vec<_> = (0..PAIRS).map(|_| pair(STREAM)).collect();
        let _other = std::net::UdpSocket::bind("127.0.0.1:0").ok();
        println!("ready");
        std::io::read_to_string(std::io::stdin()).unwrap();
        return;
    }
    if !is_root() {
        skip!("lacks root");
    }
    let Support::Yes = probe() else { skip!("lacks the iterator: {:?}", probe()) };
    let mut children: Vec<_> = (0..CHILDREN).map(|_| Role::new(TEST, "has sockets").spawn()).collect();
    for child in &mut children {
        child.line("ready", Duration::from_secs(20));
    }
    let program = TaskFiles::load().unwrap();
    let mut last = Compared::default();
    // Another process may open and close a socket between the two walks, so only a difference that
    // appears each time counts.
    for _ in 0..10 {
        last = compare(&program);
        if last.differences.is_empty() {
            break;
        }
    }
    assert!(last.differences.is_empty(), "{:?}", last.differences);
    for child in &children {
        let (walked, iterated) = (&last.walked[&child.id()], &last.iterated[&child.id()]);
        assert!(iterated.len() >= 2 * PAIRS);
        assert!(walked.len() > iterated.len(), "a socket of another family is none of ours");
    }
}

#[derive(Default)]
struct Compared {
    walked: Sockets,
    iterated: Sockets,
    differences: Vec<String>,
}

/// Compares the two for each process that had the same sockets before and after the iterator was
/// read. The iterator must list all Unix sockets, and no others.
fn compare(program: &TaskFiles) -> Compared {
    let before = walked();
    let iterated = iterated(program);
    let local: BTreeSet<u32> = dump().iter().map(|socket| socket.inode).collect();
    let after = walked();
    let mut differences = Vec::new();
    for (pid, shown) in before.iter().filter(|(pid, shown)| after.get(pid) == Some(shown)) {
        let found = iterated.get(pid).cloned().unwrap_or_default();
        let more: Vec<_> = found.difference(shown).collect();
        let less: Vec<_> = shown.difference(&found).filter(|(_, inode)| local.contains(inode)).collect();
        if !more.is_empty() || !less.is_empty() {
            differences.push(format!("process {pid}: more {more:?}, less {less:?}"));
        }
    }
    Compared { walked: after, iterated, differences }
}
