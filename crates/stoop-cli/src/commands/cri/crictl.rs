//! Flags of crictl that do not exist here, why, and what does. Pure.

use crate::foreign_flags::Table;

/// The output format that needs one of these flags.
pub(crate) const TEMPLATE_FORMAT: &str = "go-template";

#[rustfmt::skip]
pub(crate) const ELSEWHERE: &Table = &[
    (&["--template"], "there are no Go templates: programs for JSON select fields", "stoop cri inspect ID | jq -r .status.state"),
    (&["-D", "--debug"], "another command shows calls", "stoop tap cri"),
    (&["-c", "--config"], "the file is named by the environment", "CRI_CONFIG_FILE=FILE stoop cri ps"),
    (&["--enable-tracing", "--tracing-endpoint", "--tracing-sampling-rate-per-million", "--profile-cpu", "--profile-mem"], "it writes neither traces nor profiles", "stoop tap cri    # the calls, and how long they take"),
    (&["--tls-server-name", "--tls-ca-file"], "streams over TLS are not supported", "stoop cri exec --sync ID CMD    # without a stream"),
    (&["--auth", "--creds", "--username"], "an image that requires a password is pulled first", "stoop cri pull --creds USER:PASSWORD IMAGE"),
    (&["-T", "--cancel-timeout", "--pull-timeout"], "one limit applies to each call", "stoop cri --timeout 1m ACTION"),
    (&["--annotation"], "annotations are read from the files", "stoop cri create POD CONTAINER-FILE POD-FILE"),
    (&["--pod-config"], "an image is pulled for no particular pod", "stoop cri pull IMAGE"),
    (&["--env"], "the interface has no variables for a command", "stoop cri exec ID env NAME=VALUE CMD"),
    (&["-w", "--workdir"], "the interface has no directory for a command", "stoop cri exec ID sh -c 'cd DIR && CMD'"),
    (&["-u", "--user"], "a command runs as the user of its container", "stoop cri inspect ID    # which user that is"),
    (&["-x", "--parallel", "-e", "--ignore-errors"], "a command runs in one container", "stoop cri ps -q | xargs -I{} stoop cri exec {} CMD"),
    (&["--namespace"], "containers are selected by their pod", "stoop cri pods --namespace NAME"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foreign_flags::{are_answered_once, find};

    #[test]
    fn flags_are_answered_once() {
        are_answered_once(ELSEWHERE);
        assert!(find(ELSEWHERE, "--template").is_some());
    }
}
