//! The file of rules: TOML to rules. Pure.

use std::collections::BTreeMap;
use std::ops::Range;

use http::HeaderName;
use serde::Deserialize;
use toml::{Spanned, Table, Value};

use super::client::Clients;
use super::error::RulesError;
use super::group::{Group, Label};
use super::rule::{Body, Filter, QueryValue, Rule};
use super::sets;
use crate::json::fields::{Condition, Fields};
use crate::request::headers::FRAMING;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawFile {
    #[serde(default)]
    version_prefix: bool,
    #[serde(default)]
    include: Vec<Spanned<String>>,
    #[serde(default)]
    requests: Vec<Spanned<String>>,
    #[serde(default)]
    allow: Vec<RawRule>,
    visible_label: Option<Spanned<String>>,
    own_label: Option<Spanned<String>>,
    #[serde(default)]
    client: Vec<RawClient>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawClient {
    #[serde(default)]
    uid: Vec<u32>,
    #[serde(default)]
    gid: Vec<u32>,
    #[serde(default)]
    container: Vec<Spanned<String>>,
    #[serde(default)]
    unit: Vec<String>,
    #[serde(default)]
    san: Vec<Spanned<String>>,
    #[serde(default)]
    include: Vec<Spanned<String>>,
    #[serde(default)]
    requests: Vec<Spanned<String>>,
    #[serde(default)]
    allow: Vec<RawRule>,
    visible_label: Option<Spanned<String>>,
    own_label: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawRule {
    request: Option<Spanned<String>>,
    call: Option<Spanned<String>>,
    query: Option<Spanned<Table>>,
    #[serde(default)]
    headers: Vec<Spanned<String>>,
    json: Option<Spanned<Value>>,
    message: Option<Spanned<Table>>,
    stream: Option<Vec<String>>,
    #[serde(default)]
    upgrade: Vec<String>,
    #[serde(default)]
    redact: Vec<String>,
    filter: Option<Spanned<String>>,
    #[serde(default)]
    unfiltered: bool,
}

/// What a file says: its groups of rules, and whether paths may begin with a version.
pub(super) fn read(text: &str) -> Result<(Vec<Group>, bool), RulesError> {
    let file: RawFile = toml::from_str(text).map_err(|error| RulesError {
        line: error.span().map(|span| line(text, &span)),
        what: error.message().to_owned(),
    })?;
    let reader = Reader { text };
    let everyone = RawClient {
        uid: Vec::new(),
        gid: Vec::new(),
        container: Vec::new(),
        unit: Vec::new(),
        san: Vec::new(),
        include: file.include,
        requests: file.requests,
        allow: file.allow,
        visible_label: file.visible_label,
        own_label: file.own_label,
    };
    let mut version_prefix = file.version_prefix;
    let mut groups = Vec::new();
    for client in std::iter::once(everyone).chain(file.client) {
        let (more, prefix) = reader.group(client)?;
        groups.extend(more);
        version_prefix |= prefix;
    }
    Ok((groups, version_prefix))
}

fn line(text: &str, span: &Range<usize>) -> usize {
    text.as_bytes()[..span.start.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

struct Reader<'t> {
    text: &'t str,
}

impl Reader<'_> {
    fn wrong<T>(&self, at: &Spanned<T>, what: impl Into<String>) -> RulesError {
        RulesError { line: Some(line(self.text, &at.span())), what: what.into() }
    }

    /// Reads a group, and those of the sets that it includes, for the same clients.
    fn group(&self, raw: RawClient) -> Result<(Vec<Group>, bool), RulesError> {
        for id in &raw.container {
            if id.get_ref().len() < 12 || !id.get_ref().bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(self.wrong(id, "a container is given by 12 or more digits of its id"));
            }
        }
        if let Some(empty) = raw.san.iter().find(|name| name.get_ref().is_empty()) {
            return Err(self.wrong(empty, "a certificate has no empty name"));
        }
        let containers = raw.container.into_iter().map(Spanned::into_inner).collect();
        let names = raw.san.into_iter().map(Spanned::into_inner).collect();
        let clients = Clients { uids: raw.uid, gids: raw.gid, containers, units: raw.unit, names };
        let visible = raw.visible_label.as_ref().map(|label| self.label(label)).transpose()?;
        let own = raw.own_label.as_ref().map(|label| self.label(label)).transpose()?;
        let simple =
            raw.requests.iter().map(|text| Rule::parse(text.get_ref()).map_err(|e| self.wrong(text, e)));
        let full = raw.allow.into_iter().map(|rule| self.rule(rule));
        let rules = simple.chain(full).collect::<Result<Vec<_>, _>>()?;
        let mut groups = vec![Group { clients: clients.clone(), rules, visible, own }];
        let mut version_prefix = false;
        for name in &raw.include {
            let (included, prefix) = self.included(name)?;
            version_prefix |= prefix;
            let first = &groups[0];
            let narrowed = included.into_iter().map(|group| group.narrowed(first)).collect::<Vec<_>>();
            groups.extend(narrowed);
        }
        Ok((groups, version_prefix))
    }

    fn included(&self, name: &Spanned<String>) -> Result<(Vec<Group>, bool), RulesError> {
        let text = sets::text(name.get_ref()).ok_or_else(|| {
            let known = sets::NAMES.join(", ");
            self.wrong(name, format!("'{}' is not a set of rules: {known}", name.get_ref()))
        })?;
        read(text)
    }

    fn label(&self, text: &Spanned<String>) -> Result<Label, RulesError> {
        match text.get_ref().split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(Label { key: key.into(), value: value.into() }),
            _ => Err(self.wrong(text, "a label is given as 'key=value'")),
        }
    }

    fn rule(&self, raw: RawRule) -> Result<Rule, RulesError> {
        let mut rule = match (&raw.request, &raw.call) {
            (Some(request), None) => Rule::parse(request.get_ref()).map_err(|e| self.wrong(request, e))?,
            (None, Some(call)) => Rule::parse_call(call.get_ref()).map_err(|e| self.wrong(call, e))?,
            (Some(one), Some(_)) => return Err(self.wrong(one, "a rule has a request or a call, not both")),
            (None, None) => {
                let what = "a rule has neither a request ('GET /path') nor a call ('package.Service/Method')";
                return Err(RulesError { line: None, what: what.into() });
            }
        };
        if let Some(query) = &raw.query {
            rule.query.extend(self.query(query)?);
        }
        for name in &raw.headers {
            rule.headers.push(self.header(name)?);
        }
        if let Some(body) = self.body(&raw, raw.call.is_some())? {
            rule.body = body;
        }
        rule.upgrade = raw.upgrade.iter().map(|protocol| protocol.to_ascii_lowercase()).collect();
        rule.redact = raw.redact;
        rule.filter = raw.filter.as_ref().map(|name| self.filter(name)).transpose()?;
        rule.unfiltered = raw.unfiltered;
        Ok(rule)
    }

    fn query(&self, table: &Spanned<Table>) -> Result<BTreeMap<String, QueryValue>, RulesError> {
        let value = |value: &Value| match value.as_str() {
            Some("many") => Ok(QueryValue::Many),
            _ => condition(value).map(QueryValue::One),
        };
        let rows = table.get_ref().iter();
        rows.map(|(key, given)| {
            Ok((key.clone(), value(given).map_err(|e| self.wrong(table, format!("{key}: {e}")))?))
        })
        .collect()
    }

    fn header(&self, name: &Spanned<String>) -> Result<HeaderName, RulesError> {
        let text = name.get_ref().to_ascii_lowercase();
        if FRAMING.contains(&text.as_str()) {
            return Err(self.wrong(name, format!("the header {text} is never forwarded as it came")));
        }
        HeaderName::try_from(&text).map_err(|_| self.wrong(name, format!("'{text}' is not a header's name")))
    }

    fn body(&self, raw: &RawRule, is_call: bool) -> Result<Option<Body>, RulesError> {
        match (&raw.json, &raw.message, &raw.stream) {
            (None, None, None) => Ok(None),
            (Some(json), None, None) if !is_call => self.json(json).map(|fields| Some(Body::Json(fields))),
            (None, Some(message), None) if is_call => {
                self.fields(message, message.get_ref()).map(|fields| Some(Body::Message(fields)))
            }
            (None, None, Some(types)) if !is_call => {
                Ok(Some(Body::Stream(types.iter().map(|kind| kind.to_ascii_lowercase()).collect())))
            }
            _ => {
                let what = "a request has one of `json` and `stream`, a call may have `message`";
                let at = raw.request.as_ref().or(raw.call.as_ref());
                Err(RulesError { line: at.map(|at| line(self.text, &at.span())), what: what.into() })
            }
        }
    }

    fn json(&self, value: &Spanned<Value>) -> Result<Fields, RulesError> {
        match value.get_ref() {
            Value::String(text) if text == "any" => Ok(Fields::Leaf(Condition::Any)),
            Value::Table(table) => self.fields(value, table),
            _ => Err(self.wrong(value, "`json` is \"any\", or a table of fields")),
        }
    }

    fn fields<T>(&self, at: &Spanned<T>, table: &Table) -> Result<Fields, RulesError> {
        let mut fields = Fields::none();
        for (path, value) in table {
            let condition = condition(value).map_err(|e| self.wrong(at, format!("{path}: {e}")))?;
            fields.insert(path, condition).map_err(|e| self.wrong(at, e))?;
        }
        Ok(fields)
    }

    fn filter(&self, name: &Spanned<String>) -> Result<Filter, RulesError> {
        match name.get_ref().as_str() {
            "containers" => Ok(Filter::Containers),
            "events" => Ok(Filter::Events),
            "networks" => Ok(Filter::Networks),
            _ => Err(self.wrong(name, "a filter is one of containers, events, networks")),
        }
    }
}

