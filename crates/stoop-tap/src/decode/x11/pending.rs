//! Requests that the server has not answered so far. Pure.

use std::collections::VecDeque;

use crate::decode::line::Call;

/// More than a client may send without an answer: numbers have 16 bits.
const REQUESTS_MAX: usize = 1 << 16;

/// A request of the client.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) call: Call,
    /// The name that it asks for.
    pub(super) argument: Option<String>,
}

impl Request {
    pub(super) fn new(call: Call) -> Request {
        Request { call, argument: None }
    }
}

/// Requests in their order. The server answers in that order, and many not at all.
#[derive(Debug, Default)]
pub(super) struct Pending {
    requests: VecDeque<Request>,
    /// The number of the first of them: that of the set-up is 0.
    first: u64,
}

impl Pending {
    pub(super) fn push(&mut self, request: Request) {
        if self.requests.len() >= REQUESTS_MAX {
            self.requests.pop_front();
            self.first += 1;
        }
        self.requests.push_back(request);
    }

    /// The set-up was answered. Returns its call.
    pub(super) fn setup(&mut self) -> Option<Call> {
        let setup = self.requests.pop_front().filter(|_| self.first == 0)?;
        self.first += 1;
        Some(setup.call)
    }

    /// The server has come to the request of this number: it does not answer those before.
    pub(super) fn reached(&mut self, number: u16) {
        let next = self.first + self.requests.len() as u64;
        // The last one whose number ends like this.
        let Some(last) = next.checked_sub(1) else { return };
        let number = last.saturating_sub(u64::from((last as u16).wrapping_sub(number)));
        let passed = number.saturating_sub(self.first).min(self.requests.len() as u64);
        self.requests.drain(..passed as usize);
        self.first += passed;
    }

    /// Returns the request of this number, if it waits for an answer.
    pub(super) fn waits(&mut self, number: u16) -> Option<&Request> {
        self.reached(number);
        self.requests.front().filter(|_| self.first as u16 == number)
    }

    /// Returns what the request of this number asks for, if it waits for an answer.
    pub(super) fn method_of(&self, number: u16) -> Option<&str> {
        let at = number.wrapping_sub(self.first as u16);
        self.requests.get(usize::from(at)).map(|request| request.call.method.as_str())
    }

    /// Takes the request of this number: it is answered.
    pub(super) fn answered(&mut self, number: u16) -> Option<Request> {
        self.waits(number)?;
        self.first += 1;
        self.requests.pop_front()
    }
}
