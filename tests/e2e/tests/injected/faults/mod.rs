//! Each system call fails once, with each errno that its manual page names.

mod serving;
mod start;
