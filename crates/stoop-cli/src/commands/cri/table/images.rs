//! Images, and the file systems that hold them.

use serde_json::{Value, json};

use super::super::field::{list, number, short, text};
use super::{Listing, size};
use crate::output::Truncate;

/// Stands for a name that an image does not have.
const NONE: &str = "<none>";

/// The optional columns.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Shown {
    pub(in super::super) digests: bool,
    pub(in super::super) pinned: bool,
    pub(in super::super) full_ids: bool,
}

/// Returns the table of images: a line for each tag.
pub(in super::super) fn images(items: &[Value], shown: Shown) -> Listing {
    let mut columns = vec![("IMAGE", Truncate::Middle(20), 0), ("TAG", Truncate::End(10), 0)];
    if shown.digests {
        columns.push(("DIGEST", Truncate::Never, 0));
    }
    columns.extend([("IMAGE ID", Truncate::Never, 0), ("SIZE", Truncate::Never, 0)]);
    if shown.pinned {
        columns.push(("PINNED", Truncate::Never, 0));
    }
    let mut listing = Listing::new(&columns);
    for item in items {
        for (repository, tag) in names(item) {
            listing.lines.push(line(item, repository, tag, shown));
        }
    }
    listing.lines.sort();
    listing
}

fn line(item: &Value, repository: String, tag: String, shown: Shown) -> Vec<String> {
    let id = |id: &str| if shown.full_ids { id.to_owned() } else { short(id).to_owned() };
    let mut cells = vec![repository, tag];
    if shown.digests {
        let digest = list(item, "repoDigests").first().and_then(Value::as_str);
        cells.push(
            digest.and_then(|digest| digest.split_once('@')).map_or(NONE.into(), |(_, digest)| id(digest)),
        );
    }
    cells.extend([id(text(item, "id")), size(number(item, "size"), 3)]);
    if shown.pinned {
        cells.push((item["pinned"] == json!(true)).to_string());
    }
    cells
}

/// Returns the repository and tag of each name of an image.
fn names(item: &Value) -> Vec<(String, String)> {
    let tags = list(item, "repoTags").iter().filter_map(Value::as_str).map(split).collect::<Vec<_>>();
    if !tags.is_empty() {
        return tags;
    }
    let digest = list(item, "repoDigests").first().and_then(Value::as_str);
    let repository = digest.and_then(|digest| digest.split_once('@')).map_or(NONE, |(name, _)| name);
    vec![(repository.to_owned(), NONE.to_owned())]
}

/// Splits a name before its tag. A colon before a slash belongs to the port of a registry.
fn split(name: &str) -> (String, String) {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository.to_owned(), tag.to_owned()),
        _ => (name.to_owned(), NONE.to_owned()),
    }
}

/// Returns the table of the file systems of images and containers.
pub(in super::super) fn file_systems(answer: &Value) -> Listing {
    let mut listing = Listing::new(&[
        ("FILE SYSTEM", Truncate::Middle(20), 0),
        ("OF", Truncate::Never, 0),
        ("USED", Truncate::Never, 0),
        ("INODES", Truncate::Never, 0),
    ]);
    for (field, of) in [("imageFilesystems", "images"), ("containerFilesystems", "containers")] {
        for one in list(answer, field) {
            listing.lines.push(vec![
                text(one, "fsId.mountpoint").to_owned(),
                of.to_owned(),
                size(number(one, "usedBytes.value"), 4),
                number(one, "inodesUsed.value").to_string(),
            ]);
        }
    }
    listing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_listed_by_name() {
        let items = [
            json!({"id": "sha256:0123456789abcdef", "repoTags": ["reg:5000/web:1", "b:2"], "size": "1240000"}),
            json!({"id": "sha256:ff", "repoTags": [], "repoDigests": ["old@sha256:0a0b"], "size": "1"}),
        ];
        let expected = "\
IMAGE         TAG     IMAGE ID       SIZE
b             2       0123456789abc  1.24MB
old           <none>  ff             1B
reg:5000/web  1       0123456789abc  1.24MB
";
        assert_eq!(images(&items, Shown::default()).text(None), expected);
        let more = Shown { digests: true, pinned: true, full_ids: true };
        let text = images(&items[1..], more).text(None);
        assert_eq!(text.lines().nth(1), Some("old    <none>  sha256:0a0b  sha256:ff  1B    false"), "{text}");
    }

    #[test]
    fn a_port_is_not_a_tag() {
        assert_eq!(split("reg:5000/web"), ("reg:5000/web".into(), "<none>".into()));
    }
}
