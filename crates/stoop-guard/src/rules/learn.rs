//! Writes the smallest rules for requests that were seen. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::Value;

use super::is_version;
use super::template::Template;
use crate::request::target::Target;

/// A request that was seen.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: Target,
    pub(crate) is_call: bool,
    pub(crate) content_type: Option<String>,
    pub(crate) json: Option<Value>,
    pub(crate) upgrade: Option<String>,
    pub(crate) headers: Vec<String>,
}

/// Collects requests, and writes rules that allow them: ids become placeholders, values of JSON
/// bodies are listed as they were.
#[derive(Clone, Debug, Default)]
pub struct Learner {
    /// By the names in the certificate of the client, the path and the method.
    rules: BTreeMap<(Vec<String>, String, String), Learned>,
    has_version: bool,
}

#[derive(Clone, Debug, Default)]
struct Learned {
    query: BTreeSet<String>,
    repeated: BTreeSet<String>,
    headers: BTreeSet<String>,
    types: BTreeSet<String>,
    upgrades: BTreeSet<String>,
    has_plain: bool,
    json: Option<BTreeMap<String, Shape>>,
}

/// What was seen of one field.
#[derive(Clone, Debug, Default)]
struct Shape {
    is_any: bool,
    was_empty: bool,
    was_null: bool,
    values: BTreeSet<String>,
}

/// More values than these are any value.
const LISTED: usize = 8;

impl Learner {
    /// Creates a learner that has seen nothing.
    pub fn new() -> Learner {
        Learner::default()
    }

    /// Learns from a request of a client with these names in its certificate, if it has one.
    pub(crate) fn add(&mut self, names: &[String], seen: &Seen) {
        let segments = match seen.target.segments.split_first() {
            Some((first, rest)) if is_version(first) && !rest.is_empty() => {
                self.has_version = true;
                rest
            }
            _ => &seen.target.segments[..],
        };
        let path = if seen.is_call { segments.join("/") } else { template(segments) };
        let method = if seen.is_call { String::new() } else { seen.method.clone() };
        let rule = self.rules.entry((names.to_vec(), path, method)).or_default();
        for (index, (key, _)) in seen.target.query.iter().enumerate() {
            let is_repeated = seen.target.query[..index].iter().any(|(other, _)| other == key);
            if is_repeated {
                rule.repeated.insert(key.clone())
            } else {
                rule.query.insert(key.clone())
            };
        }
        rule.headers.extend(seen.headers.iter().cloned());
        match &seen.upgrade {
            Some(protocol) => _ = rule.upgrades.insert(protocol.clone()),
            None => rule.has_plain = true,
        }
        match &seen.json {
            Some(value) => describe(value, "", rule.json.get_or_insert_default()),
            None => rule.types.extend(seen.content_type.clone()),
        }
    }

    /// Returns the rules as a file.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        if self.has_version {
            text.push_str("version-prefix = true\n");
        }
        let mut client: &[String] = &[];
        for ((names, path, method), rule) in &self.rules {
            if names != client {
                text.push_str("\n[[client]]\n");
                list(&mut text, "san", names);
                client = names;
            }
            let table = if names.is_empty() { "allow" } else { "client.allow" };
            rule.write(&mut text, table, method, path);
        }
        text
    }
}

impl Learned {
    fn write(&self, text: &mut String, table: &str, method: &str, path: &str) {
        let _ = match method {
            "" => writeln!(text, "\n[[{table}]]\ncall = {}", quoted(path)),
            method => {
                let keys: Vec<&str> = self.query.difference(&self.repeated).map(String::as_str).collect();
                let query = if keys.is_empty() { String::new() } else { format!("?{}", keys.join("&")) };
                writeln!(text, "\n[[{table}]]\nrequest = {}", quoted(&format!("{method} {path}{query}")))
            }
        };
        if !self.repeated.is_empty() {
            let keys: Vec<String> =
                self.repeated.iter().map(|key| format!("{} = \"many\"", quoted(key))).collect();
            let _ = writeln!(text, "query = {{ {} }}", keys.join(", "));
        }
        list(text, "headers", &self.headers);
        // A rule requires one of its upgrades: what was asked for without one needs another rule.
        list(text, "upgrade", &self.upgrades);
        if method.is_empty() {
            return;
        }
        match &self.json {
            Some(fields) => write_fields(text, table, fields),
            None => list(text, "stream", &self.types),
        }
    }
}

