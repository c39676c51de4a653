//! Type information built by the tests: fields are found at their offsets, and invalid information
//! is an error.

use proptest::prelude::*;
use stoop_bpf::{Btf, BtfError, Field, Kind, TypeId};

const INT: u32 = 1;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const TYPEDEF: u32 = 8;
const FUNC: u32 = 12;
const BIT_SIZES: u32 = 1 << 31;

/// Builds type information.
#[derive(Default)]
struct Made {
    types: Vec<u8>,
    strings: Vec<u8>,
    count: u32,
}

impl Made {
    fn new() -> Made {
        Made { strings: vec![0], ..Made::default() }
    }

    fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let at = self.strings.len() as u32;
        self.strings.extend(text.bytes().chain([0]));
        at
    }

    /// Adds a type and returns its id.
    fn add(&mut self, name: &str, info: u32, size_or_type: u32, tail: &[u32]) -> u32 {
        let words = [self.string(name), info, size_or_type];
        self.types.extend(words.iter().chain(tail).flat_map(|word| word.to_le_bytes()));
        self.count += 1;
        self.count
    }

    fn int(&mut self, len_bytes: u32) -> u32 {
        self.add("number", INT << 24, len_bytes, &[len_bytes * 8])
    }

    /// Adds a structure or union, with its members as name, type and bit offset.
    fn outer(&mut self, name: &str, kind: u32, len_bytes: u32, members: &[(String, u32, u32)]) -> u32 {
        let tail: Vec<u32> =
            members.iter().flat_map(|(name, kind, place)| [self.string(name), *kind, *place]).collect();
        self.add(name, kind << 24 | members.len() as u32, len_bytes, &tail)
    }

    fn blob(&self) -> Vec<u8> {
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        let header = [0x0001_eb9f, 24, 0, types, types, strings];
        let header = header.iter().flat_map(|word: &u32| word.to_le_bytes());
        header.chain(self.types.iter().copied()).chain(self.strings.iter().copied()).collect()
    }
}

fn member(name: &str, kind: u32, offset_bytes: u32) -> (String, u32, u32) {
    (name.into(), kind, offset_bytes * 8)
}

const WANTED: &[(Kind, &str)] = &[(Kind::STRUCT, "outer"), (Kind::FUNC, "does"), (Kind::STRUCT, "missing")];

fn field(blob: &[u8], path: &str) -> Result<Field, BtfError> {
    Btf::scan(blob, WANTED)?.field("outer", path)
}

fn at(offset_bytes: u32, len_bytes: u32) -> Result<Field, BtfError> {
    Ok(Field { offset_bytes, len_bytes })
}

#[test]
fn fields_are_found_through_members_without_a_name() {
    let mut made = Made::new();
    let int = made.int(4);
    let long = made.int(8);
    let alias = made.add("alias", TYPEDEF << 24, long, &[]);
    let array = made.add("", ARRAY << 24, 0, &[int, int, 6]);
    let deep = made.outer("", STRUCT, 16, &[member("a", int, 0), member("b", alias, 8)]);
    let union = made.outer("", UNION, 16, &[member("c", int, 0), member("", deep, 0)]);
    let named = made.outer("named", STRUCT, 8, &[member("x", int, 0), member("y", int, 4)]);
    let members = [member("", union, 8), member("inner", named, 24), member("many", array, 32)];
    made.outer("outer", STRUCT, 56, &members);
    let blob = made.blob();
    assert_eq!(field(&blob, "a"), at(8, 4));
    assert_eq!(field(&blob, "b"), at(16, 8));
    assert_eq!(field(&blob, "c"), at(8, 4));
    assert_eq!(field(&blob, "inner"), at(24, 8));
    assert_eq!(field(&blob, "inner.y"), at(28, 4));
    assert_eq!(field(&blob, "many"), at(32, 24));
}

#[test]
fn what_is_missing_is_named() {
    let mut made = Made::new();
    let int = made.int(4);
    made.outer("outer", STRUCT, 4, &[member("a", int, 0)]);
    let does = made.add("does", FUNC << 24, int, &[]);
    let blob = made.blob();
    assert_eq!(field(&blob, "b"), Err(BtfError::NoField("outer.b".into())));
    assert_eq!(field(&blob, "a.b"), Err(BtfError::NoField("outer.a.b".into())), "an integer has no fields");
    let btf = Btf::scan(&blob, WANTED).unwrap();
    assert_eq!(btf.type_id(Kind::FUNC, "does"), Ok(TypeId(does)));
    assert_eq!(btf.type_id(Kind::STRUCT, "missing"), Err(BtfError::NoType("missing".into())));
    assert_eq!(btf.type_id(Kind::FUNC, "outer"), Err(BtfError::NoType("outer".into())), "was not asked for");
}

