//! `stoop top`: what is counted is true, on the terminal too.

use std::io::{Read, Write};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;
use stoop_e2e::{LIMIT, Running, program, stoop, stoop_as};
use stoop_testkit::{NOBODY, TempDir, eventually, has_program, is_root, public_tempdir, skip, tempdir};

/// Skips the test if the kernel or its owner does not permit to count.
macro_rules! needs_counters {
    () => {
        if !is_root() {
            skip!("lacks root");
        }
        if let Err(missing) = stoop_tap::Counters::load() {
            skip!("lacks the counting programs: {missing}");
        }
    };
}

fn top(arguments: &[&str]) -> Running {
    let running = stoop(["top", "--interval", "200ms"]).args(arguments).spawn();
    running.wait_stderr("looking");
    running
}

/// Returns the whole lines so far.
fn lines(running: &Running) -> Vec<Value> {
    let text = String::from_utf8(running.stdout()).unwrap();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the sum of a field in all looks.
fn sum(lines: &[Value], field: &str) -> u64 {
    lines.iter().filter_map(|line| line[field].as_u64()).sum()
}

/// Waits until everything was counted, but for what was reported as not counted.
#[track_caller]
fn counted(running: &Running, truth: &[(&str, u64)]) -> Vec<Value> {
    eventually(LIMIT, || {
        let lines = lines(running);
        truth.iter().all(|(field, amount)| sum(&lines, field) + sum(&lines, "uncounted") >= *amount)
    });
    let lines = lines(running);
    for (field, amount) in truth {
        assert!(sum(&lines, field) <= *amount, "{field} is {} of {amount}", sum(&lines, field));
    }
    lines
}

/// Sends a question and receives an answer, so often, over each of several short connections.
fn converse(path: &Path, connections: u64, rounds: u64) -> UnixListener {
    let listener = UnixListener::bind(path).unwrap();
    for _ in 0..connections {
        let mut client = UnixStream::connect(path).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        for _ in 0..rounds {
            client.write_all(&[b'q'; 100]).unwrap();
            server.read_exact(&mut [0; 100]).unwrap();
            server.write_all(&[b'a'; 1000]).unwrap();
            client.read_exact(&mut [0; 1000]).unwrap();
        }
    }
    listener
}

#[test]
fn what_is_counted_is_what_was_transferred() {
    needs_counters!();
    let dir = tempdir();
    let path = dir.path().join("truth.sock");
    let running = top(&["--json", "--name", "*truth.sock"]);
    // The address is in no look before, and most connections are in none at all.
    let _listener = converse(&path, 20, 50);
    let calls = 20 * 50;
    let truth = [
        ("received_calls", calls),
        ("received_bytes", 100 * calls),
        ("sent_calls", calls),
        ("sent_bytes", 1000 * calls),
        ("connects", 20),
    ];
    let lines = counted(&running, &truth);
    drop(running);
    let measured = sum(&lines, "measured");
    assert!(measured > 0 && measured <= calls, "{measured}");
    let entry = lines.iter().find(|line| line["event"] == "activity").unwrap();
    assert_eq!((&entry["name"], &entry["by"]), (&path.to_str().unwrap().into(), &"address".into()));
}

#[test]
fn a_process_and_its_datagrams_are_counted_in_its_own_view() {
    needs_counters!();
    let dir = tempdir();
    let path = dir.path().join("log.sock");
    let receiver = UnixDatagram::bind(&path).unwrap();
    let sender = UnixDatagram::unbound().unwrap();
    sender.connect(&path).unwrap();
    let pid = format!("pid:{}", std::process::id());
    let running = top(&["--json", "--by", "socket", path.to_str().unwrap()]);
    for _ in 0..100 {
        sender.send(b"message").unwrap();
        receiver.recv(&mut [0; 10]).unwrap();
    }
    // At most one message in a clock tick is measured: of some unread ones, one is.
    sender.set_nonblocking(true).unwrap();
    eventually(LIMIT, || {
        let _ = sender.send(b"unread");
        let is_unread = |line: &Value| line["unread_bytes"].as_u64() >= Some(6);
        let is_old = |line: &Value| line["oldest_unread_ns"].as_u64() > Some(0);
        lines(&running).iter().any(|line| line["client"].is_null() && is_unread(line) && is_old(line))
    });
    let output = stoop(["top", "--once", "--interval", "100ms", "--by", "process", &pid]).run().seen();
    let text = output.text();
    assert!(text.starts_with("PROCESS"), "{text}");
    assert!(text.contains(&format!("{}/", std::process::id())), "{text}");
}

#[test]
fn without_the_privilege_queues_are_shown_and_rates_are_not() {
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    let path = dir.path().join("app.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let arguments = ["top", "--once", "--interval", "100ms", path.to_str().unwrap()];
    let output = stoop_as(NOBODY, arguments).run().code(6);
    output.explains(&[
        "rates and latencies are not known (-): CAP_BPF and CAP_PERFMON missing",
        "sudo stoop top",
    ]);
    let text = output.text();
    let line = text.lines().nth(1).unwrap();
    let cells: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(cells[1..6], ["-"; 5], "{text}");
    assert!(cells.contains(&"0/4096") || cells.iter().any(|cell| cell.starts_with("0/")), "{text}");
    let json = stoop_as(NOBODY, ["top", "--json", "--once", "--interval", "100ms"]).run().code(6).json();
    let look = json.last().unwrap();
    assert_eq!((&look["event"], &look["uncounted"]), (&"look".into(), &Value::Null));
    assert!(look["not_counted_because"].as_str().unwrap().contains("CAP_BPF"));
}

#[test]
fn metrics_are_answered_and_written() {
    needs_counters!();
    let dir = tempdir();
    let (path, at) = (dir.path().join("app.sock"), dir.path().join("metrics.sock"));
    let (at, file) = (at.to_str().unwrap(), dir.path().join("stoop.prom"));
    let running = top(&["--metrics", at, "--textfile", file.to_str().unwrap(), "--name", "*app.sock"]);
    let _listener = converse(&path, 1, 10);
    let wanted = format!("stoop_socket_received_bytes_total{{address=\"{}\"}} 1000", path.display());
    let asked = || {
        let mut client = UnixStream::connect(at).unwrap();
        client.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    };
    eventually(LIMIT, || asked().lines().any(|line| line == wanted));
    assert!(asked().ends_with("# EOF\n"));
    let written = || std::fs::read_to_string(&file).unwrap();
    eventually(LIMIT, || written().lines().any(|line| line == wanted));
    assert!(!written().contains("EOF"));
    assert_eq!(running.terminate().ok().text(), "");
}

/// A terminal of tmux, which runs a shell.
struct Tmux {
    dir: TempDir,
}

impl Tmux {
    fn start(width: u32, height: u32) -> Tmux {
        let tmux = Tmux { dir: tempdir() };
        let (width, height) = (width.to_string(), height.to_string());
        let shell = "env PS1='ready> ' bash --norc --noprofile -i";
        tmux.run(&["-f", "/dev/null", "new-session", "-d", "-x", &width, "-y", &height, shell]);
        tmux.waits("ready>");
        tmux
    }

    fn run(&self, words: &[&str]) -> String {
        let socket = self.dir.path().join("tmux.sock");
        program("tmux", ["-S", socket.to_str().unwrap()]).args(words).run().ok().text()
    }

    fn screen(&self) -> String {
        self.run(&["capture-pane", "-p"])
    }

    /// Waits until the screen has a text.
    #[track_caller]
    fn waits(&self, text: &str) -> String {
        eventually(LIMIT, || self.screen().contains(text));
        self.screen()
    }

    fn press(&self, keys: &[&str]) {
        self.run(&[&["send-keys"], keys].concat());
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let socket = self.dir.path().join("tmux.sock");
        let _ =
            std::process::Command::new("tmux").args(["-S", socket.to_str().unwrap(), "kill-server"]).status();
    }
}

#[test]
fn a_terminal_is_used_at_any_size_and_given_back() {
    if !has_program("tmux") || !has_program("bash") {
        skip!("lacks tmux or bash");
    }
    let dir = tempdir();
    let path = dir.path().join("shown.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let command = format!("{} top --name '*shown.sock'", stoop_e2e::binary().display());
    for (width, height) in [(80, 24), (40, 10), (200, 60)] {
        let tmux = Tmux::start(width, height);
        tmux.press(&[&command, "Enter"]);
        tmux.waits("ADDRESS");
        let screen = tmux.waits("shown.sock");
        assert!(screen.starts_with("stoop top by address"), "{screen}");
        assert!(screen.lines().all(|line| line.chars().count() <= width as usize), "{screen}");
        tmux.press(&["?"]);
        tmux.waits("keys");
        tmux.press(&["x"]);
        tmux.press(&["b"]);
        tmux.waits("by socket");
        tmux.run(&["resize-window", "-x", "60", "-y", "15"]);
        eventually(LIMIT, || {
            tmux.screen().lines().count() <= 15 && tmux.screen().starts_with("stoop top by socket")
        });
        tmux.press(&["q"]);
        // The screen from before is back.
        let screen = tmux.waits("ready>");
        assert!(!screen.contains("by socket"), "{screen}");
    }
}

#[test]
fn signals_and_suspending_give_the_terminal_back() {
    if !has_program("tmux") || !has_program("bash") {
        skip!("lacks tmux or bash");
    }
    let tmux = Tmux::start(80, 24);
    let command = format!(
        "{} top; stty -a | tr ' ;' '\\n\\n' | grep -x -e icanon -e echo; echo over",
        stoop_e2e::binary().display()
    );
    tmux.press(&[&command, "Enter"]);
    tmux.waits("by address");
    tmux.press(&["C-z"]);
    tmux.waits("Stopped");
    tmux.press(&["fg", "Enter"]);
    tmux.waits("by address");
    let pid: i32 = {
        let shell = tmux.run(&["list-panes", "-F", "#{pane_pid}"]);
        let children = program("pgrep", ["-P", shell.trim(), "-x", "stoop"]).run().ok().text();
        children.trim().parse().unwrap()
    };
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
    let screen = tmux.waits("over");
    assert!(!screen.contains("by address"), "{screen}");
    tmux.press(&["stty -a | tr ' ;' '\\n\\n' | grep -cx -e icanon -e echo", "Enter"]);
    eventually(LIMIT, || tmux.screen().lines().any(|line| line == "2"));
}
