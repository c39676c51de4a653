//! `list` and `describe`.

use stoop_dynamic::{
    Client, MethodDescriptor, Origin, Presence, Schema, ServiceDescriptor, Symbol, describe, json::Style,
    template,
};

use super::session::Session;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::{Event, Screen, Text};
use crate::pump::Sink;

impl Session<'_> {
    /// Lists the services, or the methods of one service.
    pub(super) async fn list(&self, client: &Client) -> Outcome {
        let mut schema = self.load_schema(client, None).await?;
        let of = match self.flags.data.as_deref() {
            Some(name) => Some(self.service(client, &schema, name).await?),
            None => None,
        };
        if of.is_none() && schema.origin() == Origin::Builtin {
            schema = self.served(client, schema).await?;
            self.tell_partial(client)?;
        }
        self.print_services(&schema, of)
    }

    /// Lists or describes what files define. No server is needed for that.
    pub(super) fn show_given(&self, schema: &Schema) -> Outcome {
        self.save(schema)?;
        match (self.flags.action.as_deref(), self.flags.data.as_deref()) {
            (Some("describe"), Some(name)) => self.print_definitions(&[self.symbol(schema, name)?]),
            (Some("describe"), None) => self.print_definitions(&services(schema)),
            (_, Some(name)) => self.print_services(schema, Some(self.service_named(schema, name)?)),
            (_, None) => self.print_services(schema, None),
        }
    }

    /// Prints the methods of a service, or else the names of all services.
    fn print_services(&self, schema: &Schema, of: Option<ServiceDescriptor>) -> Outcome {
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

    /// Finds the service with this name. A built-in definition does not prove that the server
    /// has it.
    async fn service(
        &self,
        client: &Client,
        schema: &Schema,
        name: &str,
    ) -> Result<ServiceDescriptor, Failure> {
        let service = self.service_named(schema, name)?;
        if schema.origin() != Origin::Builtin {
            return Ok(service);
        }
        let options = self.reflection();
        let presence = client.presence(&service, &options);
        match self.within("the list of services", presence).await? {
            Presence::Absent => Err(self.errors.absent(service.full_name())),
            Presence::Present => Ok(service),
            _ => {
                let name = service.full_name();
                let error =
                    format!("this is the built-in '{name}': it is not known whether the server has it");
                self.output.tell(&Event::Error { from: None::<Text>, error, count: 1 })?;
                Ok(service)
            }
        }
    }

    fn service_named(&self, schema: &Schema, name: &str) -> Result<ServiceDescriptor, Failure> {
        match self.symbol(schema, name)? {
            Symbol::Service(service) => Ok(service),
            _ => Err(Failure::usage(
                format!("'{name}' is not a service"),
                "'list' lists the methods of a service; 'describe' shows everything else",
            )),
        }
    }

    /// Prints the definition of a symbol, or of every service.
    pub(super) async fn describe(&self, client: &Client) -> Outcome {
        let schema = self.load_schema(client, None).await?;
        let symbols = match self.flags.data.as_deref() {
            Some(name) => vec![self.symbol(&schema, name)?],
            None if schema.origin() == Origin::Builtin => services(&self.served(client, schema).await?),
            None => services(&schema),
        };
        self.print_definitions(&symbols)
    }

    fn print_definitions(&self, symbols: &[Symbol]) -> Outcome {
        if self.flags.json {
            let event = |symbol: &Symbol| Event::Definition { name: symbol.name(), text: describe(symbol) };
            symbols.iter().try_for_each(|symbol| self.output.emit(&event(symbol)))?;
            return Ok(Exit::Done);
        }
        let shown = |symbol: &Symbol| match self.flags.template {
            true => describe(symbol) + &template_of(symbol),
            false => describe(symbol),
        };
        self.show(&symbols.iter().map(shown).collect::<Vec<_>>().join("\n"))
    }

    fn show(&self, text: &str) -> Outcome {
        let mut screen = Screen::new(None);
        screen.put(text.as_bytes())?;
        screen.finish()?;
        Ok(Exit::Done)
    }
}

fn services(schema: &Schema) -> Vec<Symbol> {
    schema.services().into_iter().map(Symbol::Service).collect()
}

/// Returns `service/method`, fully qualified.
pub(super) fn path_of(method: &MethodDescriptor) -> String {
    format!("{}/{}", method.parent_service().full_name(), method.name())
}

/// Returns the template of a message, or of the request of a method. Nothing else has one.
fn template_of(symbol: &Symbol) -> String {
    let message = match symbol {
        Symbol::Message(message) => message.clone(),
        Symbol::Method(method) => method.input(),
        _ => return String::new(),
    };
    let style = Style { emit_defaults: true, ..Style::default() };
    format!("\n// A message with all fields, to be filled in:\n{}\n", style.text(&template(&message)))
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
