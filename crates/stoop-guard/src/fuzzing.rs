//! For the fuzz targets of this repository. Not part of the public API.

use crate::json::strict;
use crate::request::target::Target;
use crate::rules::Rules;
use crate::rules::client::Client;
use crate::rules::learn::{Learner, Seen};

/// Checks that a target is refused, or has one canonical text that parses to the same target and
/// has nothing left to decode in its path. Checks that a body is refused, or is read as written.
pub fn request(target: &str, body: &[u8]) {
    if let Ok(parsed) = Target::parse(target) {
        let text = parsed.to_text();
        assert_eq!(Target::parse(&text).as_ref(), Ok(&parsed), "{target:?}");
        let path = text.split('?').next().unwrap_or_default();
        assert!(!path.contains("//") && !path.contains("%2F") && !path.contains("%25"), "{text:?}");
        assert!(text.parse::<http::Uri>().is_ok(), "{text:?}");
        learned_rules_allow(parsed, strict::parse(body).ok());
    }
    if let Ok(value) = strict::parse(body) {
        assert_eq!(strict::parse(value.to_string().as_bytes()), Ok(value));
    }
}

/// Checks that rules learned from a request can be read, and allow it up to its body.
fn learned_rules_allow(target: Target, json: Option<serde_json::Value>) {
    let seen = Seen {
        method: "POST".into(),
        is_call: false,
        content_type: Some("application/json".into()),
        json,
        upgrade: None,
        headers: Vec::new(),
        target,
    };
    let mut learner = Learner::new();
    learner.add(&[], &seen);
    let text = learner.to_toml();
    let rules = Rules::parse(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let found = rules.candidates(&Client::default(), &http::Method::POST, &seen.target, None);
    let found = found.unwrap_or_else(|no| panic!("{}: {text}", no.why));
    if let (Some(json), crate::rules::rule::Body::Json(fields)) = (&seen.json, &found[0].rule.body) {
        assert_eq!(fields.check(json), Ok(()), "{text}");
    }
}

/// Checks that a file of rules is read or refused with a message.
pub fn rules(text: &str) {
    if let Err(error) = Rules::parse(text) {
        assert!(!error.to_string().is_empty());
    }
}
