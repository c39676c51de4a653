//! The rules of protobuf's JSON mapping, one table for each.

mod any;

use prost_reflect::prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor, Value};

use super::{ParseOptions, Style, missing_required, read};
use crate::Schema;

const NEW: &str = r#"
syntax = "proto3";
package t;
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
enum Mood { CALM = 0; ANGRY = 1; option allow_alias = true; FURIOUS = 1; }
message All {
  int32 int = 1; int64 long = 2; uint32 uint = 3; uint64 ulong = 4;
  float float = 5; double double = 6; bool flag = 7; string text = 8; bytes raw = 9; Mood mood = 10;
  repeated int32 ints = 11; repeated Mood moods = 12; All inner = 13; optional int32 maybe = 14;
  oneof pick { string a = 15; int64 b = 16; google.protobuf.NullValue nothing = 17; }
  map<string, int32> by_text = 20; map<bool, int32> by_flag = 21; map<int32, int32> by_int = 22;
  map<uint64, int32> by_ulong = 23; map<string, google.protobuf.Value> values = 24;
  map<string, double> doubles = 25;
  google.protobuf.Any any = 30; google.protobuf.Timestamp time = 31; google.protobuf.Duration span = 32;
  google.protobuf.FieldMask mask = 33; google.protobuf.Struct object = 34; google.protobuf.Value value = 35;
  google.protobuf.ListValue list = 36; google.protobuf.Int64Value w_long = 37;
  google.protobuf.DoubleValue w_double = 38; google.protobuf.StringValue w_text = 39;
  google.protobuf.NullValue null = 40; repeated google.protobuf.Value r_value = 41;
  google.protobuf.FloatValue w_float = 42; string with_name = 43 [json_name = "@name"];
}
"#;

const OLD: &str = r#"
syntax = "proto2";
package o;
message Old {
  required int32 must = 1; optional string text = 2 [default = "x"]; optional Color color = 3;
  optional group Part = 4 { optional int32 a = 1; required int32 b = 2; }
  repeated Old kids = 5; map<string, Old> by_name = 6;
  enum Color { RED = 1; BLUE = 2; }
  extensions 100 to 199;
}
extend Old { optional string note = 100; repeated Old more = 101; }
"#;

fn message(name: &str) -> MessageDescriptor {
    let directory = stoop_testkit::tempdir();
    let files = [("new.proto", NEW), ("old.proto", OLD)].map(|(name, text)| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    });
    Schema::from_protos(&files, &[]).unwrap().pool().get_message_by_name(name).unwrap()
}

fn line(message: &DynamicMessage) -> String {
    Style { one_line: true, ..Style::default() }.text(message)
}

