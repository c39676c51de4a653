//! `stoop serve`: serves many clients at once, until told to stop.
//!
//! One thread waits for signals, clients and datagrams. Each client gets a thread of its own, so
//! one that does not read or never ends delays no other. Nothing that a client does stops the
//! server.
//!
//! | what | file |
//! |---|---|
//! | sockets: bound here, or inherited | `door.rs` |
//! | threads and processes, and their limit | `crew.rs` |
//! | what a client gets | `answer.rs`, `exec.rs` |
//! | datagrams and their answers | `datagram.rs` |
//! | notifications to the service manager | `manager.rs` |
//! | error reports, rate-limited | `trouble.rs` |

mod answer;
mod crew;
mod datagram;
mod door;
mod exec;
mod manager;
mod trouble;

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::args::Serve;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::inherited::Inherited;
use crate::output::{Event, Output};
use crate::signals::Signals;
use answer::Service;
use crew::Crew;
use door::{Door, Step};
use manager::Manager;
use trouble::Trouble;

/// The maximum number of programs that datagrams may start at a time if no other limit was given: a
/// datagram costs its sender nothing.
const PROGRAMS: u32 = 64;

/// The delay after the kernel lacked memory to poll.
const PAUSE: Duration = Duration::from_millis(5);

/// How many clients are accepted from one listener, at the end, before time and signals are checked
/// again.
const STEPS_IN_A_TURN: usize = 64;

/// State shared by all threads of the server.
#[derive(Debug)]
struct Shared {
    service: Service,
    output: Output,
    trouble: Trouble,
    crew: Crew,
}

/// Serves until a signal arrives.
pub(crate) fn run(flags: &Serve) -> Outcome {
    // This comes first: a file descriptor opened by this process could be mistaken for an inherited
    // one.
    let inherited = Inherited::take(flags.address.as_ref(), flags.serving.kind.kind)?;
    // Before anything is created: from here on, a signal removes the socket file again.
    let signals = Signals::catch()?;
    let output = Output::new(flags.json, flags.quiet);
    let service = Service::new(&flags.answer)?;
    let doors = door::open(flags, &service, inherited)?;
    let unlimited_programs = service.runs_programs() && doors.iter().any(Door::is_for_datagrams);
    let crew = Crew::new(flags.max_connections.or(unlimited_programs.then_some(PROGRAMS)))?;
    // The last step that may fail: a client or service manager that is told of the server may rely
    // on it.
    for door in &doors {
        output.tell(&door.announcement(&service))?;
    }
    let shared = Arc::new(Shared { service, output, trouble: Trouble::new(output), crew });
    let manager = Manager::from_env(&shared)?;
    manager.ready();

    let mut server = Server { doors, signals, shared, grace: flags.grace };
    server.serve(flags.once)?;
    manager.stopping();
    server.finish(flags.once)?;
    manager.finish();
    server.shared.trouble.flush();
    Ok(Exit::Done)
}

struct Server {
    doors: Vec<Door>,
    signals: Signals,
    shared: Arc<Shared>,
    grace: Duration,
}

/// What the poll reported.
enum Ready {
    /// A signal arrived.
    Signal,
    /// The time limit has passed.
    Late,
    /// These listeners are readable. If empty, a worker has finished.
    Doors(Vec<usize>),
}

impl Server {
    /// Serves until a signal arrives or, with `once`, until the first client was accepted.
    fn serve(&mut self, once: bool) -> Result<(), Failure> {
        loop {
            let doors = match self.wait(None)? {
                Ready::Signal => return Ok(()),
                Ready::Late => continue,
                Ready::Doors(doors) => doors,
            };
            for door in doors {
                let step = self.doors[door].step(&self.shared)?;
                if once && step == Step::Served {
                    return Ok(());
                }
            }
        }
    }

    /// Removes the socket files, serves the clients that have connected, and waits until they are
    /// done or the time limit has passed.
    fn finish(&mut self, once: bool) -> Result<(), Failure> {
        for door in &mut self.doors {
            if let Err(error) = door.release() {
                self.shared.trouble.report(None, error.to_string());
            }
        }
        let mut deadline = if once { None } else { Some(self.begin_grace()) };
        if once {
            self.doors.clear();
        }
        loop {
            self.drain()?;
            if self.doors.is_empty() && self.shared.crew.is_idle() {
                return Ok(());
            }
            match (self.wait(deadline)?, deadline) {
                (Ready::Doors(_), Some(deadline)) if deadline <= Instant::now() => break,
                (Ready::Doors(_), _) => {}
                (Ready::Signal, None) => deadline = Some(self.begin_grace()),
                (Ready::Signal | Ready::Late, _) => break,
            }
        }
        self.shared.crew.abandon();
        Ok(())
    }

    fn begin_grace(&self) -> Instant {
        let grace_ms = u64::try_from(self.grace.as_millis()).unwrap_or(u64::MAX);
        self.shared.output.note(&Event::Ending { connections: self.shared.crew.busy(), grace_ms });
        let now = Instant::now();
        now.checked_add(self.grace).unwrap_or(now + Duration::from_secs(u32::MAX.into()))
    }

    /// Accepts waiting clients as far as the limit permits, and closes the listeners without any.
    fn drain(&mut self) -> Result<(), Failure> {
        let mut open = Vec::new();
        for mut door in self.doors.drain(..) {
            let mut somebody_waits = true;
            // A continuous flow of clients must not keep the server from handling signals and the
            // time limit.
            for _ in 0..STEPS_IN_A_TURN {
                if !self.shared.crew.has_room() {
                    break;
                }
                match door.step(&self.shared)? {
                    Step::Nobody => {
                        somebody_waits = false;
                        break;
                    }
                    Step::Exhausted => break,
                    Step::Served | Step::Passed => {}
                }
            }
            if somebody_waits {
                open.push(door);
            }
        }
        self.doors = open;
        Ok(())
    }

    /// Waits for a signal, for a client at any listener (if the limit permits one), and for a
    /// worker to finish.
    fn wait(&self, deadline: Option<Instant>) -> Result<Ready, Failure> {
        let crew = &self.shared.crew;
        let mut entries = vec![
            PollFd::new(&self.signals, PollFlags::IN),
            PollFd::from_borrowed_fd(crew.as_fd(), PollFlags::IN),
        ];
        if crew.has_room() {
            entries
                .extend(self.doors.iter().map(|door| PollFd::from_borrowed_fd(door.as_fd(), PollFlags::IN)));
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut entries, left.as_ref()) {
            Ok(0) => return Ok(Ready::Late),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Ready::Doors(Vec::new())),
            // The poll lacks memory, which is not the clients' fault.
            Err(rustix::io::Errno::NOMEM | rustix::io::Errno::AGAIN) => {
                std::thread::sleep(PAUSE);
                let is_late = deadline.is_some_and(|deadline| deadline <= Instant::now());
                return Ok(if is_late { Ready::Late } else { Ready::Doors(Vec::new()) });
            }
            Err(errno) => return Err(Failure::io("wait for clients", &errno.into())),
        }
        let ready: Vec<bool> = entries.iter().map(|entry| !entry.revents().is_empty()).collect();
        if ready[0] {
            self.signals.take();
            return Ok(Ready::Signal);
        }
        if ready[1] {
            crew.acknowledge();
        }
        Ok(Ready::Doors(
            ready[2..].iter().enumerate().filter(|(_, ready)| **ready).map(|(door, _)| door).collect(),
        ))
    }
}
