//! The present paths of socket files, for lists. Only inspects.

use std::collections::HashMap;
use std::path::PathBuf;

use stoop_inspect::internal::FileLocator;
use stoop_inspect::{Snapshot, SocketId};

/// Finds the files of the sockets of one snapshot.
#[derive(Debug)]
pub(crate) struct Paths<'a> {
    snapshot: &'a Snapshot,
    locator: FileLocator,
    /// What was found: the accepted sockets of a listener have one file.
    found: HashMap<SocketId, Option<Found>>,
}

/// A path that leads to a file and is not its name.
#[derive(Clone, Debug)]
struct Found {
    path: PathBuf,
    /// Whether the file is in the view of this process, not only in that of its owner.
    is_here: bool,
}

impl<'a> Paths<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot) -> Paths<'a> {
        Paths { snapshot, locator: FileLocator::new(), found: HashMap::new() }
    }

    /// Returns a path that leads to the file of a socket, or of the listener it came from, if that
    /// is not the name given to bind: the file was moved, or is in another view of the files.
    pub(crate) fn other_than_name(&mut self, id: SocketId) -> Option<PathBuf> {
        self.found(id).map(|found| found.path)
    }

    /// Returns whether the file of a socket, or of the listener it came from, is in the view of
    /// this process at another path than the name given to bind.
    pub(crate) fn is_at_other_path(&mut self, id: SocketId) -> bool {
        self.found(id).is_some_and(|found| found.is_here)
    }

    fn found(&mut self, id: SocketId) -> Option<Found> {
        let id = self.snapshot[id].listener.unwrap_or(id);
        if let Some(found) = self.found.get(&id) {
            return found.clone();
        }
        let found = self.find(id);
        self.found.insert(id, found.clone());
        found
    }

    fn find(&mut self, id: SocketId) -> Option<Found> {
        let name = self.snapshot[id].name.as_pathname()?;
        let location = self.locator.locate(self.snapshot, id)?;
        let is_here = location.here.is_some();
        let path = location.here.or_else(|| Some(location.view?.through_proc()))?;
        (path != name).then_some(Found { path, is_here })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixListener;

    use stoop_inspect::{Inspector, Options};

    use super::*;

    #[test]
    fn only_a_moved_file_has_another_path() {
        let dir = stoop_testkit::tempdir();
        let (name, now) = (dir.path().join("name"), dir.path().join("now"));
        let listener = UnixListener::bind(&name).unwrap();
        let snapshot = Inspector::new(Options::default()).snapshot();
        let id = snapshot.socket_of(&listener).unwrap();
        assert_eq!(Paths::new(&snapshot).other_than_name(id), None);
        fs::rename(&name, &now).unwrap();
        assert_eq!(Paths::new(&snapshot).other_than_name(id), Some(now.clone()));
        assert!(Paths::new(&snapshot).is_at_other_path(id));
        fs::remove_file(now).unwrap();
        assert_eq!(Paths::new(&snapshot).other_than_name(id), None);
    }
}
