//! `stoop relay --record` and `stoop replay`: with Redis, PostgreSQL and HTTP, after SIGKILL, on a
//! full disk, and for recordings that do not fit in memory.

use std::fs;
use std::path::Path;

use stoop_e2e::web::{Web, answer};
use stoop_e2e::{Run, Running, bytes, program, redis, serve, socket_path, stoop, wait_served};
use stoop_relay::record::{Entry, Recording, Side};
use stoop_testkit::{has_program, is_root, public_tempdir, skip, tempdir};

/// Starts a relay to a server that records.
fn record(front: &str, server: &str, file: &str, extra: &[&str]) -> Running {
    let relay = stoop(["relay", front, server, "--record", file]).args(extra).spawn();
    relay.wait_stderr("relays each client");
    relay
}

/// Paths in a directory.
fn paths<const N: usize>(dir: &Path, names: [&str; N]) -> [String; N] {
    names.map(|name| dir.join(name).to_str().unwrap().to_owned())
}

#[test]
fn redis_is_recorded_and_replayed() {
    if !has_program("redis-server") || !has_program("redis-cli") {
        skip!("lacks redis-server or redis-cli");
    }
    let dir = tempdir();
    let [place, front, file] = paths(dir.path(), ["server", "front", "rec"]);
    let server = redis(&place);
    let relay = record(&front, &place, &file, &[]);
    for words in [&["SET", "key", "one"][..], &["APPEND", "key", " two"], &["GET", "key"]] {
        program("redis-cli", ["-s", &front]).args(words).run().ok();
    }
    relay.terminate().ok();
    server.terminate();

    // A server that starts as the recorded one did answers as it did.
    let server = redis(&place);
    let same = stoop(["replay", &file, &place, "--json"]).run().ok().json();
    let last = same.last().unwrap();
    assert_eq!(
        (&last["event"], &last["same"], &last["connections"]),
        (&"replayed".into(), &true.into(), &3.into())
    );
    // Now the key has a value already, so that of APPEND is another.
    program("redis-cli", ["-s", &place, "RPUSH", "list", "x"]).run().ok();
    program("redis-cli", ["-s", &place, "RENAME", "list", "key"]).run().ok();
    let different = stoop(["replay", &file, &place, "--connection", "2"]).run().code(1);
    let text = different.text();
    assert!(text.contains("connection 2, byte 0") && text.contains("WRONGTYPE"), "{text}");
    server.terminate();
}

