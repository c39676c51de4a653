//! A machine to inspect: processes with sockets of every type, some of them in network namespaces
//! of their own.
//!
//! Each process is this program again. They share one stdin, and exit when it is closed: none
//! outlives the measurement.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use stoop_bench::Result;

/// The role of a process that holds sockets.
const HOLD: &str = "hold";
/// The role of a process that starts others in its namespace.
const GATHER: &str = "gather";
/// Other file descriptors of each process.
const FILES: usize = 24;

/// The size of the machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Size {
    /// Processes.
    pub processes: usize,
    /// Sockets of each process.
    pub sockets: usize,
    /// Network namespaces in addition to that of the measurement; each has a twentieth of the
    /// processes.
    pub networks: usize,
}

impl Size {
    /// Returns the number of processes in each of those namespaces.
    fn in_each_network(self) -> usize {
        (self.processes / 20).max(1)
    }

    /// Returns the number of sockets that are not visible in the own network namespace.
    pub fn sockets_elsewhere(self) -> usize {
        self.networks * self.in_each_network() * self.sockets
    }

    /// Returns the number of all sockets.
    pub fn sockets_in_all(self) -> usize {
        self.processes * self.sockets
    }
}

/// The processes; killed on drop.
pub struct Processes(Vec<Child>);

impl Processes {
    /// Starts them all, and returns once each has its sockets.
    ///
    /// # Errors
    /// Returns an error if a process cannot be started; other network namespaces require root and
    /// `unshare` of util-linux.
    pub fn start(size: Size, directory: &Path) -> Result<Processes> {
        let mut processes = Processes(Vec::new());
        let here = size.processes - size.networks * size.in_each_network();
        processes.gather(None, here, size, directory)?;
        for _ in 0..size.networks {
            let unshare = ["unshare", "--net"];
            processes.gather(Some(unshare), size.in_each_network(), size, directory)?;
        }
        Ok(processes)
    }

    fn gather(&mut self, within: Option<[&str; 2]>, count: usize, size: Size, directory: &Path) -> Result {
        let (counts, directory) = ([count, size.sockets].map(|n| n.to_string()), directory.to_string_lossy());
        let role = stoop_bench::role(&[GATHER, &counts[0], &counts[1], &directory])?;
        let mut command = match within {
            None => role,
            Some([program, option]) => {
                let mut command = Command::new(program);
                command.arg(option).arg(role.get_program()).args(role.get_args());
                command
            }
        };
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or("no stdout")?;
        self.0.push(child);
        match BufReader::new(stdout).lines().take(count).filter(|line| line.is_ok()).count() == count {
            true => Ok(()),
            false => Err("a process of the machine exited before it had its sockets".into()),
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.0 {
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

/// Runs a role of the machine, given by the arguments; `None` if they name none.
pub fn run_role(args: &[&str]) -> Option<Result> {
    match *args {
        [HOLD, sockets, directory] => Some(hold(sockets.parse().ok()?, Path::new(directory))),
        [GATHER, count, sockets, directory] => Some(gather(count.parse().ok()?, sockets, directory)),
        _ => None,
    }
}

fn gather(count: usize, sockets: &str, directory: &str) -> Result {
    let start = |_| Ok(stoop_bench::role(&[HOLD, sockets, directory])?.spawn()?);
    let children: Vec<Child> = (0..count).map(start).collect::<Result<_>>()?;
    for mut child in children {
        child.wait()?;
    }
    Ok(())
}

/// Creates a listener with clients, one of which is not accepted; a datagram socket; and pairs.
fn hold(sockets: usize, directory: &Path) -> Result {
    let path = directory.join(format!("{}.sock", std::process::id()));
    let listener = UnixListener::bind(&path)?;
    let _waits = UnixStream::connect(&path)?;
    let _receiver = UnixDatagram::bind(path.with_extension("dgram"))?;
    let mut ends = Vec::new();
    let mut had = 3;
    // The waiting client is accepted first: another one takes its place.
    while had + 2 <= sockets {
        if had % 4 == 3 {
            ends.push(UnixStream::connect(&path)?);
            ends.push(listener.accept()?.0);
        } else {
            ends.extend(<[UnixStream; 2]>::from(UnixStream::pair()?));
        }
        had += 2;
    }
    let _odd = (had < sockets).then(UnixDatagram::unbound).transpose()?;
    let _files: Vec<File> = (0..FILES).map(|_| File::open("/dev/null")).collect::<io::Result<_>>()?;
    println!("ready");
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
