//! Entry points for fuzz targets into private parsers. Not part of the public API.

use crate::interfaces;

/// Parses the responses of a server's reflection service.
pub fn reflection(data: &[u8]) {
    crate::reflection::fuzz(data);
}

/// Reads the compressed messages of a response.
pub fn compressed_messages(data: &[u8]) {
    crate::compression::messages::fuzz(data);
}

/// Reads interfaces. Those that are read can be written, and are read back the same.
pub fn interfaces(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(project) = interfaces::read::read(text) else { return };
    let written = interfaces::write::write(&project).expect("what was read can be written");
    assert_eq!(interfaces::read::read(&written).as_ref(), Ok(&project));
}
