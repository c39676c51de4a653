//! exec, attach and port-forward.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use stoop_e2e::{LIMIT, binary, bytes, program};
use stoop_testkit::eventually;

use super::pod::Pod;

/// More than fits into the buffers on the way.
const MANY_BYTES: usize = 5 << 20;

pub fn exit_codes(pod: &Pod<'_>) {
    let script = "echo out; echo err >&2; exit 37";
    for how in [&["exec"][..], &["exec", "--sync"]] {
        let words: Vec<&str> = how.iter().copied().chain(["web", "sh", "-c", script]).collect();
        let output = pod.cri(&words).run().code(37);
        assert_eq!((output.text().as_str(), output.stderr.as_str()), ("out\n", "err\n"), "{words:?}");
    }
    assert_eq!(pod.text(&["exec", &pod.id[..5], "sh", "-c", "echo $0", "-x"]), "-x\n");
    pod.cri(&["exec", "web", "nosuch"]).run().code(3).explains(&["executable file not found"]);
}

pub fn input_and_output(pod: &Pod<'_>) {
    // The end of the input ends the command.
    pod.cri(&["exec", "-i", "web", "cat"]).input("word").run().ok().stdout_is(b"word");
    let many = bytes(MANY_BYTES, 1);
    pod.cri(&["exec", "-i", "web", "cat"]).input(many.clone()).run().ok().stdout_is(&many);
    // A command that does not read its input ends all the same.
    pod.cri(&["exec", "-i", "web", "sh", "-c", "exit 3"]).open_input().run().code(3);
    // Without -i, its input is not read.
    pod.cri(&["exec", "web", "cat"]).input("word").run().ok().stdout_is(b"");
}

pub fn a_terminal(pod: &Pod<'_>) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/shell.py");
    let run = program("python3", [script]).arg(binary()).args(["cri", "-r"]).arg(pod.containerd.socket());
    let output = run.args(["exec", "-it", "web", "sh"]).run().ok().text();
    assert_eq!(output, "size at the start\nsize after a change\nexit code\n");
    let piped = pod.cri(&["exec", "-it", "web", "sh"]).run().code(2);
    piped.explains(&["terminal"]);
}

pub fn attached(pod: &Pod<'_>) {
    let mut attached = pod.cri(&["attach", "-i", "web"]).open_input().spawn();
    // What is typed before it is attached would be lost.
    eventually(LIMIT, || {
        attached.say("word\n");
        String::from_utf8_lossy(&attached.stdout()).contains("word\n")
    });
    drop(attached.kill());
}

pub fn forwarded(pod: &Pod<'_>) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let listen = ["exec", "web", "/bin/busybox", "nc", "-ll", "-p", &free, "-e", "/bin/cat"];
    let server = pod.cri(&listen).spawn();
    let forwarding = pod.cri(&["port-forward", "web-pod", &format!(":{free}")]).spawn();
    forwarding.wait_stdout(&format!(" -> {free}\n"));
    let line = String::from_utf8(forwarding.stdout()).unwrap();
    let local = line.split_whitespace().find(|word| word.starts_with("127.0.0.1:")).unwrap();
    let asked = |word: &[u8]| {
        let mut client = TcpStream::connect(local).unwrap();
        client.set_read_timeout(Some(LIMIT)).unwrap();
        client.write_all(word).unwrap();
        let mut answer = vec![0; word.len()];
        client.read_exact(&mut answer)?;
        // containerd closes the rest a second after one direction has ended.
        client.shutdown(Shutdown::Write)?;
        client.read_to_end(&mut Vec::new()).map(|_| answer)
    };
    // The server may not listen yet.
    eventually(LIMIT, || asked(b"word").is_ok_and(|answer| answer == b"word"));
    let many = bytes(MANY_BYTES / 5, 2);
    assert!(asked(&many).unwrap() == many);
    drop(forwarding.kill());
    drop(server.kill());
    let nobody = pod.cri(&["port-forward", "web-pod", "0:1"]).spawn();
    nobody.wait_stdout(" -> 1\n");
    let line = String::from_utf8(nobody.stdout()).unwrap();
    let local = line.split_whitespace().find(|word| word.starts_with("127.0.0.1:")).unwrap();
    let mut client = TcpStream::connect(local).unwrap();
    let _ = client.read(&mut [0]);
    nobody.wait_stderr("cannot forward to port 1");
    drop(nobody.kill());
}
