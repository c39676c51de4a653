//! Situations of daemons, with real programs: what is said of them, and to whom.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use stoop_e2e::{Run, Running, binary, program, stoop, stoop_as};
use stoop_testkit::{NOBODY, has_program, is_root, public_tempdir, skip};

/// A Python program that binds `app.sock` in a directory, listens and does something else then.
fn server(directory: &Path, then: &str) -> Running {
    let script = format!(
        "import os, socket, sys; s = socket.socket(socket.AF_UNIX); s.bind('app.sock'); s.listen(); {then}; \
         print('ready', flush=True); sys.stdin.read()"
    );
    let server = program("python3", ["-c", &script]).inside(directory).open_input().spawn();
    server.wait_stdout("ready");
    server
}

fn has_python() -> bool {
    is_root() && has_program("python3")
}

#[test]
fn a_server_whose_working_directory_was_removed_is_named() {
    if !has_python() {
        skip!("lacks root or python3");
    }
    let dir = public_tempdir();
    let work = dir.path().join("work");
    fs::create_dir(&work).unwrap();
    let server = server(&work, "pass");
    fs::remove_dir_all(&work).unwrap();
    let socket = work.join("app.sock");
    let asks = || {
        let text = stoop(["why"]).arg(&socket).run().code(1).text();
        assert!(text.contains("the socket file was removed"), "{text}");
        assert!(text.contains(&format!("process {}", server.pid())) && !text.contains("mkdir"), "{text}");
    };
    asks();
    // Of another directory with the same name, nothing is claimed either.
    fs::create_dir(&work).unwrap();
    asks();
}

#[test]
fn a_server_that_left_its_directory_has_moved_nothing() {
    if !has_python() {
        skip!("lacks root or python3");
    }
    let dir = public_tempdir();
    let [start, now] = ["start", "now"].map(|name| dir.path().join(name));
    fs::create_dir(&start).unwrap();
    fs::create_dir(&now).unwrap();
    let _server = server(&start, "os.chdir('../now')");
    let text = stoop(["why"]).arg(now.join("app.sock")).run().code(1).text();
    assert!(text.contains("the relative path 'app.sock'") && !text.contains("moved"), "{text}");
    assert!(text.contains(&format!("stoop connect {}", start.join("app.sock").display())), "{text}");
}

/// In a mount namespace that shows a directory, which its daemon then replaces.
#[test]
fn a_mount_of_a_directory_that_was_replaced_is_said_to_be_one() {
    if !is_root() || !has_program("unshare") {
        skip!("lacks root or unshare");
    }
    let dir = public_tempdir();
    let [real, view] = ["real", "view"].map(|name| dir.path().join(name));
    fs::create_dir(&real).unwrap();
    fs::create_dir(&view).unwrap();
    let (from, to) = (real.display(), view.display());
    let script = format!("mount --bind {from} {to} && echo ready && exec cat");
    let container = ["-m", "--propagation", "private", "sh", "-c", &script];
    let container = program("unshare", container).open_input().spawn();
    container.wait_stdout("ready");
    fs::remove_dir_all(&real).unwrap();
    fs::create_dir(&real).unwrap();
    let _server = UnixListener::bind(real.join("app.sock")).unwrap();
    let pid = container.pid().to_string();
    let text = stoop(["why", "--pid", &pid]).arg(view.join("app.sock")).run().code(1).text();
    assert!(
        text.contains("was removed while it was in use") && text.contains("it is mounted there"),
        "{text}"
    );
    assert!(text.contains("restart the container") && !text.contains("cd /"), "{text}");
}

/// For a user who may not see all network namespaces, a name is not nowhere.
#[test]
fn a_stranger_is_not_told_that_an_abstract_name_does_not_exist() {
    if !is_root() {
        skip!("lacks root");
    }
    let name = format!("@stoop-e2e-nowhere-{}", std::process::id());
    let unseen = stoop_as(NOBODY, ["who", &name]).run().code(1);
    unseen.explains(&["visible from here", "sudo stoop who"]);
    let failed = stoop_as(NOBODY, ["connect", &name]).run().code(3);
    failed.explains(&["in this network namespace", "next: sudo stoop why"]);
    assert!(!failed.stderr.contains("seqpacket"), "no kind was asked for: {}", failed.stderr);
}

fn without_proc<const N: usize>(args: [&str; N]) -> Run {
    let script = "umount -l /proc; exec \"$@\"";
    stoop(args).under("unshare", ["-m", "--propagation", "private", "sh", "-c", script, "sh"])
}

#[test]
fn the_kernels_error_is_the_kernels_without_proc_too() {
    if !is_root() || !has_program("unshare") {
        skip!("lacks root or unshare");
    }
    let dir = public_tempdir();
    let socket = dir.path().join("app.sock");
    drop(UnixListener::bind(&socket).unwrap());
    let failed = without_proc(["connect", socket.to_str().unwrap()]).run().code(3);
    failed.explains(&["ECONNREFUSED", "the kernel refuses it", "/proc"]);
    assert!(!failed.stderr.contains("decided this itself"), "{}", failed.stderr);
}

