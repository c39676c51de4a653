//! A file system that does not respond holds up no command, and nothing is claimed of its files.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use stoop_e2e::{Output, Running, serve, stoop};
use stoop_testkit::{KillOnDrop, TempDir, eventually, has_program, is_root, skip, tempdir};

/// A FUSE mount whose server is stopped, with the socket of a live server. It is resumed and
/// unmounted in the end, even if the test fails.
struct Stopped {
    server: Option<Running>,
    bindfs: KillOnDrop,
    /// A process whose working directory is on it.
    sleeper: Option<KillOnDrop>,
    view: PathBuf,
    dir: TempDir,
}

impl Stopped {
    /// With a server in it, and a process that works there.
    fn mount() -> Option<Stopped> {
        let mut stopped = Stopped::mount_empty()?;
        stopped.signal(Signal::CONT);
        let sleeper = Command::new("sleep").arg("60").current_dir(&stopped.view).spawn().unwrap();
        stopped.sleeper = Some(KillOnDrop(sleeper));
        stopped.server = Some(serve("stream", &stopped.socket()));
        stopped.signal(Signal::STOP);
        Some(stopped)
    }

    fn mount_empty() -> Option<Stopped> {
        if !is_root() || !has_program("bindfs") || !Path::new("/dev/fuse").exists() {
            return None;
        }
        let dir = tempdir();
        let [real, view] = ["real", "view"].map(|name| dir.path().join(name));
        fs::create_dir(&real).unwrap();
        fs::create_dir(&view).unwrap();
        let before = fs::metadata(dir.path()).unwrap().dev();
        let bindfs = Command::new("bindfs").arg("-f").args([&real, &view]).spawn().unwrap();
        let bindfs = KillOnDrop(bindfs);
        eventually(Duration::from_secs(20), || fs::metadata(&view).is_ok_and(|now| now.dev() != before));
        let stopped = Stopped { server: None, bindfs, sleeper: None, view, dir };
        stopped.signal(Signal::STOP);
        Some(stopped)
    }

    fn socket(&self) -> String {
        self.view.join("app.sock").to_str().unwrap().to_owned()
    }

    fn pid(&self) -> u32 {
        self.bindfs.0.id()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid() as i32).unwrap(), signal).unwrap();
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.signal(Signal::CONT);
        drop(self.server.take());
        drop(self.sleeper.take());
        let _ = Command::new("umount").arg("-l").arg(&self.view).status();
    }
}

fn run(args: &[&str]) -> Output {
    stoop(args).run()
}

#[test]
fn a_stopped_file_system_holds_up_no_command() {
    let Some(stopped) = Stopped::mount() else { skip!("lacks root, bindfs or FUSE") };
    let (socket, pid) = (stopped.socket(), stopped.pid());
    let view = stopped.view.to_str().unwrap().to_owned();
    let server = stopped.server.as_ref().unwrap().pid();

    let text = run(&["why", &socket, "--try"]).code(6).text();
    for part in [
        format!("the file system fuse at '{view}' does not respond").as_str(),
        format!("kill -CONT {pid}").as_str(),
        "(the file system does not respond)",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(!text.contains("umount") && !text.contains("removed"), "{text}");
    let lines = run(&["why", &socket, "--json"]).code(6).json();
    let json = |field: &str| lines[0][field].as_str().unwrap_or_default().to_owned();
    assert_eq!([json("outcome"), json("cause")], ["unknown", "not-responding"]);

    // Of the socket itself, the kernel's table is enough. Of its file, nothing is known.
    let text = run(&["who", &socket]).text();
    assert!(text.contains(&format!("{server}")) && !text.contains("removed"), "{text}");
    let text = run(&["ls", &socket]).text();
    assert!(text.contains(&socket), "{text}");
    let of_server = format!("pid:{server}");
    for args in [vec!["ls"], vec!["tree"], vec!["who", of_server.as_str()]] {
        let output = run(&args);
        assert!(!output.text().is_empty() || !output.stderr.is_empty(), "{args:?}");
    }
    let started = Instant::now();
    let output = run(&["wait", &socket, "--accepting", "--timeout", "300ms"]).code(1);
    assert!(output.stderr.contains("does not respond"), "{}", output.stderr);
    assert!(started.elapsed() < Duration::from_secs(15));

    let free = stopped.dir.path().join("free.sock").to_str().unwrap().to_owned();
    for args in [
        &["connect", socket.as_str(), "--timeout", "300ms"][..],
        &["send", socket.as_str(), "hello"],
        &["http", socket.as_str(), "/"],
        &["serve", socket.as_str()],
        &["recv", socket.as_str()],
        &["relay", free.as_str(), socket.as_str()],
        &["relay", socket.as_str(), free.as_str()],
        &["relay", "--interpose", socket.as_str()],
    ] {
        let output = run(args);
        let parts = ["does not respond", "\n  seen: it is mounted from ", "\n  next: stoop why "];
        assert!(parts.iter().all(|part| output.stderr.contains(part)), "{args:?}: {}", output.stderr);
    }

    stopped.signal(Signal::CONT);
    let text = run(&["why", &socket]).ok().text();
    assert!(text.contains("would succeed"), "{text}");
}

/// The process whose view is asked for works in it, so that a relative path starts there.
#[test]
fn a_working_directory_that_does_not_respond_is_named() {
    let Some(stopped) = Stopped::mount() else { skip!("lacks root, bindfs or FUSE") };
    let pid = stopped.sleeper.as_ref().unwrap().0.id().to_string();
    let text = run(&["why", "./app.sock", "--pid", &pid]).code(6).text();
    assert!(text.contains("does not respond"), "{text}");
    run(&["who", &format!("pid:{pid}")]).code(1);
}

/// Each has two seconds to respond, all at the same time.
#[test]
fn several_file_systems_take_no_longer_than_one() {
    let all: Option<Vec<Stopped>> = (0..6).map(|_| Stopped::mount_empty()).collect();
    let Some(all) = all else { skip!("lacks root, bindfs or FUSE") };
    let sockets: Vec<String> = all.iter().map(Stopped::socket).collect();
    let started = Instant::now();
    let args: Vec<&str> = ["ls"].into_iter().chain(sockets.iter().map(String::as_str)).collect();
    run(&args);
    assert!(started.elapsed() < Duration::from_secs(10), "one after another: {:?}", started.elapsed());
    // What responds again is asked again.
    all[5].signal(Signal::CONT);
    let text = run(&["why", &sockets[5]]).text();
    assert!(text.contains("does not exist") && !text.contains("does not respond"), "{text}");
}
