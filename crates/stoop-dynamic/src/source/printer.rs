//! Lines and blocks, with comments, and names of types that resolve where they are used.

use std::collections::{HashMap, HashSet};

use prost_reflect::{DescriptorPool, MessageDescriptor};
use prost_types::FileDescriptorProto;
use prost_types::source_code_info::Location;

use crate::features;

/// The names that a type's name may be mistaken for.
pub(crate) struct Names<'p> {
    pool: &'p DescriptorPool,
    packages: HashSet<String>,
}

impl<'p> Names<'p> {
    /// Collects the names of a pool.
    pub(crate) fn new(pool: &'p DescriptorPool) -> Names<'p> {
        let mut packages = HashSet::new();
        for file in pool.files() {
            let name = file.package_name();
            let ends = name.match_indices('.').map(|(at, _)| at).chain([name.len()]);
            packages.extend(ends.map(|end| name[..end].to_owned()));
        }
        Names { pool, packages }
    }

    /// Returns whether a name is one that other names can follow.
    fn is_scope(&self, name: &str) -> bool {
        let pool = self.pool;
        self.packages.contains(name)
            || pool.get_message_by_name(name).is_some()
            || pool.get_enum_by_name(name).is_some()
            || pool.get_service_by_name(name).is_some()
    }

    /// Returns the message with this full name.
    pub(super) fn message(&self, name: &str) -> Option<MessageDescriptor> {
        self.pool.get_message_by_name(name)
    }

    /// Returns the full name of a type as it has to be written in this scope: with a dot before it
    /// if a scope in between has a name like its first component.
    pub(super) fn reference(&self, scope: &str, full: &str) -> String {
        let name = full.strip_prefix('.').unwrap_or(full);
        let first = name.split('.').next().unwrap_or_default();
        let mut outer = Some(scope).filter(|scope| !scope.is_empty());
        while let Some(scope) = outer {
            if self.is_scope(&format!("{scope}.{first}")) {
                return format!(".{name}");
            }
            outer = scope.rsplit_once('.').map(|(outer, _)| outer);
        }
        name.to_owned()
    }
}

/// The rules that a file is written by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax<'f> {
    Proto2,
    Proto3,
    Edition(&'f str),
}

/// Prints parts of one file.
pub(crate) struct Printer<'f> {
    pub(super) file: &'f FileDescriptorProto,
    pub(super) names: &'f Names<'f>,
    pub(super) syntax: Syntax<'f>,
    comments: HashMap<&'f [i32], &'f Location>,
    text: String,
    depth: usize,
}

impl<'f> Printer<'f> {
    /// Creates a printer for parts of a file.
    pub(crate) fn new(file: &'f FileDescriptorProto, names: &'f Names<'f>) -> Printer<'f> {
        let info = file.source_code_info.as_ref();
        let locations = info.into_iter().flat_map(|info| &info.location);
        let comments = locations.map(|location| (location.path.as_slice(), location)).collect();
        let syntax = match features::edition(file) {
            Some(edition) => Syntax::Edition(edition),
            None if file.syntax() == "proto3" => Syntax::Proto3,
            None => Syntax::Proto2,
        };
        Printer { file, names, syntax, comments, text: String::new(), depth: 0 }
    }

    /// Returns what was printed.
    pub(crate) fn into_text(self) -> String {
        self.text
    }

    pub(super) fn is_edition(&self) -> bool {
        matches!(self.syntax, Syntax::Edition(_))
    }

    /// Prints an empty line, unless nothing precedes it.
    pub(super) fn gap(&mut self) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
    }

    /// Prints a line.
    pub(super) fn line(&mut self, line: &str) {
        for _ in 0..self.depth {
            self.text.push_str("  ");
        }
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Returns what the source info holds for this position.
    pub(super) fn location(&self, path: &[i32]) -> Option<&'f Location> {
        self.comments.get(path).copied()
    }

    /// Prints options as statements.
    pub(super) fn option_lines(&mut self, options: &[String]) {
        options.iter().for_each(|option| self.line(&format!("option {option};")));
    }

    /// Prints the line of an element, with its comments: those behind it on the same line if there
    /// is room.
    pub(super) fn commented(&mut self, path: &[i32], line: &str) {
        let location = self.comments.get(path);
        let leading = location.map(|location| location.leading_comments()).unwrap_or_default();
        let trailing = location.map(|location| location.trailing_comments().trim_end()).unwrap_or_default();
        let fits = !trailing.contains('\n') && self.depth * 2 + line.len() + trailing.len() < 98;
        let (above, behind) = if fits { ("", trailing) } else { (trailing, "") };
        for comment in leading.trim_end().lines().chain(above.lines()) {
            let space = if comment.is_empty() || comment.starts_with(' ') { "" } else { " " };
            self.line(format!("//{space}{comment}").trim_end());
        }
        let behind = behind.trim();
        self.line(&if behind.is_empty() { line.to_owned() } else { format!("{line}  // {behind}") });
    }

    /// Prints an element that others are in, between braces.
    pub(super) fn block(&mut self, path: &[i32], head: &str, inside: impl FnOnce(&mut Self)) {
        self.commented(path, &format!("{head} {{"));
        self.indented(inside);
        self.line("}");
    }

    /// Prints one level deeper.
    pub(super) fn indented(&mut self, inside: impl FnOnce(&mut Self)) {
        self.depth += 1;
        inside(self);
        self.depth -= 1;
    }
}

/// Returns the position of a part of an element.
pub(super) fn path(outer: &[i32], part: i32, at: usize) -> Vec<i32> {
    let at = i32::try_from(at).unwrap_or(i32::MAX);
    [outer, &[part, at]].concat()
}
