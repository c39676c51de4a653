//! iceoryx2: shared memory, one service per direction, polled without a pause.

use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;

use crate::Result;
use crate::link::Link;
use crate::role::Role;

/// The maximum number of messages in flight.
const QUEUE: usize = 64;

pub struct Ports {
    publisher: Publisher<ipc::Service, [u8], ()>,
    subscriber: Subscriber<ipc::Service, [u8], ()>,
    // The services live as long as their node.
    _node: Node<ipc::Service>,
}

impl Ports {
    fn open(role: &Role) -> Result<Self> {
        set_log_level(LogLevel::Error);
        let node = NodeBuilder::new().create::<ipc::Service>()?;
        let name = role.path.to_string_lossy().replace('/', "_");
        let service = |direction| -> Result<_> {
            let builder = node.service_builder(&format!("{name}.{direction}").as_str().try_into()?);
            let builder = builder.publish_subscribe::<[u8]>().enable_safe_overflow(false);
            Ok(builder.subscriber_max_buffer_size(QUEUE).open_or_create()?)
        };
        let (ours, theirs) = if role.serves { ("back", "forth") } else { ("forth", "back") };
        let publisher = service(ours)?
            .publisher_builder()
            .initial_max_slice_len(role.message_bytes)
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()?;
        let subscriber = service(theirs)?.subscriber_builder().create()?;
        Ok(Self { publisher, subscriber, _node: node })
    }
}

impl Link for Ports {
    type Listener = Option<Self>;

    async fn listen(role: &Role) -> Result<Option<Self>> {
        Ok(Some(Self::open(role)?))
    }

    async fn accept(listener: &mut Option<Self>, _: &Role) -> Result<Self> {
        Ok(listener.take().ok_or("it serves one client")?)
    }

    async fn connect(role: &Role) -> Result<Self> {
        Self::open(role)
    }

    async fn send(&mut self, message: &[u8]) -> Result<()> {
        self.publisher.loan_slice_uninit(message.len())?.write_from_slice(message).send()?;
        Ok(())
    }

    async fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        loop {
            if let Some(sample) = self.subscriber.receive()? {
                return Ok(look(sample.payload()));
            }
            std::hint::spin_loop();
        }
    }
}
