//! Headers, compression, statuses, and the pages of a proxy.

use serde_json::json;
use stoop_e2e::Part::{Next, Seen, What, Why};
use stoop_e2e::{program, stoop};
use stoop_testkit::{deadline, has_program, skip, tempdir};

use super::talk::{LONG, PROTO, with_talk};

#[test]
fn a_server_that_compresses_is_read() {
    with_talk!(&["reflection", "gzip"], |talk| {
        let services = talk.grpc(&["list"]).run().ok().text();
        assert!(services.contains("stoop.test.Talk\n"), "{services}");
        let text = "a".repeat(2000);
        let request = json!({"text": text}).to_string();
        for compress in [&[][..], &["--compress", "gzip"], &["--compress", "deflate"]] {
            let answer = talk.grpc(compress).args(["-v", "--json-lines", "Say", &request]).run().ok();
            assert_eq!(answer.json()[0]["text"], text);
            assert!(answer.stderr.contains("< grpc-encoding: gzip\n"), "{}", answer.stderr);
        }
        talk.grpc(&["--compress", "br", "Say"]).run().code(2);
        let refused = talk.grpc(&["--h2c", "/session", "list"]).run().code(2);
        assert!(refused.stderr.contains("docker"), "{}", refused.stderr);
    });
}

#[test]
fn verbose_shows_headers_and_trailers() {
    with_talk!(&["reflection"], |talk| {
        let shown = talk.grpc(&["-v", "-H", "x-word: hi", "Metadata", "{}"]).run().ok();
        let lines: Vec<&str> = shown.stderr.lines().collect();
        assert_eq!(lines[..3], ["> POST /stoop.test.Talk/Metadata", "> x-word: hi", ">"]);
        for line in [
            "< content-type: application/grpc",
            "< x-word: hi",
            "< grpc-status: 0",
            "* sent 1 message, received 1",
        ] {
            assert!(lines.contains(&line), "{line}: {}", shown.stderr);
        }
        assert!(!shown.stderr.contains(" after "), "{}", shown.stderr);
        let timed = talk.grpc(&["-vv", "Say", "{}"]).run().ok();
        assert!(timed.stderr.contains("* call ended after "), "{}", timed.stderr);
        let failed = talk.grpc(&["-v", "Fail", "{}"]).run().code(67);
        assert!(
            failed.stderr.contains("< grpc-status: 3 (INVALID_ARGUMENT)\n< grpc-message: no: "),
            "{}",
            failed.stderr
        );
    });
}

#[test]
fn messages_are_text_on_demand() {
    with_talk!(&["reflection"], |talk| {
        let say = |words: &[&str]| talk.grpc(&["--format", "text"]).args(words);
        let answer = say(&["Say", "text: 'x' inner { number: 3 }"]).run().ok().text();
        assert_eq!(answer, "text: \"x\"\ninner {\n  number: 3\n}\n");
        assert_eq!(say(&["Say"]).run().ok().text(), "\n");
        let chat = say(&["Chat", "-", "--json-lines"]).input("text: 'a'\u{1e}text: 'b'\n").run().ok().text();
        assert_eq!(chat, "text:\"a\"\ntext:\"b\"\n");
        let wrong = say(&["Say", "txt: 1"]).run();
        wrong.fails(2, &[(What, "not a valid 'stoop.test.Word'"), (Why, "text format"), (Next, "describe")]);
        say(&["Say", "text: 'a'\u{1e}text: 'b'"]).run().fails(2, &[(What, "takes one message")]);
    });
}

#[test]
fn definitions_are_written_and_filled_in() {
    with_talk!(&["reflection"], |talk| {
        let set = talk.file("out.bin");
        talk.grpc(&["list", "-protoset-out"]).arg(&set).run().ok();
        let said =
            talk.grpc(&["-protoset"]).arg(&set).args(["Say", "{\"text\": \"x\"}", "--json-lines"]).run().ok();
        assert_eq!(said.text(), "{\"text\":\"x\"}\n");
        let described = talk.grpc(&["-msg-template", "describe", "Word"]).run().ok().text();
        let template = described.split("to be filled in:\n").nth(1).unwrap();
        assert!(
            template.contains("\"text\": \"\"") && template.contains("\"all\": [\n    \"\"\n  ]"),
            "{template}"
        );
        // What is printed can be sent.
        let filled = talk.grpc(&["Say", template]).run();
        filled.ok();
    });
}

