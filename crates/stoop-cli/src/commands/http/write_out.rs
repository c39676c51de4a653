//! `--write-out`: text after the response, with curl's variables. Pure, but for a format in a file.

use std::collections::BTreeMap;

use http::header::{HeaderMap, HeaderName};

/// What is known of a transfer, by the names of curl's variables.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) values: BTreeMap<&'static str, String>,
    pub(super) headers: HeaderMap,
}

/// The output of a format.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) out: String,
    pub(super) err: String,
}

/// Formats the facts. A variable that is not known is reported on standard error, as in curl.
pub(super) fn format(format: &str, facts: &Facts) -> Written {
    let mut written = Written::default();
    let (mut to_err, mut rest) = (false, format);
    while let Some(first) = rest.chars().next() {
        let (text, used, unknown) = token(rest, first, facts, &mut to_err);
        if let Some(name) = unknown {
            written.err += &format!("stoop: unknown --write-out variable: '{name}'\n");
        }
        let stream = if to_err { &mut written.err } else { &mut written.out };
        *stream += &text;
        rest = &rest[used..];
    }
    written
}

/// Returns the text of the first token, its length in the format, and an unknown variable.
fn token(rest: &str, first: char, facts: &Facts, to_err: &mut bool) -> (String, usize, Option<String>) {
    for (escape, text) in [("\\n", "\n"), ("\\r", "\r"), ("\\t", "\t"), ("%%", "%")] {
        if rest.starts_with(escape) {
            return (text.into(), 2, None);
        }
    }
    let enclosed = |start: &str| {
        let inner = rest.strip_prefix(start)?;
        let end = inner.find('}')?;
        Some((&inner[..end], start.len() + end + 1))
    };
    if let Some((name, used)) = enclosed("%{") {
        match name {
            "stdout" | "stderr" => *to_err = name == "stderr",
            "json" => return (json(&facts.values), used, None),
            "header_json" => return (header_json(&facts.headers), used, None),
            _ => match facts.values.get(name) {
                Some(value) => return (value.clone(), used, None),
                None => return (String::new(), used, Some(name.to_owned())),
            },
        }
        return (String::new(), used, None);
    }
    if let Some((name, used)) = enclosed("%header{") {
        let value =
            facts.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        return (value.unwrap_or_default(), used, None);
    }
    (first.into(), first.len_utf8(), None)
}

/// The variables whose values are text even if they look like numbers.
const TEXTS: [&str; 6] =
    ["content_type", "errormsg", "filename_effective", "http_version", "method", "referer"];

/// Returns all variables as one JSON object. What has no value is null.
fn json(values: &BTreeMap<&'static str, String>) -> String {
    let value = |name: &str, text: &str| {
        let is_number = !TEXTS.contains(&name);
        match (text.parse::<u64>(), text.parse::<f64>()) {
            (Ok(number), _) if is_number => number.into(),
            (_, Ok(number)) if is_number => number.into(),
            _ if text.is_empty() => serde_json::Value::Null,
            _ => text.into(),
        }
    };
    let members = values.iter().map(|(name, text)| ((*name).to_owned(), value(name, text)));
    serde_json::Value::Object(members.collect()).to_string()
}

/// Returns the headers as JSON: each name with its values, in lines as curl has them.
fn header_json(headers: &HeaderMap) -> String {
    let quoted = |text: &[u8]| serde_json::Value::from(String::from_utf8_lossy(text)).to_string();
    let line = |name: &HeaderName| {
        let values = headers.get_all(name).iter().map(|value| quoted(value.as_bytes()));
        format!("{}:[{}]", quoted(name.as_str().as_bytes()), values.collect::<Vec<_>>().join(","))
    };
    format!("{{{}\n}}", headers.keys().map(line).collect::<Vec<_>>().join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_escapes_are_those_of_curl() {
        let mut facts =
            Facts { values: BTreeMap::from([("http_code", "200".to_owned())]), ..Facts::default() };
        facts.headers.insert("x-a", "b".parse().unwrap());
        let of = |text: &str| format(text, &facts);
        assert_eq!(of(r"%{http_code}\n").out, "200\n");
        assert_eq!(of(r"a%%b\tü%header{X-A}%{stdout}.").out, "a%b\tüb.");
        assert_eq!(of("x%{stderr}y"), Written { out: "x".into(), err: "y".into() });
        assert_eq!(
            of("%{frob}."),
            Written { out: ".".into(), err: "stoop: unknown --write-out variable: 'frob'\n".into() }
        );
        assert_eq!(of("%{open").out, "%{open");
        facts.headers.append("x-a", "\"c\"".parse().unwrap());
        facts.headers.append("x-b", "d".parse().unwrap());
        let json = format("%{header_json}", &facts).out;
        assert_eq!(json, "{\"x-a\":[\"b\",\"\\\"c\\\"\"],\n\"x-b\":[\"d\"]\n}");
    }

    #[test]
    fn all_variables_are_one_object() {
        let values = [
            ("http_code", "404"),
            ("http_version", "1.1"),
            ("errormsg", ""),
            ("time_total", "0.25"),
            ("url", "a\"b"),
        ];
        let facts =
            Facts { values: values.map(|(name, text)| (name, text.to_owned())).into(), ..Facts::default() };
        assert_eq!(
            format("%{json}", &facts).out,
            r#"{"errormsg":null,"http_code":404,"http_version":"1.1","time_total":0.25,"url":"a\"b"}"#
        );
    }

    proptest::proptest! {
        #[test]
        fn any_format_is_written(text in ".*") {
            format(&text, &Facts::default());
        }
    }
}
