//! The commands that a build may lack.

/// The commands that a build may lack, and whether it has them.
pub(crate) const OPTIONAL: [(&str, bool); 5] = [
    ("grpc", cfg!(feature = "grpc")),
    ("cri", cfg!(feature = "grpc")),
    ("http", cfg!(feature = "http")),
    ("bench", cfg!(feature = "bench")),
    ("top", cfg!(feature = "top")),
];

/// Returns the feature that a command needs.
pub(crate) fn feature_of(verb: &str) -> &str {
    if verb == "cri" { "grpc" } else { verb }
}

/// Returns whether this build has the command.
pub(crate) fn is_built(verb: &str) -> bool {
    OPTIONAL.iter().all(|(name, is_built)| *name != verb || *is_built)
}
