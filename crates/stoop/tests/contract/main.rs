//! The contract that every kind of socket fulfils, as one suite for streams, seqpackets and
//! datagrams. `aio_contract.rs` runs it for the same kinds driven by tokio.
//!
//! Each kind implements [`kinds::Contract`]. The tests in `promises.rs` are generic over it.

mod kinds;
#[macro_use]
mod promises;

use stoop::{Datagram, SeqPacket, Stream};

suite! {
    [waiting_ends_with_the_timeout nothing_waits_when_nonblocking room_comes_back]
    stream: Stream
    seqpacket: SeqPacket
    datagram: Datagram
}
