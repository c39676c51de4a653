//! POSIX message queues.

use nix::errno::Errno;
use nix::mqueue::{MQ_OFlag, MqAttr, MqdT, mq_open, mq_send, mq_timedreceive};
use nix::sys::stat::Mode;
use nix::sys::time::TimeSpec;
use rustix::time::{ClockId, clock_gettime};

use super::link::{Ends, Link, PEER_TIMEOUT, QueueNames, UniqueNames, Wire};
use crate::commands::bench::error::{Error, Result};

/// The capacity of one queue in bytes, which counts against a limit of the user (`ulimit -q`).
const QUEUE_BYTES: usize = 256 << 10;

/// The maximum number of messages in an ordinary user's queue by default.
const MESSAGES: usize = 10;

pub(super) fn queues(unique: &UniqueNames, size: usize) -> Result<Link> {
    let [there, back] = [unique.name(), unique.name()].map(|name| format!("/{name}"));
    let names = QueueNames::new([&there, &back]);
    for name in [&there, &back] {
        make(name, size)?;
    }
    let ends =
        |receive: &String, send: &String| Ends::passed(Some((receive.clone(), send.clone())), Vec::new());
    Ok(Link { ours: ends(&back, &there), theirs: ends(&there, &back), names: Some(names) })
}

fn make(name: &str, size: usize) -> Result<()> {
    let messages = (QUEUE_BYTES / size).clamp(1, MESSAGES);
    let number = |number: usize| number.try_into().unwrap_or(i64::MAX);
    let attributes = MqAttr::new(0, number(messages), number(size), 0);
    let flags = MQ_OFlag::O_CREAT | MQ_OFlag::O_EXCL | MQ_OFlag::O_RDWR | MQ_OFlag::O_CLOEXEC;
    let limited = |what: &str| Error::NotMeasured(what.into());
    match mq_open(name, flags, Mode::S_IRUSR | Mode::S_IWUSR, Some(&attributes)) {
        Ok(queue) => Ok(nix::mqueue::mq_close(queue)?),
        Err(Errno::EINVAL) => Err(limited("larger than fs.mqueue.msgsize_max allows")),
        Err(Errno::EMFILE) => Err(limited("more than the limit on queues (ulimit -q) allows")),
        Err(Errno::ENOSYS) => Err(limited("this kernel has no POSIX message queues")),
        Err(errno) => Err(errno.into()),
    }
}

pub(super) fn open(ends: Ends) -> Result<Box<dyn Wire>> {
    let (receive, send) = ends.names.ok_or_else(|| Error::failed("a queue arrived without its name"))?;
    let queue = |name: &str, flag| mq_open(name, flag | MQ_OFlag::O_CLOEXEC, Mode::empty(), None);
    let (receive, send) = (queue(&receive, MQ_OFlag::O_RDONLY)?, queue(&send, MQ_OFlag::O_WRONLY)?);
    Ok(Box::new(Queues { receive, send }))
}

/// A queue to receive from and another to send to. Closed when the process exits, which for the
/// measuring one is soon.
struct Queues {
    receive: MqdT,
    send: MqdT,
}

impl Wire for Queues {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        Ok(mq_send(&self.send, message, 0)?)
    }

    fn receive<'a>(&'a mut self, room: &'a mut [u8]) -> Result<&'a [u8]> {
        let now = clock_gettime(ClockId::Realtime);
        let limit = TimeSpec::new(now.tv_sec + PEER_TIMEOUT.as_secs() as i64, now.tv_nsec);
        let len = mq_timedreceive(&self.receive, room, &mut 0, &limit)?;
        Ok(&room[..len])
    }
}
