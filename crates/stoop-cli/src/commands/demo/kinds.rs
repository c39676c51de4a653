//! The three kinds of Unix socket, and how they differ.

use std::io::{Read, Write};

use stoop::{Datagram, Packet, SeqPacket, Stream};

use super::render::Transcript;
use super::sandbox::Sandbox;
use crate::failure::Failure;

/// A server, a client, and a byte stream without message boundaries.
pub(super) fn stream(sandbox: &Sandbox, transcript: &mut Transcript) -> Result<(), Failure> {
    transcript
        .text("The server creates the file; clients connect to it by name. No data is written to disk.")?;
    transcript.picture(
        r"
client A --.
            +-- app.sock -- server
client B --'
",
    )?;
    let server = sandbox.serve(transcript, &["app.sock"])?;
    let ran = sandbox.run(transcript, &["connect", "app.sock"], "hello\n")?;
    transcript.check(ran.code == Some(0) && ran.stdout == "hello\n", "the server echoed it")?;

    transcript.check(one_megabyte(sandbox)?, "a megabyte made a round trip, every byte intact")?;
    let heard = three_writes_one_read()?;
    let text = String::from_utf8_lossy(&heard).into_owned();
    transcript.check(heard == b"onetwothree", &format!("three writes can be one read: '{text}'"))?;
    let gone = server.end()? && !sandbox.path("app.sock").exists();
    transcript.check(gone, "on SIGTERM, the server finished and removed its file")?;
    transcript.suggest("stoop serve ./app.sock    # and in another terminal: stoop connect ./app.sock")
}

fn one_megabyte(sandbox: &Sandbox) -> Result<bool, Failure> {
    let failed = |error| Failure::io("send a megabyte", &error);
    let sent: Vec<u8> = (0..1_000_000u32).map(|number| (number * 31 % 251) as u8).collect();
    let client = Stream::connect(sandbox.path("app.sock"))?;
    let mut heard = Vec::new();
    std::thread::scope(|scope| {
        // Both at once: if everything was sent before reading, the queues in both directions would
        // be full.
        let sending =
            scope.spawn(|| (&client).write_all(&sent).map(|()| client.shutdown(std::net::Shutdown::Write)));
        let read = (&client).read_to_end(&mut heard);
        sending.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map_err(failed)??;
        read.map_err(failed)
    })?;
    Ok(heard == sent)
}

fn three_writes_one_read() -> Result<Vec<u8>, Failure> {
    let failed = |error| Failure::io("use a stream", &error);
    let (mut one, mut other) = Stream::pair()?;
    for word in ["one", "two", "three"] {
        one.write_all(word.as_bytes()).map_err(failed)?;
    }
    let mut buffer = [0; 64];
    let len = other.read(&mut buffer).map_err(failed)?;
    Ok(buffer[..len].to_vec())
}

/// Message boundaries are kept, and the client has its own address to receive answers.
pub(super) fn datagrams(sandbox: &Sandbox, transcript: &mut Transcript) -> Result<(), Failure> {
    transcript.text("Each send is one message. On one machine none is lost or reordered: a full queue makes\nthe sender wait.")?;
    let _server = sandbox.serve(transcript, &["dgram:bell.sock"])?;
    let ran = sandbox.run(transcript, &["send", "bell.sock", "ding", "--reply"], "")?;
    transcript.check(ran.code == Some(0) && ran.stdout == "ding", "one message, one reply")?;

    let client = Datagram::client(sandbox.path("bell.sock"))?;
    let sent = ["one", "", "three"];
    for word in sent {
        client.send(word.as_bytes())?;
    }
    let mut heard = Vec::new();
    for _ in sent {
        heard.push(String::from_utf8_lossy(&client.recv_vec()?.0).into_owned());
    }
    transcript.check(
        heard == sent,
        &format!("message boundaries are kept, even of the empty message: {heard:?}"),
    )?;
    let own = client.local_addr()?;
    transcript.check(
        own.as_abstract_name().is_some(),
        &format!("replies reach the client at an address that the kernel chose: {own}"),
    )?;
    transcript.suggest("stoop recv dgram:./bell.sock    # and: stoop send ./bell.sock ding")
}

/// Message boundaries are kept, and the end of the connection is detected.
pub(super) fn seqpackets(sandbox: &Sandbox, transcript: &mut Transcript) -> Result<(), Failure> {
    transcript.text("Connected like streams, with message boundaries like datagrams.")?;
    let _server = sandbox.serve(transcript, &["seqpacket:parcels.sock"])?;
    let ran = sandbox.run(transcript, &["connect", "parcels.sock"], "first\nsecond\n")?;
    transcript.check(ran.stdout == "first\nsecond\n", "connect detected the kind; each line is a message")?;

    let client = SeqPacket::connect(sandbox.path("parcels.sock"))?;
    let lens = [5, 20_000, 3];
    let mut heard = Vec::new();
    for len in lens {
        client.send(&vec![b'x'; len])?;
        heard.push(client.recv_vec()?.map_or(0, |message| message.len()));
    }
    transcript.check(heard == lens, &format!("messages of {lens:?} bytes came back as {heard:?}"))?;
    client.shutdown(std::net::Shutdown::Write)?;
    transcript
        .check(client.recv(&mut [0; 16])? == Packet::End, "and the end of the connection is detected")?;
    transcript.suggest("stoop serve seqpacket:./parcels.sock")
}
