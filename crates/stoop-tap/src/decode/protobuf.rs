//! The fields of a protobuf message, without a schema. Pure.

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'b> {
    Number(u64),
    Bytes(&'b [u8]),
}

/// Iterates over the fields, as far as they are valid.
#[derive(Clone, Debug)]
pub(super) struct Fields<'b>(pub(super) &'b [u8]);

impl<'b> Iterator for Fields<'b> {
    type Item = (u64, Value<'b>);

    fn next(&mut self) -> Option<(u64, Value<'b>)> {
        let rest = &mut self.0;
        let tag = varint(rest)?;
        let value = match tag & 7 {
            0 => Value::Number(varint(rest)?),
            1 => Value::Number(u64::from_le_bytes(*rest.split_off(..8)?.first_chunk()?)),
            2 => {
                let len = usize::try_from(varint(rest)?).ok()?;
                Value::Bytes(rest.split_off(..len)?)
            }
            5 => Value::Number(u32::from_le_bytes(*rest.split_off(..4)?.first_chunk()?).into()),
            _ => return None,
        };
        Some((tag >> 3, value))
    }
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..70).step_by(7) {
        let byte = *rest.split_off_first()?;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_have_numbers_and_values() {
        let fields: Vec<_> = Fields(b"\x08\x96\x01\x12\x02hi\x1d\x01\0\0\0\x21\x02\0\0\0\0\0\0\0").collect();
        let number = Value::Number;
        assert_eq!(fields, [(1, number(150)), (2, Value::Bytes(b"hi")), (3, number(1)), (4, number(2))]);
        assert_eq!(Fields(b"\x12\x7fhi").next(), None, "cut");
    }

    proptest! {
        #[test]
        fn anything_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Fields(&bytes).count() <= bytes.len());
        }
    }
}
