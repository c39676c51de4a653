//! Connections between a virtual machine and its host.

use std::io;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

const BACKLOG: i32 = 128;

pub(crate) fn connect(cid: u32, port: u32, limit: Duration) -> io::Result<Socket> {
    let socket = Socket::new(Domain::VSOCK, Type::STREAM, None)?;
    socket.connect_timeout(&SockAddr::vsock(cid, port), limit)?;
    Ok(socket)
}

pub(crate) fn listen(cid: u32, port: u32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::VSOCK, Type::STREAM, None)?;
    socket.bind(&SockAddr::vsock(cid, port))?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}
