//! The ttrpc client against a server scripted frame by frame, including frames that violate the
//! protocol.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use stoop::aio::Stream;
use stoop_dynamic::ttrpc::frame::{Flags, Frame, FrameDecoder, FrameKind, MESSAGE_MAX_BYTES};
use stoop_dynamic::ttrpc::{Call, Client};
use stoop_testkit::deadline;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::{Code, Status};

const LIMIT: Duration = Duration::from_secs(20);

/// The server's end of a connection.
struct Server {
    stream: Stream,
    decoder: FrameDecoder,
}

impl Server {
    /// Returns the next frame, or `None` after the client has closed.
    async fn receive(&mut self) -> Option<Frame> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(frame) = self.decoder.next_frame() {
                return Some(frame.expect("the client keeps to the limit"));
            }
            match self.stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(len) => self.decoder.push(&buffer[..len]),
            }
        }
    }

    async fn send(&mut self, stream: u32, kind: FrameKind, flags: Flags, data: &[u8]) {
        let frame = Frame { stream, kind, flags, data: data.to_vec() };
        self.stream.write_all(&frame.encode().unwrap()).await.unwrap();
    }

    /// Sends a response with these bytes as its payload.
    async fn respond(&mut self, stream: u32, text: &[u8]) {
        // Field 2, bytes.
        let data = [&[0x12, text.len() as u8][..], text].concat();
        self.send(stream, FrameKind::Response, Flags(0), &data).await;
    }

    async fn data(&mut self, stream: u32, text: &[u8]) {
        self.send(stream, FrameKind::Data, Flags(0), text).await;
    }

    async fn close(&mut self, stream: u32) {
        self.send(stream, FrameKind::Data, Flags::REMOTE_CLOSED.and(Flags::NO_DATA), &[]).await;
    }
}

/// Runs a client and a server to completion.
fn conversation<C, S>(
    client: impl FnOnce(Client) -> C + Send + 'static,
    server: impl FnOnce(Server) -> S + Send + 'static,
) where
    C: Future<Output = ()>,
    S: Future<Output = ()>,
{
    deadline(LIMIT, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (ours, theirs) = Stream::pair().unwrap();
            let client = client(Client::new(ours));
            let server = server(Server { stream: theirs, decoder: FrameDecoder::new() });
            tokio::join!(client, server);
        });
    });
}

fn unary(method: &str) -> Call {
    Call { service: "test.Service".into(), method: method.into(), ..Call::default() }
}

