//! Suggests what was probably meant if nothing is found: the same name in another spelling. Only
//! inspects.

use std::ffi::OsStr;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use stoop::internal::responding;
use stoop_inspect::{Pid, Snapshot, SocketIno};

use super::format;
use crate::shell;

/// Returns other spellings of a path without a file, under which there is something.
pub(crate) fn other_spellings(typed: &str, snapshot: &Snapshot) -> Vec<String> {
    let mut meant = Vec::new();
    if let Ok(number) = typed.parse() {
        if snapshot.processes.contains_key(&Pid(number)) {
            meant.push(format!("pid:{number}"));
        }
        if snapshot.sockets.iter().any(|socket| socket.ino == SocketIno(number)) {
            meant.push(format!("inode:{number}"));
        }
    }
    if snapshot.sockets.iter().any(|socket| socket.name.as_abstract_name() == Some(typed.as_bytes())) {
        meant.push(quoted(format!("@{typed}")));
    }
    meant
}

/// Describes a file that is not a socket. For a directory, also returns how to list the sockets in
/// it.
pub(crate) fn describe_non_socket(path: &Path) -> Option<(&'static str, Option<String>)> {
    let kind = responding::metadata(path).ok()?.file_type();
    if kind.is_dir() {
        let inside = format!("{}/*", format::path(path).trim_end_matches('/'));
        return Some(("a directory", Some(format!("--name {}", quoted(inside)))));
    }
    (!kind.is_socket()).then_some(("not a socket", None))
}

fn quoted(word: String) -> String {
    shell::quoted(OsStr::new(&word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sockets::sample;
    use stoop::Address;

    #[test]
    fn other_spellings_are_suggested() {
        let mut machine = sample::machine();
        machine.sockets[sample::BUS].name = Address::abstract_name(b"bus".to_vec()).unwrap();
        assert_eq!(other_spellings("bus", &machine), ["@bus"]);
        assert_eq!(other_spellings("812", &machine), ["pid:812"]);
        assert_eq!(other_spellings("1000", &machine), ["inode:1000"]);
        assert!(
            other_spellings("nothing", &machine).is_empty() && other_spellings("-1", &machine).is_empty()
        );
    }

    #[test]
    fn non_sockets_are_described() {
        let inside = Some("--name '/proc/*'".to_owned());
        assert_eq!(describe_non_socket(Path::new("/proc")), Some(("a directory", inside)));
        assert_eq!(describe_non_socket(Path::new("/dev/null")), Some(("not a socket", None)));
        assert_eq!(describe_non_socket(Path::new("/no/such/file")), None);
    }
}
