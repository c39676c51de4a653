//! Shows what is reported when something cannot work. Two more cases are in their own sections: a
//! stale file, and missing permissions.

use super::paper::Paper;
use super::stage::Stage;
use crate::exit::Exit;
use crate::failure::Failure;

/// A client without a server, a client of the wrong kind, and a server without a directory.
pub(super) fn explained(stage: &Stage, paper: &mut Paper) -> Result<(), Failure> {
    paper.text("What failed, why, what was seen, and a command that can be run next.")?;
    let ran = stage.run(paper, &["connect", "nobody.sock"], "")?;
    paper.check(ran.explains(Exit::Failed), "only a client was started")?;

    let _server = stage.serve(paper, &["dgram:bell.sock"])?;
    let ran = stage.run(paper, &["connect", "stream:bell.sock"], "")?;
    let both = ran.stderr.contains("stream") && ran.stderr.contains("datagram");
    paper.check(
        ran.explains(Exit::Failed) && both,
        "a stream client on a datagram server: both kinds named",
    )?;

    let ran = stage.run(paper, &["serve", "no/such/place.sock"], "")?;
    let named = ran.stderr.contains("'no'") || ran.stderr.contains("no/such");
    paper.check(
        ran.explains(Exit::Failed) && named,
        "a server where there is no directory: which one is missing",
    )?;
    paper.invite("stoop connect ./any.sock --wait 10s    # a server may come later")
}
