//! `stoop grpc` against a server of another project.
//!
//! | file | contents |
//! |---|---|
//! | `talk.rs` | that server |
//! | `json.rs` | what JSON has for a human reader, required fields |
//! | `random_json.rs` | the JSON mapping, compared with protobuf's own |
//! | `errors.rs` | errors of calls that cannot be made, or fail |
//! | `without_reflection.rs` | servers without reflection |
//! | `wire.rs` | headers, compression, statuses, proxies |

mod errors;
mod json;
mod random_json;
mod talk;
mod wire;
mod without_reflection;

use std::path::Path;

use serde_json::json;
use stoop_dynamic::Schema;
use stoop_e2e::stoop;
use stoop_testkit::{deadline, tempdir};
use talk::{LONG, PROTO, Talk, with_talk};
use tonic::service::Routes;

#[test]
fn services_are_listed_by_reflection() {
    with_talk!(&["reflection"], |talk| {
        let services = talk.grpc(&["list"]).run().ok().text();
        assert_eq!(services, "grpc.reflection.v1alpha.ServerReflection\nstoop.test.Talk\n");
        assert_eq!(talk.grpc(&[]).run().ok().text(), services);
        let methods = talk.grpc(&["list", "Talk"]).run().ok().text();
        assert!(methods.starts_with("stoop.test.Talk/Say\nstoop.test.Talk/Count\n"), "{methods}");
        let lines = talk.grpc(&["list", "--json"]).run().ok().json();
        let chat = lines.iter().find(|line| line["name"] == "stoop.test.Talk/Chat").unwrap();
        let expected = json!({
            "schema": 1, "event": "method", "name": "stoop.test.Talk/Chat",
            "request": "stoop.test.Word", "response": "stoop.test.Word",
            "client_streaming": true, "server_streaming": true,
        });
        assert_eq!(*chat, expected);
        let definition = talk.grpc(&["describe", "Talk", "--json"]).run().ok().json().remove(0);
        assert_eq!(
            (&definition["event"], &definition["name"]),
            (&json!("definition"), &json!("stoop.test.Talk"))
        );
        let word = talk.grpc(&["describe", "Word"]).run().ok().text();
        assert!(
            word.contains("  map<string, int32> by_name = 6;\n") && word.contains("  oneof either {\n"),
            "{word}"
        );
    });
}

