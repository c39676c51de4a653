//! A runtime that begins at the end.

fn main() -> std::process::ExitCode {
    runtimes::run("reverse", |text| text.chars().rev().collect())
}