/// Checks that each text is accepted, and what the message is as JSON after it was sent.
fn accepted(name: &str, table: &[(&str, &str)]) {
    let descriptor = message(name);
    for (text, expected) in table {
        let read = read(&descriptor, text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let sent = DynamicMessage::decode(descriptor.clone(), &read.encode_to_vec()[..]).unwrap();
        assert_eq!(line(&sent), *expected, "{text}");
        assert!(super::read(&descriptor, expected).is_ok(), "{expected}");
    }
}

fn rejected(name: &str, table: &[&str]) {
    let descriptor = message(name);
    for text in table {
        assert!(read(&descriptor, text).is_err(), "{text}");
    }
}

#[test]
fn integers() {
    accepted(
        "t.All",
        &[
            (
                r#"{"int":1e5,"uint":"1.0","long":"-9223372036854775808"}"#,
                r#"{"int":100000,"long":"-9223372036854775808","uint":1}"#,
            ),
            (
                r#"{"ulong":18446744073709551615,"int":"1e2"}"#,
                r#"{"int":100,"ulong":"18446744073709551615"}"#,
            ),
            (r#"{"int":0,"maybe":0,"ints":[0,"1"]}"#, r#"{"ints":[0,1],"maybe":0}"#),
        ],
    );
    rejected(
        "t.All",
        &[
            r#"{"int":0.5}"#,
            r#"{"int":2147483648}"#,
            r#"{"uint":-1}"#,
            r#"{"int":" 1"}"#,
            r#"{"int":""}"#,
            r#"{"int":"0x1"}"#,
            r#"{"int":true}"#,
            r#"{"ulong":18446744073709551616}"#,
            r#"{"int":[1]}"#,
            r#"{"int":01}"#,
            r#"{"int":"1 2"}"#,
            r#"{"long":"9223372036854775808"}"#,
        ],
    );
}

#[test]
fn fractions() {
    accepted(
        "t.All",
        &[
            (r#"{"float":3.4028235e+38,"double":"-0.0"}"#, r#"{"float":3.4028235e+38,"double":-0.0}"#),
            (
                r#"{"float":3.4028234663852886e38,"double":5e-324}"#,
                r#"{"float":3.4028235e+38,"double":5e-324}"#,
            ),
            (r#"{"float":"NaN","double":"-Infinity"}"#, r#"{"float":"NaN","double":"-Infinity"}"#),
            (r#"{"wDouble":"NaN","wFloat":"Infinity"}"#, r#"{"wDouble":"NaN","wFloat":"Infinity"}"#),
            (r#"{"wDouble":-0.0,"doubles":{"a":-0.0}}"#, r#"{"doubles":{"a":-0.0},"wDouble":-0.0}"#),
            (r#"{"wDouble":0,"double":0.0,"float":-0}"#, r#"{"float":-0.0,"wDouble":0}"#),
            (
                r#"{"double":0.30000000000000004,"float":0.1}"#,
                r#"{"float":0.1,"double":0.30000000000000004}"#,
            ),
        ],
    );
    rejected(
        "t.All",
        &[
            r#"{"float":3.5e38}"#,
            r#"{"double":1e309}"#,
            r#"{"double":"-1e309"}"#,
            r#"{"double":NaN}"#,
            r#"{"double":"nan"}"#,
            r#"{"double":"inf"}"#,
            r#"{"double":"1.5 "}"#,
            r#"{"double":""}"#,
        ],
    );
}

#[test]
fn texts_bytes_and_enums() {
    accepted(
        "t.All",
        &[
            (r#"{"raw":"-_8"}"#, r#"{"raw":"+/8="}"#),
            (r#"{"raw":"AQI=","text":"\ud83d\ude00"}"#, r#"{"text":"😀","raw":"AQI="}"#),
            (
                r#"{"mood":"FURIOUS","moods":[1,"CALM",77]}"#,
                r#"{"mood":"ANGRY","moods":["ANGRY","CALM",77]}"#,
            ),
            (r#"{"@name":"n"}"#, r#"{"@name":"n"}"#),
            (r#"{"with_name":"n"}"#, r#"{"@name":"n"}"#),
        ],
    );
    rejected(
        "t.All",
        &[
            r#"{"raw":"!"}"#,
            r#"{"text":1}"#,
            r#"{"text":"\ud800"}"#,
            r#"{"text":"\udc00\ud800"}"#,
            r#"{"mood":"calm"}"#,
            r#"{"mood":1.5}"#,
            r#"{"flag":"true"}"#,
            r#"{"flag":1}"#,
            r#"{'text':"a"}"#,
            r#"{"text":"a",}"#,
            r#"{"text":"a"} {}"#,
            "[]",
            "null",
            "",
        ],
    );
}

#[test]
fn each_field_occurs_once() {
    rejected(
        "t.All",
        &[
            r#"{"int":1,"int":1}"#,
            r#"{"by_text":{},"byText":{}}"#,
            r#"{"a":"x","b":1}"#,
            r#"{"a":"x","nothing":null}"#,
            r#"{"byText":{"a":1,"a":2}}"#,
            r#"{"object":{"a":1,"a":2}}"#,
            r#"{"any":{"@type":"x/y","@type":"x/z","value":""}}"#,
        ],
    );
    let error = read(&message("t.All"), "{\n \"by_text\": {},\n \"byText\": {}}").unwrap_err();
    assert_eq!(error.to_string(), "'by_text' and 'byText' are the same field");
    assert_eq!((error.path(), error.place()), ("byText", Some((3, 2))));
}

#[test]
fn null_is_an_absent_field() {
    accepted(
        "t.All",
        &[
            (r#"{"int":null,"inner":null,"ints":null,"byText":null,"any":null,"wLong":null}"#, "{}"),
            (r#"{"a":null,"b":1}"#, r#"{"b":"1"}"#),
            (
                r#"{"value":null,"rValue":[null],"values":{"a":null}}"#,
                r#"{"values":{"a":null},"value":null,"rValue":[null]}"#,
            ),
            (r#"{"nothing":null}"#, r#"{"nothing":null}"#),
            (r#"{"nothing":0,"null":"NULL_VALUE"}"#, r#"{"nothing":null}"#),
        ],
    );
    rejected("t.All", &[r#"{"ints":[null]}"#, r#"{"byText":{"a":null}}"#, r#"{"moods":[null]}"#]);
}

#[test]
fn map_keys() {
    accepted(
        "t.All",
        &[
            (r#"{"byFlag":{"true":1,"false":2}}"#, r#"{"byFlag":{"false":2,"true":1}}"#),
            (
                r#"{"byInt":{"-1":0},"byUlong":{"18446744073709551615":3}}"#,
                r#"{"byInt":{"-1":0},"byUlong":{"18446744073709551615":3}}"#,
            ),
            (r#"{"byText":{"":0,"é":1}}"#, r#"{"byText":{"":0,"é":1}}"#),
        ],
    );
    rejected(
        "t.All",
        &[r#"{"byFlag":{"1":1}}"#, r#"{"byInt":{"a":1}}"#, r#"{"byInt":{"":1}}"#, r#"{"byUlong":{"-1":1}}"#],
    );
}

#[test]
fn well_known_types() {
    accepted(
        "t.All",
        &[
            (
                r#"{"time":"9999-12-31T23:59:59.999999999Z","span":"-0.500s"}"#,
                r#"{"time":"9999-12-31T23:59:59.999999999Z","span":"-0.500s"}"#,
            ),
            (r#"{"mask":"a.fooBar,b"}"#, r#"{"mask":"a.fooBar,b"}"#),
            (r#"{"mask":"","object":{},"list":[]}"#, r#"{"mask":"","object":{},"list":[]}"#),
            (r#"{"object":{"a":[1,{"b":null},"x",true]}}"#, r#"{"object":{"a":[1,{"b":null},"x",true]}}"#),
            (r#"{"wLong":"5","wText":""}"#, r#"{"wLong":"5","wText":""}"#),
        ],
    );
    rejected(
        "t.All",
        &[
            r#"{"time":"1970-01-01T00:00:60Z"}"#,
            r#"{"time":0}"#,
            r#"{"span":"1"}"#,
            r#"{"span":1}"#,
            r#"{"mask":"foo_bar"}"#,
            r#"{"object":[]}"#,
            r#"{"list":{}}"#,
            r#"{"value":1e999}"#,
            r#"{"wLong":{}}"#,
        ],
    );
}

#[test]
fn proto2() {
    accepted(
        "o.Old",
        &[
            (r#"{"must":0,"text":"x","color":"BLUE"}"#, r#"{"must":0,"text":"x","color":"BLUE"}"#),
            (r#"{"must":1,"part":{"a":1,"b":2}}"#, r#"{"must":1,"part":{"a":1,"b":2}}"#),
            (
                r#"{"must":1,"[o.note]":"n","[o.more]":[{"must":2}]}"#,
                r#"{"must":1,"[o.note]":"n","[o.more]":[{"must":2}]}"#,
            ),
        ],
    );
    // The numbers of a proto2 enum are closed.
    rejected("o.Old", &[r#"{"color":9}"#, r#"{"[o.none]":1}"#, r#"{"[o.note]":"a","[o.note]":"b"}"#]);
    let text = r#"{"part":{},"kids":[{"must":1},{}],"byName":{"x":{}},"[o.more]":[{}]}"#;
    let missing = missing_required(&read(&message("o.Old"), text).unwrap());
    assert_eq!(missing, ["must", "part.b", "kids[1].must", "byName.x.must", "[o.more][0].must"]);
}

#[test]
fn nesting_is_limited() {
    let nested =
        |depth: usize, open: &str, close: &str| format!("{}{}", open.repeat(depth), close.repeat(depth));
    let descriptor = message("t.All");
    assert!(read(&descriptor, &nested(99, r#"{"inner":"#, "}").replace(":}", ":{}}")).is_ok());
    for text in [
        nested(200, r#"{"inner":"#, "}").replace(":}", ":{}}"),
        format!(r#"{{"value":{}}}"#, nested(100_000, "[", "]")),
        format!(r#"{{"value":{}}}"#, nested(200, r#"{"a":"#, "}").replace(":}", ":{}}")),
    ] {
        let error = read(&descriptor, &text).unwrap_err();
        assert!(error.to_string().contains("nested"), "{error}");
    }
}

#[test]
fn unknown_names_are_discarded_on_request() {
    let descriptor = message("t.All");
    let text = r#"{"none":{"a":[1]},"moods":["CALM","NONE"],"mood":"NONE","int":1,"[x.y]":2}"#;
    assert!(read(&descriptor, text).is_err());
    let read = ParseOptions { discard_unknown: true }.read(&descriptor, text).unwrap();
    assert_eq!(line(&read), r#"{"int":1,"moods":["CALM"]}"#);
    assert!(ParseOptions { discard_unknown: true }.read(&descriptor, r#"{"int":"x"}"#).is_err());
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_rejected(text in r#"[{}\[\]",:a-z0-9 \\.@/-]{0,60}"#) {
        let descriptor = Schema::builtin().pool().get_message_by_name("google.protobuf.Value").unwrap();
        if let Ok(message) = read(&descriptor, &text) {
            let written = Style::default().exact_text(&message).unwrap();
            proptest::prop_assert_eq!(read(&descriptor, &written).unwrap(), message);
        }
    }

    #[test]
    fn floats_survive(bits: u64) {
        let descriptor = message_of_floats();
        let mut message = DynamicMessage::new(descriptor.clone());
        message.set_field_by_name("value", Value::F64(f64::from_bits(bits)));
        let back = read(&descriptor, &line(&message)).unwrap();
        let back = back.get_field_by_name("value").unwrap().as_f64().unwrap();
        let expected = f64::from_bits(bits);
        proptest::prop_assert!(back.to_bits() == bits || back.is_nan() && expected.is_nan());
    }
}

fn message_of_floats() -> MessageDescriptor {
    Schema::builtin().pool().get_message_by_name("google.protobuf.DoubleValue").unwrap()
}
