//! Compares the built-in interfaces with those of containerd.

use std::collections::BTreeSet;
use std::fs;

use stoop_dynamic::Schema;
use stoop_e2e::containerd::Containerd;
use stoop_e2e::program;
use stoop_testkit::skip;

/// Built-in services whose methods are in containerd's program.
const SERVICES: [&str; 14] = [
    "runtime.v1.RuntimeService",
    "runtime.v1.ImageService",
    "grpc.health.v1.Health",
    "containerd.services.containers.v1.Containers",
    "containerd.services.content.v1.Content",
    "containerd.services.diff.v1.Diff",
    "containerd.services.events.v1.Events",
    "containerd.services.images.v1.Images",
    "containerd.services.introspection.v1.Introspection",
    "containerd.services.leases.v1.Leases",
    "containerd.services.namespaces.v1.Namespaces",
    "containerd.services.snapshots.v1.Snapshots",
    "containerd.services.tasks.v1.Tasks",
    "containerd.services.version.v1.Version",
];

/// A Go program contains the path of every method as text. The next text follows without a
/// separator, so each known path is a prefix.
#[test]
fn every_method_of_containerd_is_built_in() {
    if let Some(reason) = Containerd::lacks() {
        skip!("{reason}");
    }
    let path = program("sh", ["-c", "command -v containerd"]).run().ok().text();
    let bytes = fs::read(path.trim()).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let schema = Schema::builtin();
    for service in SERVICES {
        let ours: BTreeSet<String> = methods(&schema, service);
        let start = format!("/{service}/");
        let mut found = BTreeSet::new();
        for (at, _) in text.match_indices(&start) {
            let rest = &text[at + start.len()..];
            let word: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
            let longest =
                ours.iter().filter(|name| word.starts_with(name.as_str())).max_by_key(|name| name.len());
            let name = longest.unwrap_or_else(|| panic!("{service} has '{word}', which is not built in"));
            found.insert(name.clone());
        }
        assert!(!found.is_empty(), "{service} is not in containerd");
    }
}

fn methods(schema: &Schema, service: &str) -> BTreeSet<String> {
    let service = schema.pool().get_service_by_name(service).unwrap_or_else(|| panic!("{service}"));
    service.methods().map(|method| method.name().to_owned()).collect()
}
