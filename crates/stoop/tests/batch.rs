//! Batches of datagrams and seqpackets: order, partial results, truncation, policy.

use std::io::IoSlice;
use std::os::fd::AsFd;

use stoop::{Batch, Bind, Datagram, ErrorKind, Outgoing, Policy, SeqPacket, SocketExt};
use stoop_kernel_facts::SOON;
use stoop_testkit::{Role, deadline, open_descriptors, role, tempdir};

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("message {n}")).collect()
}

fn slices(texts: &[String]) -> Vec<IoSlice<'_>> {
    texts.iter().map(|text| IoSlice::new(text.as_bytes())).collect()
}

fn received(batch: &Batch) -> Vec<String> {
    batch.iter().map(|message| String::from_utf8(message.bytes().unwrap().to_vec()).unwrap()).collect()
}

#[test]
fn more_messages_than_one_batch_arrive_in_order() {
    deadline(SOON, || {
        let texts = texts(200);
        let (one, other) = SeqPacket::pair().unwrap();
        one.set_nonblocking(true).unwrap();
        one.set_send_buffer_bytes(1 << 20).unwrap();
        assert_eq!(one.send_batch(&slices(&texts)).unwrap(), 200);
        drop(one);
        let mut batch = Batch::new(1000, 100);
        let mut came = Vec::new();
        loop {
            let count = other.recv_batch(&mut batch).unwrap();
            if count == 0 {
                break;
            }
            assert_eq!((count, batch.len()), (count.min(Batch::MESSAGES_MAX), count));
            came.extend(received(&batch));
        }
        assert_eq!(came, texts);
        assert!(batch.is_empty());
        assert_eq!(other.recv_batch(&mut batch).unwrap(), 0, "the end stays");
    });
}

#[test]
fn a_partial_send_returns_the_count() {
    let (one, other) = SeqPacket::pair().unwrap();
    one.set_nonblocking(true).unwrap();
    let texts: Vec<String> = (0..600).map(|n| format!("{n:0>1000}")).collect();
    let messages = slices(&texts);
    let sent = one.send_batch(&messages).unwrap();
    assert!(sent > 0 && sent < 600, "{sent}");
    assert!(one.send_batch(&messages[sent..]).unwrap_err().is_would_block());

    other.set_nonblocking(true).unwrap();
    let (mut came, mut sent) = (0, sent);
    let mut batch = Batch::new(50, 1000);
    deadline(SOON, move || {
        while came < texts.len() {
            match other.recv_batch(&mut batch) {
                Ok(0) => panic!("an end before the end"),
                Ok(count) => {
                    assert_eq!(received(&batch), texts[came..came + count]);
                    came += count;
                }
                Err(error) => assert!(error.is_would_block(), "{error}"),
            }
            sent += one.send_batch(&slices(&texts)[sent..]).unwrap_or(0);
        }
    });
}

#[test]
fn a_truncated_message_is_an_error() {
    let (one, other) = Datagram::pair().unwrap();
    let messages = [
        IoSlice::new(b"short"),
        IoSlice::new(b"much too long"),
        IoSlice::new(b""),
        IoSlice::new(b"exactly8"),
    ];
    assert_eq!(one.send_batch(&messages).unwrap(), 4);
    let mut batch = Batch::new(8, 8);
    assert_eq!(other.recv_batch(&mut batch).unwrap(), 4);
    let came: Vec<_> = batch.iter().collect();
    assert_eq!(came[0].bytes().unwrap(), b"short");
    let error = came[1].bytes().unwrap_err();
    assert_eq!((error.kind(), error.received_bytes()), (ErrorKind::MessageTruncated, Some(8)));
    assert_eq!((came[1].prefix(), came[1].sent_bytes()), (&b"much too"[..], 13));
    assert_eq!(came[2].bytes().unwrap(), b"");
    assert_eq!(came[3].bytes().unwrap(), b"exactly8");
}

#[test]
fn datagrams_have_senders_and_the_policy_is_checked() {
    let directory = tempdir();
    let (open, closed) = (directory.path().join("open"), directory.path().join("closed"));
    let mut batch = Batch::new(8, 64);

    let server = Bind::new(&open).policy(Policy::same_user()).datagram().unwrap();
    let client = Datagram::autobind().unwrap();
    let texts = texts(3);
    assert_eq!(client.send_batch_to(&slices(&texts), server.local_addr().unwrap()).unwrap(), 3);
    assert_eq!(server.recv_batch(&mut batch).unwrap(), 3);
    assert_eq!(received(&batch), texts);
    assert!(batch.iter().all(|message| message.from() == client.local_addr().unwrap()));

    let server = Bind::new(&closed).policy(Policy::nobody()).datagram().unwrap();
    server.set_nonblocking(true).unwrap();
    assert_eq!(client.send_batch_to(&slices(&texts), server.local_addr().unwrap()).unwrap(), 3);
    assert!(server.recv_batch(&mut batch).unwrap_err().is_would_block());
    assert_eq!((server.refused(), batch.len()), (3, 0));

    drop(server);
    let error = client.send_batch_to(&slices(&texts), stoop::Address::path(&closed).unwrap()).unwrap_err();
    assert!(error.is_not_found(), "{error}");
}

#[test]
fn an_empty_seqpacket_message_fails_the_whole_batch() {
    let (one, other) = SeqPacket::pair().unwrap();
    let error = one.send_batch(&[IoSlice::new(b"full"), IoSlice::new(b"")]).unwrap_err();
    assert!(error.is_unsupported());
    other.set_nonblocking(true).unwrap();
    assert!(other.recv_batch(&mut Batch::new(1, 1)).unwrap_err().is_would_block());
    assert_eq!(one.send_batch(&[]).unwrap(), 0);
    drop(other);
    assert!(one.send_batch(&[IoSlice::new(b"x")]).unwrap_err().is_peer_closed());
}

#[test]
fn received_descriptors_are_closed() {
    const TEST: &str = "received_descriptors_are_closed";
    if role().is_none() {
        return Role::new(TEST, "counts").run();
    }
    let directory = tempdir();
    let server = Bind::new(directory.path().join("socket")).policy(Policy::same_user()).datagram().unwrap();
    let client = Datagram::client(directory.path().join("socket")).unwrap();
    let (one, other) = Datagram::pair().unwrap();
    let mut batch = Batch::new(8, 64);
    let before = open_descriptors();
    for (sender, receiver) in [(&client, &server), (&one, &other)] {
        for _ in 0..3 {
            let beside = [one.as_fd(), other.as_fd()];
            sender.send_with(&[IoSlice::new(b"beside")], &Outgoing::new().descriptors(&beside)).unwrap();
        }
        assert_eq!(receiver.recv_batch(&mut batch).unwrap(), 3);
        assert_eq!(batch.iter().next().unwrap().bytes().unwrap(), b"beside");
        assert_eq!(open_descriptors(), before);
    }
}
