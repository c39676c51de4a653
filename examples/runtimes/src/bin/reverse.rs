//! A runtime that reverses texts.

fn main() -> std::process::ExitCode {
    runtimes::run("reverse", |text| text.chars().rev().collect())
}