/// A user without an id in its own user namespace is not asked about by number.
#[test]
fn an_unmapped_user_is_no_number() {
    if !is_root() || !has_program("unshare") || !has_program("setpriv") {
        skip!("lacks root, unshare or setpriv");
    }
    let dir = public_tempdir();
    let [socket, stoop] = ["app.sock", "stoop"].map(|name| dir.path().join(name));
    // Where that user may start it.
    fs::copy(binary(), &stoop).unwrap();
    fs::set_permissions(&stoop, fs::Permissions::from_mode(0o755)).unwrap();
    let _server = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o660)).unwrap();
    let as_user = ["--reuid=4001", "--regid=4001", "--clear-groups", "unshare", "-U"];
    let asked = program("setpriv", as_user).arg(&stoop).arg("why").arg(&socket).run().code(6);
    let text = asked.text();
    assert!(text.contains("is not visible") && !text.contains("--as"), "{text}");
}

/// Advice for a user whose working directory is below one that they may not search.
#[test]
fn a_shut_out_user_gets_relative_paths() {
    if !is_root() || !has_program("setpriv") {
        skip!("lacks root or setpriv");
    }
    let (reachable, shut) = (public_tempdir(), public_tempdir());
    let stoop = reachable.path().join("stoop");
    fs::copy(binary(), &stoop).unwrap();
    fs::set_permissions(&stoop, fs::Permissions::from_mode(0o755)).unwrap();
    let inside = shut.path().join("inside");
    fs::create_dir(&inside).unwrap();
    fs::set_permissions(&inside, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(inside.join("app.sock"), "data").unwrap();
    fs::set_permissions(shut.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let as_user = ["--reuid=4001", "--regid=4001", "--clear-groups"];
    let asked =
        program("setpriv", as_user).arg(&stoop).arg("why").arg("app.sock").args(["--op", "bind", "--json"]);
    let verdict = asked.inside(&inside).run().code(1).json();
    assert_eq!(verdict[0]["next"], serde_json::json!(["ls -ld ./app.sock"]), "{verdict:?}");
    program("setpriv", as_user).args(["sh", "-c", "ls -ld ./app.sock"]).inside(&inside).run().code(0);
}

/// What could not be opened for lack of file descriptors would look as if it were not there.
#[test]
fn too_few_file_descriptors_are_named() {
    let dir = public_tempdir();
    let socket = dir.path().join("app.sock");
    let _server = UnixListener::bind(&socket).unwrap();
    let limited = |limit: &str, args: &[&str]| {
        let script = format!("ulimit {limit}; exec \"$@\"");
        stoop(args).arg(&socket).under("sh", ["-c", &script, "sh"]).run()
    };
    let why = limited("-n 8", &["why"]).code(6);
    why.explains(&["cannot inspect", "RLIMIT_NOFILE is 8", "this shell"]);
    for verb in ["who", "ls"] {
        limited("-n 8", &[verb]).code(6).explains(&["RLIMIT_NOFILE is 8; next: "]);
    }
    // A limit that may be raised without privilege is.
    let text = limited("-S -n 8", &["why"]).code(0).text();
    assert!(text.contains("would succeed"), "{text}");
}

/// As in a container with a socket of the host.
#[test]
fn a_full_backlog_of_a_server_that_is_not_visible_has_a_next_step() {
    if !is_root() || !has_program("unshare") {
        skip!("lacks root or unshare");
    }
    let dir = public_tempdir();
    let socket = dir.path().join("app.sock");
    let server = stoop::Bind::new(&socket).backlog(0).listen().unwrap();
    let _waiting = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    let inside = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    let text = stoop(["why"]).arg(&socket).under("unshare", inside).run().code(1).text();
    assert!(text.contains("backlog is full") && text.contains("next: # ask where its server runs"), "{text}");
    drop(server);
}

/// A file with other line ends, a value in quotes, the options of another program, the path of a
/// request: what is in front of it is the address.
#[test]
fn what_is_behind_the_address_of_a_live_socket_is_not_part_of_it() {
    let dir = public_tempdir();
    let socket = dir.path().join("app.sock");
    let _server = UnixListener::bind(&socket).unwrap();
    for tail in ["\r", " ", "'", ",mode=600", ":/v1", ":", "|fcgi", "?a=b"] {
        let text = stoop(["why"]).arg(format!("{}{tail}", socket.display())).run().code(1).text();
        let next: Vec<&str> =
            text.lines().filter_map(|line| line.split_once("next: ")).map(|it| it.1).collect();
        let expected = format!("stoop why {}", socket.display());
        assert!(next.first().is_some_and(|next| next.starts_with(&expected)), "{tail:?}: {text}");
        // Serving there would not help who has this address in a file.
        assert!(!text.contains("stoop serve"), "{tail:?}: {text}");
    }
}
