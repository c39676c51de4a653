//! From a request as it came to what is forwarded.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use hyper::body::{Body as _, Incoming};
use serde_json::Value;

use super::body::{self, GuardBody, NotCollected};
use super::protocol::Protocol;
use super::{Guard, unclear};
use crate::decision::Verdict;
use crate::json::strict;
use crate::request::headers::{FRAMING, Framing, forwarded, framing};
use crate::request::target::Target;
use crate::rules::client::Client;
use crate::rules::learn::Seen;
use crate::rules::rule::{Body, Rule};
use crate::rules::{Candidate, Label};

/// A request in the form that is forwarded.
pub(super) struct Outgoing {
    pub(super) method: Method,
    pub(super) target: Target,
    pub(super) headers: HeaderMap,
    pub(super) body: GuardBody,
    pub(super) upgrade: Option<String>,
    /// The rule that allowed it, unless it is a dry run.
    pub(super) rule: Option<Rule>,
    pub(super) visible: Option<Label>,
    pub(super) own: Option<Label>,
}

/// What was decided.
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    pub(super) outgoing: Option<Outgoing>,
    pub(super) seen: Option<Seen>,
    /// The status of a refusal.
    pub(super) status: StatusCode,
}

impl Judged {
    fn no(verdict: Verdict, status: StatusCode) -> Judged {
        Judged { verdict, outgoing: None, seen: None, status }
    }

    /// The client is not one that this process has connected for.
    fn stranger() -> Judged {
        let why = "it did not come from a client with a certificate".into();
        Judged::no(Verdict::Refused { rule: None, why }, StatusCode::FORBIDDEN)
    }

    fn unclear(why: impl std::fmt::Display) -> Judged {
        Judged::no(unclear(why), StatusCode::BAD_REQUEST)
    }
}

/// A body on its way: not read yet, or collected, and then as JSON if it is.
pub(super) enum Arriving {
    Unread(Incoming),
    Collected(Bytes, Option<Value>),
}

impl Arriving {
    fn json(&self) -> Option<&Value> {
        match self {
            Arriving::Collected(_, value) => value.as_ref(),
            Arriving::Unread(_) => None,
        }
    }
}

/// What is known of a request before its body is read.
struct Head<'p> {
    parts: &'p Parts,
    target: Target,
    framing: Framing,
    has_body: bool,
}

impl Guard {
    pub(super) async fn judge(&self, client: Option<&Client>, parts: &Parts, body: Incoming) -> Judged {
        let Some(client) = client else { return Judged::stranger() };
        let (method, uri) = (&parts.method, &parts.uri);
        let framing = match framing(method, uri, &parts.headers, parts.version) {
            Ok(framing) => framing,
            Err(why) => return Judged::unclear(why),
        };
        let target = match Target::parse(uri.path_and_query().map_or("", |text| text.as_str())) {
            Ok(target) => target,
            Err(why) => return Judged::unclear(why),
        };
        let head = Head { parts, target, framing, has_body: !body.is_end_stream() };
        let found = self.rules.candidates(client, method, &head.target, head.framing.upgrade.as_deref());
        let (mut candidates, mut refusal) = match found {
            Ok(candidates) => (candidates, Verdict::Refused { rule: None, why: String::new() }),
            Err(no) => (Vec::new(), Verdict::Refused { rule: no.rule, why: no.why }),
        };
        let content_type = head.framing.content_type.as_deref();
        if let Some(first) = candidates.first() {
            let rule = Some(first.rule.name.clone());
            refusal = Verdict::Refused { rule, why: "a body of this type is not allowed".into() };
        }
        candidates.retain(|candidate| candidate.rule.takes(head.has_body, content_type));
        let arriving = match self.arrive(&head, &candidates, body).await {
            Ok(arriving) => arriving,
            Err(judged) => return judged,
        };
        self.decide(&head, candidates, arriving, refusal).await
    }

