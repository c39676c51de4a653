//! The fuzz targets: one function each, which takes arbitrary bytes and panics if a guarantee is
//! violated.
//!
//! Holds no fuzzer. `tests/replay.rs` runs every target on its corpus and on mutations of it with
//! the stable compiler. `cargo xtask fuzz --seconds 60 TARGET…` searches for more with libFuzzer if
//! a nightly compiler is installed. All targets are one program, `fuzz_targets/all.rs`; the
//! environment variable `FUZZ_TARGET` selects one. Inputs that reach new code are kept in
//! `target/fuzz/corpus/TARGET`. An input that breaks a target is committed to `corpus/TARGET`
//! together with the fix.

mod calls;
mod command_lines;
/// The same for the command line of curl.
#[path = "../../crates/stoop-cli/src/commands/http/command_line.rs"]
mod curl;
/// A file of the command: depending on the whole command would double the build time of the fuzzer.
#[path = "../../crates/stoop-cli/src/docker_config.rs"]
mod docker_config;
/// The same for flags of other programs.
#[path = "../../crates/stoop-cli/src/foreign_flags.rs"]
mod foreign_flags;
/// The same for fields of forms, as for curl.
#[path = "../../crates/stoop-cli/src/commands/http/form_field.rs"]
mod form_field;
/// The same for the command line of grpcurl.
#[path = "../../crates/stoop-cli/src/commands/grpc/grpcurl.rs"]
mod grpcurl;
/// The same for headers.
#[path = "../../crates/stoop-cli/src/commands/http/header_line.rs"]
mod header_line;
/// The same for percent-encoding.
#[path = "../../crates/stoop-cli/src/commands/http/percent.rs"]
mod percent;
mod recordings;
/// The same for the streams of container runtimes.
#[path = "../../crates/stoop-cli/src/commands/cri/stream/spdy.rs"]
mod spdy;
mod streams;
/// The same for durations.
#[allow(dead_code, reason = "the command uses the rest")]
#[path = "../../crates/stoop-cli/src/time.rs"]
mod time;
/// The same for formats of `--write-out`.
#[path = "../../crates/stoop-cli/src/commands/http/write_out.rs"]
mod write_out;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use stoop::frame::{Codec, LengthDelimited, Lines, Native, Varint};
use stoop::fuzzing::control::{self, Encoder, Item};
use stoop::internal::Target;
use stoop::internal::{Decoder, FrameError};
use stoop::{Address, Credentials};
use stoop_bpf::{Btf, Kind, RECORD_BYTES, Record, Records};
use stoop_http::multiplexed;

pub use calls::{grpc_json, grpc_schema, ttrpc_client, ttrpc_frames};
pub use streams::{frame_descriptors, ring_words};

/// A target by its name, which is also the name of its corpus.
pub type FuzzTarget = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[FuzzTarget] = &[
    ("control_decode", control_decode),
    ("control_round_trip", control_round_trip),
    ("address_parse", address_parse),
    ("frame_decode", frame_decode),
    ("diag_decode", diag_decode),
    ("cgroup_workload", cgroup_workload),
    ("proc_text", stoop_inspect::fuzzing::proc_text),
    ("table_join", stoop_inspect::fuzzing::tables),
    ("btf_scan", btf_scan),
    ("bpf_records", bpf_records),
    ("capture_events", capture_events),
    ("tap_dialogue", tap_dialogue),
    ("http_multiplexed", http_multiplexed),
    ("http2_authority", http2_authority),
    ("ttrpc_frames", ttrpc_frames),
    ("grpc_json", grpc_json),
    ("grpc_schema", grpc_schema),
    ("compressed_messages", stoop_dynamic::fuzzing::compressed_messages),
    ("interface_facts", stoop_dynamic::fuzzing::interfaces),
    ("grpc_reflection", stoop_dynamic::fuzzing::reflection),
    ("http_first_bytes", stoop_http::fuzzing::first_bytes),
    ("ttrpc_client", ttrpc_client),
    ("handover_message", stoop::fuzzing::handover_message),
    ("handover_protocol", stoop::fuzzing::handover_protocol),
    ("manager_variables", stoop::fuzzing::manager_variables),
    ("frame_descriptors", frame_descriptors),
    ("ring_words", ring_words),
    ("endpoint_files", endpoint_files),
    ("spdy_frames", spdy_frames),
    ("services", stoop_inspect::fuzzing::services),
    ("guard_request", guard_request),
    ("guard_rules", guard_rules),
    ("recording", recordings::recording),
    ("fault_list", recordings::fault_list),
    ("capture_file", recordings::capture_file),
    ("curl_line", command_lines::curl),
    ("grpcurl_line", command_lines::grpcurl),
    ("curl_values", command_lines::values),
    ("durations", command_lines::durations),
];

