//! Dependency rules: the edges between the crates of this workspace, the crates that may have a
//! heavy dependency, and the places where `unsafe` is allowed. `files` has the rules between the
//! files of a crate, `pure` those of the modules that must be pure.
//!
//! The tables below are the rules; everything after them is a function from text to findings. An
//! edge that is not in a table is a finding, and so is a crate that is in no table.

mod files;
mod imports;
mod pure;

use crate::tree::{self, Source};
use crate::{Outcome, cargo, output_of, settle};
use serde_json::Value;

/// Each crate of this workspace, and those that it may depend on. Arrows point down only.
const EDGES: &[(&str, &[&str])] = &[
    // published crates
    ("stoop", &[]),
    ("stoop-memory", &[]),
    ("stoop-bpf", &[]),
    ("stoop-inspect", &["stoop", "stoop-bpf"]),
    ("stoop-tap", &["stoop", "stoop-bpf"]),
    ("stoop-relay", &["stoop", "stoop-tap"]),
    ("stoop-http", &["stoop"]),
    ("stoop-grpc", &["stoop", "stoop-http"]),
    ("stoop-dynamic", &["stoop", "stoop-grpc", "stoop-http"]),
    ("stoop-guard", &["stoop", "stoop-dynamic", "stoop-http", "stoop-inspect"]),
    (
        "stoop-cli",
        &[
            "stoop",
            "stoop-dynamic",
            "stoop-grpc",
            "stoop-guard",
            "stoop-http",
            "stoop-inspect",
            "stoop-memory",
            "stoop-relay",
            "stoop-tap",
        ],
    ),
    // examples
    ("stoop-adapters", &["stoop", "stoop-grpc", "stoop-http"]),
    ("stoop-example-greeter", &["stoop", "stoop-grpc"]),
    ("stoop-example-runtimes", &["stoop", "stoop-grpc"]),
    // tests and tools
    ("stoop-testkit", &[]),
    ("stoop-kernel-facts", &["stoop-testkit"]),
    ("stoop-e2e", &["stoop", "stoop-dynamic", "stoop-grpc", "stoop-relay", "stoop-tap", "stoop-testkit"]),
    ("stoop-bench", &["stoop", "stoop-grpc", "stoop-http", "stoop-relay", "stoop-tap"]),
    (
        "stoop-fuzz",
        &[
            "stoop",
            "stoop-bpf",
            "stoop-dynamic",
            "stoop-grpc",
            "stoop-guard",
            "stoop-http",
            "stoop-inspect",
            "stoop-memory",
            "stoop-relay",
            "stoop-tap",
        ],
    ),
    ("xtask", &[]),
];

/// Any crate's own tests may use these.
const FOR_TESTS: &[&str] = &["stoop-testkit", "stoop-kernel-facts"];

/// Heavy crates, and the crates that may depend on them outside tests. Users of the library pay for
/// none of these.
const HEAVY: &[(&str, &[&str])] = &[
    ("clap", &["stoop-cli"]),
    ("clap_complete", &["stoop-cli"]),
    ("clap_mangen", &["stoop-cli"]),
    ("ratatui", &["stoop-cli"]),
    ("rustyline", &["stoop-cli"]),
    ("signal-hook", &["stoop-cli"]),
    ("serde", &["stoop-cli", "stoop-dynamic", "stoop-guard"]),
    (
        "serde_json",
        &["stoop-cli", "stoop-dynamic", "stoop-guard", "stoop-bench", "stoop-e2e", "stoop-fuzz", "xtask"],
    ),
    (
        "tokio",
        &[
            "stoop-bench",
            "stoop-cli",
            "stoop-example-greeter",
            "stoop-example-runtimes",
            "stoop-fuzz",
            "stoop-dynamic",
            "stoop-grpc",
            "stoop-guard",
            "stoop-http",
        ],
    ),
    ("tracing", &[]),
    ("axum", &[]),
    ("hyper", &["stoop-grpc", "stoop-guard", "stoop-http"]),
    ("tonic", &["stoop-dynamic", "stoop-example-greeter", "stoop-example-runtimes", "stoop-grpc"]),
    ("prost", &["stoop-dynamic", "stoop-example-greeter", "stoop-example-runtimes", "stoop-fuzz", "xtask"]),
    ("prost-reflect", &["stoop-dynamic"]),
    ("protox", &["stoop-dynamic", "stoop-example-greeter", "stoop-example-runtimes", "xtask"]),
];

