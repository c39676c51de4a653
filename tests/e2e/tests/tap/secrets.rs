//! Nothing is written to a capture file that the text would not show.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use stoop_e2e::{LIMIT, program, socket_path, stoop, wait_served};
use stoop_testkit::{has_program, is_root, skip, tempdir};

use super::tap;

const SECRET: &str = "Zk7qPlanted9secretXw";
/// Of a user and the secret, and of the secret alone.
const IN_BASE64: [&str; 2] = ["dTpaazdxUGxhbnRlZDlzZWNyZXRYdw", "Wms3cVBsYW50ZWQ5c2VjcmV0WHc"];

/// Asserts that a secret is nowhere in a file, which Wireshark dissects without an error.
fn is_clean(file: &Path) {
    let bytes = std::fs::read(file).unwrap();
    let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    for text in [SECRET].iter().chain(&IN_BASE64) {
        // Neither is a part of it.
        assert!(!has(&text[..12]) && !has(&text[text.len() - 12..]), "{text}");
    }
    if has_program("tshark") {
        let file = file.to_str().unwrap();
        assert_eq!(program("tshark", ["-r", file, "-Y", "_ws.malformed"]).run().ok().text(), "");
    }
}

fn field(file: &Path, name: &str) -> Vec<String> {
    let file = file.to_str().unwrap();
    let text = program("tshark", ["-r", file, "-Y", name, "-T", "fields", "-e", name]).run().ok().text();
    text.lines().map(str::to_owned).collect()
}

