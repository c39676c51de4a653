//! Clients of PostgreSQL, redis and D-Bus against servers that the tests start, each in a temporary
//! directory of its own.

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use redis::AsyncCommands;
use rustix::process::{Pid, Signal, kill_process};
use stoop_testkit::{KillOnDrop, eventually, has_program, is_root, public_tempdir, skip, spawn, tempdir};
use zbus::zvariant::Fd;

use crate::examples::{postgres, redis as redis_example, zbus as zbus_example};
use crate::{SOON, block_on};

/// A running server. Dropping it asks the server to exit, so that it can clean up.
struct Server {
    process: KillOnDrop,
    stop: Signal,
}

impl Server {
    /// Starts a server and waits for its socket.
    fn start(command: &mut Command, socket: &Path, stop: Signal) -> Server {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = KillOnDrop(spawn(quiet).unwrap());
        eventually(SOON, || socket.exists());
        Server { process, stop }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.process), self.stop);
        self.process.finish(SOON);
    }
}

/// Returns a program of PostgreSQL's, which Debian keeps out of `PATH`.
fn postgres_program(name: &str) -> Option<PathBuf> {
    if has_program(name) {
        return Some(name.into());
    }
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    versions
        .filter_map(|version| Some(version.ok()?.path().join("bin").join(name)))
        .find(|path| path.exists())
}

#[test]
fn postgres_answers_queries() {
    let (Some(initdb), Some(server)) = (postgres_program("initdb"), postgres_program("postgres")) else {
        skip!("lacks PostgreSQL");
    };
    if is_root() && !has_program("setpriv") {
        skip!("lacks setpriv, and PostgreSQL does not run as root");
    }
    let as_user = |program: &Path| {
        if !is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
        command
    };
    let dir = public_tempdir();
    let data = dir.path().join("data");
    let mut prepare = as_user(&initdb);
    prepare.args(["--username=example", "--auth=trust", "--no-sync", "--no-instructions", "-D"]).arg(&data);
    let output = prepare.current_dir(dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let mut command = as_user(&server);
    command.args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=1MB", "-k"]);
    command.arg(dir.path()).arg("-D").arg(&data).current_dir(dir.path());
    let socket = dir.path().join(".s.PGSQL.5432");
    let _server = Server::start(&mut command, &socket, Signal::QUIT);
    block_on(async {
        // A server that is starting accepts connections and refuses queries.
        while let Err(error) = postgres::run(&socket, "example").await {
            assert!(
                error.to_string().contains("starting up") || format!("{error:?}").contains("57P03"),
                "{error:?}"
            );
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(postgres::run(&socket, "example").await.unwrap(), 42);
        let client = postgres::connect(&socket, "example").await.unwrap();
        let rows = client.query("SELECT repeat('x', 1000) FROM generate_series(1, 2000)", &[]).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.get::<_, String>(0).len()).sum::<usize>(), 2_000_000);
        let error = client.query("SELECT 1 / 0", &[]).await.unwrap_err();
        assert_eq!(error.code().map(|code| code.code()), Some("22012"));
    });
}

#[test]
fn redis_answers_commands() {
    if !has_program("redis-server") {
        skip!("lacks redis-server");
    }
    let dir = tempdir();
    let socket = dir.path().join("redis.sock");
    let mut command = Command::new("redis-server");
    command.args(["--port", "0", "--save", "", "--unixsocket"]).arg(&socket);
    let _server = Server::start(command.arg("--dir").arg(dir.path()), &socket, Signal::TERM);
    block_on(async {
        assert_eq!(redis_example::run(&socket).await.unwrap(), 42);
        // One connection for many tasks, and a value larger than the socket's buffers.
        let connection = redis_example::connect(&socket).await.unwrap();
        let tasks = (0..50).map(|number: usize| {
            let mut connection = connection.clone();
            tokio::spawn(async move {
                let value = vec![number as u8; 1 << 16];
                let () = connection.set(number, &value).await.unwrap();
                assert_eq!(connection.get::<_, Vec<u8>>(number).await.unwrap(), value);
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    });
}

#[test]
fn zbus_talks_to_a_bus_and_passes_file_descriptors() {
    if !has_program("dbus-daemon") {
        skip!("lacks dbus-daemon");
    }
    let dir = tempdir();
    let (config, socket) = (dir.path().join("bus.conf"), dir.path().join("bus.sock"));
    let text = format!(
        "<busconfig><type>session</type><listen>unix:path={}</listen>\
         <auth>EXTERNAL</auth><policy context=\"default\"><allow send_destination=\"*\"/>\
         <allow receive_type=\"method_call\"/><allow receive_type=\"method_return\"/>\
         <allow own=\"*\"/></policy></busconfig>",
        socket.display()
    );
    fs::write(&config, text).unwrap();
    let mut command = Command::new("dbus-daemon");
    command.arg("--config-file").arg(&config).args(["--nofork", "--nopidfile"]);
    let _server = Server::start(&mut command, &socket, Signal::TERM);
    block_on(async {
        assert_eq!(zbus_example::run(&socket).await.unwrap(), std::process::id());

        let server = zbus_example::connect(&socket).await.unwrap();
        server.object_server().at("/example", FileLength).await.unwrap();
        let client = zbus_example::connect(&socket).await.unwrap();
        let file = fs::File::open(&config).unwrap();
        let name = server.unique_name().unwrap().clone();
        let arguments = (Fd::from(file.as_fd()),);
        let reply =
            client.call_method(Some(name), "/example", Some("org.example.Files"), "Length", &arguments);
        let length: u64 = reply.await.unwrap().body().deserialize().unwrap();
        assert_eq!(length, file.metadata().unwrap().len());
    });
}

/// An object whose method takes an open file.
struct FileLength;

#[zbus::interface(name = "org.example.Files")]
impl FileLength {
    fn length(&self, file: Fd<'_>) -> u64 {
        let file = fs::File::from(file.as_fd().try_clone_to_owned().unwrap());
        file.metadata().unwrap().len()
    }
}
