//! Each system call fails once, with each errno that its manual page lists.

mod serving;
mod start;
