//! The body that the flags describe: `--data` and its variants, `--form`, `--upload-file`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bytes::Bytes;

use super::body::{FilePart, Part, RequestBody};
use super::data_args::DataKind;
use super::form;
use super::percent::percent_encoded;
use crate::args::Http;
use crate::failure::Failure;

const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";
const FORM: &str = "application/x-www-form-urlencoded";

/// Opens the body that the flags describe.
pub(super) fn body(flags: &Http) -> Result<RequestBody, Failure> {
    let curl = &flags.curl;
    if let Some(path) = &curl.upload_file {
        return Ok(RequestBody::of(vec![Part::File(FilePart::named(path.as_os_str())?)]));
    }
    if curl.sends_form() {
        return form::body(&curl.form, &curl.form_string);
    }
    if curl.get {
        return Ok(RequestBody::default());
    }
    let parts = flags.data.0.iter().map(part).collect::<Result<Vec<_>, _>>()?;
    let content_type = content_type(&flags.data.0, &parts);
    Ok(RequestBody { parts: joined(parts), content_type: content_type.map(str::to_owned) })
}

/// Returns the data as a query, for `--get`.
pub(super) fn query(flags: &Http) -> Result<Option<String>, Failure> {
    if !flags.curl.get || flags.data.0.is_empty() {
        return Ok(None);
    }
    let mut texts = Vec::new();
    for given in &flags.data.0 {
        let bytes = match part(given)? {
            Part::Text(text) => text.to_vec(),
            Part::File(file) => file.read().map_err(|error| Failure::io("read the data", &error))?,
        };
        texts.push(String::from_utf8(bytes).map_err(|_| {
            Failure::usage(
                "the data cannot be sent in a query",
                "it is not text: percent-encode it with --data-urlencode",
            )
        })?);
    }
    Ok(Some(texts.join("&")))
}

fn part((kind, value): &(DataKind, OsString)) -> Result<Part, Failure> {
    let bytes = value.as_bytes();
    match (kind, bytes.strip_prefix(b"@")) {
        (DataKind::Data, Some(path)) => Ok(Part::File(FilePart::named(OsStr::from_bytes(path))?)),
        (DataKind::UrlEncode, _) => Ok(Part::Text(url_encoded(bytes)?.into())),
        _ => Ok(Part::Text(Bytes::copy_from_slice(bytes))),
    }
}

/// Separates the parts as fields of a form are.
fn joined(parts: Vec<Part>) -> Vec<Part> {
    let mut all = Vec::with_capacity(parts.len() * 2);
    for part in parts {
        if !all.is_empty() {
            all.push(Part::Text(Bytes::from_static(b"&")));
        }
        all.push(part);
    }
    if !all.iter().all(|part| matches!(part, Part::Text(_))) {
        return all;
    }
    let texts =
        all.iter().filter_map(|part| if let Part::Text(text) = part { Some(&text[..]) } else { None });
    let text = texts.collect::<Vec<_>>().concat();
    if all.is_empty() { all } else { vec![Part::Text(text.into())] }
}

/// Returns the content type that data appears to have.
fn content_type(given: &[(DataKind, OsString)], parts: &[Part]) -> Option<&'static str> {
    Some(match (given, parts) {
        ([], _) => return None,
        ([(DataKind::UrlEncode, _)], _) => FORM,
        (_, [Part::Text(text)]) if serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok() => JSON,
        ([(_, name)], [Part::File(_)]) if Path::new(name).extension().is_some_and(|end| end == "json") => {
            JSON
        }
        (_, [Part::File(_)]) => BYTES,
        _ => FORM,
    })
}

/// Encodes what `--data-urlencode` was given: `TEXT`, `=TEXT`, `NAME=TEXT`, `@FILE` or `NAME@FILE`.
fn url_encoded(given: &[u8]) -> Result<Vec<u8>, Failure> {
    let Some(at) = given.iter().position(|byte| matches!(byte, b'=' | b'@')) else {
        return Ok(percent_encoded(given));
    };
    let (name, value) = (&given[..at], &given[at + 1..]);
    let read;
    let value = if given[at] == b'@' {
        let opened = FilePart::named(OsStr::from_bytes(value))?;
        read = opened.read().map_err(|error| Failure::io("read the data", &error))?;
        &read
    } else {
        value
    };
    let separator: &[u8] = if name.is_empty() { b"" } else { b"=" };
    Ok([name, separator, &percent_encoded(value)].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_encoding_has_the_forms_of_curl() {
        let dir = stoop_testkit::tempdir();
        let path = dir.path().join("f").to_str().unwrap().to_owned();
        std::fs::write(&path, "a b\n").unwrap();
        for (given, expected) in [
            ("a b", "a+b"),
            ("=a=b", "a%3Db"),
            ("name=a&b", "name=a%26b"),
            ("n m=ü~", "n m=%C3%BC~"),
            (&format!("@{path}"), "a+b%0A"),
            (&format!("x@{path}"), "x=a+b%0A"),
        ] {
            let encoded = url_encoded(given.as_bytes()).map_err(|_| given).unwrap();
            assert_eq!(String::from_utf8(encoded).unwrap(), expected, "{given}");
        }
    }

    #[test]
    fn the_content_type_follows_from_the_data() {
        let of = |given: &[(DataKind, &str)]| {
            let given: Vec<_> = given.iter().map(|(kind, text)| (*kind, OsString::from(text))).collect();
            let parts: Vec<_> = given.iter().map(|one| part(one).map_err(|_| ()).unwrap()).collect();
            content_type(&given, &parts)
        };
        use DataKind::{Data, Raw, UrlEncode};
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[(Data, "{}")]), Some(JSON));
        assert_eq!(of(&[(Raw, "@x")]), Some(FORM));
        assert_eq!(of(&[(UrlEncode, "1")]), Some(FORM));
        assert_eq!(of(&[(Data, "1"), (Data, "2")]), Some(FORM));
        assert_eq!(of(&[(Data, "@/dev/null")]), Some(BYTES));
    }
}
