//! Header blocks as names and values, for those who only read them.

use super::decode::{Decoder, Field, Name};
use super::table;

/// Reads the header blocks of one direction of a connection, in their order.
#[derive(Debug, Default)]
pub struct HeaderBlocks {
    decoder: Decoder,
}

impl HeaderBlocks {
    /// Reads a whole block. Returns `None` if it is malformed; the following blocks cannot be read
    /// then.
    pub fn read(&mut self, block: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut fields = Vec::new();
        let read = self.decoder.decode(block, |field| fields.push(owned(field)));
        read.ok().map(|()| fields)
    }
}

fn owned(field: Field<'_>) -> (Vec<u8>, Vec<u8>) {
    let name_of = |index| table::name(index).as_bytes().to_vec();
    match field {
        Field::Static(index) => (name_of(index), table::value(index).as_bytes().to_vec()),
        Field::Literal { name: Name::Static(index), value, .. } => (name_of(index), value.to_vec()),
        Field::Literal { name: Name::Text(name), value, .. } => (name.to_vec(), value.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_both_tables_are_read() {
        let mut blocks = HeaderBlocks::default();
        let field = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        // RFC 7541, appendix C.3: two requests, the second with an entry of the first.
        let first = b"\x82\x86\x84\x41\x0fwww.example.com";
        let request = [
            field(":method", "GET"),
            field(":scheme", "http"),
            field(":path", "/"),
            field(":authority", "www.example.com"),
        ];
        assert_eq!(blocks.read(first).unwrap(), request);
        let second = blocks.read(b"\x82\x86\x84\xbe\x58\x08no-cache").unwrap();
        assert_eq!(second, [&request[..], &[field("cache-control", "no-cache")]].concat());
        assert_eq!(blocks.read(b"\x88"), Some(vec![field(":status", "200")]));
        assert_eq!(blocks.read(b"\xff\xff\xff\xff\xff\xff"), None);
    }
}
