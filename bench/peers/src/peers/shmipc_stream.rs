//! shmipc: shared memory, announced over a stream, driven by tokio; with its defaults except for
//! the size of the memory.

use std::os::unix::net::SocketAddr;
use std::time::Duration;

use shmipc::buffer::BufferReader;
use shmipc::config::{Config, SizePercentPair};
use shmipc::consts::MemMapType;
use shmipc::session::{SessionManager, SessionManagerConfig};
use shmipc::stream::Stream;
use shmipc::transport::{DefaultUnixConnect, DefaultUnixListen};
use shmipc::{Error, Listener};

use crate::Result;
use crate::link::Link;
use crate::role::Role;

pub struct Shared {
    stream: Stream,
    message_bytes: usize,
    // A session ends with its manager.
    _manager: Option<SessionManager<DefaultUnixConnect>>,
}

fn config(role: &Role) -> SessionManagerConfig {
    let mut sessions = SessionManagerConfig::new().with_session_num(1);
    let config: &mut Config = sessions.config_mut();
    config.mem_map_type = MemMapType::MemMapTypeMemFd;
    config.share_memory_buffer_cap = 128 << 20;
    config.buffer_slice_sizes = vec![
        SizePercentPair { size: role.message_bytes as u32 + 256, percent: 80 },
        SizePercentPair { size: (64 << 10) + 256, percent: 20 },
    ];
    sessions
}

impl Link for Shared {
    type Listener = Listener;

    fn run<T>(work: impl Future<Output = T>) -> T {
        super::tokio_stream::block_on(work)
    }

    async fn listen(role: &Role) -> Result<Listener> {
        let address = SocketAddr::from_pathname(&role.path)?;
        Ok(Listener::new(DefaultUnixListen, address, config(role).config().clone()).await?)
    }

    async fn accept(listener: &mut Listener, role: &Role) -> Result<Self> {
        Ok(Self { stream: listener.accept().await?, message_bytes: role.message_bytes, _manager: None })
    }

    async fn connect(role: &Role) -> Result<Self> {
        let address = SocketAddr::from_pathname(&role.path)?;
        let manager = SessionManager::new(config(role), DefaultUnixConnect, address).await?;
        Ok(Self { stream: manager.get_stream()?, message_bytes: role.message_bytes, _manager: Some(manager) })
    }

    async fn send(&mut self, message: &[u8]) -> Result<()> {
        while let Err(error) = self.stream.write_bytes(message) {
            match error {
                Error::NoMoreBuffer => tokio::time::sleep(Duration::from_micros(1)).await,
                error => return Err(error.into()),
            }
        }
        while let Err(error) = self.stream.flush(false).await {
            match error {
                Error::QueueFull => tokio::time::sleep(Duration::from_micros(1)).await,
                error => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let looked = look(&self.stream.read_exact_bytes(self.message_bytes).await?);
        self.stream.recv_buf().release_previous_read();
        Ok(looked)
    }
}
