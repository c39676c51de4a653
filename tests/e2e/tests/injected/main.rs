//! System calls that end in death, or in failure: `kill -9` at each one of a server's life, and
//! each errno that its manual page names, by the injector of the test kit.
//!
//! | file | holds |
//! |---|---|
//! | `points.rs` | running a scenario once for each call, several at a time |
//! | `place.rs` | what is looked at after each: who answers at the name, what is in the directory |
//! | `crash/` | killed: nothing that lives loses its name, the next server starts and serves, nothing is left at its end |
//! | `crash/serve.rs` | `stoop serve`: start, stop, stale files, long names, datagrams |
//! | `crash/replace.rs` | `stoop serve --replace` over a living server, and the end of one that was replaced |
//! | `crash/hand_over.rs` | two servers of the library, either of which is killed |
//! | `faults/` | failed: a server that has announced itself serves on, one that has not ends with an error |
//! | `faults/start.rs` | `stoop serve` while it starts and while it ends |
//! | `faults/serving.rs` | `stoop serve` while it serves |
//!
//! What is asked for is the outcome. How the library gets there, and what lies in the directory
//! meanwhile, is its own affair.

mod crash;
mod faults;
mod place;
mod points;
