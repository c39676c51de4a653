//! The programs: replaced under load, killed, of another revision, and on another machine.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use stoop_testkit::{KillOnDrop, has_program, is_root, skip, spawn, tempdir};

const LIMIT: Duration = Duration::from_secs(30);
const HOST: &str = env!("CARGO_BIN_EXE_host");
const UPPER: &str = env!("CARGO_BIN_EXE_upper");
const REVERSE: &str = env!("CARGO_BIN_EXE_reverse");

fn start(command: &mut Command) -> KillOnDrop {
    KillOnDrop(spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped())).unwrap())
}

fn runtime(program: &str, socket: &Path, more: &[&str]) -> KillOnDrop {
    let mut child = start(Command::new(program).arg(socket).args(more));
    let name = Path::new(program).file_name().unwrap().to_str().unwrap();
    child.line(&format!("{name} is listening"), LIMIT);
    child
}

fn host(place: &Path) -> KillOnDrop {
    start(Command::new(HOST).arg(place))
}

fn say(host: &mut KillOnDrop, line: &str) {
    writeln!(host.0.stdin.as_mut().unwrap(), "{line}").unwrap();
}

/// Sends a command, and returns the host's next line with this prefix.
fn ask(host: &mut KillOnDrop, line: &str, word: &str) -> String {
    say(host, line);
    host.line(word, LIMIT)
}

#[test]
fn runtimes_are_found_by_their_sockets() {
    let directory = tempdir();
    let mut host = host(directory.path());
    assert_eq!(ask(&mut host, "list", "runtimes:"), "{}");
    let _upper = runtime(UPPER, &directory.path().join("a.sock"), &[]);
    let _reverse = runtime(REVERSE, &directory.path().join("b.sock"), &[]);
    assert_eq!(ask(&mut host, "list", "runtimes:"), r#"{"a", "b"}"#);
    assert_eq!(ask(&mut host, "run a hello", "a: "), "upper speaks revision 2");
    assert_eq!(host.line("a: ", LIMIT), "HELLO (by upper)");
    assert_eq!(ask(&mut host, "run b hello", "b: olleh"), "(by reverse)");
}

#[test]
fn one_replaces_the_other_under_load() {
    let directory = tempdir();
    let socket = directory.path().join("default.sock");
    let mut upper = runtime(UPPER, &socket, &[]);
    let mut host = host(directory.path());
    ask(&mut host, "load default 20000", "default: loaded");
    let mut reverse = runtime(REVERSE, &socket, &[]);
    upper.line("upper exited: HandedOver", LIMIT);
    assert!(upper.finish(LIMIT).success());
    let mut upper = runtime(UPPER, &socket, &[]);
    reverse.line("reverse exited: HandedOver", LIMIT);
    assert_eq!(host.line("default: 20000 calls,", LIMIT), r#"0 failed, by {"reverse", "upper"}"#);
    assert_eq!(ask(&mut host, "run default hello", "default: HELLO"), "(by upper)");
    drop(upper.0.kill());
}

#[test]
fn a_killed_runtime_affects_only_its_callers() {
    let directory = tempdir();
    let (mine, other) = (directory.path().join("mine.sock"), directory.path().join("other.sock"));
    let mut dying = runtime(UPPER, &mine, &[]);
    let _other = runtime(UPPER, &other, &[]);
    let mut host = host(directory.path());
    assert_eq!(ask(&mut host, "follow mine one two three four five six seven eight nine", "mine: O"), "NE");
    dying.0.kill().unwrap();
    host.line("mine: unavailable:", LIMIT);
    assert_eq!(ask(&mut host, "run other hello", "other: HELLO"), "(by upper)");
    // No runtime is running for longer than a call waits.
    ask(&mut host, "run mine hello", "mine: unavailable:");
    // Its socket file remains, and a successor takes it over.
    let _successor = runtime(REVERSE, &mine, &[]);
    assert_eq!(ask(&mut host, "run mine hello", "mine: olleh"), "(by reverse)");
}

#[test]
fn versions_are_agreed_on() {
    let directory = tempdir();
    let _old = runtime(UPPER, &directory.path().join("old.sock"), &["--speaks", "1"]);
    let _new = runtime(UPPER, &directory.path().join("new.sock"), &["--speaks", "7,8"]);
    let mut host = host(directory.path());
    assert_eq!(ask(&mut host, "run old hello", "old: "), "upper speaks revision 1");
    assert_eq!(
        ask(&mut host, "run new hello", "new: FailedPrecondition:"),
        "upper speaks [7, 8], the host speaks [1, 2]"
    );
}

#[test]
fn tools_find_what_they_look_for() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    use tonic_reflection::pb::v1::{ServerReflectionRequest, ServiceResponse};

    let directory = tempdir();
    let socket = directory.path().join("upper.sock");
    let _upper = runtime(UPPER, &socket, &[]);
    let asked = async move {
        let channel = stoop_grpc::connect(socket.as_path()).await.unwrap();
        let health = HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await;
        assert_eq!(health.unwrap().into_inner().status, 1, "SERVING");
        let list = ServerReflectionRequest {
            message_request: Some(MessageRequest::ListServices(String::new())),
            ..Default::default()
        };
        let mut answers = ServerReflectionClient::new(channel)
            .server_reflection_info(tokio_stream::once(list))
            .await
            .unwrap();
        let answer = answers.get_mut().message().await.unwrap().unwrap().message_response;
        let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
        let names: Vec<_> = list.service.into_iter().map(|ServiceResponse { name }| name).collect();
        assert!(names.contains(&"lecture.runtime.v1.Runtime".to_owned()), "{names:?}");
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    stoop_testkit::deadline(LIMIT, move || runtime.block_on(asked));
}

/// Two network namespaces joined by a veth pair, deleted on drop.
struct Cable {
    names: [String; 2],
}

impl Cable {
    fn new() -> Cable {
        let cable = Cable { names: ["a", "b"].map(|end| format!("stoop-{end}-{}", std::process::id())) };
        let [a, b] = &cable.names;
        for end in [a, b] {
            ip(&["netns", "add", end]);
        }
        ip(&["-n", a, "link", "add", "veth0", "type", "veth", "peer", "name", "veth0", "netns", b]);
        for (end, address) in [(a, "10.77.0.1/24"), (b, "10.77.0.2/24")] {
            ip(&["-n", end, "address", "add", address, "dev", "veth0"]);
            ip(&["-n", end, "link", "set", "veth0", "up"]);
        }
        cable
    }

    fn within(&self, end: usize, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.names[end], program]);
        command
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "delete", name]).status();
        }
    }
}

