//! The file format of a service: TOML, one service a file. Pure.
//!
//! The build script compiles the files of `services/` with it, and the command reads those of the
//! administrator.

use std::fmt;

use toml::{Table, Value};

/// The keys of a file. `checked` names the packages from which its facts are.
const KEYS: [&str; 16] = [
    "what",
    "names",
    "variable",
    "protocol",
    "health_path",
    "unit",
    "units",
    "group",
    "group_is_root",
    "sockets",
    "patterns",
    "user_sockets",
    "user_first",
    "commands",
    "obsolete",
    "checked",
];

/// The protocols, and the names of their variants.
const PROTOCOLS: [(&str, &str); 6] = [
    ("http", "Http"),
    ("grpc", "Grpc"),
    ("ttrpc", "Ttrpc"),
    ("postgres", "Postgres"),
    ("mysql", "Mysql"),
    ("redis", "Redis"),
];

/// The distributions that `units` may name, by `ID` of `os-release`.
const DISTRIBUTIONS: [&str; 5] = ["alpine", "arch", "debian", "fedora", "opensuse"];

/// What a file says about a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The name of the server, with an article.
    pub what: String,
    /// The names by which clients find it.
    pub names: Vec<String>,
    /// The environment variable that its client prefers.
    pub variable: Option<String>,
    /// The variant of `Protocol`.
    pub protocol: &'static str,
    /// The path of a health check.
    pub health_path: Option<String>,
    /// The unit that starts it, if its packages have one.
    pub unit: Option<String>,
    /// Other units, by distribution.
    pub units: Vec<(String, String)>,
    /// The group.
    pub group: Option<String>,
    /// Whether members of the group have the power of root.
    pub group_is_root: bool,
    /// The addresses, best first: the path, and whether it is below a user's directory.
    pub paths: Vec<(String, bool)>,
    /// Further addresses, with `*` for a part of a file name.
    pub patterns: Vec<String>,
    /// The commands that run the server.
    pub commands: Vec<String>,
    /// Why it exists no longer, if so.
    pub obsolete: Option<String>,
}

/// The error for a file that is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub text: String,
}

impl fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.text)
    }
}

impl std::error::Error for DefinitionError {}

/// Parses a file.
///
/// # Errors
/// Returns an error if it is not TOML, lacks something, or says something unknown.
pub fn parse(text: &str) -> Result<Definition, DefinitionError> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        DefinitionError { line, text: error.message().to_owned() }
    })?;
    let file = File { text, table: &table };
    if let Some(key) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(file.error(key, format!("unknown key '{key}'")));
    }
    let (sockets, user_sockets) = (file.paths("sockets", true)?, file.paths("user_sockets", false)?);
    let patterns = file.paths("patterns", true)?;
    if sockets.is_empty() && user_sockets.is_empty() && patterns.is_empty() {
        return Err(file.error("what", "no sockets, user_sockets or patterns".to_owned()));
    }
    let sockets = sockets.into_iter().map(|path| (path, false));
    let user_sockets = user_sockets.into_iter().map(|path| (path, true));
    Ok(Definition {
        what: file.required("what")?,
        names: file.list("names")?,
        variable: file.text("variable")?,
        protocol: file.protocol()?,
        health_path: file.text("health_path")?,
        unit: file.text("unit")?,
        units: file.units()?,
        group: file.text("group")?,
        group_is_root: file.flag("group_is_root")?,
        paths: match file.flag("user_first")? {
            true => user_sockets.chain(sockets).collect(),
            false => sockets.chain(user_sockets).collect(),
        },
        patterns,
        commands: file.list("commands")?,
        obsolete: file.text("obsolete")?,
    })
}

/// A file that is TOML.
struct File<'a> {
    text: &'a str,
    table: &'a Table,
}

impl File<'_> {
    /// Returns an error at the line that sets a key.
    fn error(&self, key: &str, text: String) -> DefinitionError {
        let sets = |line: &str| {
            let rest = line.trim_start().trim_start_matches('[').strip_prefix(key);
            rest.is_some_and(|rest| rest.trim_start().starts_with(['=', ']']))
        };
        DefinitionError { line: self.text.lines().position(sets).unwrap_or(0) + 1, text }
    }

    fn text(&self, key: &str) -> Result<Option<String>, DefinitionError> {
        match self.table.get(key) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
            Some(_) => Err(self.error(key, format!("'{key}' is not a text, or empty"))),
        }
    }

    fn required(&self, key: &str) -> Result<String, DefinitionError> {
        self.text(key)?.ok_or_else(|| self.error(key, format!("'{key}' is missing")))
    }

    fn list(&self, key: &str) -> Result<Vec<String>, DefinitionError> {
        let Some(value) = self.table.get(key) else { return Ok(Vec::new()) };
        let words = value.as_array().and_then(|words| {
            words
                .iter()
                .map(|word| word.as_str().filter(|word| !word.is_empty()).map(str::to_owned))
                .collect()
        });
        words.ok_or_else(|| self.error(key, format!("'{key}' is not a list of texts")))
    }

    fn paths(&self, key: &str, absolute: bool) -> Result<Vec<String>, DefinitionError> {
        let paths = self.list(key)?;
        match paths.iter().find(|path| path.starts_with('/') != absolute) {
            Some(path) if absolute => Err(self.error(key, format!("'{path}' does not start with a slash"))),
            Some(path) => Err(self.error(key, format!("'{path}' starts with a slash"))),
            None => Ok(paths),
        }
    }

    fn flag(&self, key: &str) -> Result<bool, DefinitionError> {
        match self.table.get(key) {
            None => Ok(false),
            Some(value) => {
                value.as_bool().ok_or_else(|| self.error(key, format!("'{key}' is neither true nor false")))
            }
        }
    }

    fn protocol(&self) -> Result<&'static str, DefinitionError> {
        let Some(word) = self.text("protocol")? else { return Ok("Other") };
        let known = PROTOCOLS.iter().find(|(known, _)| *known == word);
        let unknown = || self.error("protocol", format!("unknown protocol '{word}'"));
        known.map(|(_, variant)| *variant).ok_or_else(unknown)
    }

    fn units(&self) -> Result<Vec<(String, String)>, DefinitionError> {
        let Some(value) = self.table.get("units") else { return Ok(Vec::new()) };
        let error = |text: String| self.error("units", text);
        let table = value.as_table().ok_or_else(|| error("'units' is not a table".into()))?;
        let unit = |(distribution, unit): (&String, &Value)| {
            if !DISTRIBUTIONS.contains(&distribution.as_str()) {
                return Err(error(format!("unknown distribution '{distribution}'")));
            }
            let unit =
                unit.as_str().ok_or_else(|| error(format!("the unit of '{distribution}' is not a text")))?;
            Ok((distribution.clone(), unit.to_owned()))
        };
        table.iter().map(unit).collect()
    }
}
