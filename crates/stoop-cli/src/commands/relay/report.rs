//! Reports what happens to clients.

use std::os::unix::process::ExitStatusExt;

use stoop_relay::{Counts, Ended, Event as Happened, Rejection};

use super::interpose;
use crate::output::{ErrorLog, Event, Output, PeerInfo};

/// Reports what happened to a client.
pub(super) fn report(happened: Happened, output: Output, errors: &ErrorLog) {
    match happened {
        Happened::Accepted { number, pid, uid, names } if output.is_json() => {
            let peer = PeerInfo::new(pid, uid, None);
            output.note(&Event::Accepted { connection: number, peer, names });
        }
        Happened::Refused { pid, uid, reason } => output.note(&Event::refused(pid, uid, reason)),
        Happened::Rejected { pid, uid, reason } => {
            let peer = PeerInfo::new(pid, uid, None);
            output.note(&Event::Refused { peer, reason: Some(rejection(&reason)) });
        }
        Happened::Unreached { error, .. } => {
            errors.report(None, format!("a client was closed: the server cannot be reached: {error}"));
        }
        Happened::NotAccepted { error } => errors.report(None, format!("cannot accept a client: {error}")),
        Happened::NotReleased { error } => errors.report(None, error.to_string()),
        Happened::Displaced(why) => output.note(&Event::Displaced { reason: interpose::word(why) }),
        Happened::Exited { number, status } => {
            let exit_status = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
            output.note(&Event::Exited { connection: number, exit_status });
        }
        Happened::Closed { number, bytes_up, bytes_down, ended } => output.note(&Event::Closed {
            connection: number,
            received_bytes: Some(bytes_up),
            sent_bytes: Some(bytes_down),
            exit_status: None,
            error: why(&ended),
        }),
        _ => {}
    }
}

fn rejection(reason: &Rejection) -> String {
    match reason {
        Rejection::Refused(reason) => reason.clone(),
        Rejection::PerUser => "its user has as many connections as --max-per-uid allows".into(),
        Rejection::PerGroup(name) => {
            format!(
                "its container {} has as many connections as --max-per-container allows",
                stoop::escaped(name)
            )
        }
        _ => "it is over a limit".into(),
    }
}

/// Says why a connection ended, unless its ends closed it.
fn why(ended: &Ended) -> Option<String> {
    match ended {
        Ended::Idle => Some("nothing came for the time of --idle-timeout".into()),
        Ended::OutOfTime => Some("it was open for the time of --max-time".into()),
        Ended::Stopped => Some("the relay was stopped".into()),
        Ended::Failed(error) => Some(error.to_string()),
        Ended::Fault => Some("reset by an injected fault".into()),
        _ => None,
    }
}

pub(super) fn relayed(counts: &Counts) -> Event {
    Event::Relayed { counts: counts.named().collect() }
}

pub(super) fn so_far(counts: &Counts, connections_open: usize) -> Event {
    Event::Statistics { connections_open, counts: counts.named().collect() }
}
