//! Facts for each cause, and the verdict on them.

use std::collections::HashSet;

use super::*;
use crate::hindrance::{FrozenGroup, Hindrance, Tracer};

/// Every cause, facts that have it, and the result of the call.
fn one_of_each() -> Vec<(Cause, Outcome, Verdict)> {
    use Cause::*;
    use Outcome::{Fails, Succeeds, Unknown, Waits};
    let acl = |who, permissions| AclEntry { who, permissions };
    let list = |for_alice, mask| {
        vec![acl(AclWho::User(1000), for_alice), acl(AclWho::Mask, mask), acl(AclWho::Other, 7)]
    };
    let link = |uid| File { uid, ..file("/run/app/app.sock", FileKind::Link, 0o777) };
    let regular = file("/run/app/app.sock", FileKind::Regular, 0o666);
    vec![
        (Nothing, Succeeds, connect(|_| ())),
        (NotVisible, Unknown, connect(|facts| facts.walk = None)),
        (NoSuchSubject, Unknown, connect(|facts| facts.subject = None)),
        (NotAnAddress, Fails(Errno::INVAL), connect(|facts| facts.question.address = Address::UNNAMED)),
        (
            PathTooLong,
            Fails(Errno::NAMETOOLONG),
            connect(|facts| {
                facts.question.address = Address::path("x".repeat(109)).unwrap();
            }),
        ),
        (
            MessageTooLarge,
            Fails(Errno::MSGSIZE),
            with(Operation::Send { len_bytes: 1001 }, |facts| facts.walk = None),
        ),
        (
            OutOfDescriptors,
            Fails(Errno::MFILE),
            connect(|facts| {
                let subject = facts.subject.as_mut().unwrap();
                (subject.pid, subject.descriptors) = (Some(9), Some(Descriptors { open: 4, limit: 4 }));
            }),
        ),
        (
            Filtered,
            Fails(Errno::AFNOSUPPORT),
            connect(|facts| {
                facts.security.refusal = Some(Refusal { call: "socket", errno: Errno::AFNOSUPPORT });
            }),
        ),
        (
            OwnerUnmapped,
            Fails(Errno::ACCESS),
            connect(|facts| {
                let socket = facts.reached();
                (socket.uid, socket.uid_is, socket.mount.maps_ids) = (65534, ShownId::UnmappedByMount, true);
            }),
        ),
        (
            ParentOwnerUnmapped,
            Fails(Errno::ACCESS),
            bind(|facts| {
                let directory = &mut facts.step(2).directory;
                (directory.mount.maps_ids, directory.mount.id_maps) = (true, Some(maps(1000)));
                directory.gid_is = ShownId::UnmappedByMount;
            }),
        ),
        (
            CreatorUnmapped,
            Fails(Errno::OVERFLOW),
            bind(|facts| {
                let mount = &mut facts.step(2).directory.mount;
                (mount.maps_ids, mount.id_maps) = (true, Some(maps(2000)));
            }),
        ),
        (
            NoSpace,
            Fails(Errno::NOSPC),
            bind(|facts| facts.walk().space = Some(Space { no_inodes: true, no_blocks: false })),
        ),
        (
            ServedElsewhere,
            Fails(Errno::CONNREFUSED),
            connect(|facts| {
                (facts.sockets, facts.alive) = (Some(Vec::new()), Some(false));
                facts.other_server = OtherServer::Possible(Doubt::Shared("fuse.bindfs".into()));
            }),
        ),
        (
            ServedElsewhere,
            Fails(Errno::CONNREFUSED),
            connect(|facts| {
                (facts.sockets, facts.alive) = (Some(Vec::new()), Some(false));
                facts.other_server = bound_by("/lower/app.sock");
            }),
        ),
        (
            TakenLive,
            Fails(Errno::ADDRINUSE),
            with(Operation::Bind, |facts| {
                (facts.sockets, facts.alive) = (Some(Vec::new()), Some(false));
                facts.other_server = bound_by("/lower/app.sock");
            }),
        ),
        (NeedsConnection, Fails(Errno::OPNOTSUPP), send(|facts| facts.question.kind = Some(Kind::Stream))),
        (NeedsConnection, Fails(Errno::NOTCONN), send(|facts| facts.question.kind = Some(Kind::SeqPacket))),
        (Missing, Fails(Errno::NOENT), connect(|facts| facts.ends(2, Found::Nothing))),
        (
            Unlinked,
            Fails(Errno::NOENT),
            connect(|facts| {
                facts.ends(2, Found::Nothing);
                facts.near.push(near(removed(), "/run/app/app.sock"));
            }),
        ),
        (
            Moved,
            Fails(Errno::NOENT),
            connect(|facts| {
                facts.ends(2, Found::Nothing);
                facts.near.push(near(moved(), "/run/app/app.sock"));
            }),
        ),
        (
            ServersView,
            Fails(Errno::NOENT),
            connect(|facts| {
                facts.ends(1, Found::Nothing);
                facts.near.push(near(in_view(), "/run/app/app.sock"));
            }),
        ),
        (
            StaleMount,
            Fails(Errno::CONNREFUSED),
            connect(|facts| {
                facts.reached().mount.is_of_file = true;
                facts.reached().mode = 0o666;
                facts.alive = Some(false);
            }),
        ),
        (
            OtherView,
            Fails(Errno::NOENT),
            connect(|facts| {
                facts.ends(1, Found::Nothing);
                facts.question.subject = Who::Process(9);
                facts.near.push(near(Nearness::OurView, "/run/app/app.sock"));
            }),
        ),
        (ParentMissing, Fails(Errno::NOENT), connect(|facts| facts.ends(1, Found::Nothing))),
        (
            Dangling,
            Fails(Errno::NOENT),
            connect(|facts| {
                facts.ends(2, Found::Nothing);
                facts.step(2).via = Some("/run/link".into());
            }),
        ),
        (
            DirectoryDeleted,
            Fails(Errno::NOENT),
            connect(|facts| {
                facts.ends(2, Found::Nothing);
                facts.step(2).directory.deleted = true;
            }),
        ),
        (NotADirectory, Fails(Errno::NOTDIR), connect(|facts| facts.ends(1, Found::File(regular.clone())))),
        (NoSearch, Fails(Errno::ACCESS), connect(|facts| facts.step(1).directory.mode = 0o750)),
        (NoSearchAcl, Fails(Errno::ACCESS), connect(|facts| facts.step(1).directory.acl = Some(list(6, 7)))),
        (
            LinkLoop,
            Fails(Errno::LOOP),
            connect(|facts| {
                facts.through(link(0));
                let again = facts.step(2).clone();
                facts.walk().steps.splice(2..2, vec![again; 40]);
            }),
        ),
        (
            ProtectedLink,
            Fails(Errno::ACCESS),
            connect(|facts| {
                facts.through(link(77));
                facts.step(2).directory.mode = 0o1777;
            }),
        ),
        (
            LinksNotFollowed,
            Fails(Errno::LOOP),
            connect(|facts| {
                let mut link = link(0);
                link.mount.no_links = true;
                facts.through(link);
            }),
        ),
        (
            NameTooLong,
            Fails(Errno::NAMETOOLONG),
            connect(|facts| {
                facts.ends(2, Found::Nothing);
                facts.step(2).name = vec![b'n'; 256];
            }),
        ),
        (
            NotResponding,
            Unknown,
            connect(|facts| {
                facts.ends(1, Found::NotResponding);
                facts.not_responding = Some(silent_mount());
            }),
        ),
        (
            OtherUsersMount,
            Fails(Errno::ACCESS),
            connect(|facts| facts.ends(1, failing(Errno::ACCESS, Some(1001)))),
        ),
        (
            OtherUsersMount,
            Fails(Errno::ACCESS),
            connect(|facts| {
                facts.step(2).directory.mount.only_user = Some(OnlyUser { uid: 0, gid: 0 });
            }),
        ),
        (
            FileSystemFails,
            Fails(Errno::NOTCONN),
            connect(|facts| facts.ends(1, failing(Errno::NOTCONN, None))),
        ),
        (
            FileSystemFails,
            Fails(Errno::CONNREFUSED),
            connect(|facts| facts.ends(1, failing(Errno::CONNREFUSED, None))),
        ),
        (NotVisible, Unknown, connect(|facts| facts.ends(1, failing(Errno::ACCESS, Some(1000))))),
        (FileSystemFails, Fails(Errno::STALE), bind(|facts| facts.ends(2, failing(Errno::STALE, None)))),
        (
            OpenSocket,
            Fails(Errno::CONNREFUSED),
            connect(|facts| facts.reached().mount.file_system = "sockfs".into()),
        ),
        (
            Unmounted,
            Fails(Errno::NOENT),
            connect(|facts| {
                facts.ends(2, Found::Nothing);
                facts.near.push(near(lost(FileSearch::Unmounted), "/run/app/app.sock"));
            }),
        ),
        (NoWrite, Fails(Errno::ACCESS), connect(|facts| facts.reached().mode = 0o660)),
        (NoWriteAcl, Fails(Errno::ACCESS), connect(|facts| facts.reached().acl = Some(list(7, 4)))),
        (Immutable, Fails(Errno::PERM), connect(|facts| facts.reached().immutable = true)),
        (
            NotASocketReadOnly,
            Fails(Errno::ROFS),
            connect(|facts| {
                facts.arrives(regular.clone());
                facts.reached().mount.file_system_read_only = true;
            }),
        ),
        (NotASocket, Fails(Errno::CONNREFUSED), connect(|facts| facts.arrives(regular.clone()))),
        (
            Stale,
            Fails(Errno::CONNREFUSED),
            connect(|facts| (facts.sockets, facts.alive) = (Some(Vec::new()), Some(false))),
        ),
        (WrongKind, Fails(Errno::PROTOTYPE), connect(|facts| facts.question.kind = Some(Kind::SeqPacket))),
        (
            NotListening,
            Fails(Errno::CONNREFUSED),
            connect(|facts| facts.socket().state = EndpointState::Bound),
        ),
        (
            IsAClient,
            Fails(Errno::CONNREFUSED),
            connect(|facts| facts.socket().state = EndpointState::Connected),
        ),
        (ListenerShutDown, Fails(Errno::CONNREFUSED), connect(|facts| facts.socket().shut_down = true)),
        (BacklogFull, Waits, connect(|facts| facts.socket().backlog = Some((6, 5)))),
        (QueueFull, Waits, send(|facts| facts.socket().queue_full = Some(true))),
        (
            ConnectedElsewhere,
            Fails(Errno::PERM),
            send(|facts| facts.socket().state = EndpointState::Connected),
        ),
        (ReceiverShutDown, Fails(Errno::PIPE), send(|facts| facts.socket().shut_down = true)),
        (NoSuchName, Fails(Errno::CONNREFUSED), by_name(Operation::Connect, |_| ())),
        (
            NameOfOtherKind,
            Fails(Errno::CONNREFUSED),
            by_name(SEND, |facts| facts.sockets = Some(vec![listening()])),
        ),
        (
            NameInOtherNamespace,
            Fails(Errno::CONNREFUSED),
            by_name(Operation::Connect, |facts| {
                facts.near.push(near(Nearness::OtherNamespace, "@app"));
            }),
        ),
        (
            NamePadded,
            Fails(Errno::CONNREFUSED),
            by_name(Operation::Connect, |facts| {
                facts.near.push(near(Nearness::Padded, "@app%00"));
            }),
        ),
        (TakenLive, Fails(Errno::ADDRINUSE), with(Operation::Bind, |_| ())),
        (
            TakenStale,
            Fails(Errno::ADDRINUSE),
            with(Operation::Bind, |facts| {
                (facts.sockets, facts.alive) = (Some(Vec::new()), Some(false));
            }),
        ),
        (
            TakenByMount,
            Fails(Errno::ADDRINUSE),
            with(Operation::Bind, |facts| {
                (facts.sockets, facts.alive) = (Some(Vec::new()), Some(false));
                let mut mounted = facts.walk().reached.clone().unwrap();
                mounted.mount.is_of_file = true;
                facts.arrives(mounted);
            }),
        ),
        (
            TakenBySocket,
            Fails(Errno::ADDRINUSE),
            with(Operation::Bind, |facts| (facts.sockets, facts.alive) = (None, None)),
        ),
        (TakenByFile, Fails(Errno::ADDRINUSE), with(Operation::Bind, |facts| facts.arrives(regular.clone()))),
        (NoLastName, Fails(Errno::ADDRINUSE), bind(|facts| facts.step(2).name = b"..".to_vec())),
        (TrailingSlash, Fails(Errno::NOENT), bind(|facts| facts.walk().trailing_slash = true)),
        (
            NameTaken,
            Fails(Errno::ADDRINUSE),
            by_name(Operation::Bind, |facts| facts.sockets = Some(vec![listening()])),
        ),
        (ParentNotWritable, Fails(Errno::ACCESS), bind(|facts| facts.step(2).directory.mode = 0o755)),
        (
            ParentNotWritableAcl,
            Fails(Errno::ACCESS),
            bind(|facts| facts.step(2).directory.acl = Some(list(5, 7))),
        ),
        (ParentImmutable, Fails(Errno::PERM), bind(|facts| facts.step(2).directory.immutable = true)),
        (ReadOnly, Fails(Errno::ROFS), bind(|facts| facts.step(2).directory.mount.read_only = true)),
        (
            NoSocketsHere,
            Fails(Errno::PERM),
            bind(|facts| facts.step(2).directory.mount.file_system = "sysfs".into()),
        ),
        (
            NoSocketsHere,
            Fails(Errno::NOENT),
            bind(|facts| facts.step(2).directory.mount.file_system = "proc".into()),
        ),
    ]
}

