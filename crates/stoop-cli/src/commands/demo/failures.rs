//! Shows what is reported when something cannot work. Two more cases are in their own sections: a
//! stale file, and missing permissions.

use super::render::Transcript;
use super::sandbox::Sandbox;
use crate::exit::Exit;
use crate::failure::Failure;

/// A client without a server, a client of the wrong kind, and a server without a directory.
pub(super) fn explained(sandbox: &Sandbox, transcript: &mut Transcript) -> Result<(), Failure> {
    transcript.text("What failed, why, what was observed, and a command to run next.")?;
    let ran = sandbox.run(transcript, &["connect", "nobody.sock"], "")?;
    transcript.check(ran.explains(Exit::Failed), "a client without a server")?;

    let _server = sandbox.serve(transcript, &["dgram:bell.sock"])?;
    let ran = sandbox.run(transcript, &["connect", "stream:bell.sock"], "")?;
    let both = ran.stderr.contains("stream") && ran.stderr.contains("datagram");
    transcript.check(
        ran.explains(Exit::Failed) && both,
        "a stream client of a datagram server: both kinds are named",
    )?;

    let ran = sandbox.run(transcript, &["serve", "no/such/place.sock"], "")?;
    let named = ran.stderr.contains("'no'") || ran.stderr.contains("no/such");
    transcript.check(
        ran.explains(Exit::Failed) && named,
        "a server in a missing directory: the missing part is named",
    )?;
    transcript.suggest("stoop connect ./any.sock --wait 10s    # the server may start later")
}
