//! What is printed compiles to what it was printed from.

use prost_reflect::DescriptorPool;
use prost_reflect::prost::Message;
use prost_types::{DescriptorProto, FileDescriptorProto, FileDescriptorSet};
use protox::Compiler;
use protox::file::{ChainFileResolver, DescriptorSetFileResolver, GoogleFileResolver, IncludeFileResolver};

use super::{Names, Printer};
use crate::interfaces::facts::facts;
use crate::{Schema, describe};

fn printed(pool: &DescriptorPool, file: &FileDescriptorProto) -> String {
    let names = Names::new(pool);
    let mut printer = Printer::new(file, &names);
    printer.whole();
    printer.into_text()
}

/// Returns a file as two compilers agree on it: without positions, and without the order of
/// messages, which groups change.
fn normal(mut file: FileDescriptorProto) -> FileDescriptorProto {
    fn sort(messages: &mut [DescriptorProto]) {
        messages.sort_by(|one, other| one.name.cmp(&other.name));
        for message in messages {
            sort(&mut message.nested_type);
            // Without a oneof, it is a mark of ours: see `features`.
            let marked = message.field.iter_mut().filter(|field| field.oneof_index.is_none());
            marked.for_each(|field| field.proto3_optional = None);
        }
    }
    let options = file.options.take().filter(|options| *options != prost_types::FileOptions::default());
    sort(&mut file.message_type);
    let imports = file.dependency.clone();
    let own = file.name.replace("own.proto".to_owned());
    let mut file = facts(vec![file]).unwrap().remove(0);
    (file.options, file.dependency, file.name) = (options, imports, own);
    file
}

#[track_caller]
fn compiles_again(pool: &DescriptorPool, file: &FileDescriptorProto) {
    let text = printed(pool, file);
    let directory = stoop_testkit::tempdir();
    // protobuf's own files would be taken from the compiler.
    let name = if file.name().starts_with("google/protobuf/") { "own.proto" } else { file.name() };
    let path = directory.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, &text).unwrap();
    let others = pool.files().map(|file| file.file_descriptor_proto().clone());
    let others = others.filter(|other| other.name() != file.name()).collect();
    let mut resolver = ChainFileResolver::new();
    resolver.add(IncludeFileResolver::new(directory.path().to_owned()));
    resolver.add(DescriptorSetFileResolver::new(FileDescriptorSet { file: others }));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    let opened = compiler.open_file(name);
    opened.unwrap_or_else(|error| panic!("{}: {error:?}\n{text}", file.name()));
    let again = compiler.file_descriptor_set().file.remove(0);
    let mut again = normal(again);
    again.name = file.name.clone();
    assert_eq!(again, normal(file.clone()), "{text}");
}

#[test]
fn built_in_interfaces_compile_again() {
    let pool = Schema::builtin().pool().clone();
    for file in pool.files() {
        compiles_again(&pool, file.file_descriptor_proto());
    }
}

const OTHER: &str = r#"
    syntax = "proto2";
    package a.c;
    // About old things.
    message Old {
      option deprecated = true;
      required int32 must = 1;
      optional string text = 2 [default = "d\"\\\n\001ü"];
      optional bytes raw = 3 [default = "\001\377\"\n", ctype = CORD];
      optional double number = 4 [default = inf];
      optional double least = 5 [default = -1e-9];
      repeated int32 packed = 6 [packed = true];
      repeated int64 unpacked = 7 [packed = false, jstype = JS_STRING, deprecated = true];
      optional group Grp = 8 { optional string a = 1; repeated group Inner = 2 { optional int32 b = 1; } }
      optional Color color = 9 [default = BLUE];
      map<string, Old> kids = 10;
      map<fixed64, Color> colors = 11;
      oneof pick { int32 first = 20; string second = 12; group Third = 13 { optional bool c = 1; } }
      enum Color { option allow_alias = true; RED = 1; ROT = 1; BLUE = 2 [deprecated = true];
        reserved 5 to 7, -3; reserved 100 to max; reserved "GREEN"; }
      extensions 100 to 199, 300; extensions 1000 to max;
      reserved 40, 50 to 60; reserved "gone", "went";
      message Nested { extend Old { optional Nested nested = 102; } optional int32 x = 1; }
    }
    message Set { option message_set_wire_format = true; extensions 4 to max; }
    extend Old {
      optional string ext_text = 100;
      repeated int64 ext_numbers = 101 [packed = true];
      optional group ExtGrp = 103 { optional int32 g = 1; }
    }
    extend Set { optional Old in_set = 20000000; }
