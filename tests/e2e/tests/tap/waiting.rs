//! What waits in a queue when the capture begins, and what file descriptors are that are passed.

use std::io::{IoSlice, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::{Value, json};

use super::*;

/// Both ends of a connection to a server at this place.
fn connection(place: &str) -> (UnixListener, UnixStream, UnixStream) {
    let listener = UnixListener::bind(place).unwrap();
    let client = UnixStream::connect(place).unwrap();
    let accepted = listener.accept().unwrap().0;
    (listener, client, accepted)
}

fn pass(socket: &UnixStream, files: &[BorrowedFd<'_>]) {
    let mut space = vec![std::mem::MaybeUninit::uninit(); 1024];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(files)));
    sendmsg(socket, &[IoSlice::new(b"take these")], &mut control, SendFlags::empty()).unwrap();
}

fn texts(lines: &[Value]) -> Vec<(&str, bool)> {
    let text = |line: &Value| line["text"].as_str().map(str::to_owned);
    assert!(lines.iter().all(|line| line["event"] != "lost"), "{lines:?}");
    let shown = lines.iter().filter(|line| text(line).is_some());
    shown.map(|line| (line["text"].as_str().unwrap(), line["unread"] == true)).collect()
}

#[test]
fn what_waits_unread_is_shown_first_and_once() {
    needs_capture!();
    let (_dir, place) = socket_path();
    let (_listener, mut client, mut accepted) = connection(&place);
    let word = |from: &mut UnixStream, to: &mut UnixStream, word: &str| {
        from.write_all(word.as_bytes()).unwrap();
        let mut received = vec![0; word.len()];
        to.read_exact(&mut received).unwrap();
    };
    client.write_all(b"it waits").unwrap();
    client.write_all(b"this, too").unwrap();
    let tap = tap(&[&place, "--unread", "--json", "--count", "4"]);
    client.write_all(b"later").unwrap();
    let mut all = [0; 22];
    accepted.read_exact(&mut all).unwrap();
    assert_eq!(&all, b"it waitsthis, toolater", "a look leaves it in the queue");
    word(&mut accepted, &mut client, "answer");
    let lines = tap.finish().ok().json();
    let expected = [("it waits", true), ("this, too", true), ("later", false), ("answer", false)];
    assert_eq!(texts(&lines), expected);
    let own = std::process::id();
    assert!(lines.iter().all(|line| line["to"]["pid"].is_null() || line["to"]["pid"] == own), "{lines:?}");
}

#[test]
fn a_socket_with_a_peek_offset_is_left_alone() {
    needs_capture!();
    let (_dir, place) = socket_path();
    let (_listener, mut client, accepted) = connection(&place);
    stoop_kernel_facts::set_option(&accepted, stoop_kernel_facts::libc::SO_PEEK_OFF, 0).unwrap();
    client.write_all(b"it waits").unwrap();
    let tap = tap(&[&place, "--unread", "--json", "--count", "1"]);
    assert!(tap.stderr().contains("the queues of 1 socket could not be looked at"), "{}", tap.stderr());
    let mut all = [0; 8];
    let mut accepted = accepted;
    accepted.read_exact(&mut all).unwrap();
    assert_eq!(texts(&tap.finish().ok().json()), [("it waits", false)]);
}

#[test]
fn passed_files_are_named() {
    needs_capture!();
    let (dir, place) = socket_path();
    let (_listener, client, mut accepted) = connection(&place);
    let path = dir.path().join("a file with a long name");
    let file = std::fs::File::create(&path).unwrap();
    let event = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
    let status = std::fs::File::open("/proc/self/status").unwrap();
    let socket = file_number(&client);
    let tap = tap(&[&place, "--json", "--count", "1"]);
    pass(&client, &[file.as_fd(), event.as_fd(), client.as_fd(), status.as_fd()]);
    // The paths are looked up in this process, which has them open.
    let mut received = [0; 10];
    accepted.read_exact(&mut received).unwrap();
    let lines = tap.finish().ok().json();
    let line = lines.iter().find(|line| line["text"] == "take these").unwrap();
    let named = json!([
        { "type": "file", "name": path },
        { "type": "other", "name": "anon_inode:[eventfd]" },
        { "type": "socket", "name": format!("socket:[{socket}]") },
        { "type": "file", "name": format!("/proc/{}/status", std::process::id()) },
    ]);
    assert_eq!((&line["descriptors"], &line["files"]), (&json!(4), &named));
}

