//! Formats the details of a socket, for people and for programs. Pure, except for the names of
//! users and groups.

pub(super) mod hexdump;
pub(super) mod json;
mod phrases;
pub(super) mod text;
