//! The processes of a measurement: started on their CPUs, with one line of output each, and killed
//! with it.

use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::pin;

/// Compiles a program from `bench/c` to `to`.
///
/// # Errors
/// Returns an error if there is no C compiler, or if it fails.
pub fn compile(source: &str, to: &Path) -> io::Result<()> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("c").join(source);
    match Command::new("cc").args(["-O2", "-o"]).arg(to).arg(source).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(io::Error::other(format!("cc failed: {status}"))),
        Err(error) => Err(io::Error::new(error.kind(), format!("cannot run cc: {error}"))),
    }
}

/// A process of a measurement; killed if the measurement does not complete.
pub struct Process(Child);

impl Process {
    /// Starts it on `cpu`, or on any CPU that the scheduler chooses.
    ///
    /// # Errors
    /// Returns an error if the process cannot be started, or this one may not use the CPU: see
    /// [`pin::spawn`].
    pub fn start(command: &mut Command, cpu: Option<usize>) -> io::Result<Self> {
        pin::spawn(command.stdout(Stdio::piped()), cpu).map(Self)
    }

    /// Returns its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Returns its one line of output.
    ///
    /// # Errors
    /// Returns an error if its output cannot be read.
    pub fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if let Some(stdout) = self.0.stdout.as_mut() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        Ok(line.trim_end().to_owned())
    }

    /// Waits for its exit.
    ///
    /// # Errors
    /// Returns an error if it failed.
    pub fn finish(&mut self) -> io::Result<()> {
        let status = self.0.wait()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("a peer failed: {status}"))) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail if it has already exited, as it should have.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
