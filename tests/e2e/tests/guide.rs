//! Runs the guide: every `console` block under `docs/src` is executed and its output compared.
//!
//! A line `$ command` is typed into one bash session per page, in a fresh directory with the built
//! `stoop` and the examples first in `PATH`; lines `> …` continue the command; the lines below are
//! its output (stdout and stderr together), in which `…` alone stands for any lines and `…` within
//! a line for any text. A fenced block of any other language that opens with `# name.ext` is saved
//! under that name when the session reaches it. A page with `<!-- needs: socat root -->` is
//! skipped, by name, if one of these is missing. Background programs are killed when the page ends;
//! ours start late, so that a session which does not wait for one fails always, not now and then.
//! The guide's own rules are checked here too: links, `SUMMARY.md`, links of kernel facts, a page
//! that needs root says so, and it names the command that builds the examples it runs.
//! `cargo xtask site` checks the programs that are shown.
//! `STOOP_GUIDE=part/of/name` runs only the pages whose name contains it.
//!
//! This file never changes a page, and never runs a block of another language.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use stoop_testkit::{has_program, is_root, public_tempdir, record_skip};

/// How long one page may take, background programs included: a few seconds on an idle machine.
const PAGE_DEADLINE: Duration = Duration::from_secs(240);
/// Pages run side by side: most of their time is spent waiting.
const PAGES_AT_ONCE: usize = 3;
/// How late ours start in the background: longer than what a session types next takes.
const BACKGROUND_DELAY: Duration = Duration::from_millis(300);
/// Printed by the session after each command; no program prints it by chance.
const MARK: char = '\u{1e}';

#[test]
fn every_console_block_in_the_guide_is_true() {
    let only = std::env::var("STOOP_GUIDE").unwrap_or_default();
    let queue: VecDeque<Page> =
        pages().into_iter().filter(|page| page.name.contains(&only) && page.runs_something()).collect();
    assert!(!queue.is_empty(), "no page with a run matches '{only}'");
    let home = public_tempdir();
    install_programs(home.path());

    let (queue, mismatches) = (Mutex::new(queue), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..PAGES_AT_ONCE {
            scope.spawn(|| {
                while let Some(page) = { queue.lock().unwrap().pop_front() } {
                    let found = try_page(&page, home.path());
                    mismatches.lock().unwrap().extend(found);
                }
            });
        }
    });
    let mut mismatches = mismatches.into_inner().unwrap();
    mismatches.sort();
    assert!(mismatches.is_empty(), "{} runs differ:\n\n{}", mismatches.len(), mismatches.join("\n"));
}

