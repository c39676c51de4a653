//! The observations and advice in addition to the cause: for whom, in which view, and how worded.

use super::*;

fn at(address: &str) -> Site {
    Site { address: Address::parse(address).unwrap(), netns_of: None, kind: None, as_root: false }
}

fn ask_as_root() -> Action {
    let address = Address::path("/run/app/app.sock").unwrap();
    let (operation, subject) = (Operation::Connect, Who::User("alice".into()));
    Action::PredictAsRoot(Box::new(Question { operation, kind: None, address, subject }))
}

#[test]
fn commands_use_paths_in_the_view_of_the_process() {
    let inside = |facts: &mut Facts| {
        facts.question.subject = Who::Process(9);
        facts.subject.as_mut().unwrap().view.other_files = true;
    };
    let missing = connect(|facts| {
        inside(facts);
        facts.ends(2, Found::Nothing);
    });
    assert_eq!(missing.advice, [Action::StartOwner { program: None }], "its place is not ours");
    let closed = connect(|facts| {
        inside(facts);
        facts.step(1).directory.mode = 0o700;
    });
    let path = || "/proc/9/root/run".into();
    let narrow = Action::AddAclEntry { path: path(), user: "alice".into(), permissions: "x", as_root: false };
    let wide = Action::ChangeMode {
        path: path(),
        class: ModeClass::Other,
        permission: Permission::Search,
        group: "root".into(),
        as_root: false,
    };
    assert_eq!(closed.advice, [narrow, wide]);
    let name = by_name(Operation::Connect, |facts| {
        facts.question.subject = Who::Process(9);
        facts.subject.as_mut().unwrap().view.other_network = true;
    });
    assert!(matches!(name.advice[..], [Action::StartServer { .. }]), "{name:?}");
}

#[test]
fn permission_is_not_advised_for_a_stale_socket() {
    let stale = connect(|facts| {
        facts.reached().mode = 0o600;
        (facts.sockets, facts.alive, facts.asker_uid) = (Some(Vec::new()), None, 1000);
    });
    assert_eq!(stale.cause, Cause::NoWrite);
    assert_eq!(stale.advice, [Action::StartOwner { program: None }], "{stale:?}");
    let unsure = connect(|facts| {
        facts.reached().mode = 0o600;
        (facts.sockets, facts.alive, facts.asker_uid) = (None, None, 1000);
    });
    assert_eq!(unsure.advice, [ask_as_root()]);
    let alive = |asker| {
        connect(|facts| {
            facts.reached().mode = 0o600;
            (facts.reached().uid, facts.asker_uid) = (2000, asker);
            if asker != 0 {
                facts.asker_rights = AskerRights::default();
            }
        })
    };
    let entry = |as_root| Action::AddAclEntry {
        path: "/run/app/app.sock".into(),
        user: "alice".into(),
        permissions: "rw",
        as_root,
    };
    assert_eq!(alive(1000).advice[0], entry(true));
    assert_eq!(alive(2000).advice[0], entry(false), "the owner may");
    assert_eq!(alive(0).advice[0], entry(false), "root may");
    let powerless = connect(|facts| {
        facts.reached().mode = 0o600;
        (facts.reached().uid, facts.asker_rights) = (2000, AskerRights::default());
    });
    assert!(powerless.advice.iter().all(|action| !action.changes_permissions()), "{powerless:?}");
}

#[test]
fn a_server_that_lost_its_name_is_named() {
    let taken = |facts: &mut Facts| {
        facts.near.push(near(removed(), "/run/app/app.sock"));
    };
    let by_file = connect(|facts| {
        facts.arrives(file("/run/app/app.sock", FileKind::Regular, 0o666));
        taken(facts);
    });
    assert_eq!(by_file.cause, Cause::NotASocket);
    assert!(by_file.seen.iter().any(|line| line.contains("refers to another file now")), "{by_file:?}");
    assert!(by_file.seen.iter().any(|line| line.contains("process 12 (app)")), "{by_file:?}");
    let program = Program::Process { pid: 12, command: "app".into() };
    let restart = Action::Restart { program, renewal: Renewal::SocketFile, as_root: false };
    assert!(by_file.advice.contains(&restart), "{by_file:?}");
    let by_socket = connect(taken);
    assert_eq!(by_socket.outcome, Outcome::Succeeds);
    assert!(by_socket.caveats.iter().any(|line| line.contains("process 12 (app)")), "{by_socket:?}");
}

