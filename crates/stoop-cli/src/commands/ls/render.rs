//! Formats lines as a table: its columns, their order, and which lines are merged. Pure, except for
//! user names.

use std::cmp::Reverse;
use std::os::unix::ffi::OsStrExt;

use stoop_inspect::endpoints::recognise;
use stoop_inspect::{Pid, Snapshot, SocketId, Workload};

use crate::args::{Column, Ls, Sort};
use crate::output::{self, Table, Truncate};
use crate::sockets::{Paths, Row, SocketFormatter, format};

/// The default columns.
const USUAL: [Column; 9] = [
    Column::Address,
    Column::Kind,
    Column::State,
    Column::Queue,
    Column::Server,
    Column::Client,
    Column::ServerIn,
    Column::ClientIn,
    Column::Netns,
];

/// Returns the text of the table, and the titles of columns that were omitted.
pub(super) fn render(
    flags: &Ls,
    snapshot: &Snapshot,
    rows: &[Row],
    width: Option<usize>,
) -> (String, Vec<&'static str>) {
    let columns = columns(flags, snapshot, rows);
    let is_asked_for = !flags.columns.is_empty();
    let mut table = Table::new(columns.iter().map(|&column| layout(column, is_asked_for)).collect());
    let mut formatter = SocketFormatter::new(snapshot);
    for row in sorted(flags.sort, snapshot, rows) {
        for &column in &columns {
            table.cell(|text| write(column, row, snapshot, &mut formatter, text));
        }
    }
    let order = merged(&table, flags.each);
    let mut text = String::new();
    let left_out = table.render(width, &order, &mut text);
    (text, left_out)
}

/// Returns the columns that were asked for, else the default ones without those that would be
/// empty.
fn columns(flags: &Ls, snapshot: &Snapshot, rows: &[Row]) -> Vec<Column> {
    if !flags.columns.is_empty() {
        return flags.columns.clone();
    }
    let mut columns = USUAL.to_vec();
    if has_other_paths(flags, snapshot, rows) {
        columns.insert(1, Column::Path);
    }
    if shows_titles(flags) {
        columns.extend([Column::ServerTitle, Column::ClientTitle]);
    }
    let has_place = |id: Option<SocketId>| {
        let process = process(snapshot, id).and_then(|pid| snapshot.processes.get(&pid));
        process.is_some_and(|process| process.workload != Workload::Unknown)
    };
    columns.retain(|column| match column {
        Column::ServerIn => rows.iter().any(|row| has_place(row.serving())),
        Column::ClientIn => rows.iter().any(|row| has_place(row.client)),
        Column::Netns => rows.iter().any(|row| row.sockets().any(|id| !is_own(snapshot, id))),
        _ => true,
    });
    columns
}

/// How many lines a table may have whose files are looked for without a request: in a table of
/// thousands that would take as long as all the rest.
const LOOKED_FOR_MAX: usize = 512;

/// Returns whether a file is not at the name that is shown. Unless the table may be wide, a name
/// that leads to its file in the view of its server is enough: containers have many of these.
fn has_other_paths(flags: &Ls, snapshot: &Snapshot, rows: &[Row]) -> bool {
    let mut paths = Paths::new(snapshot);
    let mut named = rows.iter().map(|row| row.named(snapshot));
    match shows_titles(flags) {
        true => named.any(|id| paths.other_than_name(id).is_some()),
        false => rows.len() <= LOOKED_FOR_MAX && named.any(|id| paths.is_at_other_path(id)),
    }
}

/// Marks the state of a connection whose server may be the client.
pub(super) const UNKNOWN_SIDES: char = '*';

/// Returns whether command lines are among the default columns.
pub(super) fn shows_titles(flags: &Ls) -> bool {
    flags.wide && flags.columns.is_empty() && !flags.json && !flags.watch
}

/// Returns the well-known service that has the row's address.
fn service(snapshot: &Snapshot, row: &Row) -> &'static str {
    recognise(&snapshot[row.named(snapshot)].name).map_or("-", |service| service.label())
}

fn is_own(snapshot: &Snapshot, id: SocketId) -> bool {
    snapshot.namespace(snapshot[id].namespace).is_none_or(|namespace| namespace.is_own)
}

