//! X11 and Wayland: what clients and servers of displays say, also in the middle of a connection.

use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;

use serde_json::Value;
use stoop_e2e::{LIMIT, Running, program, wait_served};
use stoop_testkit::{has_program, is_root, skip, tempdir};

use super::{Removed, answered_once, dissected, tap, tapped};

/// The display of the test's own X server: the first number from here on that is free.
const DISPLAYS: std::ops::Range<u32> = 730..760;

/// Starts an X server that requires a cookie, and returns its display and the file with it.
fn x_server(directory: &Path) -> Option<(Running, u32, String)> {
    let cookie = directory.join("authority").to_str()?.to_owned();
    std::fs::write(&cookie, "").ok()?;
    for display in DISPLAYS {
        let place = format!("/tmp/.X11-unix/X{display}");
        if Path::new(&place).exists() || Path::new(&format!("/tmp/.X{display}-lock")).exists() {
            continue;
        }
        let name = format!(":{display}");
        program("xauth", ["-q", "-f", &cookie, "add", &name, ".", X_COOKIE]).run().ok();
        let server = program("Xvfb", [&name, "-nolisten", "tcp", "-auth", &cookie]).spawn();
        wait_served(format!("@{place}"));
        return Some((server, display, cookie));
    }
    None
}

/// What authorizes clients, in hexadecimal.
const X_COOKIE: &str = "5a6b3771506c616e7465643973656372";