/// Splits at the first line's end into a target and a body.
pub fn guard_request(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (target, body) = text.split_once('\n').unwrap_or((&text, ""));
    stoop_guard::fuzzing::request(target, body.as_bytes());
}

/// Checks that a file of rules is read or refused.
pub fn guard_rules(data: &[u8]) {
    stoop_guard::fuzzing::rules(&String::from_utf8_lossy(data));
}

/// Decodes control messages that the kernel may or may not have written: decoding terminates, stays
/// within the bytes, and returns no more than they contain.
pub fn control_decode(data: &[u8]) {
    let mut left = data.len() / 16 + 1;
    let mut malformed = false;
    for item in control::decode(data) {
        assert!(!malformed, "nothing follows a malformed message");
        left = left.checked_sub(1).expect("no more messages than headers fit, and one end");
        match item {
            Item::Descriptors(numbers) => assert!(numbers.count() * 4 <= data.len()),
            Item::Label(label) => assert!(label.len() <= data.len()),
            Item::Malformed => malformed = true,
            _ => {}
        }
    }
}

/// Checks that encoded control messages are decoded to the same messages, for any buffer size.
pub fn control_round_trip(data: &[u8]) {
    let Some((&[room, plan], data)) = data.split_first_chunk::<2>() else { return };
    let mut buffer = vec![0xAA; usize::from(room) * 8];
    let mut encoder = Encoder::new(&mut buffer);
    let mut words = data.chunks_exact(4).map(|word| u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
    let mut sent: Vec<Vec<u32>> = Vec::new();
    for bit in 0..8 {
        let taken = if plan & 1 << bit == 0 {
            let numbers: Vec<u32> = words.by_ref().take(usize::from(plan % 7) + 1).collect();
            encoder.descriptors(numbers.iter().map(|number| *number as i32)).is_ok().then_some(numbers)
        } else {
            let ids = [(); 3].map(|()| words.next().unwrap_or(7));
            let credentials = Credentials { pid: ids[0], uid: ids[1], gid: ids[2] };
            encoder.credentials(credentials).is_ok().then_some(ids.to_vec())
        };
        sent.extend(taken.filter(|numbers| !numbers.is_empty()));
    }
    let bytes = encoder.finish();
    assert!(bytes.len() <= usize::from(room) * 8 && bytes.len().is_multiple_of(8));
    let received: Vec<Vec<u32>> = control::decode(bytes).map(numbers_of).collect();
    assert_eq!(received, sent);
}

fn numbers_of(item: Item<'_>) -> Vec<u32> {
    match item {
        Item::Descriptors(numbers) => numbers.map(|number| number as u32).collect(),
        Item::Credentials(ids) => vec![ids.pid, ids.uid, ids.gid],
        other => panic!("the encoder writes no {other:?}"),
    }
}

/// Decodes a record of the capture programs: it has as many bytes of a message as it says, or is
/// refused. Then follows it as an event.
pub fn capture_events(data: &[u8]) {
    let mut follow = stoop_tap::Follow::new(true);
    let mut rest = data;
    while let Some((event, message)) = stoop_bpf::Event::parse(rest) {
        let pieces = follow.next(stoop_tap::Entry::Event(event, message.to_vec()));
        assert!(pieces.iter().all(|piece| piece.flow == 0 || follow.flow(piece.flow).is_some()));
        rest = &rest[stoop_bpf::HEADER_BYTES + message.len()..];
    }
    follow.give_up(u64::MAX);
}

/// Decodes a conversation that arrives in pieces, and writes it as packets without its secrets.
pub fn tap_dialogue(data: &[u8]) {
    use stoop_tap::pcapng::{Label, Writer};
    use stoop_tap::{Dialogue, Masker, Protocol, Side, SocketKind};
    let Some((&[kind, cut], data)) = data.split_first_chunk::<2>() else { return };
    let is_joined = kind >= 128;
    // Some are known to be of a display.
    let served = match kind & 96 {
        32 => Some(Protocol::X11),
        64 => Some(Protocol::Wayland),
        _ => None,
    };
    let kind = if kind % 4 == 0 { SocketKind::DATAGRAM } else { SocketKind::STREAM };
    let (mut dialogue, mut writer) = (Dialogue::new(kind), Writer::new("fuzz"));
    let mut masker = Masker::new(kind);
    if is_joined {
        (dialogue, masker) = (dialogue.joined(), masker.joined());
    }
    if let Some(protocol) = served {
        (dialogue, masker) = (dialogue.served(protocol, Side::Second), masker.served(protocol, Side::Second));
    }
    for (at, piece) in data.chunks(usize::from(cut) + 1).enumerate() {
        // The first byte of a piece says who sent it.
        let from = if piece[0] % 2 == 0 { Side::First } else { Side::Second };
        let lines = dialogue.data(from, at as u64, &piece[1..], 0);
        assert!(lines.iter().all(|line| line.text.len() < data.len() + 10_000));
        if at == 0 {
            let protocol = dialogue.protocol().unwrap_or(Protocol::Bytes);
            let label = Label::default();
            writer.open(1, kind, protocol, [&label, &label], 0);
        }
        let mut masked = piece[1..].to_vec();
        masker.data(from, &mut masked);
        assert_eq!(masked.len(), piece.len() - 1);
        if piece[0] > 250 {
            masker.gap(from, u64::from(piece[0]));
            masker.lost();
        }
        let mut written = stoop_tap::Data::new(masked);
        written.len = piece.len() as u32;
        writer.data(1, from, at as u64, &written);
    }
    dialogue.release();
    assert!(!dialogue.is_waiting());
    assert!(writer.take().len().is_multiple_of(4));
}

/// Decodes answers of sock_diag, complete or truncated: no more sockets than messages fit, no more
/// clients than bytes, and names that are printed safely.
pub fn diag_decode(data: &[u8]) {
    let sockets = stoop::diag::decode(data);
    assert!(sockets.len() <= data.len() / 32);
    for socket in sockets {
        assert!(socket.waiting.len() * 4 <= data.len());
        assert!(!socket.name.to_string().chars().any(char::is_control));
    }
}

/// Parses names of control groups, which any creator can choose: without panic, and printed safely.
pub fn cgroup_workload(data: &[u8]) {
    let shown = stoop_inspect::Workload::from_cgroup(data).to_string();
    assert!(!shown.is_empty() && !shown.chars().any(char::is_control), "{shown:?}");
}

/// Parses arbitrary typed addresses: no panic, and an accepted address is printed as text that is
/// safe on a terminal and has the same meaning.
pub fn address_parse(data: &[u8]) {
    let text = OsStr::from_bytes(data);
    if let Ok(target) = Target::parse(text) {
        let shown = target.to_string();
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        assert_eq!(Target::parse(&shown), Ok(target));
    }
    if let Err(error) = Address::parse(text) {
        assert!(!error.to_string().is_empty());
    }
    // The same bytes as a path, and as a name.
    for address in [Address::path(text), Address::abstract_name(data)].into_iter().flatten() {
        assert_eq!(Address::parse(address.to_string()), Ok(address));
    }
}

/// Checks that a stream of frames yields the same messages, and the same kind of end, however its
/// bytes are split into reads. No message and no buffer exceeds the limit, and an error is
/// permanent.
pub fn frame_decode(data: &[u8]) {
    let Some((&cut, data)) = data.split_first() else { return };
    same_however_cut(Native, cut, data);
    same_however_cut(LengthDelimited::BIG_ENDIAN, cut, data);
    same_however_cut(LengthDelimited::LITTLE_ENDIAN, cut, data);
    same_however_cut(Varint, cut, data);
    same_however_cut(Lines, cut, data);
}

/// Small limits, which a few hundred bytes can reach.
const MESSAGE_MAX_BYTES: usize = 3000;
const READ_BYTES: usize = 64;
const PAGE_BYTES: usize = stoop::internal::PAGE_BYTES;

fn same_however_cut<C: Codec + Copy>(codec: C, cut: u8, data: &[u8]) {
    let whole = decode_all(codec, data.len().max(1), data);
    assert_eq!(decode_all(codec, usize::from(cut) + 1, data), whole);
}

fn decode_all<C: Codec>(codec: C, piece_bytes: usize, data: &[u8]) -> (Vec<Vec<u8>>, Option<u8>) {
    let mut decoder = Decoder::new(codec).max_bytes(MESSAGE_MAX_BYTES).read_bytes(READ_BYTES);
    let mut messages = Vec::new();
    let mut left = data;
    loop {
        match decoder.next() {
            Ok(Some(message)) => {
                assert!(message.len() <= MESSAGE_MAX_BYTES);
                messages.push(message.to_vec());
                continue;
            }
            Ok(None) if left.is_empty() => return (messages, decoder.finish().err().map(sort_of)),
            Ok(None) => {}
            Err(error) => {
                assert_eq!(decoder.next(), Err(error), "an error is permanent");
                assert_eq!(decoder.failure(), Some(error));
                return (messages, Some(sort_of(error)));
            }
        }
        let room = decoder.room();
        let (piece, rest) = left.split_at(piece_bytes.min(left.len()).min(room.len()));
        assert!(!piece.is_empty(), "there is always space");
        room[..piece.len()].copy_from_slice(piece);
        decoder.filled(piece.len());
        left = rest;
        assert!(decoder.buffer_bytes() <= MESSAGE_MAX_BYTES + READ_BYTES + 4 * PAGE_BYTES);
    }
}

/// The kind of error, without its numbers, some of which depend on how much had been read when it
/// was detected.
fn sort_of(error: FrameError) -> u8 {
    match error {
        FrameError::TooLong { .. } => 1,
        FrameError::BadHeader { .. } => 2,
        FrameError::UnexpectedEnd { .. } => 3,
        other => panic!("a decoder has no reason for {other:?}"),
    }
}

/// Scans type information that no kernel wrote: scanning terminates, and so does every lookup of a
/// field, even in recursive types. A field that is found is a requested one.
pub fn btf_scan(data: &[u8]) {
    const WANTED: &[(Kind, &str)] = &[(Kind::STRUCT, "outer"), (Kind::STRUCT, "named"), (Kind::FUNC, "does")];
    let Ok(btf) = Btf::scan(data, WANTED) else { return };
    assert!(btf.len() as usize <= 1 + data.len() / 12, "each type has its own names");
    for (kind, name) in WANTED {
        if let Ok(id) = btf.type_id(*kind, name) {
            assert!(0 < id.0 && id.0 < btf.len());
        }
        for path in ["a", "b.c", "inner.y", "many"] {
            let found = btf.field(name, path);
            assert!(found.is_err() || *kind == Kind::STRUCT);
        }
    }
}

/// Checks that the records of a BPF program, split into reads anywhere, are the same as in one
/// piece, and that leftover bytes are reported.
pub fn bpf_records(data: &[u8]) {
    let Some((&cut, data)) = data.split_first() else { return };
    let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let (mut records, mut found) = (Records::default(), Vec::<Record>::new());
        pieces.for_each(|piece| records.feed(piece, |record| found.push(record)));
        (found, records.finish().map_err(|end| end.0))
    };
    let whole = read(&mut std::iter::once(data));
    assert!(whole.0.len() <= data.len() / RECORD_BYTES);
    assert!(whole.0.iter().flat_map(|record| &record.details).all(|details| details.address().len() <= 110));
    assert_eq!(read(&mut data.chunks(usize::from(cut) + 1)), whole);
}

