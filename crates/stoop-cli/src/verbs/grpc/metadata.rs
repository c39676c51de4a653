//! Metadata: from flags, and as text for people.

use stoop::escaped;
use stoop_grpc::dynamic::{MetadataMap, metadata};

use crate::exit::Exit;
use crate::failure::Failure;

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

/// Lines that show it.
pub(super) fn lines(map: &MetadataMap) -> Vec<String> {
    metadata::pairs(map).into_iter().map(|(key, value)| format!("{key}: {}", escaped(&value))).collect()
}
