//! The environment of the demo: a temporary directory, and this command as other processes in it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::interrupt::{Running, clean_up_on_signals};
use super::render::Transcript;
use crate::exit::Exit;
use crate::failure::Failure;

/// The uid of the user `nobody`.
pub(super) const NOBODY: u32 = 65534;

/// The directory, and how to start processes in it.
pub(super) struct Sandbox {
    directory: TempDir,
    command: PathBuf,
    running: Running,
}

impl Sandbox {
    /// Creates the directory. Other users may look up sockets in it, but create nothing.
    pub(super) fn open() -> Result<Sandbox, Failure> {
        use std::os::unix::fs::PermissionsExt;
        let failed = |error| Failure::io("create a temporary directory", &error);
        let everybody_may_enter = std::fs::Permissions::from_mode(0o755);
        let directory = tempfile::Builder::new()
            .prefix("stoop-demo-")
            .permissions(everybody_may_enter)
            .tempdir()
            .map_err(failed)?;
        let command = std::env::current_exe().map_err(|error| Failure::io("find this command", &error))?;
        let running = Running::default();
        clean_up_on_signals(directory.path().to_owned(), running.clone())?;
        Ok(Sandbox { directory, command, running })
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the path of a name in the directory, as seen by this process.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    /// Starts `stoop serve` and waits until it reports that it is listening.
    pub(super) fn serve(&self, transcript: &Transcript, args: &[&str]) -> Result<ServerProcess, Failure> {
        transcript.command(&format!("{} &", typed(&[&["serve"], args].concat())))?;
        self.start(args)
    }

    /// Starts it without printing the command.
    pub(super) fn start(&self, args: &[&str]) -> Result<ServerProcess, Failure> {
        let args = [&["serve"], args].concat();
        let mut command = self.stoop(&args);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = self.spawn(&mut command)?;
        let mut server = ServerProcess { child, said: None, running: self.running.clone() };
        let mut said =
            BufReader::new(server.child.stderr.take().ok_or_else(|| unlike("standard error is missing"))?);
        let mut line = String::new();
        said.read_line(&mut line).map_err(|error| Failure::io("read the output of a server", &error))?;
        server.said = Some(said);
        match line.contains("serving") {
            true => Ok(server),
            false => Err(unlike(line.trim())),
        }
    }

    /// Runs a command with this input until it exits, and prints it with its output.
    pub(super) fn run(
        &self,
        transcript: &Transcript,
        args: &[&str],
        input: &str,
    ) -> Result<Finished, Failure> {
        let typed = match input.strip_suffix('\n') {
            _ if input.is_empty() => typed(args),
            Some(line) if !line.contains('\n') => format!("echo {} | {}", quoted(line), typed(args)),
            _ => format!("printf {} | {}", quoted(&input.replace('\n', "\\n")), typed(args)),
        };
        transcript.command(&typed)?;
        let ran = self.finish(self.stoop(args), input)?;
        transcript.output(&ran.stdout)?;
        transcript.output(&ran.stderr)?;
        Ok(ran)
    }

    /// Runs a command as the user `nobody`, who may not be able to reach the path of this program.
    /// The link `/proc/self/exe` of this process works.
    pub(super) fn run_as_nobody(&self, transcript: &Transcript, args: &[&str]) -> Result<Finished, Failure> {
        transcript.command(&format!("sudo -u nobody {}", typed(args)))?;
        let mut command = self.prepare(Command::new("/proc/self/exe"), args);
        command.uid(NOBODY).gid(NOBODY);
        let ran = self.finish(command, "")?;
        transcript.output(&ran.stdout)?;
        transcript.output(&ran.stderr)?;
        Ok(ran)
    }

    /// Returns the command, to be started in the directory.
    pub(super) fn stoop(&self, args: &[&str]) -> Command {
        self.prepare(Command::new(&self.command), args)
    }

    /// Starts a command.
    pub(super) fn spawn(&self, command: &mut Command) -> Result<Child, Failure> {
        self.running.spawn(command).map_err(starting)
    }

    /// Waits for the end of a command that was started.
    pub(super) fn wait(&self, child: &mut Child) -> Result<(), Failure> {
        child.wait().map_err(starting)?;
        self.running.remove(child.id());
        Ok(())
    }

    /// Runs a command until it exits.
    fn finish(&self, mut command: Command, input: &str) -> Result<Finished, Failure> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.spawn(&mut command)?;
        let pid = child.id();
        // The input fits into a pipe, so this does not block. A command that does not read it is not
        // an error.
        let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
        let output = child.wait_with_output().map_err(starting)?;
        self.running.remove(pid);
        Ok(Finished::new(&output))
    }

    fn prepare(&self, mut command: Command, args: &[&str]) -> Command {
        command.arg0("stoop").args(args).current_dir(self.directory());
        for name in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET"] {
            command.env_remove(name);
        }
        command
    }
}

/// Formats a command line as it is typed.
fn typed(args: &[&str]) -> String {
    let words: Vec<String> = std::iter::once("stoop").chain(args.iter().copied()).map(quoted).collect();
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{word}'") }
}

fn starting(error: std::io::Error) -> Failure {
    Failure::io("start this command again", &error)
}

fn unlike(what: &str) -> Failure {
    Failure::new(Exit::Failed, format!("a server did not start: {what}")).into()
}

/// A command that has exited.
pub(super) struct Finished {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Finished {
    fn new(output: &Output) -> Finished {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Finished { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Returns whether it failed with this code, with a reason and a suggestion.
    pub(super) fn explains(&self, code: Exit) -> bool {
        let parts = ["error: ", "\n  why:  ", "\n  next: "];
        self.code == Some(code.code().into()) && parts.iter().all(|part| self.stderr.contains(part))
    }
}

/// A server process, killed on drop.
pub(super) struct ServerProcess {
    child: Child,
    /// Kept open, so that the server can continue to write.
    said: Option<BufReader<ChildStderr>>,
    /// The list that has this process until it is waited for.
    running: Running,
}

impl ServerProcess {
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, without a chance to clean up.
    pub(super) fn kill(mut self) -> Result<(), Failure> {
        self.child.kill().and_then(|()| self.child.wait()).map(drop).map_err(starting)
    }

    /// Sends SIGTERM, waits, and returns whether it exited successfully.
    pub(super) fn end(mut self) -> Result<bool, Failure> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM).map_err(|errno| starting(errno.into()))?;
        }
        Ok(self.child.wait().map_err(starting)?.success())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Both fail for a process that has been waited for, which is as intended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.running.remove(self.pid());
    }
}
