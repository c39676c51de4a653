//! stoop's sockets on smol. `smol::Async` waits, and the blocking types do the call; a stream may
//! also become std's, which has the traits of futures-io there.
//!
//! ```text
//! cargo run -p stoop-adapters --example smol
//! ```

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use smol::Async;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use stoop::{Address, Bind, Listener, Stream};

/// Accepts one client that the policy allows, and sends back what it sends. Returns its pid.
pub async fn echo_one(listener: &Async<Listener>) -> io::Result<String> {
    let (stream, _address) = listener.read_with(|listener| Ok(listener.accept()?)).await?;
    let stream = Async::new(stream)?;
    let mut buffer = [0; 4096];
    loop {
        let received = stream.read_with(|mut stream| stream.read(&mut buffer)).await?;
        if received == 0 {
            return Ok(stream.get_ref().peer().pid.to_string());
        }
        let mut rest = &buffer[..received];
        while !rest.is_empty() {
            let sent = stream.write_with(|mut stream| stream.write(rest)).await?;
            rest = &rest[sent..];
        }
    }
}

/// Sends `text` and returns the answer.
pub async fn ask(stream: Stream, text: &str) -> io::Result<String> {
    let mut stream = Async::new(UnixStream::from(stream))?;
    stream.write_all(text.as_bytes()).await?;
    stream.get_ref().shutdown(Shutdown::Write)?; // `close` of smol's only flushes
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Serves one client, and returns what it received.
pub fn run() -> Result<String, Box<dyn Error>> {
    smol::block_on(async {
        let listener = Async::new(Bind::new(Address::UNNAMED).listen()?)?;
        // A connect may wait for a full backlog, and so belongs on smol's blocking threads.
        let address = listener.get_ref().local_addr()?;
        let client = smol::unblock(move || Stream::connect(address)).await?;
        let (answer, pid) = smol::future::try_zip(ask(client, "hello"), echo_one(&listener)).await?;
        Ok(format!("{answer} for pid {pid}"))
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("{}", run()?);
    Ok(())
}
