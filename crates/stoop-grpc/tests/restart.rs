//! Servers that are replaced or restarted while clients in other languages call them. No call may
//! be lost.

mod common;

use std::collections::HashSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::harness::{hand_over, start, test};
use common::{MARKED, node, python};
use stoop::serve::End;
use stoop_testkit::KillOnDrop;

const LIMIT: Duration = Duration::from_secs(20);

/// The time between two replacements, so that calls are under way again.
const PAUSE: Duration = Duration::from_millis(200);

/// A client that keeps 64 calls under way.
struct Steady(KillOnDrop);

impl Steady {
    async fn start(mut client: Command) -> Steady {
        client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        tokio::task::spawn_blocking(move || {
            let mut client = KillOnDrop(stoop_testkit::spawn(&mut client).unwrap());
            client.line("calling", LIMIT);
            Steady(client)
        })
        .await
        .unwrap()
    }

    /// Stops the client. Returns how many calls succeeded, and the failed ones with their codes.
    async fn stop(mut self) -> (usize, Vec<String>) {
        drop(self.0.stdin.take());
        let report = tokio::task::spawn_blocking(move || self.0.line("report", LIMIT)).await.unwrap();
        let mut words = report.split(' ').map(str::to_owned);
        (words.next().unwrap().parse().unwrap(), words.collect())
    }
}

/// During a hand-over no call fails, although none of them waits for a server.
fn handed_over(client: impl Fn(&str) -> Option<Command> + Send + 'static) {
    test(async move |directory| {
        let (path, control) = (directory.join("app.sock"), directory.join("app.handover"));
        let Some(command) = client(path.to_str().unwrap()) else {
            stoop_testkit::skip!("lacks the client's language");
        };
        let mut server = hand_over(&path, &control).await;
        let client = Steady::start(command).await;
        for _ in 0..8 {
            tokio::time::sleep(PAUSE).await;
            let successor = hand_over(&path, &control).await;
            assert_eq!(server.task.await.unwrap().unwrap(), End::HandedOver);
            server = successor;
        }
        tokio::time::sleep(PAUSE).await;
        let (answered, failed) = client.stop().await;
        assert!(failed.is_empty(), "{} failed and {answered} did not: {failed:?}", failed.len());
        assert!(answered > 64, "{answered}");
        server.stop().await;
    });
}

/// During a restart no call fails that a server has begun.
fn restarted(tag: &'static str, client: impl Fn(&str) -> Option<Command> + Send + 'static) {
    test(async move |directory| {
        let path = directory.join("app.sock");
        let Some(command) = client(path.to_str().unwrap()) else {
            stoop_testkit::skip!("lacks the client's language");
        };
        let mut server = start(&path).await;
        let client = Steady::start(command).await;
        for _ in 0..8 {
            tokio::time::sleep(PAUSE).await;
            server.stop().await;
            server = start(&path).await;
        }
        tokio::time::sleep(PAUSE).await;
        let (answered, failed) = client.stop().await;
        assert!(answered > 64, "{answered}");
        let begun = begun(tag);
        for failure in &failed {
            let (word, code) = failure.split_once(':').unwrap();
            assert_eq!(code, "UNAVAILABLE", "{word}: that may not be made again");
            assert!(!begun.contains(word), "{word} was begun, and lost");
        }
        server.stop().await;
    });
}

/// Returns the calls that the servers of this test have begun.
fn begun(tag: &str) -> HashSet<String> {
    let marked = MARKED.lock().unwrap();
    let words = marked.iter().map(|word| String::from_utf8_lossy(word).into_owned());
    words.filter(|word| word.starts_with(tag)).collect()
}

#[test]
fn grpcio_survives_a_hand_over() {
    handed_over(|path| python("steady.py", &[&format!("unix:{path}"), "handed-over"]));
}

#[test]
fn grpc_js_survives_a_hand_over() {
    handed_over(|path| node("steady.js", &[&format!("unix:{path}"), "handed-over"]));
}

#[test]
fn grpcio_survives_a_restart() {
    restarted("python-restarted", |path| {
        python("steady.py", &[&format!("unix:{path}"), "python-restarted", "patient"])
    });
}

#[test]
fn grpc_js_survives_a_restart() {
    restarted("node-restarted", |path| {
        node("steady.js", &[&format!("unix:{path}"), "node-restarted", "patient"])
    });
}
