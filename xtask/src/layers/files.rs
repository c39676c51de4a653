//! The files of a crate: which may use which, and which use each other.
//!
//! `stoop` has layers; a file uses files of its own layer and of those below. Uses that point
//! upward, and groups of files that use each other, are counted in `xtask/layers.budget`: a count
//! may only fall.

use std::collections::BTreeMap;

use super::imports::{cycles, edges};
use crate::tree::{self, Source};

/// The numbers of excused findings.
const BUDGET: &str = "xtask/layers.budget";

/// The crate with layers.
const LAYERED: &str = "crates/stoop/src";

/// Its layers, the lowest first. A file belongs to the layer with its path, or else to that with
/// the longest path of a directory around it.
const LAYERS: &[&[&str]] = &[
    // values: no I/O
    &[
        "address",
        "control",
        "file_id.rs",
        "frame/buffer.rs",
        "kind.rs",
        "origin.rs",
        "retry.rs",
        "socket_addr.rs",
        "spin.rs",
    ],
    // system calls
    &["sys"],
    // what every call returns or checks
    &["error", "error.rs", "overflow_ids.rs", "peer.rs", "policy.rs"],
    // the kernel's tables
    &["diag", "mountinfo.rs"],
    // what every kind of socket shares
    &["message.rs", "refusals.rs", "socket.rs", "socket_ext.rs", "socket_methods.rs"],
    // socket files, and server sockets of any kind
    &["responding", "server_options.rs", "socket_file"],
    // sockets
    &[
        "batch.rs",
        "connect",
        "connect.rs",
        "datagram",
        "datagram.rs",
        "listener.rs",
        "owner.rs",
        "packet.rs",
        "reply.rs",
        "send_quota.rs",
        "sends.rs",
        "seqpacket.rs",
        "stream.rs",
    ],
    &["frame"],
    // servers
    &["bind"],
    &["aio"],
    &["serve"],
    &["fuzzing.rs", "internal.rs", "lib.rs"],
];

/// Returns the findings; `lower` lowers the budget to the present counts first.
pub fn findings(lower: bool) -> Result<Vec<String>, String> {
    let mut budget = parse(&tree::read(BUDGET)?)?;
    let mut found = BTreeMap::new();
    let mut findings = Vec::new();
    for src in tree::crates()?.iter().map(|name| format!("crates/{name}/src")) {
        let sources = tree::sources(&src, &["rs"])?;
        let edges = edges(&src, &sources);
        let groups =
            cycles(&edges).into_iter().map(|group| format!("{src}: use each other: {}", group.join(" ")));
        found.insert(format!("cycles {src}"), groups.collect::<Vec<_>>());
        if src == LAYERED {
            let (upward, unknown) = upward(&src, &sources, edges.iter());
            found.insert(format!("upward {src}"), upward);
            findings.extend(unknown);
        }
    }
    if lower {
        for (what, excused) in &mut budget {
            *excused = (*excused).min(found.get(what).map_or(0, Vec::len));
        }
        write(&budget)?;
    }
    findings.extend(compare(&budget, found));
    Ok(findings)
}

/// Returns the uses of a higher layer, and what is in no layer or is a layer of nothing.
fn upward<'e>(
    src: &str,
    sources: &[Source],
    edges: impl Iterator<Item = &'e (String, String)>,
) -> (Vec<String>, Vec<String>) {
    let uses = edges.filter(|(from, to)| layer(from) < layer(to));
    let upward =
        uses.map(|(from, to)| format!("{src}/{from} uses {to}, which is in a higher layer")).collect();
    let files: Vec<&str> =
        sources.iter().filter_map(|s| Some(s.path.strip_prefix(src)?.trim_start_matches('/'))).collect();
    let homeless = files.iter().filter(|file| layer(file).is_none());
    let homeless =
        homeless.map(|file| format!("{src}/{file} has no layer (LAYERS in xtask/src/layers/files.rs)"));
    let empty =
        LAYERS.iter().copied().flatten().filter(|path| !files.iter().any(|file| is_within(file, path)));
    let empty = empty.map(|path| format!("{src}/{path} has a layer and does not exist"));
    (upward, homeless.chain(empty).collect())
}

