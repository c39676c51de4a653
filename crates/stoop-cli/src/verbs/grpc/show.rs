//! `list` and `describe`.

use serde_json::json;
use stoop_grpc::dynamic::{Client, MethodDescriptor, Origin, Schema, ServiceDescriptor, Symbol, describe};

use super::Session;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::Screen;
use crate::pump::Sink;

impl Session<'_> {
    /// The services that there are; of one, its methods.
    pub(super) async fn list(&self, client: &Client, given: Option<Schema>) -> Outcome {
        let mut schema = self.offer(client, given).await?;
        if schema.origin() == Origin::Builtin {
            schema = self.served(client, schema).await?;
        }
        let mut text = String::new();
        match self.flags.data.as_deref() {
            Some(name) => {
                let Symbol::Service(service) = self.symbol(&schema, name)? else {
                    return Err(Failure::usage(format!("'{name}' is no service")));
                };
                self.methods(&service, &mut text);
            }
            None if self.flags.json_lines => {
                schema.services().iter().for_each(|service| self.methods(service, &mut text));
            }
            None => schema.service_names().iter().for_each(|name| text += &format!("{name}\n")),
        }
        self.show(&text)
    }

    fn methods(&self, service: &ServiceDescriptor, text: &mut String) {
        for method in service.methods() {
            let name = format!("{}/{}", service.full_name(), method.name());
            *text += &if self.flags.json_lines { line(&name, &method) } else { format!("{name}\n") };
        }
    }

    /// A symbol, or every service, as it is defined.
    pub(super) async fn describe(&self, client: &Client, given: Option<Schema>) -> Outcome {
        let schema = self.offer(client, given).await?;
        let symbols = match self.flags.data.as_deref() {
            Some(name) => vec![self.symbol(&schema, name)?],
            None if schema.origin() == Origin::Builtin => {
                self.served(client, schema).await?.services().into_iter().map(Symbol::Service).collect()
            }
            None => schema.services().into_iter().map(Symbol::Service).collect(),
        };
        let one = |symbol: &Symbol| match self.flags.json_lines {
            true => format!("{}\n", json!({ "name": symbol.name(), "definition": describe(symbol) })),
            false => describe(symbol),
        };
        let between = if self.flags.json_lines { "" } else { "\n" };
        self.show(&symbols.iter().map(one).collect::<Vec<_>>().join(between))
    }

    fn show(&self, text: &str) -> Outcome {
        let mut screen = Screen::new(None);
        screen.put(text.as_bytes())?;
        screen.finish()?;
        Ok(Exit::Done)
    }
}

fn line(name: &str, method: &MethodDescriptor) -> String {
    let value = json!({
        "method": name,
        "request": method.input().full_name(),
        "response": method.output().full_name(),
        "clientStreaming": method.is_client_streaming(),
        "serverStreaming": method.is_server_streaming(),
    });
    format!("{value}\n")
}
