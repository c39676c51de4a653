//! The command line. Every flag is defined once, and help, manual and completions are generated
//! from the definitions.
//!
//! No behaviour is defined here. Flags shared by several commands are in `shared`, and a command's
//! own flags are in `args.rs` of its directory in `commands`.

mod cli;
#[cfg(test)]
mod flags_page;
mod help;
mod notation;
mod read;
pub(crate) mod selection;
pub(crate) mod selector;
pub(crate) mod shared;
mod usage_error;

pub(crate) use cli::{Cli, Verb};
pub(crate) use help::footer;
pub(crate) use read::read;

#[cfg(feature = "bench")]
pub(crate) use crate::commands::bench::args::Bench;
pub(crate) use crate::commands::close::args::Close;
pub(crate) use crate::commands::complete::args::Complete;
pub(crate) use crate::commands::completions::args::Completions;
pub(crate) use crate::commands::connect::args::Connect;
#[cfg(feature = "grpc")]
pub(crate) use crate::commands::cri::args::Cri;
pub(crate) use crate::commands::demo::args::Demo;
pub(crate) use crate::commands::extcap::args::Extcap;
#[cfg(feature = "grpc")]
pub(crate) use crate::commands::grpc::args::Grpc;
#[cfg(feature = "http")]
pub(crate) use crate::commands::http::args::Http;
pub(crate) use crate::commands::ls::args::{Column, Ls, Sort, StateWord};
pub(crate) use crate::commands::man::args::Man;
pub(crate) use crate::commands::recv::args::Recv;
pub(crate) use crate::commands::relay::args::Relay;
pub(crate) use crate::commands::replay::args::Replay;
pub(crate) use crate::commands::send::args::Send;
pub(crate) use crate::commands::serve::args::{Serve, ServiceFlags};
pub(crate) use crate::commands::tap::args::Tap;
#[cfg(feature = "top")]
pub(crate) use crate::commands::top::args::Top;
pub(crate) use crate::commands::tree::args::Tree;
pub(crate) use crate::commands::wait::args::Wait;
pub(crate) use crate::commands::who::args::Who;
pub(crate) use crate::commands::why::args::{Op, Why};
pub(crate) use selection::{Netns, Selection};
pub(crate) use selector::SocketSelector;
pub(crate) use shared::{BindFlags, ConnectFlags};