#[test]
fn the_first_difference_of_http_is_shown_as_a_value() {
    let dir = tempdir();
    let [front, file] = paths(dir.path(), ["front", "rec"]);
    let headers = |date: &str| format!("Content-Type: application/json\r\nDate: {date}\r\n");
    let web = Web::answering(answer(&headers("today"), br#"{"state": {"name": "running", "pid": 7}}"#));
    let relay = record(&front, &web.path, &file, &[]);
    stoop(["http", &front, "/status", "-H", "Authorization: Bearer abc"]).run().ok();
    relay.terminate().ok();
    let recorded = fs::read(&file).unwrap();
    assert!(!recorded.windows(3).any(|part| part == b"abc"), "a secret is in the recording");

    let replay = |body: &[u8], extra: &[&str]| {
        let web = Web::answering(answer(&headers("tomorrow"), body));
        stoop(["replay", &file, &web.path]).args(extra).run()
    };
    let same = replay(br#"{"state":{"pid":7,"name":"running"}}"#, &[]).ok();
    assert!(same.stderr.contains("nothing differs") && same.stderr.contains("asterisks"), "{}", same.stderr);
    let other = br#"{"state":{"pid":8,"name":"exited"}}"#;
    let text = replay(other, &[]).code(1).text();
    for part in
        ["response 1, body, .state.name to 'GET /status'", "recorded: \"running\"", "now:      \"exited\""]
    {
        assert!(text.contains(part), "{text}");
    }
    replay(other, &["--ignore", "name", "--ignore", "pid"]).ok();
    replay(other, &["--compare", "bytes"]).code(1);
    let short = Web::answering("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc");
    let text = stoop(["replay", &file, &short.path]).run().code(1).text();
    assert!(text.contains("response 1"), "{text}");
}

/// PostgreSQL does not run as root.
fn as_user(program_path: &Path) -> Run {
    const NOBODY: u32 = 65_534;
    match is_root() {
        true => {
            let ids = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")];
            program("setpriv", ids).arg("--clear-groups").arg(program_path)
        }
        false => program(program_path, [""; 0]),
    }
}

/// Starts a fresh server in a directory.
fn postgres(directory: &Path, initdb: &Path) -> Running {
    let data = directory.join("data");
    let options = ["--username=example", "--auth=trust", "--no-sync", "--no-instructions", "-D"];
    as_user(initdb).args(options).arg(&data).inside(directory).run().ok();
    let modest = ["-c", "listen_addresses=", "-c", "fsync=off", "-k"];
    let server = as_user(&initdb.with_file_name("postgres")).args(modest).arg(directory).arg("-D");
    let server = server.arg(&data).inside(directory).spawn();
    let place = directory.join(".s.PGSQL.5432");
    stoop(["wait", place.to_str().unwrap(), "--healthy", "--timeout", "60s"]).run().ok();
    server
}

#[test]
fn postgresql_is_recorded_and_replayed() {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let Some(initdb) = versions.map(|entry| entry.path().join("bin/initdb")).find(|path| path.exists())
    else {
        skip!("lacks PostgreSQL")
    };
    if !has_program("psql") || (is_root() && !has_program("setpriv")) {
        skip!("lacks psql, or setpriv for root");
    }
    let directories = [public_tempdir(), public_tempdir(), public_tempdir()];
    let server = postgres(directories[0].path(), &initdb);
    let [place] = paths(directories[0].path(), [".s.PGSQL.5432"]);
    let [front, file] = paths(directories[1].path(), [".s.PGSQL.5432", "rec"]);
    let relay = record(&front, &place, &file, &[]);
    let query = |text: &str| {
        let words = ["-U", "example", "-d", "postgres", "-Atc", text, "-h"];
        program("psql", words).arg(directories[1].path()).run().ok().text().trim().to_owned()
    };
    assert_eq!(query("select 6 * 7"), "42");
    assert_eq!(
        query("create table t (n int); insert into t values (1); select n from t"),
        "CREATE TABLE\nINSERT 0 1\n1"
    );
    relay.terminate().ok();
    server.terminate();

    let server = postgres(directories[2].path(), &initdb);
    let [place] = paths(directories[2].path(), [".s.PGSQL.5432"]);
    stoop(["replay", &file, &place]).run().ok();
    // The table exists now.
    let text = stoop(["replay", &file, &place]).run().code(1).text();
    assert!(text.contains("connection 2") && text.contains("(CommandComplete)"), "{text}");
    assert!(text.contains("already exists"), "{text}");
    server.terminate();
}

/// Serves gRPC's health service at a path, for as long as the returned runtime exists.
fn health(path: &str, is_serving: bool) -> tokio::runtime::Runtime {
    use tonic_health::ServingStatus;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let endpoint = stoop_grpc::Endpoint::try_from(Path::new(path)).unwrap();
    let incoming = runtime.block_on(endpoint.listen(|bind| bind)).unwrap();
    let status = if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    let (reporter, service) = tonic_health::server::health_reporter();
    runtime.block_on(reporter.set_service_status("", status));
    let server = stoop_grpc::Server::new(tonic::service::Routes::new(service));
    runtime.spawn(server.serve(incoming, std::future::pending::<()>()));
    runtime
}

#[test]
fn grpc_is_compared_by_its_messages() {
    let dir = tempdir();
    let [one, other, front, file] = paths(dir.path(), ["one", "other", "front", "rec"]);
    let _servers = (health(&one, true), health(&other, false));
    let relay = record(&front, &one, &file, &[]);
    for _ in 0..2 {
        let method = "grpc.health.v1.Health/Check";
        assert!(stoop(["grpc", &front, method]).run().ok().text().contains("SERVING"));
    }
    relay.terminate().ok();
    let same = stoop(["replay", &file, &one, "--json"]).run().ok().json();
    assert_eq!(same.last().unwrap()["connections"], 2);
    let text = stoop(["replay", &file, &other]).run().code(1).text();
    for part in [
        "message 1, .status to '/grpc.health.v1.Health/Check'",
        "recorded: \"SERVING\"",
        "now:      \"NOT_SERVING\"",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

/// A name and a value.
type Header = (Vec<u8>, Vec<u8>);

/// Returns the headers of the requests in a recording, and what else the clients sent.
fn requests(file: &str) -> (Vec<Header>, Vec<u8>) {
    let records = Recording::open(file).unwrap().map(Result::unwrap);
    let data = records.filter_map(|record| match record.entry {
        Entry::Data { from: Side::Client, bytes, .. } => Some(bytes),
        _ => None,
    });
    let bytes = data.collect::<Vec<_>>().concat();
    let mut rest = &bytes[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len()..];
    let (mut blocks, mut headers) = (stoop_grpc::internal::HeaderBlocks::default(), Vec::new());
    while let [0, l1, l2, kind, _, _, _, _, _, payload @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*l1, *l2]));
        if *kind == 1 {
            headers.extend(blocks.read(&payload[..len]).unwrap());
        }
        rest = &payload[len..];
    }
    (headers, bytes)
}

#[test]
fn secrets_in_headers_of_grpc_are_masked() {
    const TOKEN: &str = "Bearer hunter2-and-more";
    let dir = tempdir();
    let [server, front, file] = paths(dir.path(), ["server", "front", "rec"]);
    let _server = health(&server, true);
    for (file, flags, is_masked) in
        [(file.clone(), &[][..], true), (format!("{file}.plain"), &["--no-redact"][..], false)]
    {
        let relay = record(&front, &server, &file, flags);
        let header = format!("authorization: {TOKEN}");
        let call = ["grpc", &front, "grpc.health.v1.Health/Check", "-H", &header];
        stoop(call).run().ok();
        relay.terminate().ok();
        let (headers, bytes) = requests(&file);
        let value = |name: &[u8]| headers.iter().rev().find(|(its, _)| its == name).unwrap().1.clone();
        assert_eq!(value(b":path"), b"/grpc.health.v1.Health/Check");
        let token = value(b"authorization");
        assert!(!bytes.windows(7).any(|window| window == b"hunter2") || !is_masked);
        assert_eq!(token.iter().all(|byte| *byte == b'*'), is_masked, "{}", token.escape_ascii());
        assert_eq!(token == TOKEN.as_bytes(), !is_masked);
    }
    // What is masked is still HTTP/2, and this server does not look at the token.
    let text = stoop(["replay", &file, &server]).run().ok();
    assert!(text.stderr.contains("masked bytes were sent as asterisks"), "{}", text.stderr);
}

#[test]
fn the_server_is_played_to_a_client() {
    let (dir, place) = socket_path();
    let [front, file] = paths(dir.path(), ["front", "rec"]);
    let server = serve("stream", &place);
    let relay = record(&front, &place, &file, &[]);
    let sent = bytes(300_000, 5);
    stoop(["connect", &front]).input(sent.clone()).run().ok().stdout_is(&sent);
    relay.terminate().ok();
    drop(server);

    let played = stoop(["replay", &file, "--serve", &front, "--json"]).spawn();
    wait_served(&front);
    stoop(["connect", &front]).input(sent.clone()).run().ok().stdout_is(&sent);
    assert_eq!(played.finish().ok().json().last().unwrap()["same"], true);
    let played = stoop(["replay", &file, "--serve", &front]).spawn();
    wait_served(&front);
    stoop(["connect", &front]).input(&b"something else"[..]).run();
    assert!(played.finish().code(1).text().contains("byte 0"));
}

#[test]
fn messages_are_replayed_as_messages() {
    for kind in ["seqpacket", "dgram"] {
        let (dir, place) = socket_path();
        let [front, file] = paths(dir.path(), ["front", "rec"]);
        let front = format!("{kind}:{front}");
        let _server = serve(kind, &place);
        let relay = record(&front, &place, &file, &[]);
        for text in ["one", "two"] {
            stoop(["send", &front, text, "--reply"]).run().ok();
        }
        relay.terminate().ok();
        let place = format!("{kind}:{place}");
        let same = stoop(["replay", &file, &place, "--json", "--timeout", "5s"]).run().ok().json();
        assert_eq!(same.last().unwrap()["compared_bytes"], 6, "{kind}: {same:?}");
    }
}

#[test]
fn after_a_kill_everything_that_arrived_is_in_the_recording() {
    let (dir, place) = socket_path();
    let [front, file] = paths(dir.path(), ["front", "rec"]);
    let _server = serve("stream", &place);
    let relay = record(&front, &place, &file, &[]);
    let mut client = stoop(["connect", &front]).open_input().spawn();
    client.say("first\n");
    client.wait_stdout("first");
    client.say("second\n");
    client.wait_stdout("second");
    relay.kill();
    client.finish();
    let shown = stoop(["replay", &file, "--show"]).run().ok();
    let text = shown.text();
    for part in ["> 6 bytes: first\\n", "< 6 bytes: first\\n", "> 7 bytes: second\\n", "< 7 bytes: second\\n"]
    {
        assert!(text.contains(part), "{text}");
    }
    assert!(shown.stderr.contains("was killed"), "{}", shown.stderr);
    // Half of a record.
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 3]).unwrap();
    let shown = stoop(["replay", &file, "--show"]).run().ok();
    assert!(shown.stderr.contains("is not whole"), "{}", shown.stderr);
    stoop(["replay", &file, &place]).run().ok();
}

