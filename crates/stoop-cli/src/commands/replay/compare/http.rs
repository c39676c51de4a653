//! HTTP/1: status, headers and bodies of each message. After an upgrade, and of what is not HTTP,
//! the bytes.

use std::collections::VecDeque;

use super::message::Message;
use super::{Bytes, Compare, Difference, END, NOTHING, SHOWN_BYTES, Verdict, excerpt, json, masked};

/// Headers that differ from one time to the next.
const CHANGING: [&str; 1] = ["date"];

/// Headers that say how long a body is, which is compared itself.
const LENGTHS: [&str; 2] = ["content-length", "transfer-encoding"];

/// The responses of a server, or the requests of a client.
#[derive(Debug)]
pub(in super::super) struct Http {
    /// What was recorded, and what came.
    sides: [Stream; 2],
    /// The requests that were sent, if responses are compared.
    requests: Option<Requests>,
    ignore: Vec<String>,
    is_masked: bool,
    count: u64,
    /// How the rest is compared.
    rest: Option<Bytes>,
}

/// One stream of messages.
#[derive(Debug, Default)]
struct Stream {
    bytes: Vec<u8>,
    is_ended: bool,
}

/// The requests that were sent.
#[derive(Debug, Default)]
struct Requests {
    bytes: Vec<u8>,
    /// The lines of those without a final response, as in `GET /`.
    lines: VecDeque<String>,
}

impl Http {
    /// Compares responses, or requests. Headers and fields of JSON of the ignored names are left
    /// out.
    pub(in super::super) fn new(is_responses: bool, ignore: &[String]) -> Http {
        Http {
            sides: [Stream::default(), Stream::default()],
            requests: is_responses.then(Requests::default),
            ignore: ignore.to_vec(),
            is_masked: false,
            count: 0,
            rest: None,
        }
    }

    /// Returns the request that the next response answers, and its method.
    fn request(&self) -> (Option<String>, Option<String>) {
        let Some(requests) = &self.requests else { return (None, None) };
        let line = requests.lines.front().cloned().unwrap_or_default();
        let method = line.split(' ').next().unwrap_or_default().to_owned();
        (Some(line), Some(method))
    }

    /// Compares the next message of both sides. Returns `None` if one is not yet whole.
    fn next(&mut self) -> Option<Verdict> {
        let (line, method) = self.request();
        let method = method.as_deref();
        let read = |side: &Stream| Message::read(&side.bytes, method, side.is_ended);
        let (Ok(recorded), Ok(came)) = (read(&self.sides[0]), read(&self.sides[1])) else {
            return Some(self.compare_bytes());
        };
        let (Some((recorded, len)), Some((came, came_len))) = (recorded, came) else { return None };
        self.count += 1;
        if let Some(difference) = self.differ(&recorded, &came, line) {
            return Some(Verdict::Different(difference));
        }
        self.sides[0].bytes.drain(..len);
        self.sides[1].bytes.drain(..came_len);
        if !matches!(recorded.status, 1..200)
            && let Some(requests) = &mut self.requests
        {
            requests.lines.pop_front();
        }
        match recorded.switches(method) {
            true => Some(self.compare_bytes()),
            false => self.next(),
        }
    }

    /// Compares the rest as bytes.
    fn compare_bytes(&mut self) -> Verdict {
        let mut rest = Bytes::default();
        let [recorded, came] = &mut self.sides;
        rest.recorded(&std::mem::take(&mut recorded.bytes), self.is_masked);
        rest.came(&std::mem::take(&mut came.bytes));
        if recorded.is_ended {
            rest.recorded_end();
        }
        if came.is_ended {
            rest.came_end();
        }
        self.rest.insert(rest).verdict()
    }

    fn differ(&self, recorded: &Message, came: &Message, request: Option<String>) -> Option<Difference> {
        let noun = if self.requests.is_some() { "response" } else { "request" };
        let place = |part: &str| format!("{noun} {}, {part}", self.count);
        let found = if !self.is_same(&recorded.start, &came.start) {
            let part = if self.requests.is_some() { "status" } else { "line" };
            Some(Difference::new(place(part), &recorded.start, &came.start))
        } else {
            self.headers(recorded, came, &place).or_else(|| self.body(recorded, came, &place))
        };
        found.map(|difference| Difference { request: request.filter(|line| !line.is_empty()), ..difference })
    }

    /// Returns whether these are the same, as far as secrets are not masked.
    fn is_same(&self, recorded: &str, came: &str) -> bool {
        recorded == came || self.is_masked && masked::matches(recorded.as_bytes(), came.as_bytes())
    }

