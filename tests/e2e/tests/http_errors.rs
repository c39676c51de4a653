//! `stoop http` and servers that violate the protocol, speak another one, or do not exist: each
//! gets a specific error.

use std::fs;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixDatagram;

use stoop_e2e::web::{Web, answer, fails, header};
use stoop_e2e::{stoop, stoop_as};
use stoop_testkit::{NOBODY, is_root, public_tempdir, skip, tempdir};

#[test]
fn servers_of_other_protocols_are_detected() {
    let settings = b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64";
    let http2 = Web::new(move |mut stream| {
        let _ = stream.write_all(settings);
        header(&mut stream);
    });
    fails(http2.ask(&["/x"]).run(), 3, &["speaks HTTP/2 only", "next: stoop grpc", "/x --http2"]);
    let http1 = Web::answering("HTTP/1.1 400 Bad Request\r\n\r\n");
    fails(
        http1.ask(&["/x", "--http2"]).run(),
        3,
        &["speaks HTTP/1 only", "it sent 'HTTP/1.1 400 Bad Request'"],
    );
    let banner = Web::new(|mut stream| {
        let _ = stream.write_all(b"220 \x1b[31mmail\r\n");
        header(&mut stream);
    });
    for flags in [&["/"][..], &["/", "--http2"]] {
        let output = banner.ask(flags).run();
        assert!(!output.stderr.contains('\x1b'));
        fails(output, 3, &["does not speak HTTP", "it said '220 %1B[31mmail'", "next: stoop connect"]);
    }
    let silent = Web::new(|mut stream| drop(header(&mut stream)));
    let said =
        ["closed the connection without a response", "does not allow this user", "next: stoop connect"];
    let server = format!("the server is process {} (", std::process::id());
    fails(silent.ask(&["/"]).run(), 18, &[&said[..], &[&server]].concat());
}

#[test]
fn a_silent_server_is_timed_out() {
    let server = Web::new(std::mem::forget);
    for flags in [&["/", "--timeout", "200ms"][..], &["/", "--timeout", "200ms", "--http2"]] {
        fails(server.ask(flags).run(), 28, &["no response within 200ms", "next: stoop http"]);
    }
    let halting = Web::new(|mut stream| {
        header(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
        std::mem::forget(stream);
    });
    let output = halting.ask(&["/", "--timeout", "300ms"]).run();
    output.stdout_is(b"half");
    fails(output, 28, &["the response is not complete within 300ms"]);
}

#[test]
fn malformed_responses_are_rejected() {
    let malformed = [
        &b"HTTP/1.1 abc\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
    ];
    for answer in malformed {
        let server = Web::answering(answer);
        fails(server.ask(&["/"]).run(), 3, &["the response is malformed", "it sent 'HTTP/1.1"]);
    }
    let endless = [&b"HTTP/1.1 200 OK\r\nx: "[..], &vec![b'a'; 1 << 20], b"\r\n\r\n"].concat();
    fails(Web::answering(endless).ask(&["/"]).run(), 3, &["header is too large"]);
    for cut in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nshort\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\nshort",
    ] {
        let output = Web::answering(cut).ask(&["/"]).run();
        output.stdout_is(b"short");
        fails(output, 18, &["incomplete: received 5 "]);
    }
    fails(Web::answering("HTTP/1.1 200 OK\r\nx:").ask(&["/"]).run(), 18, &["incomplete"]);
}

/// A response that arrives while the request is still being sent is valid, whether the server
/// continues to read or closes.
#[test]
fn an_early_response_is_received() {
    let refusing = Web::new(|mut stream| {
        header(&mut stream);
        let _ = stream
            .write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 4\r\nconnection: close\r\n\r\nno!\n");
        let _ = stream.shutdown(Shutdown::Write);
    });
    let dir = tempdir();
    let file = dir.path().join("large");
    fs::File::create(&file).unwrap().set_len(64 << 20).unwrap();
    for _ in 0..10 {
        let output =
            refusing.ask(&["/", "--fail-with-body", "--data", &format!("@{}", file.display())]).run();
        output.stdout_is(b"no!\n");
        output.code(22);
    }
}

#[test]
fn sockets_that_cannot_be_connected_to_are_explained() {
    let dir = public_tempdir();
    let path = dir.path().join("d").to_str().unwrap().to_owned();
    let missing = stoop(["http", &path, "/"]).run();
    fails(missing, 7, &["ENOENT", "no server has created this file"]);
    let _datagram = UnixDatagram::bind(&path).unwrap();
    fails(stoop(["http", &path, "/"]).run(), 3, &["EPROTOTYPE", "datagram"]);
    if !is_root() {
        skip!("lacks root");
    }
    let server = Web::answering(answer("", b""));
    fs::set_permissions(&server.path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    fails(stoop_as(NOBODY, ["http", &server.path, "/"]).run(), 4, &["EACCES", "0600"]);
}

#[test]
fn unreadable_bodies_are_rejected_before_connecting() {
    let (server, requests) = Web::listening();
    for (data, words) in [("@/nowhere/x", "no such file"), ("@/", "directory")] {
        server.ask(&["/", "--data", data]).run().code(3).explains(&["cannot open '/", words]);
    }
    server.ask(&["version"]).run().code(2).explains(&["must start with '/'", "stoop http ADDR /version"]);
    assert!(requests.try_recv().is_err());
}
