//! Verdicts on constructed facts: constructors, and changes to them.

mod advice;
mod causes;
mod properties;
mod situations;

use stoop::{Address, Kind};

use super::action::*;
use super::answer::why;
use super::cause::Cause;
use super::facts::*;
use super::verdict::*;
use super::*;
use crate::Workload;
use crate::asker::AskerRights;
use crate::file_location::{FileLocation, FileSearch, NameTarget, OtherView, ViewDifference};
use crate::model::Pid;

/// Alice (1000, group 1000, also in 50) asks for `/run/app/app.sock`, which root owns, in
/// directories that every user may search.
pub(super) fn facts(operation: Operation) -> Facts {
    let directories = [("/", "run"), ("/run", "app")];
    let mut steps: Vec<Step> = directories
        .iter()
        .map(|(directory, name)| Step {
            directory: directory_at(directory),
            name: name.as_bytes().to_vec(),
            last: false,
            wants_directory: true,
            via: None,
            found: Found::File(directory_at(&format!("{directory}/{name}"))),
        })
        .collect();
    let socket = file("/run/app/app.sock", FileKind::Socket, 0o666);
    steps.push(Step {
        directory: directory_at("/run/app"),
        name: b"app.sock".to_vec(),
        last: true,
        wants_directory: false,
        via: None,
        found: Found::File(socket.clone()),
    });
    Facts {
        question: Question {
            operation,
            kind: None,
            address: Address::path("/run/app/app.sock").unwrap(),
            subject: Who::User("alice".into()),
        },
        subject: Some(alice()),
        asker_uid: 0,
        asker_rights: AskerRights::ALL,
        asker_is_shut_out: false,
        walk: Some(Walk { steps, reached: Some(socket), trailing_slash: false, space: None }),
        not_responding: None,
        sockets: Some(vec![listening()]),
        alive: Some(true),
        other_server: OtherServer::Nowhere,
        near: Vec::new(),
        hidden_networks: false,
        limits: Limits {
            wmem_default_bytes: Some(1032),
            somaxconn: Some(4096),
            max_dgram_qlen: Some(10),
            protected_symlinks: Some(true),
        },
        security: Security { modules: Some(Vec::new()), ..Security::default() },
        names: Names {
            users: [(0, "root".into()), (1000, "alice".into())].into(),
            groups: [(0, "root".into()), (50, "app".into()), (1000, "alice".into())].into(),
        },
        traces: Traces::default(),
    }
}

fn alice() -> Subject {
    Subject {
        has_exited: false,
        pid: None,
        command: None,
        began: None,
        uid: 1000,
        gid: 1000,
        groups: vec![50],
        account_groups: Some(vec![50]),
        dac_override: false,
        dac_read_search: false,
        mapped_uids: None,
        mapped_gids: None,
        descriptors: None,
        view: View::default(),
    }
}

fn file(path: &str, kind: FileKind, mode: u32) -> File {
    File {
        path: path.into(),
        id: (1, path.len() as u64),
        kind,
        mode,
        uid: 0,
        gid: 0,
        uid_is: ShownId::Exact,
        gid_is: ShownId::Exact,
        acl: Some(Vec::new()),
        lacks_acl: false,
        granted: None,
        immutable: false,
        append_only: false,
        deleted: false,
        mount: Mount { file_system: "ext4".into(), ..Mount::default() },
    }
}

fn directory_at(path: &str) -> File {
    file(path, FileKind::Directory, 0o755)
}

fn socket(kind: Kind, state: EndpointState) -> Endpoint {
    Endpoint {
        inode: 7,
        kind: Some(kind),
        state,
        is_bound_itself: None,
        shut_down: false,
        backlog: None,
        queue_full: Some(false),
        messages: None,
        owners: Some(vec![owner(12, "app")]),
        listened: None,
        server: None,
    }
}

fn owner(pid: u32, command: &str) -> Owner {
    let command = command.into();
    let workload = Workload::Unknown;
    Owner {
        pid,
        command,
        uid: Some(0),
        is_blocked: false,
        hindrance: None,
        parent: None,
        clients: 0,
        workload,
    }
}

pub(super) fn listening() -> Endpoint {
    Endpoint { backlog: Some((0, 128)), ..socket(Kind::Stream, EndpointState::Listening) }
}

fn receiving() -> Endpoint {
    socket(Kind::Datagram, EndpointState::Bound)
}

