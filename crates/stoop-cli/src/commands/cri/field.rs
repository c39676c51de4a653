//! Fields of the runtime's answers, which are JSON. Pure.

use serde_json::Value;

/// Returns the value at a path of names, such as `metadata.name`, or null.
pub(super) fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
    path.split('.').fold(value, |value, name| &value[name])
}

/// Returns the text at a path, or an empty one.
pub(super) fn text<'v>(value: &'v Value, path: &str) -> &'v str {
    at(value, path).as_str().unwrap_or_default()
}

/// Returns the number at a path, or 0. In protobuf's JSON, numbers of 64 bits are text.
pub(super) fn number(value: &Value, path: &str) -> i64 {
    known(value, path).unwrap_or_default()
}

/// Returns the number at a path, or `None` if it is not there.
pub(super) fn known(value: &Value, path: &str) -> Option<i64> {
    match at(value, path) {
        Value::String(text) => text.parse().ok(),
        value => value.as_i64(),
    }
}

/// Returns the values of a list, or none.
pub(super) fn list<'v>(value: &'v Value, path: &str) -> &'v [Value] {
    at(value, path).as_array().map_or(&[], Vec::as_slice)
}

/// Returns the start of an id that tables show, as crictl does.
pub(super) fn short(id: &str) -> &str {
    const SHOWN: usize = 13;
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    id.get(..SHOWN).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_found() {
        let value = json!({"metadata": {"name": "web", "attempt": 2}, "createdAt": "17", "tags": ["a"]});
        assert_eq!(text(&value, "metadata.name"), "web");
        assert_eq!((number(&value, "createdAt"), number(&value, "metadata.attempt")), (17, 2));
        assert_eq!((text(&value, "no.such"), known(&value, "no"), list(&value, "tags").len()), ("", None, 1));
        assert_eq!((short("sha256:0123456789abcdef"), short("web")), ("0123456789abc", "web"));
    }
}
