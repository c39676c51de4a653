//! `stoop http --tty`: the terminal is attached to the server, and restored afterwards.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use stoop_e2e::program;
use stoop_e2e::web::{Web, header};
use stoop_testkit::{has_program, skip, tempdir};

/// Upgrades the connection as Docker does, echoes each byte in bold, and closes after a `q`.
fn with_a_terminal(mut stream: UnixStream) {
    header(&mut stream);
    with_a_terminal_after_header(stream);
}

fn with_a_terminal_after_header(mut stream: UnixStream) {
    let _ = stream.write_all(
        b"HTTP/1.1 101 UPGRADED\r\ncontent-type: application/vnd.docker.raw-stream\r\nconnection: Upgrade\r\nupgrade: tcp\r\n\r\nready",
    );
    let mut byte = [0];
    while matches!(stream.read(&mut byte), Ok(1)) && byte != *b"q" {
        let _ = stream.write_all(format!("\x1b[1m<{}>\x1b[m", byte[0]).as_bytes());
    }
}

#[test]
fn tty_passes_keys_and_restores_the_terminal() {
    if !has_program("python3") {
        skip!("lacks python3");
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/keys.py");
    for how in ["end", "stop", "SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT"] {
        let server = Web::new(with_a_terminal);
        let run = program("python3", [script, how, stoop_e2e::binary().to_str().unwrap()]);
        run.args(["http", &server.path, "POST", "/attach", "--upgrade", "tcp", "--tty"]).run().ok();
    }
}

/// The size is told at the start, again until the server takes it, and after each change.
#[test]
fn the_size_of_the_terminal_is_told_to_docker() {
    if !has_program("python3") {
        skip!("lacks python3");
    }
    let dir = tempdir();
    let (heard, sizes) = std::sync::mpsc::channel();
    let (mut refusals, mut count, place) = (2, 0, dir.path().to_owned());
    let server = Web::new(move |mut stream| {
        let head = header(&mut stream);
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        if target.contains("/resize") && refusals > 0 {
            refusals -= 1;
            let _ = stream.write_all(b"HTTP/1.1 500 Not Started\r\ncontent-length: 0\r\n\r\n");
        } else if target.contains("/resize") {
            heard.send(target).unwrap();
            count += 1;
            std::fs::write(place.join(count.to_string()), "").unwrap();
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        } else if target.ends_with("/json") {
            let body = r#"{"Running": false, "ExitCode": 42}"#;
            let length = body.len();
            let _ = stream
                .write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}").as_bytes());
        } else {
            std::thread::spawn(move || with_a_terminal_after_header(stream));
        }
    });
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/sizes.py");
    let run = program("python3", [script, "40x111", "24x80", stoop_e2e::binary().to_str().unwrap()]);
    let run = run.args(["http", &server.path, "POST", "/v1.41/exec/abc/start", "--upgrade", "tcp", "--tty"]);
    let run = run.env("SIZES_EXPECTED_CODE", "42").env("SIZES_DIRECTORY", dir.path()).run();
    let sizes: Vec<String> = sizes.try_iter().collect();
    assert_eq!(sizes, ["/v1.41/exec/abc/resize?h=40&w=111", "/v1.41/exec/abc/resize?h=24&w=80"]);
    run.ok();
}

#[test]
fn tty_requires_a_terminal() {
    let (server, requests) = Web::listening();
    let output = server.ask(&["POST", "/attach", "--upgrade", "tcp", "--tty"]).run();
    output.code(2).explains(&["--tty", "requires standard input"]);
    assert!(requests.try_recv().is_err(), "nobody was asked");
    server.ask(&["POST", "/attach", "--tty"]).run().code(2).explains(&["--upgrade"]);
}
