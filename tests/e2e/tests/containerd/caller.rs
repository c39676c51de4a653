//! Two ways to make the same call: the command, and the library.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;
use stoop_dynamic::json::{self, Style};
use stoop_dynamic::{CallError, Client, MetadataMap, Options, Schema, metadata};
use stoop_e2e::{Run, Running, stoop};

/// The reason for a refusal: it contains the name or the number of the status code.
pub type Refused = String;

/// A stream of messages that does not end.
pub trait Watch {
    /// The messages so far.
    fn so_far(&self) -> Vec<Value>;
}

/// Calls methods of a server.
pub trait Caller {
    /// Calls a method with these messages, and returns all responses.
    fn call(&self, method: &str, requests: &[Value], metadata: &[&str]) -> Result<Vec<Value>, Refused>;

    /// Calls a method whose responses do not end.
    fn watch(&self, method: &str, metadata: &[&str]) -> Box<dyn Watch>;

    /// Calls a method that has one response.
    #[track_caller]
    fn one(&self, method: &str, request: Value) -> Value {
        let answers =
            self.call(method, &[request], &[]).unwrap_or_else(|refused| panic!("{method}: {refused}"));
        let [answer] = &answers[..] else { panic!("{method}: {answers:?}") };
        answer.clone()
    }
}

/// Through `stoop grpc`.
pub struct Command {
    pub socket: PathBuf,
}

impl Command {
    fn run(&self, method: &str, metadata: &[&str]) -> Run {
        let run = stoop(["grpc"]).arg(&self.socket).args([method, "-", "--json-lines"]);
        metadata.iter().fold(run, |run, pair| run.args(["-H", pair]))
    }
}

impl Caller for Command {
    fn call(&self, method: &str, requests: &[Value], metadata: &[&str]) -> Result<Vec<Value>, Refused> {
        let lines: String = requests.iter().map(|request| format!("{request}\n")).collect();
        let output = self.run(method, metadata).input(lines).run();
        match output.code {
            Some(0) => Ok(lines_of(&output.stdout)),
            Some(1) => Err(output.stderr),
            _ => panic!("{method}: {}", output.stderr),
        }
    }

    fn watch(&self, method: &str, metadata: &[&str]) -> Box<dyn Watch> {
        Box::new(self.run(method, metadata).input("{}").spawn())
    }
}

impl Watch for Running {
    fn so_far(&self) -> Vec<Value> {
        let bytes = self.stdout();
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        lines_of(&bytes[..whole])
    }
}

fn lines_of(bytes: &[u8]) -> Vec<Value> {
    let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    std::str::from_utf8(bytes).expect("JSON is text").lines().map(line).collect()
}

/// Through `stoop_grpc::connect` and `stoop_dynamic`.
pub struct Library {
    pub socket: PathBuf,
}

impl Caller for Library {
    fn call(&self, method: &str, requests: &[Value], metadata: &[&str]) -> Result<Vec<Value>, Refused> {
        let answers = Mutex::new(Vec::new());
        let result =
            talk(&self.socket, method, requests, metadata, |answer| answers.lock().unwrap().push(answer));
        match result {
            Ok(()) => Ok(answers.into_inner().unwrap()),
            Err(error @ CallError::Answered(_)) => Err(error.to_string()),
            Err(error) => panic!("{method}: {error}"),
        }
    }

    fn watch(&self, method: &str, metadata: &[&str]) -> Box<dyn Watch> {
        let answers = Arc::new(Mutex::new(Vec::new()));
        let (socket, method) = (self.socket.clone(), method.to_owned());
        let metadata: Vec<String> = metadata.iter().map(|&pair| pair.to_owned()).collect();
        let heard = Arc::clone(&answers);
        // Ends with the server.
        thread::spawn(move || {
            let metadata: Vec<&str> = metadata.iter().map(String::as_str).collect();
            let request = [Value::Object(serde_json::Map::new())];
            talk(&socket, &method, &request, &metadata, |answer| heard.lock().unwrap().push(answer))
        });
        Box::new(Heard(answers))
    }
}

struct Heard(Arc<Mutex<Vec<Value>>>);

impl Watch for Heard {
    fn so_far(&self) -> Vec<Value> {
        self.0.lock().unwrap().clone()
    }
}

/// One call by the library, on a connection of its own.
fn talk(
    socket: &Path,
    method: &str,
    requests: &[Value],
    pairs: &[&str],
    answer: impl Fn(Value),
) -> Result<(), CallError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let method = Schema::builtin().method(method, &[]).expect("a method that is built in");
        let requests: Vec<_> = requests
            .iter()
            .map(|request| json::read(&method.input(), &request.to_string()).expect("a message"))
            .collect();
        let mut map = MetadataMap::new();
        for pair in pairs {
            let (key, value) = pair.split_once(": ").expect("a pair");
            metadata::insert(&mut map, key, value).expect("metadata");
        }
        let channel = stoop_grpc::connect(socket).await.expect("a connection");
        let options = Options { metadata: map, ..Options::default() };
        let mut answers = Client::grpc(channel).call(&method, tokio_stream::iter(requests), options).await?;
        let style = Style { one_line: true, ..Style::default() };
        while let Some(message) = answers.message().await? {
            answer(serde_json::from_str(&style.text(&message)).expect("JSON"));
        }
        Ok(())
    })
}