fn condition(value: &Value) -> Result<Condition, String> {
    match value {
        Value::String(text) => match text.as_str() {
            "any" => Ok(Condition::Any),
            "empty" => Ok(Condition::Empty),
            "null" => Ok(Condition::Null),
            "name" => Ok(Condition::Name),
            _ => Err(format!("'{text}' is not a condition; one value is written as [\"{text}\"]")),
        },
        Value::Array(values) => values.iter().map(literal).collect::<Result<_, _>>().map(Condition::OneOf),
        Value::Table(table) => parameters(table),
        _ => {
            let words = "\"any\", \"empty\", \"null\", \"name\"";
            Err(format!("a condition is {words}, a list of values, or a table"))
        }
    }
}

fn literal(value: &Value) -> Result<serde_json::Value, String> {
    match value {
        Value::String(text) => Ok(text.as_str().into()),
        Value::Integer(number) => Ok((*number).into()),
        Value::Float(number) => Ok((*number).into()),
        Value::Boolean(value) => Ok((*value).into()),
        _ => Err("a list of values has texts, numbers and truth values only".into()),
    }
}

fn parameters(table: &Table) -> Result<Condition, String> {
    let texts = |value: &Value| -> Result<Vec<String>, String> {
        let wrong = || "a list of texts is needed".to_owned();
        let values = value.as_array().ok_or_else(wrong)?;
        values.iter().map(|value| value.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
    };
    let number = |value: &Value| {
        let integer = value.as_integer().map(|number| number as f64);
        integer.or(value.as_float()).ok_or_else(|| "a number is needed".to_owned())
    };
    let rows: Vec<(&str, &Value)> = table.iter().map(|(key, value)| (key.as_str(), value)).collect();
    match rows[..] {
        [("starts-with", value)] => texts(value).map(Condition::StartsWith),
        [("bind-source", value)] => texts(value).map(Condition::BindSource),
        [("max", max)] => Ok(Condition::Range { min: 0.0, max: number(max)? }),
        [("max", max), ("min", min)] | [("min", min), ("max", max)] => {
            Ok(Condition::Range { min: number(min)?, max: number(max)? })
        }
        _ => Err("a condition is one of { starts-with }, { bind-source }, { max }, { min, max }".into()),
    }
}
