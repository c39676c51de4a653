//! Writes the built-in interfaces of `stoop-dynamic`: the facts of other projects' `.proto` files.
//!
//! Reads sources that are installed already, such as Debian's `golang-…-dev` packages or crates,
//! and never downloads any. The form and the rules of what is a fact are those of the crate itself,
//! whose files are compiled here, too: depending on it would build all of gRPC for every check.

#[path = "../../../crates/stoop-dynamic/src/interfaces/facts.rs"]
mod facts;
#[path = "../../../crates/stoop-dynamic/src/interfaces/members.rs"]
mod members;
#[path = "../../../crates/stoop-dynamic/src/interfaces/names.rs"]
mod names;
#[path = "../../../crates/stoop-dynamic/src/interfaces/print.rs"]
mod print;
#[path = "../../../crates/stoop-dynamic/src/interfaces/read.rs"]
mod read;
#[path = "../../../crates/stoop-dynamic/src/interfaces/reader.rs"]
mod reader;
#[path = "../../../crates/stoop-dynamic/src/interfaces/tree.rs"]
mod tree;
#[path = "../../../crates/stoop-dynamic/src/interfaces/write.rs"]
mod write;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use protox::Compiler;
use protox::file::{ChainFileResolver, GoogleFileResolver, IncludeFileResolver};

use crate::Outcome;
use crate::tree::root;
use read::{ABOUT, Project};

const USAGE: &str = "interfaces                      rewrite schemas/*.facts in their form
       interfaces add NAME [OPTION…] [FILE[=NAME]…]
  NAME         the file: schemas/NAME.facts; what it has already is kept, unless given anew
  FILE         a .proto file below an --include, or a directory of some; =NAME is what others import it as
  --include DIR, --set FILE     where sources and imports are; a descriptor set instead of sources
  --project, --version, --license, --copyright, --source, --note TEXT     what the file tells of its source";

/// The arguments of `add`.
#[derive(Default)]
struct Add {
    name: String,
    about: Vec<(String, String)>,
    includes: Vec<PathBuf>,
    sets: Vec<PathBuf>,
    files: Vec<(String, Option<String>)>,
}

/// Runs the verb.
pub fn run(args: &[String]) -> Outcome {
    match args {
        [] => rewrite(),
        [add, name, rest @ ..] if add == "add" && !name.starts_with('-') => match parsed(name, rest) {
            Some(add) => add.run(),
            None => Err(format!("usage: {USAGE}")),
        },
        _ => Err(format!("usage: {USAGE}")),
    }
}

fn schemas() -> PathBuf {
    root().join("crates/stoop-dynamic/schemas")
}

fn parsed(name: &str, args: &[String]) -> Option<Add> {
    let mut add = Add { name: name.to_owned(), ..Add::default() };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.strip_prefix("--") {
            Some("include") => add.includes.push(args.next()?.into()),
            Some("set") => add.sets.push(args.next()?.into()),
            Some(word) => {
                ABOUT.contains(&word).then_some(())?;
                add.about.push((word.to_owned(), args.next()?.clone()));
            }
            None => add.files.push(match arg.split_once('=') {
                Some((file, name)) => (file.to_owned(), Some(name.to_owned())),
                None => (arg.clone(), None),
            }),
        }
    }
    Some(add)
}

fn rewrite() -> Outcome {
    for entry in fs::read_dir(schemas()).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.extension().is_some_and(|ending| ending == "facts") {
            put(&path, &existing(&path)?)?;
        }
    }
    Ok(())
}

fn existing(path: &Path) -> Result<Project, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    read::read(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn put(path: &Path, project: &Project) -> Outcome {
    let text = write::write(project)?;
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("{}: {} files", path.display(), project.files.len());
    Ok(())
}

impl Add {
    fn run(&self) -> Outcome {
        let path = schemas().join(format!("{}.facts", self.name));
        let mut project = if path.exists() { existing(&path)? } else { Project::default() };
        for (word, text) in &self.about {
            match project.about.iter_mut().find(|(known, _)| known == word) {
                Some(known) => known.1.clone_from(text),
                None => project.about.push((word.clone(), text.clone())),
            }
        }
        let order = |(word, _): &(String, String)| ABOUT.iter().position(|known| known == word);
        project.about.sort_by_key(order);
        for file in self.read()? {
            match project.files.iter_mut().find(|known| known.name() == file.name()) {
                Some(known) => *known = file,
                None => project.files.push(file),
            }
        }
        put(&path, &project)
    }

    /// Returns the facts of the files that are given, without those that are only imported.
    fn read(&self) -> Result<Vec<FileDescriptorProto>, String> {
        let mut files = Vec::new();
        for path in &self.sets {
            let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            let set = FileDescriptorSet::decode(bytes.as_slice()).map_err(|error| error.to_string())?;
            files.extend(facts::facts(set.file)?);
        }
        if !self.files.is_empty() {
            files.extend(self.compile()?);
        }
        for (file, name) in self.files.iter().filter_map(|(file, name)| Some((file, name.as_ref()?))) {
            files.iter_mut().for_each(|one| rename(one, file, name));
        }
        Ok(files)
    }

    fn compile(&self) -> Result<Vec<FileDescriptorProto>, String> {
        let mut resolver = ChainFileResolver::new();
        self.includes.iter().for_each(|include| resolver.add(IncludeFileResolver::new(include.clone())));
        resolver.add(GoogleFileResolver::new());
        let mut compiler = Compiler::with_file_resolver(resolver);
        compiler.include_imports(true);
        let mut wanted = HashSet::new();
        for name in self.files.iter().flat_map(|(file, _)| self.sources(file)) {
            let opened = compiler.open_file(&name);
            opened.map_err(|error| format!("{error:?}"))?;
            wanted.insert(name);
        }
        let mut files = facts::facts(compiler.file_descriptor_set().file)?;
        files.retain(|file| wanted.contains(file.name()));
        Ok(files)
    }

    /// Returns the names of a source, or of all in a directory, as they are imported.
    fn sources(&self, file: &str) -> Vec<String> {
        let mut found = Vec::new();
        for include in self.includes.iter().filter(|include| include.join(file).is_dir()) {
            protos(include, Path::new(file), &mut found);
        }
        found.sort();
        if found.is_empty() { vec![file.to_owned()] } else { found }
    }
}

fn protos(include: &Path, directory: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(include.join(directory)).into_iter().flatten().flatten() {
        let path = directory.join(entry.file_name());
        if include.join(&path).is_dir() {
            protos(include, &path, found);
        } else if path.extension().is_some_and(|ending| ending == "proto") {
            found.push(path.display().to_string());
        }
    }
}

fn rename(file: &mut FileDescriptorProto, from: &str, to: &str) {
    let names = file.name.iter_mut().chain(&mut file.dependency);
    names.filter(|name| *name == from).for_each(|name| *name = to.to_owned());
}
