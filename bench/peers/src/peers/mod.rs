//! The compared peers: one small file for each, and their names.

mod compio_stream;
mod delimited;
mod fan_in;
mod iceoryx;
mod interprocess_stream;
mod ipc_channels;
mod nng_pair;
mod rpc;
mod shmipc_stream;
mod std_stream;
mod stoop_sync;
mod tokio_stream;
mod tonic_rpc;
mod ttrpc_rpc;
mod uring;
mod zeromq;

use std::time::Duration;

use crate::Result;
use crate::link::run_role;
use crate::role::{Role, Workload};

/// How long the adaptive ones spin before they sleep.
const SPIN: Duration = Duration::from_micros(20);

/// How long the idle ones wait.
const IDLE: Duration = Duration::from_secs(1);

/// Runs a role as the peer of that name.
///
/// # Errors
/// Returns an error if anything fails.
pub fn run_as(peer: &str, role: &Role) -> Result<()> {
    match (peer, role.workload) {
        ("stoop, adaptive", Workload::Idle) => stoop_sync::idle(),
        ("stoop tokio, adaptive", Workload::Idle) => tokio_stream::idle(),
        ("stoop serve", _) => fan_in::stoop(role),
        ("tokio", Workload::FanIn) => fan_in::tokio(role),
        ("io_uring", _) => uring::serve(role),
        ("std", _) => run_role::<std_stream::Std>(role),
        ("stoop", _) => run_role::<stoop_sync::Sync<false>>(role),
        ("stoop, adaptive", _) => run_role::<stoop_sync::Sync<true>>(role),
        ("stoop frames", _) => run_role::<stoop_sync::Frames<false>>(role),
        ("stoop frames, adaptive", _) => run_role::<stoop_sync::Frames<true>>(role),
        ("tokio", _) => run_role::<tokio_stream::Tokio>(role),
        ("stoop tokio", _) => run_role::<tokio_stream::Stoop<false>>(role),
        ("stoop tokio, adaptive", _) => run_role::<tokio_stream::Stoop<true>>(role),
        ("tokio LengthDelimited", _) => run_role::<delimited::Delimited>(role),
        ("interprocess", _) => run_role::<interprocess_stream::Interprocess>(role),
        ("ipc-channel", _) => run_role::<ipc_channels::Channel>(role),
        ("zeromq", _) => run_role::<zeromq::Pair>(role),
        ("nng", _) => run_role::<nng_pair::Pair>(role),
        ("iceoryx2, polling", _) => run_role::<iceoryx::Ports>(role),
        ("compio", _) => run_role::<compio_stream::Compio>(role),
        ("shmipc", _) => run_role::<shmipc_stream::Shared>(role),
        ("ttrpc", _) => ttrpc_rpc::run_role(role),
        ("tonic", _) => tonic_rpc::run_role(role),
        _ => Err(format!("no peer is named \"{peer}\"").into()),
    }
}
