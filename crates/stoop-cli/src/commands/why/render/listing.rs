//! Shows the path to a socket: a line per component, in the format of `ls -l`, and a mark where the
//! kernel stops. Pure.

use std::collections::HashSet;
use std::fmt::Write;

use stoop::escaped;
use stoop_inspect::internal::facts::{Facts, File, FileKind, Found, Names, ShownId, Step};
use stoop_inspect::internal::{Cause, Stop, Verdict, symbol};
use stoop_inspect::why::Outcome;

/// One line, before its columns are aligned.
struct Line {
    /// Mode, owner and group. Empty if the file does not exist, or is hidden.
    columns: [String; 3],
    name: String,
    /// The identity of the file, to find the line again.
    id: Option<(u64, u64)>,
    marked: bool,
}

/// Returns the listing, or nothing if no path was walked.
pub(super) fn listing(facts: &Facts, verdict: &Verdict) -> String {
    let Some(walk) = facts.walk.as_ref().filter(|walk| !walk.steps.is_empty()) else { return String::new() };
    let mut lines = Lines { lines: Vec::new(), names: &facts.names, mount: (false, false) };
    let mut links = HashSet::new();
    for (number, step) in walk.steps.iter().enumerate() {
        let is_link = matches!(&step.found, Found::Link { link, .. } if !links.insert(link.id));
        if is_link && verdict.cause == Cause::LinkLoop {
            // A loop is shown once.
            lines.empty(format!("{} (again)", indented(step, &escaped(&step.name).to_string())));
            lines.mark();
            break;
        }
        lines.directory(step);
        if verdict.stop == Some(Stop::In(number)) {
            lines.mark();
        }
        lines.found(step);
        if verdict.stop == Some(Stop::At(number)) {
            lines.mark();
        }
    }
    render(&lines.lines, mark(verdict))
}

/// Returns the text next to the component at which the kernel stops.
fn mark(verdict: &Verdict) -> String {
    match verdict.outcome {
        Outcome::Fails(errno) => symbol(errno).to_owned(),
        Outcome::Waits => "would block here".to_owned(),
        _ => "unknown from here on".to_owned(),
    }
}

struct Lines<'f> {
    lines: Vec<Line>,
    names: &'f Names,
    /// Whether the mount of the previous line was read-only, and did not follow links.
    mount: (bool, bool),
}

impl Lines<'_> {
    /// Adds the directory in which a step is looked up, unless it was shown last.
    fn directory(&mut self, step: &Step) {
        let known = self.lines.iter().rev().find(|line| line.columns[0].starts_with('d'));
        if known.is_none_or(|line| line.id != Some(step.directory.id)) {
            let name = escaped(step.directory.path.as_os_str().as_encoded_bytes()).to_string();
            self.file(&step.directory, indented(step, &name));
        }
    }

    /// Adds the file that a step's name leads to.
    fn found(&mut self, step: &Step) {
        let name = indented(step, &escaped(&step.name).to_string());
        match &step.found {
            Found::File(file) => self.file(file, name),
            Found::Link { link, target } => self.file(link, format!("{name} -> {}", escaped(target))),
            Found::Magic { link, to: Some(file) } => {
                let to = escaped(file.path.as_os_str().as_encoded_bytes());
                self.file(link, format!("{name} => {to}"));
            }
            Found::Magic { link, to: None } => self.file(link, format!("{name} => ?")),
            Found::Nothing => self.empty(format!("{name} (does not exist)")),
            Found::NotResponding => self.empty(format!("{name} (the file system does not respond)")),
            Found::Hidden(errno) | Found::Failing { errno, .. } => {
                self.empty(format!("{name} (not accessible: {})", symbol(*errno)))
            }
        }
    }

    fn file(&mut self, file: &File, mut name: String) {
        let mount = (file.mount.read_only || file.mount.file_system_read_only, file.mount.no_links);
        let notes = [
            (mount.0 && !self.mount.0, "mounted read-only"),
            (mount.1 && !self.mount.1, "mounted nosymfollow"),
            (file.immutable, "immutable"),
            (file.deleted, "removed"),
        ];
        for (_, note) in notes.into_iter().filter(|(is_so, _)| *is_so) {
            let _ = write!(name, " ({note})");
        }
        self.mount = mount;
        let called = |names: &std::collections::BTreeMap<u32, String>, id: u32| {
            names.get(&id).map_or_else(|| id.to_string(), |name| escaped(name).to_string())
        };
        // An overflow id is no user's name.
        let shown = |is: ShownId, name: String| if is == ShownId::Exact { name } else { "?".to_owned() };
        let user = shown(file.uid_is, called(&self.names.users, file.uid));
        let group = shown(file.gid_is, called(&self.names.groups, file.gid));
        let columns = [mode(file), user, group];
        self.lines.push(Line { columns, name, id: Some(file.id), marked: false });
    }

    fn empty(&mut self, name: String) {
        self.lines.push(Line { columns: Default::default(), name, id: None, marked: false });
    }

    fn mark(&mut self) {
        if let Some(line) = self.lines.last_mut() {
            line.marked = true;
        }
    }
}

/// Indents the components of a link's target.
fn indented(step: &Step, name: &str) -> String {
    format!("{}{name}", if step.via.is_some() { "  " } else { "" })
}

/// Formats `drwxr-xr-x`, followed by a `+` if there is an access control list.
fn mode(file: &File) -> String {
    let kind = match file.kind {
        FileKind::Socket => 's',
        FileKind::Directory => 'd',
        FileKind::Link => 'l',
        FileKind::Regular => '-',
        FileKind::Fifo => 'p',
        FileKind::Device => 'c',
    };
    let mut text = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = file.mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & 1 != 0, file.mode & special != 0) {
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    if file.acl.as_ref().is_some_and(|acl| !acl.is_empty()) {
        text.push('+');
    }
    text
}

fn render(lines: &[Line], mark: String) -> String {
    let width = |at: usize| lines.iter().map(|line| line.columns[at].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    let mut text = String::new();
    for line in lines {
        let [mode, user, group] = &line.columns;
        let [one, two, three] = widths;
        let _ = write!(text, "  {mode:one$} {user:two$} {group:three$}  {}", line.name);
        if line.marked {
            let _ = write!(text, "    <-- {mark}");
        }
        text.push('\n');
    }
    text
}
