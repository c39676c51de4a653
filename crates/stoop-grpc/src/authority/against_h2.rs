//! Compares the rewriter with h2, the HTTP/2 library of most servers: the same header blocks are
//! read with a broken authority that is rewritten, and with a valid one that passes.

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::decode::Decoder;
use super::frames::{FLAG_END_HEADERS, FLAG_END_STREAM, Kind, PING, WINDOW_UPDATE};
use super::tests::{Client, Written, frame, opening, rewritten, written};
use super::{LAST_PING, encode, is_valid};
use crate::AuthorityStream;

/// What a server received on a connection.
#[derive(Debug, PartialEq)]
struct Heard {
    /// The fields of each call that it accepted.
    calls: Vec<Vec<(String, Vec<u8>)>>,
    /// Why it closed the connection, if it did.
    refused: Option<h2::Reason>,
}

/// A ping. The server answers it after it has processed everything before it.
const LAST: &[u8; 8] = b"the last";

/// Runs a server until the connection ends.
fn heard(mut input: Vec<u8>) -> Heard {
    input.extend(frame(PING, 0, 0, LAST));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(input.len() + (1 << 20));
        let client = async move {
            client.write_all(&input).await.unwrap();
            let mut answers = Vec::new();
            while !answers.windows(LAST.len()).any(|answer| answer == LAST) {
                if client.read_buf(&mut answers).await.unwrap_or(0) == 0 {
                    break;
                }
            }
        };
        tokio::join!(serve(AuthorityStream::new(server)), client).0
    })
}

async fn serve(stream: AuthorityStream<tokio::io::DuplexStream>) -> Heard {
    let mut heard = Heard { calls: Vec::new(), refused: None };
    let mut connection = match h2::server::handshake(stream).await {
        Ok(connection) => connection,
        Err(error) => return Heard { refused: error.reason(), ..heard },
    };
    while let Some(call) = connection.accept().await {
        match call {
            Ok((request, _)) => heard.calls.push(fields(&request)),
            // The server has closed, or does not read any more.
            Err(error) => {
                heard.refused = error.reason();
                break;
            }
        }
    }
    heard
}

/// Returns the fields without the authority, which is what is rewritten, in the order in which h2
/// keeps them.
fn fields(request: &http::Request<h2::RecvStream>) -> Vec<(String, Vec<u8>)> {
    let said = (request.method().to_string(), request.uri().path().as_bytes().to_vec());
    let headers = request.headers().iter();
    std::iter::once(said)
        .chain(headers.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())))
        .collect()
}

/// Returns the beginning of a connection: a valid call with this authority.
fn begun(authority: &[u8], client: &mut Client) -> Vec<u8> {
    [opening(), ending_call(1, &client.block(&call(authority, &[])))].concat()
}

fn ending_call(stream: u32, block: &[u8]) -> Vec<u8> {
    frame(Kind::Headers, FLAG_END_HEADERS | FLAG_END_STREAM, stream, block)
}

/// Adds the pseudo-header fields that make a list of fields a call.
fn call(authority: &[u8], more: &[Written]) -> Vec<Written> {
    let pseudo = [(&b":method"[..], &b"POST"[..]), (b":scheme", b"http"), (b":path", b"/a/b")];
    let pseudo = pseudo.into_iter().chain([(&b":authority"[..], authority)]);
    let pseudo = pseudo.map(|(name, value)| Written {
        name: name.to_vec(),
        value: value.to_vec(),
        way: 1,
        coded: true,
    });
    pseudo.chain(more.iter().cloned()).collect()
}

