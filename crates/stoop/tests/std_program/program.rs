// Included by `main.rs` once with the types of std, and once with those of stoop.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
#[allow(unused_imports, reason = "stoop's addresses have these methods without the trait")]
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(5);

pub fn run(directory: &Path) -> io::Result<()> {
    stream_pair()?;
    stream_timeouts()?;
    stream_shutdown()?;
    stream_handles()?;
    clients_of_a_listener(&directory.join("stream.sock"))?;
    iterating_over_a_listener(&directory.join("incoming.sock"))?;
    nonblocking_listener(&directory.join("nonblocking.sock"))?;
    abstract_listener()?;
    datagram_pair()?;
    datagrams_between_paths(directory)?;
    connected_datagrams(&directory.join("connected.sock"))?;
    unbound_datagrams(&directory.join("unbound.sock"))?;
    abstract_datagrams()?;
    errors(directory)
}

/// Returns the kind of an error of either library.
fn kind<T>(result: Result<T, impl Into<io::Error>>) -> ErrorKind {
    match result {
        Ok(_) => panic!("no error"),
        Err(error) => error.into().kind(),
    }
}

/// Returns an abstract name that no other test uses.
fn abstract_name(of: &str) -> io::Result<SocketAddr> {
    let (pid, module) = (std::process::id(), module_path!());
    SocketAddr::from_abstract_name(format!("stoop-std-program/{pid}/{module}/{of}"))
}

fn stream_pair() -> io::Result<()> {
    let (mut one, mut other) = UnixStream::pair()?;
    assert!(one.local_addr()?.is_unnamed() && one.peer_addr()?.is_unnamed());
    one.write_all(b"hello")?;
    let mut text = [0; 5];
    other.read_exact(&mut text)?;
    assert_eq!(&text, b"hello");

    // Shared references read and write as well, and several buffers at once.
    let (one, other) = (&one, &other);
    assert_eq!({ one }.write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"cd")])?, 4);
    let (mut first, mut second) = ([0; 1], [0; 8]);
    let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
    assert_eq!({ other }.read_vectored(&mut buffers)?, 4);
    assert_eq!((&first, &second[..3]), (b"a", &b"bcd"[..]));
    { one }.flush()?;
    assert!(one.take_error()?.is_none());
    Ok(())
}

fn stream_timeouts() -> io::Result<()> {
    let (mut one, _other) = UnixStream::pair()?;
    assert_eq!((one.read_timeout()?, one.write_timeout()?), (None, None));
    one.set_read_timeout(Some(SHORT))?;
    assert!(one.read_timeout()?.is_some_and(|timeout| timeout >= SHORT));
    assert_eq!(kind(one.read(&mut [0])), ErrorKind::WouldBlock);
    one.set_write_timeout(Some(SHORT))?;
    let bytes = vec![0; 16 << 20];
    while one.write(&bytes).is_ok() {}
    assert_eq!(kind(one.write(&bytes)), ErrorKind::WouldBlock);

    assert_eq!(kind(one.set_read_timeout(Some(Duration::ZERO))), ErrorKind::InvalidInput);
    assert_eq!(kind(one.set_write_timeout(Some(Duration::ZERO))), ErrorKind::InvalidInput);
    one.set_read_timeout(None)?;
    one.set_nonblocking(true)?;
    assert_eq!(kind(one.read(&mut [0])), ErrorKind::WouldBlock);
    one.set_nonblocking(false).map_err(io::Error::from)
}

fn stream_shutdown() -> io::Result<()> {
    let (mut one, mut other) = UnixStream::pair()?;
    one.write_all(b"last words")?;
    one.shutdown(Shutdown::Write)?;
    let mut text = String::new();
    other.read_to_string(&mut text)?;
    assert_eq!(text, "last words");
    assert_eq!(kind(one.write(b"x")), ErrorKind::BrokenPipe);
    other.write_all(b"reply")?;
    one.shutdown(Shutdown::Both)?;
    assert_eq!(kind(other.write(b"x")), ErrorKind::BrokenPipe);
    Ok(())
}

fn stream_handles() -> io::Result<()> {
    let (one, mut other) = UnixStream::pair()?;
    let mut copy = one.try_clone()?;
    assert_ne!(one.as_raw_fd(), copy.as_raw_fd());
    assert!(one.as_fd().try_clone_to_owned().is_ok());
    drop(one);
    copy.write_all(b"x")?;
    let owned = OwnedFd::from(copy);
    let again = UnixStream::try_from(owned).unwrap();
    assert!(format!("{again:?}").contains("fd"));
    let number = again.into_raw_fd();
    assert!(Path::new(&format!("/proc/self/fd/{number}")).exists());
    other.read_exact(&mut [0])
}

fn clients_of_a_listener(path: &Path) -> io::Result<()> {
    let listener = UnixListener::bind(path)?;
    let address = listener.local_addr()?;
    assert_eq!(address.as_pathname(), Some(path));
    assert!(!address.is_unnamed() && address.as_abstract_name().is_none());
    let mut client = UnixStream::connect(path)?;
    assert_eq!(client.peer_addr()?.as_pathname(), Some(path));
    client.write_all(b"hello")?;
    client.shutdown(Shutdown::Write)?;

    let second = listener.try_clone()?;
    let (mut server, from) = second.accept()?;
    assert!(from.is_unnamed());
    let mut text = String::new();
    server.read_to_string(&mut text)?;
    assert_eq!(text, "hello");
    assert!(listener.take_error()?.is_none());

    let by_address = UnixStream::connect_addr(&SocketAddr::from_pathname(path)?)?;
    let passed: UnixListener = UnixListener::try_from(OwnedFd::from(second)).unwrap();
    passed.accept()?;
    drop(by_address);
    Ok(())
}

