//! The commands, one directory each: `args.rs` has its flags, `run.rs` runs it, `render` formats
//! its output, and `error.rs` explains its failures, as far as it has these parts. `mod.rs` only
//! declares and documents them. A command returns how it ended, and never prints by itself.

#[cfg(feature = "bench")]
pub(crate) mod bench;
pub(crate) mod close;
pub(crate) mod complete;
pub(crate) mod completions;
pub(crate) mod connect;
#[cfg(feature = "grpc")]
pub(crate) mod cri;
pub(crate) mod demo;
pub(crate) mod extcap;
#[cfg(feature = "grpc")]
pub(crate) mod grpc;
#[cfg(feature = "http")]
pub(crate) mod http;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod recv;
pub(crate) mod relay;
pub(crate) mod replay;
pub(crate) mod send;
pub(crate) mod serve;
pub(crate) mod tap;
#[cfg(feature = "top")]
pub(crate) mod top;
pub(crate) mod tree;
pub(crate) mod wait;
pub(crate) mod who;
pub(crate) mod why;

use crate::args::Verb;
use crate::descriptor_limit;
use crate::failure::Outcome;

/// Runs the command given on the command line.
pub(crate) fn run(verb: Verb) -> Outcome {
    if matches!(verb, Verb::Ls(_) | Verb::Who(_) | Verb::Tree(_) | Verb::Why(_) | Verb::Close(_)) {
        descriptor_limit::raise();
    }
    match verb {
        Verb::Demo(flags) => demo::run(&flags),
        Verb::Serve(flags) => serve::run(&flags),
        Verb::Connect(flags) => connect::run(&flags),
        Verb::Send(flags) => send::run(&flags),
        Verb::Recv(flags) => recv::run(&flags),
        Verb::Wait(flags) => wait::run(&flags),
        Verb::Relay(flags) => relay::run(&flags),
        Verb::Replay(flags) => replay::run(&flags),
        Verb::Ls(flags) => ls::run(&flags),
        Verb::Who(flags) => who::run(&flags),
        Verb::Tree(flags) => tree::run(&flags),
        Verb::Tap(flags) => tap::run(&flags),
        #[cfg(feature = "top")]
        Verb::Top(flags) => top::run(&flags),
        Verb::Close(flags) => close::run(&flags),
        Verb::Why(flags) => why::run(&flags),
        #[cfg(feature = "grpc")]
        Verb::Grpc(flags) => grpc::run(&flags),
        #[cfg(feature = "grpc")]
        Verb::Cri(flags) => cri::run(&flags),
        #[cfg(feature = "http")]
        Verb::Http(flags) => http::run(&flags),
        #[cfg(feature = "bench")]
        Verb::Bench(flags) => bench::run(&flags),
        Verb::Complete(flags) => complete::run(&flags),
        Verb::Extcap(flags) => extcap::run(&flags),
        Verb::Completions(flags) => completions::run(&flags),
        Verb::Man(flags) => man::run(&flags),
    }
}
