//! `stoop man`: manual pages, generated from the definition of the command line.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man as Page;
use stoop::escaped;

use crate::args::{Cli, Man};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::print;

/// Prints one page, or writes all of them.
pub(crate) fn run(flags: &Man) -> Outcome {
    let mut command = Cli::command();
    command.build();
    match (&flags.directory, &flags.verb) {
        (Some(directory), _) => write_all(command, directory)?,
        (None, Some(verb)) => print(&render(&page(find(&command, verb)?))?)?,
        (None, None) => print(&render(&page(command))?)?,
    }
    Ok(Exit::Done)
}

fn find(command: &Command, verb: &str) -> Result<Command, Failure> {
    command.find_subcommand(verb).cloned().ok_or_else(|| {
        let verbs: Vec<_> = command.get_subcommands().map(Command::get_name).collect();
        let what = format!("'{}' is no verb of stoop", escaped(verb));
        Failure::new(Exit::Usage, what).seen(format!("verbs: {}", verbs.join(", "))).next("stoop man").into()
    })
}

fn page(command: Command) -> Page {
    Page::new(command).source(concat!("stoop ", env!("CARGO_PKG_VERSION"))).manual("Local sockets")
}

/// Writes the page of the whole command and one for each subcommand, named as `man` looks for them.
fn write_all(command: Command, directory: &Path) -> Result<(), Failure> {
    let failed =
        |path: &Path, error| Failure::io(format!("write '{}'", escaped(path.as_os_str().as_bytes())), &error);
    fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
    let verbs: Vec<Command> = command.get_subcommands().cloned().collect();
    for command in std::iter::once(command).chain(verbs) {
        let page = page(command);
        let path = directory.join(page.get_filename());
        fs::write(&path, render(&page)?).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

fn render(page: &Page) -> Result<Vec<u8>, Failure> {
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
    use super::*;

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
