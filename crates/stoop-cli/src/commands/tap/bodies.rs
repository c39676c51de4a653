//! Messages as JSON: by the schema of their method, without well-known secrets. Pure.

use stoop_tap::{Format, Message, redact};

/// The longest message that is decompressed.
#[cfg(feature = "grpc")]
const DECOMPRESSED_MAX: u64 = 4 << 20;

/// The schemas of messages.
#[derive(Debug)]
pub(super) struct Bodies {
    /// Those that were given, then the built-in one.
    #[cfg(feature = "grpc")]
    schemas: Vec<stoop_dynamic::Schema>,
}

impl Bodies {
    #[cfg(not(feature = "grpc"))]
    pub(super) fn new() -> Bodies {
        Bodies {}
    }

    /// Uses a schema before the built-in one.
    #[cfg(feature = "grpc")]
    pub(super) fn new(given: Option<stoop_dynamic::Schema>) -> Bodies {
        Bodies { schemas: given.into_iter().chain([stoop_dynamic::Schema::builtin()]).collect() }
    }

    /// Returns a message as JSON in one line. `None` if it is not known as a whole, or is not of a
    /// known method.
    pub(super) fn json(&self, message: &Message) -> Option<String> {
        if message.bytes.len() as u64 != message.len {
            return None;
        }
        let text = match message.format {
            Format::Json => message.bytes.clone(),
            _ => self.protobuf(message)?.into_bytes(),
        };
        Some(String::from_utf8_lossy(&redact(&text)).into_owned())
    }

    #[cfg(not(feature = "grpc"))]
    fn protobuf(&self, _message: &Message) -> Option<String> {
        None
    }
}

#[cfg(feature = "grpc")]
impl Bodies {
    fn method(&self, path: &str) -> Option<stoop_dynamic::MethodDescriptor> {
        let (service, method) = path.strip_prefix('/')?.split_once('/')?;
        let services = self.schemas.iter().filter_map(|schema| schema.pool().get_service_by_name(service));
        services
            .flat_map(|service| service.methods().collect::<Vec<_>>())
            .find(|found| found.name() == method)
    }

    fn kind(&self, message: &Message) -> Option<stoop_dynamic::MessageDescriptor> {
        let method = self.method(&message.method)?;
        Some(if message.is_response { method.output() } else { method.input() })
    }

    fn protobuf(&self, message: &Message) -> Option<String> {
        use stoop_dynamic::{DynamicMessage, json};
        let kind = self.kind(message)?;
        let bytes = decompressed(message)?;
        let decoded = DynamicMessage::decode(kind, &bytes[..]).ok()?;
        Some(json::Style { one_line: true, ..json::Style::default() }.text(&decoded))
    }
}

#[cfg(feature = "grpc")]
impl stoop_tap::Methods for Bodies {
    fn streams(&self, method: &str) -> Option<bool> {
        Some(self.method(method)?.is_server_streaming())
    }

    fn fields(&self, method: &str, is_response: bool) -> Option<std::sync::Arc<dyn stoop_tap::Fields>> {
        let method = self.method(method)?;
        let kind = if is_response { method.output() } else { method.input() };
        Some(std::sync::Arc::new(super::hide::Known::new(kind)))
    }
}

/// The built-in schema alone, which takes a few MiB and is read when a method is called.
#[cfg(feature = "grpc")]
#[derive(Debug, Default)]
pub(super) struct BuiltIn(std::sync::OnceLock<Bodies>);

#[cfg(feature = "grpc")]
impl BuiltIn {
    fn bodies(&self) -> &Bodies {
        self.0.get_or_init(|| Bodies::new(None))
    }
}

#[cfg(feature = "grpc")]
impl stoop_tap::Methods for BuiltIn {
    fn streams(&self, method: &str) -> Option<bool> {
        stoop_tap::Methods::streams(self.bodies(), method)
    }

    fn fields(&self, method: &str, is_response: bool) -> Option<std::sync::Arc<dyn stoop_tap::Fields>> {
        stoop_tap::Methods::fields(self.bodies(), method, is_response)
    }
}