#[test]
fn a_loop_is_distinguished_from_too_many_links() {
    let around = |distinct: bool| {
        connect(|facts| {
            let link = file("/run/app/app.sock", FileKind::Link, 0o777);
            facts.through(link);
            let mut again = facts.step(2).clone();
            again.via = Some("/run/app/app.sock".into());
            for number in 0..40 {
                if let (true, Found::Link { link, .. }) = (distinct, &mut again.found) {
                    link.id = (1, 100 + number);
                }
                facts.walk().steps.insert(3, again.clone());
            }
        })
    };
    assert!(around(false).why.contains("form a loop"), "{:?}", around(false));
    assert!(around(true).why.contains("more than 40"), "{:?}", around(true));
}

#[test]
fn permissions_are_queried_if_a_list_is_hidden() {
    let asked = |granted| {
        connect(|facts| {
            facts.reached().acl = None;
            facts.reached().granted = granted;
        })
    };
    assert_eq!(asked(Some(2)).outcome, Outcome::Succeeds);
    assert!(asked(Some(2)).caveats.iter().any(|line| line.contains("the kernel was queried")));
    assert_eq!(asked(None).outcome, Outcome::Unknown);
    let mapped = connect(|facts| facts.reached().mount.maps_ids = true);
    assert!(mapped.caveats[0].contains("owners are mapped"), "{mapped:?}");
}

#[test]
fn every_directory_on_the_way_is_made_for_who_binds() {
    let from = |operation, asker| {
        with(operation, |facts| {
            facts.asker_uid = asker;
            facts.asker_rights = if asker == 0 { AskerRights::ALL } else { AskerRights::default() };
            facts.question.address = Address::path("/run/app/a/b/app.sock").unwrap();
            facts.ends(1, Found::Nothing);
        })
    };
    let create = |path: &str, owner: Option<&str>, as_root| {
        let (path, owner) = (path.into(), owner.map(str::to_owned));
        [Action::CreateDirectory { path, owner, as_root }]
    };
    assert_eq!(from(Operation::Connect, 0).advice, create("/run/app/a/b", None, false));
    assert_eq!(from(Operation::Connect, 1000).advice, create("/run/app/a/b", None, true));
    assert_eq!(from(Operation::Bind, 0).advice, create("/run/app/a/b", Some("alice"), false));
    assert_eq!(from(Operation::Bind, 1000).advice, create("/run/app/a/b", Some("alice"), true));
    let own = bind(|facts| {
        facts.asker_uid = 1000;
        facts.step(1).directory.uid = 1000;
        facts.ends(1, Found::Nothing);
    });
    assert_eq!(own.advice, create("/run/app", None, false));
    // To own the directory, or that all users may write to it, is not enough.
    let as_root = |change: &dyn Fn(&mut File)| {
        let verdict = connect(|facts| {
            (facts.question.subject, facts.asker_uid) = (Who::CurrentProcess, 1000);
            change(&mut facts.step(1).directory);
            facts.ends(1, Found::Nothing);
        });
        matches!(verdict.advice[..], [Action::CreateDirectory { as_root: true, .. }])
    };
    assert!(!as_root(&|directory| (directory.uid, directory.mode) = (1000, 0o755)));
    assert!(as_root(&|directory| (directory.uid, directory.mode) = (1000, 0o555)));
    assert!(!as_root(&|directory| directory.mode = 0o1777));
    assert!(as_root(&|directory| {
        let entry = |who, permissions| AclEntry { who, permissions };
        directory.mode = 0o777;
        directory.acl = Some(vec![entry(AclWho::User(1000), 5), entry(AclWho::Mask, 7)]);
    }));
}

#[test]
fn one_is_not_many() {
    let waiting = |count| connect(|facts| facts.socket().backlog = Some((count, 0)));
    assert!(waiting(1).seen.iter().any(|line| line.starts_with("1 client waits;")));
    assert!(waiting(2).seen.iter().any(|line| line.starts_with("2 clients wait;")));
    let closed = connect(|facts| facts.reached().mode = 0o600);
    assert_eq!(closed.why, "user alice lacks write permission on the socket, which connecting requires");
}

