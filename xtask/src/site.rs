//! `cargo xtask site`: the guide as a web site, in `target/site`.
//!
//! The pages in `docs/src` are complete by themselves, so that they can be read on a code host. The
//! programs that they show are copies, each below a comment `<!-- from PATH -->`, or
//! `<!-- from PATH:ANCHOR -->` for a part. `--write` refreshes the copies, and [`check`] compares
//! them. For the site, links that leave `docs/src` are changed to files that the site has.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use crate::tree::{Source, read, root, sources, target};
use crate::{Outcome, cargo, settle, succeed};

/// The version that renders the site. It is installed into `target/tools` on demand.
const MDBOOK: &str = "0.5.4";

/// The directory of the pages, from the root.
const PAGES: &str = "docs/src";

/// The page that the site replaces with the facts themselves.
const FACTS_PAGE: &str = "reference/kernel.md";

/// Builds the site, or with `--write` refreshes the programs that the pages show.
pub fn run(args: &[String]) -> Outcome {
    match args {
        [] => build(),
        [flag] if flag == "--write" => write(),
        _ => Err("usage: cargo xtask site [--write]".into()),
    }
}

/// Checks that each program on a page equals its source.
pub fn check() -> Outcome {
    let mut findings = Vec::new();
    for page in sources(PAGES, &["md"])? {
        if refreshed(&page, &|path| read(path))? != page.text {
            findings
                .push(format!("{}: a program is not as in its source: cargo xtask site --write", page.path));
        }
    }
    settle("site", findings)
}

fn write() -> Outcome {
    for page in sources(PAGES, &["md"])? {
        let text = refreshed(&page, &|path| read(path))?;
        if text != page.text {
            fs::write(root().join(&page.path), text).map_err(failed(&page.path))?;
            println!("refreshed {}", page.path);
        }
    }
    Ok(())
}

fn build() -> Outcome {
    check()?;
    let target = target();
    let mdbook = mdbook(&target)?;
    let (book, site) = (target.join("site-source"), target.join("site"));
    let _nothing_to_remove_is_fine = fs::remove_dir_all(&book);
    for file in sources("docs", &["md", "toml", "css", "js"])? {
        let name = file.path.strip_prefix("docs/").expect("read from there").to_owned();
        let text = match name.strip_prefix("src/") {
            Some(FACTS_PAGE) => for_site(FACTS_PAGE, "", &read("KERNEL.md")?, &book)?,
            Some(page) => for_site(page, PAGES, &file.text, &book)?,
            None => file.text,
        };
        put(&book.join(name), text.as_bytes())?;
    }
    succeed(Command::new(mdbook).arg("build").arg(&book).arg("--dest-dir").arg(&site))?;
    println!("{}", site.join("index.html").display());
    Ok(())
}

/// Returns the renderer: the installed one, or one that is installed into the target directory now.
fn mdbook(target: &Path) -> Result<PathBuf, String> {
    let tools = target.join("tools");
    for program in [PathBuf::from("mdbook"), tools.join("bin/mdbook")] {
        let version = Command::new(&program).arg("--version").output();
        if version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(MDBOOK)) {
            return Ok(program);
        }
    }
    println!("installing mdbook {MDBOOK} into {} (some minutes)", tools.display());
    let version = format!("mdbook@{MDBOOK}");
    let install =
        ["install", "--locked", &version, "--no-default-features", "--features", "search", "--root"];
    succeed(cargo(&install).arg(&tools))?;
    Ok(tools.join("bin/mdbook"))
}

/// Returns the page with each program as it is in its source.
fn refreshed(page: &Source, source: &dyn Fn(&str) -> Result<String, String>) -> Result<String, String> {
    let mut text = String::with_capacity(page.text.len());
    let mut lines = page.text.lines();
    while let Some(line) = lines.next() {
        text += line;
        text.push('\n');
        let Some(from) = line.strip_prefix("<!-- from ").and_then(|rest| rest.strip_suffix(" -->")) else {
            continue;
        };
        let (path, anchor) = from.split_once(':').map_or((from, None), |(path, anchor)| (path, Some(anchor)));
        let wanted =
            excerpt(&source(path)?, anchor).ok_or_else(|| format!("{path} has no anchor {anchor:?}"))?;
        match lines.next() {
            Some(fence) if fence.starts_with("```") => text = text + fence + "\n" + &wanted + "```\n",
            _ => return Err(format!("{}: no block follows '{line}'", page.path)),
        }
        if !lines.by_ref().any(|line| line == "```") {
            return Err(format!("{}: the block of '{from}' has no end", page.path));
        }
    }
    Ok(text)
}

/// Returns the text between the lines that mark the anchor, or all of it, without such lines.
fn excerpt(text: &str, anchor: Option<&str>) -> Option<String> {
    let mark = |line: &str, kind: &str| line.trim().strip_prefix(kind).map(|name| name.trim().to_owned());
    let (mut inside, mut found) = (anchor.is_none(), String::new());
    for line in text.lines() {
        match (mark(line, "// ANCHOR:"), mark(line, "// ANCHOR_END:")) {
            (Some(name), _) => inside |= Some(name.as_str()) == anchor,
            (_, Some(name)) => inside &= Some(name.as_str()) != anchor,
            _ if inside => found = found + line + "\n",
            _ => {}
        }
    }
    (!found.is_empty()).then_some(found)
}

