//! Clients of a guard that come with TLS: a relay of this process accepts them, and connects each
//! to the guard from an address that stands for the names in its certificate.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use stoop::{Address, Bind, Connect, Listener, Policy, Stream};
use stoop_relay::{Caller, Event as Happened, Running};

use super::args::Relay;
use super::report;
use super::wire::Wire;
use crate::failure::Failure;
use crate::output::{ErrorLog, Output};

/// How long connecting to the guard may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The relay in front of a guard.
pub(super) struct Named {
    running: Running,
    names: Names,
}

/// Accepts TLS clients. Returns the listener that the guard serves, and where it is listened at.
pub(super) fn listen(
    wire: &Wire,
    flags: &Relay,
    output: Output,
    errors: &Arc<ErrorLog>,
) -> Result<(Named, Listener<Stream>, String), Failure> {
    let failed = |error| Failure::io("start the relay in front of the guard", &error);
    let names = Names::new();
    // Other users cannot connect to it, and others of this user are no clients of the guard.
    let bind = Bind::new(&names.guard().map_err(failed)?).policy(Policy::same_user());
    let listener: Listener<Stream> = bind.listen()?;
    let (front, place) = wire.front(&flags.wire)?;
    let (its_names, ended, errors) = (names.clone(), names.clone(), Arc::clone(errors));
    let server = stoop_relay::Server::custom(move |caller| its_names.connect(caller));
    let relay = stoop_relay::Relay::to(server).descriptors(false).on_event(move |happened| {
        match &happened {
            Happened::Closed { number, .. } => return ended.forget(*number),
            Happened::Unreached { number, .. } => ended.forget(*number),
            // The guard reports its requests.
            Happened::Accepted { .. } => return,
            _ => {}
        }
        report::report(happened, output, &errors);
    });
    let running = relay.start(front).map_err(failed)?;
    Ok((Named { running, names }, listener, place))
}

impl Named {
    /// Returns what knows the names behind an address.
    pub(super) fn lookup(&self) -> impl Fn(&Address) -> Option<Vec<String>> + Send + Sync + 'static {
        let names = self.names.clone();
        move |address| names.behind(address)
    }

    /// Accepts no more clients, and waits on a thread of its own until those that are here have
    /// ended.
    pub(super) fn stop(self, grace: Duration) -> io::Result<JoinHandle<()>> {
        thread::Builder::new().name("stop".into()).spawn(move || _ = self.running.stop(grace))
    }
}

/// The names of the clients that are connected.
#[derive(Clone)]
struct Names {
    /// Begins the abstract names of the guard's listener and of the clients' sockets.
    prefix: Arc<str>,
    clients: Arc<Mutex<HashMap<u64, Vec<String>>>>,
}

impl Names {
    fn new() -> Names {
        let random = || RandomState::new().hash_one(0);
        let prefix = format!("stoop-guard-{:016x}{:016x}-", random(), random());
        Names { prefix: prefix.into(), clients: Arc::default() }
    }

    fn address(&self, of: &str) -> io::Result<Address> {
        Address::abstract_name(format!("{}{of}", self.prefix)).map_err(io::Error::other)
    }

    fn guard(&self) -> io::Result<Address> {
        self.address("guard")
    }

    /// Connects a client to the guard.
    fn connect(&self, caller: &Caller<'_>) -> io::Result<Stream> {
        let own = self.address(&caller.number.to_string())?;
        self.clients().insert(caller.number, caller.names.to_vec());
        let connect = Connect::new(&self.guard()?).bind(&own).timeout(CONNECT_TIMEOUT);
        Ok(connect.stream()?)
    }

    fn behind(&self, address: &Address) -> Option<Vec<String>> {
        let name = std::str::from_utf8(address.as_abstract_name()?).ok()?;
        let number = name.strip_prefix(&*self.prefix)?.parse().ok()?;
        self.clients().get(&number).cloned()
    }

    fn forget(&self, number: u64) {
        self.clients().remove(&number);
    }

    fn clients(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Vec<String>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_stands_for_names_as_long_as_its_client_is_connected() {
        let (names, others) = (Names::new(), Names::new());
        names.clients().insert(7, vec!["ci.example".into()]);
        let seven = names.address("7").unwrap();
        assert_eq!(names.behind(&seven), Some(vec!["ci.example".to_owned()]));
        for stranger in ["8", "07x", "", "guard"] {
            assert_eq!(names.behind(&names.address(stranger).unwrap()), None, "{stranger}");
        }
        assert_eq!(names.behind(&others.address("7").unwrap()), None);
        assert_eq!(names.behind(&Address::path("/run/7").unwrap()), None);
        names.forget(7);
        assert_eq!(names.behind(&seven), None);
    }
}
