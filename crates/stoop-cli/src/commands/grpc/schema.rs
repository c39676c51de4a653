//! Determines the services and methods: from given files, from the server, or from built-in
//! definitions.

use stoop_dynamic::{
    Client, MethodDescriptor, Origin, Presence, ReflectError, Schema, Symbol, Unresolved, reflect,
};

use super::args::SchemaFlags;
use super::probed::Probed;
use super::session::Session;
use crate::endpoint::Endpoint;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Event, Text};

/// Reads the schema from the files that the flags name, or returns `None` if they name none.
pub(crate) fn given(flags: &SchemaFlags) -> Result<Option<Schema>, Failure> {
    let mut schema: Option<Schema> = None;
    let mut add = |new: Schema| {
        let joined = match schema.take() {
            None => new,
            Some(before) => before.join(&new).map_err(|error| {
                Failure::new(Exit::Usage, "the given schemas conflict").why(error.to_string())
            })?,
        };
        schema = Some(joined);
        Ok::<(), Failure>(())
    };
    if !flags.proto.is_empty() {
        add(Schema::from_protos(&flags.proto, &flags.import_path).map_err(|error| {
            let report = Failure::new(Exit::Usage, "cannot compile the schema").why(error.to_string());
            match error.position() {
                Some(place) if error.uses_edition() => report.seen(format!("at {place}")).next(
                    "protoc --include_imports --descriptor_set_out=FILE …    # and --descriptor-set FILE",
                ),
                Some(place) => report
                    .seen(format!("at {place}"))
                    .next("# correct the file, or give another one with --proto"),
                None => report.next("stoop grpc --help    # --import-path sets where imports are found"),
            }
        })?)?;
    }
    for path in &flags.descriptor_set {
        let doing = format!("read '{}'", stoop::escaped(path.as_os_str().as_encoded_bytes()));
        let bytes = std::fs::read(path).map_err(|error| Failure::io(&doing, &error))?;
        add(Schema::from_descriptor_set(&bytes).map_err(|error| {
            Failure::new(Exit::Usage, format!("cannot {doing}: {error}"))
                .why("it is not a descriptor set, or lacks files that it imports")
                .next("protoc --include_imports --descriptor_set_out=FILE …")
        })?)?;
    }
    Ok(schema)
}

impl Session<'_> {
    /// Returns the schema: the services and methods that can be called. Writes it to a file, if
    /// that was asked for.
    pub(super) async fn load_schema(
        &self,
        client: &Client,
        given: Option<Schema>,
    ) -> Result<Schema, Failure> {
        let schema = self.find_schema(client, given).await?;
        self.save(&schema)?;
        Ok(schema)
    }

    /// Writes the schema to a file, if that was asked for.
    pub(super) fn save(&self, schema: &Schema) -> Result<(), Failure> {
        let Some(path) = &self.flags.descriptor_set_out else { return Ok(()) };
        let doing = format!("write '{}'", stoop::escaped(path.as_os_str().as_encoded_bytes()));
        std::fs::write(path, schema.descriptor_set()).map_err(|error| Failure::io(doing, &error))
    }

    async fn find_schema(&self, client: &Client, given: Option<Schema>) -> Result<Schema, Failure> {
        if let Some(given) = given {
            return Ok(given);
        }
        // These servers have no reflection, and their interfaces are known.
        let is_known = matches!(self.flags.endpoint, Endpoint::Named(_));
        if self.flags.builtin || is_known || client.is_ttrpc() {
            return Ok(Schema::builtin());
        }
        match self.within("reflection", reflect(client, &self.reflection())).await? {
            Ok(schema) => Ok(schema),
            Err(ReflectError::Unsupported) => Ok(Schema::builtin()),
            Err(ReflectError::Call(error)) if error.status().is_none() => {
                Err(self.errors.explain("reflection", &error, &Schema::builtin()))
            }
            Err(error) => {
                self.fallback.replace(Some(format!("reflection failed: {error}")));
                Ok(Schema::builtin())
            }
        }
    }

    /// Tells that the built-in definitions are used because reflection failed.
    pub(super) fn tell_fallback(&self) -> Result<(), Failure> {
        let Some(why) = self.fallback.take() else { return Ok(()) };
        let error = format!("using the built-in definitions, because {why}");
        self.output.tell(&Event::Error { from: None::<Text>, error, count: 1 })
    }

    /// Finds the method with this name.
    pub(super) async fn method(
        &self,
        client: &Client,
        schema: &Schema,
        name: &str,
    ) -> Result<MethodDescriptor, Failure> {
        self.tell_fallback()?;
        let found = schema.method(name, self.preferred());
        let found = match found {
            Err(Unresolved::Ambiguous(_)) if schema.origin() == Origin::Builtin => {
                match self.served(client, schema.clone()).await {
                    Ok(served) => served.method(name, self.preferred()),
                    Err(_) => found,
                }
            }
            found => found,
        };
        match found {
            // A server may omit a service from its reflection.
            Err(Unresolved::Unknown(_))
                if Schema::builtin().method(name, &[]).is_ok() && name.contains('/') =>
            {
                Schema::builtin()
                    .method(name, &[])
                    .map_err(|found| self.errors.unresolved("method", name, &found, schema))
            }
            found => found.map_err(|found| self.errors.unresolved("method", name, &found, schema)),
        }
    }

    /// Finds the symbol with this name.
    pub(super) fn symbol(&self, schema: &Schema, name: &str) -> Result<Symbol, Failure> {
        self.tell_fallback()?;
        let found = schema.symbol(name, self.preferred());
        found.map_err(|found| self.errors.unresolved("symbol", name, &found, schema))
    }

    /// Returns the packages that are preferred if a name matches several methods.
    fn preferred(&self) -> &'static [&'static str] {
        match self.flags.endpoint {
            Endpoint::Named(name) if name.word() == "cri" => &["runtime.v1"],
            Endpoint::Named(name) if name.word() == "containerd" => &["containerd.services.version.v1"],
            Endpoint::Named(name) if name.word() == "docker" => &["moby.buildkit.v1"],
            _ => &[],
        }
    }

    /// Finds out which services of a schema the server has: it implements few of the built-in ones.
    pub(super) async fn probe(&self, client: &Client, schema: &Schema) -> Result<Probed, Failure> {
        let mut probed = Probed::default();
        for service in schema.services() {
            let options = self.reflection();
            let presence = client.presence(&service, &options);
            match self.within("the list of services", presence).await? {
                Presence::Present => probed.present.push(service.full_name().to_owned()),
                Presence::Absent => {}
                Presence::Refused(code) => probed.refused = Some(code),
                _ => probed.is_partial = true,
            }
        }
        Ok(probed)
    }

    /// Returns the schema of those built-in services that the server is proven to have.
    pub(super) async fn served(&self, client: &Client, mut schema: Schema) -> Result<Schema, Failure> {
        let probed = self.probe(client, &schema).await?;
        schema.retain(|name| probed.present.iter().any(|present| present == name));
        if probed.present.is_empty() {
            return Err(self.errors.unknown_services(&probed, self.fallback.take()));
        }
        self.tell_fallback()?;
        Ok(schema)
    }

    /// Tells that the list may lack services, unless the protocol has no reflection anyway.
    pub(super) fn tell_partial(&self, client: &Client) -> Result<(), Failure> {
        if client.is_ttrpc() {
            return Ok(());
        }
        let error = "only services with built-in definitions are listed: for others, add --proto".to_owned();
        self.output.tell(&Event::Error { from: None::<Text>, error, count: 1 })
    }
}
