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
use crate::link::play;
use crate::part::{Part, Work};

/// How long the adaptive ones spin before they sleep.
const SPIN: Duration = Duration::from_micros(20);

/// How long the idle ones wait.
const IDLE: Duration = Duration::from_secs(1);

/// Runs a role as the peer of that name.
///
/// # Errors
/// Returns an error if anything fails.
pub fn play_as(peer: &str, part: &Part) -> Result<()> {
    match (peer, part.work) {
        ("stoop, adaptive", Work::Idle) => stoop_sync::idle(),
        ("stoop tokio, adaptive", Work::Idle) => tokio_stream::idle(),
        ("stoop serve", _) => fan_in::stoop(part),
        ("tokio", Work::FanIn) => fan_in::tokio(part),
        ("io_uring", _) => uring::serve(part),
        ("std", _) => play::<std_stream::Std>(part),
        ("stoop", _) => play::<stoop_sync::Sync<false>>(part),
        ("stoop, adaptive", _) => play::<stoop_sync::Sync<true>>(part),
        ("stoop frames", _) => play::<stoop_sync::Frames<false>>(part),
        ("stoop frames, adaptive", _) => play::<stoop_sync::Frames<true>>(part),
        ("tokio", _) => play::<tokio_stream::Tokio>(part),
        ("stoop tokio", _) => play::<tokio_stream::Stoop<false>>(part),
        ("stoop tokio, adaptive", _) => play::<tokio_stream::Stoop<true>>(part),
        ("tokio LengthDelimited", _) => play::<delimited::Delimited>(part),
        ("interprocess", _) => play::<interprocess_stream::Interprocess>(part),
        ("ipc-channel", _) => play::<ipc_channels::Channel>(part),
        ("zeromq", _) => play::<zeromq::Pair>(part),
        ("nng", _) => play::<nng_pair::Pair>(part),
        ("iceoryx2, polling", _) => play::<iceoryx::Ports>(part),
        ("compio", _) => play::<compio_stream::Compio>(part),
        ("shmipc", _) => play::<shmipc_stream::Shared>(part),
        ("ttrpc", _) => ttrpc_rpc::play(part),
        ("tonic", _) => tonic_rpc::play(part),
        _ => Err(format!("nobody is called \"{peer}\"").into()),
    }
}
