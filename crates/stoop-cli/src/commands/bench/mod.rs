//! `stoop bench`: measures what local transports cost on this machine, and recommends which to use
//! for what.
//!
//! | file | does |
//! |---|---|
//! | `args.rs` | its flags |
//! | `run.rs` | measures, and writes the results |
//! | `transport.rs` `workload.rs` | transports and workloads, and which combine |
//! | `plan.rs` `placement.rs` | the order and duration of measurements; the processors used |
//! | `runner.rs` `progress_bar.rs` | runs the plan |
//! | `control.rs` `peer.rs` | the two processes and their control channel |
//! | `wire/` | setting up, sending and receiving for each transport |
//! | `workloads/` | what both processes do |
//! | `message.rs` | messages and their verification |
//! | `measure.rs` `machine.rs` | time, processor time, percentiles; the machine |
//! | `results.rs` `advice.rs` | the results, and the recommendations that follow from them |
//! | `render/` | table, JSON lines, plots, page |
//! | `error.rs` | why a measurement has no result |
//!
//! Buffers are bounded, nothing leaves the machine, and all code is safe: what needs `unsafe` is a
//! crate of its own (`stoop-memory`).

mod advice;
pub(crate) mod args;
mod control;
mod error;
mod machine;
mod measure;
mod message;
mod peer;
mod placement;
mod plan;
mod progress_bar;
mod render;
mod results;
mod run;
mod runner;
pub(crate) mod transport;
mod wire;
pub(crate) mod workload;
mod workloads;

pub(super) use run::run;
