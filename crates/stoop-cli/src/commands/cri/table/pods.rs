//! Pods, their usage, and the state of the runtime.

use serde_json::Value;

use super::super::field::{at, known, list, number, short, text};
use super::super::moment::ago;
use super::containers::percent;
use super::{Listing, size, state};
use crate::output::Truncate;

/// Returns the table of pods.
pub(in super::super) fn pods(items: &[Value], now: i64, is_full: bool) -> Listing {
    let mut listing = Listing::new(&[
        ("POD ID", Truncate::Never, 0),
        ("CREATED", Truncate::Never, 0),
        ("STATE", Truncate::Never, 0),
        ("NAME", Truncate::End(12), 0),
        ("NAMESPACE", Truncate::End(9), 0),
        ("ATTEMPT", Truncate::Never, 2),
        ("RUNTIME", Truncate::Never, 1),
    ]);
    for item in items {
        let id = text(item, "id");
        let handler = text(item, "runtimeHandler");
        listing.lines.push(vec![
            if is_full { id.to_owned() } else { short(id).to_owned() },
            ago(number(item, "createdAt"), now),
            state(text(item, "state")),
            text(item, "metadata.name").to_owned(),
            text(item, "metadata.namespace").to_owned(),
            number(item, "metadata.attempt").to_string(),
            if handler.is_empty() { "(default)".into() } else { handler.to_owned() },
        ]);
    }
    listing
}

/// Returns the table of usage: the processor between two samples.
pub(in super::super) fn pod_stats(before: &[Value], after: &[Value]) -> Listing {
    let mut listing = Listing::new(&[
        ("POD", Truncate::End(12), 0),
        ("POD ID", Truncate::Never, 0),
        ("CPU %", Truncate::Never, 0),
        ("MEM", Truncate::Never, 0),
    ]);
    for item in after {
        let id = text(item, "attributes.id");
        let earlier = before.iter().find(|one| text(one, "attributes.id") == id);
        let memory = known(item, "linux.memory.workingSetBytes.value");
        listing.lines.push(vec![
            text(item, "attributes.metadata.name").to_owned(),
            short(id).to_owned(),
            percent(earlier.map(|one| at(one, "linux.cpu")), at(item, "linux.cpu")),
            memory.map_or_else(|| "-".into(), |bytes| size(bytes, 4)),
        ]);
    }
    listing
}

/// Returns the table of a runtime's conditions.
pub(in super::super) fn conditions(status: &Value) -> Listing {
    let mut listing = Listing::new(&[
        ("CONDITION", Truncate::Never, 0),
        ("STATUS", Truncate::Never, 0),
        ("REASON", Truncate::End(12), 0),
        ("MESSAGE", Truncate::End(20), 0),
    ]);
    for condition in list(status, "status.conditions") {
        let cell = |field| match text(condition, field) {
            "" => "-".to_owned(),
            text => text.to_owned(),
        };
        let is_met = condition["status"] == Value::Bool(true);
        listing.lines.push(vec![cell("type"), is_met.to_string(), cell("reason"), cell("message")]);
    }
    listing
}

/// Returns the versions, a line each, as crictl prints them.
pub(in super::super) fn version(answer: &Value) -> String {
    [
        ("Version", "version"),
        ("RuntimeName", "runtimeName"),
        ("RuntimeVersion", "runtimeVersion"),
        ("RuntimeApiVersion", "runtimeApiVersion"),
    ]
    .iter()
    .map(|(title, field)| format!("{title}:  {}\n", stoop::escaped(text(answer, field))))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pods_are_listed() {
        let pod = json!({
            "id": "0123456789abcdef", "createdAt": "0", "state": "SANDBOX_NOTREADY", "runtimeHandler": "",
            "metadata": {"name": "web-pod", "namespace": "prod", "attempt": 3},
        });
        let expected = "\
POD ID         CREATED        STATE     NAME     NAMESPACE  ATTEMPT  RUNTIME
0123456789abc  5 seconds ago  NotReady  web-pod  prod       3        (default)
";
        assert_eq!(pods(&[pod], 5_000_000_000, false).text(None), expected);
    }

    #[test]
    fn usage_of_pods_is_listed() {
        let pod = json!({
            "attributes": {"id": "a", "metadata": {"name": "web"}},
            "linux": {"cpu": null, "memory": {"workingSetBytes": {"value": "1500000"}}},
        });
        assert_eq!(pod_stats(&[], &[pod]).text(None), "POD  POD ID  CPU %  MEM\nweb  a       -      1.5MB\n");
    }

    #[test]
    fn conditions_are_listed() {
        let status = json!({"status": {"conditions": [{"type": "RuntimeReady", "status": true}]}});
        let text = conditions(&status).text(None);
        assert_eq!(text.lines().nth(1), Some("RuntimeReady  true    -       -"), "{text}");
    }
}
