//! The commands that a build may lack.

/// The commands that a build may lack, each with its feature of the same name.
pub(crate) const OPTIONAL: [(&str, bool); 3] =
    [("grpc", cfg!(feature = "grpc")), ("http", cfg!(feature = "http")), ("bench", cfg!(feature = "bench"))];

/// Returns whether this build has the command.
pub(crate) fn is_built(verb: &str) -> bool {
    OPTIONAL.iter().all(|(name, is_built)| *name != verb || *is_built)
}
