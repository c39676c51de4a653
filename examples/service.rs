//! A daemon with all that a long-lived one needs: systemd or a person starts it, it serves its own
//! user and one group, answers lines, hands its socket over to its next version, and finishes the
//! requests in progress before it exits.
//!
//! ```text
//! cargo run -p stoop --features tokio --example service -- ./app.sock ./app.handover
//! ```

use std::error::Error;
use std::process::{Command, ExitCode};
use std::time::Duration;

use stoop::aio::{FrameReader, FrameWriter, Stream};
use stoop::frame::Lines;
use stoop::notify::Notifier;
use stoop::serve::{Draining, End, Server};
use stoop::{Bind, ErrorKind, Policy, handover};
use tokio::signal::unix::{SignalKind, signal};

const LINE_MAX_BYTES: usize = 4096;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (address, control, group) = match &arguments[..] {
        [address, control] => (address, control, None),
        [address, control, group] => (address, control, Some(group.as_str())),
        _ => {
            eprintln!("usage: service SOCKET CONTROL-SOCKET [GROUP]");
            return ExitCode::from(2);
        }
    };
    match start(address, control, group) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(address: &str, control: &str, group: Option<&str>) -> Result<(), Box<dyn Error>> {
    // Mode and policy say the same, so that a mistake in one is caught by the other.
    let bind = match group {
        None => Bind::new(address).mode(0o600).policy(Policy::same_user()),
        Some(group) => {
            let gid = group_id(group)?;
            Bind::new(address).group(gid).mode(0o660).policy(Policy::same_user().allow_gid(gid))
        }
    };
    // Either systemd has bound the socket, or the previous version hands it over, or it is bound here:
    // the policy applies in each case. This blocks, so it comes before the runtime.
    let started = handover::Server::start(&bind.activated(true), control, Duration::from_secs(10))?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(started))
}

// ANCHOR: group
/// Returns the id of a group, given by name or by number.
fn group_id(group: &str) -> Result<u32, Box<dyn Error>> {
    if let Ok(gid) = group.parse() {
        return Ok(gid);
    }
    // Groups may be in /etc/group, LDAP or systemd: getent knows every source of this machine, also for a
    // statically linked program, which cannot load the C library's modules for them.
    let found = Command::new("getent").args(["group", "--", group]).output()?;
    let line = String::from_utf8(found.stdout)?;
    let gid = line.split(':').nth(2).ok_or_else(|| format!("no group '{group}'"))?;
    Ok(gid.parse()?)
}
// ANCHOR_END: group

async fn serve(started: handover::Server) -> Result<(), Box<dyn Error>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let took_over = started.took_over();
    let server = Server::with_handover(started)?
        .max_connections(1000)
        .max_connections_per_uid(100)
        .idle_timeout(Duration::from_secs(60))
        .drain_deadline(Duration::from_secs(20));
    let (counters, draining) = (server.counters(), server.draining());

    let manager = Notifier::from_env()?;
    if let Err(error) = announce(manager.as_ref(), took_over) {
        // The predecessor may have exited, so this process has to serve all the same.
        eprintln!("warning: {error}");
    }
    println!("{}", if took_over { "listening, taken over" } else { "listening" });

    let shutdown = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if let Some(manager) = &manager {
            // A service manager that has exited does not need to know.
            let _ = manager.stopping();
        }
    };
    let end = server
        .run(
            move |stream, _peer| {
                let draining = draining.clone();
                // A client may disconnect at any time, which ends only its own connection.
                async move { drop(converse(stream, draining).await) }
            },
            shutdown,
        )
        .await?;

    let seen = counters.snapshot();
    println!(
        "{}; {} clients, {} refused, {} aborted",
        if end == End::HandedOver { "handed over" } else { "shut down" },
        seen.accepted,
        seen.refused_by_policy,
        seen.aborted
    );
    Ok(())
}

fn announce(manager: Option<&Notifier>, took_over: bool) -> stoop::Result<()> {
    let Some(manager) = manager else { return Ok(()) };
    if took_over {
        // From now on systemd watches this process, and the exit of the other one is not a failure.
        manager.main_pid(std::process::id())?;
    }
    manager.ready()
}

async fn converse(stream: Stream, mut draining: Draining) -> stoop::Result<()> {
    let mut requests = FrameReader::new(&stream, Lines).max_bytes(LINE_MAX_BYTES);
    let mut answers = FrameWriter::new(&stream, Lines);
    loop {
        // A request that has arrived is answered. A client without one does not delay the shutdown.
        let request = tokio::select! {
            biased;
            request = requests.next() => request,
            () = draining.wait() => return Ok(()),
        };
        let answer = match request {
            Ok(Some(b"status")) => "well, thank you".to_owned(),
            Ok(Some(b"pid")) => std::process::id().to_string(),
            Ok(Some(other)) => format!("error: unknown request '{}'", stoop::escaped(other)),
            Ok(None) => return Ok(()),
            // Nothing after such an error can be a request: it is reported, and the connection closed.
            Err(error) => {
                let reason = match error.kind() {
                    ErrorKind::PeerClosed => "error: the last line has no line feed".to_owned(),
                    ErrorKind::MessageTooLarge => format!("error: a line may have {LINE_MAX_BYTES} bytes"),
                    _ => return Err(error),
                };
                answers.send(reason.as_bytes()).await?;
                return answers.flush().await;
            }
        };
        answers.send(answer.as_bytes()).await?;
        answers.flush().await?;
    }
}