/// By probing alone, a socket that is shut down cannot be distinguished from one whose queue is
/// full, or has space.
#[test]
fn a_receiver_in_no_table_is_not_judged() {
    for full in [false, true] {
        let asked = send(|facts| {
            (facts.socket().inode, facts.socket().owners) = (0, None);
            facts.socket().queue_full = Some(full);
        });
        assert_eq!(asked.outcome, Outcome::Unknown, "{asked:?}");
    }
}

#[test]
fn without_visible_owners_root_is_advised() {
    let full = connect(|facts| {
        facts.asker_uid = 1000;
        (facts.socket().backlog, facts.socket().owners) = (Some((1, 0)), None);
    });
    assert_eq!(full.advice, [ask_as_root()]);
}

#[test]
fn a_private_directory_is_advised_first() {
    let closed = |asker| {
        bind(|facts| {
            (facts.step(2).directory.mode, facts.asker_uid) = (0o755, asker);
        })
    };
    assert_eq!(closed(1000).advice[0], Action::UsePrivateDirectory);
    assert_eq!(closed(0).advice[0], Action::UseDirectoryOf("alice".into()), "ours is not alice's");
}

/// A server of `stoop` belongs at an address only if no other program has it.
#[test]
fn a_server_is_started_only_at_an_address_of_our_own() {
    let asked = |directory: &str, change: &dyn Fn(&mut Facts)| {
        let missing = connect(|facts| {
            facts.question.subject = Who::CurrentProcess;
            facts.subject.as_mut().unwrap().uid = 0;
            facts.question.address = Address::path(format!("{directory}/app.sock")).unwrap();
            facts.ends(2, Found::Nothing);
            facts.step(2).directory.path = directory.into();
            facts.traces.home = Some("/home/alice".into());
            change(facts);
        });
        matches!(missing.advice[0], Action::StartServer { .. })
    };
    let lock = Lock { path: "/tmp/a/app.pid".into(), program: None };
    for (directory, own) in
        [("/tmp/a", true), ("/home/alice/app", true), ("/tmp", false), ("/run/app", false), ("/srv", false)]
    {
        assert_eq!(asked(directory, &|_| ()), own, "{directory}");
        assert!(!asked(directory, &|facts| facts.step(2).directory.uid = 7), "the directory is another's");
        assert!(
            !asked(directory, &|facts| facts.subject.as_mut().unwrap().uid = 7),
            "the client is another's"
        );
        assert!(!asked(directory, &|facts| facts.step(2).directory.mode = 0o777));
        assert!(!asked(directory, &|facts| facts.traces.lock = Some(lock.clone())));
        assert!(!asked(directory, &|facts| facts.traces.exhausted = Some(Exhausted::Inodes)));
    }
}

#[test]
fn the_unit_of_an_address_is_started_first() {
    let unit = Unit { name: "app.socket".into(), of_user: false };
    let managed = |facts: &mut Facts| {
        (facts.traces.units, facts.traces.has_systemd) = (vec![unit.clone()], true);
        facts.asker_uid = 1000;
    };
    let start = [Action::StartNamedUnit { unit: unit.clone(), as_root: true }];
    let missing = connect(|facts| {
        facts.ends(2, Found::Nothing);
        managed(facts);
    });
    assert_eq!(missing.advice, start);
    let stale = connect(|facts| {
        (facts.sockets, facts.alive) = (Some(Vec::new()), Some(false));
        managed(facts);
    });
    assert_eq!(stale.advice, start);
    let lost = connect(|facts| {
        facts.ends(2, Found::Nothing);
        facts.near.push(near(removed(), "/run/app/app.sock"));
        let owner = &mut facts.near[0].socket.owners.as_mut().unwrap()[0];
        owner.workload = Workload::Unit { name: "app.service".into(), user: None };
        managed(facts);
    });
    let names = vec!["app.socket".into(), "app.service".into()];
    let program = Program::Units { names, of_user: false };
    assert_eq!(lost.advice, [Action::Restart { program, renewal: Renewal::SocketFile, as_root: true }]);
}

#[test]
fn a_member_of_the_group_logs_in_again() {
    let closed = |subject: Who, is_member: bool| {
        connect(|facts| {
            facts.question.subject = subject;
            (facts.reached().mode, facts.reached().gid) = (0o660, 50);
            let subject = facts.subject.as_mut().unwrap();
            (subject.groups, subject.account_groups) = (Vec::new(), is_member.then(|| vec![50]));
        })
        .advice[0]
            .clone()
    };
    let us = Who::CurrentProcess;
    assert!(matches!(closed(us.clone(), true), Action::UseNewGroup { group, .. } if group == "app"));
    assert!(matches!(closed(us, false), Action::JoinGroup { group, .. } if group == "app"));
    assert!(matches!(
        closed(Who::Process(9), true),
        Action::Restart { renewal: Renewal::Groups, program: Program::Process { pid: 9, .. }, .. }
    ));
}

