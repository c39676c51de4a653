//! The workload of `work.rs` in tasks of tokio, with stoop's frames and with tokio-util's codec.

use std::io;
use std::path::Path;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use stoop::frame::Native;
use stoop::{Bind, SocketExt, aio};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use crate::work::{Plan, RECEIPT, Timing, Watch, check, fill, number};

/// Runs a role on a runtime of this thread.
pub fn run(
    is_stoop: bool,
    serves: bool,
    path: &Path,
    send_buffer: Option<usize>,
    plan: &Plan,
) -> io::Result<Timing> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match (is_stoop, serves) {
            (true, true) => {
                let listener = aio::Listener::try_from(Bind::new(path).listen()?)?;
                println!("ready");
                receive_frames(listener.accept().await?.0, plan).await
            }
            (true, false) => send_frames(aio::Stream::connect(path).await?, send_buffer, plan).await,
            (false, true) => {
                let listener = UnixListener::bind(path)?;
                println!("ready");
                receive_items(listener.accept().await?.0, plan).await
            }
            (false, false) => send_items(UnixStream::connect(path).await?, send_buffer, plan).await,
        }
    })
}

/// Runs a role for the untimed messages, and then for the timed ones.
async fn both(plan: &Plan, mut phase: impl AsyncFnMut(u64, u64) -> io::Result<()>) -> io::Result<Timing> {
    phase(0, plan.warmup).await?;
    let watch = Watch::start();
    phase(plan.warmup, plan.end()).await?;
    Ok(watch.stop())
}

async fn receive_frames(stream: aio::Stream, plan: &Plan) -> io::Result<Timing> {
    let mut reader = aio::FrameReader::new(&stream, Native);
    both(plan, async |from, to| {
        for n in from..to {
            check(reader.next().await?.ok_or(io::ErrorKind::UnexpectedEof)?, n, plan)?;
        }
        (&stream).write_all(&[RECEIPT]).await
    })
    .await
}

async fn send_frames(stream: aio::Stream, send_buffer: Option<usize>, plan: &Plan) -> io::Result<Timing> {
    if let Some(bytes) = send_buffer {
        stream.set_send_buffer_bytes(bytes)?;
    }
    let mut writer = aio::FrameWriter::new(&stream, Native);
    let mut message = fill(plan);
    both(plan, async |from, to| {
        for n in from..to {
            number(&mut message, n);
            writer.send(&message).await?;
        }
        writer.flush().await?;
        (&stream).read_exact(&mut [0]).await.map(drop)
    })
    .await
}

fn framed(stream: UnixStream) -> Framed<UnixStream, LengthDelimitedCodec> {
    LengthDelimitedCodec::builder().little_endian().new_framed(stream)
}

async fn receive_items(stream: UnixStream, plan: &Plan) -> io::Result<Timing> {
    let mut framed = framed(stream);
    both(plan, async |from, to| {
        for n in from..to {
            check(&framed.next().await.ok_or(io::ErrorKind::UnexpectedEof)??, n, plan)?;
        }
        framed.get_mut().write_all(&[RECEIPT]).await
    })
    .await
}

async fn send_items(stream: UnixStream, send_buffer: Option<usize>, plan: &Plan) -> io::Result<Timing> {
    if let Some(bytes) = send_buffer {
        rustix::net::sockopt::set_socket_send_buffer_size(&stream, bytes)?;
    }
    let mut framed = framed(stream);
    let mut message = fill(plan);
    both(plan, async |from, to| {
        for n in from..to {
            number(&mut message, n);
            // It takes owned messages.
            framed.feed(Bytes::copy_from_slice(&message)).await?;
        }
        SinkExt::<Bytes>::flush(&mut framed).await?;
        framed.get_mut().read_exact(&mut [0]).await.map(drop)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_libraries_pass_every_message() {
        for is_stoop in [true, false] {
            for message_bytes in crate::work::SIZES {
                let dir = tempfile::tempdir().unwrap();
                let path = &dir.path().join("socket");
                let plan = &Plan { message_bytes, messages: 20, warmup: 3, reads_all: true };
                std::thread::scope(|scope| {
                    let server = scope.spawn(move || run(is_stoop, true, path, None, plan));
                    let connect = || run(is_stoop, false, path, Some(1 << 20), plan);
                    let is_early = |error: &io::Error| {
                        matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
                    };
                    let done =
                        std::iter::repeat_with(connect).find(|done| !done.as_ref().is_err_and(is_early));
                    done.expect("it repeats").unwrap();
                    server.join().unwrap().unwrap();
                });
            }
        }
    }
}
