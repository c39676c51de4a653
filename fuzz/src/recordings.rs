//! Recordings of a relay, captures, and the notation of faults.

use stoop_relay::fault::Faults;
use stoop_relay::record::{Recording, Tail};
use stoop_tap::What;
use stoop_tap::pcapng::{self, Reader};

/// Reads arbitrary bytes as a recording: it ends, within the bytes, and what is behind its end does
/// not matter.
pub fn recording(data: &[u8]) {
    let Ok(mut recording) = Recording::read(data) else { return };
    let records: Vec<_> = recording.by_ref().map(|record| record.expect("bytes can be read")).collect();
    let end = match recording.tail().expect("it has ended") {
        Tail::Open { offset } | Tail::Incomplete { offset } | Tail::Damaged { offset } => offset,
        _ => data.len() as u64,
    };
    let whole = usize::try_from(end).expect("within the bytes");
    let again = Recording::read(&data[..whole]).expect("it begins as before");
    assert!(again.map(|record| record.expect("bytes can be read")).eq(records));
}

/// Reads a list of faults: what is written for it can be read, and means faults if it did.
pub fn fault_list(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(faults) = text.parse::<Faults>() else { return };
    let shown = faults.to_string();
    let again: Faults = shown.parse().expect("what is written can be read");
    assert_eq!(again.is_empty(), shown.is_empty(), "{text}");
}

/// Reads arbitrary bytes as a capture: it ends, within the bytes; what is behind its end does not
/// matter, and no message is longer than it says.
pub fn capture_file(data: &[u8]) {
    let Ok(mut reader) = Reader::new(data) else { return };
    let pieces: Vec<_> = reader.by_ref().map(|piece| piece.expect("bytes can be read")).collect();
    for piece in &pieces {
        assert!(piece.flow == 0 || reader.flow(piece.flow).is_some());
        if let What::Data(data) = &piece.what {
            assert!(data.bytes.len() <= data.len as usize);
        }
    }
    let end = match reader.tail().expect("it has ended") {
        pcapng::Tail::Incomplete { offset } | pcapng::Tail::Damaged { offset } => offset,
        _ => data.len() as u64,
    };
    let whole = usize::try_from(end).expect("within the bytes");
    let again = Reader::new(&data[..whole]).expect("it begins as before");
    assert!(again.map(|piece| piece.expect("bytes can be read")).eq(pieces));
}