/// Heavy crates that are allowed behind a feature, and for which crate.
const OPTIONAL: &[(&str, &[&str])] = &[
    ("axum", &["stoop-http"]),
    ("hyper", &["stoop-bench"]),
    ("serde", &["stoop"]),
    ("tokio", &["stoop", "stoop-relay"]),
    ("tonic", &["stoop-bench"]),
    ("tracing", &["stoop"]),
    ("prost", &["stoop-guard"]),
];

/// The sources of each published crate, and the directories in them where `unsafe` is allowed.
const UNSAFE: &[(&str, &[&str])] = &[
    ("crates/stoop/src", &["crates/stoop/src/sys/"]),
    ("crates/stoop-memory/src", &["crates/stoop-memory/src/sys/"]),
    ("crates/stoop-bpf/src", &["crates/stoop-bpf/src/sys/"]),
    ("crates/stoop-inspect/src", &[]),
    ("crates/stoop-relay/src", &[]),
    ("crates/stoop-tap/src", &["crates/stoop-tap/src/trace/sys/"]),
    ("crates/stoop-dynamic/src", &[]),
    ("crates/stoop-grpc/src", &[]),
    ("crates/stoop-guard/src", &[]),
    ("crates/stoop-http/src", &[]),
    ("crates/stoop-cli/src", &[]),
];

/// Reports every violation in the workspace. `--lower` lowers the budget of uses between files to
/// the present counts.
pub fn run(args: &[String]) -> Outcome {
    let lower = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--lower"] => true,
        _ => return Err(format!("'{}' is not an option: --lower", args.join(" "))),
    };
    let mut findings = findings()?;
    findings.extend(pure::findings()?);
    findings.extend(files::findings(lower)?);
    settle("layers", findings)
}

