//! `stoop complete`: the values that may follow on a command line. The scripts of
//! `stoop completions` call it each time the user asks for a completion.
//!
//! | file | does |
//! |---|---|
//! | `args.rs` | its flags |
//! | `run.rs` | prints candidates, within a time limit |
//! | `slot.rs` | what is being completed: a verb, a flag, or the value of an argument. Pure |
//! | `class.rs` | which values an argument takes. Pure |
//! | `values.rs` | the candidates of each class |
//! | `machine.rs` | what the machine offers: files, processes, users, units |
//! | `sockets.rs` | candidates for addresses: files, and names in the kernel's table |
//! | `limits.rs` | how long a completion may take |
//! | `live.rs` | asks the server that was typed, within a short time |
//! | `methods.rs` | candidates for gRPC: services and methods of a server |
//! | `runtime.rs` | candidates for `cri`: containers, pods and images |
//! | `requests.rs` | candidates for HTTP: paths of a service, and names that it knows |
//! | `paths.rs` | paths of well-known services. Pure |
//! | `bash.rs` | splitting and quoting as bash does. Pure |

pub(crate) mod args;
mod bash;
mod class;
mod limits;
#[cfg(any(feature = "grpc", feature = "http"))]
mod live;
mod machine;
#[cfg(feature = "grpc")]
mod methods;
#[cfg(feature = "http")]
mod paths;
#[cfg(feature = "http")]
mod requests;
mod run;
#[cfg(feature = "grpc")]
mod runtime;
mod slot;
mod sockets;
mod values;

pub(super) use run::run;
