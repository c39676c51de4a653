//! Situations of daemons, as those who met them reported them.

use super::*;

/// A socket of another namespace is probed, and its backlog has no length.
#[test]
fn a_backlog_that_was_only_probed_has_no_figures() {
    let full = |inode| {
        connect(|facts| {
            facts.limits.somaxconn = Some(0);
            let socket = facts.socket();
            (socket.inode, socket.backlog) = (inode, Some((1, 0)));
        })
    };
    let is_figure = |line: &String| line.contains("1 client waits") || line.contains("somaxconn");
    assert_eq!(full(7).seen.iter().filter(|line| is_figure(line)).count(), 2);
    let probed = full(0);
    assert_eq!((probed.outcome, probed.cause), (Outcome::Waits, Cause::BacklogFull));
    assert!(!probed.seen.iter().any(is_figure), "{probed:?}");
}

/// A server that binds `app.sock` and then changes its directory moves nothing.
#[test]
fn a_relative_name_is_not_called_moved() {
    let said = |address: &str| {
        let verdict = connect(|facts| {
            facts.ends(2, Found::Nothing);
            facts.near.push(near(moved(), address));
        });
        assert_eq!(verdict.cause, Cause::Moved);
        (verdict.why, verdict.seen)
    };
    assert!(said("/run/app/app.sock").0.ends_with("its socket file was moved"));
    let (why, seen) = said("./app.sock");
    assert!(why.ends_with("is in another directory"), "{why}");
    assert!(seen[0].contains("relative path"), "{seen:?}");
}

/// As in a container whose daemon's directory was removed and created again.
#[test]
fn a_removed_directory_that_is_mounted_is_mounted_again() {
    let deleted = |is_unlinked| {
        let verdict = connect(|facts| {
            facts.question.subject = Who::CurrentProcess;
            facts.ends(2, Found::Nothing);
            let directory = &mut facts.step(2).directory;
            (directory.deleted, directory.mount.is_unlinked) = (true, is_unlinked);
        });
        assert_eq!(verdict.cause, Cause::DirectoryDeleted);
        verdict.advice
    };
    assert_eq!(deleted(false), [Action::ChangeDirectory]);
    assert_eq!(deleted(true), [Action::MountAgain { path: "/run/app".into(), is_directory: true }]);
}

#[test]
fn a_stranger_is_told_to_ask_as_root() {
    let shut_down = |asker_uid| {
        connect(|facts| {
            facts.asker_uid = asker_uid;
            let socket = facts.socket();
            (socket.shut_down, socket.owners) = (true, None);
        })
    };
    assert!(matches!(shut_down(1000).advice[..], [Action::PredictAsRoot(_)]));
    assert!(matches!(shut_down(0).advice[..], [Action::AskWhereItRuns(_)]));
}

/// Who may write to a directory needs no privilege to remove a file from it.
#[test]
fn a_stale_file_is_removed_by_who_may() {
    let removal = |(mode, directory_uid): (u32, u32), file_uid: u32, subject: &Who| {
        let verdict = with(Operation::Bind, |facts| {
            facts.question.subject = subject.clone();
            (facts.asker_uid, facts.asker_rights) = (1000, AskerRights::default());
            let directory = &mut facts.step(2).directory;
            (directory.mode, directory.uid) = (mode, directory_uid);
            facts.reached().uid = file_uid;
            let file = facts.reached().clone();
            facts.arrives(file);
            (facts.sockets, facts.alive) = (Some(Vec::new()), Some(false));
        });
        assert_eq!(verdict.cause, Cause::TakenStale);
        let removes = verdict.advice.iter().find_map(|action| match action {
            Action::RemoveFile { as_root, .. } => Some(*as_root),
            _ => None,
        });
        removes.unwrap()
    };
    for subject in [Who::CurrentProcess, Who::User("bob".into())] {
        let removal = |directory, file_uid| removal(directory, file_uid, &subject);
        assert!(!removal((0o777, 0), 2000), "the directory may be written to");
        assert!(removal((0o1777, 0), 2000), "it is sticky, and the file another's");
        assert!(!removal((0o1777, 0), 1000), "it is our file");
        assert!(!removal((0o1777, 1000), 2000), "it is our directory");
        assert!(removal((0o755, 0), 1000), "the directory is another's");
        assert!(!removal((0o755, 1000), 0), "the directory is ours");
        assert!(removal((0o555, 1000), 1000), "it is ours, and not writable");
    }
}

/// The child of a server that has exited keeps its listener.
#[test]
fn a_bind_is_told_of_a_listener_that_was_inherited() {
    let verdict = with(Operation::Bind, |facts| facts.socket().listened = Some(11));
    assert_eq!(verdict.cause, Cause::TakenLive);
    assert!(verdict.seen.iter().any(|line| line.contains("process 11 called listen")), "{verdict:?}");
}

#[test]
fn those_who_see_the_server_need_no_privilege_to_look_at_it() {
    let shown = |owners| {
        let verdict = connect(|facts| {
            facts.asker_uid = 1000;
            facts.sockets = Some(vec![Endpoint { owners, ..receiving() }]);
            facts.socket().state = EndpointState::Connected;
        });
        let show = verdict.advice.iter().find_map(|action| match action {
            Action::ShowServer(at) => Some(at.as_root),
            _ => None,
        });
        show.unwrap()
    };
    assert!(!shown(Some(vec![owner(12, "app")])));
    assert!(shown(None));
}