fn findings() -> Result<Vec<String>, String> {
    let metadata = output_of(&mut cargo(&["metadata", "--format-version=1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_slice(&metadata).map_err(|e| format!("cargo metadata: {e}"))?;
    let mut findings: Vec<String> = dependencies(&metadata).iter().filter_map(forbidden).collect();
    findings.extend(members(&metadata).iter().filter_map(|name| unknown(name)));
    for (dir, allowed) in UNSAFE {
        let sources = tree::sources(dir, &["rs"])?;
        findings.extend(sources.iter().filter(|s| !within(s, allowed)).flat_map(unsafe_lines));
    }
    Ok(findings)
}

/// One line of a Cargo.toml: which crate depends on which, and whether always.
struct Dependency {
    from: String,
    to: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// For all users of the crate (including build dependencies, which are built).
    Always,
    /// Only if a feature is enabled.
    Optional,
    /// Only for the crate's own tests.
    Dev,
}

fn members(metadata: &Value) -> Vec<String> {
    packages(metadata).map(|package| text(package, "name")).collect()
}

fn dependencies(metadata: &Value) -> Vec<Dependency> {
    packages(metadata)
        .flat_map(|package| {
            let from = text(package, "name");
            package["dependencies"].as_array().into_iter().flatten().map(move |to| Dependency {
                from: from.clone(),
                to: text(to, "name"),
                kind: kind(to),
            })
        })
        .collect()
}

fn kind(dependency: &Value) -> Kind {
    match (&dependency["kind"], &dependency["optional"]) {
        (kind, _) if kind == "dev" => Kind::Dev,
        (_, Value::Bool(true)) => Kind::Optional,
        _ => Kind::Always,
    }
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().into_iter().flatten()
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn unknown(member: &str) -> Option<String> {
    allowed(EDGES, member).is_none().then(|| format!("'{member}' has no row in the table of edges"))
}

fn forbidden(edge: &Dependency) -> Option<String> {
    let Dependency { from, to, kind } = edge;
    let permits =
        |table, row: &str, name: &str| allowed(table, row).is_some_and(|names| names.contains(&name));
    let fits = if *kind == Kind::Dev && FOR_TESTS.contains(&to.as_str()) {
        true
    } else if allowed(EDGES, to).is_some() {
        permits(EDGES, from, to)
    } else {
        *kind == Kind::Dev
            || allowed(HEAVY, to).is_none()
            || permits(HEAVY, to, from)
            || *kind == Kind::Optional && permits(OPTIONAL, to, from)
    };
    (!fits).then(|| format!("'{from}' must not depend on '{to}'"))
}

fn allowed<'t>(table: &'t [(&str, &[&str])], name: &str) -> Option<&'t [&'t str]> {
    table.iter().find(|(row, _)| *row == name).map(|(_, allowed)| *allowed)
}

fn within(source: &Source, dirs: &[&str]) -> bool {
    dirs.iter().any(|dir| source.path.starts_with(dir))
}

/// Returns lines that contain unsafe code or lift the lint against it. (The lint finds the rest;
/// this finds where it is lifted.)
fn unsafe_lines(source: &Source) -> Vec<String> {
    const OPENERS: &[&str] = &["unsafe {", "unsafe fn", "unsafe impl", "unsafe trait", "unsafe extern"];
    const LIFTERS: &[&str] = &["allow(unsafe_code", "expect(unsafe_code", "warn(unsafe_code"];
    lines_with(source, OPENERS.iter().chain(LIFTERS), "`unsafe` is allowed only in a `sys` directory")
}

/// Returns lines outside tests that, without comments, contain one of the words.
fn lines_with<'w>(
    source: &Source,
    words: impl Iterator<Item = &'w &'w str> + Clone,
    rule: &str,
) -> Vec<String> {
    let finding = |(n, line): (usize, &str)| {
        let code = line.split("//").next().unwrap_or_default();
        let word = words.clone().find(|word| code.contains(**word))?;
        Some(format!("{}:{}: '{word}': {rule}", source.path, n + 1))
    };
    source.shipped_lines().enumerate().filter_map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: &str, to: &str, kind: Kind) -> Option<String> {
        forbidden(&Dependency { from: from.into(), to: to.into(), kind })
    }

    #[test]
    fn arrows_point_down_only() {
        assert_eq!(edge("stoop-cli", "stoop", Kind::Always), None);
        assert!(edge("stoop", "stoop-cli", Kind::Always).is_some());
        assert!(edge("stoop", "stoop-cli", Kind::Dev).is_some(), "not even for tests");
    }

    #[test]
    fn only_tests_use_the_testkit() {
        assert_eq!(edge("stoop", "stoop-testkit", Kind::Dev), None);
        assert!(edge("stoop", "stoop-testkit", Kind::Always).is_some());
    }

    #[test]
    fn heavy_crates_are_allowed_per_crate() {
        assert_eq!(edge("stoop-cli", "clap", Kind::Always), None);
        assert!(edge("stoop", "clap", Kind::Always).is_some());
        assert!(edge("stoop", "clap", Kind::Optional).is_some());
        assert_eq!(edge("stoop", "rustix", Kind::Always), None, "light crates are unrestricted");
        assert_eq!(edge("stoop-fuzz", "serde_json", Kind::Dev), None, "tests may use them");
    }

    #[test]
    fn the_runtime_is_optional() {
        assert_eq!(edge("stoop", "tokio", Kind::Optional), None);
        assert!(edge("stoop", "tokio", Kind::Always).is_some());
        assert!(edge("stoop-inspect", "tokio", Kind::Optional).is_some());
    }

    #[test]
    fn metadata_is_read() {
        let metadata = serde_json::json!({"packages": [
            {"name": "stoop", "dependencies": [{"name": "clap", "kind": null}, {"name": "clap", "kind": "dev"},
                {"name": "tokio", "kind": null, "optional": true}]},
            {"name": "stranger", "dependencies": []},
        ]});
        let found: Vec<_> = dependencies(&metadata).iter().filter_map(forbidden).collect();
        assert_eq!(found, ["'stoop' must not depend on 'clap'"]);
        let strangers: Vec<_> = members(&metadata).iter().filter_map(|name| unknown(name)).collect();
        assert_eq!(strangers, ["'stranger' has no row in the table of edges"]);
    }

    #[test]
    fn unsafe_is_found_in_code_but_not_in_comments() {
        let source = |text: &str| Source { path: "a.rs".into(), text: text.into() };
        let lines = |text: &str| unsafe_lines(&source(text)).len();
        assert_eq!(lines("let x = unsafe { f() };"), 1);
        assert_eq!(lines("pub unsafe fn f() {}\nunsafe impl Send for X {}"), 2);
        assert_eq!(lines("#![expect(unsafe_code, reason = \"it is quick\")]"), 1);
        assert_eq!(lines("// unsafe { f() }\n#![forbid(unsafe_code)]\nlet unsafe_bits = 1;"), 0);
        assert_eq!(lines("fn f() {}\n#[cfg(test)]\nmod tests {\nunsafe {} }"), 0);
    }
}