/// A file system that does not respond.
fn silent_mount() -> SilentMount {
    SilentMount { point: "/run".into(), file_system: "nfs4".into(), source: b"host:/".into(), server: None }
}

/// The server of a file system that is stopped is shown and resumed; no advice abandons the mount.
#[test]
fn a_file_system_that_does_not_respond_is_unknown_ground() {
    let stopped = Owner { pid: 7, hindrance: Some(Hindrance::Stopped), ..owner(7, "x") };
    let started = |server: Option<Owner>| {
        connect(|facts| {
            facts.walk = None;
            facts.not_responding = Some(SilentMount { server: server.clone(), ..silent_mount() });
        })
    };
    let verdict = started(Some(stopped));
    assert_eq!((verdict.outcome, verdict.cause), (Outcome::Unknown, Cause::NotResponding));
    assert!(matches!(verdict.advice[..], [Action::Resume { pid: 7, .. }]), "{:?}", verdict.advice);
    assert!(verdict.seen.iter().any(|line| line.contains("serves it, and is stopped")), "{:?}", verdict.seen);
    assert!(matches!(started(None).advice[..], [Action::ReachFileSystem { .. }]));
}

/// A file system that fails a lookup, perhaps for one user alone.
fn failing(errno: Errno, only: Option<u32>) -> Found {
    let only_user = only.map(|id| OnlyUser { uid: id, gid: id });
    Found::Failing { errno, mount: Mount { file_system: "fuse.x".into(), only_user, ..Mount::default() } }
}

