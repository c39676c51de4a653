#![doc = include_str!("../README.md")]

mod accept;
mod admission;
mod behind;
mod carry;
mod counters;
mod datagrams;
mod direction;
mod end;
mod event;
mod exec;
mod fate;
pub mod fault;
mod front;
mod identity;
mod inbox;
mod interpose;
mod metrics;
mod once;
mod pace;
mod pair;
mod proxy;
mod queue;
pub mod record;
mod relay;
mod running;
mod server;
mod shared;
mod threads;
#[cfg(feature = "tls")]
mod tls;
mod upstream;
mod vsock;
mod waiting;
mod worker;

pub use admission::{Admission, Candidate};
pub use counters::Counts;
pub use event::{Displaced, Ended, Event, Rejection};
pub use front::{Connector, Front};
pub use interpose::{Interposition, restore};
pub use relay::Relay;
pub use running::{FaultControl, Monitor, Running};
pub use server::{Caller, Server};
#[cfg(feature = "tls")]
pub use tls::Tls;