fn file_number(socket: &UnixStream) -> u64 {
    rustix::fs::fstat(socket).unwrap().st_ino
}

/// File systems that are unmounted again, the last one first.
struct Mounted(Vec<PathBuf>);

impl Mounted {
    /// Mounts a file system at a new directory, if that is possible here.
    fn add(&mut self, at: PathBuf, file_system: &str, options: &str) -> bool {
        std::fs::create_dir(&at).unwrap();
        let options = std::ffi::CString::new(options).unwrap();
        let done = mount("stoop", &at, file_system, MountFlags::empty(), &*options).is_ok();
        self.0.extend(done.then_some(at));
        done
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        while let Some(at) = self.0.pop() {
            let _ = unmount(at, UnmountFlags::DETACH);
        }
    }
}

/// There `stat` tells another device than the kernel has for the file.
#[test]
fn passed_files_of_an_overlay_of_several_file_systems_are_named() {
    needs_capture!();
    let (dir, place) = socket_path();
    let (mut mounted, at) = (Mounted(Vec::new()), |name: &str| dir.path().join(name));
    let has_both = ["lower", "upper"].iter().all(|name| mounted.add(at(name), "tmpfs", ""));
    for part in ["upper/changed", "upper/work"].iter().filter(|_| has_both) {
        std::fs::create_dir(at(part)).unwrap();
    }
    let [lower, changed, work] =
        ["lower", "upper/changed", "upper/work"].map(|name| at(name).display().to_string());
    let options = format!("lowerdir={lower},upperdir={changed},workdir={work},xino=off");
    if !has_both
        || std::fs::write(at("lower/shared"), "x").is_err()
        || !mounted.add(at("merged"), "overlay", &options)
    {
        skip!("lacks an overlay of several file systems");
    }
    let path = at("merged/shared");
    let file = std::fs::File::open(&path).unwrap();
    assert_ne!(file.metadata().unwrap().dev(), at("merged").metadata().unwrap().dev());
    let (_listener, client, mut accepted) = connection(&place);
    let tap = tap(&[&place, "--json", "--count", "1"]);
    pass(&client, &[file.as_fd()]);
    accepted.read_exact(&mut [0; 10]).unwrap();
    let lines = tap.finish().ok().json();
    let line = lines.iter().find(|line| line["text"] == "take these").unwrap();
    assert_eq!(line["files"], json!([{ "type": "file", "name": path }]));
}

#[test]
fn the_name_of_a_file_that_no_process_has_open_is_not_guessed() {
    needs_capture!();
    let (dir, place) = socket_path();
    let (_listener, client, mut accepted) = connection(&place);
    let path = dir.path().join("passed");
    let file = std::fs::File::create(&path).unwrap();
    // Another file with the same name, which stays open.
    let other = dir.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let other = std::fs::File::create(other.join("passed")).unwrap();
    assert_ne!(other.metadata().unwrap().ino(), file.metadata().unwrap().ino());
    let capture = dir.path().join("capture.pcapng");
    let tap = tap(&[&place, "-w", capture.to_str().unwrap(), "--count", "1"]);
    pass(&client, &[file.as_fd()]);
    drop(file);
    // Received without room for file descriptors: they are closed at once.
    let mut received = [0; 10];
    accepted.read_exact(&mut received).unwrap();
    tap.finish().ok();
    let shown = stoop(["tap", "-r", capture.to_str().unwrap()]).run().ok().text();
    assert!(shown.contains("take these") && shown.contains("1 fd: …/passed"), "{shown}");
}
