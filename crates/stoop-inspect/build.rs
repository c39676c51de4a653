//! Compiles the table of well-known services from `services/*.toml`.
//!
//! A file that is not understood, lacks something, or says something unknown fails the build.

#[path = "src/endpoints/definition.rs"]
mod definition;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use definition::Definition;

fn main() {
    println!("cargo::rerun-if-changed=services");
    println!("cargo::rerun-if-changed=src/endpoints/definition.rs");
    let mut files: Vec<PathBuf> =
        fs::read_dir("services").expect("services").map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "toml"));
    files.sort();
    let mut code = String::from("&[\n");
    for file in &files {
        let text = fs::read_to_string(file).expect("a readable file");
        let parsed = definition::parse(&text);
        let services = parsed.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        services.iter().for_each(|service| expression(service, &mut code));
    }
    code.push(']');
    let out = env::var_os("OUT_DIR").expect("a directory to write to");
    fs::write(Path::new(&out).join("services.rs"), code).expect("written");
}

/// Appends a service as an expression.
fn expression(service: &Definition, code: &mut String) {
    let variant = |is_of_user: bool| if is_of_user { "User" } else { "Machine" };
    let paths: String = service
        .paths
        .iter()
        .map(|(path, is_of_user)| format!("DefaultPath::{}({path:?}), ", variant(*is_of_user)))
        .collect();
    let Definition { what, names, variable, protocol, health_path, unit, units, .. } = service;
    let Definition { group, group_is_root, patterns, commands, obsolete, instances, .. } = service;
    let Definition { tmp_variable, recreate_signal, session_units, send, answers, .. } = service;
    let answers: String = answers.iter().map(|answer| format!("&{answer:?}, ")).collect();
    writeln!(
        code,
        "Service {{ what: {what:?}, names: &{names:?}, variable: {variable:?}, protocol: Protocol::{protocol}, \
         health_path: {health_path:?}, unit: {unit:?}, units: &{units:?}, \
         group: {group:?}, group_is_root: {group_is_root:?}, patterns: &{patterns:?}, \
         commands: &{commands:?}, obsolete: {obsolete:?}, default_paths: &[{paths}], \
         instances: {instances:?}, tmp_variable: {tmp_variable:?}, recreate_signal: {recreate_signal:?}, \
         session_units: &{session_units:?}, \
         exchange: Exchange {{ send: &{send:?}, answers: &[{answers}] }} }},"
    )
    .expect("a string grows");
}
