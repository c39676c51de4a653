//! ttrpc: unary calls, with its asynchronous API.

use std::collections::HashMap;

use ttrpc::r#async::{Client, MethodHandler, Server, Service, TtrpcContext};
use ttrpc::proto::{Request, Response, Status};

use super::rpc::ask_many;
use crate::Result;
use crate::role::Role;

const SERVICE: &str = "peers.Echo";
const METHOD: &str = "Echo";

struct Echo;

#[async_trait::async_trait]
impl MethodHandler for Echo {
    async fn handler(&self, _: TtrpcContext, request: Request) -> ttrpc::Result<Response> {
        let mut response = Response::new();
        response.set_status(Status::new());
        response.payload = request.payload;
        Ok(response)
    }
}

pub fn run_role(role: &Role) -> Result<()> {
    let url = format!("unix://{}", role.path.display());
    super::tokio_stream::block_on(async {
        if role.serves {
            let methods: HashMap<String, Box<dyn MethodHandler + Send + Sync>> =
                HashMap::from([(METHOD.to_owned(), Box::new(Echo) as _)]);
            let service = Service { methods, streams: HashMap::new() };
            let services = HashMap::from([(SERVICE.to_owned(), service)]);
            let mut server = Server::new().bind(&url)?.register_service(services);
            server.start().await?;
            println!("ready");
            return std::future::pending().await;
        }
        let client = Client::connect(&url).await?;
        ask_many(role, |payload| {
            let client = client.clone();
            async move {
                let mut request = Request::new();
                request.service = SERVICE.to_owned();
                request.method = METHOD.to_owned();
                request.payload = payload;
                Ok(client.request(request).await?.payload)
            }
        })
        .await
    })
}
