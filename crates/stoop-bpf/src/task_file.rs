//! Loading the program of the `task_file` iterator and reading its output.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};

use crate::layout::Layout;
use crate::loader;
use crate::program::program;
use crate::record::{Record, Records, TableKey};
use crate::support::{Missing, Support, Unavailable, Undetermined};
use crate::sys;
use crate::target::Target;

/// A little more than what the kernel returns with one read.
const READ_BYTES: usize = 64 << 10;

/// Checks whether this process can list sockets with [`TaskFiles`], by loading the program.
///
/// # Examples
///
/// ```
/// use stoop_bpf::{Missing, Support};
///
/// match stoop_bpf::probe() {
///     Support::Yes => {}
///     Support::No(Missing::Capabilities(missing)) => eprintln!("run it with {missing:?}"),
///     Support::No(missing) => eprintln!("unavailable on this machine: {missing}"),
///     // Not a negative answer: try again, or report the error.
///     Support::Unknown(cause) => eprintln!("cannot determine whether it is available: {cause}"),
/// }
/// ```
pub fn probe() -> Support {
    match TaskFiles::load() {
        Ok(_) => Support::Yes,
        Err(unavailable) => unavailable.into(),
    }
}

/// The loaded program that lists all file descriptors that are Unix domain sockets.
///
/// The program runs only while it is read. Dropping the value unloads it.
#[doc(alias("BPF_TRACE_ITER", "bpf"))]
#[derive(Debug)]
pub struct TaskFiles {
    link: OwnedFd,
    has_details: bool,
}

impl TaskFiles {
    /// Assembles the program for the running kernel and loads it. Requires Linux 5.11 with BTF.
    ///
    /// This takes a millisecond or two: keep the value to read more than once.
    ///
    /// # Errors
    /// Returns an error that names what is missing, or why that could not be determined.
    ///
    /// # Examples
    ///
    /// Fall back to `/proc` without the privilege:
    ///
    /// ```
    /// use stoop_bpf::{TaskFiles, Unavailable};
    ///
    /// let owners_from = match TaskFiles::load() {
    ///     Ok(_program) => "BPF".to_owned(),
    ///     Err(Unavailable::No(missing)) => format!("/proc: {missing}"),
    ///     Err(unknown) => format!("/proc, perhaps only this time: {unknown}"),
    /// };
    /// assert!(owners_from == "BPF" || owners_from.starts_with("/proc"));
    /// ```
    pub fn load() -> Result<TaskFiles, Unavailable> {
        TaskFiles::load_with(true)
    }

    /// Loads the program without [`Record::name`] and [`Record::details`], which are then always
    /// `None`.
    ///
    /// They cost several cache lines for each socket. Otherwise this is [`load`](TaskFiles::load).
    ///
    /// # Errors
    /// Returns an error that names what is missing, or why that could not be determined.
    ///
    /// # Examples
    ///
    /// ```
    /// if let Ok(program) = stoop_bpf::TaskFiles::load_without_details() {
    ///     assert!(program.read()?.iter().all(|record| record.details.is_none()));
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn load_without_details() -> Result<TaskFiles, Unavailable> {
        TaskFiles::load_with(false)
    }

    fn load_with(details: bool) -> Result<TaskFiles, Unavailable> {
        let types = loader::prepare()?;
        let mut layout = Layout::of(&types, details).map_err(Missing::Type)?;
        loop {
            match TaskFiles::of(&layout) {
                Err(Unavailable::No(Missing::Verifier(_))) if layout.reduce() => {}
                loaded => return loaded,
            }
        }
    }