impl Facts {
    fn walk(&mut self) -> &mut Walk {
        self.walk.as_mut().unwrap()
    }

    fn step(&mut self, at: usize) -> &mut Step {
        &mut self.walk().steps[at]
    }

    fn socket(&mut self) -> &mut Endpoint {
        &mut self.sockets.as_mut().unwrap()[0]
    }

    /// Ends the lookup at this step.
    fn ends(&mut self, at: usize, found: Found) {
        self.walk().steps.truncate(at + 1);
        self.walk().reached = None;
        self.step(at).found = found;
        (self.sockets, self.alive) = (None, None);
    }

    /// Makes the last step reach another file.
    fn arrives(&mut self, file: File) {
        self.step(2).found = Found::File(file.clone());
        self.walk().reached = Some(file);
    }

    /// Makes the last step go through a link.
    fn through(&mut self, link: File) {
        let last = self.step(2).clone();
        self.step(2).found = Found::Link { link, target: b"app.sock".to_vec() };
        let via = Some("/run/app/app.sock".into());
        self.walk().steps.push(Step { via, ..last });
    }

    fn reached(&mut self) -> &mut File {
        self.walk().reached.as_mut().unwrap()
    }
}

const SEND: Operation = Operation::Send { len_bytes: 1 };

pub(super) fn connect(change: impl FnOnce(&mut Facts)) -> Verdict {
    with(Operation::Connect, change)
}

fn send(change: impl FnOnce(&mut Facts)) -> Verdict {
    with(SEND, |facts| {
        facts.sockets = Some(vec![receiving()]);
        change(facts);
    })
}

/// A bind of a name that does not exist, in a directory that alice may write to.
fn bind(change: impl FnOnce(&mut Facts)) -> Verdict {
    with(Operation::Bind, |facts| {
        facts.ends(2, Found::Nothing);
        facts.step(2).directory.mode = 0o777;
        change(facts);
    })
}

fn by_name(operation: Operation, change: impl FnOnce(&mut Facts)) -> Verdict {
    with(operation, |facts| {
        facts.question.address = Address::abstract_name("app").unwrap();
        (facts.walk, facts.alive) = (None, None);
        facts.sockets = Some(Vec::new());
        change(facts);
    })
}

fn with(operation: Operation, change: impl FnOnce(&mut Facts)) -> Verdict {
    let mut facts = facts(operation);
    change(&mut facts);
    why(&facts)
}

fn near(how: Nearness, address: &str) -> Near {
    Near { how, address: Address::parse(address).unwrap(), socket: listening() }
}

/// A server was bound to the path, and its file was removed.
fn bound_by(path: &str) -> OtherServer {
    OtherServer::Bound { path: path.into(), sockets: Some(vec![listening()]) }
}

fn removed() -> Nearness {
    let name = NameTarget::Nothing;
    Nearness::WasBoundTo(FileLocation { name, is_removed: Some(true), ..FileLocation::UNKNOWN })
}

/// A server was bound to the path, and its file was moved.
fn moved() -> Nearness {
    let (name, here) = (NameTarget::Nothing, Some("/run/app/old.sock".into()));
    Nearness::WasBoundTo(FileLocation { name, here, is_removed: Some(false), ..FileLocation::UNKNOWN })
}

/// A server was bound to the path, and its file exists without a known path.
fn lost(search: FileSearch) -> Nearness {
    let name = NameTarget::Nothing;
    let is_removed = Some(false);
    Nearness::WasBoundTo(FileLocation { name, is_removed, search, ..FileLocation::UNKNOWN })
}

/// A server with a private `/tmp` has the path there.
fn in_view() -> Nearness {
    let view =
        OtherView { pid: Pid(12), path: "/run/app/app.sock".into(), difference: ViewDifference::PrivateTmp };
    let (name, view) = (NameTarget::SameFile, Some(view));
    Nearness::WasBoundTo(FileLocation { name, view, is_removed: Some(false), ..FileLocation::UNKNOWN })
}

fn lines(verdict: &Verdict) -> impl Iterator<Item = String> {
    let lists = [&verdict.seen, &verdict.caveats].into_iter().flatten().chain([&verdict.why]).cloned();
    lists.chain(verdict.advice.iter().map(Action::to_string))
}

fn is_safe(line: impl AsRef<str>) -> bool {
    !line.as_ref().chars().any(char::is_control)
}
