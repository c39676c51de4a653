//! `stoop http --tty`: the terminal is attached to the server, and restored afterwards.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use stoop_e2e::program;
use stoop_e2e::web::{Web, header};
use stoop_testkit::{has_program, skip};

/// Upgrades the connection as Docker does, echoes each byte in bold, and closes after a `q`.
fn with_a_terminal(mut stream: UnixStream) {
    header(&mut stream);
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

#[test]
fn tty_requires_a_terminal() {
    let (server, requests) = Web::listening();
    let output = server.ask(&["POST", "/attach", "--upgrade", "tcp", "--tty"]).run();
    output.code(2).explains(&["--tty", "requires standard input"]);
    assert!(requests.try_recv().is_err(), "nobody was asked");
    server.ask(&["POST", "/attach", "--tty"]).run().code(2).explains(&["--upgrade"]);
}