/// Generates fields that a server accepts.
fn valid() -> impl Strategy<Value = Vec<Written>> {
    let field = written().prop_map(|mut field| {
        field.name.retain(|byte| byte.is_ascii_lowercase() || *byte == b'-');
        field.name.splice(0..0, *b"x-");
        field
    });
    prop::collection::vec(field, 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    /// However a client encodes its calls, the server receives the same fields, rewritten or not.
    #[test]
    fn rewritten_requests_reach_h2_unchanged(lists in prop::collection::vec(valid(), 1..6)) {
        let hear = |authority: &[u8]| {
            let mut client = Client::default();
            let mut bytes = begun(authority, &mut client);
            for (nth, list) in lists.iter().enumerate() {
                let block = client.block(&call(authority, list));
                bytes.extend(ending_call(nth as u32 * 2 + 3, &block));
            }
            heard(bytes)
        };
        let (rewritten, untouched) = (hear(b"/run/a%20b.sock"), hear(b"localhost"));
        prop_assert_eq!(&rewritten, &untouched);
        prop_assert_eq!(rewritten.calls.len(), lists.len() + 1);
        for (call, list) in rewritten.calls[1..].iter().zip(&lists) {
            let mut said: Vec<_> =
                list.iter().map(|field| (String::from_utf8(field.name.clone()).unwrap(), field.value.clone())).collect();
            let mut heard = call[1..].to_vec();
            said.sort();
            heard.sort();
            prop_assert_eq!(heard, said);
        }
    }

    /// A malformed block ends the connection for the same reason whether the rewriter or h2
    /// decoded it. The exception is a block whose authority became one that is rewritten.
    #[test]
    fn h2_rejects_what_the_decoder_rejects(
        list in valid(),
        at in any::<prop::sample::Index>(),
        with in prop::collection::vec(any::<u8>(), 0..12),
        lost in 0..8usize,
    ) {
        let broken = |client: &mut Client| {
            // An authority that neither table contains, so that both blocks have the same bytes.
            let mut block = client.block(&call(b"example.org", &list));
            let at = at.index(block.len());
            let end = (at + lost).min(block.len());
            block.splice(at..end, with.iter().copied());
            block
        };
        let hear = |authority: &[u8]| {
            let mut client = Client::default();
            let first = begun(authority, &mut client);
            heard([first, ending_call(3, &broken(&mut client))].concat())
        };
        let (rewritten, untouched) = (hear(b"/run/app.sock"), hear(b"localhost"));
        if rewritten.refused.is_some() || !needs_rewriting(broken) {
            prop_assert_eq!(rewritten.refused, untouched.refused);
        }
    }
}

/// Returns whether the second block of a connection has an invalid authority.
fn needs_rewriting(block: impl Fn(&mut Client) -> Vec<u8>) -> bool {
    let (mut client, mut decoder, mut is_to_be) = (Client::default(), Decoder::default(), false);
    let first = client.block(&call(b"localhost", &[]));
    assert!(decoder.decode(&first, |_| {}).is_ok());
    let second = decoder.decode(&block(&mut client), |field| is_to_be |= !is_valid(&field));
    second.is_ok() && is_to_be
}

/// Generates numbers at the limits of a byte, a prefix, and a machine word.
#[test]
fn h2_decodes_integers_alike() {
    for len in [0, 1, 126, 127, 128, 254, 255, 256, 300, 15_000] {
        let mut block = vec![0x83, 0x86, 0x84, 0x41, 4];
        block.extend_from_slice(b"/a/b");
        block.push(0x00);
        encode::integer(3, 7, 0, &mut block);
        block.extend_from_slice(b"x-a");
        encode::integer(len, 7, 0, &mut block);
        block.extend(std::iter::repeat_n(b'v', len));
        let heard = heard([opening(), ending_call(1, &block)].concat());
        assert_eq!(heard.refused, None, "{len}");
        assert_eq!(heard.calls[0].last().unwrap().1.len(), len);
    }
}

/// A call that crosses with the server's final `GOAWAY`, followed by a `WINDOW_UPDATE` for it.
#[test]
fn a_call_during_shutdown_does_not_abort_others() {
    let mut client = Client::default();
    let mut input = begun(b"/run/app.sock", &mut client);
    let room = |stream: u32| frame(WINDOW_UPDATE, 0, stream, &[0, 0, 1, 0]);
    input.extend(room(1));
    input.extend(frame(PING, 1, 0, b"earlier."));
    input.extend(ending_call(3, &client.block(&call(b"/run/app.sock", &[]))));
    input.extend(room(3));
    input.extend(frame(PING, 1, 0, &LAST_PING));
    let late = [room(5), room(0), room(3)];
    for cut in [1, 4, 9, 13, input.len()] {
        let with = |more: &[Vec<u8>]| {
            rewritten(&[&input[..], &ending_call(5, &[0x82]), &more.concat()].concat(), cut).0
        };
        assert_eq!(with(&late), [with(&[]), late[1].clone(), late[2].clone()].concat(), "cut at {cut}");
        assert!(with(&[]).windows(13).filter(|part| part[3] == 8).count() >= 2, "in time, they go through");
    }
}
