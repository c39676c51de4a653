//! A web server in the test's own process that does what it is told with each connection, even if
//! that is invalid.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use stoop_testkit::{TempDir, public_tempdir};

use crate::error_parts::Part;
use crate::run::{Output, Run, stoop};

/// A server that lives as long as the test. Every user may connect to its file.
#[derive(Debug)]
pub struct Web {
    /// Returns the path of its socket.
    pub path: String,
    _dir: TempDir,
}

/// A received request: its header, and its body.
pub type Heard = (String, Vec<u8>);

impl Web {
    /// Runs this for each connection, one after the other.
    #[track_caller]
    pub fn new(mut converse: impl FnMut(UnixStream) + Send + 'static) -> Web {
        let dir = public_tempdir();
        let path = dir.path().join("s").to_str().expect("a path that is text").to_owned();
        let listener = UnixListener::bind(&path).expect("bind a fresh path");
        thread::spawn(move || listener.incoming().flatten().for_each(&mut converse));
        Web { path, _dir: dir }
    }

    /// Reads a request's header, then sends this and closes.
    #[track_caller]
    pub fn answering(answer: impl Into<Vec<u8>>) -> Web {
        let answer = answer.into();
        Web::new(move |mut stream| {
            header(&mut stream);
            // If a client has already closed, the test handles that.
            let _ = stream.write_all(&answer);
        })
    }

    /// Passes on each request, and answers with nothing.
    #[track_caller]
    pub fn listening() -> (Web, Receiver<Heard>) {
        let (heard, requests) = mpsc::channel();
        let web = Web::new(move |mut stream| {
            let head = header(&mut stream);
            let mut body = vec![0; length(&head).unwrap_or(0)];
            if stream.read_exact(&mut body).is_ok()
                && stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").is_ok()
            {
                let _ = heard.send((head, body));
            }
        });
        (web, requests)
    }

    /// Returns `stoop http` with this server.
    pub fn ask(&self, words: &[&str]) -> Run {
        stoop(["http", &self.path]).args(words)
    }
}

/// Reads up to the empty line.
pub fn header(stream: &mut UnixStream) -> String {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        text.push(byte[0]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Returns the length of the body that a header announces.
pub fn length(head: &str) -> Option<usize> {
    let mut headers = head.lines().filter_map(|line| line.split_once(": "));
    headers.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?.1.parse().ok()
}

/// Returns a valid response with these headers, each with its line ending, and this body.
pub fn answer(headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    [format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n{headers}\r\n").as_bytes(), body].concat()
}

/// Panics unless it failed with this code and the error has every part, with each of these words
/// somewhere.
#[track_caller]
pub fn fails(output: Output, code: i32, words: &[&str]) {
    let output = output.fails(code, &[(Part::What, ""), (Part::Why, ""), (Part::Next, "")]);
    output.explains(words);
}
