//! The command `stoop`. See the library of this crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    stoop_cli::main()
}