/// Checks that a multiplexed stream of Docker, split anywhere, yields the same bytes per stream as
/// in one piece, no more than it contains, and the same end.
pub fn http_multiplexed(data: &[u8]) {
    let Some((&cut, data)) = data.split_first() else { return };
    let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let (mut decoder, mut told) = (multiplexed::Decoder::new(), <[Vec<u8>; 4]>::default());
        for mut piece in pieces {
            loop {
                match decoder.next(&mut piece) {
                    Ok(Some((stream, bytes))) => told[stream as usize].extend_from_slice(bytes),
                    Ok(None) => break assert!(piece.is_empty(), "input is left only with an error"),
                    Err(error) => return (told, Err(error)),
                }
            }
        }
        (told, Ok(decoder.is_between_frames()))
    };
    let whole = read(&mut std::iter::once(data));
    assert!(whole.0.iter().map(Vec::len).sum::<usize>() <= data.len());
    assert_eq!(read(&mut data.chunks(usize::from(cut) + 1)), whole);
    if let (Some(head), Err(error)) = (data.first_chunk(), &whole.1) {
        assert_eq!(multiplexed::is_multiplexed(data), Some(error.head != *head));
    }
}

/// Rewrites a client's HTTP/2 connection from its first byte on: the server reads the same bytes
/// however they were split, and exactly the client's if nothing had to be rewritten.
pub fn http2_authority(data: &[u8]) {
    let Some((&cut, data)) = data.split_first() else { return };
    let (whole, untouched) = rewritten(data, data.len().max(1));
    assert_eq!(rewritten(data, usize::from(cut) + 1), (whole.clone(), untouched));
    assert!(!untouched || whole == data, "valid bytes pass unchanged");
}

