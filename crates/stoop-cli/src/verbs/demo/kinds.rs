//! The three kinds of Unix socket, and how they differ.

use std::io::{Read, Write};

use stoop::{Datagram, Packet, SeqPacket, Stream};

use super::paper::Paper;
use super::stage::Stage;
use crate::failure::Failure;

/// A server, a client, and a byte stream without message boundaries.
pub(super) fn stream(stage: &Stage, paper: &mut Paper) -> Result<(), Failure> {
    paper.text("The server makes the file; clients find it by its name. No byte goes through the disk.")?;
    paper.picture(
        r"
client A --.
            +-- app.sock -- server
client B --'
",
    )?;
    let server = stage.serve(paper, &["app.sock"])?;
    let ran = stage.run(paper, &["connect", "app.sock"], "hello\n")?;
    paper.check(ran.code == Some(0) && ran.stdout == "hello\n", "the server sent it back")?;

    paper.check(one_megabyte(stage)?, "a megabyte went there and back, every byte in its place")?;
    let heard = three_writes_one_read()?;
    let text = String::from_utf8_lossy(&heard).into_owned();
    paper.check(heard == b"onetwothree", &format!("three writes can be one read: '{text}'"))?;
    let gone = server.end()? && !stage.path("app.sock").exists();
    paper.check(gone, "told to end, the server finished and took its file away")?;
    paper.invite("stoop serve ./app.sock    # and in another terminal: stoop connect ./app.sock")
}

fn one_megabyte(stage: &Stage) -> Result<bool, Failure> {
    let failed = |error| Failure::io("send a megabyte", &error);
    let sent: Vec<u8> = (0..1_000_000u32).map(|number| (number * 31 % 251) as u8).collect();
    let client = Stream::connect(stage.path("app.sock"))?;
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
pub(super) fn datagrams(stage: &Stage, paper: &mut Paper) -> Result<(), Failure> {
    paper.text("Each send is one message. Locally none is lost and none overtakes another: a full queue makes\nthe sender wait.")?;
    let _server = stage.serve(paper, &["dgram:bell.sock"])?;
    let ran = stage.run(paper, &["send", "bell.sock", "ding", "--reply"], "")?;
    paper.check(ran.code == Some(0) && ran.stdout == "ding", "one message, one answer")?;

    let client = Datagram::connect(stage.path("bell.sock"))?;
    let sent = ["one", "", "three"];
    for word in sent {
        client.send(word.as_bytes())?;
    }
    let mut heard = Vec::new();
    for _ in sent {
        heard.push(String::from_utf8_lossy(&client.recv_vec()?.0).into_owned());
    }
    paper.check(heard == sent, &format!("three messages stay three, the empty one too: {heard:?}"))?;
    let own = client.local_address()?;
    paper.check(
        own.as_abstract().is_some(),
        &format!("answers find the client because it has an address, from the kernel: {own}"),
    )?;
    paper.invite("stoop recv dgram:./bell.sock    # and: stoop send ./bell.sock ding")
}

/// Message boundaries are kept, and the end of the connection is detected.
pub(super) fn seqpackets(stage: &Stage, paper: &mut Paper) -> Result<(), Failure> {
    paper.text("A connection like a stream's, and whole messages like a datagram's.")?;
    let _server = stage.serve(paper, &["seqpacket:parcels.sock"])?;
    let ran = stage.run(paper, &["connect", "parcels.sock"], "first\nsecond\n")?;
    paper.check(
        ran.stdout == "first\nsecond\n",
        "connect found the kind out by itself; a line is a message",
    )?;

    let client = SeqPacket::connect(stage.path("parcels.sock"))?;
    let lens = [5, 20_000, 3];
    let mut heard = Vec::new();
    for len in lens {
        client.send(&vec![b'x'; len])?;
        heard.push(client.recv_vec()?.map_or(0, |message| message.len()));
    }
    paper.check(heard == lens, &format!("messages of {lens:?} bytes came back as {heard:?}"))?;
    client.shutdown(std::net::Shutdown::Write)?;
    paper.check(client.recv(&mut [0; 16])? == Packet::End, "and the end of the connection was seen")?;
    paper.invite("stoop serve seqpacket:./parcels.sock")
}
