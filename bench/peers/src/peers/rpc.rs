//! Shared by the RPC peers: 64 callers on one connection, and a server that runs until it is
//! killed.

use std::cell::Cell;

use futures_util::future::join_all;

use crate::Result;
use crate::link::Watch;
use crate::message::{Message, check};
use crate::role::Role;

/// The number of calls in flight.
const CALLERS: usize = 64;

/// Sends every message of the role through `call`, and checks each response.
pub async fn ask_many<F: Future<Output = Result<Vec<u8>>>>(
    role: &Role,
    call: impl Fn(Vec<u8>) -> F,
) -> Result<()> {
    let mut watch = Watch::start(0);
    for (from, to) in [(0, role.warmup), (role.warmup, role.end())] {
        watch = Watch::start(0);
        let next = Cell::new(from);
        let caller = async || -> Result<()> {
            let mut message = Message::new(role.message_bytes);
            while next.get() < to {
                let n = next.replace(next.get() + 1);
                check(&call(message.number(n).to_vec()).await?, n, role)?;
            }
            Ok(())
        };
        join_all((0..CALLERS).map(|_| caller())).await.into_iter().collect::<Result<Vec<()>>>()?;
    }
    println!("{}", watch.stop().to_line());
    Ok(())
}