/// A server may close its listener, and serve on whom it has accepted.
#[test]
fn a_connection_that_outlives_its_listener_is_named() {
    let stale = |sockets| {
        connect(|facts| {
            (facts.sockets, facts.alive) = (Some(sockets), Some(false));
        })
    };
    let is_said = |verdict: &Verdict| verdict.seen.iter().any(|line| line.contains("closed the listening"));
    let left = stale(vec![socket(Kind::Stream, EndpointState::Accepted)]);
    assert!(left.cause == Cause::Stale && is_said(&left), "{left:?}");
    assert!(left.seen.iter().any(|line| line.contains("process 12 (app)")), "{left:?}");
    assert!(!is_said(&stale(Vec::new())));
}

/// To remove a stale file is half of it if the directory is another's.
#[test]
fn a_bind_over_a_stale_file_says_what_it_lacks_then() {
    let over_stale = |mode| {
        with(Operation::Bind, |facts| {
            facts.step(2).directory.mode = mode;
            (facts.sockets, facts.alive) = (Some(Vec::new()), Some(false));
        })
    };
    let is_said = |verdict: &Verdict| verdict.seen.iter().any(|line| line.starts_with("once it is removed"));
    let grants = |verdict: &Verdict| verdict.advice.iter().any(Action::changes_permissions);
    let closed = over_stale(0o755);
    assert!(closed.cause == Cause::TakenStale && is_said(&closed) && grants(&closed), "{closed:?}");
    assert!(matches!(closed.advice[0], Action::RemoveFile { .. }), "{closed:?}");
    let open = over_stale(0o777);
    assert!(!is_said(&open) && !grants(&open), "{open:?}");
}

/// In a container, the server's processes are not in `/proc`, and root is root already.
#[test]
fn a_server_that_is_not_visible_is_asked_about_where_it_runs() {
    let hidden = |change: &dyn Fn(&mut Endpoint)| {
        connect(|facts| {
            facts.question.subject = Who::CurrentProcess;
            facts.socket().owners = None;
            change(facts.socket());
        })
    };
    let full = hidden(&|socket| socket.backlog = Some((2, 1)));
    assert_eq!(full.cause, Cause::BacklogFull);
    assert!(matches!(full.advice[..], [Action::AskWhereItRuns(_)]), "{full:?}");
    let closed = hidden(&|socket| socket.shut_down = true);
    assert!(matches!(closed.advice[..], [Action::AskWhereItRuns(_)]), "{closed:?}");
}

/// No program can create a file on a read-only file system, however long one waits for it.
#[test]
fn a_stale_file_on_a_read_only_file_system_waits_for_nobody() {
    let stale = |change: &dyn Fn(&mut Mount)| {
        let verdict = connect(|facts| {
            facts.question.subject = Who::CurrentProcess;
            (facts.sockets, facts.alive) = (Some(Vec::new()), Some(false));
            change(&mut facts.reached().mount);
            let mount = facts.reached().mount.clone();
            facts.step(2).directory.mount = mount;
        });
        assert_eq!(verdict.cause, Cause::Stale);
        verdict
    };
    let whole = stale(&|mount| mount.file_system_read_only = true);
    let expected = |advice: &[Action]| {
        matches!(advice, [Action::ServeElsewhere { .. }, Action::ShowMount(_), Action::MakeMountWritable(_)])
    };
    assert!(expected(&whole.advice), "{whole:?}");
    // Its server may see it by another mount, and create it again.
    let here = stale(&|mount| mount.read_only = true);
    assert!(matches!(here.advice[..], [Action::WaitForOwner { .. }]), "{here:?}");
    assert!(here.seen.iter().any(|line| line.contains("read-only mount")), "{here:?}");
}

/// A server of `stoop` does not replace an X server.
#[test]
fn nothing_is_served_at_the_abstract_name_of_a_program() {
    let asked = |name: &str| {
        by_name(Operation::Connect, |facts| {
            facts.question.subject = Who::CurrentProcess;
            facts.question.address = Address::abstract_name(name).unwrap();
        })
    };
    let serves = |verdict: &Verdict| verdict.advice.iter().any(Action::is_about_own_server);
    assert!(serves(&asked("app")));
    for name in ["/tmp/.X11-unix/X0", "/run/app/app.sock"] {
        let verdict = asked(name);
        assert!(!serves(&verdict) && !verdict.advice.is_empty(), "{verdict:?}");
    }
}

/// A request's path behind the socket's, as some clients write it.
#[test]
fn a_socket_is_not_taken_for_a_directory() {
    let verdict = connect(|facts| {
        let socket = facts.reached().clone();
        facts.step(1).found = Found::File(socket);
    });
    assert_eq!(verdict.cause, Cause::NotADirectory);
    assert!(matches!(&verdict.advice[..], [Action::SeeElsewhere { is_similar: false, .. }]), "{verdict:?}");
}

/// A relative address starts at the working directory, which another mount may cover.
#[test]
fn a_relative_file_is_shown_from_the_working_directory() {
    let shown = |address: &str| {
        let verdict = connect(|facts| {
            facts.question.address = Address::path(address).unwrap();
            facts.question.subject = Who::Process(12);
            facts.subject.as_mut().unwrap().view.other_files = true;
            if !address.starts_with('/') {
                facts.walk().steps.drain(..2);
            }
            facts.reached().kind = FileKind::Regular;
        });
        match verdict.advice.last() {
            Some(Action::ShowFile(path)) => path.clone(),
            _ => panic!("{verdict:?}"),
        }
    };
    assert_eq!(shown("app.sock"), std::path::Path::new("/proc/12/cwd/app.sock"));
    assert_eq!(shown("/run/app/app.sock"), std::path::Path::new("/proc/12/root/run/app/app.sock"));
}