#[test]
fn bit_fields_are_not_taken_for_bytes() {
    let mut made = Made::new();
    let int = made.int(4);
    let places = [("flag".into(), int, 1 << 24), ("whole".into(), int, 32)];
    made.outer("outer", STRUCT | BIT_SIZES >> 24, 8, &places);
    let blob = made.blob();
    assert_eq!(field(&blob, "flag"), Err(BtfError::BitField("outer.flag".into())));
    assert_eq!(field(&blob, "whole"), at(4, 4));
}

#[test]
fn circles_are_given_up() {
    let mut names = Made::new();
    names.add("one", TYPEDEF << 24, 2, &[]);
    names.add("other", TYPEDEF << 24, 1, &[]);
    names.outer("outer", STRUCT, 8, &[member("a", 1, 0)]);
    assert!(matches!(field(&names.blob(), "a"), Err(BtfError::Malformed(_))));
    // Each contains itself twice: a complete search would not terminate.
    let mut nested = Made::new();
    nested.outer("outer", STRUCT, 8, &[member("", 1, 0), member("", 1, 0)]);
    assert!(matches!(field(&nested.blob(), "a"), Err(BtfError::Malformed(_))));
}

#[test]
fn a_file_that_ends_early_is_an_error() {
    let mut made = Made::new();
    let int = made.int(4);
    made.outer("outer", STRUCT, 4, &[member("a", int, 0)]);
    let blob = made.blob();
    assert_eq!(field(&blob, "a"), at(0, 4));
    for len in 0..blob.len() {
        assert!(matches!(field(&blob[..len], "a"), Err(BtfError::Malformed(_))), "cut to {len}");
    }
}

#[test]
fn types_are_found_by_their_number_wherever_they_are() {
    for before in [0, 1, 62, 63, 64, 65, 127, 128, 500] {
        let mut made = Made::new();
        for _ in 0..before {
            made.int(2);
        }
        let int = made.int(4);
        made.outer("outer", STRUCT, 16, &[member("a", int, 12)]);
        let blob = made.blob();
        assert_eq!(field(&blob, "a"), at(12, 4), "behind {before}");
        assert_eq!(Btf::scan(&blob, WANTED).unwrap().len(), before + 3);
    }
}

/// Adds a structure whose leaves are named `f0`, `f1` …, 8 bytes apart.
fn nest(made: &mut Made, shape: &[u8], leaves: &mut u32) -> u32 {
    let begin = *leaves;
    let int = made.int(8);
    let mut members = Vec::new();
    for (index, byte) in shape.iter().enumerate() {
        let offset = (*leaves - begin) * 8;
        if byte % 3 == 0 && index > 0 {
            let inner = nest(made, &shape[..index / 2], leaves);
            members.push(member("", inner, offset));
        } else {
            members.push(member(&format!("f{leaves}"), int, offset));
            *leaves += 1;
        }
    }
    made.outer("", STRUCT, (*leaves - begin) * 8, &members)
}

proptest! {
    /// Every leaf is found at its offset, whatever the shape.
    #[test]
    fn every_leaf_is_found(shape in proptest::collection::vec(any::<u8>(), 1..20)) {
        let mut made = Made::new();
        let mut leaves = 0;
        let inner = nest(&mut made, &shape, &mut leaves);
        made.outer("outer", STRUCT, leaves * 8, &[member("", inner, 0)]);
        let blob = made.blob();
        for leaf in 0..leaves {
            prop_assert_eq!(field(&blob, &format!("f{leaf}")), at(leaf * 8, 8));
        }
        let beyond = field(&blob, &format!("f{leaves}"));
        prop_assert!(beyond.is_err());
    }

    /// Arbitrary bytes after a valid header give a result, in limited time.
    #[test]
    fn no_bytes_are_too_wild(types in proptest::collection::vec(any::<u8>(), 0..600)) {
        let made = Made { types, strings: b"\0outer\0a\0does\0".to_vec(), count: 0 };
        let blob = made.blob();
        if let Ok(btf) = Btf::scan(&blob, WANTED) {
            let _ = btf.field("outer", "a.a");
        }
    }
}
