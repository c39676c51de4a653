//! What a gRPC or ttrpc server may send: frames, messages, and the schema that it claims to have.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use stoop::aio::Stream;
use stoop_dynamic::json::{self, Style};
use stoop_dynamic::ttrpc::frame::{Frame, FrameDecoder, MESSAGE_MAX_BYTES, TooLong};
use stoop_dynamic::ttrpc::{Answers, Call, Client};
use stoop_dynamic::{DynamicMessage, MessageDescriptor, Schema, Symbol, describe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Checks that frames are the same however their bytes are split into reads, and that encoding them
/// yields those bytes again.
pub fn ttrpc_frames(data: &[u8]) {
    let Some((&cut, data)) = data.split_first() else { return };
    let (whole, whole_ended) = frames(data, data.len().max(1));
    let (cut, cut_ended) = frames(data, usize::from(cut) + 1);
    assert_eq!(whole, cut);
    assert_eq!(whole_ended, cut_ended);
    let mut written = Vec::new();
    for frame in whole {
        match frame {
            Ok(frame) => {
                assert!(frame.data.len() <= MESSAGE_MAX_BYTES);
                written.extend(frame.encode().expect("it was read"));
            }
            // The bytes behind it were skipped.
            Err(TooLong { length_bytes, .. }) => return assert!(length_bytes > MESSAGE_MAX_BYTES),
        }
    }
    assert_eq!(written, data[..written.len()]);
    assert_eq!(whole_ended, written.len() == data.len());
}

fn frames(data: &[u8], cut: usize) -> (Vec<Result<Frame, TooLong>>, bool) {
    let mut decoder = FrameDecoder::new();
    let mut frames = Vec::new();
    for piece in data.chunks(cut) {
        decoder.push(piece);
        frames.extend(std::iter::from_fn(|| decoder.next_frame()));
    }
    (frames, decoder.is_at_boundary())
}

thread_local! {
    /// One runtime for all runs of a thread.
    static RUNTIME: tokio::runtime::Runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
}

/// Runs a server that answers a few calls with arbitrary bytes and closes: each call ends, with the
/// data received for it or with an error.
///
/// The first byte selects the kinds of streaming, the second the pieces in which the rest is sent.
pub fn ttrpc_client(data: &[u8]) {
    let Some((&[streaming, cut], data)) = data.split_first_chunk::<2>() else { return };
    RUNTIME.with(|runtime| {
        let talk = async {
            let (ours, mut theirs) = Stream::pair().expect("a pair of sockets");
            let client = Client::new(ours);
            let calls = async move {
                let mut open = Vec::new();
                for number in 0..4 {
                    let call = Call {
                        service: "a.B".into(),
                        method: "C".into(),
                        client_streaming: streaming >> number & 1 != 0,
                        server_streaming: streaming >> (number + 4) & 1 != 0,
                        ..Call::default()
                    };
                    let request = tokio_stream::iter([Bytes::from_static(b"x")]);
                    open.extend(
                        client.call(call, request).await.ok().map(|answers| tokio::spawn(all(answers))),
                    );
                }
                let mut messages = 0;
                for answers in open {
                    messages += answers.await.expect("no panic");
                }
                messages
            };
            let server = async {
                for piece in data.chunks(usize::from(cut) + 1) {
                    // The client may have no call left that waits for it.
                    let _ = theirs.write_all(piece).await;
                    tokio::task::yield_now().await;
                }
                let _ = theirs.shutdown().await;
                let _ = theirs.read_to_end(&mut Vec::new()).await;
            };
            tokio::join!(calls, server).0
        };
        let ended = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), talk).await });
        assert!(ended.expect("every call ends") <= data.len());
    });
}

/// Receives all messages of a call, to its end, and counts them.
async fn all(mut answers: Answers) -> usize {
    let mut messages = 0;
    while let Ok(Some(_)) = answers.message().await {
        messages += 1;
    }
    assert!(matches!(answers.message().await, Ok(None) | Err(_)), "the end is permanent");
    messages
}

/// Messages with every sort of field.
const MESSAGES: [&str; 8] = [
    "runtime.v1.ContainerStatus",
    "runtime.v1.PodSandboxConfig",
    "containerd.services.containers.v1.Container",
    "containerd.services.images.v1.UpdateImageRequest",
    "google.rpc.Status",
    "google.protobuf.Struct",
    "google.protobuf.Any",
    "google.protobuf.FileDescriptorProto",
];

/// Checks that any message of a peer is shown as JSON, whatever it contains, and that what can be
/// read back is the same message. As JSON input, the bytes are read or rejected.
pub fn grpc_json(data: &[u8]) {
    let Some((&which, data)) = data.split_first() else { return };
    let Some(descriptor) = descriptor(MESSAGES[usize::from(which) % MESSAGES.len()]) else { return };
    if let Ok(message) = DynamicMessage::decode(descriptor.clone(), data) {
        for emit_defaults in [false, true] {
            let style = Style { one_line: true, emit_defaults, ..Style::default() };
            let text = style.text(&message);
            assert!(!text.contains(|c: char| c < ' '), "one line: {text}");
            let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            assert!(value.is_object());
            // Some output is not valid input: an invalid timestamp, for example. Deeper nesting than
            // a peer would accept is not, either.
            match (json::read(&descriptor, &text), style.exact_text(&message)) {
                (Ok(back), Some(exact)) => {
                    assert_eq!(exact, text);
                    assert_eq!(style.text(&back), text);
                }
                (Err(error), Some(_)) => assert!(error.to_string().contains("nested"), "{error}: {text}"),
                (_, None) => {}
            }
            let annotated = Style { one_line: false, annotated: true, ..style };
            assert!(!annotated.text(&message).is_empty());
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        if let Err(error) = json::read(&descriptor, text) {
            assert!(!error.to_string().is_empty());
        }
        // An error ends it, and so does the end of the bytes.
        assert!(json::messages(descriptor, data).count() <= data.len() + 1);
    }
}

fn descriptor(name: &str) -> Option<MessageDescriptor> {
    Schema::builtin().pool().get_message_by_name(name)
}

/// Checks that an untrusted schema is rejected, or that it can be printed and messages of it
/// created.
pub fn grpc_schema(data: &[u8]) {
    let Ok(schema) = Schema::from_descriptor_set(data) else { return };
    for service in schema.services() {
        assert!(!describe(&Symbol::Service(service.clone())).is_empty());
        for method in service.methods() {
            assert!(!describe(&Symbol::Method(method.clone())).is_empty());
            let text = Style { emit_defaults: true, one_line: true, ..Style::default() }
                .text(&DynamicMessage::new(method.input()));
            assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
            // JSON of every shape for a field `a`, encoded and decoded again.
            for value in [
                "1",
                "\"AQ==\"",
                "true",
                "[1]",
                "[\"AQ==\", \"\"]",
                "{}",
                "[{}]",
                "{\"1\": {}}",
                "{\"a\": \"\"}",
                "null",
            ] {
                let Ok(message) = json::read(&method.input(), &format!("{{\"a\": {value}}}")) else {
                    continue;
                };
                let bytes = message.encode_to_vec();
                let _ = DynamicMessage::decode(method.output(), &bytes[..]);
                let back = DynamicMessage::decode(method.input(), &bytes[..]);
                assert_eq!(back.map(|back| back.encode_to_vec()), Ok(bytes));
            }
        }
    }
    for values in schema.pool().all_enums() {
        assert!(!describe(&Symbol::Enum(values)).is_empty());
    }
    let _ = (schema.method("a", &[]), schema.symbol("a.b", &[]));
}
