//! Parses the text of `/proc/net/unix`, for kernels without `sock_diag`. Pure.
//!
//! This source is incomplete: it has no peers, queues or users. A NUL in an abstract name reads as
//! `@`. A path is written literally, so one that contains a line break can look like another
//! socket's line. It is used only if there is nothing better, and the snapshot says so.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use stoop::{Address, Kind};

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) ino: u32,
    pub(crate) kind: Option<Kind>,
    pub(crate) is_listening: bool,
    pub(crate) is_connected: bool,
    pub(crate) name: Address,
}

const ACCEPTS: u32 = 1 << 16;
const SS_CONNECTED: u8 = 3;

/// Returns every socket that has an inode. Lines that cannot be parsed are skipped.
pub(crate) fn read(text: &[u8]) -> impl Iterator<Item = Line> {
    text.split(|&byte| byte == b'\n').filter_map(line)
}

/// Parses `Num: RefCount Protocol Flags Type St Inode Path`. The path runs from the space after the
/// inode to the end.
fn line(text: &[u8]) -> Option<Line> {
    let mut rest = text;
    let mut field = || {
        let start = rest.iter().position(|&byte| byte != b' ')?;
        let end = rest[start..].iter().position(|&byte| byte == b' ').map_or(rest.len(), |len| start + len);
        let field = std::str::from_utf8(&rest[start..end]).ok();
        rest = &rest[end..];
        field
    };
    field().filter(|number| number.ends_with(':'))?;
    let (_references, _protocol) = (field()?, field()?);
    let flags = u32::from_str_radix(field()?, 16).ok()?;
    let kind = i32::from_str_radix(field()?, 16).ok()?;
    let state = u8::from_str_radix(field()?, 16).ok()?;
    let ino = field()?.parse().ok().filter(|&ino| ino != 0)?;
    Some(Line {
        ino,
        kind: kind_of(kind),
        is_listening: flags & ACCEPTS != 0,
        is_connected: state == SS_CONNECTED,
        name: name(rest.strip_prefix(b" ").unwrap_or(rest)),
    })
}

/// Converts the kernel's socket type numbers, which are the same on every architecture except MIPS.
fn kind_of(number: i32) -> Option<Kind> {
    match number {
        1 => Some(Kind::Stream),
        2 => Some(Kind::Datagram),
        5 => Some(Kind::SeqPacket),
        _ => None,
    }
}

fn name(text: &[u8]) -> Address {
    let name = match text.split_first() {
        None => return Address::UNNAMED,
        Some((b'@', name)) => Address::abstract_name(name),
        Some(_) => Address::path(OsStr::from_bytes(text)),
    };
    name.unwrap_or(Address::UNNAMED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_read() {
        let text = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01  1234 /run/a b.sock\n\
            0000000000000000: 00000003 00000000 00000000 0002 03    77 @name@x\n\
            ffff8881: 00000003 00000000 00000000 0005 03 4294967295\n\
            0000000000000000: 00000002 00000000 00000000 0001 02     0 /run/a b.sock\n\
            cut: 1 2\n";
        let lines: Vec<_> = read(text).collect();
        let names: Vec<_> = lines.iter().map(|line| (line.ino, line.kind, line.name.to_string())).collect();
        assert_eq!(
            names,
            [
                (1234, Some(Kind::Stream), "/run/a b.sock".into()),
                (77, Some(Kind::Datagram), "@name@x".into()),
                (u32::MAX, Some(Kind::SeqPacket), "(unnamed)".into())
            ]
        );
        assert_eq!((lines[0].is_listening, lines[1].is_connected), (true, true));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&text).count();
        }

        #[test]
        fn what_was_written_is_read(ino in 1u32.., flags in 0u32..1 << 17, state in 0u8..5, name in "[ -?A-~]{0,90}") {
            let text = format!("0000000000000000: 00000002 00000000 {flags:08X} 0001 {state:02X} {ino:5}{}{name}",
                if name.is_empty() { "" } else { " " });
            let lines: Vec<_> = read(text.as_bytes()).collect();
            let expected = if name.is_empty() { Address::UNNAMED } else { Address::path(&name).unwrap() };
            prop_assert_eq!(lines, [Line { ino, kind: Some(Kind::Stream), is_listening: flags & ACCEPTS != 0,
                is_connected: state == 3, name: expected }]);
        }
    }
}