/// Determines how columns are shortened if the table is too wide: workloads before processes, and
/// both before names. Columns that were asked for are never omitted.
fn layout(column: Column, is_asked_for: bool) -> output::Column {
    let (title, truncate, spare) = match column {
        Column::Address => ("ADDRESS", Truncate::Middle(20), 0),
        Column::Path => ("PATH", Truncate::Middle(20), 2),
        Column::Service => ("SERVICE", Truncate::End(12), 0),
        Column::Kind => ("KIND", Truncate::Never, 2),
        Column::State => ("STATE", Truncate::Never, 0),
        Column::Queue => ("QUEUE", Truncate::Never, 1),
        Column::Server => ("SERVER", Truncate::End(15), 0),
        Column::Client => ("CLIENT", Truncate::End(15), 0),
        Column::ServerIn => ("SERVER-IN", Truncate::End(12), 4),
        Column::ClientIn => ("CLIENT-IN", Truncate::End(12), 3),
        Column::Messages => ("MESSAGES", Truncate::Never, 0),
        Column::Memory => ("MEMORY", Truncate::Never, 0),
        Column::MaxAge => ("MAX-AGE", Truncate::Never, 0),
        Column::ServerTitle => ("SERVER-TITLE", Truncate::End(20), 7),
        Column::ClientTitle => ("CLIENT-TITLE", Truncate::End(20), 8),
        Column::User => ("USER", Truncate::End(6), 5),
        Column::Netns => ("NETNS", Truncate::End(6), 6),
        Column::ServerInode => ("SERVER-INODE", Truncate::Never, 0),
        Column::ClientInode => ("CLIENT-INODE", Truncate::Never, 0),
        Column::ServerFd => ("SERVER-FD", Truncate::End(9), 0),
        Column::ClientFd => ("CLIENT-FD", Truncate::End(9), 0),
    };
    output::Column { title, truncate, spare: if is_asked_for { 0 } else { spare } }
}

/// Writes one cell.
pub(super) fn write(
    column: Column,
    row: &Row,
    snapshot: &Snapshot,
    formatter: &mut SocketFormatter<'_>,
    text: &mut String,
) {
    let inode = |id: Option<SocketId>| id.map_or(format::NOTHING.into(), |id| snapshot[id].ino.to_string());
    match column {
        Column::Address => formatter.address(row, text),
        Column::Path => formatter.path(row, text),
        Column::Service => text.push_str(service(snapshot, row)),
        Column::Kind => text.push_str(row.kind(snapshot).map_or("?", |kind| kind.word())),
        Column::State => {
            text.push_str(format::state(row.state(snapshot)));
            if row.has_unknown_sides(snapshot) {
                text.push(UNKNOWN_SIDES);
            }
        }
        Column::Queue => formatter.queue(row, text),
        Column::Server => formatter.owner(row.serving(), text),
        Column::Client => formatter.owner(row.client, text),
        Column::ServerIn => formatter.place(row.serving(), text),
        Column::ClientIn => formatter.place(row.client, text),
        Column::Messages => text.push_str(&at_both_ends(row, |id| Some(snapshot[id].messages?.count))),
        Column::Memory => text.push_str(&at_both_ends(row, |id| Some(snapshot[id].memory?.sent_bytes))),
        Column::MaxAge => formatter.max_age(row, text),
        Column::ServerTitle => formatter.title(row.serving(), text),
        Column::ClientTitle => formatter.title(row.client, text),
        Column::User => match snapshot[row.serving().unwrap_or(row.subject())].uid {
            Some(uid) => text.push_str(formatter.user(uid)),
            None => text.push_str(format::NOTHING),
        },
        Column::Netns => formatter.namespace(snapshot[row.subject()].namespace, text),
        Column::ServerInode => text.push_str(&inode(row.server)),
        Column::ClientInode => text.push_str(&inode(row.client)),
        Column::ServerFd => text.push_str(&descriptors(snapshot, row.server)),
        Column::ClientFd => text.push_str(&descriptors(snapshot, row.client)),
    }
}

/// Formats `2/0`: an amount at the server's end and at the client's, or at the only socket.
fn at_both_ends(row: &Row, amount: impl Fn(SocketId) -> Option<u32>) -> String {
    let amounts: Vec<Option<u32>> = row.ends().map(amount).collect();
    if amounts.iter().all(|amount| amount.unwrap_or(0) == 0) {
        return format::NOTHING.into();
    }
    let words = amounts.iter().map(|amount| amount.unwrap_or(0).to_string());
    words.collect::<Vec<_>>().join("/")
}

/// Formats `3` or `3,7`: the file descriptors in the process shown, if there is one.
fn descriptors(snapshot: &Snapshot, id: Option<SocketId>) -> String {
    let Some((id, pid)) = id.and_then(|id| Some((id, Row::process(snapshot, id)?))) else {
        return format::NOTHING.into();
    };
    let own = snapshot[id].owners.iter().filter(|owner| owner.pid == pid);
    own.map(|owner| owner.fd.to_string()).collect::<Vec<_>>().join(",")
}

/// Sorts in the order asked for, then by address. Lines with the same text become neighbours.
fn sorted<'a>(sort: Sort, snapshot: &Snapshot, rows: &'a [Row]) -> Vec<&'a Row> {
    let mut sorted: Vec<&Row> = rows.iter().collect();
    sorted.sort_by_cached_key(|row| by_address(snapshot, row));
    match sort {
        Sort::Address => {}
        Sort::Kind => sorted.sort_by_key(|row| row.kind(snapshot).map(|kind| kind.word())),
        Sort::State => sorted.sort_by_key(|row| row.state(snapshot)),
        Sort::Queue => sorted.sort_by_key(|row| Reverse(row.queued(snapshot))),
        Sort::Pid => sorted.sort_by_key(|row| process(snapshot, row.serving())),
        Sort::Command => sorted.sort_by_key(|row| {
            let pid = process(snapshot, row.serving());
            pid.and_then(|pid| snapshot.processes.get(&pid)).map(|process| &process.command)
        }),
        Sort::User => sorted.sort_by_key(|row| snapshot[row.serving().unwrap_or(row.subject())].uid),
    }
    sorted
}

