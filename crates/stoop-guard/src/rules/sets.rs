//! The sets of rules that are built in.

pub(super) const NAMES: [&str; 4] =
    ["docker:read-only", "docker:traefik", "docker:ci-build", "cri:read-only"];

pub(super) fn text(name: &str) -> Option<&'static str> {
    match name {
        "docker:read-only" => Some(include_str!("../../sets/docker-read-only.toml")),
        "docker:traefik" => Some(include_str!("../../sets/docker-traefik.toml")),
        "docker:ci-build" => Some(include_str!("../../sets/docker-ci-build.toml")),
        "cri:read-only" => Some(include_str!("../../sets/cri-read-only.toml")),
        _ => None,
    }
}
