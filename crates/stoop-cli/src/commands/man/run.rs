//! Prints one page, or writes all of them.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::{Command, CommandFactory};
use stoop::escaped;

use super::render::{file_name, render};
use crate::args::{Cli, Man};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::print;

/// Prints one page, or writes all of them.
pub(crate) fn run(flags: &Man) -> Outcome {
    let mut command = Cli::command();
    command.build();
    match (&flags.directory, &flags.verb) {
        (Some(directory), _) => write_all(&command, directory)?,
        (None, Some(verb)) => print(&render(find(&command, verb)?, &names(&command))?)?,
        (None, None) => print(&render(&command, &names(&command))?)?,
    }
    Ok(Exit::Done)
}

/// Returns the commands that have pages.
fn verbs(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| !verb.is_hide_set())
}

fn names(command: &Command) -> Vec<&str> {
    verbs(command).map(Command::get_name).collect()
}

fn find<'a>(command: &'a Command, verb: &str) -> Result<&'a Command, Failure> {
    command.find_subcommand(verb).ok_or_else(|| {
        let what = format!("no such command: '{}'", escaped(verb));
        Failure::new(Exit::Usage, what)
            .why("the manual has a page for each command of stoop")
            .seen(format!("commands: {}", names(command).join(", ")))
            .next("stoop man")
            .into()
    })
}

/// Writes the page of the whole command and one for each subcommand, named as `man` looks for them.
fn write_all(command: &Command, directory: &Path) -> Result<(), Failure> {
    let failed =
        |path: &Path, error| Failure::io(format!("write '{}'", escaped(path.as_os_str().as_bytes())), &error);
    fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
    let names = names(command);
    for command in std::iter::once(command).chain(verbs(command)) {
        let path = directory.join(file_name(command));
        fs::write(&path, render(command, &names)?).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}