/// Orders paths, then abstract names, then unnamed sockets, and each listener before its
/// connections.
fn by_address<'a>(snapshot: &'a Snapshot, row: &Row) -> impl Ord + use<'a> {
    let name = &snapshot[row.named(snapshot)].name;
    (
        (name.as_pathname().is_none(), name.is_unnamed()),
        name.as_pathname().map(|path| path.as_os_str().as_bytes()).or(name.as_abstract_name()),
        (row.shape, row.state(snapshot), process(snapshot, row.serving()), process(snapshot, row.client)),
    )
}

fn process(snapshot: &Snapshot, id: Option<SocketId>) -> Option<Pid> {
    id.and_then(|id| Row::process(snapshot, id))
}

/// Merges neighbouring lines with the same text, with their number.
fn merged(table: &Table, each: bool) -> Vec<(usize, String)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for line in 0..table.len() {
        match runs.last_mut().filter(|(first, _)| !each && table.is_same(*first, line)) {
            Some((_, times)) => *times += 1,
            None => runs.push((line, 1)),
        }
    }
    let suffix = |times| if times > 1 { format!("×{times}") } else { String::new() };
    runs.into_iter().map(|(first, times)| (first, suffix(times))).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Verb};
    use crate::sockets::{rows, sample};

    fn table(arguments: &[&str], snapshot: &Snapshot, width: Option<usize>) -> String {
        let words = ["stoop", "ls"].iter().chain(arguments);
        let Verb::Ls(flags) = Cli::try_parse_from(words).unwrap().verb else { panic!("ls") };
        render(&flags, snapshot, &rows(snapshot), width).0
    }

    #[test]
    fn tables_fit_any_width() {
        let machine = sample::machine();
        let mut text = String::new();
        for width in [60, 80, 120, 200] {
            text += &format!("--- {width}\n{}", table(&[], &machine, Some(width)));
            assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
        }
        sample::golden("ls-widths.txt", &text);
    }

    #[test]
    fn unknown_sides_are_marked() {
        let machine = sample::machine();
        let state = |row: &Row| {
            let mut text = String::new();
            let mut formatter = SocketFormatter::new(&machine);
            write(Column::State, row, &machine, &mut formatter, &mut text);
            text
        };
        let rows = rows(&machine);
        let is_served = |row: &&Row| row.server.is_some_and(|end| machine[end].listener.is_some());
        let known = rows.iter().find(is_served).unwrap();
        assert_eq!(state(known), "connected");
        assert_eq!(state(&Row { is_client_known: false, ..*known }), "connected*");
        // A pair has no server.
        let is_pair =
            |row: &&Row| row.ends().count() == 2 && row.ends().all(|id| machine[id].name.is_unnamed());
        let pairs = rows.iter().filter(is_pair).map(|pair| Row { is_client_known: false, ..*pair });
        assert!(pairs.map(|pair| state(&pair)).all(|state| !state.contains('*')));
    }

    #[test]
    fn requested_columns_are_never_omitted() {
        let machine = sample::machine();
        let asked =
            table(&["--columns", "address,kind,queue,user,netns,server-in,client"], &machine, Some(40));
        assert!(asked.starts_with("ADDRESS") && asked.contains("USER  NETNS  SERVER-IN"), "{asked}");
        let narrow = table(&[], &machine, Some(60));
        assert!(
            ["412/dbus", "600/Network", "812/postgres"].iter().all(|name| narrow.contains(name)),
            "{narrow}"
        );
    }

    #[test]
    fn sorting_and_columns_follow_the_flags() {
        let machine = sample::machine();
        let mut text = String::new();
        for flags in [
            &["--sort", "queue"][..],
            &["--sort", "command"],
            &[
                "--each",
                "--columns",
                "client,server,server-fd,client-fd,server-inode,client-inode,user,netns",
            ],
        ] {
            text += &format!("--- {}\n{}", flags.join(" "), table(flags, &machine, None));
        }
        sample::golden("ls-flags.txt", &text);
    }

    #[test]
    fn hidden_owners_are_shown_by_user() {
        let text = table(&[], &sample::partly_seen(), None);
        let line = text.lines().find(|line| line.contains("listening") && line.contains("PGSQL")).unwrap();
        assert!(line.contains("(root)"), "{line}");
    }

    #[test]
    fn an_empty_table_has_a_header() {
        assert_eq!(
            table(&[], &Snapshot::of(vec![], []), Some(80)),
            "ADDRESS  KIND  STATE  QUEUE  SERVER  CLIENT\n"
        );
    }

    #[test]
    fn names_cannot_break_lines_or_control_the_terminal() {
        let text = table(&["--each"], &sample::machine(), None);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
        assert_eq!(text.lines().count(), 1 + rows(&sample::machine()).len());
    }
}
