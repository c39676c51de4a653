//! Privileges that loading the program requires, and what is reported to be missing without them.

use std::process::Command;
use std::thread;

use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use stoop_bpf::{Capability, Capture, CaptureOptions, Missing, Support, TaskFiles, Unavailable, probe};
use stoop_kernel_facts::{Errno, forbid_call, in_child, libc, unshare};
use stoop_testkit::{NOBODY, Role, is_root, role, skip};

/// Skips the test if root cannot load the program either.
macro_rules! needs_the_iterator {
    () => {
        if !is_root() {
            skip!("lacks root");
        }
        match probe() {
            Support::Yes => {}
            Support::No(missing) => skip!("lacks the iterator: {missing}"),
            Support::Unknown(cause) => skip!("lacks the iterator: {cause}"),
        }
    };
}

/// Returns the result of loading on a thread that has only these capabilities.
fn with_capabilities(effective: CapabilitySet) -> Result<(), Unavailable> {
    let load = move || {
        let sets = CapabilitySets { effective, permitted: effective, inheritable: CapabilitySet::empty() };
        set_capabilities(None, sets).unwrap();
        TaskFiles::load().map(drop)
    };
    thread::spawn(load).join().unwrap()
}

/// K-BPF-4
#[test]
fn loading_takes_two_capabilities_or_one() {
    needs_the_iterator!();
    let (bpf, perfmon) = (CapabilitySet::BPF, CapabilitySet::PERFMON);
    assert!(with_capabilities(bpf | perfmon).is_ok());
    assert!(with_capabilities(CapabilitySet::SYS_ADMIN).is_ok());
    let missing = |has| match with_capabilities(has) {
        Err(Unavailable::No(Missing::Capabilities(missing))) => missing,
        other => panic!("{other:?}"),
    };
    assert_eq!(missing(bpf), [Capability::Perfmon]);
    assert_eq!(missing(perfmon), [Capability::Bpf]);
    assert_eq!(missing(CapabilitySet::DAC_OVERRIDE), [Capability::Bpf, Capability::Perfmon]);
}

/// K-BPF-4
#[test]
fn an_ordinary_user_is_told_what_is_missing() {
    const TEST: &str = "an_ordinary_user_is_told_what_is_missing";
    if role().is_some() {
        let Support::No(missing) = probe() else { panic!("{:?}", probe()) };
        assert_eq!(missing, Missing::Capabilities(vec![Capability::Bpf, Capability::Perfmon]));
        assert_eq!(
            missing.to_string(),
            "CAP_BPF and CAP_PERFMON missing (CAP_SYS_ADMIN is sufficient as well)"
        );
        return;
    }
    if !is_root() {
        skip!("lacks root");
    }
    Role::new(TEST, "nobody").user(NOBODY, NOBODY).run();
}

/// Returns what is missing in a forked process after `work`, as an exit code, because only an
/// integer can be returned from there.
fn code_after(work: impl FnOnce() -> Result<(), Errno>) -> i32 {
    match work().map(|()| probe()) {
        Err(_) => 2,
        Ok(Support::No(Missing::UserNamespace)) => 3,
        Ok(Support::No(Missing::PidNamespace)) => 4,
        Ok(_) => 5,
    }
}

/// K-BPF-6
#[test]
fn the_capabilities_of_a_user_namespace_do_not_count() {
    needs_the_iterator!();
    match in_child(|| code_after(|| unshare(libc::CLONE_NEWUSER))).1.code() {
        Some(2) => skip!("lacks user namespaces"),
        code => assert_eq!(code, Some(3)),
    }
}

/// K-BPF-6
#[test]
fn numbers_of_another_pid_namespace_are_not_told() {
    needs_the_iterator!();
    let first_of_its_own = || match unshare(libc::CLONE_NEWPID) {
        Ok(()) => in_child(|| code_after(|| Ok(()))).1.code().unwrap_or(1),
        Err(_) => 2,
    };
    match in_child(first_of_its_own).1.code() {
        Some(2) => skip!("lacks pid namespaces"),
        code => assert_eq!(code, Some(4)),
    }
}

#[test]
fn a_filter_for_system_calls_is_named_as_what_may_refuse() {
    needs_the_iterator!();
    let said = |errno| {
        let filtered = move || {
            forbid_call(libc::SYS_bpf, errno);
            probe()
        };
        thread::spawn(filtered).join().unwrap()
    };
    match said(Errno::PERM) {
        Support::Unknown(cause) => assert!(cause.to_string().contains("(seccomp)"), "{cause}"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(said(Errno::NOSYS), Support::No(Missing::Call)));
}

/// Returns what a capture lacks on a thread that has been through `work`; skips the test if root
/// cannot capture either.
macro_rules! capture_after {
    ($work:expr) => {{
        needs_the_iterator!();
        let capture = || Capture::load(CaptureOptions::default()).map(drop);
        if let Err(missing) = capture() {
            skip!("lacks the capture programs: {missing}");
        }
        thread::spawn(move || {
            $work;
            capture()
        })
        .join()
        .unwrap()
    }};
}

/// K-BPF-4
#[test]
fn a_capture_in_a_container_names_the_capabilities_that_it_lacks() {
    // What a container has by default, as far as it could matter, and its filter.
    let effective = CapabilitySet::CHOWN | CapabilitySet::DAC_OVERRIDE | CapabilitySet::SETUID;
    let sets = CapabilitySets { effective, permitted: effective, inheritable: CapabilitySet::empty() };
    let result = capture_after!({
        forbid_call(libc::SYS_bpf, Errno::PERM);
        forbid_call(libc::SYS_perf_event_open, Errno::PERM);
        set_capabilities(None, sets).unwrap();
    });
    match result {
        Err(Unavailable::No(Missing::Capabilities(missing))) => {
            assert_eq!(missing, [Capability::Bpf, Capability::Perfmon]);
        }
        other => panic!("{other:?}"),
    }
}

/// With all capabilities, a refusal is not put down to a lack of them.
#[test]
fn a_filter_for_buffers_is_named_as_what_may_refuse() {
    match capture_after!(forbid_call(libc::SYS_perf_event_open, Errno::PERM)) {
        Err(Unavailable::Unknown(cause)) => assert!(cause.to_string().contains("(seccomp)"), "{cause}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_kernel_without_type_information_is_named() {
    let result = capture_after!({
        unshare(libc::CLONE_NEWNS).unwrap();
        let mount = |args: &[&str]| assert!(Command::new("mount").args(args).status().unwrap().success());
        mount(&["--make-rprivate", "/"]);
        mount(&["-t", "tmpfs", "none", "/sys/kernel/btf"]);
    });
    assert!(matches!(result, Err(Unavailable::No(Missing::TypeInformation))), "{result:?}");
}
