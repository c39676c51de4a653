//! The life of a server's socket file: stale, in use, taken over.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use stoop::{Connect, Stream};

use super::render::Transcript;
use super::sandbox::{Sandbox, ServerProcess};
use crate::exit::Exit;
use crate::failure::Failure;

/// How often the server is replaced.
const TAKEOVERS: u32 = 40;

/// The socket file of a killed server refuses clients, and does not prevent the next server from
/// starting.
pub(super) fn stale(sandbox: &Sandbox, transcript: &mut Transcript) -> Result<(), Failure> {
    let server = sandbox.serve(transcript, &["app.sock"])?;
    transcript.command(&format!("kill -KILL {}", server.pid()))?;
    server.kill()?;
    let ran = sandbox.run(transcript, &["connect", "app.sock"], "")?;
    let left = sandbox.path("app.sock").exists();
    transcript.check(left && ran.explains(Exit::Failed), "the file exists, but no server is listening")?;
    let server = sandbox.serve(transcript, &["app.sock"])?;
    transcript.check(
        echoes(&sandbox.path("app.sock"))?,
        "the kernel confirmed that it was stale, so it was replaced",
    )?;
    server.end()?;
    transcript.suggest("kill -KILL your own server, and start it again")
}

/// A second server reports which process has the name.
pub(super) fn live(sandbox: &Sandbox, transcript: &mut Transcript) -> Result<(), Failure> {
    let server = sandbox.serve(transcript, &["app.sock"])?;
    let ran = sandbox.run(transcript, &["serve", "app.sock"], "")?;
    let named = ran.stderr.contains(&format!("process {}", server.pid()));
    transcript.check(
        ran.code == Some(Exit::Failed.code().into()) && named,
        "refused, naming the process that has it",
    )?;
    transcript.check(echoes(&sandbox.path("app.sock"))?, "and the first server was not affected")?;
    server.end()?;
    transcript.suggest("stoop serve ./app.sock    # twice")
}

/// Clients connect all the time while the server is replaced.
pub(super) fn takeover(sandbox: &Sandbox, transcript: &mut Transcript) -> Result<(), Failure> {
    transcript.text(
        "The new socket listens before it replaces the old one atomically; the old server finishes its clients.",
    )?;
    let mut server = sandbox.serve(transcript, &["app.sock"])?;
    transcript.command(&format!(
        "stoop serve app.sock --replace &    # {TAKEOVERS} times, each replacing the previous one"
    ))?;
    let stop = AtomicBool::new(false);
    let path = sandbox.path("app.sock");
    let (load, clean) = std::thread::scope(|scope| {
        let clients = scope.spawn(|| clients(&path, &stop));
        let mut clean = 0;
        let replaced = (0..TAKEOVERS).try_for_each(|_| {
            let next = sandbox.start(&["app.sock", "--replace"])?;
            let old: ServerProcess = std::mem::replace(&mut server, next);
            clean += u32::from(old.end()?);
            Ok::<(), Failure>(())
        });
        stop.store(true, Ordering::Relaxed);
        let load = clients.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        replaced.map(|()| (load, clean))
    })?;
    transcript.check(clean == TAKEOVERS, &format!("{clean} servers were replaced and exited with 0"))?;
    let Load { came, refused, unanswered } = load;
    transcript.check(
        came > 0 && refused + unanswered == 0,
        &format!("{came} clients connected meanwhile: {refused} refused, {unanswered} without a reply"),
    )?;
    server.end()?;
    transcript.suggest("stoop serve ./app.sock --replace    # while another one serves it")
}

/// The results of the clients.
#[derive(Default)]
struct Load {
    came: u32,
    refused: u32,
    unanswered: u32,
}

/// Connects one client after the other, without a pause.
fn clients(path: &Path, stop: &AtomicBool) -> Load {
    let mut load = Load::default();
    while !stop.load(Ordering::Relaxed) {
        load.came += 1;
        match Stream::connect(path) {
            Err(_) => load.refused += 1,
            Ok(stream) => load.unanswered += u32::from(!is_answered(stream)),
        }
    }
    load
}

fn echoes(path: &Path) -> Result<bool, Failure> {
    Ok(is_answered(Connect::new(path).stream()?))
}

fn is_answered(mut stream: Stream) -> bool {
    let mut heard = [0; 4];
    stream.write_all(b"ping").and_then(|()| stream.read_exact(&mut heard)).is_ok() && &heard == b"ping"
}
