//! How messages are written, also those that the mapping cannot express.

use super::*;
use crate::Schema;
use prost_reflect::prost::Message;

fn message(name: &str) -> DynamicMessage {
    DynamicMessage::new(Schema::builtin().pool().get_message_by_name(name).unwrap())
}

fn line(message: &DynamicMessage) -> String {
    Style { one_line: true, ..Style::default() }.text(message)
}

fn any(url: &str, bytes: Vec<u8>) -> DynamicMessage {
    let mut any = message("google.protobuf.Any");
    any.set_field_by_name("type_url", Value::String(url.into()));
    any.set_field_by_name("value", Value::Bytes(bytes.into()));
    any
}

#[test]
fn any_values_are_shown() {
    let mut exit = message("containerd.events.TaskExit");
    exit.set_field_by_name("container_id", Value::String("c1".into()));
    exit.set_field_by_name("pid", Value::U32(7));
    let shown = line(&any("containerd.events.TaskExit", exit.encode_to_vec()));
    assert_eq!(shown, r#"{"@type":"containerd.events.TaskExit","containerId":"c1","pid":7}"#);
    let json = line(&any("types.containerd.io/x/Spec", br#"{"a": [1]}"#.to_vec()));
    assert_eq!(json, r#"{"@type":"types.containerd.io/x/Spec","value":{"a": [1]}}"#);
    assert_eq!(line(&any("x/y", vec![0xff])), r#"{"@type":"x/y","value":"/w=="}"#);
    let mut time = message("google.protobuf.Timestamp");
    time.set_field_by_name("seconds", Value::I64(1));
    let shown = line(&any("type.googleapis.com/google.protobuf.Timestamp", time.encode_to_vec()));
    assert_eq!(
        shown,
        r#"{"@type":"type.googleapis.com/google.protobuf.Timestamp","value":"1970-01-01T00:00:01Z"}"#
    );
}

#[test]
fn json_inside_any_stays_on_one_line() {
    let shown = line(&any("x/Spec", b"{\r\n\t\"a\":\n1.10}\n".to_vec()));
    assert_eq!(shown, r#"{"@type":"x/Spec","value":{   "a": 1.10}}"#);
}

#[test]
fn a_type_url_with_a_leading_dot_is_unknown() {
    let inner = any("x/none", vec![0xff]).encode_to_vec();
    let shown = line(&any("x/google.protobuf.Any", inner.clone()));
    assert_eq!(shown, r#"{"@type":"x/google.protobuf.Any","value":{"@type":"x/none","value":"/w=="}}"#);
    for name in ["Any", "StringValue", "Timestamp"] {
        let dotted = any(&format!("x/.google.protobuf.{name}"), inner.clone());
        let shown = line(&dotted);
        assert_eq!(shown.matches("@type").count(), 1, "{shown}");
        assert_eq!(crate::json::read(&dotted.descriptor(), &shown).unwrap(), dotted);
    }
}

#[test]
fn any_nesting_is_limited() {
    let mut nested = any("x/y", vec![0xff]);
    for _ in 0..2000 {
        nested = any("google.protobuf.Any", nested.encode_to_vec());
    }
    assert!(line(&nested).contains("\"value\":\""));
}

#[test]
fn an_invalid_timestamp_is_shown_as_fields() {
    let mut time = message("google.protobuf.Timestamp");
    time.set_field_by_name("seconds", Value::I64(i64::MAX));
    assert_eq!(line(&time), format!("{{\"seconds\":\"{}\"}}", i64::MAX));
}

#[test]
fn defaults_are_emitted_on_request() {
    let mut response = message("runtime.v1.VersionResponse");
    response.set_field_by_name("runtime_name", Value::String("x".into()));
    assert_eq!(line(&response), r#"{"runtimeName":"x"}"#);
    let all = Style { one_line: true, emit_defaults: true, ..Style::default() };
    assert_eq!(
        all.text(&response),
        r#"{"version":"","runtimeName":"x","runtimeVersion":"","runtimeApiVersion":""}"#
    );
    let indented = "{\n  \"runtimeName\": \"x\"\n}";
    assert_eq!(Style::default().text(&response), indented);
}

#[test]
fn comments_help_a_human_reader() {
    let mut status = message("runtime.v1.ContainerStatus");
    status.set_field_by_name("created_at", Value::I64(1_700_000_000_000_000_001));
    let annotated = Style { annotated: true, ..Style::default() };
    let expected = "{\n  \"state\": \"CONTAINER_CREATED\",\n  \
        \"createdAt\": \"1700000000000000001\",  // 2023-11-14T22:13:20.000000001Z\n  \
        \"stopSignal\": \"RUNTIME_DEFAULT\"\n}";
    assert_eq!(annotated.text(&status), expected);
    let plain = "{\n  \"createdAt\": \"1700000000000000001\"\n}";
    assert_eq!(Style::default().text(&status), plain);
    assert_eq!(Style { one_line: true, ..annotated }.text(&status), line(&status));

    // Bytes that are text, in a list of others.
    let mut any = message("google.protobuf.BytesValue");
    any.set_field_by_name("value", Value::Bytes("hi\n".into()));
    assert_eq!(annotated.text(&any), "\"aGkK\"");
    let mut value = message("containerd.services.content.v1.ReadContentResponse");
    value.set_field_by_name("data", Value::Bytes("hi \"you\"\n".into()));
    let expected = "{\n  \"data\": \"aGkgInlvdSIK\"  // \"hi \\\"you\\\"\\n\"\n}";
    assert_eq!(annotated.text(&value), expected);
    value.set_field_by_name("offset", Value::I64(1));
    value.set_field_by_name("data", Value::Bytes("\u{1b}[1m".into()));
    assert!(!annotated.text(&value).contains("//"), "terminal controls");
}

#[test]
fn maps_are_sorted_and_enums_named() {
    let mut sandbox = message("runtime.v1.PodSandbox");
    let labels = ["b", "a"].map(|key| (MapKey::String(key.into()), Value::String("1".into())));
    sandbox.set_field_by_name("labels", Value::Map(labels.into_iter().collect()));
    sandbox.set_field_by_name("state", Value::EnumNumber(1));
    sandbox.set_field_by_name("created_at", Value::I64(5));
    let expected = r#"{"state":"SANDBOX_NOTREADY","createdAt":"5","labels":{"a":"1","b":"1"}}"#;
    assert_eq!(line(&sandbox), expected);
    sandbox.set_field_by_name("state", Value::EnumNumber(77));
    assert!(line(&sandbox).contains("\"state\":77"));
}
