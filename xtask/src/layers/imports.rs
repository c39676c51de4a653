//! Which file of a crate uses which other file: a function from sources to edges.
//!
//! Not a compiler. It reads `use` declarations and paths in code, and follows re-exports to the
//! file that defines an item; methods are invisible to it. A re-export is not a use unless the file
//! uses the name itself, and neither are `mod` declarations, tests and documentation.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::Source;

/// The attribute of an item that is not shipped.
const CFG_TEST: &[&str] = &["#", "[", "cfg", "(", "test", ")", "]"];

/// Re-exports are followed this far; more is a cycle of them.
const DEPTH: usize = 16;

/// Returns the uses between the files of one crate, as paths below `src` (its argument).
pub fn edges(src: &str, sources: &[Source]) -> BTreeSet<(String, String)> {
    // The root is the library, if there is one: a program next to it is another crate.
    let is_library = |source: &&Source| source.path.strip_prefix(src) == Some("/lib.rs");
    let main = if sources.iter().any(|source| is_library(&source)) { "/main.rs" } else { "" };
    let modules: BTreeMap<Vec<String>, Module> = sources
        .iter()
        .filter(|source| source.path.strip_prefix(src) != Some(main))
        .filter_map(|source| Some((module_path(source.path.strip_prefix(src)?)?, Module::of(src, source))))
        .collect();
    let tests: Vec<Vec<String>> = modules
        .iter()
        .flat_map(|(path, module)| {
            module.tests.iter().map(|name| [path.as_slice(), std::slice::from_ref(name)].concat())
        })
        .collect();
    let shipped = |path: &[String]| !tests.iter().any(|test| path.starts_with(test));
    let mut edges = BTreeSet::new();
    for (path, module) in modules.iter().filter(|(path, _)| shipped(path)) {
        for mention in &module.mentions {
            if let Some(other) = resolve(&modules, path, mention, 0)
                && other != path
                && shipped(other)
            {
                edges.insert((module.file.clone(), modules[other].file.clone()));
            }
        }
    }
    edges
}

/// Returns the groups of files that use each other, directly or through others.
pub fn cycles(edges: &BTreeSet<(String, String)>) -> Vec<Vec<String>> {
    let mut reached: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, _) in edges {
        let mut seen = BTreeSet::new();
        let mut next = vec![from.as_str()];
        while let Some(file) = next.pop() {
            let uses = edges.iter().filter(|(user, _)| user == file).map(|(_, used)| used.as_str());
            next.extend(uses.filter(|used| seen.insert(*used)));
        }
        reached.insert(from, seen);
    }
    let reaches = |from: &str, to: &str| reached.get(from).is_some_and(|seen| seen.contains(to));
    let mut groups: Vec<Vec<String>> = Vec::new();
    for file in reached.keys().filter(|file| reaches(file, file)) {
        match groups.iter_mut().find(|group| reaches(file, &group[0]) && reaches(&group[0], file)) {
            Some(group) => group.push((*file).to_owned()),
            None => groups.push(vec![(*file).to_owned()]),
        }
    }
    groups
}

/// Returns the module of a file: `["bind", "stale"]` for `bind/stale.rs`, nothing for `lib.rs`.
fn module_path(file: &str) -> Option<Vec<String>> {
    let path = file.trim_start_matches('/').strip_suffix(".rs")?;
    let mut segments: Vec<String> = path.split('/').map(str::to_owned).collect();
    if ["mod", "lib", "main"].contains(&segments.last()?.as_str()) {
        segments.pop();
    }
    Some(segments)
}

type Path = Vec<String>;

/// What one file declares and mentions.
#[derive(Debug, Default)]
struct Module {
    file: String,
    /// Child modules with a file of their own, and those of them that are tests.
    children: BTreeSet<String>,
    tests: BTreeSet<String>,
    /// Items that the file defines.
    items: BTreeSet<String>,
    /// Names that `use` declarations bring in.
    names: BTreeMap<String, Path>,
    /// Modules of which all names are brought in.
    globs: Vec<Path>,
    /// Paths that the code uses.
    mentions: Vec<Path>,
}

