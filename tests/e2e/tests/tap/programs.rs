//! What real clients ask real servers: each call is found once, with a latency that its client has
//! seen, and Wireshark dissects the same.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

use stoop_e2e::{LIMIT, Run, postgres_programs, program, redis, serve, socket_path, wait_served};
use stoop_testkit::{eventually, has_program, is_root, public_tempdir, skip, tempdir};

use super::{Removed, answered_once, dissected, tap, tapped};

/// A user without privileges.
const NOBODY: u32 = 65534;

#[test]
fn busctl_and_a_bus() {
    needs_capture!();
    if !has_program("dbus-daemon") || !has_program("busctl") {
        skip!("lacks dbus-daemon or busctl");
    }
    let directory = tempdir();
    let path = directory.path().join("bus");
    let place = path.to_str().unwrap();
    let listen = format!("--address=unix:path={place}");
    let _server = program("dbus-daemon", ["--session", "--nofork", "--nopidfile", &listen]).spawn();
    wait_served(&path);
    let client = || {
        let call =
            ["call", "org.freedesktop.DBus", "/", "org.freedesktop.DBus", "NameHasOwner", "s", "none.such"];
        program("busctl", [format!("--address=unix:path={place}")]).args(call)
    };
    let (lines, measured) = tapped(place, client());
    let answer = answered_once(&lines, "org.freedesktop.DBus.NameHasOwner", measured);
    assert_eq!((&answer["protocol"], &answer["ok"]), (&"dbus".into(), &true.into()));
    assert_eq!(answer["to"]["command"], "busctl");
    dissected(place, directory.path(), "dbus", client());
}

/// PostgreSQL does not run as root.
fn as_user(path: &Path) -> Run {
    let ids = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")];
    program("setpriv", ids).arg("--clear-groups").arg(path)
}

#[test]
fn psql_and_postgresql() {
    needs_capture!();
    let Some(bin) = postgres_programs().filter(|_| has_program("psql") && has_program("setpriv")) else {
        skip!("lacks PostgreSQL, psql or setpriv");
    };
    let directory = public_tempdir();
    let data = directory.path().join("data");
    let options = ["--username=example", "--auth=trust", "--no-sync", "--no-instructions", "-D"];
    as_user(&bin.join("initdb")).args(options).arg(&data).inside(directory.path()).run().ok();
    let modest = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=1MB", "-k"];
    let server = as_user(&bin.join("postgres")).args(modest).arg(directory.path()).arg("-D").arg(&data);
    let _server = server.inside(directory.path()).spawn();
    let client = || {
        let login = ["-X", "-At", "-U", "example", "-d", "postgres", "-c", "select 41 + 1", "-h"];
        program("psql", login).arg(directory.path())
    };
    eventually(LIMIT, || client().run().code == Some(0));
    let path = directory.path().join(".s.PGSQL.5432");
    let place = path.to_str().unwrap();
    let (lines, measured) = tapped(place, client());
    let call =
        lines.iter().find(|line| line["text"] == "select 41 + 1").unwrap_or_else(|| panic!("{lines:?}"));
    let answer = answered_once(&lines, call["method"].as_str().unwrap(), measured);
    assert_eq!((&answer["text"], &answer["ok"]), (&"SELECT 1".into(), &true.into()));
    let own = tempdir();
    dissected(place, own.path(), "pgsql", client());
}

