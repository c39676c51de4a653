//! The terminal interface.
//!
//! | file | does |
//! |---|---|
//! | `state.rs` | what is shown, and what a key changes: pure |
//! | `history.rs` | what entries did in the last looks: pure |
//! | `view.rs` | all of that together;  `draw.rs`, `detail.rs`, `help.rs` draw it: pure |
//! | `terminal.rs` | the terminal, its keys, and signals |
//! | `run.rs` | looks, draws, and waits for a key |

mod detail;
mod draw;
mod help;
mod history;
mod run;
mod state;
mod terminal;
#[cfg(test)]
mod tests;
mod view;

pub(super) use run::run;
