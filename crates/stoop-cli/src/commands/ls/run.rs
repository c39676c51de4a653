//! Takes a snapshot with only what is shown, and prints it.

use std::mem::ManuallyDrop;

use stoop_inspect::{Inspector, Options, OwnersWanted, Snapshot};

use super::render::UNKNOWN_SIDES;
use super::select::choose;
use super::{render, watch};
use crate::args::{Column, Ls};
use crate::failure::{Failure, Outcome};
use crate::output::{print, status, terminal_width};
use crate::sockets::{self, Completeness, Filter, Glob, JsonFormatter, NamePattern, Row, format, note};

/// Lists the sockets that the flags select.
pub(crate) fn run(flags: &Ls) -> Outcome {
    flags.quiet.apply();
    let mut filter = Filter::new(&flags.selection)?;
    let mut inspector = Inspector::new(options(flags));
    if flags.watch {
        return watch::run(flags, &mut filter, &mut inspector);
    }
    // The process exits after printing, so nothing has to be freed piece by piece.
    let snapshot = ManuallyDrop::new(inspector.snapshot());
    filter.prepare(&snapshot);
    filter.check(&snapshot)?;
    sockets::report_files(&filter, &snapshot);
    let chosen = choose(flags, &filter, &snapshot);
    if chosen.is_empty() {
        sockets::report_files_without_socket(&filter);
    }
    if flags.json {
        print(&json(&snapshot, &chosen, flags.columns.contains(&Column::MaxAge)))?
    } else {
        print_table(flags, &snapshot, chosen)?
    }
    status(&note(&snapshot.missing));
    Ok(Completeness::of(&snapshot).exit())
}

/// Returns the snapshot options for what is shown.
fn options(flags: &Ls) -> Options {
    let selection = &flags.selection;
    let mut options = Options::default();
    let columns = [Column::ServerIn, Column::ClientIn];
    let shows_places =
        flags.json || flags.columns.is_empty() || flags.columns.iter().any(|c| columns.contains(c));
    if flags.no_bpf {
        options.owners = OwnersWanted::Proc;
    }
    // Resolving every ambiguity would double the time for all sockets. `stoop who` does it for a
    // single one.
    options.sure = false;
    options.memory = flags.json || flags.columns.contains(&Column::Memory);
    let titles = [Column::ServerTitle, Column::ClientTitle];
    options.command_lines = render::shows_titles(flags) || flags.columns.iter().any(|c| titles.contains(c));
    options.workloads = shows_places || !selection.container.is_empty() || !selection.unit.is_empty();
    options
}

fn json(snapshot: &Snapshot, chosen: &[Row], has_ages: bool) -> Vec<u8> {
    let mut formatter = JsonFormatter::new(snapshot).with_paths().with_ages(has_ages);
    let mut text = Vec::with_capacity(chosen.len() * 400);
    for row in chosen {
        formatter.line(row, None, &mut text);
    }
    sockets::missing_json(&snapshot.missing, &mut text);
    text
}

fn print_table(flags: &Ls, snapshot: &Snapshot, mut chosen: Vec<Row>) -> Result<(), Failure> {
    let before = chosen.len();
    if !flags.all && flags.state.is_empty() {
        chosen.retain(|row| !row.is_minor(snapshot));
    }
    let width = if flags.wide { None } else { terminal_width() };
    let (text, left_out) = render::render(flags, snapshot, &chosen, width);
    print(text.as_bytes())?;
    let unknown = chosen.iter().filter(|row| row.has_unknown_sides(snapshot)).count();
    if unknown > 0 {
        let connections = format::plural(unknown, "connection");
        status(&format!("stoop: {UNKNOWN_SIDES} {connections}: which end is the server is not known\n"));
    }
    let minor = before - chosen.len();
    if before == 0 && !snapshot.sockets.is_empty() {
        let count = format::plural(snapshot.sockets.len(), "socket");
        let selection = &flags.selection;
        let mut patterns = selection.command.iter().chain(&selection.peer);
        let is_literal = selection.name.iter().any(Glob::is_literal) || patterns.any(NamePattern::is_literal);
        let hint = match is_literal {
            true => "; a pattern must match the whole name, and * matches any part of it",
            false => "",
        };
        status(&format!("{}: none of {count} matches{hint}\n", format::command_line()));
    }
    let mut hints = Vec::new();
    if minor > 0 {
        hints.push(format!("{minor} within one process or without name and peer (--all)"));
    }
    if !left_out.is_empty() {
        hints.push(format!("columns omitted: {} (--wide)", left_out.join(", ")));
    }
    // Hints are printed only for a table on a terminal, because in a pipe they would be noise. An
    // empty table is always explained.
    if (width.is_some() || chosen.is_empty()) && !hints.is_empty() {
        status(&format!("stoop: not shown: {}\n", hints.join("; ")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sockets::{rows, sample};

    #[test]
    fn json_matches_the_golden_file() {
        let machine = sample::partly_seen();
        let text = json(&machine, &rows(&machine), false);
        sample::golden("ls.json", std::str::from_utf8(&text).unwrap());
    }
}
