//! The perf buffers of all processors.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd};

use crate::support::{Unavailable, Undetermined, failed, refusal};
use crate::sys::{Map, MapKind, Ring};

/// Opens a buffer for each processor that is online.
pub(super) fn open(mut data_bytes: usize) -> Result<Vec<(u32, Ring)>, Unavailable> {
    let page_bytes = rustix::param::page_size();
    let processors = processors().map_err(failed("listing the processors"))?;
    data_bytes = data_bytes.next_power_of_two().max(page_bytes);
    loop {
        let open = |&processor: &u32| Ok((processor, Ring::open(processor, data_bytes, page_bytes)?));
        match processors.iter().map(open).collect::<io::Result<Vec<_>>>() {
            Ok(rings) => return Ok(rings),
            // More than this user may lock.
            Err(error) if error.kind() == ErrorKind::PermissionDenied && data_bytes > page_bytes => {
                data_bytes /= 2;
            }
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => return Err(refusal(error)),
            Err(error) => return Err(Undetermined::new("opening a perf buffer", error).into()),
        }
    }
}

/// Creates the map from a processor to its buffer.
pub(super) fn map(rings: &[(u32, Ring)]) -> Result<Map<u32>, Unavailable> {
    let len = rings.iter().map(|(processor, _)| processor + 1).max().unwrap_or(1);
    let map = Map::create(MapKind::PerfEvents, len).map_err(failed("creating a map"))?;
    for (processor, ring) in rings {
        let fd = ring.as_fd().as_raw_fd() as u32;
        map.set(*processor, fd).map_err(failed("setting a perf buffer"))?;
    }
    Ok(map)
}

/// Returns the processors that are online.
fn processors() -> io::Result<Vec<u32>> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/online")?;
    parse_list(text.trim()).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, text))
}

/// Parses `0-3,8`.
fn parse_list(text: &str) -> Option<Vec<u32>> {
    let mut numbers = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        numbers.extend(first.parse::<u32>().ok()?..=last.parse().ok()?);
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_read() {
        assert_eq!(parse_list("0-1"), Some(vec![0, 1]));
        assert_eq!(parse_list("0,2-4,9"), Some(vec![0, 2, 3, 4, 9]));
        assert_eq!((parse_list(""), parse_list("0-x")), (None, None));
    }
}