/// Maps for one user and group.
fn maps(id: u32) -> IdMaps {
    let range = vec![IdRange { first: id, count: 1 }];
    IdMaps { uids: range.clone(), gids: range }
}

#[test]
fn every_cause_has_its_world() {
    let mut unseen: HashSet<Cause> = Cause::ALL.iter().copied().collect();
    for (cause, outcome, verdict) in one_of_each() {
        assert_eq!((verdict.cause, verdict.outcome), (cause, outcome), "{verdict:?}");
        assert!(!verdict.why.is_empty() && !verdict.why.ends_with('.'), "{verdict:?}");
        unseen.remove(&cause);
    }
    assert!(unseen.is_empty(), "no world has {unseen:?}");
}

/// Whatever fails, something helps or shows more: but for calls that no program makes.
#[test]
fn every_failure_has_advice() {
    let without = [Cause::NotAnAddress, Cause::NameTooLong];
    let lacks = one_of_each().into_iter().filter(|(cause, outcome, verdict)| {
        let fails = matches!(outcome, Outcome::Fails(_) | Outcome::Waits);
        fails && !without.contains(cause) && verdict.advice.is_empty()
    });
    assert_eq!(lacks.map(|(cause, ..)| cause).collect::<Vec<_>>(), []);
}

#[test]
fn a_file_without_a_known_path_is_searched_for() {
    let lost = |search| {
        connect(|facts| {
            facts.ends(2, Found::Nothing);
            facts.near.push(near(lost(search), "/run/app/app.sock"));
        })
    };
    let on_mount = lost(FileSearch::OnMount { point: "/run".into(), inode: 7 });
    let find = Action::FindFile { mount: "/run".into(), inode: 7, as_root: false };
    assert_eq!((on_mount.cause, &on_mount.advice[..]), (Cause::Moved, &[find][..]));
    assert_eq!(lost(FileSearch::Unknown).cause, Cause::Moved);
}

