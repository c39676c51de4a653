//! Properties that hold for any facts.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::why::permission::{Access, SEARCH, access};

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_world_has_a_verdict_that_is_safe_to_print(facts in any_facts()) {
        let verdict = why(&facts);
        prop_assert!(lines(&verdict).all(is_safe), "{:?}", verdict);
        prop_assert_eq!(verdict.cause == Cause::Nothing, verdict.outcome == Outcome::Succeeds);
        let untold = matches!(verdict.cause, Cause::NotVisible | Cause::NoSuchSubject);
        prop_assert_eq!(untold, verdict.outcome == Outcome::Unknown);
    }

    #[test]
    fn success_has_no_bars_and_more_capabilities_put_none_up(mut facts in any_facts()) {
        if why(&facts).outcome != Outcome::Succeeds {
            return Ok(());
        }
        let subject = facts.subject.as_mut().expect("somebody who succeeds");
        let is_path = facts.question.address.as_pathname().is_some();
        for step in facts.walk.iter().filter(|_| is_path).flat_map(|walk| &walk.steps) {
            prop_assert_eq!(access(&step.directory, subject, SEARCH), Access::Granted);
            let free = facts.question.operation == Operation::Bind && step.last;
            let is_found = matches!(step.found, Found::File(_) | Found::Link { .. } | Found::Magic { .. });
            prop_assert!(free || is_found);
        }
        subject.dac_override = true;
        prop_assert_eq!(why(&facts).outcome, Outcome::Succeeds);
    }
}

prop_compose! {
    fn any_mount()(read_only: bool, file_system_read_only: bool, no_links: bool, maps_ids: bool, is_of_file: bool, name in 0..4usize, only in proptest::option::weighted(0.1, 0..3u32)) -> Mount {
        let file_system = ["ext4", "proc", "sysfs", "fuse.x\n"][name].into();
        let id_maps = maps_ids.then(IdMaps::default);
        let is_unlinked = is_of_file && read_only;
        let only_user = only.map(|id| OnlyUser { uid: id, gid: id });
        Mount { file_system, read_only, file_system_read_only, no_links, maps_ids, id_maps, is_of_file, is_unlinked, only_user, ..Mount::default() }
    }
}

prop_compose! {
    fn any_entry()(tag in 0..6u8, id in 0..3u32, permissions in 0..8u8) -> AclEntry {
        let who = match tag {
            0 => AclWho::Owner,
            1 => AclWho::User(id),
            2 => AclWho::OwningGroup,
            3 => AclWho::Group(id),
            4 => AclWho::Mask,
            _ => AclWho::Other,
        };
        AclEntry { who, permissions }
    }
}

fn any_kind() -> impl Strategy<Value = Kind> {
    (0..3usize).prop_map(|at| Kind::ALL[at])
}

fn any_shown() -> impl Strategy<Value = ShownId> {
    let all = [ShownId::Exact, ShownId::UnmappedByMount, ShownId::UnmappedHere, ShownId::Uncertain];
    prop_oneof![4 => Just(ShownId::Exact), 1 => (0..4usize).prop_map(move |at| all[at])]
}

prop_compose! {
    fn any_file()(
        path in "/[a-z\n\x1b']{0,4}",
        kind in 0..6usize,
        mode in prop_oneof![Just(0o777), 0..0o10000u32],
        (uid, gid) in (0..3u32, 0..3u32),
        acl in proptest::option::weighted(0.9, proptest::collection::vec(any_entry(), 0..5)),
        (immutable, deleted) in (proptest::bool::weighted(0.1), proptest::bool::weighted(0.1)),
        mount in any_mount(),
        (granted, lacks_acl) in any::<(Option<u8>, bool)>(),
        (uid_is, gid_is) in (any_shown(), any_shown()),
    ) -> File {
        let kinds = [FileKind::Socket, FileKind::Directory, FileKind::Link, FileKind::Regular, FileKind::Fifo, FileKind::Device];
        File { path: path.into(), id: (1, 2), kind: kinds[kind], mode, uid, gid, uid_is, gid_is, acl, lacks_acl, granted, immutable, append_only: deleted, deleted, mount }
    }
}

