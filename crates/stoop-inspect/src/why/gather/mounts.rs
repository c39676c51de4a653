//! Mounts by their id, as listed in `/proc/PID/mountinfo`. Pure except for [`Mounts::of`].

use std::collections::HashMap;
use std::fs;

use crate::why::facts::Mount;

/// The mounts of a process.
#[derive(Debug, Default)]
pub(super) struct Mounts(HashMap<u64, Mount>);

impl Mounts {
    /// Reads the mounts of the process with this `/proc` directory, and those of the calling
    /// process. A process with another root is not shown the mounts outside of it, which may hold
    /// its working directory. Empty if they may not be read.
    pub(super) fn of(proc: &str) -> Mounts {
        let read = |proc: &str| fs::read(format!("{proc}/mountinfo")).unwrap_or_default();
        let (ours, theirs) = (read("/proc/thread-self"), read(proc));
        let lines = ours.split(|&byte| byte == b'\n').chain(theirs.split(|&byte| byte == b'\n'));
        Mounts(lines.filter_map(parse).collect())
    }

    /// Returns the mount with this id.
    pub(super) fn get(&self, id: u64) -> Option<&Mount> {
        self.0.get(&id)
    }
}

/// Parses `36 35 98:0 /root /place rw,noatime [tags…] - ext4 /dev/root rw,errors=continue`.
pub(super) fn parse(line: &[u8]) -> Option<(u64, Mount)> {
    let line = String::from_utf8_lossy(line);
    let fields: Vec<&str> = line.split(' ').collect();
    let dash = fields.iter().position(|field| *field == "-")?;
    let has = |options: &str, wanted: &str| options.split(',').any(|option| option == wanted);
    let options = fields.get(5)?;
    let mount = Mount {
        file_system: (*fields.get(dash + 1)?).to_owned(),
        read_only: has(options, "ro"),
        file_system_read_only: has(fields.get(dash + 3).unwrap_or(&""), "ro"),
        no_links: has(options, "nosymfollow"),
        maps_ids: has(options, "idmapped"),
    };
    Some((fields.first()?.parse().ok()?, mount))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_is_read() {
        let line =
            b"36 35 98:0 / /a\\040b ro,nosymfollow,idmapped shared:1 master:2 - ext4 /dev/root rw,errors=continue";
        let mount = Mount {
            file_system: "ext4".into(),
            read_only: true,
            file_system_read_only: false,
            no_links: true,
            maps_ids: true,
        };
        assert_eq!(parse(line), Some((36, mount)));
        let line = b"1 1 0:1 / / rw - squashfs none ro";
        assert!(parse(line).unwrap().1.file_system_read_only);
        assert_eq!(parse(b"1 1 0:1 / / rw"), None);
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&line);
        }
    }
}
