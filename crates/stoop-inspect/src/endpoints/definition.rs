//! The file format of a service: TOML, one service a file. Pure.
//!
//! The build script compiles the files of `services/` with it, and the command reads those of the
//! administrator.

use std::fmt;

use toml::{Table, Value};

/// The keys of a file. `checked` names the packages and pages that its facts are from.
const KEYS: [&str; 23] = [
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
    "instances",
    "tmp_variable",
    "recreate_signal",
    "session_units",
    "send",
    "answers",
    "versions",
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

/// What stands for each of the `versions` in a file.
const VERSION: &str = "{version}";

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
    /// Other units, by distribution. Empty if it has none there.
    pub units: Vec<(String, String)>,
    /// The group.
    pub group: Option<String>,
    /// Whether members of the group have the power of root.
    pub group_is_root: bool,
    /// The addresses, best first: the path, in which `{uid}` is the user's id, and whether it is
    /// below a user's directory.
    pub paths: Vec<(String, bool)>,
    /// Further addresses, with `*` for a part of a file name.
    pub patterns: Vec<String>,
    /// The commands that run the server.
    pub commands: Vec<String>,
    /// The address of one of several servers, with `*` for its name.
    pub instances: Option<String>,
    /// The environment variable whose value replaces `/tmp` in the addresses.
    pub tmp_variable: Option<String>,
    /// The signal at which it creates its socket file again, and keeps its state.
    pub recreate_signal: Option<String>,
    /// The units whose restart ends sessions of users, with `*` for a part of a name.
    pub session_units: Vec<String>,
    /// What a client may send first, so that the server answers. Empty if the server speaks first.
    pub send: Vec<u8>,
    /// The beginnings of its answers, with `?` for any byte.
    pub answers: Vec<Vec<u8>>,
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

/// Parses a file: one service, or one for each of its versions.
///
/// # Errors
/// Returns an error if it is not TOML, lacks something, or says something unknown.
pub fn parse(text: &str) -> Result<Vec<Definition>, DefinitionError> {
    let table = table(text)?;
    let versions = File { text, table: &table }.list("versions")?;
    if versions.is_empty() {
        return Ok(vec![one(text)?]);
    }
    versions.iter().map(|version| one(&text.replace(VERSION, version))).collect()
}

fn table(text: &str) -> Result<Table, DefinitionError> {
    text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        DefinitionError { line, text: error.message().to_owned() }
    })
}

/// Parses the text of one service.
fn one(text: &str) -> Result<Definition, DefinitionError> {
    let table = table(text)?;
    let file = File { text, table: &table };
    if let Some(key) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(file.error(key, format!("unknown key '{key}'")));
    }
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
        paths: file.addresses()?,
        patterns: file.paths("patterns", true)?,
        commands: file.list("commands")?,
        instances: file.instances()?,
        tmp_variable: file.text("tmp_variable")?,
        recreate_signal: file.text("recreate_signal")?,
        session_units: file.list("session_units")?,
        send: file.send()?,
        answers: file.answers()?,
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

    /// Returns the default addresses, best first.
    fn addresses(&self) -> Result<Vec<(String, bool)>, DefinitionError> {
        let (sockets, user_sockets) = (self.paths("sockets", true)?, self.paths("user_sockets", false)?);
        if sockets.is_empty() && user_sockets.is_empty() && self.paths("patterns", true)?.is_empty() {
            return Err(self.error("what", "no sockets, user_sockets or patterns".to_owned()));
        }
        let sockets = sockets.into_iter().map(|path| (path, false));
        let user_sockets = user_sockets.into_iter().map(|path| (path, true));
        Ok(match self.flag("user_first")? {
            true => user_sockets.chain(sockets).collect(),
            false => sockets.chain(user_sockets).collect(),
        })
    }

    fn instances(&self) -> Result<Option<String>, DefinitionError> {
        match self.text("instances")? {
            Some(path) if !path.starts_with('/') || path.matches('*').count() != 1 => {
                Err(self.error("instances", format!("'{path}' is not an absolute path with one '*'")))
            }
            instances => Ok(instances),
        }
    }

    fn send(&self) -> Result<Vec<u8>, DefinitionError> {
        match self.text("send")? {
            Some(_) if self.list("answers")?.is_empty() => {
                Err(self.error("send", "'send' requires 'answers'".to_owned()))
            }
            text => self.bytes("send", &text.unwrap_or_default()),
        }
    }

    fn answers(&self) -> Result<Vec<Vec<u8>>, DefinitionError> {
        self.list("answers")?.iter().map(|answer| self.bytes("answers", answer)).collect()
    }

    /// Returns the bytes of a text, whose characters stand for the bytes of the same number.
    fn bytes(&self, key: &str, text: &str) -> Result<Vec<u8>, DefinitionError> {
        let byte = |char: char| {
            u8::try_from(char).map_err(|_| self.error(key, format!("'{char}' in '{key}' is not a byte")))
        };
        text.chars().map(byte).collect()
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
