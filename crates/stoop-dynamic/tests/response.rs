//! What a server sends that is not quite gRPC, byte by byte: each response is scripted over HTTP/2.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use stoop::aio::Stream;
use stoop_dynamic::{
    CallError, Client, Compression as MessageCompression, Options, Schema, channel_as, code_name,
    code_number, json,
};
use stoop_testkit::deadline;
use tonic::Code;

const LIMIT: Duration = Duration::from_secs(30);

/// Pairs of a header's name and value.
type Pairs = &'static [(&'static str, &'static str)];

/// A response: its status, headers, body, and trailers.
#[derive(Clone, Default)]
struct Scripted {
    status: u16,
    headers: Pairs,
    body: Vec<u8>,
    trailers: Option<Pairs>,
}

/// What the server received.
struct Received {
    head: Request<()>,
    body: Vec<u8>,
}

fn map(pairs: Pairs) -> HeaderMap {
    let pair = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    pairs.iter().map(pair).collect()
}

/// Serves one call on this connection.
async fn serve(stream: Stream, scripted: Scripted) -> Received {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    let (request, mut respond) = connection.accept().await.unwrap().unwrap();
    let driver = tokio::spawn(async move { while connection.accept().await.is_some() {} });
    let (head, mut body) = request.into_parts();
    let mut received = Vec::new();
    while let Some(data) = body.data().await {
        received.extend_from_slice(&data.unwrap());
    }
    let mut response = Response::builder().status(scripted.status).body(()).unwrap();
    *response.headers_mut() = map(scripted.headers);
    let has_body = !scripted.body.is_empty();
    let is_over = !has_body && scripted.trailers.is_none();
    let mut sender = respond.send_response(response, is_over).unwrap();
    if has_body {
        sender.send_data(scripted.body.into(), scripted.trailers.is_none()).unwrap();
    }
    if let Some(trailers) = scripted.trailers {
        sender.send_trailers(map(trailers)).unwrap();
    }
    drop((sender, respond));
    // The connection is driven until the client closes it.
    driver.await.unwrap();
    Received { head: Request::from_parts(head, ()), body: received }
}

/// Calls a method of the scripted server, and returns the messages.
fn call_with(
    scripted: Scripted,
    options: Options,
    max_bytes: usize,
) -> (Result<Vec<String>, CallError>, Received) {
    deadline(LIMIT, move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let (ours, theirs) = Stream::pair().unwrap();
            let server = tokio::spawn(serve(theirs, scripted));
            let (channel, _) = channel_as(ours, "app.example".parse().unwrap()).await.unwrap();
            let client = Client::grpc(channel).max_message_bytes(max_bytes);
            let result = call(&client, options).await;
            drop(client);
            (result, server.await.unwrap())
        })
    })
}

async fn call(client: &Client, options: Options) -> Result<Vec<String>, CallError> {
    let method = Schema::builtin().method("grpc.health.v1.Health/Check", &[]).unwrap();
    let request = json::read(&method.input(), r#"{"service": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#);
    let mut answers = client.call(&method, tokio_stream::once(request.unwrap()), options).await?;
    let mut texts = Vec::new();
    while let Some(message) = answers.message().await? {
        texts.push(json::Style { one_line: true, ..json::Style::default() }.text(&message));
    }
    Ok(texts)
}

fn answer(scripted: Scripted) -> Result<Vec<String>, CallError> {
    call_with(scripted, Options::default(), 4 << 20).0
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");
const OK: Option<Pairs> = Some(&[("grpc-status", "0")]);

/// `{"status": "SERVING"}`.
const SERVING: [u8; 2] = [8, 1];

/// The same as a frame of the program `zstd`, and a frame of 128 KiB of zeros.
const ZSTD_SERVING: [u8; 15] =
    [0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, 0x11, 0x00, 0x00, 0x08, 0x01, 0x6b, 0x0e, 0xee, 0x53];
const ZSTD_BOMB: [u8; 10] = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, 0x03, 0x00, 0x10, 0x00];

/// Encodes a message, with the flag for compression.
fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[flag], &length[..], message].concat()
}

