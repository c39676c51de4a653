//! The streams from which a frame reader receives file descriptors.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use crate::Stream;

/// A Unix domain stream that can carry file descriptors: a [`Stream`], a [`UnixStream`], or a
/// reference to either.
///
/// [`FrameReader::next_with_descriptors`](super::FrameReader::next_with_descriptors) requires it.
/// The trait is sealed: through any other type, a file descriptor could be received from a
/// [`Stream`] whose policy refuses them.
pub trait DescriptorSource: Read + AsFd + sealed::Sealed {
    /// Returns whether the policy of this stream allows file descriptors.
    #[doc(hidden)]
    fn accepts_descriptors(&self) -> bool;
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for crate::Stream {}
    impl Sealed for std::os::unix::net::UnixStream {}
    impl<T: Sealed> Sealed for &T {}
}

impl DescriptorSource for Stream {
    fn accepts_descriptors(&self) -> bool {
        self.as_ref().accepts_descriptors()
    }
}

impl DescriptorSource for &Stream {
    fn accepts_descriptors(&self) -> bool {
        (**self).accepts_descriptors()
    }
}

/// Accepts every file descriptor, as it has no policy.
impl DescriptorSource for UnixStream {
    fn accepts_descriptors(&self) -> bool {
        true
    }
}

/// Accepts every file descriptor, as it has no policy.
impl DescriptorSource for &UnixStream {
    fn accepts_descriptors(&self) -> bool {
        true
    }
}