#[test]
fn mariadb_and_its_server() {
    needs_capture!();
    let server =
        ["/usr/sbin/mariadbd", "/usr/libexec/mariadbd"].into_iter().find(|path| Path::new(path).exists());
    let Some(server) = server.filter(|_| has_program("mariadb")) else { skip!("lacks mariadbd or mariadb") };
    let directory = tempdir();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (place, pid) = (path("s.sock"), path("pid"));
    std::fs::create_dir(path("data")).unwrap();
    let [data, socket, pid] = [("datadir", &path("data")), ("socket", &place), ("pid-file", &pid)]
        .map(|(name, value)| format!("--{name}={value}"));
    let options =
        ["--no-defaults", "--user=root", "--skip-grant-tables", "--skip-networking", "--innodb=OFF"];
    let _server = program(server, options)
        .args(["--default-storage-engine=Aria", "--skip-log-bin", &data, &socket, &pid])
        .spawn();
    wait_served(&place);
    let client = |statement: &str| {
        let login = ["--no-defaults", "-u", "example", "--password=Zk7qPlanted9", "-N", "-S", &place, "-e"];
        program("mariadb", login).arg(statement)
    };
    eventually(LIMIT, || client("select 1").run().code == Some(0));
    let (lines, measured) = tapped(&place, client("select 41 + 1"));
    let answer = answered_once(&lines, "SELECT", measured);
    assert_eq!((&answer["text"], &answer["ok"]), (&"1 columns".into(), &true.into()));
    answered_once(&lines, "login", measured);
    let from = lines.iter().find(|line| line["method"] == "login").unwrap()["from"]["command"].clone();
    assert_eq!(from, "mariadb");
    let tap = tap(&[&place, "--json", "--status", "!ok", "--count", "1"]);
    client("select 1 from no.such").run().code(1);
    let lines = tap.finish().ok().json();
    let failed = lines.iter().find(|line| line["ok"] == false).unwrap_or_else(|| panic!("{lines:?}"));
    assert!(failed["text"].as_str().unwrap().starts_with("ERROR 1146 "), "{failed}");
    let own = tempdir();
    dissected(&place, own.path(), "mysql.query", client("select 41 + 1"));
}

#[test]
fn ssh_add_and_an_agent() {
    needs_capture!();
    if !["ssh-agent", "ssh-add", "ssh-keygen"].into_iter().all(has_program) {
        skip!("lacks ssh-agent, ssh-add or ssh-keygen");
    }
    let (directory, place) = socket_path();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (key, ask) = (path("key"), path("ask"));
    program("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", &key]).run().ok();
    std::fs::write(&ask, "#!/bin/sh\necho Zk7qPlanted9\n").unwrap();
    std::fs::set_permissions(&ask, std::fs::Permissions::from_mode(0o755)).unwrap();
    let _server = program("ssh-agent", ["-D", "-a", &place]).spawn();
    wait_served(&place);
    let file = path("out.pcapng");
    let (shown, written) = (tap(&[&place, "--json"]), tap(&[&place, "-w", &file]));
    let begin = Instant::now();
    for arguments in [&["-q", &*key][..], &["-l"], &["-x"], &["-X"]] {
        let client = program("ssh-add", arguments).env("SSH_AUTH_SOCK", &place).env("SSH_ASKPASS", &ask);
        client.env("SSH_ASKPASS_REQUIRE", "force").run().ok();
    }
    let measured = begin.elapsed();
    written.terminate().ok();
    let lines = shown.terminate().ok().json();
    for (method, answer) in [
        ("add identity", "success"),
        ("list identities", "1 identity"),
        ("lock", "success"),
        ("unlock", "success"),
    ] {
        let line = answered_once(&lines, method, measured);
        assert_eq!((&line["text"], &line["protocol"]), (&answer.into(), &"ssh-agent".into()));
    }
    assert!(lines.iter().any(|line| line["text"] == "add identity ssh-ed25519"), "{lines:?}");
    let bytes = std::fs::read(&file).unwrap();
    assert!(!bytes.windows(7).any(|window| window == b"Planted"));
}

#[test]
fn userdbctl_and_its_server() {
    needs_capture!();
    const SERVER: &str = "/lib/systemd/systemd-userdbd";
    if !Path::new(SERVER).exists() || !has_program("userdbctl") {
        skip!("lacks systemd-userdbd or userdbctl");
    }
    let names = ["Multiplexer", "DropIn", "NameServiceSwitch"];
    let paths = names.map(|name| format!("/run/systemd/userdb/io.systemd.{name}"));
    let place = &paths[0];
    if paths.iter().any(|path| Path::new(path).symlink_metadata().is_ok()) {
        skip!("lacks a user database that is not in use");
    }
    let _removed = Removed(&paths);
    let _server = program(SERVER, [""; 0]).spawn();
    wait_served(place);
    let (lines, measured) = tapped(place, program("userdbctl", ["user", "root"]));
    let method = "io.systemd.UserDatabase.GetUserRecord";
    let answer = answered_once(&lines, method, measured);
    assert_eq!((&answer["protocol"], &answer["ok"]), (&"varlink".into(), &true.into()));
    // It has several answers, of which the last one ends the call.
    let (lines, measured) = tapped(place, program("userdbctl", ["user"]));
    let answer = answered_once(&lines, method, measured);
    let call = lines.iter().find(|line| line["method"] == method).unwrap();
    assert!(call["text"].as_str().unwrap().ends_with(" more"), "{call}");
    let before = lines.iter().filter(|line| line["event"] == "data" && line["method"] == method).count();
    assert!(before > 2, "{lines:?}");
    assert_eq!(lines.last().map(|line| &line["event"]), Some(&"eof".into()), "{answer}");
    let hashes = lines.iter().filter_map(|line| line["text"].as_str()?.split_once("\"hashedPassword\":["));
    let hashes: Vec<&str> = hashes.map(|(_, hash)| hash).collect();
    assert!(!hashes.is_empty() && hashes.iter().all(|hash| hash.starts_with("\"[redacted]\"")), "{hashes:?}");
}

