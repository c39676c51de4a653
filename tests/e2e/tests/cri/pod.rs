//! A pod with one container, described by files.

use std::fs;

use stoop_e2e::containerd::{Containerd, IMAGE};
use stoop_e2e::{Run, stoop};

/// What the container runs: it greets, and then gives back its input.
const SCRIPT: &str = "echo $WORD; echo bad >&2; exec cat";

/// A pod that runs.
pub struct Pod<'c> {
    pub containerd: &'c Containerd,
    /// The id of its container.
    pub id: String,
}

/// Returns `stoop cri` for a containerd.
pub fn cri(containerd: &Containerd, words: &[&str]) -> Run {
    stoop(["cri", "-r"]).arg(containerd.socket()).args(words).inside(containerd.directory())
}

impl Pod<'_> {
    /// Writes the files, and runs the pod.
    #[track_caller]
    pub fn run(containerd: &Containerd) -> Pod<'_> {
        let directory = containerd.directory();
        let place = directory.display();
        // On the host network, because no CNI plugin is installed. The parent has a name of its own
        // so that pods have usage.
        let pod = format!(
            "metadata:\n  name: web-pod\n  namespace: prod\nlog_directory: {place}/logs\nlinux:\n  cgroup_parent: \
             {parent}\n  security_context: {{namespace_options: {{network: 2}}}}\n",
            parent = parent(containerd),
        );
        fs::write(directory.join("pod.yaml"), pod).unwrap();
        let container = format!(
            "metadata: {{name: web}}\nimage: {{image: {IMAGE}}}\ncommand: [/bin/sh, -c, '{SCRIPT}']\nenvs: \
             [{{key: WORD, value: grüezi}}]\nlog_path: web.log\nlabels: {{app: web}}\nstdin: true\n"
        );
        fs::write(directory.join("container.yaml"), container).unwrap();
        let output = cri(containerd, &["run", "container.yaml", "pod.yaml"]).run().ok().text();
        Pod { containerd, id: output.trim().to_owned() }
    }

    pub fn cri(&self, words: &[&str]) -> Run {
        cri(self.containerd, words)
    }

    /// Returns the output of an action that succeeds.
    #[track_caller]
    pub fn text(&self, words: &[&str]) -> String {
        self.cri(words).run().ok().text()
    }
}

/// Returns the control group of a containerd's pods.
fn parent(containerd: &Containerd) -> String {
    format!("/stoop-test-{}", containerd.pid())
}

/// Removes the control groups when dropped: runtimes leave them.
pub struct Groups(String);

impl Groups {
    pub fn of(containerd: &Containerd) -> Groups {
        Groups(parent(containerd))
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        let root = std::path::Path::new("/sys/fs/cgroup");
        let below = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
        for group in std::iter::once(root.to_owned()).chain(below) {
            // There is none in most of them.
            let _ = fs::remove_dir(group.join(&self.0[1..]));
        }
    }
}
