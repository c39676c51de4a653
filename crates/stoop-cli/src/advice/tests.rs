//! The wording of each advice: exact commands, quoted.

use stoop::Address;
use stoop_inspect::internal::facts::Unit;
use stoop_inspect::internal::{FileFlag, FrozenGroup, ModeClass, Permission, Program, Renewal, Tracer};
use stoop_inspect::{Workload, endpoints};

use super::*;

fn at(address: &str) -> Site {
    Site { address: Address::parse(address).unwrap(), netns_of: None, kind: None, as_root: false }
}

#[test]
fn commands_run_where_the_address_is() {
    let server = |at, in_view_of| command(&Action::StartServer { at, in_view_of });
    assert_eq!(
        server(at("/proc/9/root/run/app.sock"), Some(9)),
        "stoop serve /proc/9/root/run/app.sock    # start one in the view of process 9"
    );
    let inside = Site { netns_of: Some(9), ..at("@app") };
    assert_eq!(server(inside.clone(), None), "nsenter --target 9 --net stoop serve @app    # start one");
    let as_root = Site { as_root: true, ..inside };
    assert_eq!(
        command(&Action::Connect { at: as_root, kind: None }),
        "sudo nsenter --target 9 --net stoop connect @app"
    );
    assert_eq!(
        command(&Action::ReplaceStale(Site { as_root: true, ..at("/a b") })),
        "sudo stoop serve '/a b'    # replaces a stale socket safely"
    );
}

#[test]
fn root_is_used_only_if_required() {
    for (as_root, sudo) in [(false, ""), (true, "sudo ")] {
        let create = |owner: Option<&str>| {
            command(&Action::CreateDirectory { path: "/run/a".into(), owner: owner.map(Into::into), as_root })
        };
        assert_eq!(create(None), format!("{sudo}mkdir -p /run/a"));
        assert_eq!(
            create(Some("alice")),
            format!("{sudo}install -d -o alice -m 0755 /run/a    # owned by the user who binds")
        );
        let units = Program::Units { names: vec!["a.socket".into(), "a b.service".into()], of_user: false };
        let restart = Action::Restart { program: units, renewal: Renewal::SocketFile, as_root };
        assert_eq!(
            command(&restart),
            format!("{sudo}systemctl restart a.socket 'a b.service'    # creates a new socket file")
        );
        assert_eq!(
            command(&Action::Resume { pid: 12, as_root }),
            format!("{sudo}kill -CONT 12    # it was stopped by a signal")
        );
    }
}

#[test]
fn permissions_are_granted_to_whom_they_are_for() {
    let mode = |class, permission| {
        let (path, group) = ("/run/x".into(), "app".into());
        command(&Action::ChangeMode { path, class, permission, group, as_root: false })
    };
    assert_eq!(mode(ModeClass::Owner, Permission::Write), "chmod u+w /run/x");
    assert_eq!(mode(ModeClass::Group, Permission::Search), "chmod g+x /run/x    # for all members of app");
    assert_eq!(
        mode(ModeClass::Other, Permission::Search),
        "chmod o+x /run/x    # lets all users search it, and reach what is in it"
    );
    let (user, group) = ("alice".to_owned(), "web team".to_owned());
    let join = Action::JoinGroup { user: user.clone(), group, is_root: false, as_root: false };
    assert_eq!(
        command(&join),
        "usermod -aG 'web team' alice    # from the next login on; the group has the permission"
    );
    let entry = Action::AddAclEntry { path: "/s".into(), user, permissions: "rw", as_root: true };
    assert_eq!(command(&entry), "sudo setfacl -m u:alice:rw /s    # for that user only");
}

#[test]
fn a_client_is_worded_by_the_command_that_runs() {
    let send = |client: &Client| {
        format!("stoop send {}{} hello{}", client.address, client.flags(), client.comment())
    };
    let wait = Action::WaitForServer { at: at("/s"), is_bound: false };
    assert_eq!(command(&wait), "stoop connect /s --wait 10s    # or wait until one starts");
    assert_eq!(command_with(&wait, &send), "stoop send /s --wait 10s hello    # or wait until one starts");
    let kind = Action::Connect { at: at("/s"), kind: Some(Kind::Datagram) };
    assert_eq!(command_with(&kind, &send), "stoop send /s --kind dgram hello");
    let start = Action::StartServer { at: at("/s"), in_view_of: None };
    assert_eq!(command_with(&start, &send), command(&start));
    let away = Action::Connect { at: Site { netns_of: Some(9), ..at("@s") }, kind: None };
    assert_eq!(command_with(&away, &send), "nsenter --target 9 --net stoop connect @s");
}

