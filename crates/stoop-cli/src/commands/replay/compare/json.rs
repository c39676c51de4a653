//! JSON, compared by value.

use serde_json::Value;

use super::masked::{self, MASK};

/// Returns the documents of a body: one, or one after the other as in a stream of events.
pub(super) fn documents(body: &[u8]) -> Option<Vec<Value>> {
    serde_json::Deserializer::from_slice(body).into_iter().collect::<Result<_, _>>().ok()
}

/// Returns the first difference: its path, and both values. Fields of an ignored name are left out.
/// If secrets are masked, `*` stands for anything.
pub(super) fn first_difference(
    path: &str,
    recorded: &Value,
    now: &Value,
    ignore: &[String],
    is_masked: bool,
) -> Option<(String, String, String)> {
    match (recorded, now) {
        (Value::Object(one), Value::Object(other)) => {
            let names = one.keys().chain(other.keys().filter(|name| !one.contains_key(*name)));
            names.filter(|name| !ignore.contains(name)).find_map(|name| {
                let path = format!("{path}.{name}");
                match (one.get(name), other.get(name)) {
                    (Some(one), Some(other)) => first_difference(&path, one, other, ignore, is_masked),
                    (one, other) => Some((path, shown(one), shown(other))),
                }
            })
        }
        (Value::Array(one), Value::Array(other)) => {
            let elements =
                (0..one.len().max(other.len())).map(|index| (index, one.get(index), other.get(index)));
            elements.into_iter().find_map(|(index, one, other)| {
                let path = format!("{path}[{index}]");
                match (one, other) {
                    (Some(one), Some(other)) => first_difference(&path, one, other, ignore, is_masked),
                    (one, other) => Some((path, shown(one), shown(other))),
                }
            })
        }
        (Value::String(one), _) if is_masked && is_any(one) => None,
        (Value::String(one), Value::String(other))
            if is_masked && masked::matches(one.as_bytes(), other.as_bytes()) =>
        {
            None
        }
        (one, other) if one == other => None,
        (one, other) => Some((path.to_owned(), shown(Some(one)), shown(Some(other)))),
    }
}

/// Returns whether a string was masked as a whole.
fn is_any(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte == MASK) || masked::is_base64(text)
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| super::NOTHING.to_owned(), Value::to_string)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn differ(one: &Value, other: &Value, ignore: &[&str]) -> Option<(String, String, String)> {
        let ignore: Vec<String> = ignore.iter().map(|name| (*name).to_owned()).collect();
        first_difference("", one, other, &ignore, true)
    }

    #[test]
    fn the_path_names_what_differs() {
        let one = json!({"a": [1, {"b": "x"}], "t": 1});
        let two = json!({"t": 2, "a": [1, {"b": "y"}]});
        let of = |path: &str, one: &str, two: &str| Some((path.to_owned(), one.to_owned(), two.to_owned()));
        assert_eq!(differ(&one, &one, &[]), None);
        assert_eq!(differ(&one, &two, &[]), of(".a[1].b", "\"x\"", "\"y\""));
        assert_eq!(differ(&one, &two, &["b"]), of(".t", "1", "2"));
        assert_eq!(differ(&one, &two, &["b", "t"]), None);
        assert_eq!(differ(&json!([1]), &json!([1, 2]), &[]), of("[1]", "(nothing)", "2"));
        assert_eq!(differ(&json!({"a": null}), &json!({}), &[]), of(".a", "null", "(nothing)"));
        assert_eq!(differ(&json!({"token": "****"}), &json!({"token": "abc"}), &[]), None);
        assert_eq!(differ(&json!({"Env": ["A=**"]}), &json!({"Env": ["A=long"]}), &[]), None);
        assert!(differ(&json!({"Env": ["A=**"]}), &json!({"Env": ["B=long"]}), &[]).is_some());
        assert_eq!(differ(&json!({"data": "Kioq"}), &json!({"data": "a2V5Cg=="}), &[]), None);
    }

    #[test]
    fn several_documents_are_read() {
        assert_eq!(documents(b"{\"a\":1}\n{\"a\":2}").map(|all| all.len()), Some(2));
        assert_eq!(documents(b"{\"a\":"), None);
    }
}
