//! Programs of others work through `stoop relay` as directly: D-Bus, PostgreSQL, Docker,
//! containerd, Wayland.
//! The relay stands in front of the server, at the server's own name.

use std::path::Path;

use rustix::process::Signal;
use stoop_e2e::containerd::Containerd;
use stoop_e2e::docker::Dockerd;
use stoop_e2e::{LIMIT, Output, Run, Running, postgres_programs, program, stoop, wait_served};
use stoop_testkit::{NOBODY, deadline, eventually, has_program, is_root, public_tempdir, skip, tempdir};

/// A relay in front of the server at this path.
fn relay(path: &Path) -> Running {
    let running = stoop(["relay", "--interpose"]).arg(path).spawn();
    running.wait_stderr("relays each client");
    running
}

/// Runs a client directly and through a relay, and compares what it prints.
fn is_the_same(path: &Path, client: impl Fn() -> Run) -> Output {
    let direct = client().run().ok();
    let relay = relay(path);
    let relayed = client().run().ok();
    assert_eq!(direct.text(), relayed.text());
    let ended = relay.terminate().ok();
    assert!(!ended.stderr.contains("relayed 0 connections"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("lost descriptors"), "{}", ended.stderr);
    relayed
}

#[test]
fn dbus() {
    if !has_program("dbus-daemon") || !has_program("busctl") || !has_program("dbus-send") {
        skip!("lacks dbus-daemon, busctl or dbus-send");
    }
    let directory = tempdir();
    let path = directory.path().join("bus");
    let address = format!("unix:path={}", path.display());
    let listen = format!("--address={address}");
    let _server = program("dbus-daemon", ["--session", "--nofork", "--nopidfile", &listen]).spawn();
    wait_served(&path);
    let named = "--dest=org.freedesktop.DBus";
    is_the_same(&path, || {
        let send = program("dbus-send", [format!("--bus={address}"), "--print-reply=literal".into()]);
        send.args([named, "/", "org.freedesktop.DBus.ListActivatableNames"])
    });
    is_the_same(&path, || {
        let call =
            ["call", "org.freedesktop.DBus", "/", "org.freedesktop.DBus", "NameHasOwner", "s", "none.such"];
        program("busctl", [format!("--address={address}")]).args(call)
    });
    file_descriptors_pass_a_bus(&path, &address);
}

/// A client gives another one a pipe over the bus, which reads from it what the first has written.
fn file_descriptors_pass_a_bus(path: &Path, address: &str) {
    const PROGRAM: &str = "\
import os, queue, sys
from gi.repository import Gio, GLib
flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
connect = lambda: Gio.DBusConnection.new_for_address_sync(sys.argv[1], flags, None, None)
one, other = connect(), connect()
assert one.get_capabilities() & Gio.DBusCapabilityFlags.UNIX_FD_PASSING
came = queue.Queue()
def note(_connection, message, is_incoming):
    if is_incoming and message.get_member() == 'Take':
        came.put(message.get_unix_fd_list().get(0))
    return message
other.add_filter(note)
reader, writer = os.pipe()
os.write(writer, b'through the bus')
fds = Gio.UnixFDList.new()
message = Gio.DBusMessage.new_method_call(other.get_unique_name(), '/', 'a.b', 'Take')
message.set_body(GLib.Variant('(h)', (fds.append(reader),)))
message.set_unix_fd_list(fds)
one.send_message(message, Gio.DBusSendMessageFlags.NONE)
print(os.read(came.get(timeout=20), 99).decode())
sys.stdout.flush()
os._exit(0)
";
    let python = "/usr/bin/python3";
    if !has_program(python) || program(python, ["-c", "from gi.repository import Gio"]).run().code != Some(0)
    {
        skip!("lacks Debian's python3-gi");
    }
    let relay = relay(path);
    program(python, ["-c", PROGRAM, address]).run().ok().stdout_is(b"through the bus\n");
    let ended = relay.terminate().ok();
    assert!(ended.stderr.contains("descriptors: 2"), "to the bus, and from there: {}", ended.stderr);
}

/// PostgreSQL does not run as root.
fn as_user(program_path: &Path) -> Run {
    match is_root() {
        true => {
            let ids = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")];
            program("setpriv", ids).arg("--clear-groups").arg(program_path)
        }
        false => program(program_path, [""; 0]),
    }
}

#[test]
fn postgresql() {
    let directory = public_tempdir();
    if !has_program("psql") || is_root() && !has_program("setpriv") {
        skip!("lacks psql or setpriv");
    }
    let Some(bin) = postgres_programs() else { skip!("lacks PostgreSQL") };
    let data = directory.path().join("data");
    let options = ["--username=example", "--auth=trust", "--no-sync", "--no-instructions", "-D"];
    as_user(&bin.join("initdb")).args(options).arg(&data).inside(directory.path()).run().ok();
    let modest = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=1MB", "-k"];
    let server = as_user(&bin.join("postgres")).args(modest).arg(directory.path()).arg("-D").arg(&data);
    let _server = server.inside(directory.path()).spawn();
    let path = directory.path().join(".s.PGSQL.5432");
    let psql = |query: &str| {
        let login = ["-X", "-At", "-U", "example", "-d", "postgres", "-c", query, "-h"];
        program("psql", login).arg(directory.path())
    };
    eventually(LIMIT, || psql("select 1").run().code == Some(0));
    let table = is_the_same(&path, || psql("select n, repeat('x', 1000) from generate_series(1, 3000) n"));
    assert!(table.text().len() > 3_000_000);
    is_the_same(&path, || {
        let copy = "create temp table t (x int); copy t from stdin; select sum(x) from t";
        psql(copy).input("1\n2\n3\n\\.\n")
    });
}

#[test]
fn docker() {
    if !has_program("docker") {
        skip!("lacks docker");
    }
    let daemon = match Dockerd::start() {
        Ok(daemon) => daemon,
        Err(reason) => skip!("{reason}"),
    };
    deadline(std::time::Duration::from_secs(180), move || {
        let socket = daemon.socket();
        let relay = relay(&socket);
        let host = format!("unix://{}", socket.display());
        let docker = |words: &[&str]| program("docker", ["--host", &host]).args(words);
        docker(&["load", "-i", daemon.image("stoop.test/relayed:1").to_str().unwrap()]).run().ok();
        let run = ["run", "--rm", "-i", "--network=none", "stoop.test/relayed:1", "/bin/busybox"];
        let sent = stoop_e2e::bytes(300_000, 5);
        docker(&run).arg("cat").input(sent.clone()).run().ok().stdout_is(&sent);
        docker(&run).args(["sh", "-c", "exit 7"]).run().code(7);
        docker(&["ps", "-a", "-q"]).run().ok().stdout_is(b"");
        let ended = relay.terminate().ok();
        assert!(!ended.stderr.contains("lost descriptors"), "{}", ended.stderr);
        docker(&["version"]).run().ok();
    });
}

#[test]
fn containerd() {
    if let Some(lacking) = Containerd::lacks() {
        skip!("{lacking}");
    }
    let containerd = Containerd::start();
    let path = containerd.socket();
    is_the_same(&path, || containerd.ctr(&["version"]));
    is_the_same(&path, || containerd.ctr(&["plugins", "ls"]));
    is_the_same(&path, || stoop(["cri", "--runtime-endpoint"]).arg(&path).arg("version"));
}

/// A compositor's clients pass it the memory of their windows as file descriptors.
#[test]
fn a_wayland_compositor() {
    if !["weston", "wayland-info", "weston-simple-shm"].into_iter().all(has_program) {
        skip!("lacks weston or wayland-info");
    }
    let directory = tempdir();
    let client = |name: &str| {
        let run = program(name, [] as [&str; 0]).env("WAYLAND_DISPLAY", "display");
        run.env("XDG_RUNTIME_DIR", directory.path())
    };
    let headless = ["--backend=headless-backend.so", "--socket=display", "--idle-time=0"];
    let _server = program("weston", headless).env("XDG_RUNTIME_DIR", directory.path()).spawn();
    let path = directory.path().join("display");
    wait_served(&path);
    is_the_same(&path, || client("wayland-info"));
    let relay = relay(&path);
    let window = client("weston-simple-shm").env("WAYLAND_DEBUG", "1").spawn();
    eventually(LIMIT, || {
        relay.signal(Signal::USR1);
        relay.stderr().contains("descriptors: ")
    });
    // The compositor has shown what is in the file, and gives it back.
    window.wait_stderr(".release()");
    window.terminate();
    relay.terminate().ok();
}
