//! Codecs, futures-io, TLS and WebSockets over `aio::Stream`.

use std::io::ErrorKind;
use std::net::Shutdown;

use futures_util::{AsyncReadExt as _, AsyncWriteExt as _, SinkExt, StreamExt};
use stoop::aio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::codec::{Framed, LinesCodec, LinesCodecError};
use tokio_util::compat::TokioAsyncReadCompatExt;

use crate::block_on;
use crate::examples::{codec, futures_io, rustls, websocket};

/// More than the buffers of a socket hold.
const LARGE: usize = 1 << 20;

#[test]
fn codecs_frame_both_directions() {
    assert_eq!(block_on(codec::run()).unwrap(), "HELLO");
}

#[test]
fn codecs_resume_when_a_full_buffer_drains() {
    const LINES: usize = 2000;
    block_on(async {
        let (client, server) = aio::Stream::pair().unwrap();
        let server = tokio::spawn(codec::shout(server));
        let (mut sink, stream) = Framed::new(client, LinesCodec::new()).split();
        let sending = async {
            for _ in 0..LINES {
                sink.send("x".repeat(1000)).await.unwrap();
            }
        };
        let receiving = stream.take(LINES).fold(0, async |bytes, line| bytes + line.unwrap().len());
        let ((), bytes) = tokio::join!(sending, receiving);
        assert_eq!(bytes, LINES * 1000);
        drop(sink);
        server.await.unwrap().unwrap();
    });
}

#[test]
fn a_codec_rejects_a_line_that_is_too_long() {
    block_on(async {
        let (mut client, server) = aio::Stream::pair().unwrap();
        let server = tokio::spawn(codec::shout(server));
        client.write_all(&[b'x'; 2000]).await.unwrap();
        let error = server.await.unwrap().unwrap_err();
        assert!(matches!(error, LinesCodecError::MaxLineLengthExceeded), "{error}");
    });
}

#[test]
fn futures_io_reads_writes_and_shuts_down() {
    assert_eq!(block_on(futures_io::run()).unwrap(), "hello: 5 bytes");
    block_on(async {
        let (client, server) = aio::Stream::pair().unwrap();
        let echo = tokio::spawn(futures_io::echo(server.compat()));
        let (mut reader, mut writer) = client.compat().split();
        let sending = async {
            writer.write_all(&vec![7; LARGE]).await.unwrap();
            writer.close().await.unwrap();
        };
        let mut received = Vec::new();
        let ((), read) = tokio::join!(sending, reader.read_to_end(&mut received));
        assert_eq!((read.unwrap(), echo.await.unwrap().unwrap()), (LARGE, LARGE as u64));
    });
}

#[test]
fn tls_runs_on_both_ends() {
    let expected = format!("hello from pid {}", std::process::id());
    assert_eq!(block_on(rustls::run()).unwrap(), expected);
}

#[test]
fn tls_detects_truncation() {
    block_on(async {
        let (mut client, mut server) = rustls::connect(rustls::settings().unwrap()).await.unwrap();
        let sending = async {
            client.write_all(&vec![7; LARGE]).await.unwrap();
            client.flush().await.unwrap();
            client.get_ref().0.shutdown_now(Shutdown::Write).unwrap(); // without `close_notify`
        };
        let mut received = Vec::new();
        let ((), read) = tokio::join!(sending, server.read_to_end(&mut received));
        assert_eq!((read.unwrap_err().kind(), received.len()), (ErrorKind::UnexpectedEof, LARGE));
    });
}

#[test]
fn websockets_run_on_both_ends() {
    assert_eq!(block_on(websocket::run()).unwrap(), "hello");
}

#[test]
fn websockets_carry_large_messages_and_notice_a_lost_client() {
    block_on(async {
        let (client, server) = aio::Stream::pair().unwrap();
        let echo = tokio::spawn(websocket::echo(server));
        let mut socket = websocket::connect(client).await.unwrap();
        let message = Message::binary(vec![7; LARGE]);
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
        drop(socket); // without a close frame
        assert!(echo.await.unwrap().is_err());
    });
}
