//! Well-known services: live sockets elsewhere, files that describe further services, and where a
//! socket's file is mounted.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::Path;

use stoop_e2e::{Run, program, stoop};
use stoop_testkit::{NOBODY, has_program, is_root, tempdir};

const SHOP: &str = "what = \"the shop\"\nnames = [\"shop\"]\nsockets = [\"/run/no-such-shop/app.sock\"]\n";

/// Writes a file of services below a configuration directory.
fn describe(config: &Path, text: &str) -> std::path::PathBuf {
    let directory = config.join("stoop/services.d");
    fs::create_dir_all(&directory).unwrap();
    let file = directory.join("shop.toml");
    fs::write(&file, text).unwrap();
    file
}

fn why(config: &Path, address: &str) -> Run {
    stoop(["why", address]).env("XDG_CONFIG_HOME", config)
}

#[test]
fn a_live_socket_of_the_same_name_is_named() {
    let directory = tempdir();
    let there = directory.path().join("there");
    let here = directory.path().join("here");
    fs::create_dir(&there).unwrap();
    fs::create_dir(&here).unwrap();
    let name = "elsewhere-7301.sock";
    let _server = UnixListener::bind(there.join(name)).unwrap();
    let live = there.join(name).display().to_string();
    let missing = stoop(["why"]).arg(here.join(name)).run().code(1).text();
    assert!(missing.contains(&format!("a live socket of the same name is at '{live}'")), "{missing}");
    assert!(missing.contains(&format!("next: stoop why {live}")), "{missing}");
    // The directory, as some clients take it.
    let inside = stoop(["why"]).arg(&there).run().code(1).text();
    assert!(inside.contains(&format!("a live socket in this directory is at '{live}'")), "{inside}");
    // A server that ended is not alive, and neither is a file in its place.
    drop(_server);
    let missing = stoop(["why"]).arg(here.join(name)).run().code(1).text();
    assert!(!missing.contains("a live socket"), "{missing}");
}

#[test]
fn files_describe_further_services() {
    let config = tempdir();
    let file = describe(config.path(), SHOP);
    let named = why(config.path(), "shop").run().code(1).text();
    assert!(named.contains("this is the default address of the shop"), "{named}");
    fs::write(&file, format!("{SHOP}\ncolour = \"red\"\n")).unwrap();
    let wrong = why(config.path(), "/run/no-such-shop/app.sock").run().code(1);
    assert!(wrong.stderr.contains("is ignored: line 5: unknown key 'colour'"), "{}", wrong.stderr);
    assert!(!wrong.text().contains("the shop"));
}

#[test]
fn files_of_other_users_are_not_read() {
    let config = tempdir();
    let file = describe(config.path(), SHOP);
    fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
    let open = why(config.path(), "/run/no-such-shop/app.sock").run().code(1);
    assert!(open.stderr.contains("other users may write to it"), "{}", open.stderr);
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    if is_root() {
        chown(&file, Some(NOBODY), None).unwrap();
        let foreign = why(config.path(), "/run/no-such-shop/app.sock").run().code(1);
        assert!(foreign.stderr.contains("belongs to user"), "{}", foreign.stderr);
    }
}

#[test]
fn who_names_views_that_have_the_file_mounted() {
    if !is_root() || !has_program("unshare") {
        return;
    }
    let directory = tempdir();
    let [run, other] = ["run", "other"].map(|name| directory.path().join(name));
    fs::create_dir(&run).unwrap();
    fs::create_dir(&other).unwrap();
    let path = run.join("app.sock");
    let _server = UnixListener::bind(&path).unwrap();
    let line = || stoop(["who", "--json"]).arg(&path).run().ok().json().remove(0);
    assert!(line().get("mounted_in").is_none());
    let script = "mount --bind \"$0\" \"$1\" && echo mounted && exec cat";
    let container = program("unshare", ["-m", "sh", "-c", script]).arg(&run).arg(&other);
    let container = container.open_input().spawn();
    container.wait_stdout("mounted");
    let view = line()["mounted_in"][0].clone();
    assert_eq!(view["pid"], container.pid());
    assert_eq!(view["path"], other.join("app.sock").to_str().unwrap());
}