"#;

/// Names that a shorter form would resolve to something else: `a` is a message and a package here.
const OWN: &str = r#"
    syntax = "proto3";
    package a.b;
    import public "other.proto";
    import "google/protobuf/any.proto";
    option java_package = "x.\"y"; option optimize_for = CODE_SIZE; option deprecated = true;
    service S {
      option deprecated = true;
      rpc One(M) returns (stream .a.c.Old) { option idempotency_level = NO_SIDE_EFFECTS; }
      rpc Two(stream a) returns (.google.protobuf.Any) { option deprecated = true; }
    }
    message a { message a { int32 x = 1; } .a.c.Old old = 1; a inner = 2; .a.b.a outer = 3; }
    message M {
      optional int32 o = 1;
      optional M m = 2;
      oneof pick { string one = 10; M two = 4; }
      repeated double values = 5 [packed = false];
      string odd__Name_2x = 6; // behind it
      string custom = 7 [json_name = "@custom"];
      .google.protobuf.Any any = 8;
      .a.c.Old.Color color = 9;
      message google { int32 x = 1; }
    }
"#;

fn own() -> Schema {
    let directory = stoop_testkit::tempdir();
    std::fs::write(directory.path().join("other.proto"), OTHER).unwrap();
    let path = directory.path().join("own.proto");
    std::fs::write(&path, OWN).unwrap();
    Schema::from_protos(&[path], &[]).unwrap()
}

#[test]
fn every_sort_of_definition_compiles_again() {
    let pool = own().pool().clone();
    for name in ["other.proto", "own.proto"] {
        compiles_again(&pool, pool.get_file_by_name(name).unwrap().file_descriptor_proto());
    }
}

#[test]
fn a_message_is_described_with_everything() {
    let text = describe(&own().symbol("a.c.Old", &[]).unwrap());
    assert_eq!(text.matches("oneof pick {").count(), 1, "{text}");
    for line in [
        "// About old things.\nmessage a.c.Old {\n  option deprecated = true;\n",
        "  required int32 must = 1;\n",
        "  repeated int32 packed = 6 [packed = true];\n",
        "  optional group Grp = 8 {\n    optional string a = 1;\n    repeated group Inner = 2 {\n",
        "  map<string, a.c.Old> kids = 10;\n",
        "    BLUE = 2 [deprecated = true];\n    reserved 5 to 7, -3, 100 to max;\n    reserved \"GREEN\";\n",
        "  extensions 100 to 199, 300, 1000 to max;\n",
        "\nextend a.c.Old {  // [a.c.ext_text]\n  optional string ext_text = 100;\n}\n",
    ] {
        assert!(text.contains(line), "lacks {line}: {text}");
    }
    let text = describe(&own().symbol("a.b.M", &[]).unwrap());
    assert!(text.contains("  .google.protobuf.Any any = 8;\n"), "{text}");
    assert!(text.contains("  string odd__Name_2x = 6;  // behind it\n"), "{text}");
    assert!(text.contains("  string custom = 7 [json_name = \"@custom\"];\n"), "{text}");
}