#[test]
fn x_clients_and_their_server() {
    needs_capture!();
    if !["Xvfb", "xauth", "xprop"].into_iter().all(has_program) {
        skip!("lacks Xvfb, xauth or xprop");
    }
    let directory = tempdir();
    let Some((_server, display, cookie)) = x_server(directory.path()) else { skip!("lacks a free display") };
    let client = |name: &str, arguments: &[&str]| {
        program(name, arguments).env("DISPLAY", format!(":{display}")).env("XAUTHORITY", &cookie)
    };
    let path = format!("/tmp/.X11-unix/X{display}");
    let place = format!("@{path}");
    // A server that is killed leaves them.
    let left = [path.clone(), format!("/tmp/.X{display}-lock")];
    let _removed = Removed(&left);
    let by_path = tap(&[&path]);
    by_path.wait_stderr(&format!("also listens at '{place}'"));
    by_path.terminate().ok();
    let (lines, measured) = tapped(&place, client("xprop", &["-root", "NO_SUCH_ATOM_OF_ANYONE"]));
    let setup = answered_once(&lines, "connection setup", measured);
    assert_eq!((&setup["protocol"], &setup["ok"]), (&"x11".into(), &true.into()));
    let asked = "connection setup 11.0, little-endian, MIT-MAGIC-COOKIE-1 [redacted]";
    let has = |text: &str| lines.iter().any(|line| line["text"] == text);
    assert!(has(asked) || cfg!(target_endian = "big"), "{lines:?}");
    assert!(has("QueryExtension BIG-REQUESTS") && has("InternAtom NO_SUCH_ATOM_OF_ANYONE"), "{lines:?}");
    answered_once(&lines, "BIG-REQUESTS.Enable", measured);
    let count = |event: &str| lines.iter().filter(|line| line["event"] == event).count();
    assert_eq!(count("call"), count("response"), "{lines:?}");
    let tap = tap(&[&place, "--json", "--status", "!ok", "--count", "1"]);
    client("xprop", &["-id", "0x77777"]).run().code(1);
    let lines = tap.finish().ok().json();
    let failed = lines.iter().find(|line| line["ok"] == false).unwrap_or_else(|| panic!("{lines:?}"));
    assert_eq!((&failed["text"], &failed["method"]), (&"BadWindow 0x77777".into(), &"ListProperties".into()));
    let own = tempdir();
    dissected(&place, own.path(), "x11", client("xprop", &["-root"]));
    let file = std::fs::read(own.path().join("tapped.pcapng")).unwrap_or_default();
    assert!(!file.windows(7).any(|window| window == b"Planted"));
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Reads so many bytes.
fn read(stream: &mut UnixStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

fn half(bytes: &[u8], at: usize) -> usize {
    u16::from_le_bytes([bytes[at], bytes[at + 1]]).into()
}

/// A client of an X server, in little-endian. Returns the window that is the whole screen, too.
fn x_client(name: &str) -> (UnixStream, u32) {
    let address = SocketAddr::from_abstract_name(name).unwrap();
    let mut client = UnixStream::connect_addr(&address).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    let cookie = b"Zk7qPlanted9secr";
    let setup = [b"l\0\x0b\0\0\0\x12\0\x10\0\0\0", &b"MIT-MAGIC-COOKIE-1\0\0"[..], cookie].concat();
    client.write_all(&setup).unwrap();
    let head = read(&mut client, 8);
    assert_eq!(head[0], 1, "{head:?}");
    let rest = read(&mut client, 4 * half(&head, 6));
    // Behind the vendor and the formats of pictures.
    let screen = 32 + half(&rest, 16).next_multiple_of(4) + 8 * usize::from(rest[21]);
    (client, u32::from_le_bytes(rest[screen..][..4].try_into().unwrap()))
}

#[test]
fn a_key_is_not_written_and_a_client_that_was_connected_before_is_decoded() {
    needs_capture!();
    if !["Xvfb", "xauth"].into_iter().all(has_program) {
        skip!("lacks Xvfb or xauth");
    }
    const KEY: u8 = 38;
    let directory = tempdir();
    let Some((_server, display, _)) = x_server(directory.path()) else { skip!("lacks a free display") };
    let path = format!("/tmp/.X11-unix/X{display}");
    let left = [path.clone(), format!("/tmp/.X{display}-lock")];
    let _removed = Removed(&left);
    let (mut client, screen) = x_client(&path);
    client.write_all(b"\x62\0\x04\0\x05\0\0\0XTEST\0\0\0").unwrap();
    let number = read(&mut client, 32)[9];
    // It wants to know of keys.
    client.write_all(&[&[2, 0, 4, 0][..], &words(&[screen, 0x800, 3])].concat()).unwrap();
    let place = format!("@{path}");
    let file = directory.path().join("tapped.pcapng");
    let (shown, written) = (tap(&[&place, "--json"]), tap(&[&place, "-w", file.to_str().unwrap()]));
    let press = |kind: u8| [&[number, 2, 9, 0, kind, KEY, 0, 0][..], &[0; 28]].concat();
    client.write_all(&[press(2), press(3), vec![43, 0, 1, 0]].concat()).unwrap();
    let mut messages: Vec<Vec<u8>> = Vec::new();
    // A key that is released, and the reply, in any order.
    while ![3, 1].iter().all(|code| messages.iter().any(|message| message[0] == *code)) {
        messages.push(read(&mut client, 32));
    }
    written.terminate().ok();
    let lines: Vec<Value> = shown.terminate().ok().json();
    let texts: Vec<&str> = lines.iter().filter_map(|line| line["text"].as_str()).collect();
    let press = format!("extension {number}.2");
    for text in [&*press, "GetInputFocus", "event KeyPress", "event KeyRelease", "reply"] {
        assert!(texts.contains(&text), "{text}: {texts:?}");
    }
    assert_eq!(texts.len(), 3 + messages.len(), "{texts:?}");
    assert!(lines.iter().all(|line| line["latency_ns"].is_null()), "{lines:?}");
    let bytes = std::fs::read(&file).unwrap();
    let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    let keys = messages.iter_mut().filter(|message| matches!(message[0], 2 | 3));
    let plain: Vec<_> = keys.map(|key| (key.clone(), std::mem::replace(&mut key[1], b'*'))).collect();
    assert!(plain.len() == 2 && plain.iter().all(|(key, number)| *number == KEY && !has(key)), "{plain:?}");
    assert!(messages.iter().filter(|message| message[0] > 1).all(|message| has(message)), "{messages:?}");
}

#[test]
fn a_client_of_a_compositor_that_was_connected_before_is_decoded() {
    needs_capture!();
    if !has_program("weston") {
        skip!("lacks weston");
    }
    let directory = tempdir();
    let headless = ["--backend=headless-backend.so", "--socket=wayland-7", "--no-config", "--idle-time=0"];
    let _server = program("weston", headless).env("XDG_RUNTIME_DIR", directory.path()).spawn();
    let path = directory.path().join("wayland-7");
    wait_served(&path);
    let mut client = UnixStream::connect(&path).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    // What it asks for last is answered behind everything else.
    let mut sync = |id: u32| {
        client.write_all(&words(&[1, 12 << 16, id])).unwrap();
        loop {
            let head = read(&mut client, 8);
            let arguments = read(&mut client, half(&head, 6) - 8);
            if head[..8] == words(&[1, 12 << 16 | 1])[..] && arguments == words(&[id]) {
                return;
            }
        }
    };
    sync(2);
    let tap = tap(&[path.to_str().unwrap(), "--json"]);
    sync(3);
    let lines = tap.terminate().ok().json();
    let texts: Vec<&str> = lines.iter().filter_map(|line| line["text"].as_str()).collect();
    assert_eq!(
        texts,
        ["wl_display#1.sync → wl_callback#3", "wl_callback#3.done", "wl_display#1.delete_id #3"]
    );
    assert!(lines.iter().any(|line| line["method"] == "wl_display.sync" && line["latency_ns"].is_u64()));
}
