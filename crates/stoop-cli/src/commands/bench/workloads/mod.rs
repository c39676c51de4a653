//! The workloads, one file each: what the measuring process does, and what the other one does.

pub(super) mod connect;
pub(super) mod fan_in;
pub(super) mod one_way;
pub(super) mod ping_pong;
