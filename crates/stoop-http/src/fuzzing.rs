//! Entry points for fuzz targets into private parsers and streams. Not part of the public API.

use std::collections::VecDeque;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, ReadBuf};

use crate::stream::PREFACE;
use crate::stream::record_prefix::{Opening, RecordPrefix};
use crate::stream::sniff::Sniff;

/// Reads a stream through protocol detection and through the recorder of its first bytes.
///
/// The first byte of `data` is the size of each read. Each piece of the stream follows its length.
/// The lengths 0, 254 and 255 are an empty read, a pending read and an error.
///
/// # Panics
/// Panics if a byte is lost, duplicated or changed, or if the protocol or the recorded bytes are
/// wrong.
pub fn first_bytes(data: &[u8]) {
    let Some((&room, script)) = data.split_first() else { return };
    let (stream, opening) = RecordPrefix::new(Script::new(script));
    let mut stream = Sniff::new(stream);
    let detected = run(stream.is_http2());
    let mut heard = Vec::new();
    let end = match &detected {
        Ok(_) => read_all(&mut stream, usize::from(room), &mut heard),
        Err(error) => Err(error.kind()),
    };
    let (said, whole) = Script::new(script).said();
    assert_eq!(end.is_ok(), whole);
    if let Ok(is_http2) = detected {
        assert_eq!(heard, said);
        assert_eq!(is_http2, said.starts_with(PREFACE));
    }
    let recorded = Opening::bytes(&opening);
    assert!(said.starts_with(&recorded) && (recorded.len() == 96 || recorded.len() >= heard.len().min(96)));
}

fn read_all(
    stream: &mut (impl AsyncRead + Unpin),
    room: usize,
    heard: &mut Vec<u8>,
) -> Result<(), io::ErrorKind> {
    let mut room = vec![0; room + 1];
    loop {
        // A read into an empty buffer detects nothing and changes nothing.
        let mut nothing = ReadBuf::new(&mut []);
        let _ = run(std::future::poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut nothing)));
        let mut buffer = ReadBuf::new(&mut room);
        run(std::future::poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut buffer)))
            .map_err(|error| error.kind())?;
        match buffer.filled() {
            [] => return Ok(()),
            bytes => heard.extend_from_slice(bytes),
        }
    }
}

/// Polls a future to completion. Nothing here waits for anything but the next poll.
fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..1_000_000 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
    panic!("it waits for nothing");
}

/// A scripted peer.
struct Script(VecDeque<Step>);

enum Step {
    Bytes(VecDeque<u8>),
    Wait,
    Fail,
}

impl Script {
    fn new(mut data: &[u8]) -> Script {
        let steps = std::iter::from_fn(|| {
            let (&length, rest) = data.split_first()?;
            let length = if length < 254 { rest.len().min(length.into()) } else { 0 };
            let (piece, rest) = rest.split_at(length);
            let step = match data[0] {
                254 => Step::Wait,
                255 => Step::Fail,
                _ => Step::Bytes(piece.iter().copied().collect()),
            };
            data = rest;
            Some(step)
        });
        Script(steps.collect())
    }

    /// Returns all bytes up to the first empty read, and whether no error comes before it.
    fn said(self) -> (Vec<u8>, bool) {
        let mut said = Vec::new();
        for step in self.0 {
            match step {
                Step::Bytes(bytes) if bytes.is_empty() => break,
                Step::Bytes(bytes) => said.extend(bytes),
                Step::Wait => {}
                Step::Fail => return (said, false),
            }
        }
        (said, true)
    }
}

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // As a socket does.
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        match self.0.pop_front() {
            None => Poll::Ready(Ok(())),
            Some(Step::Wait) => Poll::Pending,
            Some(Step::Fail) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Some(Step::Bytes(mut bytes)) => {
                let taken = bytes.len().min(buffer.remaining());
                let ended = bytes.is_empty();
                bytes.drain(..taken).for_each(|byte| buffer.put_slice(&[byte]));
                if ended {
                    self.0.clear();
                } else if !bytes.is_empty() {
                    self.0.push_front(Step::Bytes(bytes));
                }
                Poll::Ready(Ok(()))
            }
        }
    }
}
