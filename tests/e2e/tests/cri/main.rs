//! `stoop cri` with real containerds: Debian's, and newer ones if `./test` has fetched them.
//!
//! | file | contents |
//! |---|---|
//! | `pod.rs` | a pod, described by files |
//! | `manage.rs` | lists, logs, and the life of a pod |
//! | `streams.rs` | exec, attach and port-forward |
//! | `usage.rs` | stats and events |

mod manage;
mod pod;
mod streams;
mod usage;

use std::time::Duration;

use pod::{Groups, Pod};
use stoop_e2e::containerd::Containerd;
use stoop_e2e::{binary, stoop};
use stoop_testkit::{deadline, skip};

/// A generous timeout: the machine may be busy with a build.
const LONG: Duration = Duration::from_secs(240);

fn everything(started: Containerd, has_events: bool) {
    // Removed after the containers are.
    let _groups = Groups::of(&started);
    let containerd = started;
    containerd.import_image_into("k8s.io");
    manage::errors_say_what_to_do(&containerd);
    let pod = Pod::run(&containerd);
    manage::lists(&pod);
    manage::chosen_by_flags(&pod);
    manage::names_are_completed(&pod);
    manage::logs(&pod);
    streams::exit_codes(&pod);
    streams::input_and_output(&pod);
    streams::a_terminal(&pod);
    streams::attached(&pod);
    streams::forwarded(&pod);
    usage::stats(&pod);
    manage::removal(&pod);
    if has_events {
        usage::events(&containerd);
    }
}

#[test]
fn the_installed_containerd_is_managed() {
    if let Some(reason) = Containerd::lacks() {
        skip!("{reason}");
    }
    // Building it is not part of the deadline.
    binary();
    deadline(LONG, || everything(Containerd::start(), false));
}

#[test]
fn a_newer_containerd_is_managed() {
    if let Some(reason) = Containerd::lacks() {
        skip!("{reason}");
    }
    let Some(containerd) = Containerd::start_newer() else {
        skip!("lacks a containerd that is newer than Debian's 1.6 (./test fetches one)");
    };
    binary();
    deadline(LONG, move || everything(containerd, true));
}

#[test]
fn a_containerd_2_is_managed() {
    if let Some(reason) = Containerd::lacks() {
        skip!("{reason}");
    }
    let Some(containerd) = Containerd::start_newest() else {
        skip!("lacks a containerd 2 (./test fetches one)");
    };
    binary();
    deadline(LONG, move || everything(containerd, true));
}

/// crictl's words are understood, or answered.
#[test]
fn words_of_crictl_are_answered() {
    for (word, answer) in [
        ("config", "/etc/crictl.yaml"),
        ("completion", "stoop completions"),
        ("update", "describe UpdateContainerResources"),
        ("checkpoint", "describe CheckpointContainer"),
        ("nosuch", "stoop cri --help"),
    ] {
        let output = stoop(["cri", "-r", "/nowhere.sock", word]).run().code(2);
        output.explains(&[&format!("unknown action '{word}'"), answer]);
    }
    stoop(["cri", "-r", "/nowhere.sock", "ps"]).run().code(7).explains(&["/nowhere.sock"]);
}