/// What keeps a directory's entries from being removed comes first.
#[test]
fn a_stale_file_is_removed_after_what_prevents_it() {
    let stale = |change: &dyn Fn(&mut File)| {
        let verdict = with(Operation::Bind, |facts| {
            (facts.sockets, facts.alive) = (Some(Vec::new()), Some(false));
            facts.step(2).directory.mode = 0o777;
            change(&mut facts.step(2).directory);
            facts.reached().mount = facts.step(2).directory.mount.clone();
            let file = facts.reached().clone();
            facts.arrives(file);
        });
        verdict.advice.iter().map(Action::to_string).collect::<Vec<_>>()
    };
    let remove = "remove '/run/app/app.sock'";
    assert_eq!(stale(&|_| ()), [remove]);
    let immutable = stale(&|directory| directory.immutable = true);
    assert_eq!(immutable, ["clear the immutable flag of '/run/app'", remove]);
    let append_only = stale(&|directory| directory.append_only = true);
    assert_eq!(append_only, ["clear the append-only flag of '/run/app'", remove]);
    let both = stale(&|directory| (directory.immutable, directory.append_only) = (true, true));
    assert_eq!(both, [&immutable[0], &append_only[0], remove]);
    let read_only = stale(&|directory| directory.mount.read_only = true);
    let expected = [
        "bind in a directory of the user alice",
        "let the server bind in a directory that it may write to, such as the RuntimeDirectory= of its unit, and its \
         clients use that path",
        "check the mount options of '/run/app'",
        "have the mount of '/run/app' made writable (remount,rw) by who owns it, if it is meant to be",
    ];
    assert_eq!(read_only, expected);
    assert!(!read_only.contains(&remove.to_owned()), "{read_only:?}");
}

