//! The command `stoop`. Holds nothing: see the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    stoop_cli::main()
}
