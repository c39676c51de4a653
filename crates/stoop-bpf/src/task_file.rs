//! Loading the program of the `task_file` iterator, and reading what it writes.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};

use crate::asm::{Assembler, Reg};
use crate::layout::Layout;
use crate::program::program;
use crate::record::{Record, Records};
use crate::support::{Doubt, Lack, Support, Unavailable, refusal};
use crate::sys;

/// Where the kernel shows its type information.
const TYPES: &str = "/sys/kernel/btf/vmlinux";
/// What the kernel gives with one read, and a little more.
const READ_BYTES: usize = 64 << 10;
/// Room for what the verifier says of a program of this size.
const LOG_BYTES: usize = 256 << 10;
/// A signal may end the verifier's work; how often it is begun again.
const TRIES: usize = 5;

/// Whether this process may and can list sockets with [`TaskFiles`]: finds out by loading it.
pub fn probe() -> Support {
    match TaskFiles::load() {
        Ok(_) => Support::Yes,
        Err(unavailable) => unavailable.into(),
    }
}

/// The program that lists every descriptor of every process that is a local socket, loaded.
///
/// It runs while it is read and at no other time. Dropping the value takes it out of the kernel.
#[derive(Debug)]
pub struct TaskFiles {
    link: OwnedFd,
}

impl TaskFiles {
    /// Assembles the program for the running kernel and loads it. That takes some milliseconds, most of them to read the type
    /// information: keep the value to read more than once.
    ///
    /// # Errors
    /// [`Unavailable`], which says what is missing, or why that could not be found out. Minimum kernel: 5.11 with BTF.
    pub fn load() -> Result<TaskFiles, Unavailable> {
        if cfg!(not(all(target_endian = "little", target_pointer_width = "64"))) {
            return Err(Lack::Machine.into());
        }
        ask_for_permission()?;
        first_pid_namespace()?;
        let types = std::fs::read(TYPES).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Lack::TypeInformation.into(),
            _ => Unavailable::from(Doubt::new("reading the kernel's type information", error)),
        })?;
        let layout = Layout::of(&types).map_err(Lack::Type)?;
        let code = program(&layout).map_err(Lack::Type)?;
        TaskFiles::start(&code, layout.iterator.0)
    }

    fn start(code: &[u64], iterator: u32) -> Result<TaskFiles, Unavailable> {
        let program = load(code, iterator, &mut []).map_err(|error| match error.raw_os_error() {
            Some(libc::EPERM) => refusal(error),
            _ => rejection(code, iterator),
        })?;
        let link =
            sys::link(program.as_fd()).map_err(|error| Doubt::new("making the iterator's link", error))?;
        Ok(TaskFiles { link })
    }

    /// Every descriptor of every process that is a local socket, of all network namespaces.
    ///
    /// See [`read_each`](TaskFiles::read_each).
    ///
    /// # Errors
    /// Those of reading.
    pub fn read(&self) -> io::Result<Vec<Record>> {
        let mut records = Vec::new();
        self.read_each(|record| records.push(record))?;
        Ok(records)
    }

    /// Gives `each` every descriptor of every process that is a local socket, of all network namespaces, in the order of
    /// processes and of descriptors. Sockets without one (in flight, in a backlog) are not among them.
    ///
    /// It is no snapshot: processes and descriptors come and go while it runs. What is there from before it begins until after it
    /// ends is given once (K-BPF-2, K-BPF-3). Does not block; goes on after `EINTR`.
    ///
    /// # Errors
    /// Those of making the iterator (no more descriptors, no memory) and of reading it.
    pub fn read_each(&self, mut each: impl FnMut(Record)) -> io::Result<()> {
        let mut iterator = File::from(sys::iterate(self.link.as_fd())?);
        let mut buffer = vec![0; READ_BYTES];
        let mut records = Records::default();
        loop {
            match iterator.read(&mut buffer) {
                Ok(0) => {
                    return records.finish().map_err(|cut| io::Error::new(ErrorKind::UnexpectedEof, cut));
                }
                Ok(len) => records.feed(&buffer[..len], &mut each),
                // The kernel wants to be asked again: by a signal, or after a million descriptors that were none of ours.
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Asks the kernel for what it refuses to those without permission before it looks at anything else (K-BPF-4).
fn ask_for_permission() -> Result<(), Unavailable> {
    let mut code = Assembler::default();
    code.set(Reg::R0, 0);
    code.exit();
    match load(&code.finish(), 0, &mut []).map_err(|error| (error.raw_os_error(), error)) {
        Err((Some(libc::EPERM), error)) => Err(refusal(error)),
        Err((Some(libc::ENOSYS), _)) => Err(Lack::Call.into()),
        // A program for no iterator at all: that it is refused for this is the answer we want.
        _ => Ok(()),
    }
}

/// The program sees process ids of the first namespace; in another one, they would be those of other processes.
fn first_pid_namespace() -> Result<(), Unavailable> {
    use std::os::unix::fs::MetadataExt;
    /// The inode that the first namespace of process ids has on every machine.
    const FIRST: u64 = 0xEFFF_FFFC;
    let metadata = std::fs::metadata("/proc/self/ns/pid");
    let metadata = metadata.map_err(|error| Doubt::new("looking for the namespace of process ids", error))?;
    if metadata.ino() == FIRST { Ok(()) } else { Err(Lack::PidNamespace.into()) }
}

/// Loads a program again to hear what is wrong with it.
fn rejection(code: &[u64], iterator: u32) -> Unavailable {
    let mut log = vec![0; LOG_BYTES];
    match load(code, iterator, &mut log) {
        Err(error) if log[0] == 0 => Doubt::new("loading the program", error).into(),
        Err(_) => Lack::Verifier(last_lines(&log)).into(),
        Ok(_) => {
            Doubt::new("loading the program", io::Error::other("refused, and accepted when asked why")).into()
        }
    }
}

fn load(code: &[u64], iterator: u32, log: &mut [u8]) -> io::Result<OwnedFd> {
    let mut result = sys::load(code, iterator, log);
    for _ in 1..TRIES {
        match &result {
            Err(error) if error.kind() == ErrorKind::WouldBlock => result = sys::load(code, iterator, log),
            _ => break,
        }
    }
    result
}

/// What the verifier said last, without its statistics.
fn last_lines(log: &[u8]) -> String {
    const LINES: usize = 3;
    let text = String::from_utf8_lossy(log.split(|byte| *byte == 0).next().unwrap_or_default());
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("processed ")).collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
