// The program. It is included once for each set of types, and each function is a test of both.

use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice, IoSliceMut, Result};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::ready;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest, ReadBuf};

/// Runs a part of the program on a runtime of its own, with a directory of its own.
fn run<F: Future<Output = Result<()>>>(part: impl FnOnce(PathBuf) -> F + Send + 'static) {
    stoop_testkit::deadline(stoop_kernel_facts::SOON, move || {
        let directory = stoop_testkit::tempdir();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(part(directory.path().join("socket")))
    })
    .unwrap();
}

/// Returns the kind that the error has in std.
fn kind(error: impl Into<std::io::Error>) -> ErrorKind {
    error.into().kind()
}

#[test]
fn a_server_and_its_client() {
    run(|path| async move {
        let listener = UnixListener::bind(&path)?;
        assert_eq!(listener.local_addr()?.as_pathname(), Some(&*path));
        assert!(listener.take_error()?.is_none());
        UnixStream::connect_addr(&listener.local_addr()?).await?.shutdown().await?;
        listener.accept().await?;
        let client = tokio::spawn(async move {
            let mut client = UnixStream::connect(&path).await?;
            assert_eq!(client.peer_addr()?.as_pathname(), Some(&*path));
            assert!(client.local_addr()?.is_unnamed());
            client.write_all(b"ping").await?;
            client.flush().await?;
            let mut answer = String::new();
            client.read_to_string(&mut answer).await?;
            Result::Ok(answer)
        });
        let (mut stream, from) = listener.accept().await?;
        assert!(from.is_unnamed());
        assert_eq!(uid(&stream)?, rustix::process::geteuid().as_raw());
        let mut request = [0; 4];
        stream.read_exact(&mut request).await?;
        stream.write_all(&request).await?;
        stream.shutdown().await?;
        assert_eq!(client.await.unwrap()?, "ping");
        Ok(())
    });
}

