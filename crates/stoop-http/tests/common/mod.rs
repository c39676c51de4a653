//! Shared by the tests of this crate and of `stoop-grpc`.

#![allow(dead_code, reason = "each test uses a part of it")]

pub mod faults;
pub mod slow;
