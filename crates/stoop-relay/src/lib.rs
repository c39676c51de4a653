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
mod front;
mod inbox;
mod interpose;
mod metrics;
mod pace;
mod pair;
mod relay;
mod server;
mod shared;
mod threads;
mod worker;

pub use admission::{Admission, Candidate};
pub use counters::Counts;
pub use event::{Displaced, Ended, Event, Rejection};
pub use front::Front;
pub use interpose::restore;
pub use relay::{Monitor, Relay, Running};
pub use server::Server;
