//! Hostile clients: they are disconnected or held back, and a regular client is still served. Each
//! test runs in a process of its own, whose memory and CPU time it measures.

mod common;

use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::EchoClient;
use common::harness::{Running, client, message, run};
use stoop::serve::{self, Counters};
use stoop::{Bind, aio};
use stoop_testkit::{Role, allow_descriptors};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The preface of HTTP/2, and empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// Authorities of a hostile client: one that is valid, and one that is rewritten.
const AUTHORITIES: [&[u8]; 2] = [b"localhost", b"/a/b"];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = payload.len() as u32;
    [&len.to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Encodes the header block of a call.
fn call(authority: &[u8], path: &[u8]) -> Vec<u8> {
    [&[0x83, 0x86, 0x41, authority.len() as u8], authority, &[0x44, path.len() as u8], path].concat()
}

/// A server, and a regular client that calls it before and after the attack.
struct Scene {
    path: PathBuf,
    server: Running,
    counters: Counters,
    steady: EchoClient,
}

impl Scene {
    async fn attacker(&self, first: &[u8]) -> aio::Stream {
        let mut stream = aio::Stream::connect(&self.path).await.unwrap();
        stream.write_all(PREFACE).await.unwrap();
        let _ = stream.write_all(first).await;
        stream
    }

    async fn steady_is_served(&mut self) {
        assert_eq!(self.steady.unary("Unary", message("x")).await.unwrap(), "x");
    }
}

/// Runs a test in a process of its own, with a server that closes idle connections after this time.
fn test<F: Future<Output = Scene>>(
    name: &str,
    idle: Duration,
    body: impl FnOnce(Scene) -> F + Send + 'static,
) {
    if stoop_testkit::role().is_none() {
        return Role::new(name, "hostile").run();
    }
    common::harness::test(async move |directory| {
        let path = directory.join("app.sock");
        let server = serve::Server::new(Bind::new(&path).listen_async().await.unwrap()).idle_timeout(idle);
        let counters = server.counters();
        let server = run(server, "one");
        let mut scene = Scene { steady: client(&path).await, path, server, counters };
        scene.steady_is_served().await;
        let mut scene = body(scene).await;
        scene.steady_is_served().await;
        scene.server.stop().await;
    });
}

const LONG: Duration = Duration::from_secs(60);

/// Writes pieces until the server closes the connection, and discards what it sends. Returns how
/// many bytes were written.
async fn flood(stream: aio::Stream, piece: impl Fn(usize) -> Vec<u8>, max_bytes: usize) -> usize {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let reading = tokio::spawn(async move {
        let mut buffer = vec![0; 64 * 1024];
        while reader.read(&mut buffer).await.is_ok_and(|len| len > 0) {}
    });
    let (mut written, mut nth) = (0, 0);
    while written < max_bytes && !reading.is_finished() {
        let bytes = piece(nth);
        if writer.write_all(&bytes).await.is_err() {
            break;
        }
        written += bytes.len();
        nth += 1;
    }
    written
}

#[test]
fn an_endless_header_block_is_disconnected() {
    test("an_endless_header_block_is_disconnected", LONG, async |scene| {
        for authority in AUTHORITIES {
            // A valid call, so that rewriting begins if it is needed, and then a block that never ends, with
            // or without content.
            for filling in [&[0x82; 1024][..], b""] {
                let first = frame(HEADERS, END_HEADERS, 1, &call(authority, b"/x"));
                let begin = frame(HEADERS, 0, 3, &[0x83]);
                let attacker = scene.attacker(&[first, begin].concat()).await;
                let more = frame(CONTINUATION, 0, 3, filling);
                let written = flood(attacker, |_| more.clone(), 64 << 20).await;
                assert!(written < 4 << 20, "{written}");
            }
        }
        scene
    });
}

/// During the first block, it is not known yet whether the authority must be rewritten.
#[test]
fn an_endless_first_header_block_is_disconnected() {
    test("an_endless_first_header_block_is_disconnected", LONG, async |scene| {
        for filling in [&[0x82; 1024][..], b""] {
            let attacker = scene.attacker(&frame(HEADERS, 0, 1, &[0x83])).await;
            let more = frame(CONTINUATION, 0, 1, filling);
            let written = flood(attacker, |_| more.clone(), 64 << 20).await;
            assert!(written < 4 << 20, "{written}");
        }
        scene
    });
}

/// An HPACK bomb: two kilobytes in the dynamic table, and fourteen thousand references to them in
/// each block, which expand to 30 MB.
#[test]
fn an_hpack_bomb_is_limited() {
    test("an_hpack_bomb_is_limited", LONG, async |mut scene| {
        for authority in AUTHORITIES {
            let value = [b'v'; 2000];
            // A literal that is added to the table: name "x", and a value of 127 + 1873 bytes.
            let entry = [&[0x40, 1, b'x', 0x7f, 0xd1, 0x0e], &value[..]].concat();
            let opening = [call(authority, b"/x"), entry].concat();
            let attacker = scene.attacker(&frame(HEADERS, END_HEADERS, 1, &opening)).await;
            let before = resident_bytes();
            let bomb = [call(authority, b"/x"), vec![0xbe; 14_000]].concat();
            let piece = |nth: usize| frame(HEADERS, END_HEADERS, 3 + 2 * nth as u32, &bomb);
            flood(attacker, piece, 4 << 20).await;
            scene.steady_is_served().await;
            let grown = resident_bytes().saturating_sub(before);
            assert!(grown < 64 << 20, "{grown} bytes");
        }
        scene
    });
}

/// Rapid reset: calls that are opened and reset at once cost the client more than the server.
#[test]
fn rapid_resets_leak_nothing() {
    test("rapid_resets_leak_nothing", LONG, async |mut scene| {
        for authority in AUTHORITIES {
            let before = resident_bytes();
            let attacker = scene.attacker(b"").await;
            // The first block fills the table, and the others refer to it.
            let block = call(authority, b"/stoop.test.Echo/Slow");
            let piece = |nth: usize| {
                let stream = 1 + 2 * nth as u32;
                let begin = frame(HEADERS, END_HEADERS, stream, &block);
                [begin, frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
            };
            flood(attacker, piece, 4 << 20).await;
            scene.steady_is_served().await;
            let grown = resident_bytes().saturating_sub(before);
            assert!(grown < 64 << 20, "{grown} bytes");
        }
        scene
    });
}

/// Responses to a client that never reads are bounded.
#[test]
fn pings_without_reads_are_bounded() {
    test("pings_without_reads_are_bounded", LONG, async |scene| {
        let before = resident_bytes();
        let mut attacker = scene.attacker(b"").await;
        let pings: Vec<u8> = std::iter::repeat_n(frame(PING, 0, 0, b"8 bytes."), 1000).flatten().collect();
        // Until the server stops reading, because its responses are not read.
        let pushing = async { while attacker.write_all(&pings).await.is_ok() {} };
        let _ = tokio::time::timeout(Duration::from_secs(2), pushing).await;
        let grown = resident_bytes().saturating_sub(before);
        assert!(grown < 32 << 20, "{grown} bytes");
        scene
    });
}

/// A byte now and then does not keep a connection open: a call is under way only after its header.
#[test]
fn unfinished_headers_are_disconnected() {
    test("unfinished_headers_are_disconnected", Duration::from_millis(200), async |scene| {
        let begun = Instant::now();
        let mut attackers = tokio::task::JoinSet::new();
        let block = call(b"/a/b", &[b'/'; 100]);
        let first = [PREFACE, &frame(HEADERS, END_HEADERS, 1, &block)].concat();
        // In the preface, in the first header, and in a later one.
        for (at_once, slowly) in [
            (vec![], first.clone()),
            (PREFACE.to_vec(), frame(HEADERS, END_HEADERS, 1, &block)),
            (first, frame(HEADERS, END_HEADERS, 3, &block)),
        ] {
            let mut stream = aio::Stream::connect(&scene.path).await.unwrap();
            attackers.spawn(async move {
                stream.write_all(&at_once).await.unwrap();
                let mut slowly = slowly.into_iter().cycle();
                loop {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    if stream.write_all(&[slowly.next().unwrap()]).await.is_err() {
                        return;
                    }
                }
            });
        }
        attackers.join_all().await;
        assert!(begun.elapsed() < Duration::from_secs(20));
        scene
    });
}

#[test]
fn thousands_of_silent_clients_are_cheap() {
    const TEST: &str = "thousands_of_silent_clients_are_cheap";
    test(TEST, Duration::from_secs(3), async |mut scene| {
        let room = allow_descriptors(30_100);
        // Both ends of each are in this process, and the server has a pidfd of each client.
        let count = ((room - 100) / 3).min(10_000) as usize;
        let mut silent = Vec::with_capacity(count);
        let before = resident_bytes();
        for _ in 0..count {
            silent.push(aio::Stream::connect(&scene.path).await.unwrap());
        }
        scene.steady_is_served().await;
        while scene.counters.snapshot().active < count as u64 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let each = resident_bytes().saturating_sub(before) / count;
        assert!(each < 32 * 1024, "{each} bytes each, both ends");
        // Silent connections cost no CPU time.
        let (used, begun) = (processor_time(), Instant::now());
        tokio::time::sleep(Duration::from_millis(500)).await;
        let share = (processor_time() - used).as_secs_f64() / begun.elapsed().as_secs_f64();
        assert!(share < 0.10, "{share}");
        while scene.counters.snapshot().active > 1 {
            scene.steady_is_served().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        drop(silent);
        scene
    });
}

/// Returns the resident memory of this process.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim_end_matches("kB").trim().parse::<usize>().unwrap() * 1024
}

/// Returns the CPU time that this process has used.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