fn list<'v>(text: &mut String, key: &str, values: impl IntoIterator<Item = &'v String>) {
    let values: Vec<String> = values.into_iter().map(|value| quoted(value)).collect();
    if !values.is_empty() {
        let _ = writeln!(text, "{key} = [{}]", values.join(", "));
    }
}

fn write_fields(text: &mut String, table: &str, fields: &BTreeMap<String, Shape>) {
    if fields.get("").is_some_and(|shape| shape.is_any || !shape.values.is_empty()) {
        text.push_str("json = \"any\"\n");
        return;
    }
    let _ = writeln!(text, "[{table}.json]");
    for (path, shape) in fields.iter().filter(|(path, _)| !path.is_empty()) {
        let is_above = |other: &String| {
            other.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with(['.', '[']))
        };
        let is_below_any = fields.iter().any(|(other, shape)| {
            (shape.is_any || !shape.values.is_empty())
                && path.strip_prefix(other.as_str()).is_some_and(|rest| rest.starts_with(['.', '[']))
                && !other.is_empty()
        });
        let has_parts = fields.keys().any(is_above);
        if is_below_any || (has_parts && !shape.is_any && shape.values.is_empty()) {
            continue;
        }
        let _ = writeln!(text, "{} = {}", quoted(path), shape.condition(has_parts));
    }
}

impl Shape {
    fn condition(&self, has_parts: bool) -> String {
        let is_mixed = self.was_empty && !self.values.is_empty();
        match () {
            () if self.is_any || has_parts || is_mixed || self.values.len() > LISTED => "\"any\"".into(),
            () if self.values.is_empty() && self.was_null && !self.was_empty => "\"null\"".into(),
            () if self.values.is_empty() => "\"empty\"".into(),
            () => format!("[{}]", self.values.iter().cloned().collect::<Vec<_>>().join(", ")),
        }
    }
}

/// Notes the fields of a value below this path.
fn describe(value: &Value, path: &str, fields: &mut BTreeMap<String, Shape>) {
    let is_plain = |key: &String| {
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Object(map) if map.is_empty() => fields.entry(path.into()).or_default().was_empty = true,
        Value::Object(map) if map.keys().all(is_plain) => {
            map.iter().for_each(|(key, value)| describe(value, &below(key), fields));
        }
        Value::Array(values) if values.is_empty() => fields.entry(path.into()).or_default().was_empty = true,
        Value::Array(values) => values.iter().for_each(|value| describe(value, &format!("{path}[]"), fields)),
        Value::Object(_) => fields.entry(path.into()).or_default().is_any = true,
        Value::Null => fields.entry(path.into()).or_default().was_null = true,
        Value::String(text) => _ = fields.entry(path.into()).or_default().values.insert(quoted(text)),
        other => _ = fields.entry(path.into()).or_default().values.insert(other.to_string()),
    }
}

/// Writes a text as TOML's basic string.
fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// Returns a path with placeholders for what identifies something.
fn template(segments: &[String]) -> String {
    let mut parts: Vec<&str> = segments.iter().map(|segment| placeholder(segment)).collect();
    match segments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["containers", name, ..] if !["json", "create", "prune"].contains(&name) => parts[1] = "{container}",
        ["networks" | "volumes", name, ..] if !["create", "prune"].contains(&name) => parts[1] = "{id}",
        ["exec" | "services" | "tasks" | "nodes", name, ..] if name != "create" => parts[1] = "{id}",
        ["images", "json" | "create" | "prune" | "search" | "get" | "load"] => {}
        ["images", .., "json" | "history" | "push" | "tag" | "get"] | ["distribution", .., "json"]
            if segments.len() > 2 =>
        {
            parts.splice(1..segments.len() - 1, ["{image}"]);
        }
        ["images", _, ..] => _ = parts.splice(1.., ["{image}"]),
        _ => {}
    }
    let path = format!("/{}", parts.join("/"));
    match Template::parse(&path).is_ok_and(|template| template.matches(segments)) {
        true => path,
        // A name that no placeholder is for.
        false => literal(segments),
    }
}

/// Returns a path as it is, but for segments that a template cannot spell.
fn literal(segments: &[String]) -> String {
    let spelled = |segment: &String| match segment.contains(['{', '}', '*']) {
        true => "{any}".to_owned(),
        false => segment.clone(),
    };
    format!("/{}", segments.iter().map(spelled).collect::<Vec<_>>().join("/"))
}

