//! The records of a perf buffer. Pure.

/// A record of a perf buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PerfRecord<'b> {
    /// What a program wrote, padded.
    Sample(&'b [u8]),
    /// That many records did not fit, at this place.
    Lost(u64),
}

const SAMPLE: u32 = 9;
const LOST: u32 = 2;
const HEADER: usize = 8;

/// Splits the bytes of a buffer into records. Ends at the first that is truncated; records of other
/// kinds are skipped.
pub(super) fn records(mut bytes: &[u8]) -> impl Iterator<Item = PerfRecord<'_>> {
    std::iter::from_fn(move || {
        loop {
            let (record, rest) = split(bytes)?;
            bytes = rest;
            if let Some(record) = decode(record) {
                return Some(record);
            }
        }
    })
}

/// A header has the kind (4 bytes), flags (2) and the length with the header (2).
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = usize::from(u16::from_le_bytes(*bytes.get(6..)?.first_chunk()?));
    if len < HEADER { None } else { bytes.split_at_checked(len) }
}

fn decode(record: &[u8]) -> Option<PerfRecord<'_>> {
    let kind = u32::from_le_bytes(*record.first_chunk()?);
    let body = &record[HEADER..];
    match kind {
        SAMPLE => {
            let len = u32::from_le_bytes(*body.first_chunk()?) as usize;
            Some(PerfRecord::Sample(body[4..].get(..len)?))
        }
        // The number of the event, then the count.
        LOST => Some(PerfRecord::Lost(u64::from_le_bytes(*body.get(8..)?.first_chunk()?))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.extend([0, 0]);
        bytes.extend(((HEADER + body.len()) as u16).to_le_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn samples_and_losses_are_in_order_and_other_records_are_skipped() {
        let mut bytes = record(SAMPLE, &[3, 0, 0, 0, b'a', b'b', b'c', 0]);
        bytes.extend(record(5, &[1; 16]));
        bytes.extend(record(LOST, &[7, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0]));
        bytes.extend(&record(SAMPLE, &[4, 0, 0, 0, 1, 2, 3, 4])[..9]);
        let found: Vec<_> = records(&bytes).collect();
        assert_eq!(found, [PerfRecord::Sample(b"abc"), PerfRecord::Lost(258)]);
    }

    #[test]
    fn lengths_that_reach_too_far_end_it() {
        assert_eq!(records(&record(SAMPLE, &[9, 0, 0, 0, 1, 2, 3, 4])).next(), None);
        assert_eq!(records(&[9, 0, 0, 0, 0, 0, 0, 0, 1]).next(), None, "no length at all");
        assert_eq!(records(&[]).next(), None);
    }
}
