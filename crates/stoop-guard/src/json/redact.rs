//! Replaces secret values in a response. Pure.

use serde_json::Value;

use super::fields::{Step, steps};

/// What stands in place of a value.
pub(crate) const REDACTED: &str = "<redacted>";

/// Redacts the values at a path, such as `Config.Env[]`. What the path does not lead to stays.
///
/// A text `NAME=value` keeps its name, an object its keys; numbers and truth values become null.
pub(crate) fn redact(value: &mut Value, path: &str) {
    let steps: Vec<Step<'_>> = path.split('.').filter(|part| !part.is_empty()).flat_map(steps).collect();
    walk(value, &steps);
}

fn walk(value: &mut Value, path: &[Step<'_>]) {
    let Some((step, rest)) = path.split_first() else { return hide(value) };
    match (step, value) {
        // Keys are compared as in the response, which is the server's own.
        (Step::Key(key), Value::Object(map)) => {
            if let Some(value) = map.get_mut(*key) {
                walk(value, rest);
            }
        }
        (Step::Any, Value::Object(map)) => map.values_mut().for_each(|value| walk(value, rest)),
        (Step::Each, Value::Array(values)) => values.iter_mut().for_each(|value| walk(value, rest)),
        _ => {}
    }
}

fn hide(value: &mut Value) {
    match value {
        Value::String(text) => {
            *text = match text.split_once('=') {
                Some((name, _)) => format!("{name}={REDACTED}"),
                None => REDACTED.to_owned(),
            };
        }
        Value::Array(values) => values.iter_mut().for_each(hide),
        Value::Object(map) => map.values_mut().for_each(hide),
        other => *other = Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_replaced_and_names_stay() {
        let mut value =
            json!({"Config": {"Env": ["A=1", "B=x=y", "C"], "Cmd": ["sh"]}, "Options": {"o": "p=1"}});
        redact(&mut value, "Config.Env[]");
        redact(&mut value, "Options");
        redact(&mut value, "Missing.Env[]");
        let expected = ["A=<redacted>", "B=<redacted>", "<redacted>"];
        let options = json!({"o": "p=<redacted>"});
        assert_eq!(value, json!({"Config": {"Env": expected, "Cmd": ["sh"]}, "Options": options}));
        let mut list = json!([{"Env": ["A=1"]}, {"Env": null}]);
        redact(&mut list, "[].Env[]");
        assert_eq!(list, json!([{"Env": ["A=<redacted>"]}, {"Env": null}]));
    }
}
