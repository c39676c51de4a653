//! The files, environment variables and related pages of each command: what a page says beyond the
//! help.

/// A file or a variable, what it is for, and the commands that use it. No commands: all of them.
type Entry = (&'static str, &'static str, &'static [&'static str]);

/// Commands that take the name of a well-known server in place of an address.
const NAMING: &[&str] =
    &["connect", "send", "ls", "who", "tree", "tap", "top", "close", "why", "grpc", "cri", "http"];

const FILES: &[Entry] = &[
    (
        "$XDG_STATE_HOME/stoop/history",
        "Lines typed on a terminal; by default in ~/.local/state. Mode 600.",
        &["connect"],
    ),
    (
        "~/.docker/config.json, ~/.docker/contexts/",
        "The current context of the Docker client, for the name docker.",
        NAMING,
    ),
    ("/etc/crictl.yaml", "The configuration of crictl, for the name cri.", NAMING),
    (
        "/proc/net/unix, /proc/PID/fd, /proc/PID/ns/net",
        "The sockets of the machine and their owners, if the kernel does not support faster ways.",
        &["ls", "who", "tree", "top", "close", "why"],
    ),
    ("/run/netns", "Network namespaces that have a name.", &["ls", "who", "tree", "top", "close"]),
    (
        "/proc/sys/net/unix/max_dgram_qlen, /proc/sys/net/core/somaxconn",
        "Limits of datagram queues and of backlogs.",
        &["who", "why", "serve"],
    ),
    (
        "/etc/passwd, /etc/group",
        "Names of users and groups, if name services read them.",
        &["serve", "recv", "ls", "why"],
    ),
];

const ENVIRONMENT: &[Entry] = &[
    (
        "DOCKER_HOST, DOCKER_CONTEXT, DOCKER_CONFIG",
        "What the name docker stands for, as in the Docker client.",
        NAMING,
    ),
    ("CONTAINER_HOST", "The address that the name podman stands for.", NAMING),
    ("CONTAINERD_ADDRESS", "The address that the name containerd stands for.", NAMING),
    (
        "CONTAINER_RUNTIME_ENDPOINT, CRI_CONFIG_FILE",
        "The address that the name cri stands for, and the configuration file of crictl.",
        NAMING,
    ),
    ("XDG_RUNTIME_DIR", "The directory of servers that run for one user, such as rootless Docker.", NAMING),
    ("XDG_STATE_HOME, HOME", "Where the history of typed lines is recorded.", &["connect"]),
    (
        "LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES",
        "Sockets that a service manager passes: see sd_listen_fds(3).",
        &["serve"],
    ),
    (
        "NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID",
        "Where to report readiness and life signs to a service manager: see sd_notify(3).",
        &["serve"],
    ),
    (
        "STOOP_PEER_PID, STOOP_PEER_UID, STOOP_PEER_GID",
        "Set for the command of --exec: the client, as the kernel reports it.",
        &["serve"],
    ),
    (
        "STOOP_COMPLETE_TIMEOUT",
        "How long completion waits for the server that was typed, as in 500ms; by default 250ms.",
        &["completions"],
    ),
    ("TMPDIR", "Where temporary files are created; by default /tmp.", &["demo", "bench"]),
    ("COLUMNS", "The width of help texts.", &[]),
];

/// Pages of other programs, by the commands that they help to understand.
const OTHERS: &[(&str, &[&str])] = &[
    ("unix(7)", &[]),
    ("ss(8)", &["ls", "who", "tree"]),
    ("lsof(8)", &["ls", "who"]),
    ("lsfd(1)", &["ls", "who"]),
    ("socat(1)", &["serve", "connect", "send", "recv"]),
    ("systemd.socket(5)", &["serve"]),
    ("path_resolution(7)", &["why"]),
    ("credentials(7)", &["why", "recv"]),
    ("cmsg(3)", &["send", "recv"]),
    ("sock_diag(7)", &["ls", "close"]),
    ("curl(1)", &["http"]),
    ("bash(1)", &["completions"]),
    ("man(1)", &["man"]),
];

/// Commands that are close to each other.
const RELATED: &[&[&str]] = &[
    &["serve", "connect", "send", "recv", "wait"],
    &["ls", "who", "tree", "why", "close"],
    &["why", "connect", "wait"],
    &["http", "grpc", "connect"],
    &["grpc", "cri"],
    &["bench", "demo"],
    &["completions", "man"],
];

fn concerns(verbs: &[&str], verb: Option<&str>) -> bool {
    // The page of the whole command has everything.
    verb.is_none_or(|verb| verbs.is_empty() || verbs.contains(&verb))
}

fn of(entries: &'static [Entry], verb: Option<&str>) -> Vec<(&'static str, &'static str)> {
    let chosen = entries.iter().filter(|(_, _, verbs)| concerns(verbs, verb));
    chosen.map(|(name, about, _)| (*name, *about)).collect()
}

/// Returns the files that a command reads or writes. `None` stands for the whole command.
pub(super) fn files(verb: Option<&str>) -> Vec<(&'static str, &'static str)> {
    of(FILES, verb)
}

/// Returns the environment variables that a command reads or sets.
pub(super) fn environment(verb: Option<&str>) -> Vec<(&'static str, &'static str)> {
    of(ENVIRONMENT, verb)
}

/// Returns the pages to read next, as `name(section)`, for a command among these.
pub(super) fn see_also(verb: Option<&str>, verbs: &[&str]) -> Vec<String> {
    let is_related = |other: &&&str| match verb {
        None => true,
        Some(verb) => {
            **other != verb && RELATED.iter().any(|group| group.contains(&verb) && group.contains(*other))
        }
    };
    let own = verbs.iter().filter(is_related).map(|verb| format!("stoop-{verb}(1)"));
    let whole = verb.map(|_| "stoop(1)".to_owned());
    let others = OTHERS.iter().filter(|(_, verbs)| match verb {
        None => verbs.is_empty(),
        verb => concerns(verbs, verb),
    });
    whole.into_iter().chain(own).chain(others.map(|(page, _)| (*page).to_owned())).collect()
}
