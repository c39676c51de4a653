//! Formats events as text for people. Not a stable interface: it may change in any version.

use stoop::escaped;

use super::event::{Event, Message, PeerInfo};
use crate::time;

/// The stream to which a text is written.
pub(super) enum Rendered {
    /// Standard output: the result of the command.
    Output(Vec<u8>),
    /// Standard error: status messages.
    Status(String),
}

/// Formats an event, if it has a text.
pub(super) fn render(event: &Event) -> Option<Rendered> {
    let line = match event {
        Event::Listening { address, kind, answer, mode, inherited } => {
            let mode = mode.as_ref().map(|mode| format!(", mode {mode}")).unwrap_or_default();
            let inherited = if *inherited { ", inherited" } else { "" };
            let (kind, address, does) = (kind.0, &address.0, does(answer));
            format!("serving {address} ({kind}{mode}{inherited}): {does}; press Ctrl-C to stop")
        }
        Event::Connected { address, kind, peer } => {
            let served =
                if peer.uid.is_some() { format!(", served by {}", peer_words(peer)) } else { String::new() };
            format!("connected to {} ({}{served}); press Ctrl-D to end the input", address.0, kind.0)
        }
        Event::Refused { peer, reason } => {
            let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("refused {}{reason}", peer_words(peer))
        }
        // If it concerns one sender, the text names it.
        Event::Error { error, count, .. } => {
            let times = if *count > 1 { format!(" ({count} times)") } else { String::new() };
            format!("{error}{times}")
        }
        Event::Stopping { connections: 0, .. } => return None,
        Event::Stopping { connections, grace_ms } => {
            let grace = time::show(std::time::Duration::from_millis(*grace_ms));
            let clients =
                if *connections == 1 { "1 client has".into() } else { format!("{connections} clients have") };
            format!("stopping: {clients} {grace} to finish; a second signal stops at once")
        }
        Event::Relayed { counts } => relayed(counts),
        Event::Statistics { connections_open, counts } => {
            format!("{}; open: {connections_open}", relayed(counts))
        }
        Event::Displaced { reason } => format!("stopping: {}", displaced(reason)),
        Event::Restored { address } => format!("the server has its name {} again", address.0),
        #[cfg(feature = "http")]
        Event::Guarded { forwarded, refused } => {
            format!("{} forwarded, {refused} refused", plural(*forwarded, "request"))
        }
        #[cfg(feature = "http")]
        Event::Request { .. } => decision(event)?,
        Event::Exited { .. } => return None,
        Event::Record(record) => return Some(Rendered::Output(record.line().into_bytes())),
        Event::RecordingEnd { end, offset } => return recording_end(end, *offset),
        Event::Difference { connection, place, request, recorded, now, .. } => {
            let request = request.as_ref().map(|request| format!(" to '{request}'")).unwrap_or_default();
            let text = format!(
                "connection {connection}, {place}{request}\n  recorded: {recorded}\n  now:      {now}\n"
            );
            return Some(Rendered::Output(safe(text.as_bytes()).into_bytes()));
        }
        Event::Replayed { connections, compared_bytes, same, .. } => {
            let bytes = plural(*compared_bytes, "byte");
            let found = if *same { "nothing differs" } else { "stopped at the first difference" };
            format!("replayed {}, compared {bytes}: {found}", plural(*connections, "connection"))
        }
        Event::Accepted { .. } | Event::Closed { .. } | Event::Received { .. } => return None,
        Event::Check { .. } | Event::Summary { .. } | Event::Ready { .. } => return None,
        Event::Message(message) => return Some(Rendered::Output(show(message))),
        Event::Endpoint { name, address, source } => {
            format!("{name} is at {}, from {source}", address.0)
        }
        #[cfg(feature = "http")]
        Event::Response { status: status @ 400.., reason, .. } => {
            let reason = if reason.is_empty() { String::new() } else { format!(" {reason}") };
            format!("the server responded with {status}{reason}")
        }
        #[cfg(feature = "http")]
        Event::Response { .. } | Event::Body { .. } | Event::End { .. } => return None,
        #[cfg(feature = "grpc")]
        Event::Method { .. } | Event::Definition { .. } | Event::Reply { .. } | Event::Status { .. } => {
            return None;
        }
    };
    Some(Rendered::Status(format!("stoop: {line}\n")))
}

/// Says why a relay can no longer stand in front of its server.
fn displaced(reason: &str) -> &'static str {
    match reason {
        "name_removed" => "the socket file was removed, so no more clients can come",
        "name_taken" => "another socket file has the name, so no more clients can come",
        "handed_over" => "another relay stands in front of the server now",
        _ => "the server has closed its socket",
    }
}

/// Says how a recording ends, unless its relay ended it.
fn recording_end(end: &str, offset: Option<u64>) -> Option<Rendered> {
    let at = offset.unwrap_or_default();
    let text = match end {
        "open" => "the relay is still recording, or was killed",
        "incomplete" => "the last record is not whole: the relay is still recording, or was killed",
        "damaged" => "the next record is damaged; what follows cannot be read",
        _ => return None,
    };
    Some(Rendered::Status(format!("stoop: the recording ends at byte {at}: {text}\n")))
}

/// Sums up a relay: what passed, and each loss there was.
fn relayed(counts: &std::collections::BTreeMap<&'static str, u64>) -> String {
    let count = |name| counts.get(name).copied().unwrap_or_default();
    let passed = format!(
        "relayed {}: {} bytes to the server, {} bytes back",
        plural(count("connections"), "connection"),
        count("bytes_up"),
        count("bytes_down")
    );
    let others = counts
        .iter()
        .filter(|(name, count)| **count > 0 && !["connections", "bytes_up", "bytes_down"].contains(name));
    others.fold(passed, |text, (name, count)| format!("{text}; {}: {count}", name.replace('_', " ")))
}

