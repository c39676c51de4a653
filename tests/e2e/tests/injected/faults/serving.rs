//! `stoop serve` in operation: a failed system call affects only the client it was made for, and
//! the next client is served.

use std::cell::RefCell;
use std::time::Duration;

use rustix::io::Errno;
use stoop_e2e::{Raw, socket_path, stoop, wait_served};
use stoop_testkit::inject::Campaign;
use stoop_testkit::{Injector, deadline, skip};

use crate::points::lacking;

/// Far longer than a campaign takes: it fails one call after the other, for some 30 s if idle.
const LONG: Duration = Duration::from_secs(400);

const IN_VAIN: &str = "a client waits in vain";

/// How long to wait for a datagram that may have been lost: longer than a reply takes, so that the
/// next one is not taken for it.
const LOST: Duration = Duration::from_millis(200);

/// The data that one client sends, in two parts.
const WORDS: [&[u8]; 2] = [b"one word", b"and another"];

/// A client that may be affected: it may be disconnected, but receives no wrong byte, and does not
/// wait indefinitely. A datagram may be lost.
fn victim(kind: &str, place: &str) -> Result<(), String> {
    let Ok(client) = Raw::connect(kind, place) else { return Ok(()) };
    if kind == "dgram" {
        return match echoed(&client.patience(LOST)) {
            Err(wrong) if wrong == IN_VAIN => Ok(()),
            heard => heard.map(drop),
        };
    }
    echoed(&client)?;
    client.end();
    let _ = client.try_hear();
    Ok(())
}

/// The next client: checks that it is served.
fn next(kind: &str, place: &str) -> Result<(), String> {
    let client = Raw::connect(kind, place).map_err(|error| format!("the next client is refused: {error}"))?;
    match echoed(&client)? {
        true => Ok(()),
        false => Err("the next client is not served".into()),
    }
}

/// Sends two words to be echoed, and returns whether the exchange completed. A socket error counts
/// as the end.
fn echoed(client: &Raw) -> Result<bool, String> {
    for word in WORDS {
        if client.try_say(word).is_err() {
            return Ok(false);
        }
        let mut heard = Vec::new();
        while heard.len() < word.len() {
            match client.try_hear() {
                Ok(more) if more.is_empty() => return Ok(false),
                Ok(more) => heard.extend(more),
                Err(Errno::AGAIN) => return Err(IN_VAIN.into()),
                Err(_) => return Ok(false),
            }
            if !word.starts_with(&heard) {
                return Err(format!("a client heard {:?}", String::from_utf8_lossy(&heard)));
            }
        }
    }
    Ok(true)
}

fn campaign(kind: &'static str, flags: &[&str], at_least: usize) {
    let (_dir, place) = socket_path();
    let injector = Injector::new();
    let server = stoop(["serve", "--kind", kind, &place]).args(flags).watched(&injector).spawn();
    wait_served(&place);
    let pid = server.pid();
    let bystander = RefCell::new(Raw::connect(kind, &place).unwrap());
    let resumed = || {
        let there = echoed(&bystander.borrow());
        if there != Ok(true) {
            *bystander.borrow_mut() =
                Raw::connect(kind, &place).map_err(|error| format!("refused: {error}"))?;
            return Err(format!("a client that was there is served: {there:?}"));
        }
        next(kind, &place)
    };
    let report = Campaign::new(&injector, pid).run(|| victim(kind, &place), resumed);
    eprintln!("{kind} {flags:?}: {} faults", report.faults);
    report.check(at_least);
    server.terminate().ok();
}

macro_rules! campaigns {
    ($($name:ident: $kind:literal, $flags:expr, at_least $faults:literal;)*) => {$(
        #[test]
        fn $name() {
            if let Some(lacking) = lacking() {
                skip!("lacks {lacking}");
            }
            deadline(LONG, || campaign($kind, $flags, $faults));
        }
    )*};
}

campaigns! {
    streams: "stream", &[], at_least 40;
    packets: "seqpacket", &[], at_least 40;
    datagrams: "dgram", &[], at_least 15;
    streams_in_json: "stream", &["--json"], at_least 40;
    streams_for_some: "stream", &["--allow-uid", "0"], at_least 40;
    programs: "stream", &["--exec", "cat"], at_least 40;
    programs_for_datagrams: "dgram", &["--exec", "cat"], at_least 20;
}
