//! `stoop http`: a request over a Unix socket, and its response as it arrives.
//!
//! | file | does |
//! |---|---|
//! | `args.rs`, `curl_args.rs`, `data_args.rs` | its flags |
//! | `command_line.rs` | command lines as they are typed for curl |
//! | `run.rs` | sends the request, and receives the response |
//! | `retry.rs`, `redirect.rs` | which request follows |
//! | `request.rs` | creates a request from the flags |
//! | `target.rs`, `headers.rs` | its method, path and headers |
//! | `header_line.rs`, `form_field.rs`, `percent.rs` | curl's notations: pure |
//! | `data.rs`, `form.rs` | the body that the flags describe |
//! | `body.rs` | the body as it is sent: texts and files as they are read |
//! | `head.rs` | the head of a response, as the server sent it |
//! | `render.rs` | prints the response in the required form |
//! | `decode.rs` | decompresses a body as it arrives |
//! | `indent.rs` | indents JSON as it arrives |
//! | `transfer.rs`, `write_out.rs` | what is printed after the response |
//! | `streams.rs` | demultiplexes Docker's streams |
//! | `docker.rs` | Docker's errors in a stream, and its processes |
//! | `upgrade.rs` | both directions after an upgrade |
//! | `process.rs` | the terminal's size and the exit code of a process of Docker |
//! | `error.rs` | errors, explained |

pub(crate) mod args;
mod body;
pub(crate) mod command_line;
mod curl_args;
mod data;
mod data_args;
mod decode;
mod docker;
mod error;
mod form;
mod form_field;
mod head;
mod header_line;
mod headers;
mod indent;
mod percent;
mod process;
mod redirect;
mod render;
mod request;
mod retry;
mod run;
mod streams;
mod target;
mod transfer;
mod upgrade;
mod write_out;

pub(super) use run::run;
