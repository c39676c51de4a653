//! Rules: what each client may ask for. Pure.

pub(crate) mod client;
pub(crate) mod error;
mod file;
mod group;
pub(crate) mod learn;
pub(crate) mod rule;
mod sets;
pub(crate) mod template;

use http::Method;

use crate::Protocol;
use crate::request::target::Target;
use client::Client;
use error::RulesError;
use group::Group;
pub(crate) use group::Label;
use rule::Rule;

/// What clients may ask for. Everything else is refused.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    groups: Vec<Group>,
    version_prefix: bool,
}

/// A rule that matches a request up to its body, with what its group says.
#[derive(Clone, Debug)]
pub(crate) struct Candidate<'r> {
    pub(crate) rule: &'r Rule,
    pub(crate) visible: Option<&'r Label>,
    pub(crate) own: Option<&'r Label>,
    /// How many segments of the path are a version.
    pub(crate) skipped: usize,
}

/// Why no rule matches a request up to its body: what came nearest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoRule {
    pub(crate) rule: Option<String>,
    pub(crate) why: String,
}

impl Rules {
    /// The names of the sets that are built in.
    pub const SETS: &'static [&'static str] = &sets::NAMES;

    /// Parses a file of rules.
    ///
    /// # Errors
    /// Returns an error if the text is not TOML, or not rules.
    pub fn parse(text: &str) -> Result<Rules, RulesError> {
        let (groups, version_prefix) = file::read(text)?;
        Ok(Rules { groups, version_prefix })
    }

    /// Returns the text of a built-in set, such as `docker:read-only`.
    pub fn set_text(name: &str) -> Option<&'static str> {
        sets::text(name)
    }

    /// Returns whether all rules are about another protocol, so that nothing is allowed. Not if
    /// there are none.
    pub fn are_of_another(&self, protocol: Protocol) -> bool {
        let mut rules = self.groups.iter().flat_map(|group| &group.rules).peekable();
        rules.peek().is_some() && rules.all(|rule| rule.is_call() != (protocol == Protocol::Grpc))
    }

    /// Adds a rule for all clients, such as `GET /containers/json?all`, whose query keys may have
    /// any value.
    ///
    /// # Errors
    /// Returns an error if the text is not a rule.
    pub fn allow(&mut self, text: &str) -> Result<(), RulesError> {
        let rule = if text.contains(' ') { Rule::parse(text) } else { Rule::parse_call(text) };
        let rule = rule.map_err(|what| RulesError { line: None, what })?;
        self.groups.push(Group { rules: vec![rule], ..Group::default() });
        Ok(())
    }

    /// Adds all rules of others.
    pub fn join(&mut self, others: Rules) {
        self.groups.extend(others.groups);
        self.version_prefix |= others.version_prefix;
    }

    /// Returns whether a client's container or unit must be known.
    pub(crate) fn ask_for_workload(&self) -> bool {
        self.groups.iter().any(|group| group.clients.ask_for_workload())
    }

    /// Returns the rules that match up to the body, or why there is none.
    pub(crate) fn candidates(
        &self,
        client: &Client,
        method: &Method,
        target: &Target,
        upgrade: Option<&str>,
    ) -> Result<Vec<Candidate<'_>>, NoRule> {
        let mut nearest = NoRule { rule: None, why: "no rule allows it".into() };
        let mut candidates = Vec::new();
        let groups = self.groups.iter().filter(|group| group.clients.matches(client));
        for (group, rule) in groups.flat_map(|group| group.rules.iter().map(move |rule| (group, rule))) {
            let Some(skipped) = self.skipped(rule, method, target) else { continue };
            match fits(group, rule, target, upgrade) {
                Ok(()) => candidates.push(Candidate {
                    rule,
                    visible: group.visible.as_ref(),
                    own: group.own.as_ref(),
                    skipped,
                }),
                Err(why) => nearest = NoRule { rule: Some(rule.name.clone()), why },
            }
        }
        if candidates.is_empty() { Err(nearest) } else { Ok(candidates) }
    }

    /// Returns how many segments are a version, if method and path match.
    fn skipped(&self, rule: &Rule, method: &Method, target: &Target) -> Option<usize> {
        if rule.method != *method {
            return None;
        }
        if rule.template.matches(&target.segments) {
            return Some(0);
        }
        let (first, rest) = target.segments.split_first()?;
        (self.version_prefix && is_version(first) && rule.template.matches(rest)).then_some(1)
    }
}

fn fits(group: &Group, rule: &Rule, target: &Target, upgrade: Option<&str>) -> Result<(), String> {
    rule.check_query(target).map_err(|(key, why)| format!("{why}: {key}"))?;
    match upgrade {
        Some(protocol) if !rule.upgrade.iter().any(|one| one == protocol) => {
            return Err(format!("an upgrade to {protocol} is not allowed"));
        }
        None if !rule.upgrade.is_empty() => return Err("the connection must be upgraded".into()),
        _ => {}
    }
    let is_hidden = rule.template.container().is_none() && rule.filter.is_none() && !rule.unfiltered;
    match &group.visible {
        Some(_) if is_hidden => Err("it might show containers without the label".into()),
        _ => Ok(()),
    }
}

/// Returns whether a segment is a version of Docker's API, such as `v1.47`.
fn is_version(segment: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = segment.strip_prefix('v').and_then(|rest| rest.split_once('.'));
    parts.is_some_and(|(major, minor)| digits(major) && digits(minor))
}

#[cfg(test)]
mod tests;
