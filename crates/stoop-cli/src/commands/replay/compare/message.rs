//! One message of HTTP/1: a head and a body.

/// The most headers of a message.
const HEADERS_MAX: usize = 256;

/// A request or a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// The request line, or the status with its reason.
    pub(super) start: String,
    pub(super) status: u16,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
}

/// Bytes that are not HTTP/1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Invalid;

/// How long a body is.
enum Length {
    Bytes(usize),
    Chunks,
    /// As long as the connection.
    UntilEnd,
}

impl Message {
    /// Reads the first message. Returns it and its length, or `None` if it is not yet whole.
    /// `method` is that of the request, for a response.
    pub(super) fn read(
        bytes: &[u8],
        method: Option<&str>,
        is_ended: bool,
    ) -> Result<Option<(Message, usize)>, Invalid> {
        let Some((mut message, head)) = (if method.is_some() { response(bytes)? } else { request(bytes)? })
        else {
            return Ok(None);
        };
        let rest = &bytes[head..];
        let body = match message.length(method)? {
            Length::Bytes(len) => rest.get(..len).map(|body| (body.to_vec(), len)),
            Length::Chunks => chunks(rest)?,
            Length::UntilEnd => is_ended.then(|| (rest.to_vec(), rest.len())),
        };
        let Some((body, len)) = body else { return Ok(None) };
        message.body = body;
        Ok(Some((message, head + len)))
    }

    pub(super) fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find_map(|(its, value)| (its == name).then_some(&value[..]))
    }

    /// Returns whether other bytes than HTTP follow it.
    pub(super) fn switches(&self, method: Option<&str>) -> bool {
        self.status == 101 || (method == Some("CONNECT") && (200..300).contains(&self.status))
    }

    pub(super) fn is_json(&self) -> bool {
        self.header("content-type").is_some_and(|kind| kind.windows(4).any(|part| part == b"json"))
    }

    fn length(&self, method: Option<&str>) -> Result<Length, Invalid> {
        let has_none = matches!(self.status, 100..200 | 204 | 304);
        if method == Some("HEAD") || (method.is_some() && has_none) || self.switches(method) {
            return Ok(Length::Bytes(0));
        }
        if self.header("transfer-encoding").is_some_and(|coding| coding.ends_with(b"chunked")) {
            return Ok(Length::Chunks);
        }
        match self.header("content-length") {
            Some(len) => {
                str::from_utf8(len).ok().and_then(|len| len.parse().ok()).map(Length::Bytes).ok_or(Invalid)
            }
            None if method.is_some() => Ok(Length::UntilEnd),
            None => Ok(Length::Bytes(0)),
        }
    }
}

fn request(bytes: &[u8]) -> Result<Option<(Message, usize)>, Invalid> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(len) = request.parse(bytes).map_err(|_| Invalid)? else { return Ok(None) };
    let start = format!("{} {}", request.method.unwrap_or_default(), request.path.unwrap_or_default());
    Ok(Some((Message { start, headers: owned(request.headers), ..Message::default() }, len)))
}

fn response(bytes: &[u8]) -> Result<Option<(Message, usize)>, Invalid> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(len) = response.parse(bytes).map_err(|_| Invalid)? else {
        return Ok(None);
    };
    let status = response.code.unwrap_or_default();
    let start = format!("{status} {}", response.reason.unwrap_or_default());
    Ok(Some((Message { start, status, headers: owned(response.headers), body: Vec::new() }, len)))
}

fn owned(headers: &[httparse::Header<'_>]) -> Vec<(String, Vec<u8>)> {
    let lower = |header: &httparse::Header<'_>| (header.name.to_ascii_lowercase(), header.value.to_vec());
    headers.iter().map(lower).collect()
}

/// Reads a body of chunks. Returns it without their sizes, and how many bytes it takes.
fn chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Invalid> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let (start, len) = match httparse::parse_chunk_size(&bytes[at..]).map_err(|_| Invalid)? {
            httparse::Status::Complete(found) => found,
            httparse::Status::Partial => return Ok(None),
        };
        at += start;
        if len == 0 {
            return trailers(&bytes[at..]).map(|end| end.map(|end| (body, at + end)));
        }
        let len = usize::try_from(len).map_err(|_| Invalid)?;
        let Some(end) = at.checked_add(len).filter(|end| end + 2 <= bytes.len()) else { return Ok(None) };
        body.extend_from_slice(&bytes[at..end]);
        at = end + 2;
    }
}

/// Returns the length of the trailers and of the empty line after them.
fn trailers(bytes: &[u8]) -> Result<Option<usize>, Invalid> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    match httparse::parse_headers(bytes, &mut headers).map_err(|_| Invalid)? {
        httparse::Status::Complete((len, _)) => Ok(Some(len)),
        httparse::Status::Partial => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str, method: Option<&str>) -> (Message, usize) {
        for len in 0..text.len() {
            assert_eq!(Message::read(&text.as_bytes()[..len], method, false), Ok(None), "{len}");
        }
        Message::read(text.as_bytes(), method, false).unwrap().unwrap()
    }

    #[test]
    fn bodies_end_where_their_heads_say() {
        let (message, _) = whole("POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", None);
        assert_eq!((&message.start[..], &message.body[..]), ("POST /a", &b"abc"[..]));
        let text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: x\r\n\r\n";
        let (message, len) = whole(text, Some("GET"));
        assert_eq!((message.status, &message.body[..], len), (200, &b"abcde"[..], text.len()));
        let (message, _) = whole("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", Some("HEAD"));
        assert!(message.body.is_empty());
        let (message, _) = whole("HTTP/1.1 204 No Content\r\n\r\n", Some("GET"));
        assert_eq!(message.start, "204 No Content");
        let (message, _) = whole("HTTP/1.1 101 Switching\r\n\r\n", Some("GET"));
        assert!(message.switches(Some("GET")));
        let open = b"HTTP/1.0 200 OK\r\n\r\nall";
        assert_eq!(Message::read(open, Some("GET"), false), Ok(None));
        assert_eq!(Message::read(open, Some("GET"), true).unwrap().unwrap().0.body, b"all");
        assert_eq!(Message::read(b"SSH-2.0-x\r\n", Some("GET"), false), Err(Invalid));
    }
}
