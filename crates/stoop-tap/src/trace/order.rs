//! Calls of several threads, in the order in which they can have happened. Pure.
//!
//! The thread that sends may report the return of its call after another one has received the
//! answer. So what a socket receives waits while calls that send with it have not returned, but not
//! for long: such a call may wait until its peer reads.

use std::collections::HashMap;

use super::flows::Observed;

/// How long a call waits for others, in nanoseconds.
const PATIENCE_NS: u64 = 50_000_000;

/// Calls that wait for others.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// How many calls that send have not returned, by socket.
    sending: HashMap<u32, usize>,
    held: Vec<Observed>,
}

impl Order {
    /// A call begins that sends with this socket.
    pub(super) fn begins(&mut self, inode: u32) {
        *self.sending.entry(inode).or_default() += 1;
    }

    /// Such a call has returned, perhaps with a result. Returns what can be shown.
    pub(super) fn returns(&mut self, inode: u32, observed: Option<Observed>) -> Vec<Observed> {
        let mut ready: Vec<Observed> = observed.into_iter().collect();
        let left = self.sending.get(&inode).map_or(0, |count| count.saturating_sub(1));
        if left > 0 {
            self.sending.insert(inode, left);
            return ready;
        }
        self.sending.remove(&inode);
        ready.extend(self.release(|held| held.socket.inode == inode));
        ready
    }

    /// Another call has returned. Returns it if it can be shown.
    pub(super) fn take(&mut self, observed: Observed) -> Option<Observed> {
        if self.sending.contains_key(&observed.socket.inode) {
            self.held.push(observed);
            return None;
        }
        Some(observed)
    }

    /// Returns the calls that have waited for long enough.
    pub(super) fn give_up(&mut self, now_ns: u64) -> Vec<Observed> {
        self.release(|held| held.time_ns.saturating_add(PATIENCE_NS) <= now_ns)
    }

    fn release(&mut self, is_ready: impl Fn(&Observed) -> bool) -> Vec<Observed> {
        let (ready, held) = std::mem::take(&mut self.held).into_iter().partition(is_ready);
        self.held = held;
        ready
    }
}

#[cfg(test)]
mod tests {
    use stoop_bpf::SocketKind;

    use super::super::call::Act;
    use super::super::flows::Socket;
    use super::*;

    fn call(inode: u32, time_ns: u64, act: Act) -> Observed {
        let socket = Socket { inode, kind: SocketKind::STREAM, peer: None, name: None, peer_name: None };
        Observed { time_ns, process: (1, Vec::new()), socket, act, result: Ok(Vec::new()) }
    }

    fn times(calls: &[Observed]) -> Vec<u64> {
        calls.iter().map(|call| call.time_ns).collect()
    }

    #[test]
    fn an_answer_follows_what_was_sent() {
        let mut order = Order::default();
        order.begins(7);
        order.begins(7);
        assert!(order.take(call(7, 3, Act::Receive)).is_none());
        assert!(order.take(call(8, 4, Act::Receive)).is_some(), "another socket");
        assert_eq!(times(&order.returns(7, Some(call(7, 1, Act::Send)))), [1]);
        assert_eq!(times(&order.returns(7, Some(call(7, 2, Act::Send)))), [2, 3]);
        assert!(order.take(call(7, 5, Act::Receive)).is_some());
    }

    #[test]
    fn it_does_not_wait_for_a_call_that_waits() {
        let mut order = Order::default();
        order.begins(7);
        assert!(order.take(call(7, 3, Act::Receive)).is_none());
        assert!(order.give_up(PATIENCE_NS).is_empty());
        assert_eq!(times(&order.give_up(PATIENCE_NS + 3)), [3]);
        assert!(order.returns(7, None).is_empty());
    }
}