/// What the server reads, and whether nothing had to be rewritten.
fn rewritten(data: &[u8], piece_bytes: usize) -> (Vec<u8>, bool) {
    let (mut rewriter, mut output) = (stoop_grpc::authority::AuthorityRewriter::new(1000), Vec::new());
    for piece in data.chunks(piece_bytes) {
        rewriter.push(piece, &mut output);
    }
    rewriter.finish(&mut output);
    (output, rewriter.is_done())
}

/// Frames of a container runtime: pieces do not matter, and what is sent is read as it was meant.
pub fn spdy_frames(data: &[u8]) {
    let events = |bytes: &[u8], size: usize| {
        let mut decoder = spdy::Decoder::default();
        let mut events = Vec::new();
        for piece in bytes.chunks(size) {
            decoder.push(piece);
            events.extend(std::iter::from_fn(|| decoder.next()));
        }
        (events, decoder.is_within_frame())
    };
    assert_eq!(events(data, 3), events(data, data.len().max(1)));
    let header = String::from_utf8_lossy(&data[..data.len().min(1000)]);
    let mut sent = spdy::open(1, &[("name", &header)], true);
    sent.extend(spdy::pong(7));
    sent.extend(spdy::data(1, data, true));
    let expected =
        [spdy::Event::Ping(7), spdy::Event::Data { stream: 1, bytes: data.to_vec(), is_last: true }];
    assert_eq!(events(&sent, 5), (expected.to_vec(), false));
}

/// Parses configuration files of Docker's and Kubernetes' clients: they are read or ignored, and
/// the names in them are printed safely on a terminal.
pub fn endpoint_files(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    stoop_inspect::fuzzing::endpoints(&text, "context", &text);
    let context = docker_config::current_context(data);
    let host = docker_config::context_host(data, context.as_deref().unwrap_or("x"));
    stoop_inspect::fuzzing::endpoints(&host.unwrap_or_default(), &context.unwrap_or_default(), &text);
}
