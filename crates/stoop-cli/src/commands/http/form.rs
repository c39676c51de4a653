//! `--form`: a body of `multipart/form-data` (RFC 7578).

use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, RandomState};
use std::os::unix::ffi::OsStrExt;

use bytes::Bytes;
use stoop::escaped;

use super::body::{FilePart, Part, RequestBody};
use super::form_field::{Content, Field};
use crate::failure::Failure;

/// Creates the body with these fields, and with those whose values are taken as they are.
pub(super) fn body(fields: &[OsString], plain: &[OsString]) -> Result<RequestBody, Failure> {
    // Not in any file by accident: 64 random bits.
    let boundary = format!("------------------------{:016x}", RandomState::new().hash_one(0));
    let mut parts = Vec::new();
    let fields = fields.iter().map(|field| {
        Field::parse(field.as_bytes()).ok_or_else(|| {
            wrong(field, "a field is NAME=CONTENT, NAME=@FILE or NAME=<FILE, and its type is one line")
        })
    });
    let plain = plain
        .iter()
        .map(|field| Field::plain(field.as_bytes()).ok_or_else(|| wrong(field, "a field is NAME=TEXT")));
    for field in fields.chain(plain) {
        let field = field?;
        parts.push(Part::Text(format!("--{boundary}\r\n{}\r\n", field.head()).into()));
        parts.push(match field.content {
            Content::Text(text) => Part::Text(Bytes::copy_from_slice(text)),
            Content::Attached(path) | Content::ValueOf(path) => {
                Part::File(FilePart::named(OsStr::from_bytes(path))?)
            }
        });
        parts.push(Part::Text(Bytes::from_static(b"\r\n")));
    }
    parts.push(Part::Text(format!("--{boundary}--\r\n").into()));
    Ok(RequestBody { parts, content_type: Some(format!("multipart/form-data; boundary={boundary}")) })
}

fn wrong(field: &OsStr, why: &str) -> Failure {
    Failure::usage(format!("invalid field '{}'", escaped(field.as_bytes())), why)
}
