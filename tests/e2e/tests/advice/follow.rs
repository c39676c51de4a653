//! Follows one piece of advice, and checks that it does what it says.

use std::io::Read;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use stoop_testkit::KillOnDrop;

use super::world::{Last, World};
use super::{Answer, Place};

/// The time that a client or server has to do what it is for.
pub const SOON: Duration = Duration::from_secs(20);
/// The time after which a client that was refused has said so.
const AT_ONCE: Duration = Duration::from_millis(150);

/// Follows it. Returns an error if it does not do what it says.
pub fn follow(place: &Place, world: &World, piece: &str) -> Result<(), String> {
    if let Some(sentence) = piece.strip_prefix("# ") {
        return if sentence.len() > 10 { Ok(()) } else { Err("a sentence without words".into()) };
    }
    let command = piece.split("    #").next().unwrap_or(piece);
    let (uid, command) = match command.strip_prefix("sudo ") {
        Some(command) => (0, command),
        None => (world.asker, command),
    };
    let words: Vec<&str> = command.split_whitespace().collect();
    let mut shell = place.command(uid, "sh");
    shell.args(["-c", &format!("exec {command}")]);
    match words[..] {
        ["stoop", "serve" | "recv", ..] if command.contains(&other_name(world)) => {
            serves_another_name(world, shell)
        }
        ["stoop", "serve" | "recv", ..] => serves(place, world, shell),
        ["stoop", "connect" | "send", .., "--wait", _] => waits(world, shell),
        ["stoop", "connect" | "send", ..] => connects(shell),
        ["stoop", "why" | "who", ..] => shows(shell, &[0, 1]),
        // The system's accounts and limits are not the test's.
        ["usermod" | "newgrp" | "sg" | "systemctl", ..] => Ok(()),
        ["ls" | "readlink" | "findmnt" | "cat" | "df" | "getent" | "ps" | "ulimit" | "lsattr", ..] => {
            shows(shell, &[0])
        }
        ["mktemp", ..] => {
            let made = run(shell)?;
            std::fs::remove_dir(made.trim()).map_err(|error| format!("it made '{made}': {error}"))
        }
        ["kill" | "prlimit", ..] => relieves(place, world, piece, shell),
        _ => changes(place, world, piece, shell),
    }
}

fn run(mut command: Command) -> Result<String, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(format!("{}: {}{}", output.status, text(&output.stdout), text(&output.stderr))),
    }
}

/// A command that shows something.
fn shows(mut command: Command, codes: &[i32]) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    let is_right =
        output.status.code().is_some_and(|code| codes.contains(&code)) && !output.stdout.is_empty();
    match is_right {
        true => Ok(()),
        false => Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr))),
    }
}

/// A command that changes something: the call succeeds then, or fails later, or for another cause.
/// If two things are in the way, the second one may be removed first: fewer steps are left then.
fn changes(place: &Place, world: &World, piece: &str, command: Command) -> Result<(), String> {
    let before = place.ask(world);
    run(command)?;
    let after = place.ask(world);
    let is_further = after.outcome == "succeeds"
        || after.cause != before.cause
        || after.stop.is_some_and(|stop| before.stop.is_none_or(|before| stop > before))
        || (1..before.next.len()).contains(&after.next.len()) && !after.next.iter().any(|next| next == piece);
    match is_further {
        true => Ok(()),
        false => Err(format!("nothing came of it: {after:?}")),
    }
}

/// A command that ends what keeps a process from answering: it is not advised again.
fn relieves(place: &Place, world: &World, piece: &str, command: Command) -> Result<(), String> {
    run(command)?;
    let after = place.ask(world);
    match after.next.iter().any(|next| next == piece) {
        false => Ok(()),
        true => Err(format!("nothing came of it: {after:?}")),
    }
}

/// A server at an address of our own: the call succeeds then.
fn serves(place: &Place, world: &World, command: Command) -> Result<(), String> {
    if world.last != Last::Missing && world.last != Last::Client && world.last != Last::NoDirectory {
        return Err("a server of stoop, where another program's was".into());
    }
    let mut server = start(command)?;
    let until = Instant::now() + SOON;
    loop {
        ends(&mut server.0)?;
        let Answer { outcome, cause, .. } = place.ask(world);
        let is_bound = world.has("bind");
        // Only clients of stoop reach it.
        let is_long = cause == "path-too-long" && world.path.exists();
        if outcome == "succeeds" || is_long || is_bound && cause == "taken-live" || world.last == Last::Client
        {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(format!("it serves, and the call: {outcome}, {cause}"));
        }
    }
}

/// The name that is advised to a server whose own is in use.
fn other_name(world: &World) -> String {
    format!("{}.2", world.path.display())
}

/// A server whose own name is in use, at another one: clients reach it.
fn serves_another_name(world: &World, command: Command) -> Result<(), String> {
    let mut server = start(command)?;
    let until = Instant::now() + SOON;
    loop {
        ends(&mut server.0)?;
        let reached = match world.is_about_streams() {
            true => UnixStream::connect(other_name(world)).map(drop),
            false => UnixDatagram::unbound().and_then(|client| client.connect(other_name(world))),
        };
        match reached {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > until => return Err(format!("no client reaches it: {error}")),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// A client that waits: it reaches the server when that is started by its owner.
fn waits(world: &World, command: Command) -> Result<(), String> {
    let mut client = start(command)?;
    std::thread::sleep(AT_ONCE);
    ends(&mut client.0)?;
    if world.is_read_only || !world.is_about_streams() {
        return Ok(());
    }
    accepts(&world.start_owner(), &mut client.0)
}

fn accepts(listener: &UnixListener, client: &mut Child) -> Result<(), String> {
    listener.set_nonblocking(true).map_err(|error| error.to_string())?;
    let until = Instant::now() + SOON;
    while Instant::now() < until {
        if listener.accept().is_ok() {
            return Ok(());
        }
        ends(client)?;
        std::thread::sleep(Duration::from_millis(5));
    }
    Err("it did not reach the server".into())
}

/// A client that connects to a live server.
fn connects(command: Command) -> Result<(), String> {
    let mut client = start(command)?;
    std::thread::sleep(AT_ONCE);
    ends(&mut client.0)
}

fn start(mut command: Command) -> Result<KillOnDrop, String> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(KillOnDrop(command.spawn().map_err(|error| error.to_string())?))
}

/// Returns an error if the program has failed.
fn ends(program: &mut Child) -> Result<(), String> {
    match program.try_wait().map_err(|error| error.to_string())? {
        Some(status) if !status.success() => {
            let mut text = String::new();
            let _ = program.stderr.take().map(|mut stderr| stderr.read_to_string(&mut text));
            Err(format!("{status}: {text}"))
        }
        _ => Ok(()),
    }
}
