//! What a guest reported: how many tests of each package passed, were skipped, and which failed.

use std::collections::BTreeMap;

/// The results of one guest, read line by line from its console.
#[derive(Debug, Default, PartialEq)]
pub struct Report {
    /// `uname -r` and `uname -m`, from the first line.
    pub release: String,
    pub machine: String,
    is_complete: bool,
    pub packages: BTreeMap<String, Results>,
    /// The binary whose tests run.
    running: Option<Running>,
}

/// A binary that has not ended. Of one that never does, nothing is reported.
#[derive(Debug, PartialEq)]
struct Running {
    package: String,
    results: Results,
}

/// The results of the tests of one package.
#[derive(Debug, Default, PartialEq)]
pub struct Results {
    pub passed: u32,
    pub skipped: u32,
    /// The binaries that ran.
    pub binaries: Vec<String>,
    /// Each as `binary::test`, or a binary alone that did not come to its end.
    pub failed: Vec<String>,
}

impl Report {
    /// Reads one line.
    pub fn read(&mut self, line: &str) {
        // The firmware leaves control characters in front of the guest's first line.
        let start = line.find("vm: kernel ").unwrap_or(0);
        let words: Vec<&str> = line[start..].split_whitespace().collect();
        match words[..] {
            ["vm:", "kernel", release, machine] => {
                (self.release, self.machine) = (release.into(), machine.into())
            }
            ["vm:", "run", package, binary] => {
                let results = Results { binaries: vec![binary.into()], ..Results::default() };
                self.running = Some(Running { package: package.into(), results });
            }
            ["vm:", "ended", code, skipped] => {
                if let Some(Running { package, mut results }) = self.running.take() {
                    results.end(code, skipped);
                    self.packages.entry(package).or_default().add(results);
                }
            }
            ["vm:", "done"] => self.is_complete = true,
            _ => {
                if let Some(running) = &mut self.running {
                    running.results.read(&words);
                }
            }
        }
    }

    /// Returns whether the guest came to the end of its script.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Returns the tests that failed, each with its package.
    pub fn failures(&self) -> impl Iterator<Item = String> {
        self.packages.iter().flat_map(|(package, results)| {
            results.failed.iter().map(move |test| format!("{package}: {test}"))
        })
    }
}

impl Results {
    /// Reads one line of the only binary.
    fn read(&mut self, words: &[&str]) {
        match *words {
            // The name may follow other output on its line, and never a test's own.
            [.., "test", name, "...", "FAILED"] => self.failed.push(format!("{}::{name}", self.binaries[0])),
            ["test", "result:", _, passed, "passed;", ..] => self.passed += passed.parse().unwrap_or(0),
            _ => {}
        }
    }

    /// Reads how the only binary ended.
    fn end(&mut self, code: &str, skipped: &str) {
        // A test that skips is among those that passed.
        self.skipped = skipped.parse().unwrap_or(0);
        self.passed = self.passed.saturating_sub(self.skipped);
        let is_explained = code == "0" || code == "101";
        if !is_explained {
            self.failed.push(self.binaries[0].clone());
        }
    }

    fn add(&mut self, other: Results) {
        self.passed += other.passed;
        self.skipped += other.skipped;
        self.binaries.extend(other.binaries);
        self.failed.extend(other.failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(console: &str) -> Report {
        let mut report = Report::default();
        console.lines().for_each(|line| report.read(line));
        report
    }

    #[test]
    fn results_are_summed_by_package() {
        let report = report(
            "\u{1b}c\u{1b}[?7l\u{1b}[2Jvm: kernel 6.1.0 aarch64\nvm: run stoop bind\ntest a ... ok\ntest b ... FAILED\nSKIP c: lacks x\n\
             test result: FAILED. 2 passed; 1 failed; 0 ignored\nvm: ended 101 1\n\
             vm: run stoop paths\ntest result: ok. 5 passed; 0 failed\nvm: ended 0 0\n\
             vm: run other x\nvm: ended 124 0\nvm: done",
        );
        assert!(report.is_complete());
        let binaries = vec!["bind".into(), "paths".into()];
        let stoop = Results { passed: 6, skipped: 1, binaries, failed: vec!["bind::b".into()] };
        assert_eq!(report.packages["stoop"], stoop);
        assert_eq!(report.failures().collect::<Vec<_>>(), ["other: x", "stoop: bind::b"]);
        assert_eq!((report.release.as_str(), report.machine.as_str()), ("6.1.0", "aarch64"));
    }

    #[test]
    fn of_a_guest_that_stops_early_the_binaries_that_ended_are_reported() {
        let report = report(
            "vm: kernel 6.1.0 aarch64\nvm: run stoop bind\ntest result: ok. 1 passed; 0 failed\nvm: ended 0 0\n\
             vm: run stoop paths\ntest a ... ok",
        );
        assert!(!report.is_complete());
        assert_eq!(report.packages["stoop"].binaries, ["bind"]);
    }
}
