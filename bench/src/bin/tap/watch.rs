//! The processes that watch.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::net::sockopt::socket_cookie;
use stoop_bench::Result;
use stoop_tap::{CaptureOptions, Key, Tap, What};

/// A way to watch.
pub struct Watcher {
    /// What is captured.
    pub name: &'static str,
    /// Whether it is too slow for a pace.
    pub is_slow: bool,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Nothing,
    /// The programs are loaded, and leave at once.
    NoSocket,
    OtherSocket,
    /// A user without sockets: connects are reported, too.
    OtherUser,
    Capture {
        payload_max: u32,
    },
    Strace,
}

/// All of them. The first is compared with.
pub const WATCHERS: [Watcher; 7] = [
    Watcher { name: "nothing", is_slow: false, kind: Kind::Nothing },
    Watcher { name: "no socket: programs that leave at once", is_slow: false, kind: Kind::NoSocket },
    Watcher { name: "another socket", is_slow: false, kind: Kind::OtherSocket },
    Watcher { name: "another user", is_slow: false, kind: Kind::OtherUser },
    Watcher { name: "without contents", is_slow: false, kind: Kind::Capture { payload_max: 0 } },
    Watcher { name: "with contents", is_slow: false, kind: Kind::Capture { payload_max: 65_000 } },
    Watcher { name: "by strace", is_slow: true, kind: Kind::Strace },
];

/// A watcher that runs; it ends when it is dropped.
pub struct Watching {
    child: Option<Child>,
    is_strace: bool,
}

impl Watcher {
    /// Starts to watch the process and its socket.
    ///
    /// # Errors
    /// Returns an error if the watcher cannot be started, or is not permitted.
    pub fn start(&self, pid: u32, cookie: u64) -> Result<Watching> {
        let (mut command, is_strace) = match self.kind {
            Kind::Nothing => return Ok(Watching { child: None, is_strace: false }),
            Kind::NoSocket => (stoop_bench::role(&["watch", "none", "0"])?, false),
            Kind::OtherSocket => (stoop_bench::role(&["watch", "other", "0"])?, false),
            Kind::OtherUser => (stoop_bench::role(&["watch", "user", "0"])?, false),
            Kind::Capture { payload_max } => {
                (stoop_bench::role(&["watch", &cookie.to_string(), &payload_max.to_string()])?, false)
            }
            Kind::Strace => {
                let mut strace = Command::new("strace");
                strace
                    .args(["-f", "-e", "trace=network,read,write", "-o", "/dev/null", "-p"])
                    .arg(pid.to_string());
                (strace, true)
            }
        };
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("cannot start it: {error}"))?;
        let mut line = String::new();
        match is_strace {
            true => BufReader::new(child.stderr.as_mut().ok_or("no stderr")?).read_line(&mut line)?,
            false => BufReader::new(child.stdout.as_mut().ok_or("no stdout")?).read_line(&mut line)?,
        };
        let watching = Watching { child: Some(child), is_strace };
        match line.contains("attached") || line == "ready\n" {
            true => Ok(watching),
            false => Err(line.trim().to_owned().into()),
        }
    }
}

impl Watching {
    /// Ends it, and returns how many messages it saw, and how many events it counted as lost.
    ///
    /// # Errors
    /// Returns an error if it does not say so.
    pub fn finish(mut self) -> Result<Option<(u64, u64)>> {
        let Some(child) = self.child.as_mut().filter(|_| !self.is_strace) else { return Ok(None) };
        drop(child.stdin.take());
        let mut text = String::new();
        child.stdout.take().ok_or("no stdout")?.read_to_string(&mut text)?;
        let mut numbers = text.split_whitespace().map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(seen), Some(lost)) => Ok(Some((seen?, lost?))),
            _ => Err("the capture failed".into()),
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Both fail if it has already exited.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub fn run_role(args: &[&str]) -> Option<Result> {
    match *args {
        ["watch", what, payload_max] => Some(watch(what, payload_max.parse().ok()?)),
        _ => None,
    }
}

/// Captures a socket, or one of its own that has nothing to say, until the input ends.
fn watch(what: &str, payload_max: u32) -> Result {
    let mut options = CaptureOptions::default();
    options.payload_max = payload_max;
    let mut tap = Tap::start(options).map_err(|unavailable| unavailable.to_string())?;
    let (silent, _peer) = UnixStream::pair()?;
    match what {
        "none" => {}
        "other" => tap.want(Key::Cookie(socket_cookie(&silent)?))?,
        "user" => tap.want(Key::User(u32::MAX - 7))?,
        cookie => tap.want(Key::Cookie(cookie.parse()?))?,
    }
    println!("ready");
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        over.store(true, Ordering::Relaxed);
    });
    let mut counts = Counts::default();
    while !is_over.load(Ordering::Relaxed) {
        let pieces = tap.next(Duration::from_millis(20))?;
        counts.add(&tap, &pieces)?;
    }
    let rest = tap.flush();
    counts.add(&tap, &rest)?;
    println!("{} {}", counts.seen, counts.lost);
    Ok(())
}

#[derive(Default)]
struct Counts {
    seen: u64,
    lost: u64,
    lines: Vec<u8>,
}

impl Counts {
    /// Counts the messages, and writes a line for each to nowhere.
    fn add(&mut self, tap: &Tap, pieces: &[stoop_tap::Piece]) -> Result {
        self.lines.clear();
        for piece in pieces {
            match &piece.what {
                What::Data(data) => {
                    self.seen += 1;
                    let pids = tap.flow(piece.flow).map(|flow| {
                        [0, 1]
                            .map(|end: usize| flow.ends[end].process.as_ref().map_or(0, |process| process.0))
                    });
                    writeln!(self.lines, "{} {pids:?} {} bytes", piece.time_ns, data.len)?;
                }
                What::Lost(loss) => self.lost += loss.count,
                _ => {}
            }
        }
        std::fs::OpenOptions::new().write(true).open("/dev/null")?.write_all(&self.lines)?;
        Ok(())
    }
}
