//! The `tracing` spans in which handlers run: an event of a handler says whom it serves.

mod async_test;

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_test::async_test;
use stoop::serve::{Datagrams, Server};
use stoop::{Bind, aio};
use stoop_testkit::tempdir;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Collects the span in which each event of this test's own target happens.
#[derive(Clone, Default)]
struct Collector(Arc<Collected>);

#[derive(Default)]
struct Collected {
    last_id: AtomicU64,
    spans: Mutex<HashMap<u64, String>>,
    entered: Mutex<Vec<u64>>,
    events: Mutex<Vec<String>>,
}

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.push_str(&format!(" {field}={value:?}"));
    }
}

impl Subscriber for Collector {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = self.0.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let mut text = span.metadata().name().to_owned();
        span.record(&mut Fields(&mut text));
        self.0.spans.lock().unwrap().insert(id, text);
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if event.metadata().target() == "handler" {
            let id = self.0.entered.lock().unwrap().last().copied();
            let spans = self.0.spans.lock().unwrap();
            let span = id.and_then(|id| spans.get(&id)).cloned().unwrap_or_default();
            self.0.events.lock().unwrap().push(span);
        }
    }

    fn enter(&self, span: &Id) {
        self.0.entered.lock().unwrap().push(span.into_u64());
    }

    fn exit(&self, span: &Id) {
        assert_eq!(self.0.entered.lock().unwrap().pop(), Some(span.into_u64()));
    }
}

/// Emits one event when the handler is called, and one after it has waited.
fn events() -> impl Future<Output = ()> + Send {
    tracing::info!(target: "handler", "called");
    async {
        tokio::task::yield_now().await;
        tracing::info!(target: "handler", "polled again");
    }
}

#[test]
fn a_handler_runs_in_a_span_that_says_whom_it_serves() {
    async_test(|| async {
        let collector = Collector::default();
        let _default = tracing::subscriber::set_default(collector.clone());
        let (pid, uid) = (std::process::id(), rustix::process::geteuid().as_raw());
        let taken = || std::mem::take(&mut *collector.0.events.lock().unwrap());
        let directory = tempdir();

        let path = directory.path().join("stream");
        let server = Server::new(Bind::new(&path).listen_async().await.unwrap());
        let _client = aio::Stream::connect(&path).await.unwrap();
        server.run(|_client, _peer| events(), async {}).await.unwrap();
        let connection = format!("connection pid={pid} uid={uid}");
        assert_eq!(taken(), [connection.clone(), connection]);

        let path = directory.path().join("datagram");
        let server = Datagrams::new(Bind::new(&path).datagram_async().await.unwrap());
        let client = aio::Datagram::bind(directory.path().join("client")).unwrap();
        client.send_to(b"ping", &path).await.unwrap();
        server.run(|_message| events(), async {}).await.unwrap();
        let message = format!("message uid={uid} from={}", directory.path().join("client").display());
        assert_eq!(taken(), [message.clone(), message]);
    });
}
