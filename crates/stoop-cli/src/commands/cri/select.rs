//! Finds what was given by an id, the beginning of an id, or a name. Pure.

use serde_json::Value;

use super::field::{number, text};

/// Whether something is a container or a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Container,
    Pod,
}

impl Sort {
    pub(super) fn word(self) -> &'static str {
        match self {
            Sort::Container => "container",
            Sort::Pod => "pod",
        }
    }
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Selected<'v> {
    One(&'v Value),
    Several(Vec<&'v Value>),
    None,
}

/// Finds the container or pod among all of them. An id is preferred to the beginning of one, and
/// that to a name. Of several with the same name, one that runs is preferred.
pub(super) fn select<'v>(items: &'v [Value], typed: &str) -> Selected<'v> {
    if let Some(exact) = items.iter().find(|item| text(item, "id") == typed) {
        return Selected::One(exact);
    }
    let begin = |item: &&Value| !typed.is_empty() && text(item, "id").starts_with(typed);
    let named = |item: &&Value| text(item, "metadata.name") == typed;
    let found: Vec<&Value> = items.iter().filter(begin).collect();
    if !found.is_empty() {
        return one_of(found);
    }
    let found: Vec<&Value> = items.iter().filter(named).collect();
    let running: Vec<&Value> = found.iter().copied().filter(|item| is_running(item)).collect();
    if running.is_empty() { one_of(found) } else { one_of(running) }
}

fn one_of(found: Vec<&Value>) -> Selected<'_> {
    match found[..] {
        [] => Selected::None,
        [one] => Selected::One(one),
        _ => Selected::Several(found),
    }
}

fn is_running(item: &Value) -> bool {
    ["CONTAINER_RUNNING", "SANDBOX_READY"].contains(&text(item, "state"))
}

/// Finds the previous instance of a container: the same name in the same pod, with the greatest
/// smaller attempt.
pub(super) fn previous<'v>(items: &'v [Value], current: &Value) -> Option<&'v Value> {
    let attempt = |item: &Value| number(item, "metadata.attempt");
    let same = |item: &&Value| {
        ["podSandboxId", "metadata.name"].iter().all(|field| text(item, field) == text(current, field))
            && attempt(item) < attempt(current)
    };
    items.iter().filter(same).max_by_key(|item| attempt(item))
}

/// Returns the name that was probably meant.
pub(super) fn nearest<'v>(items: &'v [Value], typed: &str) -> Option<&'v str> {
    let names = items.iter().map(|item| text(item, "metadata.name"));
    names
        .filter(|name| {
            !typed.is_empty() && (name.contains(typed) || (typed.contains(name) && !name.is_empty()))
        })
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn item(id: &str, name: &str, attempt: u32, state: &str) -> Value {
        json!({"id": id, "podSandboxId": "p", "metadata": {"name": name, "attempt": attempt}, "state": state})
    }

    fn id<'v>(selected: &Selected<'v>) -> &'v str {
        match selected {
            Selected::One(item) => text(item, "id"),
            Selected::Several(_) => "several",
            Selected::None => "none",
        }
    }

    #[test]
    fn ids_are_preferred_to_names() {
        let items = [
            item("abc1", "web", 0, "CONTAINER_EXITED"),
            item("abc2", "web", 1, "CONTAINER_RUNNING"),
            item("abc2f", "db", 0, "CONTAINER_EXITED"),
            item("d0", "abc", 0, "CONTAINER_RUNNING"),
            item("e0", "db", 1, "CONTAINER_EXITED"),
        ];
        for (typed, expected) in [
            ("abc1", "abc1"),
            ("abc2", "abc2"),
            ("abc", "several"),
            ("d", "d0"),
            ("web", "abc2"),
            ("db", "several"),
            ("nosuch", "none"),
            ("", "none"),
        ] {
            assert_eq!(id(&select(&items, typed)), expected, "{typed}");
        }
        assert_eq!(nearest(&items, "we"), Some("web"));
        assert_eq!(nearest(&items, "zzz"), None);
    }

    #[test]
    fn the_previous_instance_has_a_smaller_attempt() {
        let items = [
            item("a", "web", 0, ""),
            item("b", "web", 1, ""),
            item("c", "web", 2, ""),
            item("d", "db", 1, ""),
        ];
        assert_eq!(previous(&items, &items[2]).map(|item| text(item, "id")), Some("b"));
        assert_eq!(previous(&items, &items[0]), None);
    }
}
