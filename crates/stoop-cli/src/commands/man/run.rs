//! Prints one page, or writes all of them.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::{Command, CommandFactory};
use stoop::escaped;

use super::render::{page, render};
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
        let what = format!("no such command: '{}'", escaped(verb));
        Failure::new(Exit::Usage, what)
            .seen(format!("commands: {}", verbs.join(", ")))
            .next("stoop man")
            .into()
    })
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
