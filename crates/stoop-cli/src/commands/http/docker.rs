//! What Docker's API adds to HTTP: errors in the stream of a successful response, and processes
//! whose terminal has a size, and whose exit code is wanted. Pure.

use serde::Deserialize;
use serde_json::Value;

/// The longest line of a stream that is examined.
const MAX_LINE_BYTES: usize = 64 << 10;

/// Looks for errors in a stream of JSON objects, as of a pull or a build.
#[derive(Debug, Default)]
pub(super) struct ErrorWatch {
    line: Vec<u8>,
    /// The last error.
    error: Option<String>,
}

#[derive(Deserialize)]
struct Progress {
    #[serde(rename = "errorDetail")]
    error_detail: Detail,
}

#[derive(Deserialize)]
struct Detail {
    message: String,
}

impl ErrorWatch {
    /// Examines the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            if self.line.len() + piece.len() <= MAX_LINE_BYTES {
                self.line.extend_from_slice(piece);
            }
            if piece.ends_with(b"\n") {
                self.examine();
            }
        }
    }

    /// Returns the last error, if there was one.
    pub(super) fn finish(mut self) -> Option<String> {
        self.examine();
        self.error
    }

    fn examine(&mut self) {
        if let Ok(progress) = serde_json::from_slice::<Progress>(&self.line) {
            self.error = Some(progress.error_detail.message);
        }
        self.line.clear();
    }
}

/// A process whose streams a request attaches to: of an exec, or the first one of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    /// The path of its exec or container.
    base: String,
    is_exec: bool,
}

/// The state of a process.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    Running,
    Exited(u8),
    Unknown,
}

impl Process {
    /// Returns the process of a request that attaches to one, by its path.
    pub(super) fn of(path: &str) -> Option<Process> {
        let mut words = path.rsplit('/');
        let (verb, id, kind) = (words.next()?, words.next()?, words.next()?);
        let is_exec = match (kind, verb) {
            ("exec", "start") => true,
            ("containers", "attach") => false,
            _ => return None,
        };
        let base = path.strip_suffix(verb)?.strip_suffix('/')?;
        (!id.is_empty() && path.starts_with('/')).then(|| Process { base: base.to_owned(), is_exec })
    }

    /// Returns the target that sets the size of its terminal.
    pub(super) fn resize(&self, rows: u16, columns: u16) -> String {
        format!("{}/resize?h={rows}&w={columns}", self.base)
    }

    /// Returns the target that describes it.
    pub(super) fn inspect(&self) -> String {
        format!("{}/json", self.base)
    }

    /// Returns its state from its description.
    pub(super) fn state(&self, described: &[u8]) -> State {
        let Ok(value) = serde_json::from_slice::<Value>(described) else { return State::Unknown };
        let state = if self.is_exec { &value } else { &value["State"] };
        match (&state["Running"], state["ExitCode"].as_i64()) {
            (Value::Bool(true), _) => State::Running,
            // Never started: Docker says so, and has 0 as the code.
            (Value::Bool(false), _) if state["Status"] == "created" => State::Unknown,
            (Value::Bool(false), Some(code)) => u8::try_from(code).map_or(State::Unknown, State::Exited),
            _ => State::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_found_in_any_split() {
        let stream = b"{\"status\":\"Pulling\"}\r\n{\"errorDetail\":{\"message\":\"no such host\"},\"error\":\"x\"}\r\n";
        for size in 1..stream.len() {
            let mut watch = ErrorWatch::default();
            stream.chunks(size).for_each(|piece| watch.push(piece));
            assert_eq!(watch.finish().as_deref(), Some("no such host"), "pieces of {size}");
        }
        let mut watch = ErrorWatch::default();
        watch.push(b"{\"stream\":\"errorDetail\"}\n[1]\nnot json\n{\"errorDetail\":1}");
        watch.push(&vec![b'x'; 1 << 20]);
        assert!(watch.line.len() <= MAX_LINE_BYTES);
        assert_eq!(watch.finish(), None);
    }

    #[test]
    fn processes_are_found_by_the_path() {
        let exec = Process::of("/v1.41/exec/abc/start").unwrap();
        assert_eq!(exec.resize(40, 111), "/v1.41/exec/abc/resize?h=40&w=111");
        assert_eq!(exec.inspect(), "/v1.41/exec/abc/json");
        assert_eq!(Process::of("/containers/web/attach").unwrap().inspect(), "/containers/web/json");
        assert!(Process::of("/v4.0.0/libpod/exec/abc/start").is_some());
        for other in ["/exec//start", "/exec/abc/json", "/containers/web/start", "/start", "", "exec/a/start"]
        {
            assert_eq!(Process::of(other), None, "{other}");
        }
    }

    #[test]
    fn the_exit_code_is_known_after_the_exit() {
        let exec = Process::of("/exec/a/start").unwrap();
        assert_eq!(exec.state(br#"{"Running":true,"ExitCode":null}"#), State::Running);
        assert_eq!(exec.state(br#"{"Running":false,"ExitCode":7}"#), State::Exited(7));
        assert_eq!(exec.state(br#"{"message":"No such exec instance"}"#), State::Unknown);
        assert_eq!(exec.state(b"no"), State::Unknown);
        let container = Process::of("/containers/a/attach").unwrap();
        assert_eq!(
            container.state(br#"{"State":{"Status":"exited","Running":false,"ExitCode":0}}"#),
            State::Exited(0)
        );
        assert_eq!(
            container.state(br#"{"State":{"Status":"created","Running":false,"ExitCode":0}}"#),
            State::Unknown
        );
    }

    proptest::proptest! {
        #[test]
        fn any_path_and_stream_is_examined(path in "[/a-z.]*", bytes: Vec<u8>) {
            if let Some(process) = Process::of(&path) {
                process.state(&bytes);
            }
            let mut watch = ErrorWatch::default();
            watch.push(&bytes);
            watch.finish();
        }
    }
}
