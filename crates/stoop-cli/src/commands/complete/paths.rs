//! Paths of well-known HTTP services. Pure.

/// A path, in which `{…}` stands for a name that the service knows.
type Path = (&'static str, &'static str);

/// The API of Docker, which podman has, too.
const DOCKER: &[Path] = &[
    ("/_ping", "whether it answers"),
    ("/auth", "POST: log in to a registry"),
    ("/build", "POST: build an image"),
    ("/commit", "POST: an image from a container"),
    ("/containers/create", "POST"),
    ("/containers/json", "the containers that run"),
    ("/containers/json?all=1", "all containers"),
    ("/containers/prune", "POST"),
    ("/containers/{container}", "DELETE"),
    ("/containers/{container}/attach", "POST"),
    ("/containers/{container}/changes", "changed files"),
    ("/containers/{container}/exec", "POST: prepare a command"),
    ("/containers/{container}/json", "everything about it"),
    ("/containers/{container}/kill", "POST"),
    ("/containers/{container}/logs?stdout=1&stderr=1", "its output"),
    ("/containers/{container}/pause", "POST"),
    ("/containers/{container}/restart", "POST"),
    ("/containers/{container}/start", "POST"),
    ("/containers/{container}/stats", "resources, as a stream"),
    ("/containers/{container}/stop", "POST"),
    ("/containers/{container}/top", "its processes"),
    ("/containers/{container}/unpause", "POST"),
    ("/containers/{container}/wait", "POST: until it exits"),
    ("/events", "as a stream"),
    ("/images/json", "the images"),
    ("/images/create", "POST: pull one"),
    ("/images/prune", "POST"),
    ("/images/{image}", "DELETE"),
    ("/images/{image}/history", "its layers"),
    ("/images/{image}/json", "everything about it"),
    ("/info", "the daemon"),
    ("/networks", "the networks"),
    ("/networks/create", "POST"),
    ("/networks/{network}", "everything about it"),
    ("/system/df", "space in use"),
    ("/version", "its version"),
    ("/volumes", "the volumes"),
    ("/volumes/create", "POST"),
    ("/volumes/{volume}", "everything about it"),
];

const SNAPD: &[Path] = &[
    ("/v2/apps", ""),
    ("/v2/changes", ""),
    ("/v2/connections", ""),
    ("/v2/interfaces", ""),
    ("/v2/snaps", "the snaps"),
    ("/v2/system-info", "the system"),
];

const INCUS: &[Path] = &[
    ("/1.0", "the server"),
    ("/1.0/events", "as a stream"),
    ("/1.0/images", ""),
    ("/1.0/instances", ""),
    ("/1.0/networks", ""),
    ("/1.0/operations", ""),
    ("/1.0/profiles", ""),
    ("/1.0/projects", ""),
    ("/1.0/storage-pools", ""),
];

/// Returns the paths of a service by its label.
pub(super) fn of(label: &str) -> &'static [Path] {
    match label {
        "docker" | "docker-desktop" | "podman" => DOCKER,
        "snapd" | "snapd-snap" => SNAPD,
        "incus" | "lxd" => INCUS,
        _ => &[],
    }
}

/// What to ask for the names that a placeholder stands for, and where they are in the answer.
pub(super) fn listing(placeholder: &str) -> Option<(&'static str, &'static str)> {
    Some(match placeholder {
        "container" => ("/containers/json?all=1", "/*/Names/*"),
        "image" => ("/images/json", "/*/RepoTags/*"),
        "network" => ("/networks", "/*/Name"),
        "volume" => ("/volumes", "/Volumes/*/Name"),
        _ => return None,
    })
}

/// Splits a path before and after its placeholder.
pub(super) fn split(path: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = path.split_once('{')?;
    let (placeholder, after) = rest.split_once('}')?;
    Some((before, placeholder, after))
}

/// Returns the version that a path begins with, as in `/v1.43/info`.
pub(super) fn version(path: &str) -> &str {
    let Some(rest) = path.strip_prefix("/v") else { return "" };
    let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let is_version = rest[..digits].contains('.') && rest[digits..].starts_with('/');
    if is_version { &path[..2 + digits] } else { "" }
}

/// Returns the text at each place of a document that a pattern names, in which `*` is any element.
pub(super) fn texts(document: &serde_json::Value, pattern: &str) -> Vec<String> {
    let mut places = vec![document];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        places = places
            .into_iter()
            .flat_map(|place| match (part, place) {
                ("*", serde_json::Value::Array(elements)) => elements.iter().collect(),
                _ => place.get(part).into_iter().collect::<Vec<_>>(),
            })
            .collect();
    }
    let texts = places.into_iter().filter_map(serde_json::Value::as_str);
    // Docker writes a slash before the names of containers.
    texts.map(|text| text.strip_prefix('/').unwrap_or(text).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use stoop_inspect::endpoints::Name;

    #[test]
    fn every_placeholder_can_be_asked_for() {
        let services = ["docker", "podman", "snapd", "incus", "lxd"];
        for (path, _) in services.iter().flat_map(|label| of(label)) {
            assert!(path.starts_with('/'), "{path}");
            if let Some((_, placeholder, _)) = split(path) {
                let (listing, _) = listing(placeholder).unwrap();
                assert!(DOCKER.iter().any(|(known, _)| *known == listing), "{listing}");
            }
        }
        let known: Vec<&str> = Name::all().flat_map(Name::services).map(|service| service.label()).collect();
        assert!(known.iter().any(|label| !of(label).is_empty()), "{known:?}");
    }

    #[test]
    fn names_are_taken_from_a_document() {
        let containers = serde_json::json!([{"Names": ["/web", "/db"]}, {"Names": ["/x"]}, 7]);
        assert_eq!(texts(&containers, "/*/Names/*"), ["web", "db", "x"]);
        let volumes = serde_json::json!({"Volumes": [{"Name": "v"}], "Warnings": null});
        assert_eq!(texts(&volumes, "/Volumes/*/Name"), ["v"]);
        assert!(texts(&serde_json::json!({"Volumes": null}), "/Volumes/*/Name").is_empty());
    }

    #[test]
    fn a_version_is_kept() {
        assert_eq!(version("/v1.43/containers/"), "/v1.43");
        assert_eq!(version("/v2/snaps"), "");
        assert_eq!(version("/volumes"), "");
    }
}
