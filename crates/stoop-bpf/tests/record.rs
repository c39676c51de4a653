//! Decodes records from a stream that is split anywhere.

use proptest::prelude::*;
use stoop_bpf::{RECORD_BYTES, Record, Records, TruncatedRecord};

fn records(pieces: &[&[u8]]) -> (Vec<Record>, Result<(), TruncatedRecord>) {
    let (mut records, mut found) = (Records::default(), Vec::new());
    for piece in pieces {
        records.feed(piece, |record| found.push(record));
    }
    (found, records.finish())
}

#[test]
fn zeros_are_nothing() {
    let record = Record::split(&[0; RECORD_BYTES]).unwrap().0;
    assert_eq!((record.cookie, record.network), (None, None));
    assert_eq!(record.command.as_bytes(), b"");
}

#[test]
fn a_name_without_an_end_is_as_long_as_its_place() {
    let record = Record::split(&[b'x'; RECORD_BYTES + 112]).unwrap().0;
    assert_eq!(record.command.as_bytes(), [b'x'; 16]);
    assert!(!format!("{record:?}").contains("7878"), "addresses in the kernel are not shown");
}

proptest! {
    /// Splitting the bytes anywhere changes neither the records nor the remainder.
    #[test]
    fn cuts_change_nothing(
        mut data in proptest::collection::vec(any::<u8>(), 0..5 * RECORD_BYTES),
        has_addresses: bool,
        cuts in proptest::collection::vec(0..300usize, 0..12),
    ) {
        if !has_addresses {
            data.fill(0);
        }
        let mut pieces = Vec::new();
        let mut rest = &data[..];
        for cut in cuts {
            let (piece, behind) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        pieces.push(rest);
        let whole = records(&[&data]);
        let (mut one_by_one, mut rest) = (Vec::new(), &data[..]);
        while let Some((record, behind)) = Record::split(rest) {
            one_by_one.push(record);
            rest = behind;
        }
        prop_assert_eq!(&whole.0, &one_by_one);
        prop_assert_eq!(whole.1.err().map_or(0, |cut| cut.0), rest.len());
        prop_assert_eq!(records(&pieces), whole);
    }
}
