//! `stoop completions`: a completion script, generated from the definition of the command line.

pub(crate) mod args;
mod run;

pub(super) use run::run;