/// Returns the bytes, decompressed. `None` if the compression is not known, or if they are many.
#[cfg(feature = "grpc")]
fn decompressed(message: &Message) -> Option<Vec<u8>> {
    use std::io::Read;
    let bytes = &message.bytes[..];
    let reader: Box<dyn Read> = match message.encoding.as_deref() {
        None | Some("identity") => return Some(bytes.to_vec()),
        Some("gzip") => Box::new(flate2::read::GzDecoder::new(bytes)),
        Some("deflate") => Box::new(flate2::read::ZlibDecoder::new(bytes)),
        Some("zstd") => return zstd(bytes),
        // It was named before the capture: these say themselves what they are.
        Some("") if bytes.starts_with(b"\x28\xb5\x2f\xfd") => return zstd(bytes),
        Some("") if bytes.starts_with(b"\x1f\x8b") => Box::new(flate2::read::GzDecoder::new(bytes)),
        _ => return None,
    };
    let mut text = Vec::new();
    let len = reader.take(DECOMPRESSED_MAX + 1).read_to_end(&mut text).ok()? as u64;
    (len <= DECOMPRESSED_MAX).then_some(text)
}

#[cfg(feature = "grpc")]
fn zstd(bytes: &[u8]) -> Option<Vec<u8>> {
    stoop_http::internal::decompress(bytes, DECOMPRESSED_MAX as usize).ok()
}

#[cfg(all(test, feature = "grpc"))]
mod tests {
    use std::io::Write;

    use stoop_tap::Methods;

    use super::*;

    const RUN: &str = "/runtime.v1.RuntimeService/RunPodSandbox";

    fn message(method: &str, is_response: bool, bytes: &[u8]) -> Message {
        let mut message = Message::default();
        (message.method, message.is_response) = (method.to_owned(), is_response);
        (message.bytes, message.len) = (bytes.to_vec(), bytes.len() as u64);
        message
    }

    #[test]
    fn a_message_is_json_of_its_method() {
        let bodies = Bodies::new(None);
        // config.metadata.name
        let request = message(RUN, false, b"\x0a\x07\x0a\x05\x0a\x03web");
        assert_eq!(bodies.json(&request).unwrap(), r#"{"config":{"metadata":{"name":"web"}}}"#);
        let response = message(RUN, true, b"\x0a\x02id");
        assert_eq!(bodies.json(&response).unwrap(), r#"{"podSandboxId":"id"}"#);
        assert_eq!(bodies.json(&message("/unknown.Service/Method", true, b"\x0a\x02id")), None);
        assert_eq!(bodies.json(&message(RUN, true, b"\x0a\x7fid")), None, "not such a message");
        let mut cut = response;
        cut.len += 1;
        assert_eq!(bodies.json(&cut), None);
        assert_eq!(bodies.streams(RUN), Some(false));
        assert_eq!(bodies.streams("/runtime.v1.RuntimeService/GetContainerEvents"), Some(true));
        assert_eq!(bodies.streams("/unknown.Service/Method"), None);
    }

    #[test]
    fn a_compressed_message_is_decompressed_unless_it_is_a_bomb() {
        let bodies = Bodies::new(None);
        let gzip = |bytes: &[u8]| {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            writer.write_all(bytes).unwrap();
            let mut message = message(RUN, true, &writer.finish().unwrap());
            message.encoding = Some("gzip".to_owned());
            message
        };
        assert_eq!(bodies.json(&gzip(b"\x0a\x02id")).unwrap(), r#"{"podSandboxId":"id"}"#);
        assert_eq!(bodies.json(&gzip(&vec![0; 5 << 20])), None);
        let zstd = |name: &str, bytes: &[u8]| {
            let mut message = message(RUN, true, &stoop_http::internal::compress(bytes));
            message.encoding = Some(name.to_owned());
            message
        };
        for name in ["zstd", ""] {
            assert_eq!(bodies.json(&zstd(name, b"\x0a\x02id")).unwrap(), r#"{"podSandboxId":"id"}"#);
        }
        assert_eq!(bodies.json(&zstd("zstd", &vec![0; 5 << 20])), None);
    }

    #[test]
    fn secrets_of_pods_and_registries_are_not_shown() {
        let bodies = Bodies::new(None);
        // image.image and auth.password
        let pull =
            message("/runtime.v1.ImageService/PullImage", false, b"\x0a\x03\x0a\x01i\x12\x06\x12\x04hunt");
        let shown = bodies.json(&pull).unwrap();
        assert!(shown.contains("[redacted]") && !shown.contains("hunt"), "{shown}");
    }
}
