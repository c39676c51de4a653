//! The flags of `stoop http` that curl has too, beyond those of `args.rs`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http::StatusCode;

use crate::time;

/// Flags with the names and the meaning of curl's.
#[derive(Args, Debug)]
#[command(next_help_heading = "As in curl")]
pub(crate) struct CurlFlags {
    /// Use this method, instead of naming it before the path
    #[arg(long = "request", short = 'X', value_name = "METHOD")]
    pub(crate) method: Option<String>,

    /// Print only the head of the response, with the method HEAD
    #[arg(long, visible_short_alias = 'I', conflicts_with_all = ["form", "upload_file", "upgrade"])]
    pub(crate) head: bool,

    /// Print the request and the head of the response on standard error
    #[arg(long, short)]
    pub(crate) verbose: bool,

    /// Print no status messages and no errors
    #[arg(long, short)]
    pub(crate) silent: bool,

    /// With --silent, print errors
    #[arg(long, short = 'S')]
    pub(crate) show_error: bool,

    /// Follow redirects, up to 50; always to the same socket
    #[arg(long, short = 'L', conflicts_with = "upgrade")]
    pub(crate) location: bool,

    /// Fail after this number of redirects, instead of 50
    #[arg(long, value_name = "N", requires = "location")]
    pub(crate) max_redirs: Option<u32>,

    /// With --location, repeat a POST after the status 301, instead of a GET
    #[arg(long, requires = "location")]
    pub(crate) post301: bool,

    /// With --location, repeat a POST after the status 302, instead of a GET
    #[arg(long, requires = "location")]
    pub(crate) post302: bool,

    /// With --location, repeat a POST after the status 303, instead of a GET
    #[arg(long, requires = "location")]
    pub(crate) post303: bool,

    /// Send the data in the query of a GET request
    #[arg(long, short = 'G', conflicts_with_all = ["form", "upload_file"])]
    pub(crate) get: bool,

    /// Send a form with this field; @FILE attaches a file, <FILE sends its contents as the value;
    /// may be repeated
    #[arg(long, short = 'F', value_name = "NAME=CONTENT", conflicts_with_all = ["data", "upload_file"])]
    pub(crate) form: Vec<OsString>,

    /// Send a form with this field, even if its value begins with @ or <; after those of --form;
    /// may be repeated
    #[arg(long, value_name = "NAME=TEXT", conflicts_with_all = ["data", "upload_file", "get", "head"])]
    pub(crate) form_string: Vec<OsString>,

    /// Send this file with PUT; - is standard input
    #[arg(long, short = 'T', value_name = "FILE", conflicts_with = "data")]
    pub(crate) upload_file: Option<PathBuf>,

    /// Send this user and password (Basic authentication)
    #[arg(long = "auth", short, alias = "user", value_name = "USER:PASSWORD")]
    pub(crate) user: Option<String>,

    /// Send this token (Bearer authentication)
    #[arg(long, value_name = "TOKEN", conflicts_with = "user")]
    pub(crate) oauth2_bearer: Option<String>,

    /// Send these cookies
    #[arg(long, short = 'b', value_name = "NAME=VALUE")]
    pub(crate) cookie: Vec<String>,

    /// Send this User-Agent
    #[arg(long, short = 'A', value_name = "TEXT")]
    pub(crate) user_agent: Option<String>,

    /// Send this Referer
    #[arg(long, short = 'e', value_name = "URL")]
    pub(crate) referer: Option<String>,

    /// Request only these bytes, as in 0-499 or -500
    #[arg(long, short, value_name = "RANGE", allow_hyphen_values = true)]
    pub(crate) range: Option<String>,

    /// Request a compressed response, and decompress it (gzip, deflate, zstd)
    #[arg(long)]
    pub(crate) compressed: bool,

    /// Write the body to a file named like the last part of the path
    #[arg(long, short = 'O', conflicts_with_all = ["output", "json", "upgrade"])]
    pub(crate) remote_name: bool,

    /// Write the file of --output or --remote-name to this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) output_dir: Option<PathBuf>,

    /// Create the directory of the file of --output or --remote-name if it does not exist
    #[arg(long)]
    pub(crate) create_dirs: bool,

    /// Write the head of the response to this file; - is standard output
    #[arg(long, short = 'D', value_name = "FILE")]
    pub(crate) dump_header: Option<PathBuf>,

    /// Print this text after the response, with variables as in '%{http_code}\n'; @FILE reads it
    /// from a file
    #[arg(long, short, value_name = "FORMAT", conflicts_with = "json")]
    pub(crate) write_out: Option<String>,

    /// Repeat the request up to this number of times if it times out, or the status is 408, 429,
    /// 500, 502, 503 or 504
    #[arg(long, value_name = "N", conflicts_with = "upgrade")]
    pub(crate) retry: Option<u32>,

    /// Wait this time before each repetition, instead of 1s, 2s, 4s and so on
    #[arg(long, value_name = "TIME", value_parser = time::parse, requires = "retry")]
    pub(crate) retry_delay: Option<Duration>,

    /// Repeat the request also if no server is listening
    #[arg(long, requires = "retry")]
    pub(crate) retry_connrefused: bool,

    /// Repeat the request after any failure
    #[arg(long, requires = "retry")]
    pub(crate) retry_all_errors: bool,

    /// Fail if the connection is not accepted into the backlog within this time
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) connect_timeout: Option<Duration>,

    /// As --fail, but print the body on standard output
    #[arg(long, conflicts_with = "fail")]
    pub(crate) fail_with_body: bool,

    /// Has no effect: there is no TLS
    #[arg(long, short = 'k', hide = true)]
    insecure: bool,

    /// Has no effect: output is never held back
    #[arg(long, short = 'N', hide = true)]
    no_buffer: bool,

    /// Braces and brackets of a URL have no meaning, as always for a path
    #[arg(long, short_alias = 'g', hide = true)]
    pub(crate) globoff: bool,

    /// The path or URL, in the place that curl has for it too
    #[arg(long, value_name = "URL", hide = true, conflicts_with = "request")]
    pub(crate) url: Option<String>,

    /// Has no effect: there is no progress meter
    #[arg(long, alias = "progress-bar", short_alias = '#', hide = true, action = clap::ArgAction::Count)]
    no_progress_meter: u8,

    /// Has no effect: there is no TCP
    #[arg(long, alias = "no-keepalive", hide = true, action = clap::ArgAction::Count)]
    tcp_nodelay: u8,

    /// Has no effect: there is no TCP
    #[arg(long, value_name = "SECONDS", hide = true)]
    keepalive_time: Option<String>,

    /// Has no effect: --auth is Basic authentication
    #[arg(long, hide = true)]
    basic: bool,

    /// Has no effect: paths are sent as they are
    #[arg(long, hide = true)]
    path_as_is: bool,

    /// Has no effect: HTTP/1.1 is the default
    #[arg(long = "http1.1", hide = true, conflicts_with = "http2")]
    http1_1: bool,

    /// Has no effect: there is no proxy
    #[arg(long, value_name = "TEXT", hide = true)]
    noproxy: Option<String>,
}

impl CurlFlags {
    /// Returns whether the body is a form.
    pub(super) fn sends_form(&self) -> bool {
        !self.form.is_empty() || !self.form_string.is_empty()
    }

    /// Returns whether a POST is repeated after a redirect with this status that makes it a GET.
    pub(super) fn keeps_post(&self, status: StatusCode) -> bool {
        match status.as_u16() {
            301 => self.post301,
            302 => self.post302,
            303 => self.post303,
            _ => false,
        }
    }
}