#[test]
fn free_and_reachable_names() {
    assert_eq!(bind(|_| ()).outcome, Outcome::Succeeds);
    assert_eq!(send(|_| ()).outcome, Outcome::Succeeds);
    assert_eq!(by_name(Operation::Bind, |_| ()).outcome, Outcome::Succeeds);
    assert_eq!(
        by_name(Operation::Connect, |facts| facts.sockets = Some(vec![listening()])).outcome,
        Outcome::Succeeds
    );
    let autobind = bind(|facts| facts.question.address = Address::UNNAMED);
    assert_eq!(autobind.outcome, Outcome::Succeeds);
}

#[test]
fn what_came_out_of_an_accept_serves_nobody() {
    let accepted = socket(Kind::Stream, EndpointState::Accepted);
    let only = |facts: &mut Facts| facts.sockets = Some(vec![accepted.clone()]);
    assert_eq!(by_name(Operation::Connect, only).cause, Cause::NoSuchName);
    let mut bound = accepted.clone();
    bound.is_bound_itself = Some(true);
    assert_eq!(by_name(Operation::Bind, |facts| facts.sockets = Some(vec![bound])).cause, Cause::NameTaken);
    let mut named = accepted.clone();
    named.is_bound_itself = Some(false);
    let free = by_name(Operation::Bind, |facts| facts.sockets = Some(vec![named]));
    assert_eq!(free.outcome, Outcome::Succeeds, "its listener has closed");
    // A client or one end of a pair looks the same, and holds its name.
    assert_eq!(by_name(Operation::Bind, only).outcome, Outcome::Unknown);
    let beside = |facts: &mut Facts| facts.sockets = Some(vec![accepted.clone(), listening()]);
    assert_eq!(connect(beside).outcome, Outcome::Succeeds);
}

