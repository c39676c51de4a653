//! A runtime that speaks up.

fn main() -> std::process::ExitCode {
    runtimes::run("upper", |text| text.to_uppercase())
}
