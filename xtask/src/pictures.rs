//! Makes the pictures of the README: `cargo xtask pictures`.
//!
//! The terminals are recordings of the commands in `docs/pictures/*.sh`, run with the command as it
//! is now: `terminal` and, as root and with Redis, `tap`. The tree is the golden file of the
//! command's tests: a sample machine, always the same. The plots are a run of `stoop bench` on this
//! machine.

mod terminal;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Outcome, cargo, output_of, succeed, tree};

/// The directory of the pictures and of the recorded sessions.
const PICTURES: &str = "docs/pictures";
const TREE: &str = "crates/stoop-cli/golden/web_site.svg";

/// The width of the recorded terminal.
const COLUMNS: u32 = 100;

/// Makes the pictures that the arguments name, or all.
pub fn run(args: &[String]) -> Outcome {
    let all =
        [("terminal", terminal as fn() -> Outcome), ("tap", tap), ("tree", tree_picture), ("bench", bench)];
    for name in args {
        if all.iter().all(|(known, _)| known != name) {
            return Err(format!("no picture '{name}'; there are: terminal, tap, tree, bench"));
        }
    }
    let mut chosen = all.iter().filter(|(name, _)| args.is_empty() || args.iter().any(|arg| arg == name));
    chosen.try_for_each(|(_, draw)| draw())
}

fn terminal() -> Outcome {
    session("session.sh", "terminal.svg")
}

fn tap() -> Outcome {
    session("tap.sh", "tap.svg")
}

/// Records a session and draws it.
fn session(file: &str, picture: &str) -> Outcome {
    let session = tree::root().join(PICTURES).join(file);
    let commands = fs::read_to_string(&session).map_err(|e| format!("{}: {e}", session.display()))?;
    let directory = scratch()?;
    let script = directory.join("script.sh");
    let wrote = fs::write(&script, recording(&commands)).map_err(|e| e.to_string());
    // `script` gives the commands a terminal: they use colours.
    let recorded = wrote.and_then(|()| {
        let path = format!("{}:{}", command()?.parent().expect("a file").display(), env("PATH"));
        let line = format!("stty cols {COLUMNS} rows 50; sh {}", script.display());
        let mut record = Command::new("script");
        record.args(["-qc", &line, "/dev/null"]).current_dir(&directory).env("PATH", path);
        output_of(record.env("TERM", "xterm-256color").env("PS1", "").stdin(std::process::Stdio::null()))
    });
    let _ = fs::remove_dir_all(&directory);
    write(picture, &terminal::draw("stoop", &String::from_utf8_lossy(&recorded?)))
}

/// Returns a script that shows each line before it runs it. Lines that begin with `#` are not part
/// of the picture: they are run without being shown, behind that sign.
fn recording(commands: &str) -> String {
    let mut script = String::new();
    for line in commands.lines() {
        match line.strip_prefix('#') {
            Some(hidden) if hidden.starts_with('!') => script.push_str(hidden.trim_start_matches('!')),
            Some(_) => {}
            None if line.is_empty() => script.push_str("echo"),
            None => {
                let shown = line.replace('\'', "'\\''");
                script.push_str(&format!(
                    "printf '\\033[32m$\\033[0m \\033[1m%s\\033[0m\\n' '{shown}'\n{line}"
                ));
            }
        }
        script.push('\n');
    }
    script
}

fn tree_picture() -> Outcome {
    let golden = fs::read_to_string(tree::root().join(TREE)).map_err(|e| format!("{TREE}: {e}"))?;
    write("tree.svg", &golden)
}

fn bench() -> Outcome {
    let directory = scratch()?;
    let plots = directory.join("bench.svg");
    let measured =
        command().and_then(|stoop| succeed(Command::new(stoop).arg("bench").arg("-o").arg(&plots)));
    let drawn = measured.and_then(|()| fs::read_to_string(&plots).map_err(|e| e.to_string()));
    let _ = fs::remove_dir_all(&directory);
    write("bench.svg", &drawn?)
}

/// Returns the command as it is distributed, built if it is not. `STOOP_BIN` names another one.
fn command() -> Result<PathBuf, String> {
    if let Some(given) = std::env::var_os("STOOP_BIN") {
        return Ok(given.into());
    }
    succeed(&mut cargo(&["build", "--profile", "dist", "-p", "stoop-cli"]))?;
    Ok(tree::target().join("dist/stoop"))
}

/// Makes a directory whose name is fit to be seen in a picture.
fn scratch() -> Result<PathBuf, String> {
    let directory = std::env::temp_dir().join("try-stoop");
    fs::create_dir(&directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    Ok(directory)
}

fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

fn write(name: &str, picture: &str) -> Outcome {
    let path: &Path = &tree::root().join(PICTURES).join(name);
    fs::write(path, picture).map_err(|e| format!("{}: {e}", path.display()))?;
    println!("{PICTURES}/{name}");
    Ok(())
}
