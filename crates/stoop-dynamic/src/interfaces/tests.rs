//! The form holds every fact of a file, and nothing else can be read as one.

use std::path::Path;

use proptest::prelude::*;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use protox::Compiler;
use protox::file::{ChainFileResolver, DescriptorSetFileResolver, GoogleFileResolver, IncludeFileResolver};

use super::facts::facts;
use super::read::{Project, read};
use super::write::write;
use crate::builtin;

fn compiled(text: &str) -> Vec<FileDescriptorProto> {
    let directory = stoop_testkit::tempdir();
    std::fs::write(directory.path().join("a.proto"), text).unwrap();
    let set = protox::compile(["a.proto"], [directory.path()]).unwrap();
    facts(set.file).unwrap()
}

fn written(files: Vec<FileDescriptorProto>) -> String {
    write(&Project { files, ..Project::default() }).unwrap()
}

#[test]
fn every_fact_has_its_line() {
    let text = written(compiled(
        r#"syntax = "proto2"; package a.b;
        import "google/protobuf/empty.proto"; import "google/protobuf/any.proto";
        option deprecated = true; option go_package = "x";
        // Not ours.
        service S { option deprecated = true;
          rpc One(M) returns (stream google.protobuf.Empty) { option idempotency_level = IDEMPOTENT; }
          rpc Two(stream M) returns (.a.b.string) { option deprecated = true; } }
        message string {} message Str { enum E { option allow_alias = true; A = 0; B = 0 [deprecated = true]; reserved -3 to -1; reserved "C"; } }
        message M {
          option deprecated = true;
          required int32 must = 1; optional bytes raw = 2 [default = "\001\"\n", json_name = "@r"];
          repeated int32 packed = 3 [packed = true]; repeated Str.E values = 4 [packed = false, deprecated = true];
          optional group Grp = 5 { optional Str.E a = 1; }
          map<string, M> kids = 6; map<int32, Str.E> kinds = 7;
          oneof pick { float one = 9; M two = 8; }
          extensions 100 to 199, 300; extensions 1000 to max;
          reserved 20, 30 to 40; reserved "old", "older";
          extend M { optional M inner = 102; } message Inner {} }
        extend M { optional Str.E kind = 100; repeated double d = 101; }"#,
    ));
    if std::env::var_os("STOOP_GOLDEN").is_some_and(|how| how == "write") {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/interfaces/every_fact.facts");
        std::fs::write(golden, &text).unwrap();
    }
    assert_eq!(text, include_str!("every_fact.facts"), "{text}");
}

#[test]
fn optional_in_proto3_has_its_oneof() {
    let files = compiled(
        r#"syntax = "proto3"; message M { optional int32 a = 1; oneof o { int32 b = 2; } optional int32 _c = 3; }"#,
    );
    let text = written(files.clone());
    assert!(text.contains("    1 a optional int32\n    oneof o\n      2 b int32\n"), "{text}");
    assert_eq!(read(&text).unwrap().files, files);
}

/// The example of the description can be read.
#[test]
fn the_example_is_in_the_form() {
    let text = include_str!("../../schemas/README.md");
    let lines = text.lines().skip_while(|line| !line.starts_with("    file"));
    let example: String =
        lines.map_while(|line| line.strip_prefix("    ")).map(|line| format!("{line}\n")).collect();
    let project = read(&example).unwrap();
    assert_eq!(project.files[0].message_type[0].field.len(), 4);
    assert_eq!(project.comments.len(), 1);
}

/// A version that differs in its package alone is not written twice.
#[test]
fn a_copy_under_another_package_is_one_line() {
    let of = |version: &str| {
        let mut file = compiled(&format!(
            "syntax = \"proto3\"; package p.{version}; message M {{ M m = 1; map<string, N> n = 2; }}
             message N {{}} service S {{ rpc A(M) returns (stream N); }}"
        ));
        file[0].name = Some(format!("{version}.proto"));
        file.remove(0)
    };
    let files = vec![of("v1beta1"), of("v1")];
    let text = written(files.clone());
    assert!(text.ends_with("\nfile v1.proto\n  package p.v1\n  like v1beta1.proto\n"), "{text}");
    assert_eq!(read(&text).unwrap().files, files);
    let commented = text.replace("  message M", "  # Ours.\n  message M");
    assert_eq!(read(&commented).unwrap().comments.into_keys().collect::<Vec<_>>(), ["p.v1.M", "p.v1beta1.M"]);
}

#[test]
fn what_is_not_in_the_form_is_refused_with_its_line() {
    for (text, line, expected) in [
        ("file a\n   package b", 2, "wrong indentation"),
        ("file a\n    package b", 2, "wrong indentation"),
        ("file a\n  package  b", 2, "one space"),
        ("file a\n  package \"b", 2, "one space"),
        ("files a", 1, "'files' is not expected here"),
        ("file a\n  message M\n    1 a int32 b", 3, "'b' is not expected in a field"),
        ("file a\n  message M\n    01 a int32", 3, "'01' is not a number"),
        ("file a\n  message M\n    1 a", 3, "needs a type"),
        ("file a\n  message M\n    1 a required int32", 3, "is not expected in a field"),
        ("file a\n  message M\n    1 a int32 json=\"x", 3, "one space"),
        ("file a\n  message M\n    oneof o", 3, "a oneof needs"),
        ("file a\n  message M\n    reserved 2..1", 3, "'2..1' is not a number"),
        ("file a\n  message M\n    extensions 1..2147483647", 3, "too large"),
        ("file a\n  service S\n    M a b", 3, "a method is"),
        ("file a\n  message M\n  package p", 3, "'package' follows a definition"),
        ("file a\n  package p\n  like b", 3, "no file 'b' precedes"),
        ("file a\nfile b\nfile a\n  package p", 3, "file 'a' occurs twice"),
        ("file a\n  # x", 2, "nothing follows the comment"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.line == line && error.text.contains(expected), "{text}: {error}");
    }
}