fn placeholder(segment: &str) -> &str {
    let is_hex = segment.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    match segment.bytes().all(|byte| byte.is_ascii_digit()) {
        true => "{number}",
        false if is_hex && segment.len() >= 12 => "{id}",
        false => segment,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Rules, client::Client};
    use serde_json::json;

    fn seen(method: &str, target: &str, json: Option<Value>) -> Seen {
        Seen {
            method: method.into(),
            target: Target::parse(target).unwrap(),
            is_call: false,
            content_type: json.as_ref().map(|_| "application/json".into()),
            json,
            upgrade: None,
            headers: Vec::new(),
        }
    }

    #[test]
    fn ids_become_placeholders() {
        for (target, path) in [
            ("/v1.47/containers/web/json", "/containers/{container}/json"),
            ("/containers/json", "/containers/json"),
            ("/containers/create", "/containers/create"),
            ("/containers/@a/json", "/containers/@a/json"),
            ("/containers/{a/json", "/containers/{any}/json"),
            ("/images/a/b:1/json", "/images/{image}/json"),
            ("/images/json", "/images/json"),
            ("/images/a/b", "/images/{image}"),
            ("/exec/0123456789ab/start", "/exec/{id}/start"),
            ("/users/0123456789ab/posts/7", "/users/{id}/posts/{number}"),
        ] {
            let mut learner = Learner::new();
            learner.add(&[], &seen("GET", target, None));
            assert!(
                learner.to_toml().contains(&format!("\"GET {path}\"")),
                "{target}: {}",
                learner.to_toml()
            );
        }
    }

    #[test]
    fn what_a_named_client_asked_for_is_allowed_to_it_alone() {
        let mut learner = Learner::new();
        let names = ["spiffe://a/ci".to_owned()];
        let create = seen("POST", "/containers/create", Some(json!({"Image": "a"})));
        learner.add(&names, &create);
        learner.add(&names, &seen("GET", "/info", None));
        learner.add(&[], &seen("GET", "/version", None));
        let rules = Rules::parse(&learner.to_toml()).unwrap_or_else(|e| panic!("{e}\n{}", learner.to_toml()));
        let ci = Client { names: names.to_vec(), ..Client::default() };
        let is_allowed = |client: &Client, request: &Seen| {
            rules.candidates(client, &request.method.parse().unwrap(), &request.target, None).is_ok()
        };
        assert!(is_allowed(&ci, &create) && !is_allowed(&Client::default(), &create));
        assert!(is_allowed(&ci, &seen("GET", "/info", None)));
        assert!(!is_allowed(&Client::default(), &seen("GET", "/info", None)));
        assert!(is_allowed(&Client::default(), &seen("GET", "/version", None)));
    }

    #[test]
    fn what_was_learned_allows_what_was_seen_and_little_else() {
        let body = json!({"Image": "a", "Labels": {"a.b": "c"}, "HostConfig": {"Binds": [], "Privileged": false, "Memory": 5, "Dns": ["1.1.1.1"]}});
        let requests = [
            seen("GET", "/v1.47/containers/json?all=1", None),
            seen("POST", "/build?t=a&t=b", None),
            seen("POST", "/containers/create?name=x", Some(body.clone())),
            seen(
                "POST",
                "/containers/create?name=y",
                Some(json!({"Image": "b", "HostConfig": {"Binds": null, "Dns": []}})),
            ),
        ];
        let mut learner = Learner::new();
        requests.iter().for_each(|request| learner.add(&[], request));
        let rules = Rules::parse(&learner.to_toml()).unwrap_or_else(|e| panic!("{e}\n{}", learner.to_toml()));
        let find = |request: &Seen| {
            let method = request.method.parse().unwrap();
            rules
                .candidates(&Client::default(), &method, &request.target, None)
                .map(|found| found[0].rule.clone())
        };
        requests.iter().for_each(|request| assert!(find(request).is_ok(), "{request:?}"));
        assert!(find(&seen("GET", "/containers/json?size=1", None)).is_err());
        let create = find(&requests[2]).unwrap();
        let crate::rules::rule::Body::Json(fields) = &create.body else { panic!("{create:?}") };
        assert_eq!(fields.check(&body), Ok(()));
        assert_eq!(
            fields.check(&json!({"HostConfig": {"Privileged": true}})).unwrap_err().0,
            "HostConfig.Privileged"
        );
        assert!(fields.check(&json!({"HostConfig": {"PidMode": "host"}})).is_err());
    }
}
