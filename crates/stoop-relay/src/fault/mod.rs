//! Injecting faults into what a relay carries: delays, limits, losses, resets.
//!
//! [`Faults`] says which. Chances are drawn from a seed and the place in the stream, not from the
//! time, so that with the same seed the same bytes and messages meet the same faults.

mod parse;
mod plan;
mod switch;

pub use parse::{Faults, FaultsError};
pub(crate) use plan::Gate;
pub(crate) use switch::{Injector, Switch};
