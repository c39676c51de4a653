#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod decision;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod json;
mod proxy;
mod request;
mod rules;

pub use decision::{Decision, Verdict};
pub use proxy::{Guard, Protocol};
pub use rules::Rules;
pub use rules::client::Client;
pub use rules::error::RulesError;
pub use rules::learn::Learner;