    /// Returns whether the records have [`Record::details`].
    ///
    /// # Examples
    ///
    /// ```
    /// let Ok(program) = stoop_bpf::TaskFiles::load() else { return Ok(()) };
    /// let has_details = program.has_details();
    /// assert!(program.read()?.iter().all(|record| record.details.is_some() == has_details));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn has_details(&self) -> bool {
        self.has_details
    }

    fn of(layout: &Layout) -> Result<TaskFiles, Unavailable> {
        let code = program(layout).map_err(Missing::Type)?;
        Ok(TaskFiles { has_details: layout.details.is_some(), ..TaskFiles::start(&code, layout.iterator.0)? })
    }

    fn start(code: &[u64], iterator: u32) -> Result<TaskFiles, Unavailable> {
        let program = loader::load(code, Target::iterator(iterator))?;
        let link = sys::link(program.as_fd())
            .map_err(|error| Undetermined::new("creating the iterator's link", error))?;
        Ok(TaskFiles { link, has_details: false })
    }

    /// Returns every file descriptor of every process that is a Unix domain socket, in all network
    /// namespaces.
    ///
    /// See [`read_each`](TaskFiles::read_each) for what is included.
    ///
    /// # Errors
    /// Returns an error if the iterator cannot be created or read.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::os::fd::AsRawFd;
    /// # use std::os::unix::net::UnixStream;
    /// # use stoop_bpf::TaskFiles;
    /// let Ok(program) = TaskFiles::load() else { return Ok(()) };
    /// let (one, _other) = UnixStream::pair()?;
    /// let fd = one.as_raw_fd() as u32;
    /// let mut own = program.read()?;
    /// own.retain(|record| record.pid == std::process::id() && record.fd == fd);
    /// let [record] = own[..] else { panic!("it was open during the whole reading") };
    /// assert_eq!(record.name, None, "a socket pair has no name");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn read(&self) -> io::Result<Vec<Record>> {
        let mut records = Vec::new();
        self.read_each(|record| records.push(record))?;
        Ok(records)
    }

    /// Calls `each` for every file descriptor of every process that is a Unix domain socket, in all
    /// network namespaces.
    ///
    /// The order is by process, then by file descriptor. Sockets without a file descriptor (in
    /// flight, or in a backlog) are not included.
    ///
    /// The listing is not an atomic snapshot: processes and file descriptors may appear and
    /// disappear while it runs. A file descriptor that exists from before the start until after the
    /// end is reported once ([K-BPF-2], [K-BPF-3]). Does not block. `EINTR` is retried.
    ///
    /// # Errors
    /// Returns an error if the iterator cannot be created (no file descriptors or no memory left)
    /// or read.
    ///
    /// # Examples
    ///
    /// ```
    /// let Ok(program) = stoop_bpf::TaskFiles::load() else { return Ok(()) };
    /// let mut per_process = std::collections::BTreeMap::<u32, usize>::new();
    /// program.read_each(|record| *per_process.entry(record.pid).or_default() += 1)?;
    /// // A pid of the initial pid namespace.
    /// assert!(!per_process.contains_key(&0));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// [K-BPF-2]: https://docs.rs/stoop/latest/stoop/kernel_facts/index.html#K-BPF-2
    /// [K-BPF-3]: https://docs.rs/stoop/latest/stoop/kernel_facts/index.html#K-BPF-3
    pub fn read_each(&self, mut each: impl FnMut(Record)) -> io::Result<()> {
        let mut tables = Tables::default();
        drain(File::from(sys::iterate(self.link.as_fd())?), |record| {
            if tables.is_new(&record) {
                each(record);
            }
        })
    }
}

/// File descriptor tables that threads have in addition to their process's, each with the thread
/// that was visited first.
#[derive(Default)]
struct Tables(HashMap<(u32, TableKey), u32>);

impl Tables {
    /// Returns `false` if another thread of the process has already reported this table.
    ///
    /// The kernel skips only threads that share the table of the first thread, and skips none if
    /// the first thread has exited ([K-BPF-2]).
    ///
    /// [K-BPF-2]: https://docs.rs/stoop/latest/stoop/kernel_facts/index.html#K-BPF-2
    fn is_new(&mut self, record: &Record) -> bool {
        record.tid == record.pid
            || *self.0.entry((record.pid, record.table)).or_insert(record.tid) == record.tid
    }
}