/// Sends a conversation in pieces, which its server reads and does not answer.
fn send(place: &str, text: &str, piece: usize) {
    let mut stream = UnixStream::connect(place).unwrap();
    for piece in text.as_bytes().chunks(piece) {
        stream.write_all(piece).unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
    // It has received everything when it closes.
    stream.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn a_secret_that_comes_in_pieces_is_not_written() {
    needs_capture!();
    let (dir, place) = socket_path();
    let _server = stoop(["serve", &place, "--quiet", "--exec", "cat > /dev/null"]).spawn();
    wait_served(&place);
    let body = format!(r#"{{"user":"kept","Env":["KEY={SECRET}"],"auth":{{"identitytoken": "{SECRET}"}}}}"#);
    let http = format!(
        "POST /login?token={SECRET}&kept=1 HTTP/1.1\r\nAuthorization: Basic {}==\r\nCookie: s={SECRET}\r\n\
         X-Registry-Auth: {}=\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        IN_BASE64[0],
        IN_BASE64[1],
        body.len()
    );
    let redis = format!("*2\r\n$4\r\nAUTH\r\n${}\r\n{SECRET}\r\n*1\r\n$4\r\nPING\r\n", SECRET.len());
    let startup = "\0\0\0\x13\0\x03\0\0user\0kept\0\0";
    let postgres = format!("{startup}p\0\0\0{}{SECRET}\0", char::from(SECRET.len() as u8 + 5));
    let text = format!("hello, password={SECRET} kept\n");
    let file = dir.path().join("out.pcapng");
    let tap = tap(&[&place, "-w", file.to_str().unwrap()]);
    for piece in [3, 7, 64] {
        for text in [&http, &redis, &postgres, &text] {
            send(&place, text, piece);
        }
    }
    tap.terminate().ok();
    is_clean(&file);
    let seen = stoop(["tap", "-r", file.to_str().unwrap(), "--json"]).run().ok().json();
    let texts: Vec<&str> = seen.iter().filter_map(|line| line["text"].as_str()).collect();
    assert!(texts.contains(&"PING") && texts.iter().any(|text| text.contains("kept")), "{texts:?}");
    if has_program("tshark") {
        // Three bytes do not tell what it is, if the next ones come late.
        let methods = field(&file, "http.request.method");
        assert!(methods.len() >= 2 && methods.iter().all(|method| method == "POST"), "{methods:?}");
        assert!(
            field(&file, "http.authorization").iter().all(|value| value.bytes().all(|byte| byte == b'*'))
        );
    }
}

#[test]
fn a_secret_in_compressed_headers_or_in_a_message_is_not_written() {
    needs_capture!();
    let (dir, place) = socket_path();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (_health, routes) = stoop_grpc::health(tonic::service::Routes::default());
    let address = stoop_grpc::Endpoint::try_from(place.as_str()).unwrap();
    let incoming = runtime.block_on(address.listen(|bind| bind)).unwrap();
    runtime.spawn(stoop_grpc::Server::new(routes).serve(incoming, std::future::pending::<()>()));
    let file = dir.path().join("out.pcapng");
    let tap = tap(&[&place, "-w", file.to_str().unwrap()]);
    let header = format!("authorization: Bearer {SECRET}");
    let call = |method: &str, request: &str| {
        stoop(["grpc", &place, "--builtin", "-H", &header, "-H", "x-kept: visible", method, request]).run()
    };
    call("grpc.health.v1.Health/Check", "{}").ok();
    let pull =
        format!(r#"{{"image": {{"image": "kept"}}, "auth": {{"username": "u", "password": "{SECRET}"}}}}"#);
    let unimplemented = 64 + 12;
    call("runtime.v1.ImageService/PullImage", &pull).code(unimplemented);
    tap.terminate().ok();
    is_clean(&file);
    if has_program("tshark") {
        let values = field(&file, "http2.headers.authorization");
        let is_masked = |value: &String| !value.is_empty() && value.bytes().all(|byte| byte == b'*');
        assert!(values.len() >= 2 && values.iter().all(is_masked), "{values:?}");
        let paths = field(&file, "http2.headers.path");
        assert_eq!(paths[..2], ["/grpc.health.v1.Health/Check", "/runtime.v1.ImageService/PullImage"]);
    }
}

/// The lines that a connection brings, up to one that begins like this.
fn read_until(stream: &mut UnixStream, begin: &str) -> String {
    let (mut seen, mut byte) = (Vec::new(), [0]);
    loop {
        stream.read_exact(&mut byte).unwrap();
        seen.push(byte[0]);
        let text = String::from_utf8_lossy(&seen);
        if text.ends_with('\n') && text.lines().last().is_some_and(|line| line.starts_with(begin)) {
            return text.into_owned();
        }
    }
}

#[test]
fn a_passphrase_of_gnupg_is_not_shown_or_written_though_its_inquiry_was_not_seen() {
    needs_capture!();
    if !has_program("gpg-agent") {
        skip!("lacks gpg-agent");
    }
    let dir = tempdir();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    // It ends with the program that it starts.
    let options = ["--allow-loopback-pinentry", "--daemon", "sleep", "600"];
    let _server = program("gpg-agent", ["--homedir"]).arg(dir.path()).args(options).spawn();
    let place = dir.path().join("S.gpg-agent");
    wait_served(&place);
    let place = place.to_str().unwrap();
    let mut client = UnixStream::connect(place).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    read_until(&mut client, "OK");
    let mut ask = |line: &str, until: &str| {
        client.write_all(format!("{line}\n").as_bytes()).unwrap();
        read_until(&mut client, until)
    };
    ask("OPTION pinentry-mode=loopback", "OK");
    let inquiry = ask("GET_PASSPHRASE --data X X X X", "INQUIRE");
    assert!(inquiry.contains("INQUIRE PASSPHRASE"), "{inquiry}");
    let file = dir.path().join("out.pcapng");
    let (shown, written) = (tap(&[place, "--json"]), tap(&[place, "-w", file.to_str().unwrap()]));
    let answer = ask(&format!("D {SECRET}\nEND"), "OK");
    assert!(answer.contains(SECRET), "{answer}");
    let version = ask("GETINFO version", "OK");
    ask("KILLAGENT", "OK");
    written.terminate().ok();
    let lines = shown.terminate().ok().json();
    is_clean(&file);
    let texts: Vec<&str> = lines.iter().filter_map(|line| line["text"].as_str()).collect();
    let said = [
        "D [redacted]",
        "END",
        "D [redacted]",
        "OK",
        "GETINFO version",
        version.lines().next().unwrap(),
        "OK",
    ];
    assert_eq!(texts[..said.len()], said, "{lines:?}");
    let answered = lines.iter().find(|line| line["event"] == "response").unwrap();
    assert_eq!((&answered["method"], &answered["protocol"]), (&"GETINFO".into(), &"assuan".into()));
}
