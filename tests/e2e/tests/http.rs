//! `stoop http`: requests and output, with Python's server, compared with curl, and on a terminal.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use stoop_e2e::web::{Web, answer, fails, header, length};
use stoop_e2e::{LIMIT, bytes, program, stoop, wait_served};
use stoop_testkit::{TempDir, eventually, has_program, skip, tempdir};

/// Starts Python's own server, in a directory with these files.
fn python(files: &[(&str, &[u8])]) -> (TempDir, String, stoop_e2e::Running) {
    let dir = tempdir();
    for (name, contents) in files {
        fs::write(dir.path().join(name), contents).unwrap();
    }
    let path = dir.path().join("s").to_str().unwrap().to_owned();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/http_server.py");
    let server = program("python3", [script, &path]).inside(dir.path()).spawn();
    wait_served(&path);
    (dir, path, server)
}

#[test]
fn bodies_from_python_arrive_unchanged() {
    let large = bytes(5_000_000, 1);
    let (_dir, path, _server) = python(&[("large", &large), ("small.json", br#"{"a":[1]}"#)]);
    stoop(["http", &path, "/large"]).run().ok().stdout_is(&large);
    // Output to a pipe is unchanged, even JSON.
    stoop(["http", &path, "/small.json"]).run().ok().stdout_is(br#"{"a":[1]}"#);
    stoop(["http", &path, "HEAD", "/large"]).run().ok().stdout_is(b"");
    let missing = stoop(["http", &path, "/nothing"]).run().ok();
    assert!(missing.text().contains("404"));
    missing.explains(&["the server responded with 404"]);
    stoop(["http", &path, "/nothing", "--fail"]).run().code(22);
    let included = stoop(["http", &path, "/small.json", "-i"]).run().ok().text();
    assert!(included.starts_with("HTTP/1.0 200 OK\n") && included.ends_with("\n\n{\"a\":[1]}"), "{included}");
}

#[test]
fn responses_equal_those_curl_gets() {
    if !has_program("curl") {
        skip!("lacks curl");
    }
    let large = bytes(3_000_000, 1);
    let (_dir, path, _server) = python(&[("large", &large)]);
    let curl = program("curl", ["--silent", "--unix-socket", &path, "http://localhost/large"]).run().ok();
    stoop(["http", &path, "http://localhost/large"]).run().ok().stdout_is(&curl.stdout);
}

#[test]
fn requests_are_sent_as_given() {
    let (server, requests) = Web::listening();
    server.ask(&["/a b?c={}"]).run().ok();
    let (head, body) = requests.recv_timeout(LIMIT).unwrap();
    assert!(head.starts_with("GET /a%20b?c=%7B%7D HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("Host: localhost\r\n") && head.contains("User-Agent: stoop/"), "{head}");
    assert!(body.is_empty() && !head.contains("Content-"), "{head}");

    server
        .ask(&["/", "--data", "{\"a\": 1}", "-H", "X-Twice: 1", "-H", "x-twice: 2", "-H", "host: api"])
        .run()
        .ok();
    let (head, body) = requests.recv_timeout(LIMIT).unwrap();
    assert!(
        head.starts_with("POST / HTTP/1.1\r\n") && head.contains("Content-Type: application/json\r\n"),
        "{head}"
    );
    assert!(head.contains("X-Twice: 1\r\nX-Twice: 2\r\n") && head.contains("Host: api\r\n"), "{head}");
    assert_eq!(body, b"{\"a\": 1}");

    let dir = tempdir();
    let (file, contents) = (dir.path().join("x"), bytes(1_000_000, 1));
    fs::write(&file, &contents).unwrap();
    server.ask(&["PUT", "/", "--data", &format!("@{}", file.display())]).run().ok();
    let (head, body) = requests.recv_timeout(LIMIT).unwrap();
    assert!(
        head.starts_with("PUT /") && head.contains("Content-Type: application/octet-stream\r\n"),
        "{head}"
    );
    assert!(body == contents, "{} bytes of {}", body.len(), contents.len());
    // From a file as standard input, its length is known as well.
    server.ask(&["/", "--data", "@-"]).stdin(fs::File::open(&file).unwrap()).run().ok();
    let (head, body) = requests.recv_timeout(LIMIT).unwrap();
    assert!(length(&head) == Some(contents.len()) && body == contents, "{head}");
}

#[test]
fn standard_input_is_streamed() {
    let (heard, pieces) = mpsc::channel();
    let server = Web::new(move |mut stream| {
        assert!(header(&mut stream).contains("Transfer-Encoding: chunked"));
        let mut body = Vec::new();
        while !body.ends_with(b"0\r\n\r\n") {
            let mut buffer = [0; 1000];
            let len = stream.read(&mut buffer).unwrap();
            body.extend_from_slice(&buffer[..len]);
            heard.send(String::from_utf8(body.clone()).unwrap()).unwrap();
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes").unwrap();
    });
    let mut sending = server.ask(&["/", "--data", "@-"]).open_input().spawn();
    let mut all = String::new();
    for word in ["one\n", "two\n"] {
        sending.say(word);
        eventually(LIMIT, || {
            all = pieces.try_recv().unwrap_or(std::mem::take(&mut all));
            all.contains(word)
        });
    }
    assert_eq!(all, "4\r\none\n\r\n4\r\ntwo\n\r\n");
    sending.end_input();
    sending.finish().ok().stdout_is(b"yes");
}

#[test]
fn responses_are_streamed() {
    let (go_on, next) = mpsc::channel::<()>();
    let server = Web::new(move |mut stream| {
        header(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
        for word in ["one", "two"] {
            stream.write_all(format!("3\r\n{word}\r\n").as_bytes()).unwrap();
            next.recv().unwrap();
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
    });
    let mut asking = server.ask(&["/"]).spawn();
    asking.wait_stdout("one");
    assert!(asking.stdout() == b"one" && asking.is_running());
    go_on.send(()).unwrap();
    asking.wait_stdout("two");
    go_on.send(()).unwrap();
    asking.finish().ok().stdout_is(b"onetwo");
}

#[test]
fn json_lines_are_stable() {
    let server = Web::answering(answer("x: 1\r\nX: ü\r\ncontent-type: text/plain\r\n", "grün\0".as_bytes()));
    let lines = server.ask(&["/", "--json"]).run().ok().json();
    assert_eq!(lines.len(), 3, "{lines:?}");
    let expected = serde_json::json!({
        "schema": 1, "event": "answer", "version": "HTTP/1.1", "status": 200, "reason": "OK",
        "headers": {"content-length": ["6"], "x": ["1", "ü"], "content-type": ["text/plain"]},
    });
    assert_eq!(lines[0], expected);
    assert_eq!(lines[1], serde_json::json!({"schema": 1, "event": "body", "data": {"text": "grün\0"}}));
    assert_eq!(lines[2], serde_json::json!({"schema": 1, "event": "end", "size": 6, "trailers": {}}));
    let server = Web::answering(answer("", b"\xff\xfe"));
    let lines = server.ask(&["/", "--json"]).run().ok().json();
    assert_eq!(lines[1]["data"], serde_json::json!({"bytes": "//4="}));
    let chunked =
        b"HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n3\r\ngr\xc3\r\n2\r\n\xbcn\r\n0\r\n\r\n";
    let server = Web::answering(chunked);
    let lines = server.ask(&["/", "--json", "--fail"]).run().code(22).json();
    let text: String = lines.iter().filter_map(|line| line["data"]["text"].as_str()).collect();
    assert_eq!((lines[0]["status"].as_u64(), text.as_str()), (Some(404), "grün"));
}

#[test]
fn a_body_goes_into_a_file_and_an_error_does_not() {
    let dir = tempdir();
    let file = dir.path().join("out");
    let path = file.to_str().unwrap();
    let server = Web::answering(answer("", b"body"));
    server.ask(&["/", "--output", path]).run().ok().stdout_is(b"");
    assert_eq!(fs::read(&file).unwrap(), b"body");
    fs::remove_file(&file).unwrap();
    let server = Web::answering("HTTP/1.1 500 Oops\r\ncontent-length: 2\r\n\r\nno");
    let refused = server.ask(&["/", "--output", path, "--fail"]).run().code(22);
    refused.stdout_is(b"");
    assert!(
        refused.stderr.starts_with("stoop: the server responded with 500 Oops\nno"),
        "{}",
        refused.stderr
    );
    assert!(!file.exists());
    let server = Web::answering("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort");
    let cut = server.ask(&["/", "--output", path]).run().code(18);
    cut.explains(&["incomplete: received 5 of 10 bytes", "seen: ", "has the 5 bytes received so far"]);
}

#[test]
fn wait_allows_the_server_to_start_later() {
    let dir = tempdir();
    let path = dir.path().join("s").to_str().unwrap().to_owned();
    let asking = stoop(["http", &path, "/", "--wait", "20s"]).spawn();
    thread::sleep(Duration::from_millis(100));
    let listener = UnixListener::bind(&path).unwrap();
    let mut stream = listener.accept().unwrap().0;
    header(&mut stream);
    stream.write_all(&answer("", b"here")).unwrap();
    asking.finish().ok().stdout_is(b"here");
    let output = stoop(["http", &format!("{path}x"), "/y", "--wait", "50ms"]).run();
    fails(output, 7, &["no server was listening within the 50ms of --wait", "stoop serve"]);
}

/// Sends a greeting after an upgrade, then echoes until the client shuts down its side, and reports
/// that.
fn upgrading(content_type: &str, frame: fn(&[u8]) -> Vec<u8>) -> Web {
    let head = format!(
        "HTTP/1.1 101 UPGRADED\r\ncontent-type: {content_type}\r\nconnection: Upgrade\r\nupgrade: tcp\r\n\r\n"
    );
    Web::new(move |mut stream| {
        let request = header(&mut stream);
        assert!(request.contains("Connection: Upgrade\r\nUpgrade: tcp\r\n"), "{request}");
        stream.write_all(&[head.as_bytes(), &frame(b"welcome\n")].concat()).unwrap();
        let mut buffer = [0; 4096];
        while let Ok(len @ 1..) = stream.read(&mut buffer) {
            stream.write_all(&frame(&buffer[..len])).unwrap();
        }
        stream.write_all(&frame(b"bye\n")).unwrap();
    })
}

#[test]
fn upgraded_connections_close_each_direction_separately() {
    let server = upgrading("text/plain", <[u8]>::to_vec);
    let mut talking = server.ask(&["POST", "/", "--upgrade", "tcp"]).open_input().spawn();
    talking.wait_stdout("welcome");
    talking.say("one\n");
    talking.wait_stdout("one");
    talking.say("two\n");
    talking.end_input();
    talking.finish().ok().stdout_is(b"welcome\none\ntwo\nbye\n");
    let large = bytes(3_000_000, 1);
    let output = server.ask(&["POST", "/", "--upgrade", "tcp"]).input(large.clone()).run().ok();
    output.stdout_is(&[b"welcome\n", &large[..], b"bye\n"].concat());
    let server = Web::answering(answer("", b"not that\n"));
    let output = server.ask(&["/", "--upgrade", "tcp"]).run();
    output.stdout_is(b"not that\n");
    fails(output, 3, &["did not upgrade the connection: 200 OK"]);
}

/// A server may close the connection before the end of our input.
#[test]
fn upgraded_servers_may_close_first() {
    let server = Web::new(|mut stream| {
        header(&mut stream);
        let head = "HTTP/1.1 101 UPGRADED\r\nconnection: Upgrade\r\nupgrade: tcp\r\n\r\n";
        stream.write_all(format!("{head}that was all\n").as_bytes()).unwrap();
    });
    let mut talking = server.ask(&["POST", "/", "--upgrade", "tcp"]).open_input().spawn();
    talking.wait_stdout("that was all");
    eventually(LIMIT, || !talking.is_running());
    talking.finish().ok();
}

#[test]
fn docker_streams_are_demultiplexed() {
    fn alternating(bytes: &[u8]) -> Vec<u8> {
        let frame = |number: u8, bytes: &[u8]| {
            [&[number, 0, 0, 0][..], &u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
        };
        [frame(1, bytes), frame(2, b"!")].concat()
    }
    for content_type in ["application/vnd.docker.multiplexed-stream", "application/vnd.docker.raw-stream"] {
        let server = upgrading(content_type, alternating);
        let output = server.ask(&["/", "--upgrade", "tcp"]).run().ok();
        output.stdout_is(b"welcome\nbye\n");
        assert_eq!(output.stderr, "!!");
        let raw = server.ask(&["/", "--upgrade", "tcp", "--raw"]).run().ok();
        raw.stdout_is(&[alternating(b"welcome\n"), alternating(b"bye\n")].concat());
    }
    let server = upgrading("application/vnd.docker.raw-stream", <[u8]>::to_vec);
    server.ask(&["/", "--upgrade", "tcp"]).run().ok().stdout_is(b"welcome\nbye\n");
    let server = upgrading("application/vnd.docker.multiplexed-stream", <[u8]>::to_vec);
    fails(server.ask(&["/", "--upgrade", "tcp"]).run(), 3, &["cannot demultiplex the streams", "--raw"]);
}

#[test]
fn a_terminal_gets_indented_and_escaped_json() {
    if !has_program("python3") {
        skip!("lacks python3");
    }
    let shown = |server: &Web, flags: &[&str]| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/shown.py");
        let run = server.ask(&[&["/"], flags].concat()).under("python3", [script]).run().ok();
        run.text().replace("\r\n", "\n")
    };
    let server =
        Web::answering(answer("content-type: application/json\r\n", b"{\"a\":[1,\"\x1b[31m\x07\"]}"));
    assert_eq!(shown(&server, &[]), "{\n  \"a\": [\n    1,\n    \"%1B[31m%07\"\n  ]\n}\n");
    assert_eq!(shown(&server, &["--raw"]), "{\"a\":[1,\"%1B[31m%07\"]}\n");
    let server = Web::answering(answer("x: \u{9b}1m\r\n", b"\x1b[2J\x9b1mtext"));
    assert_eq!(shown(&server, &[]), "%1B[2J%9B1mtext\n");
    let included = shown(&server, &["-i"]);
    assert!(!included.contains(['\x1b', '\x07', '\u{9b}']), "{included:?}");
}

/// Its peak memory so far, in KiB.
fn peak_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn large_bodies_are_not_buffered() {
    const LEN: usize = 256 << 20;
    const PEAK_KIB: u64 = 64 << 10;
    let (reached, at_the_end) = mpsc::channel::<()>();
    let (go_on, goes_on) = mpsc::channel::<()>();
    let server = Web::new(move |mut stream| {
        let head = header(&mut stream);
        let mut buffer = vec![0; 1 << 20];
        let mut left = length(&head).unwrap_or(0);
        while left > 0 {
            left -= stream.read(&mut buffer).unwrap();
        }
        let answer = if head.starts_with("POST") { 1 } else { LEN };
        stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {answer}\r\n\r\n").as_bytes()).unwrap();
        let mut left = answer - 1;
        while left > 0 {
            let len = left.min(buffer.len());
            stream.write_all(&buffer[..len]).unwrap();
            left -= len;
        }
        reached.send(()).unwrap();
        goes_on.recv().unwrap();
        stream.write_all(b"x").unwrap();
    });
    let dir = tempdir();
    let file = dir.path().join("large");
    fs::File::create(&file).unwrap().set_len(LEN as u64).unwrap();
    for flags in [&["/"][..], &["/", "--data", &format!("@{}", file.display())]] {
        let running = server.ask(flags).args(["--output", "/dev/null"]).spawn();
        at_the_end.recv_timeout(LIMIT).unwrap();
        let peak = peak_memory(running.pid());
        assert!(peak < PEAK_KIB, "{flags:?}: {peak} KiB");
        go_on.send(()).unwrap();
        running.finish().ok();
    }
}

/// An error in the stream of a pull: the status was sent before.
#[test]
fn errors_in_streams_of_docker_are_failures() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";
    let error = r#"{"errorDetail":{"message":"no such\u001b manifest"},"error":"no such manifest"}"#;
    let stream = format!("{{\"status\":\"Pulling\"}}\r\n{error}\r\n");
    let server = Web::answering(format!("{head}{stream}"));
    server.ask(&["POST", "/images/create"]).run().ok().stdout_is(stream.as_bytes());
    let refused = server.ask(&["POST", "/images/create", "-f"]).run();
    refused.stdout_is(stream.as_bytes());
    fails(refused, 1, &["reports an error", "no such%1B manifest"]);
    // A document with a length is no stream.
    let document = Web::answering(answer("content-type: application/json\r\n", error.as_bytes()));
    document.ask(&["/", "-f"]).run().ok();
}

/// The exit code of a process becomes that of the command, and one that goes on has none.
#[test]
fn the_exit_code_of_a_process_is_that_of_the_command() {
    for (described, code) in [
        (r#"{"Running":false,"ExitCode":7}"#, 7),
        (r#"{"Running":false,"ExitCode":0}"#, 0),
        (r#"{"Running":true,"ExitCode":null}"#, 0),
        ("no JSON", 0),
    ] {
        let server = Web::new(move |mut stream| {
            let reply = match header(&mut stream) {
                start if start.starts_with("POST /v1.41/exec/a/start ") => {
                    b"HTTP/1.1 101 UPGRADED\r\nconnection: Upgrade\r\nupgrade: tcp\r\n\r\nout\n".to_vec()
                }
                inspect if inspect.starts_with("GET /v1.41/exec/a/json ") => answer("", described.as_bytes()),
                other => panic!("{other}"),
            };
            let _ = stream.write_all(&reply);
        });
        let run = server.ask(&["POST", "/v1.41/exec/a/start", "--upgrade", "tcp"]).run().code(code);
        run.stdout_is(b"out\n");
    }
}

#[test]
fn a_switch_of_protocols_is_not_a_silent_success() {
    let server = Web::answering("HTTP/1.1 101 Now\r\nconnection: Upgrade\r\nupgrade: tcp\r\n\r\nhi");
    fails(server.ask(&["/"]).run(), 3, &["switched protocols: 101 Now", "next: ", "--upgrade tcp"]);
}

#[test]
fn docker_resolves_as_in_its_own_client() {
    let server = Web::answering(answer("", b"docker"));
    let home = tempdir();
    let host = format!("unix://{}", server.path);
    let docker = || stoop(["http", "docker", "/version"]).env("HOME", home.path());
    docker().env("DOCKER_HOST", &host).run().ok().stdout_is(b"docker");
    fails(
        docker().env("DOCKER_HOST", "tcp://10.0.0.1:2375").run(),
        3,
        &["DOCKER_HOST names 'tcp://10.0.0.1:2375'"],
    );
    // A context: as `docker context create` writes it.
    let meta = home.path().join(".docker/contexts/meta/0123abcd");
    fs::create_dir_all(&meta).unwrap();
    let context =
        serde_json::json!({"Name": "mine", "Metadata": {}, "Endpoints": {"docker": {"Host": host}}});
    fs::write(meta.join("meta.json"), context.to_string()).unwrap();
    docker().env("DOCKER_CONTEXT", "mine").run().ok().stdout_is(b"docker");
    fails(
        docker().env("DOCKER_CONTEXT", "other").run(),
        3,
        &["no Docker context 'other'", "docker context ls"],
    );
    fs::write(home.path().join(".docker/config.json"), r#"{"currentContext": "mine"}"#).unwrap();
    docker().run().ok().stdout_is(b"docker");
    let found = docker().arg("--json").run().ok().json();
    let expected = serde_json::json!({
        "schema": 1, "event": "endpoint", "name": "docker", "address": server.path, "source": "the Docker context 'mine'"
    });
    assert_eq!(found[0], expected);
    fails(
        docker().env("DOCKER_HOST", "unix:///nowhere").run(),
        7,
        &["ENOENT", "the address of 'docker' is configured by DOCKER_HOST"],
    );
    let podman = || stoop(["http", "podman", "/version"]).env("XDG_RUNTIME_DIR", home.path());
    if !fs::exists("/run/podman/podman.sock").unwrap() {
        fails(
            podman().run(),
            7,
            &["cannot find 'podman'", "podman/podman.sock', the default address", "systemctl start"],
        );
    }
    // Rootless podman, if nothing else is found.
    let place = home.path().join("podman/podman.sock");
    fs::create_dir(place.parent().unwrap()).unwrap();
    fs::rename(&server.path, &place).unwrap();
    podman().run().ok().stdout_is(b"docker");
}