/// Reads to the end.
fn drain(mut iterator: impl Read, mut each: impl FnMut(Record)) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    let mut records = Records::default();
    loop {
        match iterator.read(&mut buffer) {
            Ok(0) => return records.finish().map_err(|cut| io::Error::new(ErrorKind::UnexpectedEof, cut)),
            Ok(len) => records.feed(&buffer[..len], &mut each),
            // Repeat the read: the kernel stopped because of a signal, or after a million file
            // descriptors that were not Unix sockets.
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asm::{Assembler, Helper, Reg};
    use crate::record::RECORD_BYTES;
    use crate::stack::{point, step};
    use crate::types::Types;
    use std::collections::VecDeque;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    /// Returns prepared answers, one per read.
    struct Answers(VecDeque<io::Result<Vec<u8>>>);

    impl Read for Answers {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let bytes = self.0.pop_front().unwrap_or(Ok(Vec::new()))?;
            buffer[..bytes.len()].copy_from_slice(&bytes);
            Ok(bytes.len())
        }
    }

    fn drained(answers: impl IntoIterator<Item = io::Result<Vec<u8>>>) -> (usize, io::Result<()>) {
        let mut count = 0;
        let result = drain(Answers(answers.into_iter().collect()), |_| count += 1);
        (count, result)
    }

    #[test]
    fn being_asked_again_is_no_end() {
        let again = |kind: ErrorKind| Err(io::Error::from(kind));
        // Of zeros: no address follows such a record.
        let part = |len| Ok(vec![0; len]);
        let (count, result) = drained([
            again(ErrorKind::WouldBlock),
            part(RECORD_BYTES + 1),
            again(ErrorKind::Interrupted),
            part(RECORD_BYTES - 1),
        ]);
        assert_eq!(count, 2);
        result.unwrap();
        assert_eq!(drained([again(ErrorKind::OutOfMemory)]).1.unwrap_err().kind(), ErrorKind::OutOfMemory);
        assert_eq!(drained([part(RECORD_BYTES + 7)]).1.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    /// The kernel identifies the table of a process by its first thread ([K-BPF-2]).
    ///
    /// [K-BPF-2]: https://docs.rs/stoop/latest/stoop/kernel_facts/index.html#K-BPF-2
    #[test]
    fn a_process_whose_first_thread_has_ended_is_listed_once() {
        const TEST: &str = "task_file::tests::a_process_whose_first_thread_has_ended_is_listed_once";
        const THREADS: usize = 4;
        if stoop_testkit::role().is_some() {
            // The thread that runs a test need not be a first thread, but a forked child's is. No
            // other thread runs here that could hold a lock meanwhile.
            stoop_kernel_facts::in_child(|| {
                let (one, _other) = UnixStream::pair().unwrap();
                for _ in 0..THREADS {
                    std::thread::spawn(|| std::io::stdin().read_to_end(&mut Vec::new()));
                }
                println!("socket {} {}", std::process::id(), rustix::fs::fstat(&one).unwrap().st_ino);
                stoop_kernel_facts::end_this_thread()
            });
            return;
        }
        let Ok(loaded) = TaskFiles::load() else { stoop_testkit::skip!("lacks the iterator: {:?}", probe()) };
        let mut child = stoop_testkit::Role::new(TEST, "without a first thread").spawn();
        let line = child.line("socket", Duration::from_secs(20));
        let numbers: Vec<u32> = line.split(' ').map(|number| number.parse().unwrap()).collect();
        let (pid, inode) = (numbers[0], numbers[1]);
        let stat = format!("/proc/{pid}/stat");
        stoop_testkit::eventually(Duration::from_secs(20), || {
            std::fs::read_to_string(&stat).unwrap().contains(") Z ")
        });
        let mut raw = Vec::new();
        let iterator = File::from(sys::iterate(loaded.link.as_fd()).unwrap());
        drain(iterator, |record| raw.push(record)).unwrap();
        raw.retain(|record| record.inode == inode);
        assert_eq!(raw.len(), THREADS, "each thread shows the same table");
        assert!(raw.iter().all(|record| record.pid == pid && record.tid != record.pid));
        let tid_of = |record: &Record| (record.inode == inode).then_some(record.tid);
        let once: Vec<u32> = loaded.read().unwrap().iter().filter_map(tid_of).collect();
        assert_eq!(once, [raw[0].tid]);
        assert!(child.finish(Duration::from_secs(20)).success());
    }

    /// A program that the verifier must reject: it does not set a return value.
    #[test]
    fn a_refusal_comes_with_the_verifiers_words() {
        let (Ok(types), Ok(_)) = (Types::open(), TaskFiles::load()) else {
            stoop_testkit::skip!("lacks the iterator: {:?}", probe());
        };
        let mut code = Assembler::default();
        code.exit();
        match TaskFiles::start(&code.finish(), Layout::of(&types, true).unwrap().iterator.0) {
            Err(Unavailable::No(Missing::Verifier(words))) => assert!(words.contains("R0"), "{words}"),
            other => panic!("{other:?}"),
        }
    }

    /// Whether a helper may be given a part of the stack that was not written ([K-BPF-14]).
    ///
    /// [K-BPF-14]: https://docs.rs/stoop/latest/stoop/kernel_facts/index.html#K-BPF-14
    #[test]
    fn what_was_not_written_is_passed_on_by_newer_kernels_only() {
        let (Ok(types), Ok(_)) = (Types::open(), TaskFiles::load()) else {
            stoop_testkit::skip!("lacks the iterator: {:?}", probe());
        };
        let layout = Layout::of(&types, false).unwrap();
        let mut code = Assembler::default();
        let out = code.label();
        step(&mut code, Reg::R1, Reg::R1, layout.meta).unwrap();
        code.jump_if(Reg::R1, 0, out);
        step(&mut code, Reg::R1, Reg::R1, layout.seq).unwrap();
        code.jump_if(Reg::R1, 0, out);
        point(&mut code, Reg::R2, -8);
        code.set(Reg::R3, 8);
        code.call(Helper::SeqWrite);
        code.place(out);
        code.set(Reg::R0, 0);
        code.exit();
        let loaded = TaskFiles::start(&code.finish(), layout.iterator.0);
        if stoop_kernel_facts::kernel_at_least(6, 3) {
            loaded.unwrap();
            return;
        }
        match loaded {
            Err(Unavailable::No(Missing::Verifier(words))) => assert!(words.contains("stack"), "{words}"),
            other => panic!("{other:?}"),
        }
    }
}
