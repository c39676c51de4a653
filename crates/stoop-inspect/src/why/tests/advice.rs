//! The observations and advice in addition to the cause: for whom, in which view, and how worded.

use super::*;

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
    assert_eq!(
        missing.next[0],
        "stoop serve /proc/9/root/run/app/app.sock    # start one in the view of process 9"
    );
    let closed = connect(|facts| {
        inside(facts);
        facts.step(1).directory.mode = 0o700;
    });
    assert_eq!(closed.next[0], "chmod o+x /proc/9/root/run    # lets all users search it");
    let name = by_name(Operation::Connect, |facts| {
        facts.question.subject = Who::Process(9);
        facts.subject.as_mut().unwrap().view.other_network = true;
    });
    assert_eq!(name.next[0], "nsenter --target 9 --net stoop serve @app    # start a server there");
    let relative = connect(|facts| {
        facts.question.subject = Who::Process(9);
        facts.question.address = Address::path("app.sock").unwrap();
        facts.ends(2, Found::Nothing);
    });
    assert!(relative.next[0].starts_with("stoop serve /proc/9/cwd/app.sock "), "{relative:?}");
}

#[test]
fn permission_is_not_advised_for_a_stale_socket() {
    let stale = connect(|facts| {
        facts.reached().mode = 0o600;
        (facts.sockets, facts.alive, facts.asker_uid) = (Some(Vec::new()), None, 1000);
    });
    assert_eq!(stale.cause, Cause::NoWrite);
    assert_eq!(
        stale.next,
        ["sudo stoop serve /run/app/app.sock    # replaces a stale socket safely"],
        "{stale:?}"
    );
    let unsure = connect(|facts| {
        facts.reached().mode = 0o600;
        (facts.sockets, facts.alive, facts.asker_uid) = (None, None, 1000);
    });
    assert_eq!(unsure.next, ["sudo stoop why /run/app/app.sock --as alice    # root sees more"]);
    let alive = |asker| {
        connect(|facts| {
            facts.reached().mode = 0o600;
            (facts.reached().uid, facts.asker_uid) = (2000, asker);
        })
    };
    assert!(alive(1000).next[0].starts_with("sudo setfacl "), "{:?}", alive(1000));
    assert!(alive(2000).next[0].starts_with("setfacl "), "the owner may");
    assert!(alive(0).next[0].starts_with("setfacl "), "root may");
}

#[test]
fn a_server_that_lost_its_name_is_named() {
    let taken = |facts: &mut Facts| {
        facts.near.push(near(Nearness::Unlinked, "/run/app/app.sock"));
    };
    let by_file = connect(|facts| {
        facts.arrives(file("/run/app/app.sock", FileKind::Regular, 0o666));
        taken(facts);
    });
    assert_eq!(by_file.cause, Cause::NotASocket);
    assert!(by_file.seen.iter().any(|line| line.contains("refers to another file now")), "{by_file:?}");
    assert!(by_file.seen.iter().any(|line| line.contains("process 12 (app)")), "{by_file:?}");
    assert!(by_file.next.iter().any(|line| line.starts_with("kill 12 ")), "{by_file:?}");
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
    assert_eq!(from(Operation::Connect, 0).next[0], "mkdir -p /run/app/a/b");
    assert_eq!(from(Operation::Connect, 1000).next[0], "sudo mkdir -p /run/app/a/b");
    let given = "install -d -o alice -m 0755 /run/app/a/b    # owned by the user who binds";
    assert_eq!(from(Operation::Bind, 0).next[0], given);
    assert_eq!(from(Operation::Bind, 1000).next[0], format!("sudo {given}"));
    let own = bind(|facts| {
        facts.asker_uid = 1000;
        facts.step(1).directory.uid = 1000;
        facts.ends(1, Found::Nothing);
    });
    assert_eq!(own.next[0], "mkdir -p /run/app");
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
    assert_eq!(full.next, ["sudo stoop why /run/app/app.sock --as alice    # root sees more"]);
}

#[test]
fn a_private_directory_is_advised_first() {
    let closed = bind(|facts| facts.step(2).directory.mode = 0o755);
    assert!(closed.next[0].contains("a directory that is private to us"), "{closed:?}");
}
