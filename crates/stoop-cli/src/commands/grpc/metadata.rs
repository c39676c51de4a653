//! Metadata: parsed from flags, and formatted as text.

use stoop::escaped;
use stoop_dynamic::{MetadataMap, metadata};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Headers;

/// Parses the `KEY: VALUE` of each flag.
pub(super) fn read(flags: &[String]) -> Result<MetadataMap, Failure> {
    let mut map = MetadataMap::new();
    for flag in flags {
        let (key, value) = flag.split_once(':').unwrap_or((flag, ""));
        metadata::insert(&mut map, key.trim(), value.trim()).map_err(|why| {
            Failure::new(Exit::Usage, format!("invalid metadata '{flag}': {why}"))
                .next("stoop grpc … -H 'containerd-namespace: k8s.io'")
        })?;
    }
    Ok(map)
}

/// Groups metadata by key, without the keys that the protocol reserves.
pub(super) fn listed(map: &MetadataMap) -> Headers {
    let mut listed = Headers::new();
    let is_own = |key: &str| key == "content-type" || key.starts_with("grpc-");
    for (key, value) in metadata::pairs(map).into_iter().filter(|(key, _)| !is_own(key)) {
        listed.entry(key).or_default().push(value);
    }
    listed
}

/// Formats it as lines.
pub(super) fn lines(map: &MetadataMap) -> Vec<String> {
    let one = |(key, values): (String, Vec<String>)| {
        values.into_iter().map(move |value| format!("{key}: {}", escaped(&value))).collect::<Vec<_>>()
    };
    listed(map).into_iter().flat_map(one).collect()
}
