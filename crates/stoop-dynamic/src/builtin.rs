//! The built-in interfaces: the facts of `schemas/`, read when they are first needed.

use std::sync::OnceLock;

use prost_reflect::prost_types::FileDescriptorProto;

use crate::interfaces::{comments, read};

/// The name and the text of each file of `schemas/`, in the order of their names.
pub(crate) const TEXTS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/interfaces.rs"));

/// Returns the files of all interfaces, with our comments on them as source info.
pub(crate) fn files() -> &'static [FileDescriptorProto] {
    static FILES: OnceLock<Vec<FileDescriptorProto>> = OnceLock::new();
    FILES.get_or_init(|| TEXTS.iter().flat_map(|(_, text)| of_project(text)).collect())
}

fn of_project(text: &str) -> Vec<FileDescriptorProto> {
    let mut project = read::read(text).expect("a test reads it");
    for file in &mut project.files {
        comments::attach(file, &project.comments);
    }
    project.files
}
