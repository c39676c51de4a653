//! Notification with a manager of our own: what arrives, from whom, and that nothing leaks or
//! hangs.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use stoop::notify::Notifier;
use stoop::{Address, Allow, Bind, Datagram, ErrorKind};
use stoop_testkit::{Role, deadline, open_descriptors, role, tempdir};

const SOON: Duration = Duration::from_secs(20);

fn manager(address: &Address) -> Datagram {
    Bind::new(address).pass_credentials(true).datagram().unwrap()
}

fn text(manager: &Datagram) -> String {
    String::from_utf8(manager.recv_vec().unwrap().0).unwrap()
}

#[test]
fn a_service_reports_to_a_path_and_to_an_abstract_name() {
    const TEST: &str = "a_service_reports_to_a_path_and_to_an_abstract_name";
    if role().is_some() {
        let notifier = Notifier::from_env().unwrap().expect("a manager");
        notifier.ready().unwrap();
        notifier.status("1 client").unwrap();
        notifier.reloading().unwrap();
        notifier.watchdog().unwrap();
        notifier.main_pid(42).unwrap();
        notifier.extend_timeout(Duration::from_millis(1500)).unwrap();
        return notifier.stopping().unwrap();
    }
    let dir = tempdir();
    let name = format!("stoop-notify-{}", std::process::id());
    let path = dir.path().join("notify");
    let addresses = [
        (Address::path(&path).unwrap(), path.to_str().unwrap().to_owned()),
        (Address::abstract_name(name.clone()).unwrap(), format!("@{name}")),
    ];
    for (address, variable) in addresses {
        let manager = manager(&address);
        let mut child = Role::new(TEST, "service").env("NOTIFY_SOCKET", &variable).spawn();
        let (first, received) = manager.recv_vec_with(Allow::NOTHING).unwrap();
        assert_eq!(first, b"READY=1");
        let sender = received.credentials.expect("the kernel says who sends");
        assert_eq!((sender.pid, sender.uid), (child.id(), rustix::process::getuid().as_raw()));
        assert_eq!(text(&manager), "STATUS=1 client");
        let reloading = text(&manager);
        let microseconds = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&reloading);
        assert!(microseconds.parse::<u64>().unwrap() > 0);
        let rest = ["WATCHDOG=1", "MAINPID=42", "EXTEND_TIMEOUT_USEC=1500000", "STOPPING=1"];
        assert_eq!(rest.map(|_| text(&manager)), rest);
        assert!(child.finish(SOON).success());
    }
}

#[test]
fn without_a_manager_there_is_nothing_to_do() {
    const TEST: &str = "without_a_manager_there_is_nothing_to_do";
    if let Some(part) = role() {
        let found = Notifier::from_env();
        match part.as_str() {
            "empty" => assert!(found.unwrap().is_none()),
            "vsock" => assert_eq!(found.unwrap_err().kind(), ErrorKind::Unsupported),
            _ => assert!(found.unwrap().expect("a manager").ready().unwrap_err().is_not_found()),
        }
        return;
    }
    for (part, value) in [("empty", ""), ("vsock", "vsock:2:1234"), ("gone", "/nowhere/notify")] {
        Role::new(TEST, part).env("NOTIFY_SOCKET", value).run();
    }
}

#[test]
fn descriptors_are_stored_and_none_leaks() {
    const TEST: &str = "descriptors_are_stored_and_none_leaks";
    if role().is_none() {
        return Role::new(TEST, "count").run();
    }
    let dir = tempdir();
    let address = Address::path(dir.path().join("notify")).unwrap();
    let manager = manager(&address);
    let notifier = Notifier::to(&address).unwrap();
    let before = open_descriptors();
    {
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        notifier.store("pipe", &[reader.as_fd(), writer.as_fd()]).unwrap();
        let (message, received) = manager.recv_vec_with(Allow::descriptors(2)).unwrap();
        assert_eq!(message, b"FDSTORE=1\nFDNAME=pipe");
        assert_eq!(received.descriptors.len(), 2);
        writer.write_all(b"x").unwrap();
        reader.read_exact(&mut [0]).unwrap();
        notifier.remove("pipe").unwrap();
        assert_eq!(text(&manager), "FDSTOREREMOVE=1\nFDNAME=pipe");
        let many = vec![reader.as_fd(); 254];
        assert_eq!(notifier.store("many", &many).unwrap_err().kind(), ErrorKind::Unsupported);
    }
    assert_eq!(open_descriptors(), before);
}

#[test]
fn a_barrier_waits_for_the_manager() {
    let dir = tempdir();
    let address = Address::path(dir.path().join("notify")).unwrap();
    let manager = manager(&address);
    let notifier = Notifier::to(&address).unwrap();
    let error = notifier.barrier(Duration::from_millis(50)).unwrap_err();
    assert!(error.is_timed_out(), "{error}");
    manager.recv_vec_with(Allow::descriptors(1)).unwrap();

    notifier.ready().unwrap();
    let waiting = std::thread::spawn(move || notifier.barrier(SOON));
    assert_eq!(text(&manager), "READY=1");
    let (message, received) = manager.recv_vec_with(Allow::descriptors(1)).unwrap();
    assert_eq!((message.as_slice(), received.descriptors.len()), (&b"BARRIER=1"[..], 1));
    drop(received);
    deadline(SOON, move || waiting.join().unwrap()).unwrap();
}

#[test]
fn a_manager_that_hangs_does_not_hang_us() {
    let dir = tempdir();
    let address = Address::path(dir.path().join("notify")).unwrap();
    let _manager = manager(&address);
    let notifier = Notifier::to(&address).unwrap();
    let error = deadline(SOON, move || (0..10_000).find_map(|_| notifier.watchdog().err()));
    let error = error.expect("the queue is full in the end");
    assert!(error.is_timed_out(), "{error}");
}

#[test]
fn a_full_queue_need_not_be_waited_for() {
    let dir = tempdir();
    let address = Address::path(dir.path().join("notify")).unwrap();
    let manager = manager(&address);
    let notifier = Notifier::to(&address).unwrap();
    notifier.set_wait(Duration::ZERO).unwrap();
    // Waiting, these would take more than an hour.
    let refused = deadline(SOON, move || {
        let refused =
            (0..2_000).filter(|_| notifier.ready().is_err_and(|error| error.is_timed_out())).count();
        (text(&manager) == "READY=1").then_some(()).expect("what was sent arrives");
        notifier.ready().unwrap();
        refused
    });
    assert!(refused >= 1_000, "{refused} of 2,000 found the queue full");
}
