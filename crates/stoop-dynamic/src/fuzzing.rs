//! Entry points for fuzz targets into private parsers. Not part of the public API.

/// Parses the responses of a server's reflection service.
pub fn reflection(data: &[u8]) {
    crate::reflection::fuzz(data);
}
