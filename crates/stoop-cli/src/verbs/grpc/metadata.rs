//! Metadata: from flags, and as text for people.

use stoop::escaped;
use stoop_grpc::dynamic::{MetadataMap, metadata};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Headers;

/// Reads `KEY: VALUE` of each flag.
pub(super) fn read(flags: &[String]) -> Result<MetadataMap, Failure> {
    let mut map = MetadataMap::new();
    for flag in flags {
        let (key, value) = flag.split_once(':').unwrap_or((flag, ""));
        metadata::insert(&mut map, key.trim(), value.trim()).map_err(|why| {
            Failure::new(Exit::Usage, format!("'{flag}' is no metadata: {why}"))
                .next("stoop grpc … -H 'containerd-namespace: k8s.io'")
        })?;
    }
    Ok(map)
}

/// By their keys. Those that the protocol has for itself say nothing to a person.
pub(super) fn listed(map: &MetadataMap) -> Headers {
    let mut listed = Headers::new();
    let is_own = |key: &str| key == "content-type" || key.starts_with("grpc-");
    for (key, value) in metadata::pairs(map).into_iter().filter(|(key, _)| !is_own(key)) {
        listed.entry(key).or_default().push(value);
    }
    listed
}

/// Lines that show it.
pub(super) fn lines(map: &MetadataMap) -> Vec<String> {
    let one = |(key, values): (String, Vec<String>)| {
        values.into_iter().map(move |value| format!("{key}: {}", escaped(&value))).collect::<Vec<_>>()
    };
    listed(map).into_iter().flat_map(one).collect()
}