/// A member of the group that PostgreSQL runs as could read its files.
#[test]
fn the_group_of_another_user_is_not_joined_first() {
    let closed = |owner: u32| {
        connect(|facts| {
            (facts.names.users, facts.names.groups) = ([(7, "db".into())].into(), [(7, "db".into())].into());
            let file = facts.reached();
            (file.mode, file.uid, file.gid) = (0o660, owner, 7);
        })
        .advice
    };
    assert!(matches!(closed(7)[..2], [Action::AddAclEntry { .. }, Action::JoinGroup { .. }]));
    assert!(matches!(closed(0)[0], Action::JoinGroup { .. }), "a group for access");
}

#[test]
fn a_file_in_place_of_the_socket_is_shown() {
    let closed = connect(|facts| (facts.reached().kind, facts.reached().mode) = (FileKind::Regular, 0o600));
    assert_eq!(
        (closed.cause, &closed.advice[..]),
        (Cause::NoWrite, &[Action::ShowFile("/run/app/app.sock".into())][..])
    );
}

#[test]
fn a_server_that_has_the_address_is_shown() {
    let taken = with(Operation::Bind, |facts| {
        facts.asker_uid = 1000;
        (facts.sockets, facts.alive) = (None, Some(true));
    });
    let Some(Action::ShowServer(Site { as_root: true, .. })) = taken.advice.last() else {
        panic!("{taken:?}")
    };
}

#[test]
fn permissions_are_granted_where_they_can_be_changed() {
    let closed = |change: &dyn Fn(&mut File)| {
        connect(|facts| {
            facts.step(1).directory.mode = 0o700;
            change(&mut facts.step(1).directory);
        })
        .advice
    };
    let is_wide = |action: &Action| matches!(action, Action::ChangeMode { .. });
    assert!(matches!(closed(&|_| ())[..], [Action::AddAclEntry { .. }, Action::ChangeMode { .. }]));
    assert!(closed(&|directory| directory.lacks_acl = true).iter().all(is_wide));
    let read_only = closed(&|directory| directory.mount.read_only = true);
    assert!(matches!(read_only[..], [Action::ShowMount(_), Action::ChangeBeneathMount(_)]));
    let immutable = closed(&|directory| directory.immutable = true);
    assert!(matches!(immutable[0], Action::ClearFlag { .. }));
}

/// Whatever kind was to be bound or connected, a client needs that of the server.
#[test]
fn a_client_is_of_the_kind_of_its_server() {
    let kind_in = |advice: &[Action]| {
        let site = |action: &Action| match action {
            Action::Connect { at, kind } => Some(kind.or(at.kind)),
            _ => None,
        };
        advice.iter().find_map(site).expect("advice to connect")
    };
    let taken = with(Operation::Bind, |facts| facts.question.kind = Some(Kind::SeqPacket));
    assert_eq!((taken.cause, kind_in(&taken.advice)), (Cause::TakenLive, Some(Kind::Stream)));
    let away = by_name(Operation::Connect, |facts| {
        facts.question.kind = Some(Kind::SeqPacket);
        let mut near = near(Nearness::OtherNamespace, "@app");
        near.socket = socket(Kind::Datagram, EndpointState::Bound);
        facts.near.push(near);
    });
    assert_eq!((away.cause, kind_in(&away.advice)), (Cause::NameInOtherNamespace, Some(Kind::Datagram)));
}

