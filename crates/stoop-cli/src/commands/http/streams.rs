//! Docker's multiplexed streams: detects them, and splits them.

use http::header::{self, HeaderMap};
use stoop_http::multiplexed::{self, Decoder, HEAD_BYTES, Stream};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::pump::Sink;

/// Whether a response multiplexes the output streams of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Multiplexed {
    No,
    /// Its first bytes decide: before API 1.42 the content type does not.
    Unknown,
    Yes,
}

impl Multiplexed {
    /// Determines this from the headers.
    pub(super) fn of(headers: &HeaderMap) -> Multiplexed {
        let value = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
        let from_docker = || value(header::SERVER).is_some_and(|server| server.starts_with("Docker/"));
        match value(header::CONTENT_TYPE) {
            Some(multiplexed::CONTENT_TYPE) => Multiplexed::Yes,
            Some(multiplexed::RAW_CONTENT_TYPE) => Multiplexed::Unknown,
            None | Some("application/octet-stream") if from_docker() => Multiplexed::Unknown,
            _ => Multiplexed::No,
        }
    }
}

/// Returns whether this is Docker's response when it hijacks the connection.
pub(super) fn is_docker_stream(headers: &HeaderMap) -> bool {
    let types = [multiplexed::CONTENT_TYPE, multiplexed::RAW_CONTENT_TYPE];
    headers.get(header::CONTENT_TYPE).is_some_and(|value| types.iter().any(|known| value == known))
}

/// Writes each stream to its own sink. If the response is a single stream, it goes to the first
/// sink.
pub(super) struct Streams {
    state: State,
    out: Box<dyn Sink>,
    err: Box<dyn Sink>,
}

enum State {
    One,
    /// Not enough bytes have arrived to decide.
    Unknown(Vec<u8>),
    Several(Decoder),
}

impl Streams {
    pub(super) fn new(multiplexed: Multiplexed, out: Box<dyn Sink>, err: Box<dyn Sink>) -> Streams {
        let state = match multiplexed {
            Multiplexed::No => State::One,
            Multiplexed::Unknown => State::Unknown(Vec::with_capacity(HEAD_BYTES)),
            Multiplexed::Yes => State::Several(Decoder::new()),
        };
        Streams { state, out, err }
    }

    fn demultiplex(&mut self, mut piece: &[u8]) -> Result<(), Failure> {
        let State::Several(decoder) = &mut self.state else { return self.out.put(piece) };
        while let Some((stream, bytes)) = decoder.next(&mut piece).map_err(not_multiplexed)? {
            match stream {
                Stream::Stdin | Stream::Stdout => self.out.put(bytes)?,
                Stream::Stderr | Stream::Daemon => self.err.put(bytes)?,
            }
        }
        Ok(())
    }
}

impl Sink for Streams {
    fn put(&mut self, piece: &[u8]) -> Result<(), Failure> {
        let State::Unknown(held) = &mut self.state else { return self.demultiplex(piece) };
        held.extend_from_slice(piece);
        let Some(several) = multiplexed::is_multiplexed(held) else { return Ok(()) };
        let held = std::mem::take(held);
        self.state = if several { State::Several(Decoder::new()) } else { State::One };
        self.demultiplex(&held)
    }

    fn finish(&mut self) -> Result<(), Failure> {
        let whole = match &mut self.state {
            State::One => true,
            State::Unknown(held) => {
                self.out.put(&std::mem::take(held))?;
                true
            }
            State::Several(decoder) => decoder.is_between_frames(),
        };
        self.out.finish().and(self.err.finish())?;
        if whole {
            return Ok(());
        }
        let report = Failure::new(Exit::Failed, "the stream was truncated inside a frame");
        let report = report.why("the server closed the connection before the announced end");
        Err(report.next("stoop http … --raw    # prints what was received unchanged").into())
    }
}

fn not_multiplexed(error: multiplexed::NotAFrame) -> Failure {
    Failure::new(Exit::Failed, format!("cannot demultiplex the streams: {error}"))
        .why("the response is announced as Docker's multiplexed stream, but is not")
        .next("stoop http … --raw    # prints it unchanged")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    #[derive(Clone, Default)]
    struct Heard(Rc<RefCell<Vec<u8>>>);

    impl Sink for Heard {
        fn put(&mut self, piece: &[u8]) -> Result<(), Failure> {
            self.0.borrow_mut().extend_from_slice(piece);
            Ok(())
        }
    }

    fn apart(multiplexed: Multiplexed, stream: &[u8]) -> (Vec<u8>, Vec<u8>, bool) {
        let (out, err) = (Heard::default(), Heard::default());
        let mut streams = Streams::new(multiplexed, Box::new(out.clone()), Box::new(err.clone()));
        let done = stream.chunks(3).try_for_each(|piece| streams.put(piece)).and_then(|()| streams.finish());
        (out.0.take(), err.0.take(), done.is_ok())
    }

    #[test]
    fn streams_are_detected_by_content_type_or_first_bytes() {
        let several = b"\x01\0\0\0\0\0\0\x04out\n\x02\0\0\0\0\0\0\x04err\n";
        let told = (b"out\n".to_vec(), b"err\n".to_vec(), true);
        assert_eq!(apart(Multiplexed::Yes, several), told);
        assert_eq!(apart(Multiplexed::Unknown, several), told);
        assert_eq!(apart(Multiplexed::No, several), (several.to_vec(), vec![], true));
        for one in [&b"/ # "[..], b"a terminal's own words\r\n", b"", b"\x01\0\0"] {
            assert_eq!(apart(Multiplexed::Unknown, one), (one.to_vec(), vec![], true));
        }
    }

    #[test]
    fn a_truncated_stream_is_an_error() {
        assert_eq!(apart(Multiplexed::Yes, b"\x01\0\0\0\0\0\0\x04ou"), (b"ou".to_vec(), vec![], false));
        assert_eq!(apart(Multiplexed::Yes, b"no frames at all"), (vec![], vec![], false));
    }

    #[test]
    fn docker_streams_are_detected_by_headers() {
        let of = |headers: &[(&'static str, &'static str)]| {
            let pairs = headers.iter().map(|(name, value)| {
                (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
            });
            Multiplexed::of(&pairs.collect())
        };
        assert_eq!(of(&[("content-type", multiplexed::CONTENT_TYPE)]), Multiplexed::Yes);
        assert_eq!(of(&[("content-type", multiplexed::RAW_CONTENT_TYPE)]), Multiplexed::Unknown);
        let octets = ("content-type", "application/octet-stream");
        assert_eq!(of(&[octets, ("server", "Docker/20.10.24 (linux)")]), Multiplexed::Unknown);
        assert_eq!((of(&[octets]), of(&[])), (Multiplexed::No, Multiplexed::No));
    }
}
