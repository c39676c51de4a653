//! Metadata: parsed from flags, and formatted as text.

use stoop::escaped;
use stoop_dynamic::{MetadataMap, metadata};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Headers;

/// Parses the `KEY: VALUE` of each flag.
pub(super) fn read<'f>(flags: impl IntoIterator<Item = &'f String>) -> Result<MetadataMap, Failure> {
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

/// Replaces each `${NAME}` by the value of the variable, which must be set.
pub(super) fn expand(flag: &str, variable: impl Fn(&str) -> Option<String>) -> Result<String, Failure> {
    let mut parts = flag.split("${");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let Some((name, rest)) = part.split_once('}') else {
            text += "${";
            text += part;
            continue;
        };
        text += &variable(name).ok_or_else(|| {
            Failure::usage(
                format!("invalid metadata '{flag}': the variable '{name}' is not set"),
                "--expand-headers replaces ${NAME} by the value of an environment variable",
            )
        })?;
        text += rest;
    }
    Ok(text)
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

/// Formats all of it as lines, also what the protocol reserves, in order.
pub(super) fn all_lines(map: &MetadataMap) -> Vec<String> {
    let mut pairs = metadata::pairs(map);
    pairs.sort();
    pairs.into_iter().map(|(key, value)| format!("{key}: {}", escaped(&value))).collect()
}

/// Formats it as lines.
pub(super) fn lines(map: &MetadataMap) -> Vec<String> {
    let one = |(key, values): (String, Vec<String>)| {
        values.into_iter().map(move |value| format!("{key}: {}", escaped(&value))).collect::<Vec<_>>()
    };
    listed(map).into_iter().flat_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_expanded() {
        let variable = |name: &str| (name == "TOKEN").then(|| "a${TOKEN}b".to_owned());
        let expanded = |flag| expand(flag, variable).map_err(|failure| failure.summary());
        for (flag, text) in [
            ("x: y", "x: y"),
            ("authorization: Bearer ${TOKEN}", "authorization: Bearer a${TOKEN}b"),
            ("${TOKEN}${TOKEN}", "a${TOKEN}ba${TOKEN}b"),
            ("a $TOKEN {TOKEN} ${TOKEN", "a $TOKEN {TOKEN} ${TOKEN"),
        ] {
            assert_eq!(expanded(flag).as_deref(), Ok(text));
        }
        assert!(expanded("x: ${NONE}").unwrap_err().contains("'NONE' is not set"));
    }
}
