//! Completion in bash, zsh and fish, each on a terminal of its own, and as their scripts ask.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use stoop_e2e::{binary, program, stoop, verbs};
use stoop_testkit::{TempDir, has_program, skip, tempdir};

/// The start-up file of each shell, which loads the script and sets a prompt.
const START: [(&str, &str, &str); 3] = [
    (
        "bash",
        "bashrc",
        "PS1='READY '; bind 'set bell-style none' 'set enable-bracketed-paste off'; source \"$HOME/script\"",
    ),
    (
        "zsh",
        ".zshrc",
        "PS1='READY '; unsetopt beep; autoload -Uz compinit; compinit -u -D; source \"$HOME/script\"",
    ),
    (
        "fish",
        ".config/fish/config.fish",
        "function fish_prompt; echo 'READY '; end\nset -g fish_greeting\nsource $HOME/script",
    ),
];

/// Creates a home directory for a shell, and a `stoop` that completes, and otherwise prints its
/// arguments.
fn home(shell: &str) -> TempDir {
    let home = tempdir();
    let (_, start, text) = START.iter().find(|(name, ..)| *name == shell).expect("a known shell");
    let start = home.path().join(start);
    fs::create_dir_all(start.parent().unwrap()).unwrap();
    fs::write(start, text).unwrap();
    fs::write(home.path().join("script"), stoop(["completions", shell]).run().ok().stdout).unwrap();
    let wrapper = format!(
        "#!/bin/sh\n[ \"$1\" = complete ] && exec '{}' \"$@\"\nprintf RAN; printf '[%s]' \"$@\"; echo\n",
        binary().display()
    );
    fs::create_dir(home.path().join("bin")).unwrap();
    let path = home.path().join("bin/stoop");
    fs::write(&path, wrapper).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    home
}

/// Returns a directory with sockets, and with what is not one.
fn sockets() -> (TempDir, Vec<UnixListener>) {
    let directory = tempdir();
    let listeners =
        ["one.sock", "with space.sock"].map(|name| UnixListener::bind(directory.path().join(name)).unwrap());
    fs::write(directory.path().join("one.text"), "no socket").unwrap();
    (directory, listeners.into())
}

/// A schema that is not built in.
const PROTO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/talk.proto");

/// Serves gRPC with reflection at `live.sock`, for as long as the returned runtime exists.
fn live(directory: &Path) -> tokio::runtime::Runtime {
    let set = stoop_dynamic::Schema::from_protos(&[PROTO], &[]).unwrap().pool().encode_to_vec();
    let routes = stoop_grpc::reflection(tonic::service::Routes::default(), &[&set]).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let endpoint = stoop_grpc::Endpoint::try_from(directory.join("live.sock").as_path()).unwrap();
    let incoming = runtime.block_on(endpoint.listen(|bind| bind)).unwrap();
    runtime.spawn(stoop_grpc::Server::new(routes).serve(incoming, std::future::pending::<()>()));
    runtime
}

/// Types lines into a shell, each with a Tab at its end, and compares what is run.
#[track_caller]
fn types(shell: &str, cases: &[(&str, &str)]) {
    let home = home(shell);
    let (directory, _listeners) = sockets();
    let _server = live(directory.path());
    let path = format!("{}:{}", home.path().join("bin").display(), std::env::var("PATH").unwrap());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/completion.py");
    // Each run has a deadline.
    for part in cases.chunks(4) {
        program("python3", [Path::new(script), Path::new(shell), home.path()])
            .args(part.iter().map(|(line, expected)| format!("{line} => RAN{expected}")))
            .env("PATH", &path)
            .env("HOME", home.path())
            .env("ZDOTDIR", home.path())
            .env("XDG_CONFIG_HOME", home.path().join(".config"))
            .env("XDG_DATA_HOME", home.path().join(".local"))
            .env("TERM", "xterm")
            // The machine may be busy.
            .env("STOOP_COMPLETE_TIMEOUT", "10s")
            .inside(directory.path())
            .run()
            .ok();
    }
}

/// Lines that every shell completes in the same way.
const LINES: [(&str, &str); 13] = [
    ("stoop clo", "[close]"),
    ("stoop ls --kind dg", "[ls][--kind][dgram]"),
    ("stoop ls --kind=dg", "[ls][--kind=dgram]"),
    ("stoop ls --columns address,ki", "[ls][--columns][address,kind]"),
    ("stoop who ./one", "[who][./one.sock]"),
    ("stoop who dgram:./one", "[who][dgram:./one.sock]"),
    ("stoop who ./with", "[who][./with space.sock]"),
    ("stoop who dock", "[who][docker]"),
    ("stoop serve ./x --owner roo", "[serve][./x][--owner][root]"),
    ("stoop man clo", "[man][close]"),
    ("stoop http docker DEL", "[http][docker][DELETE]"),
    ("stoop grpc ./live.sock stoop.test.Talk/Sl", "[grpc][./live.sock][stoop.test.Talk/Slow]"),
    ("stoop bench --transports stream,memory-s", "[bench][--transports][stream,memory-spin]"),
];

