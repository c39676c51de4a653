//! `cargo xtask man`: the man pages of the command, as the command itself prints them.
//!
//! Contains no list of verbs: they are read from the main page, so a new verb gets its page
//! automatically.

use crate::{Outcome, cargo, output_of, succeed, tree};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Builds the command and writes `target/man/stoop.1` and one page per verb.
pub fn run() -> Outcome {
    succeed(&mut cargo(&["build", "-q", "-p", "stoop-cli"]))?;
    let target = tree::target();
    let dir = target.join("man");
    fs::create_dir_all(&dir).map_err(|e| format!("cannot create '{}': {e}", dir.display()))?;
    let pages = pages(&target.join("debug/stoop"))?;
    for (name, text) in &pages {
        fs::write(dir.join(name), text).map_err(|e| format!("cannot write '{name}': {e}"))?;
    }
    println!("{}: {} pages", dir.display(), pages.len());
    Ok(())
}

/// Returns each page that this build of the command prints, with the name of its file.
pub fn pages(stoop: &Path) -> Result<Vec<(String, Vec<u8>)>, String> {
    let page = |verb: Option<&str>| output_of(Command::new(stoop).arg("man").args(verb));
    let main = page(None)?;
    let verbs = verbs(&String::from_utf8_lossy(&main));
    if verbs.is_empty() {
        return Err("the main page names no verb".into());
    }
    let mut pages = vec![("stoop.1".to_owned(), main)];
    for verb in &verbs {
        pages.push((format!("stoop-{verb}.1"), page(Some(verb))?));
    }
    Ok(pages)
}

/// Returns the verbs that a main page refers to, as in `stoop\-serve(1)`. `help` is not a verb of
/// the command itself.
fn verbs(page: &str) -> BTreeSet<String> {
    page.split("stoop\\-")
        .skip(1)
        .filter_map(|rest| rest.split_once("(1)"))
        .map(|(verb, _)| verb)
        .filter(|verb| verb.bytes().all(|b| b.is_ascii_lowercase()) && *verb != "help")
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_parsed_from_the_references() {
        let page =
            ".SH SUBCOMMANDS\n.TP\nstoop\\-serve(1)\nListen\n.TP\nstoop\\-connect(1)\n.TP\nstoop\\-help(1)\n";
        assert_eq!(verbs(page).into_iter().collect::<Vec<_>>(), ["connect", "serve"]);
    }

    #[test]
    fn prose_is_not_a_reference() {
        assert!(verbs("stoop\\-like programs, see unix(7) and socket(1)").is_empty());
        assert!(verbs("stoop \\- local sockets").is_empty());
    }
}