#[test]
fn what_decides_out_of_sight_is_unknown() {
    let on = |name: &str| bind(|facts| facts.step(2).directory.mount.file_system = name.into()).outcome;
    assert_eq!(on("tmpfs"), Outcome::Succeeds);
    assert_eq!((on("nfs4"), on("fuse.bindfs"), on("of-tomorrow"), on("")), {
        let unknown = Outcome::Unknown;
        (unknown, unknown, unknown, unknown)
    });
    assert_eq!(on("fuse.sshfs"), Outcome::Fails(Errno::PERM));
    let foreign = bind(|facts| facts.step(2).directory.mount.may_be_foreign = true);
    assert_eq!(foreign.outcome, Outcome::Unknown);
    let maps_unread = bind(|facts| facts.step(2).directory.mount.maps_ids = true);
    assert_eq!(maps_unread.outcome, Outcome::Unknown);
    // Landlock is visible at most by what a process needs to use it.
    let sandboxed = |facts: &mut Facts| {
        facts.sockets = Some(vec![listening()]);
        facts.security.no_new_privileges = Some(true);
        facts.security.modules = Some(vec!["landlock".into()]);
    };
    assert_eq!(by_name(Operation::Connect, sandboxed).outcome, Outcome::Unknown);
    assert_eq!(
        by_name(Operation::Connect, |facts| {
            sandboxed(facts);
            facts.security.no_new_privileges = Some(false);
        })
        .outcome,
        Outcome::Succeeds
    );
}

#[test]
fn an_overflow_id_is_no_user() {
    let unmapped = |facts: &mut Facts, shown| {
        facts.names.users.insert(65534, "nobody".into());
        facts.names.groups.insert(65534, "nogroup".into());
        let socket = facts.reached();
        (socket.uid, socket.gid, socket.mode) = (65534, 65534, 0o660);
        (socket.uid_is, socket.gid_is) = (shown, shown);
    };
    let verdict = connect(|facts| unmapped(facts, ShownId::UnmappedHere));
    assert_eq!(verdict.outcome, Outcome::Fails(Errno::ACCESS));
    assert!(lines(&verdict).all(|line| !line.contains("nobody") && !line.contains("nogroup")), "{verdict:?}");
    assert!(!verdict.advice.iter().any(|advice| matches!(advice, Action::JoinGroup { .. })));
    // Root of our namespace has no power over it, and whoever is shown the same is not its owner.
    let root = |shown| {
        connect(|facts| {
            unmapped(facts, shown);
            facts.subject.as_mut().unwrap().dac_override = true;
        })
        .outcome
    };
    assert_eq!(root(ShownId::UnmappedHere), Outcome::Fails(Errno::ACCESS));
    assert_eq!(root(ShownId::Uncertain), Outcome::Unknown);
    assert_eq!(root(ShownId::Exact), Outcome::Succeeds);
    let same = connect(|facts| {
        unmapped(facts, ShownId::UnmappedHere);
        facts.subject.as_mut().unwrap().uid = 65534;
    });
    assert_eq!(same.outcome, Outcome::Unknown);
}

