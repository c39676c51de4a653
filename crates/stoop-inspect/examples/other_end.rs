//! Which process is at the other end of a socket? `other_end SOCKET` connects, and names the
//! processes that have the other end open, or those that could accept it.

use stoop_inspect::{Inspector, Options};

fn main() -> stoop::Result<()> {
    let socket = stoop::Stream::connect(std::env::args().nth(1).expect("usage: other_end SOCKET"))?;
    let snapshot = Inspector::new(Options::default()).snapshot();
    let own = snapshot.socket_of(&socket).map(|id| &snapshot[id]);
    let Some(other) = own.and_then(|own| own.peer.or(own.waits_for)) else {
        println!("no visible process");
        return Ok(());
    };
    for process in snapshot.processes_of(other) {
        let command = stoop::escaped(process.command.as_encoded_bytes());
        println!("{} {command} {}", process.pid, process.workload);
    }
    // Without privileges, processes of other users are known only from their sockets.
    for missing in &snapshot.missing {
        eprintln!("not visible: {missing}");
    }
    Ok(())
}
