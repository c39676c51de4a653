//! Compiles the schemas that are built in (`schemas/`) into one descriptor set. No protoc is
//! needed.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    schemas::compile();
}

mod schemas {
    use std::path::{Path, PathBuf};
    use std::{env, fs};

    const ROOT: &str = "schemas";

    pub fn compile() {
        println!("cargo::rerun-if-changed={ROOT}");
        let mut files = Vec::new();
        collect(Path::new(ROOT), &mut files);
        // For the same bytes on every machine.
        files.sort();
        let mut compiler = protox::Compiler::new([ROOT]).expect("the directory of schemas can be read");
        compiler.include_imports(true).include_source_info(true);
        compiler.open_files(files).unwrap_or_else(|error| panic!("a built-in schema: {error:?}"));
        let set = compiler.encode_file_descriptor_set();
        let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("schemas.bin");
        fs::write(out, set).expect("the output directory can be written");
    }

    fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).expect("the directory of schemas can be read") {
            let path = entry.expect("its entries, too").path();
            if path.is_dir() {
                collect(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "proto") {
                files.push(path);
            }
        }
    }
}
