//! What is known of an end, as text in a comment. Pure.

use std::fmt;

use crate::follow::Data;
use crate::passed::{FileType, Passed};

/// What is known of an end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Label {
    /// The process and its name.
    pub process: Option<(u32, Vec<u8>)>,
    /// The address of the socket.
    pub address: Option<String>,
    /// The container, unit or session of the process.
    pub workload: Option<String>,
}

/// For people: the process and the address. Has no control characters.
impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let process = self.process.as_ref();
        let process =
            process.map(|(pid, name)| format!("{}[{pid}]", printable(&String::from_utf8_lossy(name))));
        let address = self.address.as_deref().map(printable);
        match (process, address) {
            (Some(process), Some(address)) => write!(f, "{process} {address}"),
            (Some(one), None) | (None, Some(one)) => f.write_str(&one),
            (None, None) => f.write_str("unknown"),
        }
    }
}

fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '_' } else { character }).collect()
}

impl Label {
    /// Writes the label as `KEY=VALUE`, separated by blanks.
    pub(super) fn fields(&self) -> String {
        let mut fields = Vec::new();
        if let Some((pid, command)) = &self.process {
            fields.push(format!("pid={pid}"));
            fields.push(format!("command={}", encoded(command)));
        }
        if let Some(address) = &self.address {
            fields.push(format!("address={}", encoded(address.as_bytes())));
        }
        if let Some(workload) = &self.workload {
            fields.push(format!("workload={}", encoded(workload.as_bytes())));
        }
        fields.join(" ")
    }

    /// Reads what [`Label::fields`] has written. Other fields are ignored.
    pub(super) fn of_fields(text: &str) -> Label {
        let value = |key: &str| {
            let field = text.split(' ').find_map(|field| field.strip_prefix(key)?.strip_prefix('='));
            field.map(decoded)
        };
        let words = |key: &str| value(key).map(|value| String::from_utf8_lossy(&value).into_owned());
        let pid = words("pid").and_then(|pid| pid.parse().ok());
        Label {
            process: pid.map(|pid| (pid, value("command").unwrap_or_default())),
            address: words("address"),
            workload: words("workload"),
        }
    }
}

/// Writes how many file descriptors there are, and `TYPE=NAME` of those that are known.
fn files(count: u16, files: &[Passed]) -> String {
    let mut text = match count {
        0 => return String::new(),
        1 => "1 file descriptor".to_owned(),
        count => format!("{count} file descriptors"),
    };
    for (at, file) in files.iter().enumerate() {
        let separator = if at == 0 { ": " } else { " " };
        let word = file.file_type.name().replace(' ', "-");
        text.push_str(&format!("{separator}{word}={}", encoded(&file.name)));
    }
    text
}

/// What is said of data that nothing had received.
pub(super) const UNREAD: &str = "unread";

/// Describes data: whether it is unread, and what it passes.
pub(super) fn of(data: &Data) -> String {
    let files = files(data.fds, &data.files);
    match (data.is_unread, files.is_empty()) {
        (false, _) => files,
        (true, true) => UNREAD.to_owned(),
        (true, false) => format!("{UNREAD}; {files}"),
    }
}

/// Reads what data passes from a comment with more in it.
pub(super) fn of_data(comment: &str) -> (u16, Vec<Passed>) {
    let part = comment.split("; ").find(|part| part.contains(" file descriptor"));
    part.map(of_files).unwrap_or_default()
}

/// Reads what [`files`] has written.
fn of_files(text: &str) -> (u16, Vec<Passed>) {
    let Some((number, rest)) = text.split_once(" file descriptor") else { return (0, Vec::new()) };
    let count = number.parse().unwrap_or(0);
    let fields = rest.trim_start_matches('s').strip_prefix(": ").unwrap_or_default().split(' ');
    let file = |field: &str| {
        let (word, name) = field.split_once('=')?;
        Some(Passed::new(FileType::of_name(&word.replace('-', " "))?, decoded(name)))
    };
    (count, fields.map_while(file).take(count.into()).collect())
}

/// Separates the fields of both ends.
pub(super) const BETWEEN: &str = " | ";

/// Writes everything but graphic ASCII characters as `%XX`.
fn encoded(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    for &byte in value {
        match byte {
            byte if byte.is_ascii_graphic() && !b"%|".contains(&byte) => text.push(byte.into()),
            byte => text.push_str(&format!("%{byte:02x}")),
        }
    }
    text
}

fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escape = after
            .get(..2)
            .filter(|_| first == b'%')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(escape.unwrap_or(first));
        rest = if escape.is_some() { &after[2..] } else { after };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn files_are_read_as_they_were_written(names: Vec<Vec<u8>>, more in 0u16..3, which in 0usize..8) {
            let types = [FileType::Regular, FileType::Memory, FileType::Directory, FileType::Pipe,
                FileType::Socket, FileType::CharacterDevice, FileType::BlockDevice, FileType::Other];
            let files: Vec<Passed> = names.into_iter().map(|name| Passed::new(types[which], name)).collect();
            let count = files.len() as u16 + more;
            let text = super::files(count, &files);
            prop_assert!(text.bytes().all(|byte| (b' '..0x7f).contains(&byte)));
            prop_assert_eq!(of_files(&text), (count, files));
        }

        #[test]
        fn labels_are_read_as_they_were_written(
            pid in any::<Option<u32>>(), command: Vec<u8>, address: Option<String>, workload: Option<String>
        ) {
            let label = Label { process: pid.map(|pid| (pid, command)), address, workload };
            let fields = label.fields();
            prop_assert!(!fields.contains(BETWEEN) && fields.bytes().all(|byte| (b' '..0x7f).contains(&byte)));
            prop_assert_eq!(Label::of_fields(&fields), label.clone());
            prop_assert!(!label.to_string().contains(char::is_control));
        }
    }
}
