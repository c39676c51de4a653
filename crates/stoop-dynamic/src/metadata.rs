//! Metadata as text. Values of keys that end in `-bin` are bytes, written in base64.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use tonic::metadata::{
    AsciiMetadataKey, AsciiMetadataValue, BinaryMetadataKey, BinaryMetadataValue, KeyAndValueRef, MetadataMap,
};

/// Accepts base64 with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Adds a pair. A key may occur more than once.
///
/// ```
/// use stoop_dynamic::{MetadataMap, metadata};
///
/// let mut map = MetadataMap::new();
/// metadata::insert(&mut map, "Containerd-Namespace", "k8s.io")?;
/// assert_eq!(map.get("containerd-namespace").unwrap(), "k8s.io");
/// metadata::insert(&mut map, "trace-bin", "/wA=")?;
/// assert_eq!(map.get_bin("trace-bin").unwrap().to_bytes()?, &[0xff, 0][..]);
/// assert!(metadata::insert(&mut map, "trace-bin", "not base64").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Returns an error if the key or the value is not valid metadata.
pub fn insert(map: &mut MetadataMap, key: &str, value: &str) -> Result<(), String> {
    let key = key.to_ascii_lowercase();
    let invalid_key = || format!("invalid key '{key}': only letters, digits, '-', '_' and '.' are allowed");
    if key.ends_with("-bin") {
        let key = BinaryMetadataKey::from_bytes(key.as_bytes()).map_err(|_| invalid_key())?;
        let bytes = BASE64.decode(value).map_err(|_| format!("the value of '{key}' is not base64"))?;
        map.append_bin(key, BinaryMetadataValue::from_bytes(&bytes));
        return Ok(());
    }
    let key = AsciiMetadataKey::from_bytes(key.as_bytes()).map_err(|_| invalid_key())?;
    let visible = Some(value).filter(|value| value.bytes().all(|byte| matches!(byte, b' '..=b'~')));
    let value = visible.and_then(|value| AsciiMetadataValue::try_from(value).ok()).ok_or_else(|| {
        format!("the value of '{key}' is not visible ASCII; for bytes, use the key '{key}-bin'")
    })?;
    map.append(key, value);
    Ok(())
}

/// Returns the pairs, in no particular order. The text comes from the peer and is untrusted.
///
/// ```
/// use stoop_dynamic::{MetadataMap, metadata};
///
/// let mut map = MetadataMap::new();
/// metadata::insert(&mut map, "trace-bin", "/wA=")?;
/// assert_eq!(metadata::pairs(&map), [("trace-bin".into(), "/wA".into())]);
/// # Ok::<(), String>(())
/// ```
pub fn pairs(map: &MetadataMap) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let pair = |pair| match pair {
        KeyAndValueRef::Ascii(key, value) => (key.to_string(), text(value.as_bytes())),
        KeyAndValueRef::Binary(key, value) => (key.to_string(), text(value.as_encoded_bytes())),
    };
    map.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes() {
        let mut map = MetadataMap::new();
        insert(&mut map, "Containerd-Namespace", "k8s.io").unwrap();
        insert(&mut map, "trace-bin", "/wA=").unwrap();
        insert(&mut map, "short-bin", "/w").unwrap();
        assert_eq!(map.get("containerd-namespace").unwrap(), "k8s.io");
        assert_eq!(map.get_bin("trace-bin").unwrap().to_bytes().unwrap(), &[0xff, 0][..]);
        assert_eq!(map.get_bin("short-bin").unwrap().to_bytes().unwrap(), &[0xff][..]);
        assert!(pairs(&map).contains(&("containerd-namespace".into(), "k8s.io".into())));
        assert!(insert(&mut map, "a key", "x").unwrap_err().contains("invalid key"));
        assert!(insert(&mut map, "x-bin", "§").unwrap_err().contains("base64"));
        for value in ["grün", "a\tb"] {
            assert!(insert(&mut map, "x", value).unwrap_err().contains("x-bin"));
        }
    }
}
