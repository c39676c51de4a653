//! `Any`, and what the mapping cannot express.

use prost_reflect::{DynamicMessage, Value};

use super::{accepted, line, rejected};
use crate::Schema;
use crate::json::Style;

#[test]
fn any() {
    let url = |name: &str| format!("type.googleapis.com/{name}");
    let same = |text: String| {
        accepted("t.All", &[(&text, &text)]);
    };
    same(r#"{"any":{}}"#.into());
    same(format!(r#"{{"any":{{"@type":"{}"}}}}"#, url("google.protobuf.Empty")));
    same(format!(r#"{{"any":{{"@type":"{}","value":"1s"}}}}"#, url("google.protobuf.Duration")));
    same(format!(r#"{{"any":{{"@type":"{}","value":{{"a":1}}}}}}"#, url("google.protobuf.Struct")));
    same(format!(r#"{{"any":{{"@type":"{}","int":1}}}}"#, url("t.All")));
    let nested = url("google.protobuf.Any");
    same(format!(
        r#"{{"any":{{"@type":"{nested}","value":{{"@type":"{}","value":"1"}}}}}}"#,
        url("google.protobuf.Int64Value")
    ));
    same(r#"{"any":{"@type":"x/unknown","value":"/w=="}}"#.into());
    same(r#"{"any":{"@type":"pkg.Unknown","value":{"a":1.10}}}"#.into());
    // The type may follow, and an empty message may have an empty value.
    let empty = url("google.protobuf.Empty");
    accepted(
        "t.All",
        &[
            (
                &format!(r#"{{"any":{{"int":1,"@type":"{}"}}}}"#, url("t.All")),
                &format!(r#"{{"any":{{"@type":"{}","int":1}}}}"#, url("t.All")),
            ),
            (
                &format!(r#"{{"any":{{"@type":"{empty}","value":{{}}}}}}"#),
                &format!(r#"{{"any":{{"@type":"{empty}"}}}}"#),
            ),
        ],
    );
    rejected(
        "t.All",
        &[
            r#"{"any":{"value":""}}"#,
            r#"{"any":{"@type":"","value":""}}"#,
            r#"{"any":{"@type":"word","value":""}}"#,
            r#"{"any":{"@type":"x/y"}}"#,
            r#"{"any":{"@type":"x/y","value":"no base64"}}"#,
            r#"{"any":{"@type":1}}"#,
            r#"{"any":{"@type":"x/y","value":1}}"#,
            r#"{"any":{"@type":"x/y","value":"","more":1}}"#,
            r#"{"any":{"@type":"x/google.protobuf.Duration"}}"#,
            r#"{"any":{"@type":"x/t.All","none":1}}"#,
            r#"{"any":{"@type":"x/google.protobuf.Duration","value":"1s","more":1}}"#,
        ],
    );
}

#[test]
fn what_cannot_be_mapped_is_shown_and_said() {
    let any = |url: &str| {
        let mut any =
            DynamicMessage::new(Schema::builtin().pool().get_message_by_name("google.protobuf.Any").unwrap());
        any.set_field_by_name("type_url", Value::String(url.into()));
        any.set_field_by_name("value", Value::Bytes(vec![0xff].into()));
        any
    };
    let mut number =
        DynamicMessage::new(Schema::builtin().pool().get_message_by_name("google.protobuf.Value").unwrap());
    number.set_field_by_name("number_value", Value::F64(f64::NAN));
    let mut mask = DynamicMessage::new(
        Schema::builtin().pool().get_message_by_name("google.protobuf.FieldMask").unwrap(),
    );
    mask.set_field_by_name("paths", Value::List(vec![Value::String("fooBar".into())]));
    for (message, shown) in [
        (any("x/none"), r#"{"@type":"x/none","value":"/w=="}"#),
        (any(""), r#"{"@type":"","value":"/w=="}"#),
        (number, r#"{"numberValue":"NaN"}"#),
        (mask, r#"{"paths":["fooBar"]}"#),
    ] {
        assert_eq!(line(&message), shown);
        assert_eq!(Style::default().exact_text(&message), None, "{shown}");
    }
}