fn any_found() -> impl Strategy<Value = Found> {
    prop_oneof![
        Just(Found::Nothing),
        any_file().prop_map(Found::File),
        any_file().prop_map(|link| Found::Link { link, target: b"\n".to_vec() }),
        (any_file(), proptest::option::of(any_file())).prop_map(|(link, to)| Found::Magic { link, to }),
        Just(Found::Hidden(Errno::ACCESS)),
        Just(Found::NotResponding),
        any_mount().prop_map(|mount| Found::Failing { errno: Errno::ACCESS, mount }),
        any_mount().prop_map(|mount| Found::Failing { errno: Errno::STALE, mount }),
    ]
}

prop_compose! {
    fn any_step()(
        directory in any_file(),
        name in proptest::collection::vec(any::<u8>(), 0..6),
        (last, wants_directory) in (any::<bool>(), any::<bool>()),
        via in proptest::option::of("[a\n]"),
        found in any_found(),
    ) -> Step {
        Step { directory, name, last, wants_directory, via: via.map(PathBuf::from), found }
    }
}

prop_compose! {
    fn any_endpoint()(
        kind in proptest::option::of(any_kind()),
        state in 0..4usize,
        shut_down: bool,
        backlog: Option<(u32, u32)>,
        queue_full: Option<bool>,
        owners in proptest::option::of(proptest::collection::vec(
            (any::<u32>(), "[a\n]{0,3}", any::<bool>(), any_workload()), 0..6
        )),
        server in proptest::option::of(any_address()),
    ) -> Endpoint {
        let states =
            [EndpointState::Listening, EndpointState::Bound, EndpointState::Connected, EndpointState::Accepted];
        let owner = |(pid, command, is_blocked, workload)| Owner {
            pid, command, uid: None, is_blocked, hindrance: None, parent: None, clients: 0, workload,
        };
        let owners = owners.map(|owners| owners.into_iter().map(owner).collect());
        Endpoint { inode: 1, kind, state: states[state], is_bound_itself: None, shut_down, backlog, queue_full, messages: None, owners, listened: None, server }
    }
}

prop_compose! {
    fn any_subject()(
        pid: Option<u32>,
        command in proptest::option::of("[a\n]{0,3}"),
        (uid, gid, groups) in (0..3u32, 0..3u32, proptest::collection::vec(0..3u32, 0..3)),
        (dac_override, dac_read_search, mapped) in (proptest::bool::weighted(0.3), any::<bool>(), any::<bool>()),
        (other_files, other_network) in (any::<bool>(), any::<bool>()),
        account_groups in proptest::option::of(proptest::collection::vec(0..3u32, 0..3)),
    ) -> Subject {
        let some = mapped.then(|| vec![IdRange { first: 1, count: 1 }]);
        Subject {
            has_exited: false,
            pid, command, began: None, uid, gid, groups, account_groups, dac_override, dac_read_search,
            mapped_uids: some.clone(), mapped_gids: some, descriptors: None, view: View { other_files, other_network },
        }
    }
}

fn any_workload() -> impl Strategy<Value = Workload> {
    prop_oneof![
        Just(Workload::Unknown),
        "[a\n]{0,3}(.service|.scope)".prop_map(|name| Workload::Unit { name, user: None }),
        "[a\n]{0,3}".prop_map(|id| Workload::Container { runtime: "docker".into(), id, pod: None }),
    ]
}

prop_compose! {
    fn any_traces()(
        (has_systemd, is_of_stoop, is_empty_directory, is_full) in any::<(bool, bool, bool, bool)>(),
        unit in proptest::option::of("[a\n]{0,3}(.socket|.service)"),
        lock in proptest::option::of(("[a\n]", proptest::option::of("[a\n]{0,3}"))),
        subject_workload in any_workload(),
    ) -> Traces {
        Traces {
            subject_workload,
            has_systemd,
            has_manager: has_systemd,
            units: unit.map(|name| Unit { name, of_user: false }).into_iter().collect(),
            lock: lock.map(|(path, program)| Lock { path: path.into(), program }),
            is_of_stoop,
            interposed: is_of_stoop.then_some(0),
            runtime_dir: None,
            is_empty_directory,
            exhausted: is_full.then_some(Exhausted::Inodes),
            home: Some("/a".into()),
        }
    }
}

