//! A server that checks its clients: it accepts its own user, root, and the users that are named as
//! arguments.
//!
//! ```text
//! cargo run -p stoop --example check_peer -- ./app.sock 1000 1001
//! ```

use std::io::Write;
use std::process::ExitCode;

use stoop::{Arrival, Bind, Fact, Policy};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next();
    let users: Result<Vec<u32>, _> = arguments.map(|user| user.parse()).collect();
    let (Some(address), Ok(users)) = (address, users) else {
        eprintln!("usage: check_peer SOCKET [UID]…");
        return ExitCode::from(2);
    };
    match serve(&address, &users) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(address: &str, users: &[u32]) -> stoop::Result<()> {
    let policy = users.iter().fold(Policy::same_user(), |policy, &user| policy.allow_uid(user));
    // The file's mode allows every user, and the policy decides: on what the kernel reports of the
    // client, not on what the client claims, and before a byte is read. An abstract address (@name)
    // has no file mode: it has only the policy.
    let listener = Bind::new(address).mode(0o666).policy(policy).listen()?;
    println!("listening");
    loop {
        // `accept` would skip refused clients; this reports them.
        let mut client = match listener.accept_any()? {
            Arrival::Accepted(client) => client,
            Arrival::Refused { uid, .. } => {
                println!("refused user {uid:?}");
                continue;
            }
        };
        // The peer's identity at the time of its connect. An unknown id is never 0.
        let peer = client.peer();
        let greeting = match peer.uid {
            Fact::Known(uid) => format!("hello, user {uid}, in process {:?}\n", peer.pid.known()),
            _ => "hello, whoever you are\n".to_owned(),
        };
        println!("accepted {:?}", peer.uid);
        // The client may have closed its end by now.
        let _ = client.write_all(greeting.as_bytes());
    }
}