impl Module {
    fn of(src: &str, source: &Source) -> Self {
        let file = source.path.strip_prefix(src).unwrap_or(&source.path).trim_start_matches('/').to_owned();
        let mut module = Module { file, ..Module::default() };
        let text: Vec<&str> = source.shipped_lines().collect();
        let tokens = tokens(&text.join("\n"));
        let mut exported = BTreeSet::new();
        let mut words = BTreeSet::new();
        let mut at = 0;
        while at < tokens.len() {
            let is_test = tokens[..at].iter().rev().take(CFG_TEST.len()).eq(CFG_TEST.iter().rev());
            let next = tokens.get(at + 1).map_or("", String::as_str);
            match tokens[at].as_str() {
                "use" => {
                    let end = at + tokens[at..].iter().position(|token| token == ";").unwrap_or(1);
                    if !is_test {
                        let is_exported = at > 0 && ["pub", ")"].contains(&tokens[at - 1].as_str());
                        module.declare(&tokens[at + 1..end], is_exported, &mut exported);
                    }
                    at = end;
                }
                "mod" if tokens.get(at + 2).is_some_and(|token| token == ";") => {
                    module.children.insert(next.to_owned());
                    if is_test {
                        module.tests.insert(next.to_owned());
                    }
                    at += 2;
                }
                "fn" | "struct" | "enum" | "union" | "trait" | "type" | "const" | "static" => {
                    module.items.insert(next.to_owned());
                    at += 1;
                }
                word if is_name(word) => {
                    let path = path_at(&tokens, at);
                    at += 2 * (path.len() - 1) + 1;
                    words.insert(path[0].clone());
                    if path.len() > 1 {
                        module.mentions.push(path);
                    }
                }
                _ => at += 1,
            }
        }
        let used = exported.into_iter().filter(|name| words.contains(name));
        module.mentions.extend(used.map(|name| vec![name]));
        module
    }

    /// Reads what follows `use`: a path, or a tree of them.
    fn declare(&mut self, tree: &[String], is_exported: bool, exported: &mut BTreeSet<String>) {
        for (path, name) in leaves(tree) {
            if name == "*" {
                self.globs.push(path);
                continue;
            }
            match is_exported {
                true => drop(exported.insert(name.clone())),
                false => self.mentions.push(path.clone()),
            }
            self.names.insert(name, path);
        }
    }
}

/// Returns the paths in a tree, each with the name that it brings in.
fn leaves(tree: &[String]) -> Vec<(Path, String)> {
    let Some(open) = tree.iter().position(|token| token == "{") else {
        let path: Path =
            tree.iter().take_while(|token| *token != "as").filter(|t| *t != "::").cloned().collect();
        let Some(last) = path.last().cloned() else { return Vec::new() };
        return match last.as_str() {
            "*" => vec![(path[..path.len() - 1].to_vec(), last)],
            // `a::{self}` brings in `a`.
            "self" if path.len() > 1 => {
                let path = path[..path.len() - 1].to_vec();
                let name = tree.last().filter(|name| *name != "self").or(path.last()).cloned();
                vec![(path, name.unwrap_or_default())]
            }
            _ => vec![(path, tree.last().cloned().unwrap_or_default())],
        };
    };
    let inner = &tree[open + 1..tree.len() - 1];
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for at in 0..=inner.len() {
        match inner.get(at).map(String::as_str) {
            Some("{") => depth += 1,
            Some("}") => depth -= 1,
            Some(",") | None if depth == 0 && at > start => {
                found.extend(leaves(&[&tree[..open], &inner[start..at]].concat()));
                start = at + 1;
            }
            Some(",") if depth == 0 => start = at + 1,
            _ => {}
        }
    }
    found
}

/// Returns the module with the item of this path, as seen from a module of the same crate; `None`
/// for a path into another crate, and for one that names a module.
fn resolve<'m>(
    modules: &'m BTreeMap<Path, Module>,
    from: &[String],
    path: &[String],
    depth: usize,
) -> Option<&'m Path> {
    if depth > DEPTH {
        return None;
    }
    let (first, rest) = path.split_first()?;
    let module = modules.get(from)?;
    let inside = |module: Path, rest: &[String]| descend(modules, &module, rest, depth + 1);
    match first.as_str() {
        "crate" => inside(Vec::new(), rest),
        "self" => inside(from.to_vec(), rest),
        "super" => {
            let supers = path.iter().take_while(|segment| *segment == "super").count();
            inside(from[..from.len().checked_sub(supers)?].to_vec(), &path[supers..])
        }
        _ if module.children.contains(first) || module.names.contains_key(first) => {
            descend(modules, from, path, depth + 1)
        }
        _ => None,
    }
}

/// The same for a path that begins in this module.
fn descend<'m>(
    modules: &'m BTreeMap<Path, Module>,
    at: &[String],
    path: &[String],
    depth: usize,
) -> Option<&'m Path> {
    let (key, module) = modules.get_key_value(at)?;
    let (first, rest) = path.split_first()?;
    if module.children.contains(first) {
        return descend(modules, &[at, std::slice::from_ref(first)].concat(), rest, depth + 1);
    }
    if module.items.contains(first) {
        return Some(key);
    }
    if let Some(target) = module.names.get(first) {
        return resolve(modules, at, &[target, rest].concat(), depth + 1);
    }
    let through_glob = |glob: &Path| {
        let target = resolve(modules, at, &[glob.as_slice(), path].concat(), depth + 1)?;
        modules[target].items.contains(first).then_some(target)
    };
    module.globs.iter().find_map(through_glob).or(Some(key))
}

