//! The kernel's limits on addresses.

/// The maximum length of an abstract name, in bytes: `sun_path` less the leading NUL ([K-NAME-14]).
///
/// [K-NAME-14]: crate::kernel_facts#K-NAME-14
pub const ABSTRACT_NAME_MAX_BYTES: usize = 107;

/// The maximum length of a path that the kernel accepts directly, in bytes ([K-NAME-3]).
///
/// Longer paths work nevertheless: see [`Address`](crate::Address).
///
/// [K-NAME-3]: crate::kernel_facts#K-NAME-3
pub const DIRECT_PATH_MAX_BYTES: usize = 108;
