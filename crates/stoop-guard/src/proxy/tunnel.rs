//! Bytes in both directions after a change of protocols.

use http::{Request, Response};
use stoop_http::{upgraded, upgraded_request};
use tokio::io::{AsyncWriteExt, copy_bidirectional};

use super::body::BoxError;

/// Copies between both ends until both have closed their direction. An error of either ends both.
pub(super) async fn connect(
    request: Request<()>,
    response: Response<stoop_http::Body>,
) -> Result<(), BoxError> {
    let (mut server, from_server) = upgraded(response).await?;
    let (mut client, from_client) = upgraded_request(request).await?;
    server.write_all(&from_client).await?;
    client.write_all(&from_server).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