    /// Collects the body if a rule, or a dry run, judges it.
    async fn arrive(
        &self,
        head: &Head<'_>,
        candidates: &[Candidate<'_>],
        body: Incoming,
    ) -> Result<Arriving, Judged> {
        let is_judged =
            |candidate: &Candidate<'_>| matches!(candidate.rule.body, Body::Json(_) | Body::Message(_));
        let is_json = head.framing.content_type.as_deref() == Some("application/json");
        let wants = match candidates.is_empty() {
            true => self.is_dry_run && is_json,
            false => candidates.iter().all(is_judged) || (self.is_dry_run && is_json),
        };
        if !head.has_body || !wants {
            return Ok(Arriving::Unread(body));
        }
        let bytes = body::collect(body, self.max_body_bytes).await.map_err(not_collected)?;
        if !is_json {
            return Ok(Arriving::Collected(bytes, None));
        }
        match strict::parse(&bytes) {
            Ok(value) => Ok(Arriving::Collected(bytes, Some(value))),
            Err(why) => Err(Judged::unclear(format!("the body is not unambiguous JSON: {why}"))),
        }
    }

    async fn decide(
        &self,
        head: &Head<'_>,
        candidates: Vec<Candidate<'_>>,
        arriving: Arriving,
        mut refusal: Verdict,
    ) -> Judged {
        let seen = self.is_dry_run.then(|| self.seen(head, arriving.json()));
        let mut arriving = Some(arriving);
        for candidate in candidates {
            match self.body_of(head, &candidate, &mut arriving) {
                Ok(body) => return Judged { seen, ..self.allowed(head, candidate, body).await },
                Err(why) => refusal = Verdict::Refused { rule: Some(candidate.rule.name.clone()), why },
            }
        }
        let outgoing = match arriving.take() {
            Some(arriving) if self.is_dry_run => Some(unjudged(head, arriving)),
            _ => None,
        };
        Judged { verdict: refusal, outgoing, seen, status: StatusCode::FORBIDDEN }
    }

    /// Returns the body that is forwarded for a rule, or why it is not allowed.
    fn body_of(
        &self,
        head: &Head<'_>,
        candidate: &Candidate<'_>,
        arriving: &mut Option<Arriving>,
    ) -> Result<GuardBody, String> {
        if !head.has_body {
            return Ok(body::empty());
        }
        let own = candidate.own.filter(|_| creates_container(candidate, &head.target));
        let worded =
            |(path, why): (String, &str)| if path.is_empty() { why.into() } else { format!("{why}: {path}") };
        match (&candidate.rule.body, arriving.as_ref()) {
            (Body::Json(fields), Some(Arriving::Collected(_, Some(value)))) => {
                fields.check(value).map_err(worded)?;
                Ok(body::full(stamped(value.clone(), own).to_string()))
            }
            (Body::Message(fields), Some(Arriving::Collected(bytes, _))) => {
                let judged = self.message(&head.target, bytes)?;
                fields.check(&judged.0).map_err(worded)?;
                Ok(body::full(judged.1))
            }
            (Body::Json(_) | Body::Message(_) | Body::None, _) => Err("this body is not allowed".into()),
            _ if own.is_some() => Err("a container that gets a label is created from JSON".into()),
            (Body::Stream(_) | Body::Messages, _) => match arriving.take() {
                Some(Arriving::Unread(body)) => Ok(body::stream(body)),
                Some(Arriving::Collected(bytes, _)) => Ok(body::full(bytes)),
                None => Err("this body is not allowed".into()),
            },
        }
    }

    /// Returns a gRPC message as JSON, and written anew.
    #[cfg(feature = "grpc")]
    fn message(&self, target: &Target, bytes: &Bytes) -> Result<(Value, Bytes), String> {
        let schema = self.schema.as_ref().ok_or("there is no schema")?;
        super::grpc::message(schema, target, bytes)
    }

    #[cfg(not(feature = "grpc"))]
    fn message(&self, _: &Target, _: &Bytes) -> Result<(Value, Bytes), String> {
        Err("this build does not judge gRPC messages".into())
    }

    async fn allowed(&self, head: &Head<'_>, candidate: Candidate<'_>, body: GuardBody) -> Judged {
        let rule = candidate.rule;
        let mut headers = match forwarded(&head.parts.headers, &self.named(rule)) {
            Ok(headers) => headers,
            Err(why) => return Judged::unclear(why),
        };
        if head.has_body
            && let Some(kind) =
                head.framing.content_type.as_ref().and_then(|kind| HeaderValue::from_str(kind).ok())
        {
            headers.insert(http::header::CONTENT_TYPE, kind);
        }
        let mut target = head.target.clone();
        if let (Some(label), Some(at)) = (candidate.visible, rule.template.container()) {
            let at = at + candidate.skipped;
            let own = candidate.own.filter(|own| *own == label);
            match self.visible_id(&target.segments[at], label, own.is_some()).await {
                Some(id) => target.segments[at] = id,
                None => {
                    let verdict = Verdict::Hidden { rule: rule.name.clone() };
                    return Judged::no(verdict, StatusCode::NOT_FOUND);
                }
            }
        }
        let outgoing = Outgoing {
            method: rule.method.clone(),
            target,
            headers,
            body,
            upgrade: head.framing.upgrade.clone(),
            rule: Some(rule.clone()),
            visible: candidate.visible.cloned(),
            own: candidate.own.cloned(),
        };
        let verdict = Verdict::Allowed { rule: rule.name.clone() };
        Judged { verdict, outgoing: Some(outgoing), seen: None, status: StatusCode::OK }
    }

    /// Returns the headers that are forwarded for a rule besides those of every rule.
    fn named(&self, rule: &Rule) -> Vec<HeaderName> {
        let mut names = rule.headers.clone();
        if self.protocol == Protocol::Grpc {
            // A judged message is never compressed.
            let streams = ["grpc-timeout", "grpc-accept-encoding", "grpc-encoding", "containerd-namespace"];
            let count = if matches!(rule.body, Body::Message(_)) { 2 } else { 4 };
            names.extend(streams[..count].iter().map(|name| HeaderName::from_static(name)));
        }
        names
    }

    fn seen(&self, head: &Head<'_>, json: Option<&Value>) -> Seen {
        let worth = ["x-registry-auth", "x-registry-config"];
        let headers = worth.iter().filter(|name| head.parts.headers.contains_key(**name));
        Seen {
            method: head.parts.method.to_string(),
            target: head.target.clone(),
            is_call: self.protocol == Protocol::Grpc,
            content_type: head.framing.content_type.clone().filter(|_| head.has_body),
            json: json.cloned(),
            upgrade: head.framing.upgrade.clone(),
            headers: headers.map(|name| (*name).to_owned()).collect(),
        }
    }
}

/// Returns what a dry run forwards although no rule allows it: everything but the framing, which is
/// written anew.
fn unjudged(head: &Head<'_>, arriving: Arriving) -> Outgoing {
    let mut headers = head.parts.headers.clone();
    FRAMING.iter().for_each(|name| _ = headers.remove(*name));
    if let Some(kind) = head.parts.headers.get(http::header::CONTENT_TYPE) {
        headers.insert(http::header::CONTENT_TYPE, kind.clone());
    }
    let body = match arriving {
        _ if !head.has_body => body::empty(),
        Arriving::Unread(body) => body::stream(body),
        Arriving::Collected(bytes, _) => body::full(bytes),
    };
    Outgoing {
        method: head.parts.method.clone(),
        target: head.target.clone(),
        headers,
        body,
        upgrade: head.framing.upgrade.clone(),
        rule: None,
        visible: None,
        own: None,
    }
}

/// Returns whether a request creates a container, whatever the rule says that allows it.
fn creates_container(candidate: &Candidate<'_>, target: &Target) -> bool {
    candidate.rule.method == Method::POST && target.segments[candidate.skipped..] == ["containers", "create"]
}

/// Adds a label to the body of a request that creates something.
fn stamped(mut value: Value, own: Option<&Label>) -> Value {
    if let (Some(label), Some(map)) = (own, value.as_object_mut()) {
        let labels = map.entry("Labels").or_insert(Value::Null);
        if !labels.is_object() {
            *labels = Value::Object(serde_json::Map::new());
        }
        labels[&label.key] = Value::from(label.value.clone());
    }
    value
}

fn not_collected(why: NotCollected) -> Judged {
    let (why, status) = match why {
        NotCollected::TooLarge => ("the body is too large to be judged", StatusCode::PAYLOAD_TOO_LARGE),
        NotCollected::TooSlow => ("the body did not arrive in time", StatusCode::REQUEST_TIMEOUT),
        NotCollected::Broken => ("the body is not complete", StatusCode::BAD_REQUEST),
    };
    Judged::no(unclear(why), status)
}
