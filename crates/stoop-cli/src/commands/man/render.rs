//! Formats a manual page.

use clap::Command;
use clap_mangen::Man as Page;

use crate::failure::Failure;

/// Returns the page of a command.
pub(super) fn page(command: Command) -> Page {
    Page::new(command).source(concat!("stoop ", env!("CARGO_PKG_VERSION"))).manual("User Commands")
}

/// Formats a page as roff.
pub(super) fn render(page: &Page) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    page.render(&mut text).map_err(|error| Failure::io("make the page", &error))?;
    Ok(named(&String::from_utf8_lossy(&text)).into_bytes())
}

/// Converts the end of every help text to sections with the usual names of manual pages, and keeps
/// its lines.
fn named(page: &str) -> String {
    page.replacen(".SH EXTRA\nExamples:\n", ".SH EXAMPLES\n.nf\n", 1)
        .replacen("\n\nExit codes:\n", "\n.fi\n.SH EXIT STATUS\n.nf\n", 1)
        .replacen("\n.SH VERSION\n", "\n.fi\n.SH VERSION\n", 1)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn every_page_has_its_sections() {
        let mut command = Cli::command();
        command.build();
        for command in std::iter::once(command.clone()).chain(command.get_subcommands().cloned()) {
            let name = command.get_name().to_owned();
            let text = String::from_utf8(render(&page(command)).unwrap()).unwrap();
            for section in [".SH EXAMPLES\n.nf\n", "\n.fi\n.SH EXIT STATUS\n.nf\n", "\n.fi\n.SH VERSION\n"] {
                assert!(text.contains(section), "{name} lacks {section:?}:\n{text}");
            }
            assert!(!text.contains(".SH EXTRA"), "{name}");
        }
    }
}