/// A server of this project: its own reflection is of the newer version.
#[test]
fn services_of_a_stoop_grpc_server_are_listed() {
    deadline(LONG, || {
        let directory = tempdir();
        let path = directory.path().join("app.sock");
        let endpoint: stoop_grpc::Endpoint = path.to_str().unwrap().parse().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let incoming = runtime.block_on(endpoint.listen(|bind| bind)).unwrap();
        let health = Schema::builtin().pool().get_file_by_name("grpc/health/v1/health.proto").unwrap();
        // A set of one file: field 1.
        let file = health.encode_to_vec();
        let mut set = vec![0x0a, (file.len() & 0x7f | 0x80) as u8, (file.len() >> 7 & 0x7f | 0x80) as u8];
        set.push((file.len() >> 14) as u8);
        set.extend(file);
        let (_reporter, routes) = runtime.block_on(async { stoop_grpc::health(Routes::default()) });
        let routes = stoop_grpc::reflection(routes, &[&set]).unwrap();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let server = runtime.spawn(stoop_grpc::Server::new(routes).serve(incoming, ended));
        let grpc = |arguments: &[&str]| stoop(["grpc"]).arg(&path).args(arguments);
        let services = grpc(&["list"]).run().ok().text();
        assert!(services.contains("grpc.health.v1.Health\n"), "{services}");
        let unknown = grpc(&["Nothing"]).run().code(2);
        assert!(unknown.stderr.contains("the server's reflection (v1)"), "{}", unknown.stderr);
        assert_eq!(grpc(&["Check", "--json-lines"]).run().ok().text(), "{\"status\":\"SERVING\"}\n");
        let missing = grpc(&["Check", r#"{"service": "no.Such"}"#]).run().code(69);
        assert!(missing.stderr.contains("NOT_FOUND"), "{}", missing.stderr);
        let watch = grpc(&["Watch", "--json-lines"]).spawn();
        watch.wait_stdout("SERVING");
        drop((watch, end));
        runtime.block_on(server).unwrap().unwrap();
    });
}

#[test]
fn each_kind_of_method_is_called() {
    with_talk!(&["reflection"], |talk| {
        assert_eq!(talk.answer(&["Say", r#"{"text":"grüezi"}"#]), json!({"text": "grüezi"}));
        assert_eq!(talk.answer(&["stoop.test.Talk/Say"]), json!({}));
        let count =
            talk.grpc(&["Talk/Count", r#"{"text":"x","number":3}"#, "--json-lines"]).run().ok().text();
        assert_eq!(
            count,
            "{\"text\":\"x\"}\n{\"text\":\"x\",\"number\":\"1\"}\n{\"text\":\"x\",\"number\":\"2\"}\n"
        );
        let words = "{\"text\":\"a\"}\n{\"text\":\"b\"}{\"text\":\"c\"}";
        assert_eq!(talk.answer(&["Join", words]), json!({"text": "abc"}));
        let joined = talk.grpc(&["Join"]).input(words).run().ok().text();
        assert_eq!(joined, "{\n  \"text\": \"abc\"\n}\n");
        std::fs::write(talk.file("words.json"), words).unwrap();
        let file = format!("@{}", talk.file("words.json").display());
        let chat = talk.grpc(&["Chat", &file, "--json-lines"]).run().ok().text();
        assert_eq!(chat, "{\"text\":\"a\"}\n{\"text\":\"b\"}\n{\"text\":\"c\"}\n");
    });
}

#[test]
fn bidirectional_messages_are_not_delayed() {
    with_talk!(&["reflection"], |talk| {
        let mut chat = talk.grpc(&["Chat", "-", "--json-lines"]).open_input().spawn();
        for word in ["one", "two", "three"] {
            chat.say(format!("{{\"text\":\"{word}\"}}"));
            chat.wait_stdout(word);
        }
        chat.end_input();
        assert_eq!(chat.finish().ok().text().lines().count(), 3);
    });
}

#[test]
fn schemas_are_read_from_files() {
    with_talk!(&[], |talk| {
        let by_proto = talk.answer(&["--proto", PROTO, "Say", r#"{"mood":"LOUD"}"#]);
        assert_eq!(by_proto, json!({"mood": "LOUD"}));
        let peers = Path::new(PROTO).parent().unwrap().to_str().unwrap();
        assert_eq!(talk.answer(&["-I", peers, "--proto", "talk.proto", "Say"]), json!({}));
        let set = talk.file("talk.bin");
        assert_eq!(talk.answer(&["--descriptor-set", set.to_str().unwrap(), "Say"]), json!({}));
        // With comments, because the source is available.
        let say = talk.grpc(&["--proto", PROTO, "describe", "Talk/Say"]).run().ok().text();
        assert!(
            say.starts_with("// Says the same again.\nrpc Say(stoop.test.Word) returns (stoop.test.Word);\n")
        );
        // It has no built-in definitions.
        let unknown = talk.grpc(&["Talk/Say"]).run().code(2);
        assert!(unknown.stderr.contains("unknown method 'Talk/Say'"), "{}", unknown.stderr);
        // UNIMPLEMENTED is a status from the server, and its number is 12.
        let health = talk.grpc(&["Health/Check"]).run().code(76);
        assert!(health.stderr.contains("UNIMPLEMENTED"), "{}", health.stderr);
    });
}

#[test]
fn json_is_as_protobuf_maps_it() {
    with_talk!(&["reflection"], |talk| {
        let word = json!({
            "text": "a\u{7f}\u{9b}\n", "number": "-9223372036854775808", "data": "/wA=", "mood": "LOUD",
            "all": ["x", ""], "byName": {"a": 1, "b": -2}, "at": "2001-02-03T04:05:06.700Z", "lasts": "-1.500s",
            "any": {"@type": "type.googleapis.com/stoop.test.Word", "text": "inside"},
            "anything": {"a": [null, true, {"b": 1.5}]}, "maybe": "", "ratio": "NaN", "right": 7,
            "inner": {"inner": {"left": ""}}, "set": 0,
        });
        assert_eq!(talk.answer(&["Say", &word.to_string()]), word);
        // Values with several JSON representations.
        let loose = r#"{"number": 5, "by_name": {"x": "100"}, "mood": 1, "ratio": "1.5", "data": "_w", "text": null}"#;
        let strict =
            json!({"number": "5", "byName": {"x": 100}, "mood": "LOUD", "ratio": 1.5, "data": "/w=="});
        assert_eq!(talk.answer(&["Say", loose]), strict);
        let all = talk.answer(&["Say", "--emit-defaults"]);
        assert_eq!((&all["text"], &all["number"], &all["all"]), (&json!(""), &json!("0"), &json!([])));
        assert!(all.get("inner").is_none() && all.get("set").is_none(), "{all}");
    });
}

#[test]
fn metadata_is_sent_and_received() {
    with_talk!(&["reflection"], |talk| {
        let pairs = ["-H", "X-Word: hello there", "--header", "x-some-bin:/wA="];
        let output = talk.grpc(&pairs).args(["Metadata", "--include", "--json-lines"]).run().ok();
        assert!(
            output.text().contains(r#""x-some-bin=b'\\xff\\x00'","x-word=hello there""#),
            "{}",
            output.text()
        );
        let shown = output.stderr.lines().filter(|line| *line == "< x-word: hello there").count();
        assert_eq!(shown, 2, "in front and behind: {}", output.stderr);
        let wrong = talk.grpc(&["-H", "no colon", "Say"]).run().code(2);
        assert!(wrong.stderr.contains("invalid metadata 'no colon'"), "{}", wrong.stderr);
    });
}

#[test]
fn an_error_status_is_reported_with_its_details() {
    with_talk!(&["reflection"], |talk| {
        let output = talk.grpc(&["Fail", r#"{"text":"x"}"#]).run().code(67);
        let said = &output.stderr;
        assert!(said.starts_with("error: 'stoop.test.Talk/Fail' returned INVALID_ARGUMENT: no: "), "{said}");
        assert!(said.contains("%1B[31m100 % ü"), "a terminal is safe from it: {said}");
        assert!(said.contains(r#""reason":"TEST","domain":"stoop.test","metadata":{"word":"x"}}"#), "{said}");
        assert!(said.contains(r#""fieldViolations":[{"field":"text","description":"too short"}]"#), "{said}");
        assert!(said.contains(r#"{"@type":"stoop.test/Unknown","value":"/w=="}"#), "{said}");
    });
}

#[test]
fn as_json_a_call_ends_with_its_status() {
    with_talk!(&["reflection"], |talk| {
        let count = talk.grpc(&["Count", r#"{"number":2}"#, "--json"]).run().ok().json();
        assert_eq!(count[0], json!({"schema": 1, "event": "reply", "message": {}}));
        assert_eq!(count[1]["message"], json!({"number": "1"}));
        let status = json!({
            "schema": 1, "event": "status", "code": 0, "name": "OK", "text": "", "details": [],
            "headers": {}, "trailers": {},
        });
        assert_eq!(count[2..], [status]);
        let metadata = talk.grpc(&["-H", "x-a: 1", "-H", "x-a: 2", "Metadata", "--json"]).run().ok().json();
        let both = json!({"x-a": ["1", "2"]});
        assert_eq!((&metadata[1]["headers"], &metadata[1]["trailers"]), (&both, &both));
        let failed = talk.grpc(&["Fail", "--json"]).run().code(67);
        assert!(failed.stderr.contains("INVALID_ARGUMENT"));
        let status = failed.json().remove(0);
        assert_eq!((&status["code"], &status["name"]), (&json!(3), &json!("INVALID_ARGUMENT")));
        assert_eq!(status["details"][0]["reason"], "TEST");
    });
}

/// A server that has not started yet, and one that closes in the middle.
#[test]
fn a_server_that_starts_late_or_exits_is_handled() {
    with_talk!(&["reflection"], |talk| {
        let mut count = talk.grpc(&["Count", r#"{"number": 100000}"#, "--json-lines"]).spawn();
        count.wait_stdout("\"number\":\"3\"");
        assert!(count.is_running());
        let Talk { directory, _server: server } = talk;
        server.kill();
        let broken = count.finish().code(18);
        assert!(broken.stderr.contains("no response to 'stoop.test.Talk/Count'"), "{}", broken.stderr);
        let path = directory.path().join("talk.sock");
        let gone = stoop(["grpc"]).arg(&path).arg("list").run().code(7);
        assert!(gone.stderr.contains("connection refused"), "{}", gone.stderr);
    });
}