/// Each file of `schemas/` is written as the tool writes it, and tells where it comes from.
#[test]
fn the_built_in_interfaces_are_in_their_form() {
    assert!(builtin::TEXTS.len() > 5);
    for (name, text) in builtin::TEXTS {
        let project = read(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(&write(&project).unwrap(), text, "{name}");
        for word in ["project", "license", "copyright", "source"] {
            assert!(project.about.iter().any(|(key, _)| key == word), "{name} lacks '{word}'");
        }
    }
}

/// The sources that are on this machine have the same facts: those of crates, and those in
/// directories that Debian's packages or `STOOP_PROTO_ROOT` provide.
#[test]
fn the_built_in_interfaces_are_those_of_their_sources() {
    let sets = [
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    for bytes in sets {
        let set = <FileDescriptorSet as prost_reflect::prost::Message>::decode(bytes).unwrap();
        for mut source in facts(set.file).unwrap() {
            let service = source.service[0].name().to_owned();
            let is_same = |file: &&FileDescriptorProto| {
                file.package == source.package && file.service.iter().any(|one| one.name() == service)
            };
            let ours = builtin::files().iter().find(is_same).unwrap();
            source.name = ours.name.clone();
            assert_eq!(facts(vec![ours.clone()]).unwrap(), [source]);
        }
    }
    let given = std::env::var_os("STOOP_PROTO_ROOT");
    for root in [given.as_deref(), Some("/usr/share/gocode/src".as_ref())].into_iter().flatten() {
        compare_with_sources(Path::new(root));
    }
}

fn compare_with_sources(root: &Path) {
    let there = builtin::files().iter().filter(|file| root.join(file.name()).exists());
    for ours in there {
        let mut resolver = ChainFileResolver::new();
        resolver.add(IncludeFileResolver::new(root.to_owned()));
        resolver.add(GoogleFileResolver::new());
        resolver.add(DescriptorSetFileResolver::new(FileDescriptorSet { file: builtin::files().to_vec() }));
        let mut compiler = Compiler::with_file_resolver(resolver);
        compiler.include_imports(true).open_file(ours.name()).unwrap();
        let compiled = facts(compiler.file_descriptor_set().file).unwrap();
        let source = compiled.into_iter().find(|file| file.name() == ours.name()).unwrap();
        let ours = FileDescriptorProto { source_code_info: None, ..ours.clone() };
        assert_eq!(ours, source, "{}", ours.name());
        println!("compared with {}", root.join(ours.name()).display());
    }
}

/// Returns lines as they occur, so that many are accepted.
fn line() -> impl Strategy<Value = String> {
    const WORDS: [&str; 36] = [
        "file",
        "a.proto",
        "package",
        "p.q",
        "proto2",
        "like",
        "import",
        "public",
        "deprecated",
        "service",
        "message",
        "enum",
        "extend",
        "oneof",
        "reserved",
        "extensions",
        "M",
        "N",
        "1",
        "-2",
        "3..9",
        "name",
        "repeated",
        "required",
        "optional",
        "map",
        "string",
        "int32",
        "group",
        "stream",
        ">",
        "packed",
        "json=\"a b\"",
        "default=\"\\\"\"",
        "aliases",
        ".p.q.M",
    ];
    let word = prop::sample::select(&WORDS[..]);
    (0_usize..4, prop::collection::vec(word, 1..6))
        .prop_map(|(depth, words)| format!("{}{}\n", "  ".repeat(depth), words.join(" ")))
}

/// Returns a whole line that is right in most places.
fn sound_line() -> impl Strategy<Value = String> {
    let lines = [
        "file a.proto\n",
        "file b.proto\n",
        "  package p\n",
        "  package q\n",
        "  proto2\n",
        "  like a.proto\n",
        "  message M\n",
        "  message N deprecated\n",
        "    1 a int32\n",
        "    2 b repeated M packed\n",
        "    3 c map string enum E\n",
        "    4 d optional .p.N json=x\n",
        "    oneof o\n",
        "      5 e bytes\n",
        "    6 f group G default=\"a b\"\n",
        "    reserved 7 8..9 old\n",
        "    message G\n",
        "      1 g G\n",
        "  enum E aliases\n",
        "    0 A\n",
        "    -1 B deprecated\n",
        "  extend M\n",
        "    100 x required string\n",
        "  service S\n",
        "    A M > stream .p.N idempotent\n",
        "  # Ours.\n",
        "  import public c\n",
        "project x\n",
        "    extensions 100..199\n",
        "  deprecated\n",
    ];
    prop::sample::select(lines.map(str::to_owned).to_vec())
}

fn round_trip(text: &str) -> Result<(), TestCaseError> {
    let Ok(project) = read(text) else { return Ok(()) };
    let again = write(&project).map_err(TestCaseError::fail)?;
    prop_assert_eq!(read(&again).unwrap(), project);
    Ok(())
}

proptest! {
    #[test]
    fn what_is_read_is_written_and_read_back(lines in prop::collection::vec(line(), 0..12)) {
        round_trip(&lines.concat())?;
    }

    #[test]
    fn whole_files_are_written_and_read_back(lines in prop::collection::vec(sound_line(), 0..9)) {
        round_trip(&format!("file a.proto\n  package p\n{}", lines.concat()))?;
    }

    #[test]
    fn no_text_panics(text in ".*") {
        let _ = read(&text);
    }

    #[test]
    fn quoted_text_is_read_back(text in ".*") {
        prop_assert_eq!(super::tree::unquote(&super::print::quote(&text)), Some(text));
    }
}
