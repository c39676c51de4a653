//! Passes an open file to another process, which can read it without permission to open it.
//!
//! ```text
//! cargo run -p stoop --example pass_descriptor -- receive ./app.sock
//! cargo run -p stoop --example pass_descriptor -- send ./app.sock /etc/hostname
//! ```

use std::error::Error;
use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use stoop::{Allow, Bind, Connect, Outgoing, Policy};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["receive", address] => receive(address),
        ["send", address, file] => send(address, file),
        _ => {
            eprintln!("usage: pass_descriptor receive SOCKET | send SOCKET FILE");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn send(address: &str, name: &str) -> Result<(), Box<dyn Error>> {
    let file = File::open(name)?;
    let socket = Connect::new(address).wait_for_server(Duration::from_secs(10)).seqpacket()?;
    // The file descriptor is ancillary data of the message. The receiver gets a duplicate; ours stays
    // open until we close it.
    socket.send_with(&[IoSlice::new(name.as_bytes())], &Outgoing::new().descriptors(&[file.as_fd()]))?;
    Ok(())
}

fn receive(address: &str) -> Result<(), Box<dyn Error>> {
    // A sender of file descriptors can fill our table, so accept only our own user and root.
    let listener = Bind::new(address).mode(0o600).policy(Policy::same_user()).listen_seqpacket()?;
    println!("listening");
    let (client, _) = listener.accept()?;
    let mut name = [0; 4096];
    // File descriptors are received only if allowed. If two had arrived, both would be closed and this
    // would be an error.
    let received = client.recv_with(&mut [IoSliceMut::new(&mut name)], Allow::descriptors(1))?;
    let [descriptor]: [_; 1] =
        received.descriptors.try_into().map_err(|_| "the message came without a descriptor")?;

    let mut content = String::new();
    // It is owned as soon as it is received, and close-on-exec, so it cannot leak into a child.
    File::from(descriptor).read_to_string(&mut content)?;
    println!("{}:", stoop::escaped(&name[..received.len]));
    print!("{content}");
    Ok(())
}
