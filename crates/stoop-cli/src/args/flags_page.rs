//! Tests that the flags of all commands line up, and that the guide's table of them is current.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, Command, CommandFactory};

use super::Cli;

/// Commands that print no results of their own: a script, and pages.
const WITHOUT_RESULTS: [&str; 2] = ["completions", "man"];

/// A flag as it is written: `-o, --output FILE`.
fn written(flag: &Arg) -> String {
    let mut text = flag.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
    text += &format!("--{}", flag.get_long().expect("every flag has a long form"));
    if flag.get_action().takes_values() {
        let names: Vec<&str> =
            flag.get_value_names().unwrap_or_default().iter().map(|name| &**name).collect();
        let _ = write!(text, " {}", names.join(" "));
    }
    text
}

/// Returns the visible flags of each command, except `--help` and `--version`.
fn flags() -> Vec<(String, Vec<Arg>)> {
    let mut cli = Cli::command();
    cli.build();
    let is_own = |flag: &&Arg| {
        !flag.is_hide_set() && flag.get_long().is_some_and(|long| !["help", "version"].contains(&long))
    };
    let of = |verb: &Command| verb.get_arguments().filter(is_own).cloned().collect();
    cli.get_subcommands().map(|verb| (verb.get_name().to_owned(), of(verb))).collect()
}

#[test]
fn a_flag_is_written_in_the_same_way_by_every_command() {
    let mut seen: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut shorts = BTreeMap::new();
    for (verb, flags) in flags() {
        for flag in &flags {
            let long = flag.get_long().unwrap_or_default().to_owned();
            let (before, by) = seen.entry(long.clone()).or_insert((written(flag), verb.clone())).clone();
            assert_eq!(written(flag), before, "of {verb} and {by}");
            if let Some(short) = flag.get_short() {
                assert_eq!(*shorts.entry(short).or_insert(long.clone()), long, "-{short} of {verb}");
            }
        }
        let has_json = flags.iter().any(|flag| flag.get_long() == Some("json"));
        assert_eq!(has_json, !WITHOUT_RESULTS.contains(&&*verb), "--json of {verb}");
    }
}

#[test]
fn old_spellings_are_accepted() {
    use clap::Parser;
    for line in [
        &["serve", "./x", "--once"][..],
        &["connect", "./x", "--replies", "1"],
        &["close", "./x", "--with", "1"],
        &["grpc", "./x", "--metadata", "a: b", "--show-metadata"],
        &["bench", "--svg", "x", "--html", "y", "--works", "one-way"],
    ] {
        let words = ["stoop"].iter().chain(line);
        assert!(Cli::try_parse_from(words).is_ok(), "{line:?}");
    }
}

/// `STOOP_GOLDEN=write` rewrites the page.
#[cfg(all(feature = "bench", feature = "grpc", feature = "http"))]
#[test]
fn the_page_of_the_guide_is_current() {
    let mut shared: BTreeMap<String, (String, Vec<String>)> = BTreeMap::new();
    let all = flags();
    for (verb, flags) in &all {
        for flag in flags {
            let long = flag.get_long().unwrap_or_default().to_owned();
            shared.entry(long).or_insert((written(flag), Vec::new())).1.push(format!("`{verb}`"));
        }
    }
    let mut page = String::from(INTRODUCTION);
    for (flag, verbs) in shared.values().filter(|(_, verbs)| verbs.len() > 1) {
        let _ = writeln!(page, "| `{}` | {} |", flag.replace('|', "\\|"), verbs.join(", "));
    }
    page += "\n## Flags of one verb\n\n| verb | flags |\n|---|---|\n";
    for (verb, flags) in &all {
        let own = flags.iter().filter(|flag| shared[flag.get_long().unwrap_or_default()].1.len() == 1);
        let own: Vec<String> = own.map(|flag| format!("`{}`", written(flag).replace('|', "\\|"))).collect();
        if !own.is_empty() {
            let _ = writeln!(page, "| `{verb}` | {} |", own.join(", "));
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/reference/flags.md");
    if std::env::var_os("STOOP_GOLDEN").is_some_and(|how| how == "write") {
        std::fs::write(&path, &page).unwrap();
    }
    assert!(std::fs::read_to_string(&path).unwrap_or_default() == page, "{} is not\n{page}", path.display());
}

#[cfg(all(feature = "bench", feature = "grpc", feature = "http"))]
const INTRODUCTION: &str = "\
# Flags

A flag has the same name, the same value and the same short form with every verb. `stoop VERB --help` describes them.

- `TIME` is a number with a unit, as in `500ms`, `2s`, `1.5s`, `1m`, `2h`. Without a unit it is in seconds.
- `USER` and `GROUP` are names or numbers; `PID` is a process id; `GLOB` is a pattern, in which `*` matches any text.
- `ADDR` is an [address](addresses.md); `KIND` is `stream`, `dgram` or `seqpacket`.

## Flags of several verbs

| flag | verbs |
|---|---|
";
