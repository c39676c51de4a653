//! Errors of calls that cannot be made, or fail: what, why, what was seen, what to try.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use stoop_e2e::Part::{Next, Seen, What, Why};
use stoop_e2e::{LIMIT, Part, Run, stoop, stoop_as, wait_served};
use stoop_testkit::{NOBODY, TempDir, deadline, eventually, is_root, public_tempdir, skip};

use super::talk::{LONG, with_talk};

/// The expected text, and the part it is in.
type Parts<'p> = &'p [(Part, &'p str)];

#[test]
fn limits_are_enforced() {
    with_talk!(&["reflection"], |talk| {
        let large = talk.grpc(&["Large", r#"{"number": 5000000}"#]);
        large.run().fails(
            3,
            &[
                (What, "no response to 'stoop.test.Talk/Large'"),
                (What, "more than 4194304 bytes"),
                (Why, "its size is limited"),
                (Next, "--max-message 64M"),
            ],
        );
        let answer = talk.answer(&["Large", r#"{"number": 5000000}"#, "--max-message", "8M"]);
        assert!(answer["data"].as_str().unwrap().len() > 6_600_000);
        let slow = talk.grpc(&["Slow", r#"{"number": 20000}"#, "--timeout", "300ms"]);
        slow.run().fails(
            28,
            &[
                (What, "within 300ms"),
                (Why, "the server is busy"),
                (Seen, "the call has not ended"),
                (Next, "--timeout 1m"),
            ],
        );
        let patient = talk.grpc(&["Slow", r#"{"number": 10}"#, "--timeout", "20s"]).run();
        assert_eq!(patient.ok().text(), "{\n  \"number\": \"10\"\n}\n");
        let endless =
            talk.grpc(&["Count", r#"{"number": 100000}"#, "--timeout", "500ms", "--json-lines"]).run();
        let endless = endless.fails(28, &[(What, "within 500ms")]);
        assert!(endless.text().lines().count() > 3, "what has come by then is printed");
    });
}

#[test]
fn invalid_requests_are_rejected_before_sending() {
    with_talk!(&["reflection"], |talk| {
        let wrong: [(&[&str], i32, Parts); 6] = [
            (
                &["Say", "{\n  \"inner\": {\"txt\": 1}}"],
                2,
                &[
                    (What, "'stoop.test.Word' has no field 'txt'"),
                    (Seen, "at field 'inner.txt', line 2"),
                    (Why, "did you mean 'text'?"),
                    (Next, "describe stoop.test.Word"),
                ],
            ),
            (&["Say", r#"{"mood": "FURIOUS"}"#], 2, &[(Seen, "at field 'mood'"), (Next, "describe")]),
            (
                &["Sey"],
                2,
                &[
                    (What, "unknown method 'Sey'"),
                    (Why, "did you mean 'stoop.test.Talk/Say'?"),
                    (Seen, "the server's reflection (v1alpha)"),
                    (Next, "list"),
                ],
            ),
            (&["Say", "{} {}"], 2, &[(What, "takes one message")]),
            (&["Say", "@/no/such/file"], 3, &[(What, "cannot read '/no/such/file'")]),
            (&["--proto", "/no/such.proto", "list"], 2, &[(What, "cannot compile the schema")]),
        ];
        for (words, code, parts) in wrong {
            talk.grpc(words).run().fails(code, parts);
        }
        talk.grpc(&["-d", "", "Say"]).run().ok();
        talk.grpc(&["Say", "-"]).input("").run().fails(2, &[(What, "standard input has none")]);
        let third = talk.grpc(&["Chat", "-"]).input("{}{}{\"no\":1}").run();
        third.fails(2, &[(Seen, "message 3, field 'no'")]);
    });
}

/// The suggestion is the same command, with the same schema.
#[test]
fn suggested_commands_keep_the_schema_flags() {
    let directory = public_tempdir();
    let path = directory.path().join("nobody.sock");
    let set = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/talk.proto");
    let run = stoop(["grpc"]).arg(&path).args(["--proto", set, "Say", "{}"]).run();
    run.fails(7, &[(What, "ENOENT"), (Next, &format!("--proto {set} Say '{{}}' --wait 10s"))]);
}

/// A socket with a server that does not speak gRPC: `stoop serve` with these arguments.
fn another(words: &[&str]) -> (TempDir, stoop_e2e::Running, Run) {
    let directory = public_tempdir();
    let path = directory.path().join("other.sock");
    let server = stoop(["serve"]).args(words).arg(&path).spawn();
    wait_served(&path);
    let call = stoop(["grpc"]).arg(&path).arg("list");
    (directory, server, call)
}

#[test]
fn a_server_that_sends_first_is_detected() {
    let file = public_tempdir();
    let greeting = file.path().join("hello");
    std::fs::write(&greeting, "220 mail.example ESMTP\r\n").unwrap();
    let (_directory, _server, call) = another(&["--send", greeting.to_str().unwrap()]);
    let words = [
        (What, "cannot use gRPC with"),
        (What, "the server speaks another protocol"),
        (Why, "a gRPC server starts with its HTTP/2 settings"),
        (Seen, "220 mail.example"),
        (Next, "stoop connect"),
    ];
    call.run().fails(3, &words);
}

#[test]
fn a_server_that_may_not_allow_this_user_is_named() {
    let (_directory, server, call) = another(&["--allow-uid", "4000000000"]);
    let process = format!("the server is process {} (stoop) of this user", server.pid());
    // Whether it closes before or after it was sent something.
    call.run().explains(&["does not allow this user", &process, "next:"]);
}

#[test]
fn an_echo_server_is_detected() {
    let (_directory, _server, call) = another(&[]);
    call.run().fails(3, &[(Seen, "PRI * HTTP/2.0"), (Next, "stoop connect")]);
}

#[test]
fn a_silent_server_is_timed_out() {
    let (_directory, _server, call) = another(&["--discard"]);
    let words = [(What, "within 2s"), (Why, "waiting for something"), (Next, "--timeout 1m")];
    let output = call.args(["--timeout", "2s"]).run().fails(28, &words);
    output.explains(&["stoop: the server has not sent anything yet"]);
}

#[test]
fn an_http_1_server_is_detected() {
    let answer = "read line; printf 'HTTP/1.1 505 HTTP Version Not Supported\\r\\nConnection: close\\r\\n\\r\\n'; cat >/dev/null";
    let (_directory, _server, call) = another(&["--exec", answer]);
    let words = [
        (What, "the server does not speak HTTP/2"),
        (Why, "it is an HTTP/1 server"),
        (Seen, "it sent 'HTTP/1.1 505 HTTP Version Not Supported'"),
        (Next, "stoop http "),
    ];
    call.run().fails(3, &words);
}

#[test]
fn a_socket_of_another_kind_is_reported() {
    deadline(LONG, || {
        let directory = public_tempdir();
        let path = directory.path().join("log.sock");
        let _server = stoop(["recv"]).arg(format!("dgram:{}", path.display())).spawn();
        eventually(LIMIT, || path.exists());
        let words = [
            (What, "EPROTOTYPE"),
            (Why, "a datagram socket, and this was tried with a stream socket"),
            (Seen, "(stoop), datagram socket"),
            (Next, "--kind dgram"),
        ];
        stoop(["grpc"]).arg(&path).arg("list").run().fails(3, &words);
    });
}

#[test]
fn a_socket_without_permission_is_reported() {
    if !is_root() {
        skip!("lacks root");
    }
    let (directory, _server, _) = another(&["--mode", "600"]);
    let path = directory.path().join("other.sock");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let words = [(What, "permission denied (EACCES)"), (Why, "write"), (Seen, "0600"), (Next, "")];
    stoop_as(NOBODY, ["grpc"]).arg(&path).arg("list").run().fails(4, &words);
}

#[test]
fn an_unresolved_name_lists_the_addresses_tried() {
    let at = |endpoint| stoop(["grpc", "cri", "Version"]).env("CONTAINER_RUNTIME_ENDPOINT", endpoint).run();
    let nobody = at("unix:///no/such.sock").code(7);
    nobody.explains(&["CONTAINER_RUNTIME_ENDPOINT", "ENOENT"]);
    at("tcp://10.0.0.1:1")
        .fails(3, &[(What, "not a Unix socket"), (Why, "Unix sockets only"), (Next, "env -u")]);
    assert!(!Path::new("/no/such.sock").exists());
}

/// A connection is upgraded only by a server that agrees.
#[test]
fn an_upgrade_that_is_refused_is_explained() {
    let answer = "read line; printf 'HTTP/1.1 404 Not Found\\r\\nContent-Length: 8\\r\\n\\r\\nno route'; cat >/dev/null";
    let (_directory, _server, call) = another(&["--exec", answer]);
    let words = [
        (What, "the server does not upgrade the connection"),
        (Why, "it has no such path"),
        (Seen, "'POST /grpc' with 'HTTP/1.1 404 Not Found'"),
        (Next, "stoop http "),
    ];
    call.args(["--h2c", "/grpc"]).run().fails(22, &words);
    let (_directory, _server, call) = another(&[]);
    let echoed = [(What, "does not speak HTTP/1"), (Seen, "it sent 'P'"), (Next, "without an upgrade")];
    call.args(["--h2c", "/grpc"]).run().fails(3, &echoed);
    let (_directory, _server, call) = another(&["--exec", "read line"]);
    let closed =
        [(What, "the server closed the connection"), (Seen, "after 'POST /grpc'"), (Next, "stoop who")];
    call.args(["--h2c", "/grpc"]).run().fails(18, &closed);
}
