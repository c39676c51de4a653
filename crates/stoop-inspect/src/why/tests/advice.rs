//! The observations and advice in addition to the cause: for whom, in which view, and how worded.

use super::*;

fn at(address: &str) -> Site {
    Site { address: Address::parse(address).unwrap(), netns_of: None, as_root: false }
}

fn ask_as_root() -> Action {
    let address = Address::path("/run/app/app.sock").unwrap();
    Action::PredictAsRoot { address, subject: Who::User("alice".into()) }
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
    let seen_from_here = at("/proc/9/root/run/app/app.sock");
    assert_eq!(missing.advice[0], Action::StartServer { at: seen_from_here, in_view_of: Some(9) });
    let closed = connect(|facts| {
        inside(facts);
        facts.step(1).directory.mode = 0o700;
    });
    let grant = Action::ChangeMode {
        path: "/proc/9/root/run".into(),
        class: ModeClass::Other,
        permission: Permission::Search,
        group: "root".into(),
        as_root: false,
    };
    assert_eq!(closed.advice, [grant]);
    let name = by_name(Operation::Connect, |facts| {
        facts.question.subject = Who::Process(9);
        facts.subject.as_mut().unwrap().view.other_network = true;
    });
    let inside = Site { netns_of: Some(9), ..at("@app") };
    assert_eq!(name.advice, [Action::StartServer { at: inside, in_view_of: None }]);
    let relative = connect(|facts| {
        facts.question.subject = Who::Process(9);
        facts.question.address = Address::path("app.sock").unwrap();
        facts.ends(2, Found::Nothing);
    });
    assert_eq!(relative.advice[0], Action::StartServer { at: at("/proc/9/cwd/app.sock"), in_view_of: None });
}

#[test]
fn permission_is_not_advised_for_a_stale_socket() {
    let stale = connect(|facts| {
        facts.reached().mode = 0o600;
        (facts.sockets, facts.alive, facts.asker_uid) = (Some(Vec::new()), None, 1000);
    });
    assert_eq!(stale.cause, Cause::NoWrite);
    let as_root = Site { as_root: true, ..at("/run/app/app.sock") };
    assert_eq!(stale.advice, [Action::ReplaceStale(as_root)], "{stale:?}");
    let unsure = connect(|facts| {
        facts.reached().mode = 0o600;
        (facts.sockets, facts.alive, facts.asker_uid) = (None, None, 1000);
    });
    assert_eq!(unsure.advice, [ask_as_root()]);
    let alive = |asker| {
        connect(|facts| {
            facts.reached().mode = 0o600;
            (facts.reached().uid, facts.asker_uid) = (2000, asker);
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
    assert!(by_file.advice.contains(&Action::RestartServer { pid: 12, as_root: false }), "{by_file:?}");
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
    let closed = bind(|facts| facts.step(2).directory.mode = 0o755);
    assert_eq!(closed.advice[0], Action::UsePrivateDirectory, "{closed:?}");
}
