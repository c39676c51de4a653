//! What is known of an end, as text in a comment. Pure.

use std::fmt;

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

/// Separates the fields of both ends.
pub(super) const BETWEEN: &str = " | ";

/// Writes everything but graphic ASCII characters as `%XX`.
fn encoded(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    for &byte in value {
        match byte {
            b'%' | b'|' => text.push_str(&format!("%{byte:02x}")),
            byte if byte.is_ascii_graphic() => text.push(byte.into()),
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
