//! Which services of a schema a server has.

use stoop_dynamic::Code;

/// What the answers of a server show about the services of a schema.
#[derive(Debug, Default)]
pub(super) struct Probed {
    /// The services that it has.
    pub(super) present: Vec<String>,
    /// The status with which it refuses calls.
    pub(super) refused: Option<Code>,
    /// Whether it may have others of them.
    pub(super) is_partial: bool,
}