fn iterating_over_a_listener(path: &Path) -> io::Result<()> {
    let listener = UnixListener::bind(path)?;
    let clients: Vec<UnixStream> = (0..3).map(|_| UnixStream::connect(path).unwrap()).collect();
    let threads: Vec<_> = listener
        .incoming()
        .take(2)
        .map(|stream| thread::spawn(move || stream.unwrap().write_all(b"served")))
        .collect();
    for stream in (&listener).into_iter().take(1) {
        stream?.write_all(b"served")?;
    }
    for mut client in clients {
        client.read_exact(&mut [0; 6])?;
    }
    threads.into_iter().try_for_each(|thread| thread.join().unwrap())
}

fn nonblocking_listener(path: &Path) -> io::Result<()> {
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    assert_eq!(kind(listener.accept()), ErrorKind::WouldBlock);
    let _client = UnixStream::connect(path)?;
    let (stream, _) = listener.accept()?;
    stream.set_read_timeout(Some(SHORT))?;
    assert_eq!(kind((&stream).read(&mut [0])), ErrorKind::WouldBlock);
    Ok(())
}

fn abstract_listener() -> io::Result<()> {
    let address = abstract_name("listener")?;
    let listener = UnixListener::bind_addr(&address)?;
    assert_eq!(listener.local_addr()?.as_abstract_name(), address.as_abstract_name());
    let _client = UnixStream::connect_addr(&address)?;
    listener.accept()?;
    Ok(())
}

fn datagram_pair() -> io::Result<()> {
    let (one, other) = UnixDatagram::pair()?;
    assert_eq!(one.send(b"hello")?, 5);
    let mut buffer = [0; 16];
    assert_eq!(other.recv(&mut buffer)?, 5);
    assert_eq!(&buffer[..5], b"hello");
    other.set_nonblocking(true)?;
    assert_eq!(kind(other.recv(&mut buffer)), ErrorKind::WouldBlock);
    let copy = UnixDatagram::try_from(OwnedFd::from(one.try_clone()?)).unwrap();
    assert_ne!(copy.as_raw_fd(), one.as_raw_fd());
    assert!(copy.take_error()?.is_none());
    copy.shutdown(Shutdown::Write)?;
    assert_eq!(kind(one.send(b"x")), ErrorKind::BrokenPipe);
    Ok(())
}

fn datagrams_between_paths(directory: &Path) -> io::Result<()> {
    let (at, from) = (directory.join("server.sock"), directory.join("client.sock"));
    let server = UnixDatagram::bind(&at)?;
    let client = UnixDatagram::bind(&from)?;
    assert_eq!(client.local_addr()?.as_pathname(), Some(&*from));
    assert_eq!(client.send_to(b"question", &at)?, 8);
    let mut buffer = [0; 16];
    let (len, sender) = server.recv_from(&mut buffer)?;
    assert_eq!((&buffer[..len], sender.as_pathname()), (&b"question"[..], Some(&*from)));
    assert_eq!(server.send_to_addr(b"reply", &sender)?, 5);
    assert_eq!(client.recv(&mut buffer)?, 5);

    server.set_read_timeout(Some(SHORT))?;
    assert!(server.read_timeout()?.is_some());
    assert_eq!(kind(server.recv_from(&mut buffer)), ErrorKind::WouldBlock);
    server.set_write_timeout(Some(SHORT))?;
    assert!(server.write_timeout()?.is_some());
    Ok(())
}

fn connected_datagrams(path: &Path) -> io::Result<()> {
    let server = UnixDatagram::bind(path)?;
    let client = UnixDatagram::unbound()?;
    client.connect(path)?;
    assert_eq!(client.peer_addr()?.as_pathname(), Some(path));
    assert_eq!(client.send(b"hello")?, 5);
    assert_eq!(server.recv(&mut [0; 8])?, 5);
    Ok(())
}

fn unbound_datagrams(path: &Path) -> io::Result<()> {
    let server = UnixDatagram::bind(path)?;
    let client = UnixDatagram::unbound()?;
    assert!(client.local_addr()?.is_unnamed());
    assert_eq!(kind(client.peer_addr()), ErrorKind::NotConnected);
    client.send_to(b"anonymous", path)?;
    let (len, sender) = server.recv_from(&mut [0; 16])?;
    assert!(len == 9 && sender.is_unnamed());
    Ok(())
}

fn abstract_datagrams() -> io::Result<()> {
    let address = abstract_name("datagrams")?;
    let server = UnixDatagram::bind_addr(&address)?;
    let client = UnixDatagram::unbound()?;
    client.connect_addr(&address)?;
    client.send(b"hello")?;
    assert_eq!(server.recv(&mut [0; 8])?, 5);
    Ok(())
}

fn errors(directory: &Path) -> io::Result<()> {
    let missing = directory.join("missing.sock");
    assert_eq!(kind(UnixStream::connect(&missing)), ErrorKind::NotFound);
    assert_eq!(kind(UnixDatagram::unbound()?.send_to(b"x", &missing)), ErrorKind::NotFound);
    let listener = UnixListener::bind(directory.join("taken.sock"))?;
    assert_eq!(kind(UnixListener::bind(directory.join("taken.sock"))), ErrorKind::AddrInUse);
    assert_eq!(kind(UnixDatagram::bind(directory.join("taken.sock"))), ErrorKind::AddrInUse);
    drop(listener);
    let (one, other) = UnixStream::pair()?;
    drop(other);
    assert_eq!(kind((&one).write(b"x")), ErrorKind::BrokenPipe);
    Ok(())
}