#[test]
fn readiness() {
    run(|_| async move {
        let (one, other) = UnixStream::pair()?;
        let mut buffer = [0; 64];
        assert!(one.ready(Interest::READABLE | Interest::WRITABLE).await?.is_writable());
        assert_eq!(other.try_read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        one.writable().await?;
        assert_eq!(one.try_write(b"one")?, 3);
        assert_eq!(one.try_write_vectored(&[IoSlice::new(b"two"), IoSlice::new(b"three")])?, 8);
        other.readable().await?;
        assert_eq!(other.try_read(&mut buffer[..3])?, 3);
        let (start, rest) = buffer.split_at_mut(4);
        let parts = &mut [IoSliceMut::new(start), IoSliceMut::new(&mut rest[..2])];
        assert_eq!(other.try_read_vectored(parts)?, 6);
        let mut appended = Vec::with_capacity(16);
        assert_eq!(other.try_read_buf(&mut appended)?, 2);
        assert_eq!(appended, b"ee");

        poll_fn(|cx| one.poll_write_ready(cx)).await?;
        one.try_write(b"more")?;
        poll_fn(|cx| other.poll_read_ready(cx)).await?;
        let fd = other.as_fd();
        assert_eq!(fd.as_raw_fd(), other.as_raw_fd());
        let mut read = || Ok(rustix::io::read(fd, &mut buffer)?);
        assert_eq!(other.try_io(Interest::READABLE, &mut read)?, 4);
        one.try_write(b"again")?;
        assert_eq!(other.async_io(Interest::READABLE, &mut read).await?, 5);
        assert_eq!(other.try_io(Interest::READABLE, read).unwrap_err().kind(), ErrorKind::WouldBlock);
        Ok(())
    });
}

#[test]
fn halves() {
    run(|_| async move {
        let (mut one, mut other) = UnixStream::pair()?;
        let mut buffer = [0; 8];
        {
            let (mut reader, mut writer) = one.split();
            writer.ready(Interest::WRITABLE).await?;
            writer.writable().await?;
            assert_eq!(writer.try_write(b"ab")?, 2);
            assert_eq!(writer.try_write_vectored(&[IoSlice::new(b"cd")])?, 2);
            writer.write_all(b"ef").await?;
            other.read_exact(&mut buffer[..6]).await?;
            other.write_all(&buffer[..6]).await?;
            reader.ready(Interest::READABLE).await?;
            reader.readable().await?;
            assert_eq!(reader.try_read(&mut buffer[..2])?, 2);
            assert_eq!(reader.try_read_vectored(&mut [IoSliceMut::new(&mut buffer[2..4])])?, 2);
            reader.read_exact(&mut buffer[4..6]).await?;
            assert_eq!(&buffer[..6], b"abcdef");
            let stream: &UnixStream = reader.as_ref();
            assert_eq!(stream.as_raw_fd(), AsRef::<UnixStream>::as_ref(&writer).as_raw_fd());
        }
        let (reader, writer): (OwnedReadHalf, OwnedWriteHalf) = one.into_split();
        let (other_reader, other_writer) = other.into_split();
        let ReuniteError(reader, other_writer) = reader.reunite(other_writer).unwrap_err();
        let other = other_writer.reunite(other_reader).unwrap();
        let one = reader.reunite(writer).unwrap();
        let (mut reader, writer) = one.into_split();
        writer.forget();
        assert_eq!(other.try_read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(other);
        assert_eq!(reader.read(&mut buffer).await?, 0);
        Ok(())
    });
}

#[test]
fn hand_written_futures() {
    run(|path| async move {
        let unbound = UnixListener::bind(&path)?.local_addr()?;
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind_addr(&unbound)?;
        let mut client = UnixStream::connect(&path).await?;
        let (mut server, _) = poll_fn(|cx| listener.poll_accept(cx)).await?;
        let parts = [IoSlice::new(b"he"), IoSlice::new(b"llo")];
        assert!(client.is_write_vectored());
        assert_eq!(poll_fn(|cx| Pin::new(&mut client).poll_write_vectored(cx, &parts)).await?, 5);
        poll_fn(|cx| Pin::new(&mut client).poll_flush(cx)).await?;
        poll_fn(|cx| Pin::new(&mut client).poll_shutdown(cx)).await?;
        let mut bytes = [0; 8];
        let mut buffer = ReadBuf::new(&mut bytes);
        poll_fn(|cx| Pin::new(&mut server).poll_read(cx, &mut buffer)).await?;
        assert_eq!(buffer.filled(), b"hello");

        let (one, other) = UnixDatagram::pair()?;
        poll_fn(|cx| one.poll_send_ready(cx)).await?;
        assert_eq!(poll_fn(|cx| one.poll_send(cx, b"one")).await?, 3);
        poll_fn(|cx| other.poll_recv_ready(cx)).await?;
        buffer.clear();
        poll_fn(|cx| other.poll_recv(cx, &mut buffer)).await?;
        assert_eq!(buffer.filled(), b"one");
        let at = path.with_extension("datagram");
        let receiver = UnixDatagram::bind(&at)?;
        let sender = UnixDatagram::unbound()?;
        assert_eq!(poll_fn(|cx| sender.poll_send_to(cx, b"two", &at)).await?, 3);
        let from = poll_fn(|cx| {
            buffer.clear();
            let from = ready!(receiver.poll_recv_from(cx, &mut buffer));
            std::task::Poll::Ready(from)
        });
        assert_eq!(from.await?.as_pathname(), None);
        assert_eq!(bytes[..3], *b"two");
        Ok(())
    });
}

#[test]
fn datagrams() {
    run(|path| async move {
        let server = UnixDatagram::bind(&path)?;
        let at = path.with_extension("client");
        let client = UnixDatagram::bind(&at)?;
        client.connect(&path)?;
        assert_eq!(client.peer_addr()?.as_pathname(), Some(&*path));
        assert_eq!(client.local_addr()?.as_pathname(), Some(&*at));
        assert!(client.take_error()?.is_none());

        let mut buffer = [0; 64];
        assert_eq!(client.send(b"one").await?, 3);
        assert_eq!(server.recv(&mut buffer).await?, 3);
        client.writable().await?;
        assert_eq!(client.try_send(b"three")?, 5);
        server.readable().await?;
        assert_eq!(server.try_recv(&mut buffer)?, 5);
        assert_eq!(kind(server.try_recv(&mut buffer).unwrap_err()), ErrorKind::WouldBlock);
        client.ready(Interest::WRITABLE).await?;
        client.send(b"from").await?;
        let (len, from) = server.recv_from(&mut buffer).await?;
        assert_eq!((len, from.as_pathname()), (4, Some(&*at)));
        assert_eq!(server.send_to(b"to", &at).await?, 2);
        assert_eq!(server.try_send_to(b"to", &at)?, 2);
        client.readable().await?;
        assert_eq!(client.try_recv_from(&mut buffer)?.0, 2);
        let mut appended = Vec::with_capacity(64);
        assert_eq!(client.recv_buf_from(&mut appended).await?.0, 2);
        for _ in 0..3 {
            client.send(b"buf").await?;
        }
        assert_eq!(server.recv_buf(&mut appended).await?, 3);
        assert_eq!(server.try_recv_buf(&mut appended)?, 3);
        assert_eq!(server.try_recv_buf_from(&mut appended)?.0, 3);
        assert_eq!(appended, b"tobufbufbuf");
        client.try_send(b"io")?;
        let mut receive = || Ok(rustix::io::read(server.as_fd(), &mut buffer)?);
        assert_eq!(server.async_io(Interest::READABLE, &mut receive).await?, 2);
        let blocked = server.try_io(Interest::READABLE, receive);
        assert_eq!(blocked.unwrap_err().kind(), ErrorKind::WouldBlock);
        client.shutdown(Shutdown::Write)?;
        assert_eq!(kind(client.try_send(b"late").unwrap_err()), ErrorKind::BrokenPipe);
        Ok(())
    });
}

#[test]
fn from_std_and_back() {
    run(|path| async move {
        let (one, other) = std::os::unix::net::UnixStream::pair()?;
        one.set_nonblocking(true)?;
        other.set_nonblocking(true)?;
        let (one, other) = (UnixStream::from_std(one)?, UnixStream::try_from(other)?);
        one.writable().await?;
        one.try_write(b"ping")?;
        let other = other.into_std()?;
        other.set_nonblocking(false)?;
        assert_eq!(std::io::Read::read(&mut &other, &mut [0; 8])?, 4);

        let listener = std::os::unix::net::UnixListener::bind(&path)?;
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?.into_std()?;
        let listener = UnixListener::try_from(listener)?;
        assert_eq!(listener.local_addr()?.as_pathname(), Some(&*path));
        let (one, other) = std::os::unix::net::UnixDatagram::pair()?;
        one.set_nonblocking(true)?;
        other.set_nonblocking(true)?;
        let (one, other) = (UnixDatagram::from_std(one)?, UnixDatagram::try_from(other)?);
        one.into_std()?.send(b"ping")?;
        assert_eq!(other.recv(&mut [0; 8]).await?, 4);
        Ok(())
    });
}
