//! Every local socket of the machine, with both ends and their owners; and why an operation on one fails.

pub mod endpoints;