fn layer(file: &str) -> Option<usize> {
    let rows =
        LAYERS.iter().enumerate().flat_map(|(index, paths)| paths.iter().map(move |path| (index, *path)));
    let around = rows.filter(|(_, path)| is_within(file, path));
    around.max_by_key(|(_, path)| path.len()).map(|(index, _)| index)
}

fn is_within(file: &str, path: &str) -> bool {
    file.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns the findings beyond the budget, and the numbers of the budget that are too large.
fn compare(budget: &BTreeMap<String, usize>, found: BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut findings = Vec::new();
    for (what, all) in found {
        let excused = budget.get(&what).copied().unwrap_or(0);
        let count = all.len();
        if count > excused {
            findings.extend(all);
            findings.push(format!("{what}: {count}, and {excused} are excused"));
        } else if count < excused {
            findings.push(format!(
                "{what}: {count}, but {BUDGET} still excuses {excused}: run `cargo xtask layers --lower`"
            ));
        }
    }
    findings
}

fn parse(text: &str) -> Result<BTreeMap<String, usize>, String> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let number = |line: &str| {
        let (count, what) = line.split_once(' ')?;
        Some((what.to_owned(), count.parse().ok()?))
    };
    lines.map(|line| number(line).ok_or_else(|| format!("{BUDGET}: '{line}' has no count"))).collect()
}

fn write(budget: &BTreeMap<String, usize>) -> Result<(), String> {
    let mut text = String::from(
        "# Uses of higher layers, and groups of files that use each other, in each crate. A count may only fall:\n\
         # `cargo xtask layers --lower` writes the lower ones.\n",
    );
    for (what, count) in budget.iter().filter(|(_, count)| **count > 0) {
        text.push_str(&format!("{count} {what}\n"));
    }
    std::fs::write(tree::root().join(BUDGET), text).map_err(|e| format!("cannot write '{BUDGET}': {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_in_the_layer_of_the_longest_path() {
        assert!(layer("frame/buffer.rs") < layer("listener.rs"));
        assert!(layer("listener.rs") < layer("frame/reader.rs"));
        assert_eq!(layer("bind/handover/take.rs"), layer("bind/mod.rs"));
        assert_eq!(layer("bindings.rs"), None);
    }

    #[test]
    fn uses_of_a_higher_layer_are_found() {
        let edge = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        let edges =
            [edge("error.rs", "owner.rs"), edge("owner.rs", "error.rs"), edge("stream.rs", "socket.rs")];
        let sources = [Source { path: "src/new.rs".into(), text: String::new() }];
        let (up, unknown) = upward("src", &sources, edges.iter());
        assert_eq!(up, ["src/error.rs uses owner.rs, which is in a higher layer"]);
        assert!(unknown.iter().any(|finding| finding.starts_with("src/new.rs has no layer")), "{unknown:?}");
        assert!(
            unknown.iter().any(|finding| finding == "src/sys has a layer and does not exist"),
            "{unknown:?}"
        );
    }

    #[test]
    fn a_count_may_only_fall() {
        let budget = parse("# why\n1 cycles a\n2 upward a\n").unwrap();
        let found = |cycles: usize, upward: usize| {
            let some = |count| vec!["x".to_owned(); count];
            BTreeMap::from([("cycles a".to_owned(), some(cycles)), ("upward a".to_owned(), some(upward))])
        };
        assert_eq!(compare(&budget, found(1, 2)), [""; 0]);
        assert_eq!(compare(&budget, found(2, 2)), ["x", "x", "cycles a: 2, and 1 are excused"]);
        let [lower] = &compare(&budget, found(1, 0))[..] else { panic!() };
        assert!(lower.contains("run `cargo xtask layers --lower`"), "{lower}");
        assert!(parse("cycles a\n").is_err());
    }
}