    fn headers(
        &self,
        recorded: &Message,
        came: &Message,
        place: &dyn Fn(&str) -> String,
    ) -> Option<Difference> {
        let names = recorded.headers.iter().chain(&came.headers).map(|(name, _)| name);
        let mut compared = names.filter(|name| {
            let is_ignored = self.ignore.iter().any(|ignored| ignored.eq_ignore_ascii_case(name));
            !is_ignored && !CHANGING.contains(&&name[..]) && !LENGTHS.contains(&&name[..])
        });
        compared.find_map(|name| {
            let values = |message: &Message| {
                let its = message.headers.iter().filter(|(its, _)| its == name);
                its.map(|(_, value)| value.escape_ascii().to_string()).collect::<Vec<_>>()
            };
            let (one, other) = (values(recorded), values(came));
            let is_same = one.len() == other.len()
                && one.iter().zip(&other).all(|(one, other)| self.is_same(one, other));
            let shown =
                |values: Vec<String>| if values.is_empty() { NOTHING.to_owned() } else { values.join(", ") };
            (!is_same).then(|| Difference::new(place(&format!("header '{name}'")), shown(one), shown(other)))
        })
    }

    fn body(&self, recorded: &Message, came: &Message, place: &dyn Fn(&str) -> String) -> Option<Difference> {
        if recorded.is_json()
            && let (Some(one), Some(other)) = (json::documents(&recorded.body), json::documents(&came.body))
        {
            let (one, other) = match (&one[..], &other[..]) {
                ([one], [other]) => (one.clone(), other.clone()),
                _ => (one.into(), other.into()),
            };
            let found = json::first_difference("", &one, &other, &self.ignore, self.is_masked)?;
            let (path, one, other) = found;
            return Some(Difference::new(place(&format!("body, {path}")), cut(&one), cut(&other)));
        }
        if self.is_masked && masked::matches(&recorded.body, &came.body) {
            return None;
        }
        let mut bytes = Bytes::default();
        bytes.recorded(&recorded.body, self.is_masked);
        bytes.came(&came.body);
        bytes.recorded_end();
        bytes.came_end();
        match bytes.verdict() {
            Verdict::Different(found) => {
                Some(Difference { place: place(&format!("body, {}", found.place)), ..found })
            }
            _ => None,
        }
    }
}

