//! `stoop cri`: the pods, containers and images of a container runtime, by Kubernetes' CRI.
//!
//! | file | does |
//! |---|---|
//! | `args.rs`, `args/` | the actions, and their flags |
//! | `run.rs` | connects, and runs the action |
//! | `session.rs` | calls of the CRI, as JSON |
//! | `list.rs` | the actions that list, inspect and report |
//! | `table/` | their tables: pure |
//! | `manage.rs` | the actions that run, start, stop and remove |
//! | `config.rs` | files that describe pods and containers: pure |
//! | `filter.rs`, `select.rs` | which containers and pods are meant: pure |
//! | `field.rs`, `moment.rs`, `yaml.rs` | fields, times, YAML: pure |
//! | `crictl.rs` | flags of crictl that do not exist here: pure |
//! | `known.rs` | what a runtime has, for completion |
//! | `logs/` | the log files of containers |
//! | `stream/` | exec, attach and port-forward: SPDY, on the address that the runtime returns |
//! | `error.rs` | errors, explained |

pub(crate) mod args;
mod config;
pub(crate) mod crictl;
mod error;
mod field;
mod filter;
mod known;
mod list;
mod logs;
mod manage;
mod moment;
mod output;
mod run;
mod select;
mod session;
mod stream;
mod table;
mod yaml;

pub(super) use known::{Known, known};
pub(super) use run::run;
