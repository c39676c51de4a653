//! `stoop http` against servers of all kinds: Python's, curl's expectations, and some that break every rule.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use stoop_e2e::{LIMIT, Output, Run, bytes, program, stoop, stoop_as, wait_served};
use stoop_testkit::{NOBODY, TempDir, eventually, has_program, is_root, public_tempdir, skip, tempdir};

/// A server in this process that does what it is told to with each connection.
struct Server {
    path: String,
    _dir: TempDir,
}

impl Server {
    fn new(mut converse: impl FnMut(UnixStream) + Send + 'static) -> Server {
        let dir = public_tempdir();
        let path = dir.path().join("s").to_str().unwrap().to_owned();
        let listener = UnixListener::bind(&path).unwrap();
        thread::spawn(move || listener.incoming().for_each(|stream| converse(stream.unwrap())));
        Server { path, _dir: dir }
    }

    /// Reads a request's header, then says this and closes.
    fn answering(answer: impl Into<Vec<u8>>) -> Server {
        let answer = answer.into();
        Server::new(move |mut stream| {
            header(&mut stream);
            let _ = stream.write_all(&answer);
        })
    }

    fn http(&self, words: &[&str]) -> Run {
        stoop(["http", &self.path]).args(words)
    }
}

/// Reads up to the empty line.
fn header(stream: &mut UnixStream) -> String {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

fn answer(headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    [format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n{headers}\r\n").as_bytes(), body].concat()
}

/// A server that hands out each request it has heard, header and body, and answers with nothing.
fn listening() -> (Server, Receiver<(String, Vec<u8>)>) {
    let (heard, requests): (Sender<(String, Vec<u8>)>, _) = mpsc::channel();
    let server = Server::new(move |mut stream| {
        let head = header(&mut stream);
        let mut body = vec![0; length(&head).unwrap_or(0)];
        stream.read_exact(&mut body).unwrap();
        if head.contains("transfer-encoding: chunked") {
            while !body.ends_with(b"\r\n0\r\n\r\n") && body != b"0\r\n\r\n" {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                body.push(byte[0]);
            }
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        heard.send((head, body)).unwrap();
    });
    (server, requests)
}

fn length(head: &str) -> Option<usize> {
    head.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse().ok()
}

/// Python's own server, in a directory with these files.
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
fn what_python_serves_arrives_exactly() {
    let large = bytes(5_000_000, 1);
    let (_dir, path, _server) = python(&[("large", &large), ("small.json", br#"{"a":[1]}"#)]);
    stoop(["http", &path, "/large"]).run().ok().stdout_is(&large);
    // Into a pipe nothing is changed, JSON neither.
    stoop(["http", &path, "/small.json"]).run().ok().stdout_is(br#"{"a":[1]}"#);
    stoop(["http", &path, "HEAD", "/large"]).run().ok().stdout_is(b"");
    let missing = stoop(["http", &path, "/nothing"]).run().ok();
    assert!(missing.text().contains("404"));
    missing.explains(&["the server answered 404"]);
    stoop(["http", &path, "/nothing", "--fail"]).run().code(1);
    let included = stoop(["http", &path, "/small.json", "-i"]).run().ok().text();
    assert!(included.starts_with("HTTP/1.0 200 OK\n") && included.ends_with("\n\n{\"a\":[1]}"), "{included}");
}

#[test]
fn curl_hears_the_same() {
    if !has_program("curl") {
        skip!("lacks curl");
    }
    let large = bytes(3_000_000, 1);
    let (_dir, path, _server) = python(&[("large", &large)]);
    let curl = program("curl", ["--silent", "--unix-socket", &path, "http://localhost/large"]).run().ok();
    stoop(["http", &path, "http://localhost/large"]).run().ok().stdout_is(&curl.stdout);
}

#[test]
fn what_is_sent_is_what_was_given() {
    let (server, requests) = listening();
    server.http(&["/a b?c={}"]).run().ok();
    let (head, body) = requests.recv_timeout(LIMIT).unwrap();
    assert!(head.starts_with("GET /a%20b?c=%7B%7D HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("host: localhost\r\n") && head.contains("user-agent: stoop/"), "{head}");
    assert!(body.is_empty() && !head.contains("content-"), "{head}");

    server
        .http(&["/", "--data", "{\"a\": 1}", "-H", "X-Twice: 1", "-H", "x-twice: 2", "-H", "host: api"])
        .run()
        .ok();
    let (head, body) = requests.recv_timeout(LIMIT).unwrap();
    assert!(
        head.starts_with("POST / HTTP/1.1\r\n") && head.contains("content-type: application/json\r\n"),
        "{head}"
    );
    assert!(head.contains("x-twice: 1\r\nx-twice: 2\r\n") && head.contains("host: api\r\n"), "{head}");
    assert_eq!(body, b"{\"a\": 1}");

    let dir = tempdir();
    let (file, contents) = (dir.path().join("x"), bytes(1_000_000, 1));
    fs::write(&file, &contents).unwrap();
    server.http(&["PUT", "/", "--data", &format!("@{}", file.display())]).run().ok();
    let (head, body) = requests.recv_timeout(LIMIT).unwrap();
    assert!(
        head.starts_with("PUT /") && head.contains("content-type: application/octet-stream\r\n"),
        "{head}"
    );
    assert!(body == contents, "{} bytes of {}", body.len(), contents.len());
    // From a file as standard input, its length is known as well.
    server.http(&["/", "--data", "@-"]).stdin(fs::File::open(&file).unwrap()).run().ok();
    let (head, body) = requests.recv_timeout(LIMIT).unwrap();
    assert!(length(&head) == Some(contents.len()) && body == contents, "{head}");
}

#[test]
fn standard_input_is_sent_as_it_comes() {
    let (heard, pieces) = mpsc::channel();
    let server = Server::new(move |mut stream| {
        assert!(header(&mut stream).contains("transfer-encoding: chunked"));
        let mut body = Vec::new();
        while !body.ends_with(b"0\r\n\r\n") {
            let mut buffer = [0; 1000];
            let len = stream.read(&mut buffer).unwrap();
            body.extend_from_slice(&buffer[..len]);
            heard.send(String::from_utf8(body.clone()).unwrap()).unwrap();
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes").unwrap();
    });
    let mut sending = server.http(&["/", "--data", "@-"]).open_input().spawn();
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
fn answers_are_shown_as_they_come() {
    let (go_on, next) = mpsc::channel::<()>();
    let server = Server::new(move |mut stream| {
        header(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
        for word in ["one", "two"] {
            stream.write_all(format!("3\r\n{word}\r\n").as_bytes()).unwrap();
            next.recv().unwrap();
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
    });
    let mut asking = server.http(&["/"]).spawn();
    asking.wait_stdout("one");
    assert!(asking.stdout() == b"one" && asking.is_running());
    go_on.send(()).unwrap();
    asking.wait_stdout("two");
    go_on.send(()).unwrap();
    asking.finish().ok().stdout_is(b"onetwo");
}

#[test]
fn json_lines_are_the_contract_for_machines() {
    let server =
        Server::answering(answer("x: 1\r\nX: ü\r\ncontent-type: text/plain\r\n", "grün\0".as_bytes()));
    let lines = server.http(&["/", "--json"]).run().ok().json();
    assert_eq!(lines.len(), 3, "{lines:?}");
    let expected = serde_json::json!({
        "schema": 1, "event": "answer", "version": "HTTP/1.1", "status": 200, "reason": "OK",
        "headers": {"content-length": ["6"], "x": ["1", "ü"], "content-type": ["text/plain"]},
    });
    assert_eq!(lines[0], expected);
    assert_eq!(lines[1], serde_json::json!({"schema": 1, "event": "body", "data": {"text": "grün\0"}}));
    assert_eq!(lines[2], serde_json::json!({"schema": 1, "event": "end", "size": 6, "trailers": {}}));
    let server = Server::answering(answer("", b"\xff\xfe"));
    let lines = server.http(&["/", "--json"]).run().ok().json();
    assert_eq!(lines[1]["data"], serde_json::json!({"bytes": "//4="}));
    let chunked =
        b"HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n3\r\ngr\xc3\r\n2\r\n\xbcn\r\n0\r\n\r\n";
    let server = Server::answering(chunked);
    let lines = server.http(&["/", "--json", "--fail"]).run().code(1).json();
    let text: String = lines.iter().filter_map(|line| line["data"]["text"].as_str()).collect();
    assert_eq!((lines[0]["status"].as_u64(), text.as_str()), (Some(404), "grün"));
}

#[test]
fn a_body_goes_into_a_file_and_an_error_does_not() {
    let dir = tempdir();
    let file = dir.path().join("out");
    let path = file.to_str().unwrap();
    let server = Server::answering(answer("", b"body"));
    server.http(&["/", "--output", path]).run().ok().stdout_is(b"");
    assert_eq!(fs::read(&file).unwrap(), b"body");
    fs::remove_file(&file).unwrap();
    let server = Server::answering("HTTP/1.1 500 Oops\r\ncontent-length: 2\r\n\r\nno");
    server.http(&["/", "--output", path, "--fail"]).run().code(1).stdout_is(b"no");
    assert!(!file.exists());
    let server = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort");
    let cut = server.http(&["/", "--output", path]).run().code(3);
    cut.explains(&["cut short: 5 of 10 bytes have come", "seen: ", "has the 5 bytes that have come"]);
}

/// What is heard from a server that does not play by the rules, in four parts.
#[track_caller]
fn fails(output: Output, code: i32, words: &[&str]) {
    let output = output.code(code);
    output.explains(&["error: ", "\n  why:  ", "\n  next: "]);
    output.explains(words);
    assert!(!output.stderr.contains("panicked"));
}

#[test]
fn servers_that_speak_something_else_are_named() {
    let settings = b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64";
    let http2 = Server::new(move |mut stream| {
        let _ = stream.write_all(settings);
        header(&mut stream);
    });
    fails(http2.http(&["/x"]).run(), 3, &["speaks HTTP/2 only", "next: stoop grpc", "/x --http2"]);
    let http1 = Server::answering("HTTP/1.1 400 Bad Request\r\n\r\n");
    fails(
        http1.http(&["/x", "--http2"]).run(),
        3,
        &["speaks HTTP/1 only", "it said 'HTTP/1.1 400 Bad Request'"],
    );
    let banner = Server::new(|mut stream| {
        let _ = stream.write_all(b"220 \x1b[31mmail\r\n");
        header(&mut stream);
    });
    for flags in [&["/"][..], &["/", "--http2"]] {
        let output = banner.http(flags).run();
        assert!(!output.stderr.contains('\x1b'));
        fails(output, 3, &["does not speak HTTP", "it said '220 %1B[31mmail'", "next: stoop connect"]);
    }
    let silent = Server::new(|mut stream| drop(header(&mut stream)));
    fails(silent.http(&["/"]).run(), 3, &["ended the connection without an answer", "next: stoop connect"]);
}

#[test]
fn a_server_that_never_answers_has_its_time() {
    let server = Server::new(std::mem::forget);
    for flags in [&["/", "--timeout", "200ms"][..], &["/", "--timeout", "200ms", "--http2"]] {
        fails(server.http(flags).run(), 3, &["no answer came within 200ms", "next: stoop http"]);
    }
    let halting = Server::new(|mut stream| {
        header(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
        std::mem::forget(stream);
    });
    let output = halting.http(&["/", "--timeout", "300ms"]).run();
    output.stdout_is(b"half");
    fails(output, 3, &["the answer is not complete within 300ms"]);
}

#[test]
fn answers_that_break_the_rules_are_refused() {
    let malformed = [
        &b"HTTP/1.1 abc\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
    ];
    for answer in malformed {
        let server = Server::answering(answer);
        fails(server.http(&["/"]).run(), 3, &["the answer is malformed", "it said 'HTTP/1.1"]);
    }
    let endless = [&b"HTTP/1.1 200 OK\r\nx: "[..], &vec![b'a'; 1 << 20], b"\r\n\r\n"].concat();
    fails(Server::answering(endless).http(&["/"]).run(), 3, &["header is too large"]);
    for cut in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nshort\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\nshort",
    ] {
        let output = Server::answering(cut).http(&["/"]).run();
        output.stdout_is(b"short");
        fails(output, 3, &["cut short: 5 "]);
    }
    fails(Server::answering("HTTP/1.1 200 OK\r\nx:").http(&["/"]).run(), 3, &["cut short"]);
}

/// An answer that comes while the request is still being sent is an answer, whether the server reads on or goes.
#[test]
fn an_early_answer_is_heard() {
    let refusing = Server::new(|mut stream| {
        header(&mut stream);
        let _ = stream
            .write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 4\r\nconnection: close\r\n\r\nno!\n");
        let _ = stream.shutdown(Shutdown::Write);
    });
    let dir = tempdir();
    let file = dir.path().join("large");
    fs::File::create(&file).unwrap().set_len(64 << 20).unwrap();
    for _ in 0..10 {
        let output = refusing.http(&["/", "--fail", "--data", &format!("@{}", file.display())]).run();
        output.stdout_is(b"no!\n");
        output.code(1);
    }
}

#[test]
fn sockets_that_cannot_be_called_explain_themselves() {
    let dir = public_tempdir();
    let path = dir.path().join("d").to_str().unwrap().to_owned();
    let missing = stoop(["http", &path, "/"]).run();
    fails(missing, 3, &["ENOENT", "no server has made this file"]);
    let _datagram = UnixDatagram::bind(&path).unwrap();
    fails(stoop(["http", &path, "/"]).run(), 3, &["EPROTOTYPE", "datagram"]);
    if !is_root() {
        skip!("lacks root");
    }
    let server = Server::answering(answer("", b""));
    fs::set_permissions(&server.path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    fails(stoop_as(NOBODY, ["http", &server.path, "/"]).run(), 4, &["EACCES", "0600"]);
}

#[test]
fn what_cannot_be_sent_is_said_before_anybody_is_asked() {
    let (server, requests) = listening();
    for (data, words) in [("@/nowhere/x", "no such file"), ("@/", "directory")] {
        server.http(&["/", "--data", data]).run().code(3).explains(&["cannot open '/", words]);
    }
    server.http(&["version"]).run().code(2).explains(&["begins with '/'", "stoop http ADDR /version"]);
    assert!(requests.try_recv().is_err());
}

#[test]
fn a_server_that_starts_later_is_waited_for() {
    let dir = tempdir();
    let path = dir.path().join("s").to_str().unwrap().to_owned();
    let asking = stoop(["http", &path, "/", "--wait", "20s"]).spawn();
    thread::sleep(std::time::Duration::from_millis(100));
    let listener = UnixListener::bind(&path).unwrap();
    let mut stream = listener.accept().unwrap().0;
    header(&mut stream);
    stream.write_all(&answer("", b"here")).unwrap();
    asking.finish().ok().stdout_is(b"here");
    let output = stoop(["http", &format!("{path}x"), "/y", "--wait", "50ms"]).run();
    fails(output, 3, &["no server came within the 50ms of --wait", "stoop serve"]);
}

/// Echoes after an upgrade, with a word first, until the client ends its side, and says so.
fn upgrading(content_type: &str, frame: fn(&[u8]) -> Vec<u8>) -> Server {
    let head = format!(
        "HTTP/1.1 101 UPGRADED\r\ncontent-type: {content_type}\r\nconnection: Upgrade\r\nupgrade: tcp\r\n\r\n"
    );
    Server::new(move |mut stream| {
        let request = header(&mut stream);
        assert!(request.contains("connection: Upgrade\r\nupgrade: tcp\r\n"), "{request}");
        stream.write_all(&[head.as_bytes(), &frame(b"welcome\n")].concat()).unwrap();
        let mut buffer = [0; 4096];
        while let Ok(len @ 1..) = stream.read(&mut buffer) {
            stream.write_all(&frame(&buffer[..len])).unwrap();
        }
        stream.write_all(&frame(b"bye\n")).unwrap();
    })
}

#[test]
fn after_an_upgrade_each_side_has_its_own_end() {
    let server = upgrading("text/plain", <[u8]>::to_vec);
    let mut talking = server.http(&["POST", "/", "--upgrade", "tcp"]).open_input().spawn();
    talking.wait_stdout("welcome");
    talking.say("one\n");
    talking.wait_stdout("one");
    talking.say("two\n");
    talking.end_input();
    talking.finish().ok().stdout_is(b"welcome\none\ntwo\nbye\n");
    let large = bytes(3_000_000, 1);
    let output = server.http(&["POST", "/", "--upgrade", "tcp"]).input(large.clone()).run().ok();
    output.stdout_is(&[b"welcome\n", &large[..], b"bye\n"].concat());
    let server = Server::answering(answer("", b"not that\n"));
    let output = server.http(&["/", "--upgrade", "tcp"]).run();
    output.stdout_is(b"not that\n");
    fails(output, 3, &["did not upgrade the connection: it answered 200 OK"]);
}

#[test]
fn dockers_streams_are_told_apart() {
    fn alternating(bytes: &[u8]) -> Vec<u8> {
        let frame = |number: u8, bytes: &[u8]| {
            [&[number, 0, 0, 0][..], &u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
        };
        [frame(1, bytes), frame(2, b"!")].concat()
    }
    for content_type in ["application/vnd.docker.multiplexed-stream", "application/vnd.docker.raw-stream"] {
        let server = upgrading(content_type, alternating);
        let output = server.http(&["/", "--upgrade", "tcp"]).run().ok();
        output.stdout_is(b"welcome\nbye\n");
        assert_eq!(output.stderr, "!!");
        let raw = server.http(&["/", "--upgrade", "tcp", "--raw"]).run().ok();
        raw.stdout_is(&[alternating(b"welcome\n"), alternating(b"bye\n")].concat());
    }
    let server = upgrading("application/vnd.docker.raw-stream", <[u8]>::to_vec);
    server.http(&["/", "--upgrade", "tcp"]).run().ok().stdout_is(b"welcome\nbye\n");
    let server = upgrading("application/vnd.docker.multiplexed-stream", <[u8]>::to_vec);
    fails(server.http(&["/", "--upgrade", "tcp"]).run(), 3, &["cannot tell the streams apart", "--raw"]);
}

#[test]
fn a_terminal_sees_indented_json_and_nothing_that_drives_it() {
    if !has_program("python3") {
        skip!("lacks python3");
    }
    let shown = |server: &Server, flags: &[&str]| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/shown.py");
        let run = server.http(&[&["/"], flags].concat()).under("python3", [script]).run().ok();
        run.text().replace("\r\n", "\n")
    };
    let server =
        Server::answering(answer("content-type: application/json\r\n", b"{\"a\":[1,\"\x1b[31m\x07\"]}"));
    assert_eq!(shown(&server, &[]), "{\n  \"a\": [\n    1,\n    \"%1B[31m%07\"\n  ]\n}\n");
    assert_eq!(shown(&server, &["--raw"]), "{\"a\":[1,\"%1B[31m%07\"]}\n");
    let server = Server::answering(answer("x: \u{9b}1m\r\n", b"\x1b[2J\x9b1mtext"));
    assert_eq!(shown(&server, &[]), "%1B[2J%9B1mtext\n");
    let included = shown(&server, &["-i"]);
    assert!(!included.contains(['\x1b', '\x07', '\u{9b}']), "{included:?}");
}

/// The peak of its memory so far, in KiB.
fn peak_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn large_bodies_take_no_memory() {
    const LEN: usize = 256 << 20;
    const PEAK_KIB: u64 = 64 << 10;
    let (reached, at_the_end) = mpsc::channel::<()>();
    let (go_on, goes_on) = mpsc::channel::<()>();
    let server = Server::new(move |mut stream| {
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
        let running = server.http(flags).args(["--output", "/dev/null"]).spawn();
        at_the_end.recv_timeout(LIMIT).unwrap();
        let peak = peak_memory(running.pid());
        assert!(peak < PEAK_KIB, "{flags:?}: {peak} KiB");
        go_on.send(()).unwrap();
        running.finish().ok();
    }
}

#[test]
fn docker_is_found_as_its_own_client_finds_it() {
    let server = Server::answering(answer("", b"docker"));
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
        3,
        &["ENOENT", "DOCKER_HOST says that 'docker' is there"],
    );
    let podman = || stoop(["http", "podman", "/version"]).env("XDG_RUNTIME_DIR", home.path());
    if !fs::exists("/run/podman/podman.sock").unwrap() {
        fails(
            podman().run(),
            3,
            &["cannot find 'podman'", "podman/podman.sock', the usual place", "systemctl start"],
        );
    }
    // Rootless podman, where there is nothing else.
    let place = home.path().join("podman/podman.sock");
    fs::create_dir(place.parent().unwrap()).unwrap();
    fs::rename(&server.path, &place).unwrap();
    podman().run().ok().stdout_is(b"docker");
}