fn gzip(message: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(message).unwrap();
    encoder.finish().unwrap()
}

fn zlib(message: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(message).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn compressed_responses_are_read() {
    const GZIP: Pairs = &[GRPC, ("grpc-encoding", "gzip")];
    const DEFLATE: Pairs = &[GRPC, ("grpc-encoding", "deflate")];
    const ZSTD: Pairs = &[GRPC, ("grpc-encoding", "zstd")];
    const IDENTITY: Pairs = &[GRPC, ("grpc-encoding", "identity")];
    for (headers, body) in [
        (GZIP, framed(1, &gzip(&SERVING))),
        (DEFLATE, framed(1, &zlib(&SERVING))),
        // Each message says whether it is compressed.
        (GZIP, framed(0, &SERVING)),
        (IDENTITY, framed(0, &SERVING)),
        (ZSTD, framed(1, &ZSTD_SERVING)),
        (ZSTD, framed(0, &SERVING)),
    ] {
        let scripted = Scripted { status: 200, headers, body, trailers: OK };
        assert_eq!(answer(scripted).unwrap(), [r#"{"status":"SERVING"}"#], "{headers:?}");
    }
    let malformed = |headers, body| match answer(Scripted { status: 200, headers, body, trailers: OK }) {
        Err(CallError::Malformed(why)) => why,
        other => panic!("{headers:?}: {other:?}"),
    };
    assert!(malformed(GZIP, framed(1, b"not gzip")).contains("cannot be decompressed"));
    assert!(malformed(&[GRPC], framed(1, &gzip(&SERVING))).contains("without the name"));
    let unknown = malformed(&[GRPC, ("grpc-encoding", "snappy")], framed(1, b"x"));
    assert!(unknown.contains("'snappy', and only gzip, deflate and zstd"), "{unknown}");
    assert!(malformed(ZSTD, framed(1, b"plain")).contains("cannot be decompressed: not zstd"));
    let cut = malformed(ZSTD, framed(1, &ZSTD_SERVING[..9]));
    assert!(cut.contains("truncated zstd frame"), "{cut}");
    let scripted = Scripted { status: 200, headers: ZSTD, body: framed(1, &ZSTD_BOMB), trailers: OK };
    let (large, _) = call_with(scripted, Options::default(), 64 << 10);
    assert!(matches!(large, Err(CallError::TooLarge { max_bytes: 65536 })), "{large:?}");
    // A small message that becomes a large one is stopped at the limit.
    let body = framed(1, &gzip(&vec![0; 1 << 20]));
    let scripted = Scripted { status: 200, headers: GZIP, body, trailers: OK };
    let (large, _) = call_with(scripted, Options::default(), 64 << 10);
    assert!(matches!(large, Err(CallError::TooLarge { max_bytes: 65536 })), "{large:?}");
}

#[test]
fn requests_name_the_client_and_are_compressed_on_demand() {
    let ok = || Scripted { status: 200, headers: &[GRPC], body: framed(0, &SERVING), trailers: OK };
    let (plain, received) = call_with(ok(), Options::default(), 1 << 20);
    assert!(plain.is_ok(), "{plain:?}");
    let header = |received: &Received, name: &str| {
        received.head.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    };
    let agent = header(&received, "user-agent").unwrap();
    assert!(agent.starts_with("stoop/") && agent.contains(" tonic/"), "{agent}");
    assert_eq!(received.head.uri().authority().unwrap(), "app.example");
    let accepted = header(&received, "grpc-accept-encoding").unwrap();
    assert!(accepted.starts_with("gzip,deflate,zstd"), "{accepted}");
    assert_eq!((header(&received, "grpc-encoding"), received.body[0]), (None, 0));
    for (compression, name, magic) in [
        (MessageCompression::Gzip, "gzip", &b"\x1f\x8b"[..]),
        (MessageCompression::Zstd, "zstd", &ZSTD_SERVING[..4]),
    ] {
        let options = Options { compression: Some(compression), ..Options::default() };
        let (compressed, received) = call_with(ok(), options, 1 << 20);
        assert!(compressed.is_ok(), "{compressed:?}");
        assert_eq!((header(&received, "grpc-encoding").as_deref(), received.body[0]), (Some(name), 1));
        assert!(received.body[5..].starts_with(magic), "{:02x?}", received.body);
    }
}

#[test]
fn http_without_grpc_is_reported_as_http() {
    let page = b"\n<html>busy</html>\n<p>".to_vec();
    for status in [400, 401, 404, 429, 502, 503, 504, 200] {
        let headers = &[("content-type", "text/html")];
        let scripted = Scripted { status, headers, body: page.clone(), trailers: None };
        let Err(CallError::Http(response)) = answer(scripted) else { panic!("{status}") };
        assert_eq!((response.status.as_u16(), &*response.line), (status, "<html>busy</html>"));
        assert_eq!(response.content_type.as_deref(), Some("text/html"));
    }
    let Err(CallError::Http(bare)) = answer(Scripted { status: 503, ..Scripted::default() }) else {
        panic!("no HTTP response")
    };
    assert_eq!((&*bare.line, &bare.content_type), ("", &None));
}

#[test]
fn a_status_keeps_its_code_whatever_else_is_invalid() {
    let failed = |headers: Pairs, trailers: Option<Pairs>| {
        let error = answer(Scripted { status: 200, headers, body: Vec::new(), trailers }).unwrap_err();
        error.status().cloned().unwrap_or_else(|| panic!("{headers:?}: {error:?}"))
    };
    // In the headers alone, and in the trailers.
    for (headers, trailers) in [
        (&[GRPC, ("grpc-status", "5"), ("grpc-message", "100%zz %E4%")][..], None),
        (&[GRPC], Some(&[("grpc-status", "5"), ("grpc-message", "100%zz %E4%")][..])),
    ] {
        let status = failed(headers, trailers);
        assert_eq!((status.code(), status.message()), (Code::NotFound, "100%zz \u{fffd}%"));
    }
    let own = failed(&[GRPC, ("grpc-status", "4711")], None);
    assert_eq!((own.code(), code_number(&own), &*code_name(&own)), (Code::Unknown, 4711, "4711"));
    let details = failed(&[GRPC, ("grpc-status", "9"), ("grpc-status-details-bin", "no base64!")], None);
    assert_eq!((details.code(), details.details()), (Code::FailedPrecondition, &b""[..]));
    // There is nothing to decompress.
    let unimplemented = failed(&[GRPC, ("grpc-encoding", "zstd"), ("grpc-status", "12")], None);
    assert_eq!(unimplemented.code(), Code::Unimplemented);
    let http = failed(&[("content-type", "text/html"), ("grpc-status", "14")], None);
    assert_eq!(http.code(), Code::Unavailable);
}

#[test]
fn a_response_without_a_status_is_incomplete() {
    let body = framed(0, &SERVING);
    for (body, trailers) in [
        (body.clone(), None),
        (body.clone(), Some(&[("x-other", "1")][..])),
        // In the middle of a message.
        (body[..4].to_vec(), None),
        (Vec::new(), None),
    ] {
        let scripted = Scripted { status: 200, headers: &[GRPC], body: body.clone(), trailers };
        let result = answer(scripted);
        assert!(matches!(result, Err(CallError::NoStatus)), "{body:?}: {result:?}");
    }
    let whole = Scripted { status: 200, headers: &[GRPC], body, trailers: OK };
    let whole = Bytes::from(answer(whole).unwrap().concat());
    assert_eq!(whole, r#"{"status":"SERVING"}"#);
}
