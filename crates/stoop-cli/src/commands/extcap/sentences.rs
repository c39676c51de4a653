//! The lines that Wireshark reads. Pure.

use std::fmt::Write as _;

/// The interface that stands for all sockets.
pub(super) const ALL: &str = "unix";
/// What the interfaces of one address begin with.
const PREFIX: &str = "unix:";

/// Lists the interfaces: all sockets, and these addresses, each with the name of a process that has
/// it open.
pub(super) fn interfaces<'a>(addresses: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> String {
    let mut text = format!(
        "extcap {{version={}}}{{help={}/docs/howto/tap.html}}\n",
        env!("CARGO_PKG_VERSION"),
        env!("CARGO_PKG_REPOSITORY")
    );
    let _ = writeln!(text, "interface {{value={ALL}}}{{display=All Unix sockets}}");
    for (address, process) in addresses.filter(|(address, _)| is_word(address)) {
        let process = process.map(|name| format!(" ({})", printable(name))).unwrap_or_default();
        let _ = writeln!(
            text,
            "interface {{value={PREFIX}{address}}}{{display=Unix socket {}{process}}}",
            printable(address)
        );
    }
    text
}

/// Names the link type.
pub(super) fn link_types() -> &'static str {
    "dlt {number=101}{name=RAW}{display=Unix sockets}\n"
}

/// Lists what can be set.
pub(super) fn settings() -> &'static str {
    "arg {number=0}{call=--secrets}{display=Keep secrets}{type=boolflag}{default=false}\
     {tooltip=Otherwise passwords, tokens and Authorization headers are overwritten}\n\
     arg {number=1}{call=--snaplen}{display=Bytes of each message}{type=unsigned}{range=1,65000}{default=65000}\n"
}

/// Returns the address of an interface; `None` for all sockets.
pub(super) fn address(interface: &str) -> Option<&str> {
    interface.strip_prefix(PREFIX)
}

/// Whether an address has no character that ends a value, or that a command line is split at.
fn is_word(address: &str) -> bool {
    !address.contains(|character: char| "{}".contains(character) || character.is_control())
}

fn printable(text: &str) -> String {
    text.chars().filter(|character| !"{}".contains(*character) && !character.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_cannot_add_a_sentence() {
        let list = [("/run/x", Some("a}b")), ("/run/{x}", None), ("/run/x\ninterface {value=y}", None)];
        let text = interfaces(list.into_iter());
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "interface {value=unix}{display=All Unix sockets}",
                "interface {value=unix:/run/x}{display=Unix socket /run/x (ab)}"
            ]
        );
        assert_eq!((address("unix"), address("unix:@x")), (None, Some("@x")));
    }
}
