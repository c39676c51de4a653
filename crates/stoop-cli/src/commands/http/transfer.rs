//! What is known of a transfer when it is over, for `--write-out`.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use super::head::ResponseHead;
use super::request::HttpRequest;
use super::write_out::{self, Facts};
use crate::args::Http;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output;

/// The progress of a transfer.
pub(super) struct Transfer {
    begun: Instant,
    connected: Cell<Option<Instant>>,
    responded: Cell<Option<Instant>>,
    received_bytes: Cell<u64>,
    requested_bytes: Cell<u64>,
    /// When the request was sent that no redirect follows.
    redirected: Cell<Option<Instant>>,
    redirects: Cell<u32>,
    facts: RefCell<Facts>,
}

impl Transfer {
    pub(super) fn begin(flags: &Http) -> Transfer {
        let mut facts = Facts::default();
        let output = super::render::output_file(flags);
        facts
            .values
            .insert("filename_effective", output.map_or_else(String::new, |path| path.display().to_string()));
        for name in ["http_code", "response_code"] {
            facts.values.insert(name, "000".into());
        }
        for name in
            ["content_type", "redirect_url", "remote_ip", "local_ip", "num_headers", "errormsg", "certs"]
        {
            facts.values.insert(name, String::new());
        }
        for name in ["local_port", "remote_port", "num_certs"] {
            facts.values.insert(name, "0".into());
        }
        facts.values.insert("referer", flags.curl.referer.clone().unwrap_or_default());
        Transfer {
            begun: Instant::now(),
            connected: Cell::default(),
            responded: Cell::default(),
            received_bytes: Cell::default(),
            requested_bytes: Cell::default(),
            redirected: Cell::default(),
            redirects: Cell::default(),
            facts: RefCell::new(facts),
        }
    }

    pub(super) fn connected(&self) {
        self.connected.set(Some(Instant::now()));
    }

    /// Records that a request is sent.
    pub(super) fn requested(&self, request: &HttpRequest) {
        self.requested_bytes.set(self.requested_bytes.get() + request.len_bytes());
    }

    /// Records the head of a response.
    pub(super) fn responded(&self, request: &HttpRequest, head: &ResponseHead) {
        self.responded.set(Some(Instant::now()));
        let text = |name: &http::HeaderName| {
            let value = head.headers().get(name);
            value.map_or_else(String::new, |value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let version = match head.parts.version {
            http::Version::HTTP_2 => "2",
            http::Version::HTTP_10 => "1.0",
            _ => "1.1",
        };
        let location = head.headers().get(http::header::LOCATION);
        let redirect = location.and_then(|location| super::redirect::resolve(&request.uri, location).ok());
        let mut facts = self.facts.borrow_mut();
        facts.headers = head.headers().clone();
        facts.values.extend([
            ("http_code", format!("{:03}", head.status())),
            ("response_code", format!("{:03}", head.status())),
            ("http_version", version.to_owned()),
            ("content_type", text(&http::header::CONTENT_TYPE)),
            ("redirect_url", redirect.unwrap_or_default()),
            ("method", request.method.to_string()),
            ("url", request.url()),
            ("url_effective", request.url()),
            ("scheme", "HTTP".to_owned()),
            ("num_headers", head.headers().len().to_string()),
            (
                "size_header",
                (head.text().len() + head.text().iter().filter(|&&byte| byte == b'\n').count()).to_string(),
            ),
            ("size_upload", request.body_bytes().to_string()),
        ]);
    }

    /// Records a piece of the body.
    pub(super) fn received(&self, bytes: usize) {
        self.received_bytes.set(self.received_bytes.get() + bytes as u64);
    }

    /// Returns whether a part of a response was printed.
    pub(super) fn has_printed(&self) -> bool {
        self.received_bytes.get() > 0
    }

    pub(super) fn redirected(&self) {
        self.redirects.set(self.redirects.get() + 1);
        self.redirected.set(Some(Instant::now()));
    }

    pub(super) fn redirects(&self) -> u32 {
        self.redirects.get()
    }

    /// Prints what --write-out asks for.
    pub(super) fn write_out(&self, flags: &Http, outcome: &Outcome) -> Result<(), Failure> {
        let Some(format) = &flags.curl.write_out else { return Ok(()) };
        let format = match format.strip_prefix('@') {
            None => format.clone(),
            Some("-") => without_line_ends(std::io::read_to_string(std::io::stdin()))
                .map_err(|error| Failure::io("read the format", &error))?,
            Some(path) => without_line_ends(std::fs::read_to_string(path))
                .map_err(|error| Failure::io(format!("read '{}'", stoop::escaped(path)), &error))?,
        };
        let mut facts = self.facts.borrow_mut();
        let (connected, now) = (self.connected.get(), Instant::now());
        let size = self.received_bytes.get();
        let speed = |bytes: u64| (bytes as f64 / (now - self.begun).as_secs_f64()) as u64;
        facts.values.extend([
            ("size_download", size.to_string()),
            ("speed_download", speed(size).to_string()),
            ("speed_upload", speed(self.requested_bytes.get()).to_string()),
            ("size_request", self.requested_bytes.get().to_string()),
            ("num_redirects", self.redirects.get().to_string()),
            ("num_connects", (self.redirects.get() + u32::from(connected.is_some())).to_string()),
            ("time_connect", seconds(self.begun, connected)),
            ("time_pretransfer", seconds(self.begun, connected)),
            ("time_starttransfer", seconds(self.begun, self.responded.get())),
            ("time_redirect", seconds(self.begun, self.redirected.get())),
            ("time_total", seconds(self.begun, Some(now))),
            ("http_connect", "000".to_owned()),
            ("ssl_verify_result", "0".to_owned()),
            ("proxy_ssl_verify_result", "0".to_owned()),
            ("ftp_entry_path", String::new()),
            ("urlnum", "0".to_owned()),
            ("time_namelookup", seconds(self.begun, None)),
            ("time_appconnect", seconds(self.begun, None)),
        ]);
        let exit = match outcome {
            Ok(exit) => *exit,
            Err(failure) => {
                facts.values.insert("errormsg", failure.summary());
                failure.exit()
            }
        };
        facts.values.insert("exitcode", Exit::code(exit).to_string());
        let written = write_out::format(&format, &facts);
        output::print(written.out.as_bytes())?;
        output::complain(written.err.as_bytes())
    }
}

/// Removes the ends of lines from a format in a file, as curl does: `\n` stands for them.
fn without_line_ends(text: std::io::Result<String>) -> std::io::Result<String> {
    text.map(|text| text.replace(['\r', '\n'], ""))
}

/// Formats how long something took.
fn seconds(since: Instant, until: Option<Instant>) -> String {
    let span = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(since));
    format!("{:.6}", span.as_secs_f64())
}