#[test]
fn links_and_facts_resolve() {
    let source = guide_source();
    let summary = fs::read_to_string(source.join("SUMMARY.md")).expect("the guide has a table of contents");
    let kernel = fs::read_to_string(source.join("../../KERNEL.md")).expect("the project has a KERNEL.md");
    let mut broken = Vec::new();
    for page in pages() {
        if page.name != "SUMMARY.md" && !summary.contains(&format!("({})", page.name)) {
            broken.push(format!("{}: not in SUMMARY.md", page.name));
        }
        let folder = page.file.parent().expect("a page is in a folder");
        let text = fs::read_to_string(&page.file).expect("readable page");
        for id in unlinked_facts(&text) {
            broken
                .push(format!("{}: '{id}' is not a link: [{id}], and its definition at the end", page.name));
        }
        for (number, line) in (1..).zip(text.lines()) {
            let missing = targets(line).into_iter().filter(|target| !folder.join(target).exists());
            let unknown = facts(line).into_iter().filter(|id| !holds_fact(&kernel, id));
            for what in missing.chain(unknown) {
                broken.push(format!("{}:{number}: '{what}' does not exist", page.name));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_page_says_what_its_sessions_need() {
    let examples: Vec<String> = example_sources().iter().map(|(name, _)| name.clone()).collect();
    let mut findings = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page.file).expect("readable page");
        if page.needs.iter().any(|need| need == "root") && !text.contains("need root") {
            findings.push(format!("{}: needs root, and does not say so", page.name));
        }
        let builds = |name: &str| {
            let option = |words: &str| words.split(' ').any(|word| word == name);
            text.lines().any(|line| line.strip_prefix("cargo build ").is_some_and(option))
        };
        for name in examples.iter().filter(|name| page.starts(name) && !builds(name)) {
            findings.push(format!("{}: runs '{name}', and no line 'cargo build …' builds it", page.name));
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

/// Tests of the matcher itself, so that a page cannot pass by accident.
#[test]
fn the_matcher_distinguishes_lines() {
    let fits = |wanted: &[&str], got: &[&str]| lines_match(wanted, got);
    assert!(fits(&["a", "…", "z"], &["a", "z"]) && fits(&["a", "…", "z"], &["a", "b", "c", "z"]));
    assert!(fits(&["pid … said …"], &["pid 12 said hello"]) && fits(&[], &[]));
    assert!(!fits(&["a"], &["a", "b"]) && !fits(&["a", "b"], &["a"]) && !fits(&[], &["a"]));
    assert!(!fits(&["pid … said no"], &["pid 12 said yes"]) && !fits(&["aa…aa"], &["aaa"]));
}

/// One file of the guide, parsed.
struct Page {
    /// Path below `docs/src`.
    name: String,
    file: PathBuf,
    needs: Vec<String>,
    steps: Vec<Step>,
}

/// One step of a reader who follows a page.
enum Step {
    Save { name: String, text: String },
    Type { line: usize, command: String, wanted: Vec<String> },
}

impl Page {
    fn runs_something(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Type { .. }))
    }

    /// Whether a command of the page begins with this word.
    fn starts(&self, program: &str) -> bool {
        let begins = |command: &str| command.trim_start().split(' ').next() == Some(program);
        self.steps.iter().any(|step| match step {
            Step::Type { command, .. } => command.split(['|', '&', ';', '\n']).any(begins),
            Step::Save { .. } => false,
        })
    }
}

/// All pages of the guide, in the order of their names.
fn pages() -> Vec<Page> {
    let source = guide_source();
    let mut files = Vec::new();
    let mut folders = vec![source.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("readable folder") {
            let path = entry.expect("readable entry").path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(extension) if extension == "md" => files.push(path),
                _ => {}
            }
        }
    }
    files.sort();
    files.iter().map(|file| parse(&source, file)).collect()
}

fn guide_source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src")
}

fn parse(source: &Path, file: &Path) -> Page {
    let name = file.strip_prefix(source).expect("a page of the guide").display().to_string();
    let text = fs::read_to_string(file).expect("readable page");
    let mut page = Page { name, file: file.to_owned(), needs: Vec::new(), steps: Vec::new() };
    let mut lines = (1..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        if let Some(needs) = line.strip_prefix("<!-- needs:").and_then(|rest| rest.strip_suffix("-->")) {
            page.needs.extend(needs.split_whitespace().map(str::to_owned));
        }
        if let Some(language) = line.strip_prefix("```") {
            let block: Vec<_> = lines.by_ref().take_while(|(_, line)| *line != "```").collect();
            match language {
                "console" => page.steps.extend(console(&page.name, number, &block)),
                _ => page.steps.extend(saved(&block)),
            }
        }
    }
    page
}

/// The commands of a console block, each with the output shown below it.
fn console(page: &str, first: usize, block: &[(usize, &str)]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for &(number, text) in block {
        if let Some(typed) = text.strip_prefix("$ ") {
            steps.push(Step::Type { line: number, command: typed.to_owned(), wanted: Vec::new() });
            continue;
        }
        match steps.last_mut() {
            Some(Step::Type { command, wanted, .. }) => match text.strip_prefix("> ") {
                Some(more) if wanted.is_empty() => *command += &format!("\n{more}"),
                _ => wanted.push(text.to_owned()),
            },
            _ => panic!("{page}:{first}: a console block starts with '$ '"),
        }
    }
    steps
}

/// The file a block is saved as, if its first line names one.
fn saved(block: &[(usize, &str)]) -> Option<Step> {
    let name = block.first()?.1.strip_prefix("# ")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    let named = name.contains('.') && name.chars().all(plain);
    let text = block.iter().map(|(_, line)| format!("{line}\n")).collect();
    named.then(|| Step::Save { name: name.to_owned(), text })
}

/// Runs a page unless something it needs is missing; returns what differs.
fn try_page(page: &Page, home: &Path) -> Vec<String> {
    match page.needs.iter().find(|need| !available(need)) {
        Some(need) => {
            let reason = format!("page {} lacks {need}", page.name);
            record_skip("every_console_block_in_the_guide_is_true", &reason);
            Vec::new()
        }
        None => run_page(page, home),
    }
}

fn available(need: &str) -> bool {
    match need {
        "root" => is_root(),
        "capture" => stoop_tap::Tap::start(stoop_tap::CaptureOptions::default()).is_ok(),
        program => has_program(program),
    }
}

/// Runs one page in a session of its own and compares each command's output.
fn run_page(page: &Page, home: &Path) -> Vec<String> {
    let folder = home.join(page.name.replace('/', "-"));
    fs::create_dir(&folder).expect("own folder for the page");
    let (script, output) = (folder.with_extension("sh"), folder.with_extension("out"));
    fs::write(&script, session(page)).expect("script written");
    let finished = play(&script, &output, &folder, home);

    let printed = String::from_utf8_lossy(&fs::read(&output).expect("output kept")).into_owned();
    let mut parts = printed.split(MARK);
    let mut mismatches = Vec::new();
    for step in &page.steps {
        let Step::Type { line, command, wanted } = step else { continue };
        let got: Vec<&str> = parts.next().unwrap_or_default().lines().collect();
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        if !lines_match(&wanted, &got) {
            let place = format!("docs/src/{}:{line}", page.name);
            mismatches.push(format!(
                "{place}: $ {command}\n--- the page says\n{}\n--- it printed\n{}\n",
                wanted.join("\n"),
                got.join("\n")
            ));
        }
    }
    if !finished {
        mismatches.push(format!("docs/src/{}: not done after {PAGE_DEADLINE:?}\n", page.name));
    }
    mismatches
}

/// The bash script of a page: files are written when their turn comes, and `$?` is preserved.
fn session(page: &Page) -> String {
    // What most systems start with; whoever runs the tests may have another.
    let mut script = String::from("umask 022\n");
    for step in &page.steps {
        script += &match step {
            Step::Save { name, text } => format!("cat >'{name}' <<'STOOP_END'\n{text}STOOP_END\n"),
            Step::Type { command, .. } => {
                format!("{command}\n__status=$?; printf '\\036'; (exit $__status)\n")
            }
        };
    }
    script
}

/// Runs the script until it exits or the deadline, then kills its remaining processes.
fn play(script: &Path, output: &Path, folder: &Path, home: &Path) -> bool {
    let shell_path = std::env::var("PATH").unwrap_or_default();
    let log = File::create(output).expect("output file");
    let empty = folder.with_extension("in");
    let empty = File::create(&empty).and_then(|_| File::open(&empty)).expect("an empty input");
    let mut bash = Command::new("bash")
        .arg(script)
        .current_dir(folder)
        .env("PATH", format!("{}:{shell_path}", home.join("bin").display()))
        .env("HOME", folder)
        .envs([("LC_ALL", "C.UTF-8"), ("TERM", "dumb"), ("NO_COLOR", "1"), ("COLUMNS", "100")])
        .env_remove("LISTEN_FDS")
        .env_remove("NOTIFY_SOCKET")
        .stdin(empty)
        .stdout(log.try_clone().expect("second handle"))
        .stderr(log)
        .process_group(0)
        .spawn()
        .expect("bash runs");
    let started = Instant::now();
    let finished = loop {
        if bash.try_wait().expect("own child").is_some() {
            break true;
        }
        if started.elapsed() > PAGE_DEADLINE {
            break false;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let group = format!("kill -KILL -- -{} 2>/dev/null", bash.id());
    let _nothing_left_is_fine = Command::new("bash").arg("-c").arg(group).status();
    bash.wait().expect("own child");
    finished
}

/// Whether the printed lines match the shown ones; `…` alone stands for any number of lines.
fn lines_match(wanted: &[&str], got: &[&str]) -> bool {
    match wanted.split_first() {
        None => got.is_empty(),
        Some((&"…", rest)) => (0..=got.len()).any(|skipped| lines_match(rest, &got[skipped..])),
        Some((first, rest)) => match got.split_first() {
            Some((line, below)) => line_matches(first, line) && lines_match(rest, below),
            None => false,
        },
    }
}

/// Whether one line matches; `…` stands for any text.
fn line_matches(wanted: &str, line: &str) -> bool {
    let Some((head, tail)) = wanted.split_once('…') else { return wanted == line.trim_end() };
    let Some(rest) = line.strip_prefix(head) else { return false };
    let mut ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    ends.any(|at| line_matches(tail, &rest[at..]))
}

/// Puts the built command and the built examples into `home`, where every user can run them, and
/// into its `bin` a script for each of them.
fn install_programs(home: &Path) {
    let (programs, bin) = (home.join("programs"), home.join("bin"));
    for folder in [&programs, &bin] {
        fs::create_dir(folder).expect("own folder for the programs");
    }
    let examples = built_examples();
    let command = (OsStr::new("stoop"), stoop_e2e::binary());
    let examples = examples.iter().map(|path| (path.file_name().expect("a name"), path.as_path()));
    for (name, built) in examples.chain([command]) {
        fs::copy(built, programs.join(name)).expect("the program is copied");
        write_starter(&bin.join(name), &programs.join(name));
    }
}

/// A script that starts a program, late if it runs in the background: there its input is
/// `/dev/null`, which it is nowhere else in a session.
fn write_starter(script: &Path, program: &Path) {
    let late = format!("[ /dev/stdin -ef /dev/null ] && sleep {}", BACKGROUND_DELAY.as_secs_f64());
    let text = format!("#!/bin/sh\n{late}\nexec '{}' \"$@\"\n", program.display());
    fs::write(script, text).expect("the script is written");
    fs::set_permissions(script, fs::Permissions::from_mode(0o755)).expect("it may be run");
}

/// The examples, built. A test run of the workspace has done that; a run of this test alone may not
/// have.
fn built_examples() -> Vec<PathBuf> {
    let test = std::env::current_exe().expect("own path");
    let profile = test.ancestors().nth(2).expect("target/profile/deps/test");
    let directory = |in_package: bool| if in_package { profile.to_owned() } else { profile.join("examples") };
    let sources = example_sources();
    let built: Vec<PathBuf> =
        sources.iter().map(|(name, in_package)| directory(*in_package).join(name)).collect();
    if !built.iter().all(|example| example.exists()) {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args([
            "build",
            "--quiet",
            "--workspace",
            "--examples",
            "--bins",
            "--features",
            "stoop/tracing,stoop-http/axum,stoop-grpc/connector",
        ]);
        cargo.arg("--target-dir").arg(profile.join(".."));
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
        assert!(status.success(), "the examples do not build");
    }
    built
}

/// The names of the examples, and whether they are binaries of a package.
fn example_sources() -> Vec<(String, bool)> {
    let examples = guide_source().join("../../examples");
    let mut found: Vec<(String, bool)> = programs(&examples).map(|name| (name, false)).collect();
    // A directory is a package of its own.
    for package in fs::read_dir(&examples).expect("the project has examples").flatten() {
        found.extend(programs(&package.path().join("src/bin")).map(|name| (name, true)));
    }
    found
}

/// The programs whose sources are in this folder, if it is one.
fn programs(sources: &Path) -> impl Iterator<Item = String> + use<> {
    let sources = fs::read_dir(sources).into_iter().flatten().flatten().map(|source| source.path());
    let files = sources.filter(|path| path.is_file());
    files.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
}

/// Relative files a line links to.
fn targets(line: &str) -> Vec<String> {
    let links = line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let defined = line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target);
    let file = |target: &str| target.split(['#', ':']).next().unwrap_or_default().to_owned();
    links
        .filter(|target| !target.starts_with("http"))
        .chain(defined)
        .map(file)
        .filter(|target| !target.is_empty())
        .collect()
}

/// Kernel facts that the text of a page cites without a link.
fn unlinked_facts(text: &str) -> Vec<String> {
    let mut fenced = false;
    let is_prose = |line: &&str| {
        fenced ^= line.starts_with("```");
        !fenced && !line.starts_with("```")
    };
    let is_linked = |line: &str, id: &String| {
        facts(line).iter().filter(|other| *other == id).count() == line.matches(&format!("[{id}]")).count()
    };
    let prose: Vec<&str> = text.lines().filter(is_prose).collect();
    let cited = prose.iter().flat_map(|line| facts(line).into_iter().map(move |id| (line, id)));
    let defines = |line: &str, id: &str| line.starts_with(&format!("[{id}]: "));
    cited
        .filter(|(line, id)| {
            let is_link = is_linked(line, id) && prose.iter().any(|line| defines(line, id));
            !defines(line, id) && !is_link
        })
        .map(|(_, id)| id)
        .collect()
}

/// Kernel facts a line cites, such as `K-BIND-1`.
fn facts(line: &str) -> Vec<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    line.split(|c| !word(c))
        .filter(|id| id.starts_with("K-") && id.ends_with(|c: char| c.is_ascii_digit()))
        .map(str::to_owned)
        .collect()
}

/// Whether `KERNEL.md` has exactly this id, not merely a longer one.
fn holds_fact(kernel: &str, id: &str) -> bool {
    kernel
        .match_indices(id)
        .any(|(at, _)| !kernel[at + id.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-'))
}
