//! `stoop demo`, `stoop man` and `stoop completions`, as a new user runs them.

use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::pipe::fcntl_setpipe_size;
use rustix::process::{Pid, Signal, kill_process};
use stoop_e2e::{program, stoop, stoop_as, verbs};
use stoop_testkit::{KillOnDrop, NOBODY, has_program, is_root, skip, spawn, tempdir};

/// Every check passes, it leaves nothing behind, and it prints no colour to a file.
#[track_caller]
fn plays(run: stoop_e2e::Run, directory: &std::path::Path) {
    let output = run.env("TMPDIR", directory).run().ok();
    let text = output.text();
    assert!(text.contains(" checks passed, in ") && !text.contains("   NO  "), "{text}");
    assert!(text.matches("   ok  ").count() >= 20 && text.matches("try it: ").count() == 10, "{text}");
    assert!(text.contains(": 0 refused, 0 without a reply"), "{text}");
    assert!(text.chars().all(|c| !c.is_control() || c == '\n'), "control characters in {text:?}");
    assert_eq!(output.stderr, "");
    assert_eq!(fs::read_dir(directory).unwrap().count(), 0, "left behind in {}", directory.display());
}

#[test]
fn every_check_of_the_demo_passes() {
    let dir = stoop_testkit::public_tempdir();
    plays(stoop(["demo"]), dir.path());
}

/// A person who has seen enough presses Ctrl-C.
#[test]
fn an_interrupted_demo_leaves_nothing_behind() {
    for (signal, number) in [(Signal::INT, 2), (Signal::TERM, 15)] {
        let dir = stoop_testkit::public_tempdir();
        // The demo prints more than this pipe holds and so waits, in whatever step, for its reader.
        let (mut reader, writer) = std::io::pipe().unwrap();
        fcntl_setpipe_size(&writer, 4096).unwrap();
        let mut command = Command::new(stoop_e2e::binary());
        command.arg("demo").env("TMPDIR", dir.path()).stdin(Stdio::null()).stdout(writer);
        let mut demo = KillOnDrop(spawn(&mut command).unwrap());
        drop(command); // or the pipe would not end
        reader.read_exact(&mut [0; 100]).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "its directory");

        kill_process(Pid::from_child(&demo.0), signal).unwrap();
        let status = demo.finish(Duration::from_secs(60));
        assert_eq!(status.signal(), Some(number), "{status}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "left behind in {}", dir.path().display());
    }
}

#[test]
fn the_demo_reports_its_checks_as_json() {
    let dir = stoop_testkit::public_tempdir();
    let lines = stoop(["demo", "--json"]).env("TMPDIR", dir.path()).run().ok().json();
    let (summary, checks) = lines.split_last().unwrap();
    assert!(checks.iter().all(|check| check["event"] == "check" && check["passed"] == true), "{checks:?}");
    assert_eq!((&summary["event"], &summary["passed"]), (&"summary".into(), &checks.len().into()));
}

#[test]
fn the_demo_runs_as_an_ordinary_user() {
    if !is_root() {
        skip!("lacks root");
    }
    let dir = stoop_testkit::public_tempdir();
    plays(stoop_as(NOBODY, ["demo"]), dir.path());
}

/// Colour is for terminals that support it.
#[test]
fn the_demo_is_coloured_on_a_terminal_only() {
    if !has_program("script") {
        skip!("lacks script");
    }
    let command = format!("'{}' demo", stoop_e2e::binary().display());
    let shown = |run: stoop_e2e::Run| run.run().ok().text();
    let terminal = || program("script", ["-qec", &command, "/dev/null"]);
    assert!(shown(terminal()).contains("\u{1b}[32mok"));
    assert!(!shown(terminal().env("NO_COLOR", "1")).contains('\u{1b}'));
}

#[test]
fn every_verb_has_its_manual_page() {
    let dir = tempdir();
    let directory = dir.path().join("man1");
    stoop(["man", "--dir", directory.to_str().unwrap()]).run().ok().stdout_is(b"");
    let mut pages: Vec<_> = fs::read_dir(&directory)
        .unwrap()
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    let verbs = verbs();
    let mut expected: Vec<_> = verbs.iter().map(|verb| format!("stoop-{verb}.1")).collect();
    expected.push("stoop.1".into());
    expected.sort();
    assert_eq!(pages, expected);
    for verb in &verbs {
        let page = stoop(["man", verb]).run().ok();
        assert_eq!(page.stdout, fs::read(directory.join(format!("stoop-{verb}.1"))).unwrap());
        assert!(page.text().contains(".SH OPTIONS"), "{verb}");
    }
    let whole = stoop(["man"]).run().ok().text();
    assert!(verbs.iter().all(|verb| whole.contains(&format!("stoop\\-{verb}"))), "{whole}");
}

#[test]
fn completion_scripts_are_valid() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stoop(["completions", shell]).run().ok();
        // The first three ask the command for flags.
        let known = if ["elvish", "powershell"].contains(&shell) { "allow-uid" } else { "stoop complete " };
        assert!(script.text().contains("stoop") && script.text().contains(known), "{shell}");
        if shell != "powershell" && has_program(shell) {
            program(shell, ["-n", "/dev/stdin"]).input(script.stdout).run().ok();
        }
    }
}

/// Both formatters of manual pages accept every page as it is.
#[test]
fn pages_are_rendered_without_warnings() {
    if !has_program("man") {
        skip!("lacks man");
    }
    let dir = tempdir();
    stoop(["man", "--dir"]).arg(dir.path()).run().ok();
    for verb in std::iter::once(None).chain(verbs().into_iter().map(Some)) {
        let page = dir.path().join(verb.map_or("stoop.1".into(), |verb| format!("stoop-{verb}.1")));
        let shown = program("man", ["--warnings=w", "-l"]).arg(&page).run().ok();
        assert_eq!(shown.stderr, "", "{}", page.display());
        for section in ["SYNOPSIS", "EXAMPLES", "EXIT STATUS", "ENVIRONMENT", "SEE ALSO"] {
            assert!(shown.text().lines().any(|line| line == section), "{}: {section}", page.display());
        }
        if has_program("mandoc") {
            let checked = program("mandoc", ["-T", "lint", "-W", "warning"]).arg(&page).run();
            // Pages have no date, so that the same source gives the same pages.
            let found: Vec<_> = checked
                .text()
                .lines()
                .filter(|line| !line.contains("missing date"))
                .map(str::to_owned)
                .collect();
            assert!(found.is_empty(), "{found:#?}");
        }
    }
}