#[test]
fn services_have_clients_of_their_own() {
    let client = |path: &str| {
        let address = Address::path(path).unwrap();
        let service = endpoints::recognise(&address).unwrap();
        command(&Action::UseService { service, address })
    };
    for (path, expected) in [
        ("/run/docker.sock", "stoop http docker /version"),
        ("/run/user/7/podman/podman.sock", "stoop http podman /version"),
        ("/run/containerd/containerd.sock", "stoop grpc containerd list"),
        ("/run/containerd/containerd.sock.ttrpc", "stoop grpc /run/containerd/containerd.sock.ttrpc list"),
        ("/run/snapd.socket", "stoop http snapd /v2/system-info"),
        ("/tmp/.s.PGSQL.5432", "stoop wait postgres --healthy --timeout 0"),
        ("/run/dbus/system_bus_socket", "stoop why dbus"),
        ("/run/crio/crio.sock", "stoop grpc cri Version"),
        ("/var/run/cri-dockerd.sock", "stoop grpc cri Version"),
    ] {
        assert_eq!(client(path), format!("{expected}    # finds it as its own clients do"));
    }
}

#[test]
fn the_subject_of_a_prediction_is_kept() {
    let address = at("/s").address;
    let question =
        |subject| Question { operation: Operation::Connect, kind: None, address: address.clone(), subject };
    let ask = |subject| command(&Action::PredictAsRoot(Box::new(question(subject))));
    assert_eq!(ask(Who::User("a b".into())), "sudo stoop why /s --as 'a b'    # root sees more");
    assert_eq!(ask(Who::Process(7)), "sudo stoop why /s --pid 7    # root sees more");
}

#[test]
fn a_question_is_repeated_as_a_whole() {
    let question = Question {
        operation: Operation::Send { len_bytes: 9 },
        kind: Some(Kind::Datagram),
        address: at("/s").address,
        subject: Who::User("7".into()),
    };
    let expected = "sudo stoop why /s --op send --size 9 --kind dgram --as 7    # root sees more";
    assert_eq!(command(&Action::PredictAsRoot(Box::new(question))), expected);
}

#[test]
fn servers_and_clients_are_of_the_kind_asked_for() {
    let datagram = Site { kind: Some(Kind::Datagram), ..at("/s") };
    let start = Action::StartServer { at: datagram.clone(), in_view_of: None };
    assert_eq!(command(&start), "stoop serve /s --kind dgram    # start one");
    let wait = Action::WaitForOwner { at: datagram, program: Some("x.service".into()), exhausted: None };
    assert_eq!(
        command(&wait),
        "stoop connect /s --kind dgram --wait 10s    # waits; meanwhile start x.service"
    );
}

/// Pasted into a shell, a sentence does nothing.
#[test]
fn what_no_command_does_is_a_comment() {
    let process = Program::Process { pid: 1, command: "x\n".into() };
    for action in [
        Action::Restart { program: process, renewal: Renewal::SocketFile, as_root: true },
        Action::StartOwner { program: None },
        Action::StartOwner { program: Some("a\nb".into()) },
        Action::AllowGroup(at("/s")),
        Action::ChangeBeneathMount("/a\nb".into()),
        Action::AddName("/a\nb".into()),
        Action::AllowOthers("/a\nb".into()),
        Action::MountFileSystemAgain("/a\nb".into()),
        Action::UseDirectoryOf("alice".into()),
    ] {
        let text = command(&action);
        assert!(text.starts_with("# ") && !text.contains('\n'), "{text}");
    }
    let signal = Program::Signal { pid: 7, signal: "USR1", name: "tmux" };
    let restart = Action::Restart { program: signal, renewal: Renewal::SocketFile, as_root: false };
    assert!(command(&restart).starts_with("kill -USR1 7    # tmux creates"));
}

#[test]
fn another_user_is_asked_by_name_or_number() {
    let question = Question {
        operation: Operation::Bind,
        kind: None,
        address: at("/m/s").address,
        subject: Who::CurrentProcess,
    };
    let ask =
        |user: &str| command(&Action::PredictAs { user: user.into(), question: Box::new(question.clone()) });
    let comment = "    # as the only user of that mount";
    assert_eq!(ask("alice"), format!("sudo -u alice stoop why /m/s --op bind{comment}"));
    assert_eq!(ask("4001"), format!("sudo -u '#4001' stoop why /m/s --op bind{comment}"));
}

