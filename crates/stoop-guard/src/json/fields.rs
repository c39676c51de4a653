//! Conditions on the fields of a JSON value: an allow-list, in which what is not named is refused.
//! Pure.

use std::collections::BTreeMap;

use serde_json::Value;

/// The fields that a value may have.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fields {
    /// A value that the condition allows.
    Leaf(Condition),
    /// An object with no other fields than these.
    Object(BTreeMap<String, Fields>),
    /// An array (`[]`), each of whose elements is such a value.
    Each(Box<Fields>),
    /// An object with arbitrary keys (`*`), each of whose values is such a value.
    Map(Box<Fields>),
}

/// A condition on one value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    /// Any value.
    Any,
    /// `null` alone.
    Null,
    /// A value that says nothing: `false`, 0, or an empty text, list or object.
    Empty,
    /// One of these values.
    OneOf(Vec<Value>),
    /// A number in this range.
    Range { min: f64, max: f64 },
    /// A text that begins with one of these, and has no component `..` that leads out of it.
    StartsWith(Vec<String>),
    /// A text that does not look like an id of Docker.
    Name,
    /// A bind mount of Docker (`SOURCE:TARGET[:OPTIONS]`) with one of these sources.
    BindSource(Vec<String>),
}

/// Why a value was refused: the path of the field, and what is wrong with it.
pub(crate) type Finding = (String, &'static str);

impl Fields {
    /// Returns the first field that is not allowed. `null` sets nothing, and is allowed for every
    /// field that is named.
    pub(crate) fn check(&self, value: &Value) -> Result<(), Finding> {
        self.check_at(value, &mut Vec::new())
    }

    fn check_at<'v>(&self, value: &'v Value, path: &mut Vec<&'v str>) -> Result<(), Finding> {
        match (self, value) {
            (_, Value::Null) => Ok(()),
            (Fields::Leaf(condition), _) if condition.allows(value) => Ok(()),
            (Fields::Leaf(_), _) => Err((path.join("."), "this value is not allowed")),
            (Fields::Object(fields), Value::Object(map)) => map.iter().try_for_each(|(key, value)| {
                path.push(key);
                let field = fields.get(key).ok_or_else(|| (path.join("."), "this field is not allowed"))?;
                field.check_at(value, path)?;
                path.pop();
                Ok(())
            }),
            (Fields::Map(each), Value::Object(map)) => map.iter().try_for_each(|(key, value)| {
                path.push(key);
                each.check_at(value, path)?;
                path.pop();
                Ok(())
            }),
            (Fields::Each(each), Value::Array(values)) => values.iter().try_for_each(|value| {
                path.push("[]");
                each.check_at(value, path)?;
                path.pop();
                Ok(())
            }),
            _ => Err((path.join("."), "this value has another type")),
        }
    }

    /// Adds a field by its path, such as `HostConfig.Binds[]`.
    pub(crate) fn insert(&mut self, path: &str, condition: Condition) -> Result<(), String> {
        let steps: Vec<Step> = path.split('.').flat_map(steps).collect();
        if path.is_empty() || steps.iter().any(|step| matches!(step, Step::Key(""))) {
            return Err(format!("'{path}' is not a path of a field"));
        }
        let mut at = self;
        for step in steps {
            at = at.step(step).ok_or_else(|| format!("'{path}' contradicts another field"))?;
        }
        match at {
            Fields::Object(fields) if fields.is_empty() => *at = Fields::Leaf(condition),
            _ => return Err(format!("'{path}' is given twice, or contradicts another field")),
        }
        Ok(())
    }

    /// Returns the field one step further, which is created if it is missing. An object without
    /// fields stands for what is not known yet.
    fn step(&mut self, step: Step<'_>) -> Option<&mut Fields> {
        if matches!(self, Fields::Object(fields) if fields.is_empty()) {
            match step {
                Step::Each => *self = Fields::Each(Box::new(Fields::none())),
                Step::Any => *self = Fields::Map(Box::new(Fields::none())),
                Step::Key(_) => {}
            }
        }
        match (self, step) {
            (Fields::Object(fields), Step::Key(key)) => {
                Some(fields.entry(key.to_owned()).or_insert_with(Fields::none))
            }
            (Fields::Each(each), Step::Each) | (Fields::Map(each), Step::Any) => Some(each),
            _ => None,
        }
    }

    /// Returns the fields of an empty object.
    pub(crate) fn none() -> Fields {
        Fields::Object(BTreeMap::new())
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Step<'p> {
    Key(&'p str),
    Each,
    Any,
}

/// Splits a component such as `Binds[]` into its steps.
pub(crate) fn steps(component: &str) -> Vec<Step<'_>> {
    let (name, arrays) = match component.find("[]") {
        Some(at) => component.split_at(at),
        None => (component, ""),
    };
    let first = match name {
        "*" => Some(Step::Any),
        "" if !arrays.is_empty() => None,
        name => Some(Step::Key(name)),
    };
    first.into_iter().chain(std::iter::repeat_n(Step::Each, arrays.len() / 2)).collect()
}

impl Condition {
    pub(crate) fn allows(&self, value: &Value) -> bool {
        let text = value.as_str();
        match self {
            Condition::Any => true,
            Condition::Null => value.is_null(),
            Condition::Empty => is_empty(value),
            Condition::OneOf(values) => values.contains(value),
            Condition::Range { min, max } => value.as_f64().is_some_and(|n| *min <= n && n <= *max),
            Condition::StartsWith(starts) => {
                text.is_some_and(|text| !climbs(text) && starts.iter().any(|start| text.starts_with(start)))
            }
            Condition::Name => text.is_some_and(|text| !is_like_an_id(text)),
            Condition::BindSource(sources) => {
                let source = text.and_then(|text| text.split_once(':')).map(|(source, _)| source);
                source.is_some_and(|source| sources.iter().any(|one| one == source))
            }
        }
    }
}

/// Returns whether a path in a text leads upwards, so that its begin says nothing of its end.
fn climbs(text: &str) -> bool {
    text.split(['/', ':', ',']).any(|component| component == "..")
}

/// Returns whether a text has the form in which Docker prints ids, short or whole. It finds
/// containers by their name before it compares the begins of ids.
fn is_like_an_id(text: &str) -> bool {
    let text = text.trim_start_matches('/');
    text.len() >= 12 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        // The keys of an object may say everything: paths of volumes, ports.
        Value::Object(map) => map.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(rows: &[(&str, Condition)]) -> Fields {
        let mut fields = Fields::none();
        rows.iter().for_each(|(path, condition)| fields.insert(path, condition.clone()).unwrap());
        fields
    }

    fn create() -> Fields {
        fields(&[
            ("Image", Condition::StartsWith(vec!["registry.example/".into()])),
            ("Labels.*", Condition::Any),
            ("HostConfig.Privileged", Condition::Empty),
            ("HostConfig.Binds[]", Condition::BindSource(vec!["/srv/cache".into(), "cache".into()])),
            ("HostConfig.NetworkMode", Condition::OneOf(vec![json!("none"), json!("")])),
            ("HostConfig.Memory", Condition::Range { min: 0.0, max: 1e9 }),
            ("HostConfig.MaskedPaths", Condition::Null),
            ("Mounts[].Type", Condition::OneOf(vec![json!("tmpfs")])),
        ])
    }

    #[test]
    fn what_is_named_is_allowed() {
        for value in [
            json!({}),
            json!({"Image": "registry.example/a", "Labels": {"a": "b"}, "Mounts": [{"Type": "tmpfs"}]}),
            json!({"HostConfig": {"Privileged": false, "Binds": ["/srv/cache:/c:ro", "cache:/d"]}}),
            json!({"HostConfig": {"Privileged": null, "Binds": null, "Memory": 5, "MaskedPaths": null}}),
            json!({"HostConfig": null}),
        ] {
            assert_eq!(create().check(&value), Ok(()), "{value}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_path() {
        for (value, path) in [
            (json!({"Image": "other.example/a"}), "Image"),
            (json!({"image": "registry.example/a"}), "image"),
            (json!({"HostConfig": {"Privileged": true}}), "HostConfig.Privileged"),
            (json!({"HostConfig": {"Privileged": 1}}), "HostConfig.Privileged"),
            (json!({"HostConfig": {"Binds": ["/:/host"]}}), "HostConfig.Binds.[]"),
            (json!({"HostConfig": {"Binds": ["/srv/cache/../..:/host"]}}), "HostConfig.Binds.[]"),
            (json!({"HostConfig": {"Binds": ["/srv/cache"]}}), "HostConfig.Binds.[]"),
            (json!({"HostConfig": {"Binds": {"0": "/:/host"}}}), "HostConfig.Binds"),
            (json!({"HostConfig": {"NetworkMode": "host"}}), "HostConfig.NetworkMode"),
            (json!({"HostConfig": {"Memory": 2e9}}), "HostConfig.Memory"),
            (json!({"HostConfig": {"MaskedPaths": []}}), "HostConfig.MaskedPaths"),
            (json!({"HostConfig": {"New": null}}), "HostConfig.New"),
            (json!({"HostConfig": {"Privileged": {"": false}}}), "HostConfig.Privileged"),
            (json!({"HostConfig": {"Privileged": [0]}}), "HostConfig.Privileged"),
            (json!({"Mounts": [{"Type": "bind"}]}), "Mounts.[].Type"),
            (json!([]), ""),
        ] {
            assert_eq!(create().check(&value).unwrap_err().0, path, "{value}");
        }
    }

    #[test]
    fn a_begin_is_not_left_again() {
        let below = Condition::StartsWith(vec!["/srv/cache/".into(), "cache-".into()]);
        for (text, is_allowed) in [
            ("/srv/cache/a", true),
            ("/srv/cache/..a/b..", true),
            ("cache-a:/b:ro", true),
            ("/srv/cache", false),
            ("/srv/cache/..", false),
            ("/srv/cache/../../etc", false),
            ("/srv/cache/a/../../../etc:/etc", false),
            ("/srv/cache/..:/host", false),
            ("type=bind,src=/srv/cache/..", false),
        ] {
            assert_eq!(below.allows(&json!(text)), is_allowed, "{text}");
        }
    }

    #[test]
    fn names_that_look_like_ids_are_refused() {
        let id = "0123456789abcdef".repeat(4);
        for text in ["web", "db", "cafe", "0123456789a", "0123456789abcdef-1", "ABCDEFABCDEFABCD", ""] {
            assert!(Condition::Name.allows(&json!(text)), "{text}");
        }
        for text in [&id[..], &id[..12], &format!("/{}", &id[..12])] {
            assert!(!Condition::Name.allows(&json!(text)), "{text}");
        }
        assert!(!Condition::Name.allows(&json!(1)));
    }

    #[test]
    fn contradicting_paths_are_refused() {
        for paths in [["A", "A"], ["A", "A.B"], ["A.B", "A"], ["A[]", "A.B"], ["A.*", "A.B"], ["B", "A..B"]] {
            let mut fields = Fields::none();
            let results = paths.map(|path| fields.insert(path, Condition::Any));
            assert!(results[0].is_ok() && results[1].is_err(), "{paths:?}");
        }
    }
}
