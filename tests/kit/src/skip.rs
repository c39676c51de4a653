//! Skips that are recorded, so that "all green" never hides "hardly anything ran".

use std::fs::OpenOptions;
use std::io::Write;

/// Leaves the current test and prints what was missing.
///
/// Prints `SKIP <test>: <reason>` on stderr, appends the same line to the file that the environment
/// variable `STOOP_SKIPS` names (if it is set), and returns from the enclosing function, which must
/// return `()`.
///
/// ```no_run
/// fn talks_to_socat() {
///     if !stoop_testkit::has_program("socat") {
///         stoop_testkit::skip!("lacks socat");
///     }
/// }
/// talks_to_socat();
/// ```
#[macro_export]
macro_rules! skip {
    ($($reason:tt)+) => {{
        fn here() {}
        $crate::record_skip(::std::any::type_name_of_val(&here), &::std::format!($($reason)+));
        return;
    }};
}

/// Records one skip. Called by [`skip!`] with the path of a function inside the test.
pub fn record_skip(inside: &str, reason: &str) {
    // What a program said may have several lines; a record is one.
    let reason: Vec<&str> = reason.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let line = format!("SKIP {}: {}\n", test_name(inside), reason.join("; "));
    eprint!("{line}");
    if let Some(file) = std::env::var_os("STOOP_SKIPS") {
        let opened = OpenOptions::new().append(true).create(true).open(&file);
        // One write, so that lines of parallel tests do not mix.
        if let Err(error) = opened.and_then(|mut record| record.write_all(line.as_bytes())) {
            panic!("cannot write the skip to {}: {error}", file.display());
        }
    }
}

/// Turns `crate::module::test::here` and `crate::test::{{closure}}::here` into the path of the
/// test.
fn test_name(inside: &str) -> String {
    let parts = inside.split("::").filter(|part| *part != "{{closure}}" && *part != "here");
    parts.collect::<Vec<_>>().join("::")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Role, role, tempdir};
    use std::fs;

    #[test]
    fn the_name_is_the_path_of_the_test() {
        assert_eq!(test_name("connect::refuses::here"), "connect::refuses");
        assert_eq!(test_name("connect::refuses::{{closure}}::here"), "connect::refuses");
    }

    #[test]
    fn a_skip_returns_and_is_recorded() {
        const TEST: &str = "skip::tests::a_skip_returns_and_is_recorded";
        if role().is_some() {
            skip!("lacks nothing, {}", "a test of skipping:\n  said so\n");
        }
        let dir = tempdir();
        let record = dir.path().join("skips");
        Role::new(TEST, "skip").env("STOOP_SKIPS", record.to_str().unwrap()).run();
        let expected = format!("SKIP stoop_testkit::{TEST}: lacks nothing, a test of skipping:; said so\n");
        assert_eq!(fs::read_to_string(record).unwrap(), expected);
    }
}
