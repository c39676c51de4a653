//! Names of containers and pods in place of their ids, as they are learned from the answers of
//! Docker and of container runtimes. Pure.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use stoop_tap::FlowId;

/// How many names are remembered.
const NAMES_MAX: usize = 10_000;
/// The length of an id, and the shortest abbreviation that is recognized.
const ID_LEN: usize = 64;
const SHORT_LEN: usize = 12;
/// How deep names are looked for.
const DEPTH_MAX: u32 = 8;

/// The names of containers and pods.
#[derive(Debug, Default)]
pub(super) struct Containers {
    names: BTreeMap<String, String>,
    /// The names that are to be created, by connection and method.
    asked: HashMap<(FlowId, String), String>,
}

/// Returns whether messages of a method may have names and ids.
pub(super) fn has_names(method: &str) -> bool {
    method.contains("/containers/") || method.contains("RuntimeService/")
}

impl Containers {
    /// A call that creates a container by this name, in a query: `/containers/create?name=web`.
    pub(super) fn called(&mut self, flow: FlowId, method: &str, text: &[u8]) {
        if !method.ends_with("/containers/create") {
            return;
        }
        let text = String::from_utf8_lossy(text);
        let query = text.split_once('?').map_or("", |(_, query)| query);
        let name = query.split('&').find_map(|pair| pair.strip_prefix("name="));
        self.ask(flow, method, name);
    }

    fn ask(&mut self, flow: FlowId, method: &str, name: Option<&str>) {
        let key = (flow, method.to_owned());
        // Of two at once it is not known which is answered first.
        match name.filter(|_| !self.asked.contains_key(&key) && self.asked.len() < NAMES_MAX) {
            Some(name) => self.asked.insert(key, name.to_owned()),
            None => self.asked.remove(&key),
        };
    }

    /// Learns from a message.
    pub(super) fn message(&mut self, flow: FlowId, method: &str, is_response: bool, json: &str) {
        let Ok(value) = serde_json::from_str::<Value>(json) else { return };
        if !is_response {
            let name = value.pointer("/config/metadata/name").and_then(Value::as_str);
            if name.is_some() {
                self.ask(flow, method, name);
            }
            return;
        }
        let created = ["Id", "podSandboxId", "containerId"].iter().find_map(|key| value.get(key)?.as_str());
        if let (Some(id), Some(name)) = (created, self.asked.remove(&(flow, method.to_owned()))) {
            self.learn(id, &name);
        }
        self.walk(&value, DEPTH_MAX);
    }

    /// Learns from each object that has an id and a name.
    fn walk(&mut self, value: &Value, depth: u32) {
        if depth == 0 {
            return;
        }
        match value {
            Value::Array(values) => values.iter().for_each(|value| self.walk(value, depth - 1)),
            Value::Object(members) => {
                let text = |key: &str| members.get(key).and_then(Value::as_str);
                let id = text("Id").or_else(|| text("id"));
                let name = text("Name")
                    .or_else(|| members.get("Names")?.get(0)?.as_str())
                    .or_else(|| members.get("metadata")?.get("name")?.as_str());
                if let (Some(id), Some(name)) = (id, name) {
                    self.learn(id, name);
                }
                members.values().for_each(|value| self.walk(value, depth - 1));
            }
            _ => {}
        }
    }

    fn learn(&mut self, id: &str, name: &str) {
        let is_id = id.len() == ID_LEN && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let name = name.trim_start_matches('/');
        if is_id && !name.is_empty() && self.names.len() < NAMES_MAX {
            self.names.insert(id.to_owned(), name.to_owned());
        }
    }

    /// Returns the text with names in place of the ids that are known.
    pub(super) fn named(&self, text: &str) -> String {
        let mut named = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
            let (before, word) = rest.split_at(start);
            let len = word.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(word.len());
            named.push_str(before);
            named.push_str(self.name(&word[..len]).unwrap_or(&word[..len]));
            rest = &word[len..];
        }
        named + rest
    }

    /// Returns the name of an id or of an abbreviation that only one id has.
    fn name(&self, word: &str) -> Option<&str> {
        if !(SHORT_LEN..=ID_LEN).contains(&word.len()) {
            return None;
        }
        let mut found = self.names.range(word.to_owned()..).take_while(|(id, _)| id.starts_with(word));
        let (_, name) = found.next()?;
        found.next().is_none().then_some(name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(first: &str) -> String {
        format!("{first:0<64}")
    }

    #[test]
    fn names_are_learned_from_lists_and_replace_ids() {
        let mut containers = Containers::default();
        let list =
            format!(r#"[{{"Id":"{}","Names":["/web"]}},{{"Id":"{}","Names":["/db"]}}]"#, id("a1"), id("a2"));
        containers.message(1, "GET /containers/json", true, &list);
        let pods = format!(r#"{{"items":[{{"id":"{}","metadata":{{"name":"pod"}}}}]}}"#, id("b"));
        containers.message(1, "/runtime.v1.RuntimeService/ListPodSandbox", true, &pods);
        let text = format!("GET /containers/{}/json of {} {}", id("a1"), &id("b")[..12], id("c"));
        assert_eq!(containers.named(&text), format!("GET /containers/web/json of pod {}", id("c")));
        assert_eq!(containers.named("a1 häl a1000000000"), "a1 häl a1000000000", "too short");
        assert_eq!(containers.named(&id("a2")[..12]), "db");
    }

    #[test]
    fn names_are_learned_from_what_is_created() {
        let mut containers = Containers::default();
        let create = "POST /v1.47/containers/create";
        containers.called(1, create, b"POST /v1.47/containers/create?name=web&x=y");
        containers.message(1, create, true, &format!(r#"{{"Id":"{}"}}"#, id("a")));
        let run = "/runtime.v1.RuntimeService/RunPodSandbox";
        containers.message(2, run, false, r#"{"config":{"metadata":{"name":"pod"}}}"#);
        containers.message(2, run, true, &format!(r#"{{"podSandboxId":"{}"}}"#, id("b")));
        assert_eq!(containers.named(&format!("{} {}", id("a"), id("b"))), "web pod");
        // Two at once: which is which is not known.
        containers.message(2, run, false, r#"{"config":{"metadata":{"name":"one"}}}"#);
        containers.message(2, run, false, r#"{"config":{"metadata":{"name":"two"}}}"#);
        containers.message(2, run, true, &format!(r#"{{"podSandboxId":"{}"}}"#, id("c")));
        assert_eq!(containers.named(&id("c")), id("c"));
    }
}
