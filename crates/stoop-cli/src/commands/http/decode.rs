//! `--compressed`: decompresses a body as it arrives.

use std::io::{self, Write};

use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::header::{self, HeaderMap};
use stoop_http::internal::ZstdDecoder;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::pump::Sink;

/// A sink that decompresses what it passes on.
pub(super) struct Decoded {
    decoder: Decoder,
    sink: Box<dyn Sink>,
}

enum Decoder {
    Gzip(MultiGzDecoder<Vec<u8>>),
    /// `deflate`, of which two forms are in use. The first byte decides.
    Unknown,
    Zlib(ZlibDecoder<Vec<u8>>),
    Raw(DeflateDecoder<Vec<u8>>),
    Zstd(Box<ZstdDecoder>),
}

impl Decoded {
    /// Wraps the sink if the response is compressed.
    pub(super) fn wrap(headers: &HeaderMap, sink: Box<dyn Sink>) -> Result<Box<dyn Sink>, Failure> {
        let Some(encoding) = headers.get(header::CONTENT_ENCODING) else { return Ok(sink) };
        let encoding = String::from_utf8_lossy(encoding.as_bytes()).to_ascii_lowercase();
        let decoder = match &*encoding {
            "gzip" | "x-gzip" => Decoder::Gzip(MultiGzDecoder::new(Vec::new())),
            "deflate" => Decoder::Unknown,
            // Each piece is bounded by the window, so the whole needs no limit.
            "zstd" => Decoder::Zstd(Box::new(ZstdDecoder::new(usize::MAX))),
            "identity" => return Ok(sink),
            _ => {
                let what = format!("the response has the encoding '{}'", stoop::escaped(&*encoding));
                let report = Failure::new(Exit::Failed, what)
                    .why("gzip, deflate and zstd were offered, and are decoded");
                return Err(report
                    .next("stoop http …    # without --compressed: the bytes as they are")
                    .into());
            }
        };
        Ok(Box::new(Decoded { decoder, sink }))
    }
}

impl Decoder {
    /// Decodes a piece, and returns what it gave: in Zstandard the beginning of that, and the rest
    /// with empty pieces.
    fn push(&mut self, piece: &[u8]) -> io::Result<Vec<u8>> {
        if let (Decoder::Unknown, Some(first)) = (&self, piece.first()) {
            // The first byte of zlib names the method (8) in its low half (RFC 1950). No raw stream
            // in use begins so: it would be a stored block with an odd padding.
            *self = match first & 0x0f {
                8 => Decoder::Zlib(ZlibDecoder::new(Vec::new())),
                _ => Decoder::Raw(DeflateDecoder::new(Vec::new())),
            };
        }
        match self {
            Decoder::Unknown => Ok(Vec::new()),
            Decoder::Gzip(decoder) => all(decoder, piece, MultiGzDecoder::get_mut),
            Decoder::Zlib(decoder) => all(decoder, piece, ZlibDecoder::get_mut),
            Decoder::Raw(decoder) => all(decoder, piece, DeflateDecoder::get_mut),
            Decoder::Zstd(decoder) => {
                decoder.push(piece);
                decoder.next_piece().map(Option::unwrap_or_default).map_err(io::Error::other)
            }
        }
    }

    /// Returns more of what the last piece gave. Empty at the end of that.
    fn more(&mut self) -> io::Result<Vec<u8>> {
        match self {
            Decoder::Zstd(_) => self.push(&[]),
            _ => Ok(Vec::new()),
        }
    }

    /// Returns what was still held back. Fails if the end is missing.
    fn end(self) -> io::Result<Vec<u8>> {
        match self {
            Decoder::Unknown => Ok(Vec::new()),
            Decoder::Gzip(decoder) => decoder.finish(),
            Decoder::Zlib(decoder) => decoder.finish(),
            Decoder::Raw(decoder) => decoder.finish(),
            Decoder::Zstd(decoder) => decoder.finish().map(|()| Vec::new()).map_err(io::Error::other),
        }
    }
}

fn all<W: Write>(
    decoder: &mut W,
    piece: &[u8],
    decoded: impl Fn(&mut W) -> &mut Vec<u8>,
) -> io::Result<Vec<u8>> {
    decoder.write_all(piece)?;
    decoder.flush()?;
    Ok(std::mem::take(decoded(decoder)))
}

impl Sink for Decoded {
    fn put(&mut self, piece: &[u8]) -> Result<(), Failure> {
        let mut decoded = self.decoder.push(piece).map_err(|error| damaged(&error))?;
        while !decoded.is_empty() {
            self.sink.put(&decoded)?;
            decoded = self.decoder.more().map_err(|error| damaged(&error))?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Failure> {
        let rest = std::mem::replace(&mut self.decoder, Decoder::Unknown).end();
        let rest = rest.map_err(|error| damaged(&error));
        if let Ok(rest) = rest.as_deref().map(|rest| rest.to_vec())
            && !rest.is_empty()
        {
            self.sink.put(&rest)?;
        }
        self.sink.finish().and(rest.map(drop))
    }
}

fn damaged(error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("cannot decompress the response: {error}"))
        .why("it is not what its Content-Encoding says, or it is truncated")
        .next("stoop http … -i    # without --compressed: the bytes as they are")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use proptest::prelude::*;

    fn compressed(bytes: &[u8], form: usize) -> (Decoder, Vec<u8>) {
        macro_rules! with {
            ($encoder:ident) => {{
                let mut encoder = $encoder::new(Vec::new(), Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }};
        }
        match form {
            0 => (Decoder::Gzip(MultiGzDecoder::new(Vec::new())), with!(GzEncoder)),
            1 => (Decoder::Unknown, with!(ZlibEncoder)),
            2 => {
                (Decoder::Zstd(Box::new(ZstdDecoder::new(usize::MAX))), stoop_http::internal::compress(bytes))
            }
            _ => (Decoder::Unknown, with!(DeflateEncoder)),
        }
    }

    fn decoded(mut decoder: Decoder, bytes: &[u8], piece_bytes: usize) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        for piece in bytes.chunks(piece_bytes) {
            let mut decoded = decoder.push(piece)?;
            while !decoded.is_empty() {
                all.append(&mut decoded);
                decoded = decoder.more()?;
            }
        }
        all.extend(decoder.end()?);
        Ok(all)
    }

    proptest! {
        #[test]
        fn what_was_compressed_is_restored(bytes: Vec<u8>, form in 0_usize..4, piece_bytes in 1_usize..50) {
            let (decoder, encoded) = compressed(&bytes, form);
            prop_assert_eq!(decoded(decoder, &encoded, piece_bytes).unwrap(), bytes);
        }

        #[test]
        fn a_truncated_stream_is_an_error(bytes: Vec<u8>, cut in 1_usize..10, is_zstd: bool) {
            let (decoder, encoded) = compressed(&bytes, if is_zstd { 2 } else { 0 });
            prop_assert!(decoded(decoder, &encoded[..encoded.len() - cut], 7).is_err());
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
            let _ = decoded(Decoder::Gzip(MultiGzDecoder::new(Vec::new())), &bytes, 5);
            let _ = decoded(Decoder::Unknown, &bytes, 5);
        }
    }
}
