//! Crashes and faults at system calls: `kill -9` at each call of a server's life cycle, and each
//! errno that the manual page lists, with the injector of the test kit.
//!
//! | file | contents |
//! |---|---|
//! | `points.rs` | running a scenario once for each call, several at a time |
//! | `socket_dir.rs` | checks after each: the server at the name, the files in the directory |
//! | `crash/` | kills: live servers keep their names, the next server recovers |
//! | `crash/serve.rs` | `stoop serve`: start, stop, stale files, long names, datagrams |
//! | `crash/replace.rs` | `stoop serve --replace`, and the exit of a replaced server |
//! | `crash/hand_over.rs` | two servers of the library, either of which is killed |
//! | `crash/interpose.rs` | `stoop relay --interpose`, and `--restore` |
//! | `faults/` | faults: a running server continues, a starting one exits with an error |
//! | `faults/start.rs` | `stoop serve` during startup and shutdown |
//! | `faults/serving.rs` | `stoop serve` in operation |
//!
//! Only the outcome is checked. How the library achieves it, and its intermediate files in the
//! directory, are implementation details.

mod crash;
mod faults;
mod points;
mod socket_dir;
