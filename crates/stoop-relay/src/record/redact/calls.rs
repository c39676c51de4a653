//! Credentials in messages of gRPC, which only their method tells: registries' logins, secrets of
//! builds, variables of containers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::protobuf::{Path, Protobuf};

/// A method, and the fields of its messages that are secrets.
#[derive(Debug)]
struct Method {
    path: &'static str,
    requests: &'static [Path],
    responses: &'static [Path],
}

/// Password, auth, identity token and registry token of AuthConfig.
const AUTH_CONFIG: &[Path] = &[&[2, 2], &[2, 3], &[2, 5], &[2, 6]];
/// The values of a container's variables.
const VARIABLES: &[Path] = &[&[2, 6, 2]];

const METHODS: &[Method] = &[
    Method { path: "/runtime.v1.ImageService/PullImage", requests: AUTH_CONFIG, responses: &[] },
    Method { path: "/runtime.v1alpha2.ImageService/PullImage", requests: AUTH_CONFIG, responses: &[] },
    Method { path: "/runtime.v1.RuntimeService/CreateContainer", requests: VARIABLES, responses: &[] },
    Method { path: "/runtime.v1alpha2.RuntimeService/CreateContainer", requests: VARIABLES, responses: &[] },
    Method { path: "/moby.filesync.v1.Auth/Credentials", requests: &[], responses: &[&[2]] },
    Method { path: "/moby.filesync.v1.Auth/FetchToken", requests: &[], responses: &[&[1]] },
    Method { path: "/moby.buildkit.secrets.v1.Secrets/GetSecret", requests: &[], responses: &[&[1]] },
    Method { path: "/etcdserverpb.Auth/Authenticate", requests: &[&[2]], responses: &[&[2]] },
    Method { path: "/etcdserverpb.Auth/UserAdd", requests: &[&[2]], responses: &[] },
    Method { path: "/etcdserverpb.Auth/UserChangePassword", requests: &[&[2]], responses: &[] },
];

/// Calls that are remembered. Few servers permit more at once.
const CALLS_MAX: usize = 4_000;

/// The calls of a connection whose messages have secrets, for both of its directions.
#[derive(Clone, Debug, Default)]
pub(super) struct Calls(Arc<Mutex<BTreeMap<u32, &'static Method>>>);

impl Calls {
    pub(super) fn begin(&self, stream: u32, path: &[u8]) {
        let Some(method) = METHODS.iter().find(|method| method.path.as_bytes() == path) else { return };
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.insert(stream, method);
        while calls.len() > CALLS_MAX {
            calls.pop_first();
        }
    }

    pub(super) fn end(&self, stream: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&stream);
    }

    /// Returns what judges the messages of a stream: of the requests, or of the responses.
    pub(super) fn messages(&self, stream: u32, are_requests: bool) -> Messages {
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |method: &&'static Method| if are_requests { method.requests } else { method.responses };
        Messages::new(calls.get(&stream).map(of).unwrap_or_default())
    }
}

/// The head of a message: whether it is compressed, and its length.
const HEAD_BYTES: usize = 5;

/// The messages of one direction of a call.
#[derive(Debug)]
pub(super) struct Messages {
    secrets: &'static [Path],
    head: Vec<u8>,
    /// What is left of the message.
    left: u32,
    is_compressed: bool,
    fields: Protobuf,
}

impl Messages {
    fn new(secrets: &'static [Path]) -> Messages {
        let fields = Protobuf::new(secrets);
        Messages { secrets, head: Vec::new(), left: 0, is_compressed: false, fields }
    }

    /// Returns whether the next byte belongs to the head of a message.
    pub(super) fn is_at_head(&self) -> bool {
        self.left == 0
    }

    /// Returns whether the next byte is part of a secret.
    pub(super) fn is_secret(&mut self, byte: u8) -> bool {
        if self.left > 0 {
            self.left -= 1;
            // What is compressed cannot be judged.
            return !self.secrets.is_empty() && (self.is_compressed || self.fields.is_secret(byte));
        }
        self.head.push(byte);
        if let [is_compressed, len @ ..] = &self.head[..]
            && let Ok(len) = <[u8; HEAD_BYTES - 1]>::try_from(len)
        {
            (self.is_compressed, self.left) = (*is_compressed != 0, u32::from_be_bytes(len));
            self.fields = Protobuf::new(self.secrets);
            self.head.clear();
        }
        false
    }
}
