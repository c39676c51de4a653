//! Stream wrappers between a socket and HTTP/2, in addition to those of `stoop-http`. Each does one
//! thing and passes everything else through.
//!
//! | side | wrapper | purpose |
//! |---|---|---|
//! | client | [`CoalescePreface`](coalesce_preface::CoalescePreface) | coalesces HTTP/2's preface |
//! | server | [`AuthorityStream`](authority::AuthorityStream) | rewrites an invalid `:authority` |
//! | server | [`PermitStream`](permit::PermitStream) | holds a permit of the connection limit |

pub(crate) mod authority;
#[cfg(feature = "client")]
pub(crate) mod coalesce_preface;
#[cfg(feature = "server")]
pub(crate) mod permit;