/// Formats a decision: `refused GET /swarm for process 12 (curl), uid 0 (root): no rule allows it`.
#[cfg(feature = "http")]
fn decision(event: &Event) -> Option<String> {
    let Event::Request { peer, workload, names, method, target, verdict, forwarded, rule, reason } = event
    else {
        return None;
    };
    let client = if names.is_empty() { peer_words(peer) } else { escaped(&names.join(", ")).to_string() };
    let of = workload.as_ref().map(|name| format!(" of {}", escaped(name))).unwrap_or_default();
    let rule = rule.as_ref().map(|rule| format!(" (rule {})", escaped(rule))).unwrap_or_default();
    let reason = reason.as_ref().map(|reason| format!(": {}", escaped(reason))).unwrap_or_default();
    let anyway = if *forwarded && *verdict != "allowed" { ", but forwarded" } else { "" };
    let (method, target) = (escaped(method), escaped(target));
    Some(format!("{verdict}{anyway}: {method} {target} for {client}{of}{reason}{rule}"))
}

fn plural(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn does(answer: &str) -> &'static str {
    match answer {
        "echo" => "echoes everything",
        "discard" => "discards everything",
        "recv" => "prints messages",
        "send" => "sends a file to each client",
        "relay" => "relays each client",
        "guard" => "forwards what the rules allow",
        _ => "runs a command for each client",
    }
}

/// Formats a process with its user and group: `process 12 (sh), uid 0 (root), gid 0 (root)`. A
/// process may choose any name, but cannot make it appear to end earlier than it does.
fn peer_words(peer: &PeerInfo) -> String {
    let inside = |name: &String| escaped(name).to_string().replace('(', "%28").replace(')', "%29");
    let named =
        |name: &Option<String>| name.as_ref().map(|name| format!(" ({})", inside(name))).unwrap_or_default();
    let pid = peer.pid.map(|pid| format!("process {pid}{}", named(&peer.command)));
    let uid = peer.uid.map(|uid| format!("uid {uid}{}", named(&peer.user)));
    let gid = peer.gid.map(|gid| format!("gid {gid}{}", named(&peer.group)));
    let known: Vec<String> = [pid, uid, gid].into_iter().flatten().collect();
    if known.is_empty() { "an unidentified process".into() } else { known.join(", ") }
}

/// Formats a message on a line of its own. Whatever a sender chooses (address, name, text), it
/// cannot forge a line of the output.
fn show(message: &Message) -> Vec<u8> {
    // An address without spaces cannot be mistaken for the end of the record, and can still be
    // typed back in.
    let from = message.from.as_ref().map(|from| format!("{}, ", from.0.replace(' ', "%20")));
    let mut text =
        format!("{}{}, {} bytes: ", from.unwrap_or_default(), peer_words(&message.sender), message.size);
    let data = &message.data.0;
    let data = safe(data.strip_suffix(b"\n").unwrap_or(data));
    text.push_str(&data.replace('\n', "%0A"));
    for descriptor in &message.descriptors {
        text.push_str(&format!("\n  with {}", escaped(descriptor)));
    }
    text.push('\n');
    text.into_bytes()
}

/// Escapes untrusted bytes for a terminal. Newlines and tabs are kept, and everything else that is
/// not printable becomes `%XX`.
pub(crate) fn safe(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let keeps = |byte: &u8| matches!(byte, b'\n' | b'\t' | b'%');
    for piece in bytes.chunk_by(|one, other| !keeps(one) && !keeps(other)) {
        match piece {
            [byte] if keeps(byte) => text.push(char::from(*byte)),
            piece => text.push_str(&escaped(piece).to_string()),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_cannot_forge_records() {
        use crate::output::{Data, Text};
        let shown = |from: Option<&str>, command: &str, data: &[u8]| {
            let sender =
                PeerInfo { pid: Some(7), command: Some(command.into()), uid: Some(5), ..PeerInfo::default() };
            let (from, data) = (from.map(|from| Text(from.into())), Data(data.to_vec()));
            let message = Message { from, sender, size: 2, descriptors: vec!["pipe:[1]".into()], data };
            String::from_utf8(show(&message)).unwrap()
        };
        let rest = "\n  with pipe:[1]\n";
        assert_eq!(
            shown(None, "sh", b"a\n  with b\n\n"),
            format!("process 7 (sh), uid 5, 2 bytes: a%0A  with b%0A{rest}")
        );
        assert_eq!(shown(None, "sh", b"a\n"), format!("process 7 (sh), uid 5, 2 bytes: a{rest}"));
        assert_eq!(
            shown(Some("@0, process 1 (systemd)"), "a), uid 0 (root", b"x"),
            format!(
                "@0,%20process%201%20(systemd), process 7 (a%29, uid 0 %28root), uid 5, 2 bytes: x{rest}"
            )
        );
    }

    #[test]
    fn untrusted_bytes_cannot_control_the_terminal() {
        assert_eq!(safe(b"plain\ttext\n100 %\n"), "plain\ttext\n100 %\n");
        assert_eq!(safe("grün\r\n".as_bytes()), "grün%0D\n");
        assert_eq!(safe(b"\x1b[31m\xff\0"), "%1B[31m%FF%00");
        assert_eq!(safe(b""), "");
        for byte in 0..=255u8 {
            assert!(!safe(&[byte]).contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{byte}");
        }
    }
}
