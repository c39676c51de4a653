//! `stoop extcap`: Wireshark lists the sockets as interfaces and captures from one of them. It
//! calls this in the way of its extcap interface.
//!
//! | file | does |
//! |---|---|
//! | `args.rs` | the flags that Wireshark gives |
//! | `run.rs` | answers one call |
//! | `sentences.rs` | the lines that Wireshark reads: pure |

pub(crate) mod args;
mod run;
mod sentences;

pub(super) use run::run;
