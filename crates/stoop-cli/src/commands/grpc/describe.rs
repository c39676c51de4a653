//! `list` and `describe`.

use stoop_dynamic::{Client, MethodDescriptor, Origin, Schema, ServiceDescriptor, Symbol, describe};

use super::session::Session;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::{Event, Screen};
use crate::pump::Sink;

impl Session<'_> {
    /// Lists the services, or the methods of one service.
    pub(super) async fn list(&self, client: &Client, given: Option<Schema>) -> Outcome {
        let mut schema = self.load_schema(client, given).await?;
        if schema.origin() == Origin::Builtin {
            schema = self.served(client, schema).await?;
        }
        let of = match self.flags.data.as_deref() {
            Some(name) => match self.symbol(&schema, name)? {
                Symbol::Service(service) => Some(service),
                _ => return Err(Failure::usage(format!("'{name}' is not a service"))),
            },
            None => None,
        };
        let methods = |services: &[ServiceDescriptor]| {
            services.iter().flat_map(ServiceDescriptor::methods).collect::<Vec<_>>()
        };
        if self.flags.json {
            let services = of.map_or_else(|| schema.services(), |service| vec![service]);
            methods(&services).iter().try_for_each(|method| self.output.emit(&event(method)))?;
            return Ok(Exit::Done);
        }
        let names: Vec<String> = match of {
            Some(service) => methods(&[service]).iter().map(path_of).collect(),
            None => schema.service_names().into_iter().map(str::to_owned).collect(),
        };
        self.show(&names.iter().map(|name| format!("{name}\n")).collect::<String>())
    }

    /// Prints the definition of a symbol, or of every service.
    pub(super) async fn describe(&self, client: &Client, given: Option<Schema>) -> Outcome {
        let schema = self.load_schema(client, given).await?;
        let symbols = match self.flags.data.as_deref() {
            Some(name) => vec![self.symbol(&schema, name)?],
            None if schema.origin() == Origin::Builtin => {
                self.served(client, schema).await?.services().into_iter().map(Symbol::Service).collect()
            }
            None => schema.services().into_iter().map(Symbol::Service).collect(),
        };
        if self.flags.json {
            let event = |symbol: &Symbol| Event::Definition { name: symbol.name(), text: describe(symbol) };
            symbols.iter().try_for_each(|symbol| self.output.emit(&event(symbol)))?;
            return Ok(Exit::Done);
        }
        self.show(&symbols.iter().map(describe).collect::<Vec<_>>().join("\n"))
    }

    fn show(&self, text: &str) -> Outcome {
        let mut screen = Screen::new(None);
        screen.put(text.as_bytes())?;
        screen.finish()?;
        Ok(Exit::Done)
    }
}

/// Returns `service/method`, fully qualified.
pub(super) fn path_of(method: &MethodDescriptor) -> String {
    format!("{}/{}", method.parent_service().full_name(), method.name())
}

fn event(method: &MethodDescriptor) -> Event {
    Event::Method {
        name: path_of(method),
        request: method.input().full_name().to_owned(),
        response: method.output().full_name().to_owned(),
        client_streaming: method.is_client_streaming(),
        server_streaming: method.is_server_streaming(),
    }
}