#[test]
fn a_web_client_of_fastcgi_and_its_server() {
    needs_capture!();
    if !has_program("cgi-fcgi") || !has_program("fcgiwrap") {
        skip!("lacks cgi-fcgi or fcgiwrap");
    }
    let (directory, place) = socket_path();
    let script = directory.path().join("script");
    std::fs::write(&script, "#!/bin/sh\nprintf 'Status: 404 Not Found\\r\\n\\r\\nnothing'\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let _server = program("fcgiwrap", ["-s", &format!("unix:{place}")]).spawn();
    wait_served(&place);
    let client = || {
        program("cgi-fcgi", ["-bind", "-connect", &place])
            .env("REQUEST_METHOD", "GET")
            .env("REQUEST_URI", "/page?token=Zk7qPlanted9")
            .env("HTTP_AUTHORIZATION", "Bearer Zk7qPlanted9")
            .env("SCRIPT_FILENAME", script.to_str().unwrap())
    };
    let (lines, measured) = tapped(&place, client());
    let answer = answered_once(&lines, "GET /page", measured);
    assert_eq!((&answer["text"], &answer["ok"]), (&"404 Not Found".into(), &false.into()));
    let call = lines.iter().find(|line| line["event"] == "call").unwrap();
    assert_eq!(call["text"], "GET /page?token=[redacted]");
    let file = directory.path().join("out.pcapng");
    let tap = tap(&[&place, "-w", file.to_str().unwrap()]);
    client().run().ok();
    tap.terminate().ok();
    let bytes = std::fs::read(&file).unwrap();
    let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(has(b"HTTP_AUTHORIZATION*******************") && !has(b"Planted"));
}

#[test]
fn only_what_one_end_sent_is_shown() {
    needs_capture!();
    if !has_program("redis-server") || !has_program("redis-cli") {
        skip!("lacks redis");
    }
    let (_dir, place) = socket_path();
    let _server = redis(&place);
    for (end, event) in [("client", "call"), ("server", "response")] {
        let tap = tap(&[&place, "--sent-by", end, "--json", "--count", "2"]);
        for key in ["one", "two"] {
            program("redis-cli", ["-s", &place, "get", key]).run().ok();
        }
        let lines = tap.finish().ok().json();
        let events: Vec<&str> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
        assert_eq!(events, [event; 2], "{lines:?}");
    }
}

#[test]
fn logger_and_a_log() {
    needs_capture!();
    if !has_program("logger") {
        skip!("lacks logger");
    }
    let (directory, place) = socket_path();
    let _server = serve("dgram", &place);
    let address = format!("dgram:{place}");
    let client = || program("logger", ["--socket-errors=on", "-u", &place, "-p", "user.info", "started"]);
    let tap = tap(&[&address, "--json", "--count", "1"]);
    client().run().ok();
    let lines = tap.finish().ok().json();
    let line = lines.iter().find(|line| line["event"] == "data").unwrap();
    assert_eq!(line["protocol"], "syslog");
    assert!(
        line["text"].as_str().unwrap().starts_with("<14>")
            && line["text"].as_str().unwrap().ends_with("started")
    );
    if has_program("tshark") {
        let file = directory.path().join("log.pcapng");
        let file = file.to_str().unwrap();
        let tap = super::tap(&[&address, "-w", file, "--count", "1"]);
        client().run().ok();
        tap.finish().ok();
        assert_ne!(program("tshark", ["-r", file, "-Y", "syslog"]).run().ok().text(), "");
    }
}
