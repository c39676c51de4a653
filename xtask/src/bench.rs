//! Starts the benchmarks: `cargo xtask bench NAME`, and `all`, which writes BENCHMARKS.md.

use crate::{Outcome, cargo, succeed};

/// The file that `all` writes.
const RESULTS: &str = "BENCHMARKS.md";

/// A workspace of its own, so that the libraries that stoop is compared with are built only for it.
const PEERS: (&str, &str) = ("peers", "bench/peers/Cargo.toml");

/// The programs of `stoop-bench`, in the order of `all`, and the feature that each requires: the
/// dependencies of a feature are built only for it.
const PROGRAMS: &[(&str, Option<&str>)] = &[
    ("blocking", None),
    ("frames", Some("tokio")),
    ("tokio_stream", Some("tokio")),
    ("grpc", Some("grpc")),
    ("idle_connections", Some("tokio")),
    ("listing", None),
    ("who", None),
    ("relay", None),
    ("top", None),
    ("failed_bind", None),
    ("tap", None),
];

/// Runs one benchmark with the options that follow its name, or all of them.
pub fn run(args: &[String]) -> Outcome {
    let (name, options) = args.split_first().map_or(("", args), |(name, rest)| (name.as_str(), rest));
    match name {
        "--help" | "-h" => {
            print!("{}", usage()?);
            return Ok(());
        }
        "all" if options.iter().any(|option| matches!(option.as_str(), "--help" | "-h")) => {
            print!("{}", usage()?);
            return Ok(());
        }
        "all" => {}
        name => return succeed(cargo(&command(name)?).args(options)),
    }
    let mut failed = Vec::new();
    for name in names() {
        println!("== {name}");
        let done = succeed(cargo(&command(name)?).args(["--out", RESULTS]).args(options));
        failed.extend(done.err().map(|_| name));
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

/// Returns what each program answers, as its own help says.
fn usage() -> Result<String, String> {
    let mut text =
        String::from("usage: cargo xtask bench NAME [OPTION]…    # NAME --help lists the options\n\n");
    for name in names() {
        let file = match name == PEERS.0 {
            true => "bench/peers/src/main.rs".to_owned(),
            false => format!("bench/src/bin/{name}/main.rs"),
        };
        let source = std::fs::read_to_string(crate::tree::root().join(&file))
            .map_err(|error| format!("cannot read {file}: {error}"))?;
        let about = source.split_once("about:").and_then(|(_, rest)| rest.split('"').nth(1));
        let about = about.ok_or_else(|| format!("{file} does not say what it is about"))?;
        text.push_str(&format!("  {name:<18}{about}\n"));
    }
    text.push_str(&format!("  {:<18}All of them; writes {RESULTS}\n", "all"));
    Ok(text + "\nEach has --reps N, --json, --out FILE and --help.\n")
}

fn names() -> impl Iterator<Item = &'static str> {
    [PEERS.0].into_iter().chain(PROGRAMS.iter().map(|(name, _)| *name))
}

/// Returns the arguments of cargo that run a program, without its own.
fn command(name: &str) -> Result<Vec<&str>, String> {
    let mut args = vec!["run", "-q"];
    if name == PEERS.0 {
        // Its own workspace, whose release profile is this one's `dist`.
        args.extend(["--release", "--target-dir", "target/peers", "--manifest-path", PEERS.1, "--"]);
        return Ok(args);
    }
    let Some((name, feature)) = PROGRAMS.iter().find(|(program, _)| *program == name) else {
        let all: Vec<&str> = names().collect();
        return Err(format!("no benchmark '{name}'; there are: {}, and all", all.join(", ")));
    };
    args.extend(["--profile", "dist", "-p", "stoop-bench", "--bin", name]);
    args.extend(feature.map(|feature| ["--features", feature]).into_iter().flatten());
    args.push("--");
    Ok(args)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_run_with_its_feature() {
        assert_eq!(
            command("grpc").unwrap().join(" "),
            "run -q --profile dist -p stoop-bench --bin grpc --features grpc --"
        );
        assert!(command("peers").unwrap().contains(&"bench/peers/Cargo.toml"));
        assert!(command("fast").unwrap_err().starts_with("no benchmark 'fast'; there are: peers, blocking"));
    }

    #[test]
    fn the_usage_says_what_each_program_answers() {
        let usage = usage().unwrap();
        for name in names() {
            let line = usage.lines().find(|line| line.trim_start().starts_with(&format!("{name} ")));
            assert!(line.is_some_and(|line| line.contains('?')), "{name}: {usage}");
        }
        assert!(run(&["--help".into()]).is_ok() && run(&["all".into(), "--help".into()]).is_ok());
    }

    #[test]
    fn every_program_can_be_started() {
        let programs = std::fs::read_dir(crate::tree::root().join("bench/src/bin")).unwrap();
        for program in programs {
            let name = program.unwrap().file_name().into_string().unwrap();
            assert!(command(&name).is_ok(), "{name}");
        }
    }
}
