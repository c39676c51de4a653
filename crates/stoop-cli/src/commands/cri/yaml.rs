//! YAML, as JSON values. Pure.

use saphyr::{LoadableYamlNode, Mapping, Scalar, Yaml, YamlEmitter};
use serde_json::{Map, Number, Value};

/// Parses a document: JSON, or YAML. The error is one line.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    // Most JSON is YAML, but not all, and its own errors are better.
    let json = serde_json::from_str(text);
    if json.is_ok() || text.trim_start().starts_with('{') {
        return json.map_err(|error| error.to_string());
    }
    let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
    match &documents[..] {
        [one] => value_of(one),
        [] => Err("it is empty".into()),
        _ => Err(format!("it has {} documents; one is expected", documents.len())),
    }
}

fn value_of(yaml: &Yaml<'_>) -> Result<Value, String> {
    Ok(match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(flag)) => Value::Bool(*flag),
        Yaml::Value(Scalar::Integer(number)) => Value::from(*number),
        Yaml::Value(Scalar::FloatingPoint(number)) => {
            let number = Number::from_f64(number.into_inner()).ok_or("it has a number that is not finite")?;
            Value::Number(number)
        }
        Yaml::Value(Scalar::String(text)) => Value::String(text.to_string()),
        Yaml::Sequence(values) => values.iter().map(value_of).collect::<Result<Vec<_>, _>>()?.into(),
        Yaml::Mapping(members) => object_of(members)?,
        Yaml::Tagged(_, value) => value_of(value)?,
        _ => return Err("it has an alias or an invalid value".into()),
    })
}

fn object_of(members: &Mapping<'_>) -> Result<Value, String> {
    let mut object = Map::new();
    for (key, value) in members {
        let key = match key {
            Yaml::Value(Scalar::String(text)) => text.to_string(),
            Yaml::Value(Scalar::Integer(number)) => number.to_string(),
            Yaml::Value(Scalar::Boolean(flag)) => flag.to_string(),
            _ => return Err("it has a key that is not text".into()),
        };
        object.insert(key, value_of(value)?);
    }
    Ok(object.into())
}

/// Formats a value as a document, with a newline at the end.
pub(super) fn text(value: &Value) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = YamlEmitter::new(&mut text).dump(&yaml_of(value));
    let text = text.strip_prefix("---\n").unwrap_or(&text);
    if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

fn yaml_of(value: &Value) -> Yaml<'_> {
    match value {
        Value::Null => Yaml::Value(Scalar::Null),
        Value::Bool(flag) => Yaml::Value(Scalar::Boolean(*flag)),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Yaml::Value(Scalar::Integer(number)),
            None => Yaml::Value(Scalar::FloatingPoint(number.as_f64().unwrap_or_default().into())),
        },
        Value::String(text) => Yaml::Value(Scalar::String(text.as_str().into())),
        Value::Array(values) => Yaml::Sequence(values.iter().map(yaml_of).collect()),
        Value::Object(members) => Yaml::Mapping(
            members
                .iter()
                .map(|(key, value)| (Yaml::Value(Scalar::String(key.as_str().into())), yaml_of(value)))
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn yaml_and_json_are_parsed() {
        let expected =
            json!({"metadata": {"name": "web", "attempt": 1}, "command": ["sh", "-c"], "tty": true});
        let yaml = "# a pod\nmetadata:\n  name: web\n  attempt: 1\ncommand: [sh, -c]\ntty: true\n";
        assert_eq!(parse(yaml), Ok(expected.clone()));
        assert_eq!(parse(&expected.to_string()), Ok(expected));
        assert_eq!(parse("labels:\n  a: '1'\n  2: b"), Ok(json!({"labels": {"a": "1", "2": "b"}})));
        for wrong in ["", "{\"a\":", "a: b: c", "--- a\n--- b\n", "a: *b"] {
            assert!(parse(wrong).is_err(), "{wrong:?}: {:?}", parse(wrong));
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[ -~\\n]{0,12}".prop_map(Value::from),
            prop_oneof![
                Just("no"),
                Just("12"),
                Just("1e3"),
                Just("~"),
                Just("null"),
                Just("a: b"),
                Just("- x"),
                Just("0x1f")
            ]
            .prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-zA-Z0-9./-]{1,8}", inner, 0..4)
                    .prop_map(|members| members.into_iter().collect::<Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_formatted_is_parsed_back(members in prop::collection::btree_map("[a-z]{1,6}", values(), 1..4)) {
            let value: Value = members.into_iter().collect::<Map<_, _>>().into();
            let text = text(&value);
            prop_assert_eq!(parse(&text).map_err(|error| format!("{error}\n{text}")), Ok(value));
        }
    }
}