fn any_address() -> impl Strategy<Value = Address> {
    prop_oneof![
        proptest::collection::vec(1u8.., 1..120).prop_map(|bytes| {
            use std::os::unix::ffi::OsStringExt;
            Address::path(std::ffi::OsString::from_vec(bytes)).unwrap()
        }),
        proptest::collection::vec(any::<u8>(), 0..8).prop_map(|name| Address::abstract_name(name).unwrap()),
        Just(Address::UNNAMED),
    ]
}

prop_compose! {
    fn any_question()(
        operation in prop_oneof![
            Just(Operation::Connect), Just(Operation::Bind), any::<usize>().prop_map(|len_bytes| Operation::Send { len_bytes })
        ],
        kind in proptest::option::of(any_kind()),
        address in any_address(),
        subject in prop_oneof![
            Just(Who::CurrentProcess), "[a\n]{0,3}".prop_map(Who::User), any::<u32>().prop_map(Who::Process)
        ],
    ) -> Question {
        Question { operation, kind, address, subject }
    }
}

fn any_other_server() -> impl Strategy<Value = OtherServer> {
    let bound = proptest::option::of(proptest::collection::vec(any_endpoint(), 0..2));
    prop_oneof![
        Just(OtherServer::Nowhere),
        bound.prop_map(|sockets| OtherServer::Bound { path: "/lower/a\nb".into(), sockets }),
        Just(OtherServer::Possible(Doubt::Hidden("/x\n".into()))),
        Just(OtherServer::Possible(Doubt::Shared("fuse.x\n".into()))),
        Just(OtherServer::Possible(Doubt::NoMount)),
    ]
}

prop_compose! {
    fn any_facts()(
        question in any_question(),
        subject in proptest::option::weighted(0.9, any_subject()),
        walk in proptest::option::weighted(0.9, (
            proptest::collection::vec(any_step(), 0..4), proptest::option::of(any_file()), any::<bool>()
        )),
        sockets in proptest::option::weighted(0.8, proptest::collection::vec(any_endpoint(), 0..3)),
        alive: Option<bool>,
        other_server in any_other_server(),
        near in proptest::collection::vec((0..8usize, any_address(), any_endpoint()), 0..3),
        (wmem, somaxconn, queue, protected) in any::<(Option<usize>, Option<u32>, Option<u32>, Option<bool>)>(),
        (modules, label) in (proptest::option::of(Just(vec!["ev\nil".to_owned(), "landlock".to_owned()])), any::<Option<String>>()),
        (seccomp, no_new_privileges) in any::<(Option<bool>, Option<bool>)>(),
        (name, traces) in ("[a\n]{0,3}", any_traces()),
    ) -> Facts {
        let hows = [
            removed(), Nearness::OurView, Nearness::OtherKind, Nearness::OtherNamespace, Nearness::Padded,
            Nearness::Alike, moved(), in_view(),
        ];
        Facts {
            question,
            subject,
            asker_uid: 7,
            asker_rights: AskerRights::default(),
            asker_is_shut_out: false,
            walk: walk.map(|(steps, reached, trailing_slash)| Walk { steps, reached, trailing_slash, space: None }),
            not_responding: None,
            sockets,
            alive,
            other_server,
            near: near.into_iter().map(|(how, address, socket)| Near { how: hows[how].clone(), address, socket }).collect(),
            limits: Limits { wmem_default_bytes: wmem, somaxconn, max_dgram_qlen: queue, protected_symlinks: protected },
            security: Security { modules, label, seccomp, no_new_privileges, ..Security::default() },
            hidden_networks: false,
            names: Names { users: [(0, name.clone())].into(), groups: [(1, name)].into() },
            traces,
        }
    }
}