const CUSTOM: &str = r#"
    syntax = "proto2";
    package o;
    import "google/protobuf/descriptor.proto";
    enum Level { LOW = 0; HIGH = 7; }
    message Rule {
      optional string pattern = 1;
      repeated int32 sizes = 2;
      extensions 100 to 199;
    }
    extend Rule { optional bool strict = 100; }
    extend google.protobuf.FileOptions { optional double ratio = 50000; }
    extend google.protobuf.MessageOptions { repeated string tags = 50000; optional Rule rule = 50001; }
    extend google.protobuf.FieldOptions { optional Level level = 50000; optional bytes raw = 50001; }
    extend google.protobuf.OneofOptions { optional bool exclusive = 50000; }
    extend google.protobuf.EnumOptions { optional sint32 offset = 50000; }
    extend google.protobuf.EnumValueOptions { optional float weight = 50000; }
    extend google.protobuf.ServiceOptions { optional string host = 50000; }
    extend google.protobuf.MethodOptions { optional Rule call = 50000; }
    option (ratio) = 0.25;
    message M {
      option (tags) = "a \"b\"";
      option (tags) = "c";
      option (rule) = { pattern: "x:{y}" sizes: [1, 2] [o.strict]: true };
      optional int32 id = 1 [deprecated = true, (level) = HIGH, (raw) = "\001\377\""];
      oneof pick { option (exclusive) = true; string one = 2 [(level) = LOW]; }
      message Nested { optional int32 a = 1 [(level) = HIGH]; }
    }
    enum E { option (offset) = -5; NONE = 0 [(weight) = 1.5]; }
    service S {
      option (host) = "local";
      rpc Call(M) returns (M) { option (call) = { pattern: "/v1" }; }
    }
"#;

#[test]
fn options_of_extensions_are_printed() {
    let directory = stoop_testkit::tempdir();
    let compile = |text: &str| {
        let path = directory.path().join("custom.proto");
        std::fs::write(&path, text).unwrap();
        let schema = Schema::from_protos(&[path], &[]).unwrap_or_else(|error| panic!("{error}\n{text}"));
        describe(&schema.symbol("custom.proto", &[]).unwrap())
    };
    let text = compile(CUSTOM);
    for line in [
        "option (o.ratio) = 0.25;\n",
        "  option (o.tags) = \"a \\\"b\\\"\";\n  option (o.tags) = \"c\";\n",
        "optional int32 id = 1 [deprecated = true, (o.level) = HIGH, (o.raw) = \"\\x01\\xff\\\"\"];\n",
        "  oneof pick {\n    option (o.exclusive) = true;\n    string one = 2 [(o.level) = LOW];\n",
        "    optional int32 a = 1 [(o.level) = HIGH];\n",
        "  option (o.offset) = -5;\n  NONE = 0 [(o.weight) = 1.5];\n",
        "  option (o.host) = \"local\";\n",
        "    option (o.call) = { pattern:\"/v1\" };\n",
    ] {
        assert!(text.contains(line), "lacks {line}: {text}");
    }
    assert_eq!(compile(&text), text, "it compiles to the same options");
}

#[test]
fn options_of_unknown_extensions_are_left_out() {
    let message = |options: &[u8]| {
        let mut message =
            DescriptorProto { name: Some("M".into()), ..DescriptorProto::default() }.encode_to_vec();
        message.extend([&[0x3a, options.len() as u8], options].concat());
        message
    };
    // Number 50000, a varint; and one that is cut.
    for (options, expected) in
        [(&[0x80, 0xb5, 0x18, 1][..], Some("message M {\n}\n")), (&[0x80, 0xb5, 0x18][..], None)]
    {
        let message = message(options);
        let file = [&[0x0a, 1, b'f', 0x22, message.len() as u8][..], &message].concat();
        let set = [&[0x0a, file.len() as u8][..], &file].concat();
        let schema = Schema::from_descriptor_set(&set);
        let text = schema.ok().map(|schema| describe(&schema.symbol("M", &[]).unwrap()));
        assert_eq!(text.as_deref(), expected);
    }
}
