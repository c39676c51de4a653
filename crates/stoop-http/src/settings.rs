//! Protocol settings of a connection, for both sides and both versions of HTTP.

use std::time::Duration;

/// Protocol settings of a connection: header limits, keep-alive, flow-control windows, frame size.
///
/// For `Client::with` and `Server::settings`. What is not set keeps its default: hyper's, or the
/// one named here.
///
/// | setting | HTTP/1.1 | HTTP/2 | side |
/// |---|---|---|---|
/// | [`max_headers`](Settings::max_headers) | yes | | both |
/// | [`max_header_bytes`](Settings::max_header_bytes) | yes | yes | both |
/// | [`lenient_headers`](Settings::lenient_headers) | yes | | client |
/// | [`reuse`](Settings::reuse) | yes | | server |
/// | [`keep_alive`](Settings::keep_alive) | | yes | both |
/// | [`windows`](Settings::windows) | | yes | both |
/// | [`max_frame_bytes`](Settings::max_frame_bytes) | | yes | both |
/// | [`initial_requests`](Settings::initial_requests) | | yes | client |
///
/// `Server::max_requests_per_connection` limits the concurrency of HTTP/2.
///
/// ```
/// # #[cfg(all(feature = "client", feature = "server"))]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use http_body_util::Empty;
/// # use hyper::{Request, body::Bytes};
/// # use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use stoop_http::{Client, ErrorKind, Settings, Version};
///
/// let (stream, mut server) = stoop::aio::Stream::pair()?;
/// let settings = Settings::new().max_header_bytes(20);
/// let mut client = Client::with(stream, Version::Http1, &settings).await?;
/// let answer = async {
///     server.read(&mut [0; 1000]).await?;
///     server.write_all(b"HTTP/1.1 200 OK\r\nServer: a long name\r\n\r\n").await
/// };
/// let request = Request::new(Empty::<Bytes>::new());
/// let (response, answered) = tokio::join!(client.send(request), answer);
/// answered?;
/// assert_eq!(response.unwrap_err().kind(), ErrorKind::HeaderTooLarge);
/// # Ok(())
/// # }
/// # #[cfg(not(all(feature = "client", feature = "server")))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Settings {
    max_headers: Option<usize>,
    max_header_bytes: Option<u32>,
    #[cfg_attr(not(feature = "client"), allow(dead_code, reason = "for clients"))]
    is_lenient: bool,
    #[cfg_attr(not(feature = "client"), allow(dead_code, reason = "for clients"))]
    is_title_case: bool,
    #[cfg_attr(not(feature = "server"), allow(dead_code, reason = "for servers"))]
    is_single_use: bool,
    keep_alive: Option<(Duration, Duration)>,
    windows: Option<(u32, u32)>,
    max_frame_bytes: Option<u32>,
    #[cfg_attr(not(feature = "client"), allow(dead_code, reason = "for clients"))]
    initial_requests: Option<usize>,
    #[cfg_attr(not(feature = "client"), allow(dead_code, reason = "for clients"))]
    recorded_bytes: Option<usize>,
}

impl Settings {
    /// Creates settings in which everything has its default.
    pub fn new() -> Settings {
        Settings::default()
    }

    /// Limits how many headers a message may have; 100 by default.
    ///
    /// A client returns [`ErrorKind::HeaderTooLarge`](crate::ErrorKind::HeaderTooLarge) for a
    /// response that has more. A server responds with status 431.
    pub fn max_headers(mut self, headers: usize) -> Settings {
        self.max_headers = Some(headers);
        self
    }

    /// Limits the size of the headers of a message, with the request line or the status line.
    ///
    /// By default about 400 KiB for HTTP/1.1, and 16 KiB for HTTP/2, which announces it to the peer
    /// (`SETTINGS_MAX_HEADER_LIST_SIZE`).
    pub fn max_header_bytes(mut self, bytes: u32) -> Settings {
        self.max_header_bytes = Some(bytes);
        self
    }

    /// Accepts responses with malformed headers, as curl does; `false` by default.
    ///
    /// A value that continues on the next line (`obs-fold`) is joined, spaces before the colon
    /// are ignored, and so is a line that is not a header. Meant for programs that show what a
    /// server sends: a proxy that forwards such a response can be abused for request smuggling.
    pub fn lenient_headers(mut self, is_lenient: bool) -> Settings {
        self.is_lenient = is_lenient;
        self
    }

    /// Sets whether an HTTP/1.1 connection is used for further requests; `true` by default.
    pub fn reuse(mut self, is_reused: bool) -> Settings {
        self.is_single_use = !is_reused;
        self
    }

    /// Sends an HTTP/2 `PING` after each `interval`, and closes the connection if the peer does not
    /// acknowledge it within `timeout`. Off by default.
    ///
    /// On a Unix socket the kernel reports that a process has exited. This detects one that hangs.
    pub fn keep_alive(mut self, interval: Duration, timeout: Duration) -> Settings {
        self.keep_alive = Some((interval, timeout));
        self
    }

