//! Creates the graph from the flags, and writes it.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use stoop_inspect::{Inspector, Options, Snapshot, SocketId};

use super::graph;
use super::render::{dot, json, svg, text};
use crate::args::Tree;
use crate::failure::{Failure, Outcome};
use crate::output::{print, status};
use crate::sockets::{self, Completeness, Filter, Paths, Row, format, note, rows};

/// Prints the graph.
pub(crate) fn run(flags: &Tree) -> Outcome {
    flags.quiet.apply();
    let mut filter = Filter::new(&flags.selection)?;
    let mut options = Options::default();
    // With the state comes the parent.
    options.process_states = true;
    let snapshot = Inspector::new(options).snapshot();
    filter.prepare(&snapshot);
    filter.check(&snapshot)?;
    sockets::report_files(&filter, &snapshot);
    let mut chosen = rows(&snapshot);
    chosen.retain(|row| filter.matches(&snapshot, row));
    let paths = moved(&snapshot, &chosen);
    let graph = graph::graph(&snapshot, &chosen, &paths, flags.each, flags.all);
    if graph.nodes.is_empty() && !flags.json {
        status(&nothing(flags, chosen.len()));
    }
    let text = match form(flags) {
        Form::Svg => svg::render(&graph),
        Form::Dot => dot::render(&graph),
        Form::Json => json::render(&graph, &snapshot),
        Form::Text => text::render(&graph),
    };
    match &flags.output {
        Some(path) => write(path, text.as_bytes())?,
        None => print(text.as_bytes())?,
    }
    status(&note(&snapshot.missing));
    Ok(Completeness::of(&snapshot).exit())
}

/// Returns the present paths of the files of servers that are not at their names.
fn moved(snapshot: &Snapshot, rows: &[Row]) -> HashMap<SocketId, PathBuf> {
    let mut paths = Paths::new(snapshot);
    let named: HashSet<SocketId> = rows.iter().map(|row| row.named(snapshot)).collect();
    named.into_iter().filter_map(|id| Some((id, paths.other_than_name(id)?))).collect()
}

/// The output format.
enum Form {
    Svg,
    Dot,
    Json,
    Text,
}

/// Determines the format: from a flag, else from the file's name.
fn form(flags: &Tree) -> Form {
    let ending = flags.output.as_deref().and_then(Path::extension).and_then(OsStr::to_str);
    match (flags.svg, flags.dot, flags.json, ending) {
        (true, ..) => Form::Svg,
        (_, true, ..) => Form::Dot,
        (_, _, true, _) => Form::Json,
        (.., Some("svg")) => Form::Svg,
        (.., Some("dot" | "gv")) => Form::Dot,
        _ => Form::Text,
    }
}

/// Explains an empty graph, and whether something was hidden.
fn nothing(flags: &Tree, chosen: usize) -> String {
    let asked = format::command_line();
    let why = match chosen {
        1.. if !flags.all => {
            "no connection between two processes; --all also shows those within one, and unused sockets"
        }
        _ => "no process is connected to another by a Unix socket",
    };
    format!("{asked}: {why}\n")
}

/// Writes the file atomically: a reader sees either the old or the new file.
fn write(path: &Path, text: &[u8]) -> Result<(), Failure> {
    let failed = |error| Failure::io(format!("write '{}'", format::path(path)), &error);
    // A special file such as /dev/stdout is written to, because it cannot be replaced.
    if std::fs::metadata(path).is_ok_and(|file| !file.is_file()) {
        return std::fs::write(path, text).map_err(failed);
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // As permissive as the umask allows for any new file.
    let permissions = Permissions::from_mode(0o666);
    let mut file =
        tempfile::Builder::new().permissions(permissions).tempfile_in(directory).map_err(failed)?;
    file.write_all(text).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sockets::sample;

    fn sample(each: bool, all: bool) -> graph::Graph {
        let machine = sample::machine();
        graph::graph(&machine, &rows(&machine), &HashMap::new(), each, all)
    }

    #[test]
    fn trees_match_the_golden_files() {
        let text =
            format!("{}--- all\n{}", text::render(&sample(false, false)), text::render(&sample(true, true)));
        sample::golden("tree.txt", &text);
        sample::golden("tree.dot", &dot::render(&sample(false, false)));
        sample::golden("tree.json", &json::render(&sample(false, true), &sample::partly_seen()));
    }

    #[test]
    fn a_moved_file_is_shown_where_it_is() {
        let machine = sample::machine();
        let rows = rows(&machine);
        let moved = rows.iter().map(|row| (row.named(&machine), "/run/moved".into())).collect();
        let graph = graph::graph(&machine, &rows, &moved, false, false);
        assert!(text::render(&graph).contains(", now at /run/moved)"));
        assert!(json::render(&graph, &machine).contains(r#""path":"/run/moved""#));
    }

    #[test]
    fn the_svg_matches_the_golden_file() {
        sample::golden("tree.svg", &svg::render(&sample(false, true)));
    }

    #[test]
    fn the_picture_of_the_readme_is_what_is_drawn_now() {
        let machine = sample::web_site();
        let graph = graph::graph(&machine, &rows(&machine), &HashMap::new(), false, false);
        sample::golden("web_site.svg", &svg::render(&graph));
    }
}
