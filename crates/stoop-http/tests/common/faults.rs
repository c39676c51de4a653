//! A server in a process of its own whose system calls fail. Shared with the tests of `stoop-grpc`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use stoop::{Bind, serve};
use stoop_testkit::{Injector, KillOnDrop, Role};

pub const SOON: Duration = Duration::from_secs(20);

/// Faults that the kernel never produces: `EAGAIN` from a socket that epoll has just reported and
/// that was not read since, and any error of a write to the eventfd with which tokio wakes threads.
pub const ANNOUNCED: &[(&str, Errno)] = &[
    ("accept4", Errno::AGAIN),
    ("recvfrom", Errno::AGAIN),
    ("recvmsg", Errno::AGAIN),
    ("sendto", Errno::AGAIN),
    ("sendmsg", Errno::AGAIN),
    ("read", Errno::AGAIN),
    ("readv", Errno::AGAIN),
    ("write", Errno::AGAIN),
    ("write", Errno::INTR),
    ("write", Errno::IO),
    ("write", Errno::NOSPC),
    ("write", Errno::PIPE),
    ("writev", Errno::AGAIN),
];

fn place() -> PathBuf {
    std::env::var_os("PLACE").unwrap().into()
}

pub fn start(test: &str, path: &Path, injector: &Injector) -> KillOnDrop {
    let role = Role::new(test, "server").env("PLACE", path.to_str().unwrap());
    let mut child = role.watched(injector).spawn();
    child.line("ready", SOON);
    child
}

pub async fn bound() -> serve::Server {
    let server = serve::Server::new(Bind::new(place()).listen_async().await.unwrap());
    println!("ready");
    server.max_connections(100).idle_timeout(Duration::from_secs(60))
}
