//! Who is at the other end of my socket? `other_end SOCKET` connects, and names the processes that
//! have the other end open, or those that could accept.

use stoop_inspect::{Inspector, Options};

fn main() -> stoop::Result<()> {
    let socket = stoop::Stream::connect(std::env::args().nth(1).expect("usage: other_end SOCKET"))?;
    let snapshot = Inspector::new(Options::default()).snapshot();
    let own = snapshot.socket_of(&socket).map(|id| &snapshot[id]);
    let Some(other) = own.and_then(|own| own.peer.or(own.waits_for)) else {
        println!("nobody that can be seen");
        return Ok(());
    };
    for process in snapshot.processes_of(other) {
        let command = stoop::escaped(process.command.as_encoded_bytes());
        println!("{} {command} {}", process.pid, process.place);
    }
    // As an ordinary user one sees the processes of others only by what their sockets tell.
    for missing in &snapshot.missing {
        eprintln!("not seen: {missing}");
    }
    Ok(())
}
