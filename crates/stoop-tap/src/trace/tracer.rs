//! The thread that traces: from stops to calls that have returned.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::mpsc::Sender;

use stoop::diag::{Entry, Show, Table};
use stoop::{Address, Kind};
use stoop_bpf::SocketKind;

use super::call::{Act, Begun, CALLS, Memory};
use super::filter::filter;
use super::flows::{Observed, Socket};
use super::message::{Ended, Message, TraceError};
use super::sys::{self, Call, Failures, Step, Stop, Tid};
use crate::tap::now_ns;

/// Starts the program and traces it until the last of its processes has ended.
pub(super) fn run(program: &[CString], payload_max: usize, sender: &Sender<Message>) {
    // If nobody receives, the process is ending, and its children with it.
    let report = |message| drop(sender.send(message));
    let table = match Table::open() {
        Ok(table) => table,
        Err(error) => return report(Message::Failed(TraceError { step: Step::Fork, error })),
    };
    let (main, failures) = match sys::start(program, &filter(CALLS)) {
        Ok(started) => started,
        Err((step, error)) => return report(Message::Failed(TraceError { step, error })),
    };
    let mut tracer = Tracer {
        main,
        failures,
        table,
        payload_max,
        sender,
        sockets: HashMap::new(),
        threads: HashMap::new(),
        is_running: false,
    };
    tracer.follow();
}

struct Tracer<'s> {
    main: Tid,
    failures: Failures,
    table: Table,
    payload_max: usize,
    sender: &'s Sender<Message>,
    /// Sockets by inode; `None` is not a Unix socket.
    sockets: HashMap<u32, Option<Socket>>,
    threads: HashMap<Tid, Thread>,
    /// Whether the program has begun: before, it is this one.
    is_running: bool,
}

#[derive(Default)]
struct Thread {
    process: Option<(u32, Vec<u8>)>,
    /// The call that it makes, with the inodes of its sockets.
    begun: Vec<(Begun, u32)>,
    begun_ns: u64,
}