fn ip(arguments: &[&str]) {
    assert!(Command::new("ip").args(arguments).status().unwrap().success(), "ip {arguments:?}");
}

/// A certificate authority, and the certificates that it has signed.
fn certificates(directory: &Path) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let write = |name: &str, text: String| std::fs::write(directory.join(name), text).unwrap();
    write("ca.pem", authority.self_signed(&key).unwrap().pem());
    let issuer = Issuer::new(authority, key);
    for name in ["upper", "host"] {
        let key = KeyPair::generate().unwrap();
        let subject = CertificateParams::new(vec!["10.77.0.1".to_owned(), name.to_owned()]).unwrap();
        write(&format!("{name}.pem"), subject.signed_by(&key, &issuer).unwrap().pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
}

#[test]
fn another_machine_is_another_address() {
    if !is_root() || !has_program("ip") {
        skip!("lacks root and ip, to make network namespaces");
    }
    let (ours, theirs) = (tempdir(), tempdir());
    certificates(ours.path());
    certificates(theirs.path());
    let cable = Cable::new();
    let address = "https://10.77.0.1:8443";
    let mut upper = start(cable.within(0, UPPER).args([address, "--tls"]).arg(ours.path()));
    upper.line("upper is listening", LIMIT);
    let mut host = start(cable.within(1, HOST).args([address, "--tls"]).arg(ours.path()));
    assert_eq!(ask(&mut host, "run remote hello", "remote: HELLO"), "(by upper)");
    assert_eq!(ask(&mut host, "load remote 1000", "remote: 1000 calls,"), r#"0 failed, by {"upper"}"#);
    // A host without a certificate of the authority is refused.
    let mut stranger = start(cable.within(1, HOST).args([address, "--tls"]).arg(theirs.path()));
    say(&mut stranger, "run remote hello");
    let said = stranger.line("remote: ", LIMIT);
    assert!(!said.contains("HELLO"), "{said}");
}