fn bytes(texts: &[&'static str]) -> impl tokio_stream::Stream<Item = Bytes> + Send + 'static {
    tokio_stream::iter(texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect::<Vec<_>>())
}

async fn all(mut answers: stoop_dynamic::ttrpc::Answers) -> Result<Vec<Bytes>, Status> {
    let mut messages = Vec::new();
    while let Some(message) = answers.message().await? {
        messages.push(message);
    }
    Ok(messages)
}

#[test]
fn one_message_each_way() {
    conversation(
        |client| async move {
            let call = Call {
                metadata: vec![("k".into(), "v".into())],
                timeout: Some(Duration::from_nanos(5)),
                ..unary("Say")
            };
            let answers = client.call(call, bytes(&["hello", "never sent"])).await.unwrap();
            assert_eq!(all(answers).await.unwrap(), ["hello again"]);
            let answers = client.call(unary("Say"), bytes(&[])).await.unwrap();
            assert_eq!(all(answers).await.unwrap(), [""]);
        },
        |mut server| async move {
            let frame = server.receive().await.unwrap();
            assert_eq!((frame.stream, frame.kind, frame.flags), (1, FrameKind::Request, Flags(0)));
            let expected = b"\n\x0ctest.Service\x12\x03Say\x1a\x05hello \x05*\x06\n\x01k\x12\x01v";
            assert_eq!(frame.data, expected);
            server.respond(1, b"hello again").await;
            assert_eq!(server.receive().await.unwrap().stream, 3);
            // An empty response is a response.
            server.send(3, FrameKind::Response, Flags(0), &[]).await;
            assert!(server.receive().await.is_none());
        },
    );
}

#[test]
fn a_server_status_has_no_source() {
    conversation(
        |client| async move {
            let answers = client.call(unary("Fail"), bytes(&["x"])).await.unwrap();
            let status = all(answers).await.unwrap_err();
            assert_eq!((status.code(), status.message()), (Code::NotFound, "gone"));
            assert!(status.source().is_none() && !status.details().is_empty());
        },
        |mut server| async move {
            server.receive().await.unwrap();
            // status { code: 5, message: "gone", details: [{ type_url: "t" }] }
            server.send(1, FrameKind::Response, Flags(0), b"\n\x0d\x08\x05\x12\x04gone\x1a\x03\n\x01t").await;
            assert!(server.receive().await.is_none());
        },
    );
}

#[test]
fn streams_of_every_kind() {
    conversation(
        |client| async move {
            let down = Call { server_streaming: true, ..unary("Down") };
            let answers = client.call(down.clone(), bytes(&["x"])).await.unwrap();
            assert_eq!(all(answers).await.unwrap(), ["a", "", "b"]);
            // The last message may be in the frame that closes the stream.
            let answers = client.call(down.clone(), bytes(&["x"])).await.unwrap();
            assert_eq!(all(answers).await.unwrap(), ["a"]);
            // The stream may also be closed by an empty response.
            let answers = client.call(down, bytes(&["x"])).await.unwrap();
            assert_eq!(all(answers).await.unwrap(), ["a"]);
            let up = Call { client_streaming: true, ..unary("Up") };
            let answers = client.call(up, bytes(&["one", "two"])).await.unwrap();
            assert_eq!(all(answers).await.unwrap(), ["done"]);
            let both = Call { client_streaming: true, server_streaming: true, ..unary("Both") };
            let answers = client.call(both, bytes(&["one", "two"])).await.unwrap();
            assert_eq!(all(answers).await.unwrap(), ["one", "two"]);
        },
        |mut server| async move {
            for stream in [1, 3, 5] {
                assert_eq!(server.receive().await.unwrap().flags, Flags::REMOTE_CLOSED);
                server.data(stream, b"a").await;
                match stream {
                    1 => {
                        server.data(1, b"").await;
                        // Neither a message nor the end of the stream.
                        server.send(1, FrameKind::Data, Flags::NO_DATA, &[]).await;
                        server.send(1, FrameKind::Data, Flags::REMOTE_CLOSED, b"b").await;
                    }
                    3 => server.close(3).await,
                    _ => server.send(5, FrameKind::Response, Flags(0), &[]).await,
                }
            }
            assert_eq!(server.receive().await.unwrap().flags, Flags::REMOTE_OPEN);
            for text in ["one", "two"] {
                assert_eq!(server.receive().await.unwrap().data, text.as_bytes());
            }
            let end = server.receive().await.unwrap();
            assert_eq!((end.kind, end.flags), (FrameKind::Data, Flags::REMOTE_CLOSED.and(Flags::NO_DATA)));
            server.respond(7, b"done").await;
            assert_eq!(server.receive().await.unwrap().flags, Flags::REMOTE_OPEN);
            for _ in 0..2 {
                let frame = server.receive().await.unwrap();
                server.data(9, &frame.data).await;
            }
            assert!(server.receive().await.unwrap().flags.has(Flags::REMOTE_CLOSED));
            server.close(9).await;
            assert!(server.receive().await.is_none());
        },
    );
}

#[test]
fn responses_may_arrive_in_any_order() {
    conversation(
        |client| async move {
            let calls: Vec<_> = (0..20).map(|_| client.call(unary("Say"), bytes(&["x"]))).collect();
            let mut texts = Vec::new();
            let mut open = Vec::new();
            for call in calls {
                open.push(call.await.unwrap());
            }
            for answers in open {
                texts.push(all(answers).await.unwrap().remove(0));
            }
            let expected: Vec<String> = (0..20).map(|number| (2 * number + 1).to_string()).collect();
            assert_eq!(texts, expected);
        },
        |mut server| async move {
            let mut streams = Vec::new();
            while streams.len() < 20 {
                streams.push(server.receive().await.unwrap().stream);
            }
            for stream in streams.into_iter().rev() {
                server.respond(stream, stream.to_string().as_bytes()).await;
            }
            assert!(server.receive().await.is_none());
        },
    );
}

#[test]
fn a_dropped_call_leaves_others_running() {
    conversation(
        |client| async move {
            let given_up =
                client.call(Call { server_streaming: true, ..unary("Down") }, bytes(&["x"])).await.unwrap();
            drop(given_up);
            let answers = client.call(unary("Say"), bytes(&["x"])).await.unwrap();
            assert_eq!(all(answers).await.unwrap(), ["here"]);
        },
        |mut server| async move {
            server.receive().await.unwrap();
            // More than the queue of a call holds.
            for _ in 0..100 {
                server.data(1, b"nobody reads this").await;
            }
            assert_eq!(server.receive().await.unwrap().stream, 3);
            server.data(77, b"no such call").await;
            server.respond(3, b"here").await;
            assert!(server.receive().await.is_none());
        },
    );
}

#[test]
fn an_oversized_message_fails_only_its_call() {
    conversation(
        |client| async move {
            let answers = client.call(unary("Large"), bytes(&["x"])).await.unwrap();
            assert_eq!(all(answers).await.unwrap_err().code(), Code::ResourceExhausted);
            let large = tokio_stream::once(Bytes::from(vec![0; MESSAGE_MAX_BYTES]));
            let status = client.call(unary("Say"), large).await.unwrap_err();
            assert_eq!(status.code(), Code::ResourceExhausted, "with what is around it, it is too long");
            let answers = client.call(unary("Say"), bytes(&["x"])).await.unwrap();
            assert_eq!(all(answers).await.unwrap(), ["fine"]);
        },
        |mut server| async move {
            server.receive().await.unwrap();
            let length = MESSAGE_MAX_BYTES + 1;
            let header = [&(length as u32).to_be_bytes()[..], &[0, 0, 0, 1, 2, 0]].concat();
            server.stream.write_all(&header).await.unwrap();
            server.stream.write_all(&vec![0; length]).await.unwrap();
            assert_eq!(
                server.receive().await.unwrap().stream,
                3,
                "no number is lost to a call that was not sent"
            );
            server.respond(3, b"fine").await;
            assert!(server.receive().await.is_none());
        },
    );
}

#[test]
fn a_closed_connection_ends_every_call() {
    conversation(
        |client| async move {
            let waiting = client.call(unary("Say"), bytes(&["x"])).await.unwrap();
            let status = all(waiting).await.unwrap_err();
            assert!(status.source().is_some() && status.message().contains("in the middle"), "{status}");
            let late = match client.call(unary("Say"), bytes(&["x"])).await {
                Ok(answers) => all(answers).await.unwrap_err(),
                Err(status) => status,
            };
            assert_eq!(late.code(), Code::Unavailable);
            assert!(late.source().is_some());
        },
        |mut server| async move {
            server.receive().await.unwrap();
            server.stream.write_all(&[0, 0, 0, 5, 0]).await.unwrap();
        },
    );
}

#[test]
fn unexpected_frame_types_are_errors() {
    for kind in [FrameKind::Request, FrameKind::Other(77)] {
        conversation(
            |client| async move {
                let answers = client.call(unary("Say"), bytes(&["x"])).await.unwrap();
                assert_eq!(all(answers).await.unwrap_err().code(), Code::Internal);
                let answers = client.call(unary("Say"), bytes(&["x"])).await.unwrap();
                assert_eq!(all(answers).await.unwrap_err().code(), Code::Internal);
            },
            move |mut server| async move {
                server.receive().await.unwrap();
                server.send(1, kind, Flags(0), b"").await;
                server.receive().await.unwrap();
                // Not a protobuf message.
                server.send(3, FrameKind::Response, Flags(0), &[0xff; 9]).await;
                assert!(server.receive().await.is_none());
            },
        );
    }
}

#[test]
fn frames_without_data_are_not_accumulated() {
    const FRAMES: usize = 200_000;
    let server = |mut server: Server| async move {
        let open = server.receive().await.unwrap();
        let frame =
            Frame { stream: open.stream, kind: FrameKind::Data, flags: Flags::NO_DATA, data: Vec::new() };
        let frames = frame.encode().unwrap().repeat(100);
        for _ in 0..FRAMES / 100 {
            server.stream.write_all(&frames).await.unwrap();
        }
        server.data(open.stream, b"at last").await;
        server.close(open.stream).await;
    };
    conversation(
        |client| async move {
            let call = Call { server_streaming: true, ..unary("M") };
            let answers = client.call(call, bytes(&["x"])).await.unwrap();
            assert_eq!(all(answers).await.unwrap(), ["at last"]);
        },
        server,
    );
}
