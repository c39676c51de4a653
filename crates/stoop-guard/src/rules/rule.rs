//! One rule: a request that is allowed. Pure.

use std::collections::BTreeMap;

use http::{HeaderName, Method};
use serde_json::Value;

use super::template::Template;
use crate::json::fields::{Condition, Fields};
use crate::request::target::Target;

/// A request that is allowed, and what is done with its response.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rule {
    /// As it is reported: `GET /containers/{container}/json`.
    pub(crate) name: String,
    pub(crate) method: Method,
    pub(crate) template: Template,
    pub(crate) query: BTreeMap<String, QueryValue>,
    pub(crate) headers: Vec<HeaderName>,
    pub(crate) body: Body,
    /// Protocols to one of which the connection must be upgraded. Empty: it must not be.
    pub(crate) upgrade: Vec<String>,
    /// Paths of values that are redacted in the response.
    pub(crate) redact: Vec<String>,
    /// What of the response is left out if only some containers are visible.
    pub(crate) filter: Option<Filter>,
    /// Whether the response says nothing of containers.
    pub(crate) unfiltered: bool,
}

/// The values that a query key may have.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum QueryValue {
    /// One value, which the condition allows.
    One(Condition),
    /// Any number of values.
    Many,
}

/// The body that a request may have.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    None,
    /// JSON, with these fields.
    Json(Fields),
    /// Bytes of one of these media types, which are not judged.
    Stream(Vec<String>),
    /// The messages of a gRPC call, which are not judged.
    Messages,
    /// The one message of a gRPC call, with these fields in protobuf's JSON.
    Message(Fields),
}

/// A kind of response that lists containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    /// A JSON array of containers with `Labels`.
    Containers,
    /// A stream of JSON events with `Type` and `Actor.Attributes`.
    Events,
    /// Networks, whose `Containers` are left out.
    Networks,
}

impl Rule {
    /// Returns a rule for a request without parameters or a body.
    pub(crate) fn new(name: String, method: Method, template: Template) -> Rule {
        Rule {
            name,
            method,
            template,
            query: BTreeMap::new(),
            headers: Vec::new(),
            body: Body::None,
            upgrade: Vec::new(),
            redact: Vec::new(),
            filter: None,
            unfiltered: false,
        }
    }

    /// Returns whether it allows a call of gRPC, and not a request of HTTP.
    pub(crate) fn is_call(&self) -> bool {
        matches!(self.body, Body::Messages | Body::Message(_))
    }

    /// Reads a rule such as `GET /containers/json?all&limit`, whose query keys may have any value.
    pub(crate) fn parse(text: &str) -> Result<Rule, String> {
        let (method, target) = text
            .split_once(' ')
            .ok_or_else(|| format!("'{text}' is not a method and a path, such as 'GET /containers/json'"))?;
        if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(format!("'{method}' is not a method in capital letters, such as GET"));
        }
        let method: Method = method.parse().map_err(|_| format!("'{method}' is not a method"))?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut rule = Rule::new(format!("{method} {path}"), method, Template::parse(path)?);
        for key in query.split('&').filter(|key| !key.is_empty()) {
            if key.contains('=') {
                return Err(format!("'{key}' has a value: conditions on values are in a table `query`"));
            }
            rule.query.insert(key.to_owned(), QueryValue::One(Condition::Any));
        }
        Ok(rule)
    }

    /// Returns a rule for a method of gRPC, such as `runtime.v1.RuntimeService/Version`, or for all
    /// methods of a service with `*`.
    pub(crate) fn parse_call(text: &str) -> Result<Rule, String> {
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte))
        };
        let template = match text.split_once('/') {
            Some((service, "*")) if is_name(service) => Template::parse(&format!("/{service}/{{any}}"))?,
            Some((service, method)) if is_name(service) && is_name(method) => {
                Template::literal(&[service, method])
            }
            _ => {
                return Err(format!(
                    "'{text}' is not a method: 'package.Service/Method' or 'package.Service/*'"
                ));
            }
        };
        let mut rule = Rule::new(text.to_owned(), Method::POST, template);
        rule.body = Body::Messages;
        Ok(rule)
    }

    /// Returns the first query key that is not allowed.
    pub(crate) fn check_query(&self, target: &Target) -> Result<(), (String, &'static str)> {
        for (index, (key, value)) in target.query.iter().enumerate() {
            let allowed =
                self.query.get(key).ok_or_else(|| (key.clone(), "this query key is not allowed"))?;
            let QueryValue::One(condition) = allowed else { continue };
            if target.query[..index].iter().any(|(other, _)| other == key) {
                return Err((key.clone(), "this query key is given twice"));
            }
            if !condition.allows(&Value::String(value.clone())) {
                return Err((key.clone(), "this value of the query key is not allowed"));
            }
        }
        Ok(())
    }

    /// Returns whether the rule is for a body of this media type, or for none.
    pub(crate) fn takes(&self, has_body: bool, content_type: Option<&str>) -> bool {
        match &self.body {
            Body::None => !has_body,
            Body::Json(_) => !has_body || content_type == Some("application/json"),
            Body::Stream(types) => !has_body || types.iter().any(|one| Some(one.as_str()) == content_type),
            Body::Messages | Body::Message(_) => {
                matches!(content_type, Some("application/grpc" | "application/grpc+proto"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(rule: &Rule, text: &str) -> Result<(), (String, &'static str)> {
        rule.check_query(&Target::parse(text).unwrap())
    }

    #[test]
    fn query_keys_are_an_allow_list() {
        let mut rule = Rule::parse("GET /containers/json?all&limit").unwrap();
        assert_eq!(rule.name, "GET /containers/json");
        assert!(query(&rule, "/x?all=1&limit=2").is_ok());
        for text in ["/x?all=1&all=0", "/x?size=1", "/x?All=1", "/x?all=1&limit=1&all=1"] {
            assert!(query(&rule, text).is_err(), "{text}");
        }
        rule.query.insert("t".into(), QueryValue::Many);
        rule.query.insert("all".into(), QueryValue::One(Condition::OneOf(vec!["1".into()])));
        assert!(query(&rule, "/x?t=a&t=b&all=1").is_ok());
        assert_eq!(query(&rule, "/x?all=0").unwrap_err().0, "all");
    }

    #[test]
    fn a_form_is_never_taken() {
        // Go reads the parameters of a form before those of the query.
        let mut rule = Rule::parse("POST /build").unwrap();
        for body in [Body::None, Body::Json(Fields::none()), Body::Stream(vec!["application/x-tar".into()])] {
            rule.body = body;
            assert!(!rule.takes(true, Some("application/x-www-form-urlencoded")));
            assert!(!rule.takes(true, Some("multipart/form-data")));
            assert!(!rule.takes(true, None));
            assert!(rule.takes(false, None));
        }
    }

    #[test]
    fn rules_are_read() {
        for text in ["GET", "get /a", "GET a", "GET /a?b=1", "GET /{x}", " /a"] {
            assert!(Rule::parse(text).is_err(), "{text}");
        }
        for text in ["", "a", "a/", "/b", "a/b/c", "a/{any}", "*/b"] {
            assert!(Rule::parse_call(text).is_err(), "{text}");
        }
        let path = |text: &str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
        assert!(Rule::parse_call("a.B/*").unwrap().template.matches(&path("a.B/Any")));
        assert!(!Rule::parse_call("a.B/C").unwrap().template.matches(&path("a.B/Any")));
    }
}
