//! For the fuzz targets of this repository. Not part of the public API.

/// Masks arbitrary bytes: as a whole and in pieces the same, and only to masks.
pub fn redaction(data: &[u8]) {
    crate::record::redaction(data);
}
