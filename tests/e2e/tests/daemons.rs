//! `stoop wait` for real servers: none yet, started late, frozen and thus never healthy, restarted.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use stoop_e2e::containerd::Containerd;
use stoop_e2e::docker::Dockerd;
use stoop_e2e::{LIMIT, Output, Run, Running, program, stoop};
use stoop_testkit::{NOBODY, TempDir, eventually, has_program, is_root, public_tempdir, skip, tempdir};

const CONDITIONS: [&str; 4] = ["--exists", "--listening", "--accepting", "--healthy"];

/// A server that a test starts, as often as it likes.
struct Daemon<'a> {
    path: String,
    start: &'a dyn Fn() -> Run,
    /// What `--healthy` requires in addition.
    flags: &'a [&'a str],
    /// Whether the process that is started answers clients itself, rather than its children.
    answers_itself: bool,
}

impl<'a> Daemon<'a> {
    fn new(path: &Path, start: &'a dyn Fn() -> Run) -> Daemon<'a> {
        let path = path.to_str().unwrap().to_owned();
        Daemon { path, start, flags: &[], answers_itself: true }
    }

    fn wait(&self, condition: &str, timeout: &str) -> Run {
        let run = stoop(["wait", &self.path, condition, "--timeout", timeout]);
        if condition == "--healthy" { run.args(self.flags) } else { run }
    }

    /// Checks a condition for a short time.
    fn brief(&self, condition: &str) -> Output {
        self.wait(condition, "500ms").run()
    }

    /// Terminates the server, and waits until no process listens.
    fn stop(&self, server: Running) {
        server.terminate();
        eventually(LIMIT, || self.wait("--listening", "0").run().code == Some(1));
    }

    fn is_waited_for(&self) {
        for condition in CONDITIONS {
            self.brief(condition).code(1);
        }
        let waiting = CONDITIONS.map(|condition| self.wait(condition, "25s").spawn());
        let server = (self.start)().spawn();
        for waits in waiting {
            waits.finish().ok();
        }
        if self.answers_itself {
            self.is_not_healthy_while_frozen(&server);
        }
        self.stop(server);
        let waiting = self.wait("--healthy", "25s").spawn();
        let server = (self.start)().spawn();
        waiting.finish().ok();
        self.stop(server);
    }

    fn is_not_healthy_while_frozen(&self, server: &Running) {
        server.signal(Signal::STOP);
        // A signal may take a moment to arrive.
        eventually(LIMIT, || self.brief("--healthy").code == Some(1));
        self.brief("--healthy").code(1).explains(&["is not healthy"]);
        self.brief("--accepting").code(1).explains(&["does not accept a connection"]);
        self.brief("--listening").ok();
        let waiting = self.wait("--healthy", "25s").spawn();
        server.signal(Signal::CONT);
        waiting.finish().ok();
    }
}

/// Writes a configuration, in which `DIR` is the directory.
fn configure(directory: &Path, name: &str, text: &str) -> PathBuf {
    let file = directory.join(name);
    fs::write(&file, text.replace("DIR", directory.to_str().unwrap())).unwrap();
    file
}

/// Finds a program whose name begins like this, in a directory that may match a pattern.
fn versioned(directories: &str, start: &str) -> Option<PathBuf> {
    let (above, below) = directories.split_once("/*").unwrap_or((directories, ""));
    let inner = |entry: fs::DirEntry| match directories.contains('*') {
        true => fs::read_dir(entry.path().join(below.trim_start_matches('/'))).ok().map(Vec::from_iter),
        false => Some(vec![Ok(entry)]),
    };
    let entries = fs::read_dir(above).ok()?.flatten().filter_map(inner).flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    found.retain(|path| path.file_name().unwrap().to_str().is_some_and(|name| name.starts_with(start)));
    found.into_iter().min_by_key(|path| path.as_os_str().len())
}

#[test]
fn redis() {
    if !has_program("redis-server") {
        skip!("lacks redis-server");
    }
    let directory = tempdir();
    let path = directory.path().join("data.sock");
    let start = || {
        let run = program("redis-server", ["--port", "0", "--save", "", "--unixsocket"]).arg(&path);
        run.inside(directory.path())
    };
    Daemon::new(&path, &start).is_waited_for();
}

#[test]
fn a_redis_that_wants_a_password_is_healthy() {
    if !has_program("redis-server") {
        skip!("lacks redis-server");
    }
    let directory = tempdir();
    let path = directory.path().join("redis.sock");
    let run = program("redis-server", ["--port", "0", "--save", "", "--requirepass", "x", "--unixsocket"]);
    let server = run.arg(&path).inside(directory.path()).spawn();
    Daemon::new(&path, &|| unreachable!()).wait("--healthy", "25s").run().ok();
    server.terminate().ok();
}

/// PostgreSQL does not run as root.
fn as_user(program_path: &Path) -> Run {
    match is_root() {
        true => {
            let ids = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")];
            program("setpriv", ids).arg("--clear-groups").arg(program_path)
        }
        false => program(program_path, [""; 0]),
    }
}

fn postgres_in(directory: &Path) -> Option<PathBuf> {
    let initdb = versioned("/usr/lib/postgresql/*/bin", "initdb")?;
    let data = directory.join("data");
    let options = ["--username=example", "--auth=trust", "--no-sync", "--no-instructions", "-D"];
    as_user(&initdb).args(options).arg(&data).inside(directory).run().ok();
    Some(initdb.with_file_name("postgres"))
}

#[test]
fn postgresql() {
    let directory = public_tempdir();
    if is_root() && !has_program("setpriv") {
        skip!("lacks setpriv, and PostgreSQL does not run as root");
    }
    let Some(server) = postgres_in(directory.path()) else { skip!("lacks PostgreSQL") };
    let start = || {
        let modest = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=1MB", "-k"];
        let run = as_user(&server).args(modest).arg(directory.path()).arg("-D");
        run.arg(directory.path().join("data")).inside(directory.path())
    };
    // Its children answer, which only it can create.
    Daemon::new(&directory.path().join(".s.PGSQL.5432"), &start).is_waited_for();
}

#[test]
fn dbus() {
    if !has_program("dbus-daemon") {
        skip!("lacks dbus-daemon");
    }
    let directory = tempdir();
    let path = directory.path().join("messages");
    let start = || {
        let address = format!("--address=unix:path={}", path.display());
        program("dbus-daemon", ["--session", "--nofork", "--nopidfile", &address])
    };
    Daemon::new(&path, &start).is_waited_for();
}

#[test]
fn ssh_agent() {
    if !has_program("ssh-agent") {
        skip!("lacks ssh-agent");
    }
    let directory = tempdir();
    let path = directory.path().join("keys");
    Daemon::new(&path, &|| program("ssh-agent", ["-D", "-a"]).arg(&path)).is_waited_for();
}

#[test]
fn haproxy() {
    if !has_program("haproxy") {
        skip!("lacks haproxy");
    }
    let directory = tempdir();
    let config = configure(
        directory.path(),
        "haproxy.cfg",
        "global\n stats socket DIR/admin\ndefaults\n timeout client 9s\n timeout server 9s\n timeout connect 9s\n",
    );
    let path = directory.path().join("admin");
    Daemon::new(&path, &|| program("haproxy", ["-db", "-f"]).arg(&config)).is_waited_for();
}

#[test]
fn nginx() {
    if !has_program("nginx") {
        skip!("lacks nginx");
    }
    let directory = tempdir();
    let config = configure(
        directory.path(),
        "nginx.conf",
        "daemon off; master_process off; pid DIR/pid; error_log DIR/log; events {}\n\
         http { access_log off; client_body_temp_path DIR/a; proxy_temp_path DIR/b; fastcgi_temp_path DIR/c;\n\
         uwsgi_temp_path DIR/d; scgi_temp_path DIR/e; server { listen unix:DIR/web; return 200; } }\n",
    );
    let path = directory.path().join("web");
    let start = || program("nginx", ["-e", "stderr", "-c"]).arg(&config);
    let flags = &["--protocol", "http", "--path", "/"];
    Daemon { flags, ..Daemon::new(&path, &start) }.is_waited_for();
}

#[test]
fn php_fpm() {
    let Some(php_fpm) = versioned("/usr/sbin", "php-fpm") else { skip!("lacks php-fpm") };
    let directory = tempdir();
    let config = configure(
        directory.path(),
        "fpm.conf",
        "[global]\nerror_log=DIR/log\n[www]\nuser=root\nlisten=DIR/pool\npm=static\npm.max_children=1\n",
    );
    let path = directory.path().join("pool");
    let start = || program(&php_fpm, ["-R", "-F", "-y"]).arg(&config);
    Daemon { answers_itself: false, ..Daemon::new(&path, &start) }.is_waited_for();
}

#[test]
fn a_log_has_a_socket_and_no_health() {
    if !has_program("rsyslogd") {
        skip!("lacks rsyslogd");
    }
    let directory = tempdir();
    let text = "module(load=\"imuxsock\" SysSock.Use=\"off\")\ninput(type=\"imuxsock\" Socket=\"DIR/log\")\n\
                global(workDirectory=\"DIR\")\n*.* action(type=\"omfile\" file=\"DIR/lines\")\n";
    let config = configure(directory.path(), "rsyslog.conf", text);
    let path = directory.path().join("log");
    let start = || program("rsyslogd", ["-n", "-i"]).arg(directory.path().join("pid")).arg("-f").arg(&config);
    let daemon = Daemon::new(&path, &start);
    let conditions = ["--exists", "--listening", "--accepting"];
    let waiting = conditions.map(|condition| daemon.wait(condition, "25s").spawn());
    let server = start().spawn();
    for waits in waiting {
        waits.finish().ok();
    }
    daemon.brief("--healthy").code(1).explains(&["is not healthy"]);
    daemon.stop(server);
}

#[test]
fn containerd_is_asked_for_its_health() {
    if let Some(reason) = Containerd::lacks() {
        skip!("{reason}");
    }
    let containerd = Containerd::start();
    let [grpc, ttrpc] = ["containerd.sock", "containerd.sock.ttrpc"].map(|name| {
        let path = containerd.directory().join(name);
        stoop(["wait", path.to_str().unwrap(), "--healthy", "--timeout", "5s"]).run()
    });
    grpc.ok();
    // ttrpc has no health check.
    ttrpc.code(2).explains(&["add --protocol"]);
}

#[test]
fn docker_is_asked_for_its_health() {
    let docker = match Dockerd::start() {
        Ok(docker) => docker,
        Err(reason) => skip!("{reason}"),
    };
    let path = docker.socket();
    for condition in CONDITIONS {
        stoop(["wait", path.to_str().unwrap(), condition, "--timeout", "25s"]).run().ok();
    }
}

#[test]
fn tmux_is_found_by_the_name_of_its_server() {
    if !has_program("tmux") {
        skip!("lacks tmux");
    }
    let directory: TempDir = tempdir();
    let here = |run: Run| run.env("TMUX_TMPDIR", directory.path());
    here(program("tmux", ["-L", "work", "new-session", "-d", "sleep 60"])).run().ok();
    here(stoop(["wait", "tmux:work", "--timeout", "0"])).run().ok();
    let shown = here(stoop(["who", "tmux:work"])).run().seen().text();
    assert!(shown.contains("tmux: server"), "{shown}");
    let default = here(stoop(["wait", "tmux", "--timeout", "0"])).run().code(1);
    default.explains(&["'tmux' is not listening"]);
    here(program("tmux", ["-L", "work", "kill-server"])).run().ok();
}
