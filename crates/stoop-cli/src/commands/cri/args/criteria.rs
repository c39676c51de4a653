//! What lists are restricted to: states, labels, patterns.

use clap::{Args, ValueEnum};
use regex::Regex;

/// How many of the newest are listed.
#[derive(Args, Clone, Copy, Debug)]
pub(in super::super) struct Newest {
    /// Only the newest
    #[arg(long, short)]
    pub(in super::super) latest: bool,

    /// Only the N newest
    #[arg(long, short = 'n', value_name = "N", conflicts_with = "latest")]
    pub(in super::super) last: Option<usize>,
}

impl Newest {
    pub(in super::super) fn count(self) -> Option<usize> {
        if self.latest { Some(1) } else { self.last }
    }
}

/// Which containers are meant.
#[derive(Args, Debug)]
pub(in super::super) struct ContainerFilter {
    /// Only the containers whose name matches this regular expression
    #[arg(long, value_name = "REGEX", value_parser = name_pattern)]
    pub(in super::super) name: Option<Regex>,

    /// Only the containers of this pod, by id or name
    #[arg(long, short, value_name = "POD")]
    pub(in super::super) pod: Option<String>,

    /// Only the containers of this image
    #[arg(long, value_name = "IMAGE")]
    pub(in super::super) image: Option<String>,

    /// Only the containers in this state
    #[arg(long, short, value_name = "STATE", value_enum, ignore_case = true)]
    pub(in super::super) state: Option<ContainerState>,

    /// Only the containers with this label; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    pub(in super::super) label: Vec<(String, String)>,

    #[command(flatten)]
    pub(in super::super) newest: Newest,

    /// Also containers that do not run
    #[arg(long, short)]
    pub(in super::super) all: bool,
}

/// Which images are meant.
#[derive(Clone, Debug)]
pub(in super::super) enum ImageFilter {
    /// Whether they have no tag.
    Dangling(bool),
    /// The pattern of a tag or a digest.
    Reference(Regex),
}

/// Parses `dangling=true` or `reference=REGEX`.
pub(in super::super) fn image_filter(text: &str) -> Result<ImageFilter, String> {
    match text.split_once('=') {
        Some(("dangling", "true")) => Ok(ImageFilter::Dangling(true)),
        Some(("dangling", "false")) => Ok(ImageFilter::Dangling(false)),
        Some(("reference", pattern)) => name_pattern(pattern).map(ImageFilter::Reference),
        _ => Err("not a filter, as in dangling=true or reference=REGEX".to_owned()),
    }
}

/// The state of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in super::super) enum ContainerState {
    Created,
    Running,
    Exited,
    Unknown,
}

impl ContainerState {
    /// Returns the name of the state in the interface.
    pub(in super::super) fn word(self) -> &'static str {
        match self {
            ContainerState::Created => "CONTAINER_CREATED",
            ContainerState::Running => "CONTAINER_RUNNING",
            ContainerState::Exited => "CONTAINER_EXITED",
            ContainerState::Unknown => "CONTAINER_UNKNOWN",
        }
    }
}

/// The state of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in super::super) enum PodState {
    Ready,
    #[value(name = "notready", alias = "not-ready")]
    NotReady,
}

impl PodState {
    /// Returns the name of the state in the interface.
    pub(in super::super) fn word(self) -> &'static str {
        match self {
            PodState::Ready => "SANDBOX_READY",
            PodState::NotReady => "SANDBOX_NOTREADY",
        }
    }
}

/// Parses a label: `key=value`.
pub(in super::super) fn label(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("not a label, as in app=web")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Parses a regular expression.
pub(in super::super) fn name_pattern(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|_| "not a regular expression".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_parsed() {
        assert_eq!(label("app=web=1"), Ok(("app".into(), "web=1".into())));
        assert!(label("app").is_err());
    }
}
