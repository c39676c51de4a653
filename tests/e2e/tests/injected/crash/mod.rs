//! `kill -9` at each system call.

mod hand_over;
mod interpose;
mod replace;
mod serve;

use rustix::process::Signal;
use stoop_testkit::Injector;

/// Leaves out the startup of a program: the loader, the language's runtime.
pub(crate) fn begin_with_signals(injector: &Injector) {
    let terminate = Signal::TERM.as_raw() as u64;
    injector.begin_when(move |call| call.name == "rt_sigaction" && call.arguments[0] == terminate);
}

/// Tells the server to shut down once it has announced itself and waits for clients.
fn end_when_it_waits(injector: &Injector) {
    let mut announced = false;
    injector.signal_at(Signal::TERM, move |call| {
        announced |= call.name == "write" && call.arguments[0] == 2;
        announced && ["poll", "ppoll"].contains(&call.name)
    });
}
