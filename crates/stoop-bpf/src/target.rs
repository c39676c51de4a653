//! What a program attaches to, as `bpf(2)` has it. Pure.

const RAW_TRACEPOINT: u32 = 23;
const ENTRY: u32 = 24;
const EXIT: u32 = 25;

/// What a program attaches to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// `enum bpf_attach_type`.
    pub(crate) attach_type: u32,
    pub(crate) type_id: u32,
}

impl Target {
    pub(crate) const ITERATOR: u32 = 28;

    /// The iterator whose function has this type.
    pub(crate) fn iterator(type_id: u32) -> Target {
        Target { attach_type: Target::ITERATOR, type_id }
    }

    /// The tracepoint whose prototype has this type.
    pub(crate) fn tracepoint(type_id: u32) -> Target {
        Target { attach_type: RAW_TRACEPOINT, type_id }
    }

    /// The entry of the function with this type.
    pub(crate) fn entry(type_id: u32) -> Target {
        Target { attach_type: ENTRY, type_id }
    }

    /// The exit of the function with this type.
    pub(crate) fn exit(type_id: u32) -> Target {
        Target { attach_type: EXIT, type_id }
    }

    /// Returns whether it is the entry or exit of a function.
    pub(crate) fn is_function(self) -> bool {
        [ENTRY, EXIT].contains(&self.attach_type)
    }
}
