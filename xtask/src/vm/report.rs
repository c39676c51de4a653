//! What a guest reported: how many tests of each package passed, were skipped, and which failed.

use std::collections::BTreeMap;

/// The results of one guest, read line by line from its console.
#[derive(Debug, Default, PartialEq)]
pub struct Report {
    /// `uname -r` and `uname -m`, from the last line.
    pub release: String,
    pub machine: String,
    pub packages: BTreeMap<String, Results>,
    /// The package and the name of the binary whose tests run.
    running: Option<(String, String)>,
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
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["vm:", "run", package, binary] => {
                self.running = Some((package.into(), binary.into()));
                self.packages.entry(package.into()).or_default().binaries.push(binary.into());
            }
            ["vm:", "done", release, machine] => {
                (self.release, self.machine) = (release.into(), machine.into())
            }
            _ => {
                if let Some((package, binary)) = self.running.clone() {
                    self.packages.entry(package).or_default().read(&binary, &words);
                }
            }
        }
    }

    /// Returns whether the guest came to the end of its script.
    pub fn is_complete(&self) -> bool {
        !self.release.is_empty()
    }

    /// Returns the tests that failed, each with its package.
    pub fn failures(&self) -> impl Iterator<Item = String> {
        self.packages.iter().flat_map(|(package, results)| {
            results.failed.iter().map(move |test| format!("{package}: {test}"))
        })
    }
}

impl Results {
    fn read(&mut self, binary: &str, words: &[&str]) {
        match *words {
            // The name may follow other output on its line, and never a test's own.
            [.., "test", name, "...", "FAILED"] => self.failed.push(format!("{binary}::{name}")),
            ["test", "result:", _, passed, "passed;", ..] => self.passed += passed.parse().unwrap_or(0),
            ["vm:", "ended", code, skipped] => {
                let skipped: u32 = skipped.parse().unwrap_or(0);
                // A test that skips is among those that passed.
                self.skipped += skipped;
                self.passed = self.passed.saturating_sub(skipped);
                let is_explained = code == "0" || code == "101";
                if !is_explained {
                    self.failed.push(binary.to_owned());
                }
            }
            _ => {}
        }
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
            "vm: run stoop bind\ntest a ... ok\ntest b ... FAILED\nSKIP c: lacks x\n\
             test result: FAILED. 2 passed; 1 failed; 0 ignored\nvm: ended 101 1\n\
             vm: run stoop paths\ntest result: ok. 5 passed; 0 failed\nvm: ended 0 0\n\
             vm: run other x\nvm: ended 124 0\nvm: done 6.1.0 aarch64",
        );
        assert!(report.is_complete());
        let binaries = vec!["bind".into(), "paths".into()];
        let stoop = Results { passed: 6, skipped: 1, binaries, failed: vec!["bind::b".into()] };
        assert_eq!(report.packages["stoop"], stoop);
        assert_eq!(report.failures().collect::<Vec<_>>(), ["other: x", "stoop: bind::b"]);
        assert_eq!((report.release.as_str(), report.machine.as_str()), ("6.1.0", "aarch64"));
    }

    #[test]
    fn a_guest_that_stops_early_is_not_complete() {
        assert!(!report("vm: run stoop bind\ntest a ... ok").is_complete());
    }
}
