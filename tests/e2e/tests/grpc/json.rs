//! Messages as JSON: what is added for a human reader, and what a message must have.

use stoop_e2e::Part::{Next, What, Why};
use stoop_e2e::{binary, program};

use crate::talk::with_talk;

/// The service of the peer, with other messages: of proto2, with required fields.
const OTHER: &str = r#"
syntax = "proto2";
package stoop.test;
message Ask { required string text = 1; repeated Ask inner = 15; }
message Reply { optional string text = 1; required int32 never = 99; }
service Talk { rpc Say(Ask) returns (Reply); rpc Chat(stream Ask) returns (stream Ask); }
"#;

#[test]
fn comments_are_for_a_terminal_alone() {
    with_talk!(&["reflection"], |talk| {
        let word = r#"{"data": "aGkK"}"#;
        let shown = |flags: &[&str]| {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/shown.py");
            let run = program("python3", [script]).arg(binary()).arg("grpc").arg(talk.file("talk.sock"));
            run.args(["Say", word]).args(flags).run().ok().text().replace('\r', "")
        };
        assert_eq!(shown(&[]), "{\n  \"data\": \"aGkK\",  // \"hi\\n\"\n  \"mood\": \"CALM\"\n}\n");
        let exact = "{\n  \"data\": \"aGkK\"\n}\n";
        assert_eq!(shown(&["--raw"]), exact);
        assert_eq!(shown(&["--json-lines"]), "{\"data\":\"aGkK\"}\n");
        assert_eq!(talk.grpc(&["Say", word]).run().ok().text(), exact);
    });
}

#[test]
fn missing_required_fields_are_named() {
    with_talk!(&["reflection"], |talk| {
        let file = talk.file("other.proto");
        std::fs::write(&file, OTHER).unwrap();
        let call = |arguments: &[&str]| talk.grpc(&["--proto"]).arg(&file).args(arguments).run();
        let lacks = "it lacks the required fields 'text', 'inner[1].text'";
        let parts = [(What, lacks), (Why, "requires"), (Next, "describe stoop.test.Ask")];
        call(&["Say", r#"{"inner": [{"text": "a"}, {}]}"#]).fails(2, &parts);
        let lacks = [(What, "it lacks the required field 'text'")];
        call(&["Chat", "{}"]).fails(2, &lacks);
        // The reply is shown, and what it lacks is said.
        let reply = call(&["Say", r#"{"text": "a"}"#, "--json-lines"]);
        let reply =
            reply.fails(3, &[(What, "it lacks the required field 'never'"), (Next, "stoop.test.Reply")]);
        assert_eq!(reply.text(), "{\"text\":\"a\"}\n");
    });
}
