#![doc = include_str!("../README.md")]

mod accept;
mod carry;
mod counters;
mod datagrams;
mod direction;
mod end;
mod event;
mod front;
mod inbox;
mod interpose;
mod pair;
mod relay;
mod server;
mod shared;
mod threads;
mod worker;

pub use counters::Counts;
pub use event::{Displaced, Ended, Event};
pub use front::Front;
pub use interpose::restore;
pub use relay::{Relay, Running};
pub use server::Server;