#[test]
fn whoever_may_not_look_is_told_so() {
    let hidden_to = |asker| {
        connect(|facts| {
            facts.asker_uid = asker;
            facts.ends(1, Found::Hidden(Errno::ACCESS));
        })
    };
    assert!(hidden_to(0).advice.is_empty(), "root sees no more than root");
    let hidden = hidden_to(1000);
    assert_eq!((hidden.outcome, hidden.cause), (Outcome::Unknown, Cause::NotVisible));
    let address = Address::path("/run/app/app.sock").unwrap();
    let (operation, subject) = (Operation::Connect, Who::User("alice".into()));
    let question = Question { operation, kind: None, address, subject };
    assert_eq!(hidden.advice, [Action::PredictAsRoot(Box::new(question))]);
    assert_eq!(connect(|facts| facts.sockets = None).outcome, Outcome::Unknown);
    assert_eq!(connect(|facts| facts.reached().acl = None).outcome, Outcome::Unknown);
    assert_eq!(send(|facts| facts.socket().queue_full = None).outcome, Outcome::Unknown);
    // A check that decides earlier needs no later facts.
    let decided = connect(|facts| {
        facts.step(0).directory.mode = 0o700;
        facts.ends(1, Found::Hidden(Errno::ACCESS));
    });
    assert_eq!(decided.cause, Cause::NoSearch);
}

#[test]
fn the_next_step_fits_the_cause() {
    let group = connect(|facts| {
        facts.step(1).directory.mode = 0o750;
        facts.step(1).directory.gid = 60;
        facts.names.groups.insert(60, "web team".into());
    });
    let (user, team) = ("alice".to_owned(), "web team".to_owned());
    let join = Action::JoinGroup { user, group: team, is_root: false, as_root: false };
    assert_eq!(group.advice, [join]);
    let member = connect(|facts| {
        facts.step(1).directory.mode = 0o705;
        facts.step(1).directory.gid = 50;
    });
    let grant = Action::ChangeMode {
        path: "/run".into(),
        class: ModeClass::Group,
        permission: Permission::Search,
        group: "app".into(),
        as_root: false,
    };
    let (path, user) = ("/run".into(), "alice".into());
    let entry = Action::AddAclEntry { path, user, permissions: "x", as_root: false };
    assert_eq!(member.advice, [entry, grant]);
    assert!(member.seen[2].contains("in its group app"), "{member:?}");
    let stopped = connect(|facts| {
        facts.socket().backlog = Some((1, 0));
        facts.socket().owners.as_mut().unwrap()[0].hindrance = Some(Hindrance::Stopped);
    });
    assert_eq!(stopped.advice[0], Action::Resume { pid: 12, as_root: false });
    assert_eq!(stopped.seen[0], "process 12 (app) is stopped, stream socket");
}

#[test]
fn caveats_are_given_for_what_may_still_fail() {
    let guarded = |facts: &mut Facts| {
        facts.question.subject = Who::Process(9);
        facts.security = Security {
            modules: Some(vec!["capability".into(), "landlock".into(), "apparmor".into()]),
            label: Some("docker-default".into()),
            seccomp: Some(true),
            no_new_privileges: Some(true),
            ..Security::default()
        };
    };
    let verdict = connect(guarded);
    assert_eq!(verdict.caveats.len(), 3, "{verdict:?}");
    assert!(verdict.caveats[0].contains("apparmor (label 'docker-default')"));
    let refused = connect(|facts| {
        guarded(facts);
        facts.socket().shut_down = true;
    });
    assert!(refused.caveats.is_empty());
}

#[test]
fn names_from_outside_are_escaped() {
    let verdict = connect(|facts| {
        facts.socket().owners.as_mut().unwrap()[0].command = "\x1b[2Japp\n".into();
        facts.names.users.insert(0, "ro\not".into());
        facts.reached().mode = 0o600;
    });
    assert!(lines(&verdict).all(is_safe), "{verdict:?}");
}