/// What users of grpcurl type, as they type it.
#[test]
fn command_lines_of_grpcurl_work() {
    with_talk!(&["reflection"], |talk| {
        let path = talk.file("talk.sock");
        let grpc = |words: &[&str]| {
            stoop(["grpc", "--json-lines", "-plaintext", "-unix"]).args(words).env("WORD", "hi")
        };
        let path = path.to_str().unwrap();
        let listed = grpc(&[path, "list"]).run().ok().text();
        assert!(listed.contains("stoop.test.Talk\n"), "{listed}");
        // What files define is shown without a server.
        assert_eq!(grpc(&["-proto", PROTO, "list"]).run().ok().text(), "stoop.test.Talk\n");
        let described = stoop(["grpc", "--proto", PROTO, "describe", "Word.Mood"]).run().ok().text();
        assert!(described.contains("LOUD = 1;"), "{described}");
        let said = |words: &[&str]| grpc(words).input(r#"{"text": "x"}"#).run().ok().json().remove(0);
        let x = json!({"text": "x"});
        assert_eq!(said(&["-d", r#"{"text": "x"}"#, path, "stoop.test.Talk/Say"]), x);
        assert_eq!(said(&["-d", "@", path, "stoop.test.Talk/Say"]), x);
        assert_eq!(
            said(&[
                "-d",
                "{\"text\": \"x\"}",
                "-max-time",
                "20",
                "-connect-timeout",
                "5.5",
                path,
                "stoop.test.Talk/Say"
            ]),
            x
        );
        assert_eq!(said(&["-allow-unknown-fields", "-d", r#"{"text": "x", "new": 1}"#, path, "Say"]), x);
        assert_eq!(said(&["-proto", PROTO, "-d", "@", path, "stoop.test.Talk.Say"]), x);
        let heard = |words: &[&str]| said(&[words, &[path, "Metadata", "{}"]].concat())["all"].clone();
        let headers = ["-rpc-header", "x-a: 1", "-reflect-header", "x-b: 2", "-H", "x-c: ${WORD}"];
        assert_eq!(heard(&headers), json!(["x-a=1", "x-c=${WORD}"]));
        assert_eq!(heard(&[&headers[..], &["-expand-headers"]].concat()), json!(["x-a=1", "x-c=hi"]));
        let unset = grpc(&["-expand-headers", "-H", "x-c: ${NO_SUCH}", path, "Metadata"]).run();
        unset.fails(2, &[(What, "'NO_SUCH' is not set")]);
        let tls = grpc(&["-cacert", "ca.pem", path, "list"]).run();
        tls.fails(2, &[(What, "no '-cacert', which is a flag of grpcurl"), (Why, "needs no TLS")]);
    });
}

/// A server of HTTP/2 whose answers depend on a header.
const PROXY: &str = "
const http2 = require('http2'), server = http2.createServer();
server.on('stream', (stream, headers) => {
  stream.resume();
  if (headers['x-case'] === 'status')
    return stream.respond({':status': 200, 'content-type': 'application/grpc', 'grpc-status': '4711'}, {endStream: true});
  if (headers['x-case'] === 'cut') {
    stream.respond({':status': 200, 'content-type': 'application/grpc'});
    return stream.end(Buffer.from([0, 0, 0, 0, 0]));
  }
  stream.respond({':status': Number(headers['x-case']), 'content-type': 'text/html'});
  stream.end('<html>busy</html>');
});
server.listen(process.argv[1], () => console.log('serving'));
";

#[test]
fn answers_of_a_proxy_are_told() {
    if !has_program("node") {
        skip!("lacks node");
    }
    deadline(LONG, || {
        let directory = tempdir();
        let path = directory.path().join("proxy.sock");
        let server = program("node", ["-e", PROXY]).arg(&path).spawn();
        server.wait_stdout("serving");
        let call = |case: &str| {
            let header = format!("x-case: {case}");
            stoop(["grpc"]).arg(&path).args(["--proto", PROTO, "Say", "{}", "-H", &header]).run()
        };
        for (case, next) in
            [("404", "stoop http"), ("502", "--wait"), ("503", "--wait"), ("401", "authorization")]
        {
            let what = format!("HTTP status {case}");
            call(case).fails(22, &[(What, &what), (Seen, "<html>busy</html>"), (Next, next)]);
        }
        call("200").fails(3, &[(What, "HTTP status 200 OK, content type 'text/html'")]);
        call("status").fails(66, &[(What, "returned 4711"), (Why, "gRPC does not define this code")]);
        call("cut").fails(18, &[(What, "ended without a status"), (Why, "may be incomplete")]);
    });
}