#[test]
fn a_file_is_found_by_its_inode() {
    let find = Action::FindFile { mount: "/a b".into(), inode: 7, as_root: true };
    assert_eq!(command(&find), "sudo find '/a b' -xdev -inum 7 -type s    # its path now");
    let clear = |flag| command(&Action::ClearFlag { path: "/d".into(), flag, as_root: false });
    assert_eq!(
        (clear(FileFlag::Immutable), clear(FileFlag::AppendOnly)),
        ("chattr -i /d".into(), "chattr -a /d".into())
    );
}

/// Without a service manager, a command of one is only an example.
#[test]
fn a_unit_is_started_where_a_manager_runs() {
    let service = endpoints::recognise(&Address::path("/run/docker.sock").unwrap()).unwrap();
    let start =
        |is_managed, as_root| command(&Action::StartUnit { service, of_user: false, is_managed, as_root });
    assert!(start(true, false).starts_with("systemctl start docker.service    # "));
    assert!(start(true, true).starts_with("sudo systemctl start docker.service    # "));
    assert!(start(false, false).starts_with("# start the Docker daemon: with a service manager, "));
    let unit = Unit { name: "a b.socket".into(), of_user: true };
    let named = command(&Action::StartNamedUnit { unit, as_root: false });
    assert_eq!(named, "systemctl --user start 'a b.socket'    # the unit that the socket belongs to");
}

#[test]
fn a_group_is_thawed_by_what_froze_it() {
    let thaw = |cgroup: &str, file: &str, as_root| {
        let switch = format!("/sys/fs/cgroup{cgroup}/{file}").into();
        let workload = Workload::from_cgroup(format!("0::{cgroup}\n").as_bytes());
        let words = command(&Action::Thaw { group: FrozenGroup { switch, workload }, as_root });
        words.split("    #").next().unwrap().to_owned()
    };
    let id = "0123456789abcdef".repeat(4);
    let docker = format!("/system.slice/docker-{id}.scope");
    assert_eq!(thaw(&docker, "cgroup.freeze", true), format!("sudo docker unpause {id}"));
    assert_eq!(thaw("/system.slice/app.service", "cgroup.freeze", false), "systemctl thaw app.service");
    assert_eq!(thaw("/a", "cgroup.freeze", false), "echo 0 > /sys/fs/cgroup/a/cgroup.freeze");
    assert_eq!(
        thaw("/a b", "freezer.state", true),
        "echo THAWED | sudo tee '/sys/fs/cgroup/a b/freezer.state'"
    );
}

#[test]
fn no_tracer_is_ended() {
    let detach = |is_parent| {
        let tracer = Tracer { pid: 9, command: "gdb".into(), uid: Some(0), is_parent };
        command(&Action::Detach { pid: 12, tracer })
    };
    assert!(detach(false).starts_with("# detach gdb, process 9, from process 12"));
    assert!(detach(false).ends_with("; ending gdb may end process 12, too"));
    assert!(detach(true).starts_with("# continue process 12 in gdb, process 9, which started it; "));
}

#[test]
fn a_limit_is_raised_without_lowering_the_other() {
    let raise =
        |to, is_beyond_hard| command(&Action::RaiseLimitOf { pid: 12, to, is_beyond_hard, as_root: false });
    assert!(raise(40, false).starts_with("prlimit --pid 12 --nofile=40:    # "));
    assert!(raise(40, true).starts_with("prlimit --pid 12 --nofile=40:40    # "));
    assert!(!raise(1024, false).contains("select") && raise(2048, false).contains("select"));
}

#[test]
fn clients_are_those_of_the_operation() {
    let at = Site { address: Address::path("/run/new").unwrap(), netns_of: None, kind: None, as_root: false };
    let advice = [Action::Connect { at, kind: Some(Kind::Datagram) }];
    let send = Operation::Send { len_bytes: 1 };
    assert_eq!(commands(send, &advice), ["stoop send /run/new --kind dgram"]);
    assert_eq!(commands(Operation::Connect, &advice), ["stoop connect /run/new --kind dgram"]);
}

#[test]
fn a_mount_is_shown_as_its_process_sees_it() {
    let show = |path: &str| command(&Action::ShowMount(path.into()));
    assert!(show("/run/app").starts_with("findmnt -T /run/app  "));
    assert!(show("/proc/12/root/run/app").starts_with("findmnt -N 12 -T /run/app  "));
    assert!(show("/proc/12/cwd/app").starts_with("findmnt -T /proc/12/cwd/app  "));
}
