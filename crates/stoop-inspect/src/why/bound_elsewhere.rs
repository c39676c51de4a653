//! Explains servers that were bound to the path in question and have their file elsewhere: moved,
//! unlinked, or in a view of the files that the subject does not share. Pure.

use std::path::{Path, PathBuf};

use rustix::io::Errno;
use stoop::{Address, Kind};

use super::action::{Action, Site};
use super::advise;
use super::cause::Cause;
use super::facts::{Facts, Near, Nearness};
use super::messages::{Messages, quoted};
use super::question::Who;
use super::verdict::{Outcome, Verdict};
use crate::file_location::{FileLocation, FileSearch, NameTarget, OtherView, ViewDifference};

/// The location of the file of a server that was bound to the path.
enum Place<'f> {
    View(&'f OtherView),
    Moved(&'f Path),
    /// A mount covers it at this path.
    Covered(&'f Path),
    /// It has a path, which is not known.
    MovedAway(&'f FileSearch),
    Removed,
    /// The server's view is known, and its name leads to no file, or to another.
    NotAtName,
    Unknown,
}

impl<'f> Place<'f> {
    fn of(location: &'f FileLocation) -> Place<'f> {
        match location {
            FileLocation { view: Some(view), .. } => Place::View(view),
            FileLocation { here: Some(path), .. } => Place::Moved(path),
            FileLocation { covered: Some(path), .. } => Place::Covered(path),
            FileLocation { is_removed: Some(true), .. } => Place::Removed,
            FileLocation { is_removed: Some(false), search, .. } => Place::MovedAway(search),
            FileLocation { name: NameTarget::Nothing | NameTarget::OtherFile { .. }, .. } => Place::NotAtName,
            _ => Place::Unknown,
        }
    }

    fn of_server(near: &'f Near) -> Option<Place<'f>> {
        match &near.how {
            Nearness::WasBoundTo(location) => Some(Place::of(location)),
            _ => None,
        }
    }

    /// Orders places by how much they explain.
    fn rank(&self) -> u8 {
        match self {
            Place::Moved(_) => 0,
            Place::View(_) => 1,
            Place::Covered(_) => 2,
            Place::MovedAway(_) => 3,
            Place::Removed => 4,
            Place::NotAtName => 5,
            Place::Unknown => 6,
        }
    }
}

/// Returns the servers that were bound to the path, most significant first.
fn servers(facts: &Facts) -> Vec<(&Near, Place<'_>)> {
    let mut servers: Vec<_> =
        facts.near.iter().filter_map(|near| Some((near, Place::of_server(near)?))).collect();
    servers.sort_by_key(|(_, place)| place.rank());
    servers
}

/// Explains that the path does not exist, if a server was bound to it.
pub(super) fn missing(facts: &Facts) -> Option<Verdict> {
    let (near, place) = servers(facts).into_iter().next()?;
    let fails = |cause, why: &str| Verdict::fails(Errno::NOENT, cause, why);
    let owners = Messages(facts).owners(&near.socket);
    Some(match place {
        Place::View(view) => in_its_view(facts, near, view),
        Place::Moved(path) => {
            let (why, seen) = moved(near, path);
            fails(Cause::Moved, &why).seen(seen).seen_all(owners).advise_all(connect(
                facts,
                near,
                path.to_owned(),
            ))
        }
        Place::Covered(path) => {
            let why =
                "its server is running, and a mount covers its socket file: no path leads to it from here";
            let directory = path.parent().unwrap_or(path).to_owned();
            fails(Cause::Moved, why)
                .seen(format!("below the mount, it is {}", quoted(path)))
                .seen_all(owners)
                .advise(Action::ShowMount(directory))
        }
        Place::MovedAway(FileSearch::Unmounted) => {
            let why = "its server is running, and the file system with its socket file was unmounted";
            fails(Cause::Unmounted, why)
                .seen("it is mounted neither here nor where the server runs: no path leads to the file")
                .seen_all(owners)
                .advise_all(advise::restart(facts, &near.socket))
        }
        Place::MovedAway(search) => {
            let why = "its server is running, and its socket file was moved, or has another name now";
            fails(Cause::Moved, why)
                .seen("the new path could not be determined".to_owned())
                .seen_all(owners)
                .advise_all(advise::find_file(facts, search))
        }
        Place::Removed => fails(
            Cause::Unlinked,
            "its server is alive and running, but the socket file was removed: no client can reach it",
        )
        .seen_all(owners)
        .advise_all(advise::restart(facts, &near.socket)),
        Place::NotAtName => {
            let why = "its server is alive and running, but the socket file is no longer there: it was removed or moved, or a mount covers it";
            fails(Cause::Unlinked, why)
                .seen_all(owners)
                .advise_all(advise::with_more_privileges(facts))
                .advise_all(advise::restart(facts, &near.socket))
        }
        Place::Unknown => {
            let (why, seen) = unknown(near);
            fails(Cause::Missing, why)
                .seen(seen)
                .seen_all(owners)
                .advise_all(advise::with_more_privileges(facts))
        }
    })
}

/// Words that the file is at another path. A server that has bound a relative path may have changed
/// its working directory since.
fn moved(near: &Near, path: &Path) -> (String, String) {
    match relative_name(near) {
        Some(name) => (
            "its server is running, and its socket file is in another directory".to_owned(),
            format!("it is {}: the server has bound the relative path {}", quoted(path), quoted(name)),
        ),
        None => (
            "its server is running, and its socket file was moved".to_owned(),
            format!("it is now {}", quoted(path)),
        ),
    }
}

/// Words that the view of a server, or its working directory, is not visible.
fn unknown(near: &Near) -> (&'static str, String) {
    match relative_name(near) {
        Some(name) => (
            "the file does not exist here; whether a server that runs has bound it by a relative path is not visible",
            format!(
                "a socket is bound to the relative path {}, in a directory that is not visible from here",
                quoted(name)
            ),
        ),
        None => (
            "the file does not exist here; whether its server has it in another view of the file system is not visible",
            "a socket bound to this path exists".to_owned(),
        ),
    }
}

fn relative_name(near: &Near) -> Option<&Path> {
    near.address.as_pathname().filter(|name| name.is_relative())
}

fn in_its_view(facts: &Facts, near: &Near, view: &OtherView) -> Verdict {
    let location = match &near.how {
        Nearness::WasBoundTo(location) => location.here.as_deref(),
        _ => None,
    };
    let ours = match &facts.question.subject {
        Who::Process(_) => format!("in that of {}", Messages(facts).whom()),
        _ => "in ours".to_owned(),
    };
    let why = format!(
        "its server is running {}: the socket file is in its view of the file system, not {ours}",
        with(view.difference)
    );
    // This process has looked through that view, so it may do so again.
    let path = location.map_or_else(|| view.through_proc(), Path::to_owned);
    Verdict::fails(Errno::NOENT, Cause::ServersView, why)
        .seen_all(Messages(facts).owners(&near.socket))
        .seen(format!("from here, the file is {}", quoted(&path)))
        .advise(Action::ShareDirectory { pid: view.pid.0, difference: view.difference })
        .advise_all(connect(facts, near, path))
}

/// Returns how a server's view differs, as a phrase.
fn with(difference: ViewDifference) -> &'static str {
    match difference {
        ViewDifference::PrivateTmp => "with a private /tmp (PrivateTmp=)",
        ViewDifference::Root => "with another root directory (chroot)",
        ViewDifference::Mounts => "with its own mounts (a container, or a mount namespace)",
    }
}

/// Advises to reach the server by a path, with the kind of its socket.
fn connect(facts: &Facts, near: &Near, path: PathBuf) -> Option<Action> {
    let address = Address::path(path).ok()?;
    let kind = near.socket.kind.filter(|kind| *kind != Kind::Stream);
    let at = Site { address, netns_of: None, kind, as_root: false };
    (facts.question.operation != super::Operation::Bind).then_some(Action::Connect { at, kind })
}

/// Adds servers that were bound to the path, if that leads to another file now.
pub(super) fn add(facts: &Facts, verdict: Verdict) -> Verdict {
    if facts.walk.as_ref().is_none_or(|walk| walk.reached.is_none()) {
        return verdict;
    }
    servers(facts).into_iter().fold(verdict, |verdict, (near, place)| add_one(facts, verdict, near, &place))
}

fn add_one(facts: &Facts, verdict: Verdict, near: &Near, place: &Place<'_>) -> Verdict {
    let owners = Messages(facts).owners(&near.socket);
    let text = match place {
        Place::Removed | Place::NotAtName | Place::MovedAway(_) => {
            "a server bound to this path is still running, but the path refers to another file now: no client \
             reaches it by this path"
                .to_owned()
        }
        Place::Moved(path) => {
            format!("the file of another server that was bound to this path is now {}", quoted(path))
        }
        Place::Covered(path) => format!(
            "a server bound to this path is still running, and a mount covers its file, {}: no client reaches it by \
             this path",
            quoted(path)
        ),
        Place::View(view) => format!(
            "a server {} has the same path there: the file is {}",
            with(view.difference),
            quoted(&view.through_proc())
        ),
        Place::Unknown if relative_name(near).is_some() => unknown(near).1,
        Place::Unknown => "another socket was bound to the same path, perhaps in another view of the file system".to_owned(),
    };
    match (verdict.outcome, place) {
        // Whatever others do in views of their own does not affect this server's clients.
        (Outcome::Succeeds | Outcome::Waits, Place::View(_) | Place::Unknown) => verdict,
        // A relay that was killed has moved it, and gives the name back.
        (Outcome::Fails(_), Place::Moved(path))
            if verdict.cause == Cause::Stale && facts.traces.interposed.is_none() =>
        {
            verdict.seen(text).seen_all(owners).advise_all(connect(facts, near, path.to_path_buf()))
        }
        (Outcome::Fails(_), Place::MovedAway(search)) if verdict.cause == Cause::Stale => {
            verdict.seen(text).seen_all(owners).advise_all(advise::find_file(facts, search))
        }
        (Outcome::Fails(_), Place::Removed) => {
            verdict.seen(text).seen_all(owners).advise_all(advise::restart(facts, &near.socket))
        }
        (Outcome::Fails(_), _) => verdict.seen(text).seen_all(owners),
        _ => owners.into_iter().fold(verdict.caveat(text), Verdict::caveat),
    }
}