#[test]
fn what_keeps_a_server_from_answering_comes_with_its_end() {
    let full = |hindrance: Hindrance| {
        connect(|facts| {
            facts.socket().backlog = Some((1, 0));
            facts.socket().owners.as_mut().unwrap()[0].hindrance = Some(hindrance);
        })
    };
    let group = FrozenGroup {
        switch: "/sys/fs/cgroup/system.slice/app.service/cgroup.freeze".into(),
        workload: crate::Workload::Unit { name: "app.service".into(), user: None },
    };
    let frozen = full(Hindrance::Frozen(group.clone()));
    assert_eq!(frozen.advice[0], Action::Thaw { group, as_root: false });
    assert_eq!(frozen.seen[0], "process 12 (app) is frozen, with all of app.service, stream socket");
    let tracer = Tracer { pid: 9, command: "gdb".into(), uid: Some(0), is_parent: false };
    let traced = full(Hindrance::Traced(Some(tracer.clone())));
    assert_eq!(traced.advice[0], Action::Detach { pid: 12, tracer });
    let out = full(Hindrance::OutOfDescriptors { limit: 20, hard: Some(30) });
    assert_eq!(
        out.advice[0],
        Action::RaiseLimitOf { pid: 12, to: 30, is_beyond_hard: false, as_root: false }
    );
    let unknown = full(Hindrance::Traced(None));
    assert!(matches!(unknown.advice[0], Action::ShowServer(_)), "{unknown:?}");
}

#[test]
fn workers_are_busy_if_each_has_a_client_and_another_waits() {
    let said = |change: &dyn Fn(&mut Endpoint)| {
        let verdict = connect(|facts| {
            let socket = facts.socket();
            socket.backlog = Some((1, 5));
            let worker = |pid| Owner { parent: Some(12), clients: 1, ..owner(pid, "worker") };
            socket.owners.as_mut().unwrap().extend([worker(13), worker(14)]);
            change(socket);
        });
        verdict.caveats.iter().any(|line| line.starts_with("each of the 2 worker processes serves"))
    };
    assert!(said(&|_| {}));
    assert!(!said(&|socket| socket.owners.as_mut().unwrap()[2].clients = 0), "one is idle");
    assert!(!said(&|socket| socket.backlog = Some((0, 5))), "no client waits");
    // The parent accepts as well, so it is a worker.
    assert!(!said(&|socket| socket.owners.as_mut().unwrap()[0].clients = 1), "there are three");
    // One process may serve any number of clients at once.
    let alone = connect(|facts| {
        facts.socket().backlog = Some((1, 5));
        facts.socket().owners.as_mut().unwrap()[0].clients = 3;
    });
    assert_eq!(alone.caveats[0], "1 client waits for an accept; 6 fit");
    assert!(!alone.caveats.iter().any(|line| line.contains("worker")), "{alone:?}");
}

#[test]
fn a_queue_is_described_by_its_own_limit() {
    let full = send(|facts| {
        facts.socket().queue_full = Some(true);
        facts.socket().messages = Some(crate::Messages::new(51, Some(51), 50));
    });
    assert_eq!(
        full.seen[1],
        "51 messages wait; 51 fit, by net.unix.max_dgram_qlen when the socket was created"
    );
    let unknown = send(|facts| facts.socket().queue_full = Some(true));
    assert!(unknown.seen[1].ends_with("when it was created; now that is 10"), "{unknown:?}");
}

#[test]
fn who_inherited_a_listener_may_not_serve_it() {
    let said = |waiting| {
        let verdict = connect(|facts| {
            facts.socket().backlog = Some((waiting, 5));
            facts.socket().listened = Some(11);
        });
        verdict.caveats.iter().chain(&verdict.seen).any(|line| line.starts_with("process 11 called listen"))
    };
    assert!(said(1) && said(6));
    assert!(!said(0), "most daemons start like this");
}
