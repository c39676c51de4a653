//! Tests that the flags of all commands line up, and that the guide's table of them is current.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use clap::error::ErrorKind;
use clap::{Arg, Command, CommandFactory, Parser};

use super::Cli;

/// Commands that print no results of their own: a script, and pages. The actions of `cri` have the
/// flags of crictl for it.
const WITHOUT_RESULTS: [&str; 3] = ["completions", "cri", "man"];

/// Commands that print no status messages.
const WITHOUT_STATUS: [&str; 6] = ["demo", "wait", "why", "bench", "completions", "man"];

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
    let shown = cli.get_subcommands().filter(|verb| !verb.is_hide_set());
    shown.map(|verb| (verb.get_name().to_owned(), of(verb))).collect()
}

#[test]
fn a_flag_is_written_in_the_same_way_by_every_command() {
    let mut seen: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut shorts = BTreeMap::new();
    for (verb, flags) in flags() {
        // The letters of `cri` are those of crictl.
        for flag in flags.iter().filter(|_| verb != "cri") {
            let long = flag.get_long().unwrap_or_default().to_owned();
            let (before, by) = seen.entry(long.clone()).or_insert((written(flag), verb.clone())).clone();
            assert_eq!(written(flag), before, "of {verb} and {by}");
            // -w and -r are curl's letters in `http`, and tcpdump's in `tap`.
            let is_own = |short: char| verb == "tap" && "rw".contains(short);
            if let Some(short) = flag.get_short().filter(|short| !is_own(*short)) {
                assert_eq!(*shorts.entry(short).or_insert(long.clone()), long, "-{short} of {verb}");
            }
        }
        let has_json = flags.iter().any(|flag| flag.get_long() == Some("json"));
        assert_eq!(has_json, !WITHOUT_RESULTS.contains(&&*verb), "--json of {verb}");
        let has_quiet = flags.iter().any(|flag| flag.get_long() == Some("quiet"));
        assert_eq!(has_quiet, !WITHOUT_STATUS.contains(&&*verb), "--quiet of {verb}");
    }
}

/// Returns a line that each command accepts, by its name, with this address if it takes one.
fn lines(address: &str) -> Vec<Vec<String>> {
    let mut cli = Cli::command();
    cli.build();
    let of = |verb: &Command| {
        // Those of `relay` and `http` are required unless a flag takes their place.
        let are_replaceable = ["relay", "http"].contains(&verb.get_name());
        let is_required = |argument: &Arg| argument.is_required_set() || are_replaceable;
        let required = |argument: &&Arg| argument.is_positional() && is_required(argument);
        let is_address = |argument: &Arg| {
            argument.is_positional()
                && argument
                    .get_value_names()
                    .is_some_and(|names| names.iter().any(|name| name.contains("ADDR")))
        };
        let mut line = vec!["stoop".to_owned(), verb.get_name().to_owned()];
        line.extend(verb.get_arguments().find(|argument| is_address(argument)).map(|_| address.to_owned()));
        line.extend(verb.get_subcommands().next().map(|action| action.get_name().to_owned()));
        let others = verb.get_arguments().filter(required).filter(|argument| !is_address(argument));
        line.extend(others.map(|argument| match argument.get_id().as_str() {
            "shell" => "bash".to_owned(),
            _ => "/".to_owned(),
        }));
        line
    };
    cli.get_subcommands().map(of).collect()
}

#[test]
fn addresses_are_read_in_the_same_way_by_every_command() {
    let takes_address = |line: &&Vec<String>| line.get(2).is_some_and(|word| word.contains("x.sock"));
    let understood = ["unix:/x.sock:", "unix:path=/x.sock,guid=ab", "UNIX-CONNECT:/x.sock", "local:/x.sock"];
    for address in understood {
        let verbs = lines(address);
        assert!(verbs.iter().filter(takes_address).count() >= 11, "{verbs:?}");
        for line in &verbs {
            assert!(Cli::try_parse_from(line).is_ok(), "{line:?}");
        }
    }
    for address in ["unix:/x.sock:/uri", "tcp:x.sock", "npipe://x.sock", "UNIX-LISTEN:/x.sock,fork"] {
        for line in lines(address).iter().filter(takes_address) {
            let error = Cli::try_parse_from(line).unwrap_err();
            let why = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            assert!(error.kind() == ErrorKind::ValueValidation && why.len() > 20, "{line:?}: {error}");
        }
    }
    for line in lines("docker").iter().filter(|line| line.get(2).is_some_and(|word| word == "docker")) {
        let is_client = !["serve", "recv"].contains(&line[1].as_str());
        assert_eq!(Cli::try_parse_from(line).is_ok(), is_client, "{line:?}");
    }
}

#[test]
fn times_are_read_in_the_same_way_by_every_command() {
    let mut count = 0;
    for (line, (verb, flags)) in lines("/x.sock").into_iter().zip(flags()) {
        let is_time =
            |flag: &&Arg| flag.get_value_names().is_some_and(|names| names.iter().any(|name| name == "TIME"));
        for flag in flags.iter().filter(is_time) {
            let with = |value: &str| {
                let flag = format!("--{}", flag.get_long().unwrap_or_default());
                // In front of an action, whose flags are others.
                let (verb, rest) = line.split_at(2);
                Cli::try_parse_from([verb, &[flag, value.to_owned()], rest].concat())
            };
            for value in ["2", "1.5", "500ms", "1m"] {
                let error = with(value).err().filter(|error| error.kind() == ErrorKind::ValueValidation);
                assert!(error.is_none(), "{verb} {flag}: {error:?}");
            }
            assert_eq!(
                with("2 apples").map(drop).map_err(|error| error.kind()),
                Err(ErrorKind::ValueValidation)
            );
            count += 1;
        }
    }
    assert!(count >= 8, "{count}");
}

#[test]
fn old_spellings_are_accepted() {
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
#[cfg(all(feature = "bench", feature = "grpc", feature = "http", feature = "top"))]
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

#[cfg(all(feature = "bench", feature = "grpc", feature = "http", feature = "top"))]
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