    /// Sets the flow-control windows of HTTP/2: how many bytes the peer may send without
    /// acknowledgement on one stream, and on the whole connection.
    ///
    /// By default 4 and 8 MiB for a client, and 1 MiB each for a server.
    pub fn windows(mut self, stream_bytes: u32, connection_bytes: u32) -> Settings {
        self.windows = Some((stream_bytes, connection_bytes));
        self
    }

    /// Sets how large a frame the peer may send in HTTP/2, from 16 KiB (the default) to 16 MiB - 1.
    ///
    /// # Panics
    /// Panics if the size is outside of this range.
    pub fn max_frame_bytes(mut self, bytes: u32) -> Settings {
        assert!((16 << 10..1 << 24).contains(&bytes), "HTTP/2 has no frames of up to {bytes} bytes");
        self.max_frame_bytes = Some(bytes);
        self
    }

    /// Sets how many HTTP/2 requests a client sends at once before the server's limit is known; 100
    /// by default.
    pub fn initial_requests(mut self, requests: usize) -> Settings {
        self.initial_requests = Some(requests);
        self
    }

    /// Sends the names of HTTP/1.1 headers as in `Content-Type`, and not in lower case.
    #[cfg(feature = "client")]
    pub(crate) fn title_case(mut self) -> Settings {
        self.is_title_case = true;
        self
    }

    /// Sets how many of the server's first bytes a client records.
    #[cfg(feature = "client")]
    pub(crate) fn recorded(mut self, bytes: usize) -> Settings {
        self.recorded_bytes = Some(bytes);
        self
    }
}

#[cfg(feature = "client")]
mod client {
    use hyper::client::conn::{http1, http2};
    use hyper_util::rt::TokioTimer;

    use super::Settings;
    use crate::spawn::Spawn;

    /// HTTP/2 flow-control windows, for one response and for the connection. Large enough that no
    /// local server ever waits for them.
    const WINDOW_BYTES: (u32, u32) = (4 << 20, 8 << 20);

    impl Settings {
        pub(crate) fn recorded_bytes(&self) -> Option<usize> {
            self.recorded_bytes
        }

        pub(crate) fn http1_client(&self) -> http1::Builder {
            let mut http1 = http1::Builder::new();
            if let Some(headers) = self.max_headers {
                http1.max_headers(headers);
            }
            if let Some(bytes) = self.max_header_bytes {
                http1.max_header_size(bytes as usize);
            }
            http1.allow_obsolete_multiline_headers_in_responses(self.is_lenient);
            http1.allow_spaces_after_header_name_in_responses(self.is_lenient);
            http1.ignore_invalid_headers_in_responses(self.is_lenient);
            http1.title_case_headers(self.is_title_case);
            http1
        }

        pub(crate) fn http2_client(&self) -> http2::Builder<Spawn> {
            let (stream, connection) = self.windows.unwrap_or(WINDOW_BYTES);
            let mut http2 = http2::Builder::new(Spawn);
            http2.timer(TokioTimer::new());
            http2.initial_stream_window_size(stream).initial_connection_window_size(connection);
            if let Some(bytes) = self.max_header_bytes {
                http2.max_header_list_size(bytes);
            }
            if let Some(bytes) = self.max_frame_bytes {
                http2.max_frame_size(bytes);
            }
            if let Some(requests) = self.initial_requests {
                http2.initial_max_send_streams(requests);
            }
            if let Some((interval, timeout)) = self.keep_alive {
                http2.keep_alive_interval(interval).keep_alive_timeout(timeout).keep_alive_while_idle(true);
            }
            http2
        }
    }
}

#[cfg(feature = "server")]
mod server {
    use hyper::server::conn::{http1, http2};
    use hyper_util::rt::TokioTimer;

    use super::Settings;
    use crate::spawn::Spawn;

    impl Settings {
        pub(crate) fn http1_server(&self) -> http1::Builder {
            let mut http1 = http1::Builder::new();
            http1.timer(TokioTimer::new()).keep_alive(!self.is_single_use).half_close(true);
            if let Some(headers) = self.max_headers {
                http1.max_headers(headers);
            }
            if let Some(bytes) = self.max_header_bytes {
                http1.max_header_size(bytes as usize);
            }
            http1
        }

        pub(crate) fn http2_server(&self) -> http2::Builder<Spawn> {
            let mut http2 = http2::Builder::new(Spawn);
            http2.timer(TokioTimer::new());
            if let Some((stream, connection)) = self.windows {
                http2.initial_stream_window_size(stream).initial_connection_window_size(connection);
            }
            if let Some(bytes) = self.max_header_bytes {
                http2.max_header_list_size(bytes);
            }
            if let Some(bytes) = self.max_frame_bytes {
                http2.max_frame_size(bytes);
            }
            if let Some((interval, timeout)) = self.keep_alive {
                http2.keep_alive_interval(interval).keep_alive_timeout(timeout);
            }
            http2
        }
    }
}