/// Returns a page of the site: links to files outside of the pages lead to copies of them.
///
/// `home` is the directory of the text's own links, from the root.
fn for_site(page: &str, home: &str, text: &str, book: &Path) -> Result<String, String> {
    let depth = "../".repeat(page.matches('/').count());
    let folder = match home {
        "" => PathBuf::new(),
        home => Path::new(home).join(page).parent().map(Path::to_owned).unwrap_or_default(),
    };
    let mut copied = BTreeSet::new();
    let changed = map_links(text, |target| {
        let (file, anchor) = target.split_once('#').map_or((target, ""), |(file, anchor)| (file, anchor));
        if file.is_empty() || file.contains("://") {
            return Some(target.to_owned());
        }
        let path = normal(&folder.join(file));
        let anchor = if anchor.is_empty() { String::new() } else { format!("#{anchor}") };
        if path == "KERNEL.md" {
            return Some(format!("{depth}{FACTS_PAGE}{anchor}"));
        }
        if path.strip_prefix(PAGES).is_some() {
            return Some(target.to_owned());
        }
        if !root().join(&path).is_file() {
            return None;
        }
        // A copy with the ending .md would be rendered as a page that the contents do not list.
        let copy = match path.strip_suffix(".md") {
            Some(text) => format!("source/{text}.txt"),
            None => format!("source/{path}"),
        };
        copied.insert((path, copy.clone()));
        Some(format!("{depth}{copy}{anchor}"))
    });
    for (path, copy) in copied {
        let bytes = fs::read(root().join(&path)).map_err(failed(&path))?;
        put(&book.join("src").join(copy), &bytes)?;
    }
    Ok(changed)
}

/// Changes the target of each link outside of fenced blocks. `None` removes the link and keeps its
/// text.
fn map_links(text: &str, mut change: impl FnMut(&str) -> Option<String>) -> String {
    let (mut out, mut fenced) = (String::with_capacity(text.len()), false);
    for line in text.lines() {
        fenced ^= line.starts_with("```");
        let mut rest = line;
        if let (false, Some((label, target))) = (fenced, definition(line)) {
            out += &change(target).map_or_else(String::new, |target| format!("[{label}]: {target}"));
            rest = "";
        }
        while let (false, Some(at)) = (fenced, rest.find("](")) {
            let Some(end) = rest[at..].find(')').map(|end| at + end) else { break };
            match (change(&rest[at + 2..end]), rest[..at].rfind('[')) {
                (None, Some(open)) => out = out + &rest[..open] + &rest[open + 1..at],
                (target, _) => out = out + &rest[..at + 2] + &target.unwrap_or_default() + ")",
            }
            rest = &rest[end + 1..];
        }
        out = out + rest + "\n";
    }
    out
}

/// Returns the label and the target of a link definition, `[label]: target`.
fn definition(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix('[')?.split_once("]: ").filter(|(_, target)| !target.contains(' '))
}

/// Resolves `..` in a path, without looking at the file system.
fn normal(path: &Path) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(parts.pop()),
            Component::Normal(name) => parts.push(name.to_str().unwrap_or_default()),
            _ => {}
        }
    }
    parts.join("/")
}

fn put(path: &Path, bytes: &[u8]) -> Outcome {
    let folder = path.parent().expect("a file is in a folder");
    let name = path.display().to_string();
    fs::create_dir_all(folder).and_then(|()| fs::write(path, bytes)).map_err(failed(&name))
}

fn failed(path: &str) -> impl Fn(std::io::Error) -> String {
    let path = path.to_owned();
    move |error| format!("cannot copy '{path}': {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: &str = "head\n// ANCHOR: part\n    one\n// ANCHOR_END: part\ntail\n";

    #[test]
    fn a_program_is_refreshed_and_nothing_else() {
        let text = "before\n<!-- from a.rs:part -->\n```rust\nold\n```\nafter\n```\nkept\n```\n";
        let page = Source { path: "page.md".into(), text: text.into() };
        let source = |_: &str| Ok(PROGRAM.to_owned());
        let wanted = "before\n<!-- from a.rs:part -->\n```rust\n    one\n```\nafter\n```\nkept\n```\n";
        assert_eq!(refreshed(&page, &source).unwrap(), wanted);
        let page = Source { path: "page.md".into(), text: wanted.into() };
        assert_eq!(refreshed(&page, &source).unwrap(), wanted);
        let page = Source { path: "page.md".into(), text: "<!-- from a.rs:none -->\n```\n```\n".into() };
        assert!(refreshed(&page, &source).is_err());
    }

    #[test]
    fn an_excerpt_has_no_marks() {
        assert_eq!(excerpt(PROGRAM, None).unwrap(), "head\n    one\ntail\n");
        assert_eq!(excerpt(PROGRAM, Some("part")).unwrap(), "    one\n");
        assert_eq!(excerpt(PROGRAM, Some("other")), None);
    }

    #[test]
    fn links_are_changed_outside_of_blocks() {
        let change = |target: &str| (target != "gone").then(|| target.to_uppercase());
        let text = "see [a](x) and [b](gone).\n```\n[a](x)\n```\n[id]: y\n";
        assert_eq!(map_links(text, change), "see [a](X) and b.\n```\n[a](x)\n```\n[id]: Y\n");
    }

    #[test]
    fn parents_are_resolved() {
        assert_eq!(normal(Path::new("docs/src/howto/../../../KERNEL.md")), "KERNEL.md");
    }
}