impl Tracer<'_> {
    fn follow(&mut self) {
        while let Ok(Some((tid, stop))) = sys::wait() {
            match stop {
                Stop::Exited(code) => self.ended(tid, Ended::Exited(code)),
                Stop::Killed(signal) => self.ended(tid, Ended::Killed(signal)),
                Stop::Call if self.begins(tid) => sys::go_on_to_return(tid),
                Stop::Returned => {
                    self.returned(tid);
                    sys::go_on(tid, 0);
                }
                Stop::Executed => {
                    self.executed(tid);
                    sys::go_on(tid, 0);
                }
                Stop::Job => sys::leave_stopped(tid),
                Stop::Signal(number) => sys::go_on(tid, number),
                Stop::Call | Stop::Event => sys::go_on(tid, 0),
            }
        }
    }

    fn report(&self, message: Message) {
        // If nobody receives, the process is ending, and its children with it.
        let _ = self.sender.send(message);
    }

    fn ended(&mut self, tid: Tid, ended: Ended) {
        for (begun, inode) in self.threads.remove(&tid).unwrap_or_default().begun {
            if begun.act == Act::Send {
                self.report(Message::Returns(inode, None));
            }
        }
        if tid != self.main {
            return;
        }
        if self.is_running {
            return self.report(Message::Ended(ended));
        }
        let failure = self.failures.read();
        let (step, error) =
            failure.unwrap_or_else(|| (Step::Execute, io::Error::other(format!("{ended:?}"))));
        self.report(Message::Failed(TraceError { step, error }));
    }

    fn executed(&mut self, tid: Tid) {
        // All other threads of the process are gone, and it has another name.
        self.threads.remove(&tid);
        if !self.is_running && tid == self.main {
            self.is_running = true;
            self.report(Message::Started(tid.unsigned_abs()));
        }
    }

    /// Remembers a call that begins. Returns whether its result is of interest.
    fn begins(&mut self, tid: Tid) -> bool {
        let Some(Call::Begins { number, arguments }) = sys::call(tid).filter(|_| self.is_running) else {
            return false;
        };
        let Some(begun) = Begun::of(number, arguments) else { return false };
        let mut found = Vec::new();
        for begun in [Some(begun), begun.other()].into_iter().flatten() {
            let inode = inode(tid, begun.fd).filter(|inode| self.socket(*inode).is_some());
            found.extend(inode.map(|inode| (begun, inode)));
        }
        for (_, inode) in found.iter().filter(|(begun, _)| begun.act == Act::Send) {
            self.report(Message::Begins(*inode));
        }
        let is_any = !found.is_empty();
        let thread = self.threads.entry(tid).or_default();
        (thread.begun, thread.begun_ns) = (found, now_ns());
        is_any
    }

    fn returned(&mut self, tid: Tid) {
        let thread = self.threads.entry(tid).or_default();
        let (begun, begun_ns) = (std::mem::take(&mut thread.begun), thread.begun_ns);
        let call = sys::call(tid);
        for (begun, inode) in begun {
            let observed = match call {
                Some(Call::Ends { result }) => self.observed(tid, &begun, inode, result),
                _ => None,
            };
            match (begun.act, observed) {
                // It was sent before an answer could come: not when the return was seen.
                (Act::Send, observed) => {
                    let observed = observed.map(|observed| Observed { time_ns: begun_ns, ..observed });
                    self.report(Message::Returns(inode, observed));
                }
                (_, Some(observed)) => self.report(Message::Observed(observed)),
                (_, None) => {}
            }
        }
    }

    fn observed(&mut self, tid: Tid, begun: &Begun, inode: u32, result: i64) -> Option<Observed> {
        let result = match u64::try_from(result) {
            Ok(result) => Ok(begun.transfers(result, &Remote(tid), self.payload_max)),
            Err(_) if is_no_end(result) => return None,
            Err(_) => Err(result.unsigned_abs() as i32),
        };
        let process = self.process(tid);
        let socket = self.socket(inode)?;
        Some(Observed { time_ns: now_ns(), process, socket, act: begun.act, result })
    }

    /// Looks a socket up, until its peer is known; one for datagrams may get another at any time.
    fn socket(&mut self, inode: u32) -> Option<Socket> {
        match self.sockets.get(&inode) {
            Some(None) => return None,
            Some(Some(known)) if known.peer.is_some() && known.kind != SocketKind::DATAGRAM => {
                return Some(known.clone());
            }
            _ => {}
        }
        let looked_up = self.table.lookup(inode, Show::ALL);
        let mut socket = match looked_up {
            Ok(entry) => entry.map(|entry| of(inode, &entry)),
            // Perhaps the next time.
            Err(_) => return self.sockets.get(&inode).cloned().flatten(),
        };
        if let Some(socket) = socket.as_mut().filter(|socket| socket.kind == SocketKind::DATAGRAM)
            && let Some(peer) = socket.peer
        {
            let entry = self.table.lookup(peer, Show::NAME).ok().flatten();
            socket.peer_name = entry.and_then(|entry| name(&entry.name));
        }
        self.sockets.insert(inode, socket.clone());
        socket
    }

    /// Returns the process of a thread, and its name.
    fn process(&mut self, tid: Tid) -> (u32, Vec<u8>) {
        let thread = self.threads.entry(tid).or_default();
        thread.process.get_or_insert_with(|| process(tid)).clone()
    }
}

/// `EAGAIN`, and the numbers by which the kernel makes a call again after a signal.
fn is_no_end(result: i64) -> bool {
    matches!(-result, 4 | 11 | 512..=516)
}

struct Remote(Tid);

impl Memory for Remote {
    fn read(&self, address: u64, len: usize) -> Vec<u8> {
        if len == 0 { Vec::new() } else { sys::memory(self.0, address, len) }
    }
}

/// Returns the inode of a socket that a thread has open.
fn inode(tid: Tid, fd: i32) -> Option<u32> {
    let link = fs::read_link(format!("/proc/{tid}/fd/{fd}")).ok()?;
    let number = link.as_os_str().as_bytes().strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

fn process(tid: Tid) -> (u32, Vec<u8>) {
    let status = fs::read_to_string(format!("/proc/{tid}/status")).unwrap_or_default();
    let pid = status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok());
    let pid = pid.unwrap_or(tid.unsigned_abs());
    let mut name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.pop_if(|byte| *byte == b'\n');
    (pid, name)
}

fn of(inode: u32, entry: &Entry) -> Socket {
    let kind = match entry.kind {
        Some(Kind::Datagram) => SocketKind::DATAGRAM,
        Some(Kind::SeqPacket) => SocketKind::SEQPACKET,
        _ => SocketKind::STREAM,
    };
    Socket {
        inode,
        kind,
        peer: entry.peer.filter(|peer| *peer != 0),
        name: name(&entry.name),
        peer_name: None,
    }
}

/// A path, or a zero byte and an abstract name.
fn name(address: &Address) -> Option<Vec<u8>> {
    match (address.as_pathname(), address.as_abstract_name()) {
        (Some(path), _) => Some(path.as_os_str().as_bytes().to_vec()),
        (_, Some(name)) => Some([b"\0", name].concat()),
        _ => None,
    }
}
