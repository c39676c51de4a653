//! Containers, their usage and events.

use serde_json::Value;

use super::super::field::{at, known, list, number, short, text};
use super::super::moment::{ago, rfc3339};
use super::{Listing, size, state};
use crate::output::Truncate;

/// The columns of containers.
const COLUMNS: [(&str, Truncate, u8); 9] = [
    ("CONTAINER", Truncate::Never, 0),
    ("IMAGE", Truncate::Middle(15), 0),
    ("CREATED", Truncate::Never, 0),
    ("STATE", Truncate::Never, 0),
    ("NAME", Truncate::End(12), 0),
    ("ATTEMPT", Truncate::Never, 3),
    ("POD ID", Truncate::Never, 4),
    ("POD", Truncate::End(12), 0),
    ("NAMESPACE", Truncate::End(9), 2),
];

/// Returns the table of containers. `pods` has their pods.
pub(in super::super) fn containers(items: &[Value], pods: &[Value], now: i64, is_full: bool) -> Listing {
    let mut listing = Listing::new(&COLUMNS);
    let id = |id: &str| if is_full { id.to_owned() } else { short(id).to_owned() };
    for item in items {
        let pod = text(item, "podSandboxId");
        let of_pod = pods.iter().find(|one| text(one, "id") == pod).unwrap_or(&Value::Null);
        listing.lines.push(vec![
            id(text(item, "id")),
            image(item, is_full),
            ago(number(item, "createdAt"), now),
            state(text(item, "state")),
            text(item, "metadata.name").to_owned(),
            number(item, "metadata.attempt").to_string(),
            id(pod),
            known_text(of_pod, "metadata.name"),
            known_text(of_pod, "metadata.namespace"),
        ]);
    }
    listing
}

fn known_text(value: &Value, path: &str) -> String {
    let text = text(value, path);
    if text.is_empty() { "-".into() } else { text.to_owned() }
}

/// Returns the image as the user named it, else as the runtime does.
fn image(item: &Value, is_full: bool) -> String {
    let named = text(item, "image.userSpecifiedImage");
    let name = if named.is_empty() { text(item, "image.image") } else { named };
    let is_id =
        name.starts_with("sha256:") || name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id && !is_full { short(name).to_owned() } else { name.to_owned() }
}

/// Returns the table of usage: the processor between two samples.
pub(in super::super) fn stats(before: &[Value], after: &[Value]) -> Listing {
    let mut listing = Listing::new(&[
        ("CONTAINER", Truncate::Never, 0),
        ("NAME", Truncate::End(12), 0),
        ("CPU %", Truncate::Never, 0),
        ("MEM", Truncate::Never, 0),
        ("DISK", Truncate::Never, 0),
        ("INODES", Truncate::Never, 0),
    ]);
    for item in after {
        let id = text(item, "attributes.id");
        let earlier = before.iter().find(|one| text(one, "attributes.id") == id);
        let bytes = |path| known(item, path).map_or_else(|| "-".into(), |bytes| size(bytes, 4));
        listing.lines.push(vec![
            short(id).to_owned(),
            text(item, "attributes.metadata.name").to_owned(),
            percent(earlier.map(|one| at(one, "cpu")), at(item, "cpu")),
            bytes("memory.workingSetBytes.value"),
            bytes("writableLayer.usedBytes.value"),
            known(item, "writableLayer.inodesUsed.value")
                .map_or_else(|| "-".into(), |count| count.to_string()),
        ]);
    }
    listing
}

/// Returns the use of processors between two samples, in percent of one. Without two samples it is
/// not known.
pub(super) fn percent(before: Option<&Value>, after: &Value) -> String {
    let sample = |cpu: &Value| Some((known(cpu, "timestamp")?, known(cpu, "usageCoreNanoSeconds.value")?));
    match (before.and_then(sample), sample(after)) {
        (Some((from, used_before)), Some((to, used))) if to > from => {
            format!("{:.2}", (used - used_before).max(0) as f64 / (to - from) as f64 * 100.0)
        }
        _ => match known(after, "usageNanoCores.value") {
            Some(cores) => format!("{:.2}", cores as f64 / 1e7),
            None => "-".into(),
        },
    }
}

/// Returns the line of an event.
pub(in super::super) fn event(event: &Value) -> String {
    let what = text(event, "containerEventType").trim_start_matches("CONTAINER_").trim_end_matches("_EVENT");
    let id = text(event, "containerId");
    let of_it = list(event, "containersStatuses").iter().find(|one| text(one, "id") == id);
    let name = of_it.map_or("-", |one| text(one, "metadata.name"));
    let pod = text(event, "podSandboxStatus.metadata.name");
    let pod = if pod.is_empty() { "-" } else { pod };
    let time = rfc3339(number(event, "createdAt"));
    let line = format!("{time}  {:8} {}  {name}  {pod}", what.to_lowercase(), short(id));
    format!("{}\n", stoop::escaped(&line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn containers_are_listed_with_their_pods() {
        let container = json!({
            "id": "0123456789abcdef0123", "podSandboxId": "fedcba9876543210ffff", "state": "CONTAINER_RUNNING",
            "metadata": {"name": "web", "attempt": 1}, "createdAt": (60 * SECOND).to_string(),
            "image": {"image": "sha256:aaaaaaaaaaaaaaaaaaaa", "userSpecifiedImage": ""},
        });
        let pods =
            [json!({"id": "fedcba9876543210ffff", "metadata": {"name": "web-pod", "namespace": "prod"}})];
        let text = containers(std::slice::from_ref(&container), &pods, 180 * SECOND, false).text(None);
        let expected = "\
CONTAINER      IMAGE          CREATED        STATE    NAME  ATTEMPT  POD ID         POD      NAMESPACE
0123456789abc  aaaaaaaaaaaaa  2 minutes ago  Running  web   1        fedcba9876543  web-pod  prod
";
        assert_eq!(text, expected);
        let full = containers(&[container], &[], 0, true).text(None);
        assert!(full.contains("0123456789abcdef0123") && full.contains("  -    -"), "{full}");
    }

    #[test]
    fn text_of_a_container_cannot_control_the_terminal() {
        let container = json!({"id": "a", "metadata": {"name": "\u{1b}[31m\nx"}});
        let text = containers(&[container], &[], 0, false).text(None);
        assert!(!text.contains('\u{1b}') && text.lines().count() == 2, "{text}");
    }

    #[test]
    fn the_processor_is_measured_between_two_samples() {
        let cpu = |at: i64, used: i64| json!({"timestamp": (at * SECOND).to_string(), "usageCoreNanoSeconds": {"value": used.to_string()}});
        assert_eq!(percent(Some(&cpu(1, 0)), &cpu(3, SECOND)), "50.00");
        assert_eq!(percent(None, &cpu(3, SECOND)), "-");
        assert_eq!(percent(Some(&cpu(3, 0)), &cpu(3, SECOND)), "-");
        assert_eq!(percent(None, &json!({"usageNanoCores": {"value": "250000000"}})), "25.00");
    }

    #[test]
    fn events_are_lines() {
        let event = json!({
            "containerId": "0123456789abcdef", "containerEventType": "CONTAINER_STARTED_EVENT", "createdAt": "0",
            "podSandboxStatus": {"metadata": {"name": "web-pod"}},
            "containersStatuses": [{"id": "0123456789abcdef", "metadata": {"name": "web"}}],
        });
        assert_eq!(super::event(&event), "1970-01-01T00:00:00Z  started  0123456789abc  web  web-pod\n");
    }
}
