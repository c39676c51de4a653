//! Docker's library for Python, by which dashboards read and builds are run. It sends query keys
//! and types of contents that Docker's own client does not.

use std::path::Path;

use stoop_e2e::program;

use crate::Guarded;

/// Debian's, for which there is the package `python3-docker`.
const PYTHON: &str = "/usr/bin/python3";
const LIBRARY: &str = "/usr/lib/python3/dist-packages/docker/__init__.py";

const READS: &str = "\
import docker, sys
client = docker.DockerClient(base_url=sys.argv[1], version='auto')
client.ping(), client.info(), client.df()
print([container.name for container in client.containers.list(all=True)])
client.images.list(), client.networks.list(), client.volumes.list()
client.containers.get('victim').stats(stream=False)
";

const BUILDS: &str = "\
import docker, sys
client = docker.DockerClient(base_url=sys.argv[1], version='auto')
image, log = client.images.build(path=sys.argv[2], tag='py:1', network_mode='none', rm=True)
assert image.tag('py', '2') and client.images.list('py')
busybox = ['/bin/busybox', 'echo', 'ran']
print(client.containers.run('py:2', busybox, network_mode='none', remove=True).decode(), end='')
kept = client.containers.create('py:1', name='kept', network_mode='none')
print([container.name for container in client.containers.list(all=True)])
kept.start(), kept.wait(), kept.logs(), kept.remove()
";

fn run(guard: &Guarded, text: &str, context: Option<&Path>) -> Option<String> {
    if !Path::new(LIBRARY).exists() {
        return None;
    }
    let run = program(PYTHON, ["-c", text, &format!("unix://{}", guard.path.display())]);
    Some(run.args(context).run().ok().text())
}

/// Asks as a dashboard does.
pub fn reads(guard: &Guarded) {
    if let Some(text) = run(guard, READS, None) {
        assert!(text.contains("'victim'"), "{text}");
    }
}

/// Builds an image from a directory, and runs it.
pub fn builds(guard: &Guarded, context: &Path) {
    if let Some(text) = run(guard, BUILDS, Some(context)) {
        assert!(text.starts_with("ran\n") && text.contains("'kept'"), "{text}");
    }
}
