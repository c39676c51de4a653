//! Compiles the table of well-known services from `services/*.toml`.
//!
//! A file that is not understood, lacks something, or says something unknown fails the build.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use toml::{Table, Value};

/// The keys of a file.
const KEYS: [&str; 11] = [
    "what",
    "names",
    "variable",
    "protocol",
    "health_path",
    "unit",
    "group",
    "group_is_root",
    "sockets",
    "user_sockets",
    "user_first",
];

fn main() {
    println!("cargo::rerun-if-changed=services");
    let mut files: Vec<PathBuf> =
        fs::read_dir("services").expect("services").map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "toml"));
    files.sort();
    let mut code = String::from("&[\n");
    for file in &files {
        let text = fs::read_to_string(file).expect("a readable file");
        let table: Table = text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        service(file, &table, &mut code);
    }
    code.push(']');
    let out = env::var_os("OUT_DIR").expect("a directory to write to");
    fs::write(Path::new(&out).join("services.rs"), code).expect("written");
}

/// Appends a service as an expression.
fn service(file: &Path, table: &Table, code: &mut String) {
    let file = file.display();
    for key in table.keys() {
        assert!(KEYS.contains(&key.as_str()), "{file}: unknown key '{key}'");
    }
    let text = |key: &str| {
        table.get(key).map(|value| value.as_str().unwrap_or_else(|| panic!("{file}: {key} is no text")))
    };
    let required = |key: &str| text(key).unwrap_or_else(|| panic!("{file}: lacks {key}"));
    let list = |key: &str| -> Vec<String> {
        let values = table
            .get(key)
            .map(|value| value.as_array().unwrap_or_else(|| panic!("{file}: {key} is no list")));
        let words = values.into_iter().flatten().map(Value::as_str);
        words
            .map(|word| word.unwrap_or_else(|| panic!("{file}: {key} has other than text")).to_owned())
            .collect()
    };
    let protocol = match text("protocol") {
        None => "Other",
        Some("http") => "Http",
        Some("grpc") => "Grpc",
        Some("ttrpc") => "Ttrpc",
        Some("postgres") => "Postgres",
        Some("mysql") => "Mysql",
        Some("redis") => "Redis",
        Some(other) => panic!("{file}: unknown protocol '{other}'"),
    };
    let (sockets, user_sockets) = (list("sockets"), list("user_sockets"));
    assert!(!sockets.is_empty() || !user_sockets.is_empty(), "{file}: lacks sockets");
    let flag = |key: &str| table.get(key).is_some_and(|value| value == &Value::Boolean(true));
    let machine = sockets.iter().map(|path| format!("DefaultPath::Machine({path:?})"));
    let user = user_sockets.iter().map(|path| format!("DefaultPath::User({path:?})"));
    let paths: Vec<String> =
        if flag("user_first") { user.chain(machine).collect() } else { machine.chain(user).collect() };
    writeln!(
        code,
        "Service {{ what: {:?}, names: &{:?}, variable: {:?}, protocol: Protocol::{protocol}, health_path: {:?}, \
         unit: {:?}, group: {:?}, group_is_root: {:?}, default_paths: &[{}] }},",
        required("what"),
        list("names"),
        text("variable"),
        text("health_path"),
        required("unit"),
        text("group"),
        flag("group_is_root"),
        paths.join(", "),
    )
    .expect("a string grows");
}