#[test]
fn bash_completes_on_a_terminal() {
    if !has_program("bash") {
        skip!("lacks bash");
    }
    types("bash", &LINES);
}

#[test]
fn zsh_completes_on_a_terminal() {
    if !has_program("zsh") {
        skip!("lacks zsh");
    }
    types("zsh", &LINES);
}

#[test]
fn fish_completes_on_a_terminal() {
    if !has_program("fish") {
        skip!("lacks fish");
    }
    types("fish", &LINES);
}

/// Returns the candidates with their descriptions for the last of these words.
fn candidates(words: &[&str]) -> Vec<String> {
    let (directory, _listeners) = sockets();
    let text = stoop(["complete", "fish", "--"]).args(words).inside(directory.path()).run().ok().text();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn only_sockets_and_directories_are_offered_for_an_address() {
    let names: Vec<String> = candidates(&["connect", "./"]);
    assert_eq!(names, ["./one.sock\t", "./with space.sock\t"]);
    assert_eq!(candidates(&["send", "./one.sock", "--file", "one."]), ["one.sock\t", "one.text\t"]);
}

#[test]
fn methods_are_those_of_the_server() {
    let directory = tempdir();
    let _server = live(directory.path());
    let offered = |words: &[&str]| {
        let run = stoop(["complete", "fish", "--", "grpc", "./live.sock"]).args(words);
        run.inside(directory.path()).env("STOOP_COMPLETE_TIMEOUT", "10s").run().ok().text()
    };
    assert!(offered(&[""]).contains("stoop.test.Talk/Chat\tstream Word > stream Word\n"));
    assert!(!offered(&[""]).contains("runtime.v1"), "those of the server only");
    assert_eq!(offered(&["Coun"]), "Count\t\n");
    let listed = "grpc.reflection.v1.ServerReflection\tservice\nstoop.test.Talk\tservice\n";
    assert_eq!(offered(&["list", ""]), listed);
    assert!(offered(&["describe", "stoop.test.Wo"]).starts_with("stoop.test.Word\tmessage\n"));
}

/// A server that does not answer costs little time, and the built-in methods are offered.
#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let directory = tempdir();
    let _listener = UnixListener::bind(directory.path().join("mute.sock")).unwrap();
    for address in ["./mute.sock", "./none.sock"] {
        let words = ["complete", "fish", "--", "grpc", address, "grpc.health.v1.Health/W"];
        // The machine may be busy.
        let run = stoop(words).inside(directory.path()).env("STOOP_COMPLETE_TIMEOUT", "4s").run().ok();
        assert_eq!(
            run.text(),
            "grpc.health.v1.Health/Watch\tHealthCheckRequest > stream HealthCheckResponse\n"
        );
    }
}

#[test]
fn paths_are_those_of_the_service() {
    let offered = candidates(&["http", "docker", "/ver"]);
    assert_eq!(offered, ["/version\tits version"]);
    assert_eq!(candidates(&["http", "docker", "POST", "/v1.43/commi"]).len(), 1);
    assert_eq!(candidates(&["http", "./one.sock", "/ver"]), [""; 0]);
}

#[test]
fn abstract_names_are_offered() {
    let name = format!("stoop-completion-{}", std::process::id());
    let address =
        <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(&name);
    let _listener = UnixListener::bind_addr(&address.unwrap()).unwrap();
    assert_eq!(candidates(&["who", &format!("@{name}")]), [format!("@{name}\tstream")]);
}

#[test]
fn verbs_are_described() {
    assert!(candidates(&["tr"])[0].starts_with("tree\tShow the processes"));
}

/// Nothing that is typed makes the completion fail, or exceed the deadline of every run.
#[test]
fn a_completion_ends_soon_and_without_an_error() {
    for words in [
        &["nosuch", ""][..],
        &["ls", "--nosuch", ""],
        &["ls", "--", "--", ""],
        &[],
        &["who", "/proc/1/root/"],
        &["ls", "\u{1}%"],
    ] {
        let run = stoop(["complete", "zsh", "--"]).args(words).run();
        assert_eq!(run.stderr, "", "{words:?}");
        run.ok();
    }
}

/// Every verb is offered after the command, and only those that the help lists.
#[test]
fn every_verb_is_completed() {
    let offered: Vec<String> =
        candidates(&[""]).iter().map(|line| line.split('\t').next().unwrap().to_owned()).collect();
    let mut expected = verbs();
    expected.push("help".into());
    assert_eq!(offered, expected);
}

/// The function of bash, called as bash calls it.
#[test]
fn bash_gets_every_candidate() {
    if !has_program("bash") {
        skip!("lacks bash");
    }
    let script = stoop(["completions", "bash"]).run().ok().text();
    let ask = format!(
        "\nstoop() {{ '{}' \"$@\"; }}\nCOMP_LINE='stoop ls --kind '; COMP_POINT=16; _stoop stoop '' --kind\n\
        printf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        binary().display()
    );
    let offered = program("bash", ["--norc", "/dev/stdin"]).input(script + &ask).run().ok().text();
    assert_eq!(offered, "stream\ndgram\nseqpacket\n");
}
