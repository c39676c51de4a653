//! Real containers: a containerd of our own starts processes that talk to sockets of the host.

use std::fs;
use std::time::Duration;

use stoop_e2e::containerd::Containerd;
use stoop_e2e::{LIMIT, stoop, wait_served};
use stoop_testkit::{deadline, eventually, skip};

/// Far longer than it takes: a machine that builds beside it is slow.
const LONG: Duration = Duration::from_secs(150);

#[test]
fn a_container_talks_to_a_socket_of_the_host() {
    if let Some(reason) = Containerd::lacks() {
        skip!("{reason}");
    }
    deadline(LONG, || {
        let containerd = Containerd::start();
        containerd.import_image();
        let shared = containerd.directory().join("shared");
        fs::create_dir(&shared).unwrap();
        let path = shared.join("app.sock");
        let server = stoop(["serve", "--json"]).arg(&path).spawn();
        wait_served(&path);
        let mount = format!("type=bind,src={},dst=/shared,options=rbind:rw", shared.display());
        let pid = containerd.run("talker", &["--mount", &mount], &["/bin/talk", "/shared/app.sock", "hello"]);
        server.wait_stdout("accepted");
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        assert_ne!(fs::read_link(format!("/proc/{pid}/ns/net")).unwrap(), own, "a namespace of its own");
        drop(containerd);
        eventually(LIMIT, || fs::metadata(format!("/proc/{pid}")).is_err());
    });
}
