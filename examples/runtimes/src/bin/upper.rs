//! A runtime that converts texts to upper case.

fn main() -> std::process::ExitCode {
    runtimes::run("upper", |text| text.to_uppercase())
}
