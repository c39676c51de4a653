//! Lists the interfaces of `schemas/*.facts`, so that adding one is adding a file.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=schemas");
    let root = env::var_os("CARGO_MANIFEST_DIR").expect("the directory of the package");
    let entries = fs::read_dir(Path::new(&root).join("schemas")).expect("schemas");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "facts"));
    files.sort();
    let mut code = String::from("&[\n");
    for file in &files {
        let name = file.file_name().and_then(|name| name.to_str()).expect("a name in UTF-8");
        code += &format!("    ({name:?}, include_str!({file:?})),\n");
    }
    code.push(']');
    let out = env::var_os("OUT_DIR").expect("a directory to write to");
    fs::write(Path::new(&out).join("interfaces.rs"), code).expect("written");
}
