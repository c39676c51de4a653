//! What every kind of socket promises, as one suite run for streams, seqpackets and datagrams;
//! `aio_contract.rs` runs it for the same kinds driven by tokio.
//!
//! A kind says in [`kinds::Contract`] how it is made and how one message goes each way; the
//! promises in `promises.rs` know no kind.

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
