//! stats and events.

use serde_json::Value;
use stoop_e2e::containerd::Containerd;

use super::pod::{Pod, cri};

pub fn stats(pod: &Pod<'_>) {
    let table = pod.text(&["stats", "-s", "100ms"]);
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((row[0], row[1]), (&pod.id[..13], "web"), "{table}");
    assert!(row[2].parse::<f64>().is_ok() && row[3].ends_with('B'), "{table}");
    let json: Value = serde_json::from_str(&pod.text(&["stats", "web", "-o", "json"])).unwrap();
    assert_eq!(json["stats"][0]["attributes"]["id"], pod.id.as_str());
    let table = pod.text(&["statsp", "-s", "100ms"]);
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[0], "web-pod", "{table}");
    assert!(row[3].ends_with('B'), "{table}");
    assert!(pod.text(&["imagefsinfo"]).contains("imageFilesystems"));
}

/// Events of the CRI, which containerd has since 1.7.
pub fn events(containerd: &Containerd) {
    containerd.import_image_into("k8s.io");
    let table = cri(containerd, &["events", "-o", "table"]).spawn();
    let json = cri(containerd, &["events"]).spawn();
    let wanted = ["created", "started", "stopped", "deleted"];
    // A subscription that has not begun misses what happens; so there is more than one life, and time
    // for several.
    stoop_testkit::eventually(3 * stoop_e2e::LIMIT, || {
        let pod = Pod::run(containerd);
        pod.text(&["stop", "web"]);
        pod.text(&["rm", "web"]);
        pod.text(&["rmp", "-f", "web-pod"]);
        let (table, json) = (table.stdout(), json.stdout());
        let (table, json) = (String::from_utf8_lossy(&table), String::from_utf8_lossy(&json));
        wanted.iter().all(|word| table.contains(&format!("  {word} ")))
            && json.lines().any(|line| {
                serde_json::from_str::<Value>(line)
                    .is_ok_and(|event| event["containerEventType"] == "CONTAINER_DELETED_EVENT")
            })
    });
    drop((table.kill(), json.kill()));
}