#[test]
fn a_moved_socket_is_reached_by_its_kind() {
    let now = FileLocation { here: Some("/run/new".into()), ..FileLocation::UNKNOWN };
    let advice = |kind| {
        connect(|facts| {
            facts.ends(2, Found::Nothing);
            facts.near.push(near(Nearness::WasBoundTo(now.clone()), "/run/app/app.sock"));
            facts.near[0].socket.kind = Some(kind);
        })
        .advice
    };
    let kind_of = |advice: Vec<Action>| match &advice[..] {
        [Action::Connect { kind, .. }] => *kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(kind_of(advice(Kind::Datagram)), Some(Kind::Datagram));
    assert_eq!(kind_of(advice(Kind::Stream)), None);
}

/// To start its unit would change nothing: the server runs.
#[test]
fn a_moved_socket_is_reached_past_the_stale_file_at_its_name() {
    let stale = |operation, interposed: Option<u32>| {
        let verdict = with(operation, |facts| {
            (facts.sockets, facts.alive) = (Some(Vec::new()), Some(false));
            facts.near.push(near(moved(), "/run/app/app.sock"));
            facts.traces.interposed = interposed;
            let unit = Unit { name: "app.socket".into(), of_user: false };
            (facts.traces.units, facts.traces.has_systemd) = (vec![unit], true);
        });
        let is_first = matches!(&verdict.advice[0], Action::Connect { at, .. }
            if at.address == Address::path("/run/app/old.sock").unwrap());
        (verdict.cause, is_first)
    };
    assert_eq!(stale(Operation::Connect, None), (Cause::Stale, true));
    assert_eq!(stale(Operation::Connect, Some(0)), (Cause::Stale, false));
    assert_eq!(stale(Operation::Bind, None), (Cause::TakenStale, false));
}

#[test]
fn sessions_survive_the_advice() {
    let lost = |command: &str, workload: Workload| {
        connect(|facts| {
            facts.ends(2, Found::Nothing);
            facts.near.push(near(removed(), "/run/app/app.sock"));
            let owner = &mut facts.near[0].socket.owners.as_mut().unwrap()[0];
            (owner.command, owner.workload) = (command.into(), workload);
        })
        .advice
    };
    let unit = |name: &str| Workload::Unit { name: name.into(), user: None };
    let way = |advice: Vec<Action>| match &advice[..] {
        [Action::Restart { program, .. }] => program.clone(),
        other => panic!("{other:?}"),
    };
    assert!(matches!(
        way(lost("tmux: server", unit("user@7.service"))),
        Program::Signal { signal: "USR1", .. }
    ));
    for name in ["user@7.service", "dbus.service", "systemd-logind.service", "session-3.scope"] {
        assert!(matches!(way(lost("app", unit(name))), Program::Process { .. }), "{name}");
    }
    assert!(matches!(way(lost("app", unit("app.service"))), Program::Units { .. }));
}

#[test]
fn the_server_of_a_client_is_advised_instead() {
    let asked = |kind| {
        connect(|facts| {
            facts.question.kind = kind;
            *facts.socket() = socket(Kind::Stream, EndpointState::Connected);
            facts.socket().server = Some(Address::path("/run/app/its.sock").unwrap());
        })
        .advice
    };
    let its = [Action::Connect { at: at("/run/app/its.sock"), kind: None }];
    assert_eq!(asked(None), its);
    assert_eq!(asked(Some(Kind::Datagram)), its);
}

/// The advice for a path that is too long is what works: not a client, if there is no server.
#[test]
fn a_path_that_is_too_long_is_reached_by_its_directory() {
    let long = format!("/run/{}/app.sock", "d".repeat(120));
    let too_long = |operation, change: &dyn Fn(&mut Facts)| {
        with(operation, |facts| {
            facts.question.address = Address::path(&long).unwrap();
            change(facts);
        })
    };
    let live = too_long(Operation::Connect, &|_| {});
    assert_eq!(live.advice, [Action::ConnectByLongPath(at(&long))]);
    let missing = too_long(Operation::Connect, &|facts| facts.ends(2, Found::Nothing));
    assert!(!missing.advice.contains(&Action::ConnectByLongPath(at(&long))), "{missing:?}");
    let free = too_long(Operation::Bind, &|facts| {
        facts.step(2).directory.mode = 0o777;
        facts.ends(2, Found::Nothing);
    });
    let enter = Action::EnterDirectory {
        directory: std::path::Path::new(&long).parent().unwrap().to_owned(),
        name: "app.sock".into(),
    };
    assert_eq!(free.advice, [enter], "the directory is one of the system");
    let truncated = too_long(Operation::Connect, &|facts| {
        facts.ends(2, Found::Nothing);
        facts.near.push(near(Nearness::Truncated, &long[..107]));
    });
    assert_eq!(truncated.advice, [Action::Connect { at: at(&long[..107]), kind: None }]);
    assert!(truncated.seen.iter().any(|line| line.contains("first 107 bytes")), "{truncated:?}");
}
