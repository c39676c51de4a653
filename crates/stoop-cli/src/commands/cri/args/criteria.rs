//! What lists are restricted to: states, labels, patterns.

use clap::ValueEnum;
use regex::Regex;

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