/// Shortens what is shown of a value.
fn cut(text: &str) -> String {
    match text.char_indices().nth(2 * SHOWN_BYTES) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

impl Compare for Http {
    fn sent(&mut self, bytes: &[u8]) {
        let Some(requests) = &mut self.requests else { return };
        requests.bytes.extend_from_slice(bytes);
        while let Ok(Some((message, len))) = Message::read(&requests.bytes, None, false) {
            requests.bytes.drain(..len);
            requests.lines.push_back(message.start);
        }
    }

    fn recorded(&mut self, bytes: &[u8], is_masked: bool) {
        self.is_masked |= is_masked;
        match &mut self.rest {
            Some(rest) => rest.recorded(bytes, is_masked),
            None => self.sides[0].bytes.extend_from_slice(bytes),
        }
    }

    fn came(&mut self, bytes: &[u8]) {
        match &mut self.rest {
            Some(rest) => rest.came(bytes),
            None => self.sides[1].bytes.extend_from_slice(bytes),
        }
    }

    fn recorded_end(&mut self) {
        self.sides[0].is_ended = true;
        self.rest.iter_mut().for_each(Bytes::recorded_end);
    }

    fn came_end(&mut self) {
        self.sides[1].is_ended = true;
        self.rest.iter_mut().for_each(Bytes::came_end);
    }

    fn verdict(&mut self) -> Verdict {
        if let Some(rest) = &mut self.rest {
            return rest.verdict();
        }
        if let Some(verdict) = self.next() {
            return verdict;
        }
        let (line, method) = self.request();
        let [recorded, came] = &self.sides;
        // A message that is not whole in the recording is compared when it is.
        let is_whole =
            matches!(Message::read(&recorded.bytes, method.as_deref(), recorded.is_ended), Ok(Some(_)));
        match (is_whole || (recorded.is_ended && !recorded.bytes.is_empty()), came.is_ended) {
            (true, true) => {
                let place = format!("response {}", self.count + 1);
                let now = if came.bytes.is_empty() {
                    END.to_owned()
                } else {
                    excerpt(&came.bytes, came.bytes.len())
                };
                let found = Difference::new(place, excerpt(&recorded.bytes, 0), now);
                Verdict::Different(Difference { request: line, ..found })
            }
            (true, false) => Verdict::Missing,
            (false, _) if recorded.is_ended && !came.bytes.is_empty() => {
                let place = format!("response {}", self.count + 1);
                Verdict::Different(Difference::new(place, END, excerpt(&came.bytes, 0)))
            }
            (false, is_ended) if recorded.is_ended && !is_ended => Verdict::Missing,
            (false, _) => Verdict::Same,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(recorded: &str, came: &str, ignore: &[&str]) -> Verdict {
        let ignore: Vec<String> = ignore.iter().map(|name| (*name).to_owned()).collect();
        let mut http = Http::new(true, &ignore);
        http.sent(b"GET /one HTTP/1.1\r\nHost: x\r\n\r\nGET /two HTTP/1.1\r\n\r\n");
        http.recorded(recorded.as_bytes(), false);
        http.came(came.as_bytes());
        http.verdict()
    }

    fn response(headers: &str, body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
    }

    fn found(verdict: Verdict) -> (String, String, String, Option<String>) {
        let Verdict::Different(it) = verdict else { panic!("{verdict:?}") };
        (it.place, it.recorded, it.now, it.request)
    }

    #[test]
    fn what_may_change_does_not_differ() {
        let one =
            response("Date: today\r\nA: b\r\nContent-Type: application/json\r\n", "{\"a\": 1, \"b\": 22}");
        let other =
            response("A: b\r\nDate: tomorrow\r\nContent-Type: application/json\r\n", "{\"b\":3,\"a\":1}");
        assert_eq!(compare(&one, &other, &["b"]), Verdict::Same);
        let place = "response 1, body, .b".to_owned();
        let expected = (place, "22".to_owned(), "3".to_owned(), Some("GET /one".to_owned()));
        assert_eq!(found(compare(&one, &other, &[])), expected);
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        assert_eq!(compare(&response("", "abc"), chunked, &[]), Verdict::Same);
    }

    #[test]
    fn the_first_difference_names_its_request() {
        let one = response("", "same") + &response("ETag: 1\r\n", "abc");
        let other = response("", "same") + &response("ETag: 2\r\n", "abd");
        let (place, recorded, now, request) = found(compare(&one, &other, &[]));
        assert_eq!((&place[..], &recorded[..], &now[..]), ("response 2, header 'etag'", "1", "2"));
        assert_eq!(request.as_deref(), Some("GET /two"));
        let (place, recorded, now, _) = found(compare(&one, &other, &["etag"]));
        assert_eq!((&place[..], &recorded[..], &now[..]), ("response 2, body, byte 2", "abc", "abd"));
        let (place, recorded, now, _) =
            found(compare(&one, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", &[]));
        assert_eq!((&place[..], &recorded[..], &now[..]), ("response 1, status", "200 OK", "404 Not Found"));
    }

    #[test]
    fn masked_secrets_do_not_differ_and_what_is_around_them_does() {
        let request = |token: &str, cookie: &str, body: &str| {
            let len = body.len();
            format!(
                "POST /a?token={token}&b=1 HTTP/1.1\r\nCookie: {cookie}\r\nContent-Length: {len}\r\n\r\n{body}"
            )
        };
        let compare = |recorded: &str, came: &str| {
            let mut http = Http::new(false, &[]);
            http.recorded(recorded.as_bytes(), true);
            http.came(came.as_bytes());
            http.verdict()
        };
        let recorded = request("***", "****", "user=u&password=***");
        assert_eq!(compare(&recorded, &request("longer", "x", "user=u&password=")), Verdict::Same);
        let (place, ..) = found(compare(&recorded, &request("abc", "x", "user=v&password=abc")));
        assert_eq!(place, "request 1, body, byte 5");
        let (place, ..) = found(compare(&recorded, &request("abc&c=2", "x", "").replace("b=1", "b=2")));
        assert_eq!(place, "request 1, line");
    }

    #[test]
    fn what_is_not_yet_there_is_waited_for() {
        let one = response("", "abc");
        assert_eq!(compare(&one, &one[..10], &[]), Verdict::Missing);
        assert_eq!(compare(&one[..10], &one, &[]), Verdict::Same);
        let mut http = Http::new(true, &[]);
        http.recorded(one.as_bytes(), false);
        http.came(&one.as_bytes()[..10]);
        http.came_end();
        assert!(matches!(http.verdict(), Verdict::Different(_)));
    }

    #[test]
    fn after_an_upgrade_bytes_are_compared() {
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n";
        let (place, ..) = found(compare(&format!("{head}abc"), &format!("{head}abd"), &[]));
        assert_eq!(place, "byte 2");
    }
}