/// Returns the path that begins with this token: names joined by `::`.
fn path_at(tokens: &[String], at: usize) -> Path {
    let mut path = vec![tokens[at].clone()];
    let mut at = at + 1;
    while tokens.get(at).is_some_and(|token| token == "::") && tokens.get(at + 1).is_some_and(|t| is_name(t))
    {
        path.push(tokens[at + 1].clone());
        at += 2;
    }
    path
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Returns the names and marks of a source, without comments, literals and lifetimes.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(len) = literal(rest) {
            len
        } else if c.is_alphanumeric() || c == '_' {
            let len = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(rest[..len].to_owned());
            len
        } else {
            let len = if rest.starts_with("::") { 2 } else { c.len_utf8() };
            if !c.is_whitespace() {
                tokens.push(rest[..len].to_owned());
            }
            len
        };
        rest = &rest[len..];
    }
    tokens
}

/// Returns the length of the string, character or lifetime at the start of a text.
fn literal(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r", "b", "c"]
        .into_iter()
        .find(|prefix| text.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(['"', '#', '\''])));
    let start = prefix.map_or(0, str::len);
    let rest = &text[start..];
    if prefix.is_some_and(|prefix| prefix.ends_with('r')) {
        let hashes = rest.len() - rest.trim_start_matches('#').len();
        let end = format!("\"{}", "#".repeat(hashes));
        let body = rest[hashes..].strip_prefix('"')?;
        return Some(start + hashes + 1 + body.find(&end)? + end.len());
    }
    let quote = rest.chars().next().filter(|quote| ['"', '\''].contains(quote))?;
    let mut escaped = false;
    let end = rest.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == quote && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    let is_lifetime = quote == '\'' && !rest[1..].starts_with('\\') && rest.chars().nth(2) != Some('\'');
    match (is_lifetime, end) {
        (true, _) => Some(start + 1 + rest[1..].find(|c: char| !c.is_alphanumeric() && c != '_')?),
        (false, Some((end, _))) => Some(start + end + 1),
        (false, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let source =
            |(path, text): &(&str, &str)| Source { path: format!("src/{path}"), text: (*text).into() };
        let sources: Vec<Source> = files.iter().map(source).collect();
        edges("src", &sources).iter().map(|(from, to)| format!("{from} {to}")).collect()
    }

    #[test]
    fn uses_lead_to_the_file_with_the_item() {
        let lib = ("lib.rs", "mod a; mod b; pub use b::{c::Deep, Item as Other};");
        let b = ("b/mod.rs", "pub mod c;\npub struct Item;");
        let c = ("b/c.rs", "use super::Item;\npub struct Deep(Item);");
        let with = |a: &str| found(&[lib, b, c, ("a.rs", a)]);
        for a in ["use crate::Deep;", "use crate::b::c::{self, Deep};", "fn f() { crate::b::c::Deep }"] {
            assert_eq!(with(a), ["a.rs b/c.rs", "b/c.rs b/mod.rs"], "{a}");
        }
        assert_eq!(with("use super::Other;"), ["a.rs b/mod.rs", "b/c.rs b/mod.rs"]);
        assert_eq!(with("use crate::b::c;\nfn f() { c::Deep }"), ["a.rs b/c.rs", "b/c.rs b/mod.rs"]);
        for a in
            ["use crate::b::c;", "use std::c::Deep;", "// crate::Deep\nconst A: &str = r#\"crate::Deep\"#;"]
        {
            assert_eq!(with(a), ["b/c.rs b/mod.rs"], "{a}");
        }
    }

    #[test]
    fn exports_are_uses_only_if_the_name_is_used() {
        let b = ("b.rs", "pub struct Item;");
        assert_eq!(found(&[("lib.rs", "mod b; pub use b::Item;"), b]), [""; 0]);
        assert_eq!(found(&[("lib.rs", "mod b; pub use b::Item; fn f(_: Item) {}"), b]), ["lib.rs b.rs"]);
    }

    #[test]
    fn tests_are_no_uses() {
        let lib = ("lib.rs", "mod b; #[cfg(test)] mod c; #[cfg(test)] use b::Item;");
        assert_eq!(found(&[lib, ("b.rs", "pub struct Item;"), ("c.rs", "use crate::b::Item;")]), [""; 0]);
    }

    #[test]
    fn files_that_use_each_other_are_a_cycle() {
        let edge = |(from, to): (&str, &str)| (from.to_owned(), to.to_owned());
        let edges = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("e", "f"), ("f", "e")].map(edge);
        assert_eq!(cycles(&edges.into()), [vec!["a", "b", "c"], vec!["e", "f"]]);
        assert!(cycles(&[("a", "b")].map(edge).into()).is_empty());
    }

    #[test]
    fn literals_are_skipped() {
        let words = |text: &str| tokens(text).join(" ");
        assert_eq!(words(r#"a("b\"", 'c', b'\'', "é") /* d */ e<'f>"#), "a ( , , , ) e < >");
        assert_eq!(words("x::<'static, Y>(r\"\\\", r#\"\"\"#) // z"), "x :: < , Y > ( , )");
    }
}