#[test]
fn on_a_full_disk_the_relay_goes_on_and_says_so() {
    if !is_root() || !has_program("unshare") {
        skip!("needs root, to mount a small file system");
    }
    let (dir, place) = socket_path();
    let [front, small] = paths(dir.path(), ["front", "small"]);
    fs::create_dir(&small).unwrap();
    let _server = serve("stream", &place);
    let script = format!(
        "mount -t tmpfs -o size=64k none '{small}' && exec '{}' relay '{front}' '{place}' --record '{small}/rec'",
        stoop_e2e::binary().display()
    );
    let relay = program("unshare", ["-m", "sh", "-c", &script]).spawn();
    relay.wait_stderr("relays each client");
    let sent = bytes(1_000_000, 3);
    stoop(["connect", &front]).input(sent.clone()).run().ok().stdout_is(&sent);
    relay.wait_stderr("the relay goes on");
    stoop(["connect", &front]).input("more").run().ok().stdout_is(b"more");
    relay.terminate().ok();
}

#[test]
fn memory_does_not_grow_with_the_recording() {
    const SENT_BYTES: usize = 100_000_000;
    let (dir, place) = socket_path();
    let [front, file] = paths(dir.path(), ["front", "rec"]);
    let _server = serve("stream", &place);
    let relay = record(&front, &place, &file, &["--no-redact"]);
    let sent = bytes(SENT_BYTES, 9);
    stoop(["connect", &front]).input(sent.clone()).run().ok().stdout_is(&sent);
    let peak = peak_bytes(relay.pid());
    relay.terminate().ok();
    assert!(fs::metadata(&file).unwrap().len() > 2 * SENT_BYTES as u64);
    assert!(peak < 40_000_000, "the relay: {peak}");
    let mut played = stoop(["replay", &file, &place, "--timeout", "60s"]).spawn();
    let mut peak = 0;
    while played.is_running() {
        peak = peak_bytes(played.pid()).max(peak);
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    played.finish().ok();
    assert!((1..60_000_000).contains(&peak), "the replay: {peak}");
}

/// Returns the most memory that a process ever had resident, or 0 if it has ended.
fn peak_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

#[test]
fn faults_are_injected_and_changed_while_the_relay_runs() {
    let (dir, place) = socket_path();
    let [front, control] = paths(dir.path(), ["front", "control"]);
    let _server = serve("stream", &place);
    let relay = stoop(["relay", &front, &place, "--fault-up", "refuse", "--fault-control", &control]).spawn();
    relay.wait_stderr("relays each client");
    // Whether it is closed before or after it has sent decides what the client sees.
    assert_eq!(stoop(["connect", &front]).input("question").run().text(), "");
    let line = |text: &str| stoop(["connect", &control]).input(format!("{text}\n")).run().ok().text();
    assert_eq!(line("show"), "up refuse=100%\ndown none\n");
    assert_eq!(line("down delay=10ms"), "up refuse=100%\ndown delay=10ms\n");
    assert_eq!(line("up none"), "up none\ndown delay=10ms\n");
    assert_eq!(line("drop=1%"), "error: a stream socket cannot have the fault 'drop'\n");
    assert!(line("nonsense").starts_with("error: 'nonsense'"));
    stoop(["connect", &front]).input("question").run().ok().stdout_is(b"question");
    relay.terminate().ok();
    stoop(["relay", &front, &place, "--fault", "drop=1%"]).run().code(2);
    stoop(["relay", &front, &place, "--fault", "delay=soon"]).run().code(2).explains(&["is not a time"]);
}

#[test]
fn a_recording_is_never_written_over_a_file_and_others_are_not_read() {
    let (dir, place) = socket_path();
    let [front, file] = paths(dir.path(), ["front", "notes"]);
    fs::write(&file, "notes of somebody").unwrap();
    stoop(["relay", &front, &place, "--record", &file]).run().code(3).explains(&["never written over"]);
    assert_eq!(fs::read(&file).unwrap(), b"notes of somebody");
    assert!(!Path::new(&front).exists());
    let output = stoop(["replay", &file, "--show"]).run().code(3);
    output.explains(&["not a recording"]);
}
