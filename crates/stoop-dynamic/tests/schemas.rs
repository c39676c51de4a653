//! The built-in descriptor set is what its `.proto` files compile to.

use std::fs;
use std::path::{Path, PathBuf};

/// `schemas/builtin.bin` is committed, so that no build of the crate has to compile it. With
/// `STOOP_GOLDEN=write`, this test writes it.
#[test]
fn the_built_in_descriptors_are_those_of_their_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let mut files = Vec::new();
    collect(&root, &mut files);
    // For the same bytes on every machine.
    files.sort();
    assert!(files.len() > 10, "{files:?}");
    let mut compiler = protox::Compiler::new([&root]).unwrap();
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(files.iter().map(|file| file.strip_prefix(&root).unwrap())).unwrap();
    let compiled = compiler.encode_file_descriptor_set();
    let built_in = root.join("builtin.bin");
    if std::env::var_os("STOOP_GOLDEN").is_some_and(|how| how == "write") {
        fs::write(&built_in, &compiled).unwrap();
    }
    let same = fs::read(&built_in).is_ok_and(|bytes| bytes == compiled);
    assert!(same, "out of date: STOOP_GOLDEN=write cargo test -p stoop-dynamic --test schemas");
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
}
