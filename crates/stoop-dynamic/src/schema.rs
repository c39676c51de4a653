//! Descriptions of services, methods and messages, from any source. Reads only the files it is
//! given.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use prost_reflect::prost::Message;
use prost_reflect::prost_types::{FileDescriptorProto, FileDescriptorSet};
use prost_reflect::{DescriptorPool, Kind, MessageDescriptor, ServiceDescriptor};
use protox::Compiler;
use protox::file::{ChainFileResolver, DescriptorSetFileResolver, GoogleFileResolver, IncludeFileResolver};

use crate::{builtin, features};

/// A description of services, methods and messages.
///
/// ```
/// use stoop_dynamic::Schema;
///
/// let schema = Schema::builtin();
/// let version = schema.method("runtime.v1.RuntimeService/Version", &[]).unwrap();
/// assert_eq!(version.input().full_name(), "runtime.v1.VersionRequest");
/// ```
#[derive(Clone)]
pub struct Schema {
    pool: DescriptorPool,
    /// The full names of the services the schema is about. Services that were only imported are
    /// not included.
    services: Vec<String>,
    origin: Origin,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The whole pool would be far too long.
        f.debug_struct("Schema")
            .field("services", &self.services)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// The source of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Built in.
    Builtin,
    /// Files given by the caller.
    Files,
    /// The server, through this version of the reflection service.
    Reflection(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Builtin => f.write_str("built in"),
            Origin::Files => f.write_str("the files given"),
            Origin::Reflection(version) => write!(f, "the server's reflection ({version})"),
        }
    }
}

/// The error for a schema that is invalid or cannot be read.
#[derive(Clone, Debug)]
pub struct SchemaError {
    text: String,
    position: Option<String>,
    uses_edition: bool,
}

impl SchemaError {
    fn new(text: impl Into<String>) -> SchemaError {
        SchemaError { text: text.into(), position: None, uses_edition: false }
    }

    /// Returns whether a `.proto` file declares an edition. Only descriptor sets may have one.
    pub fn uses_edition(&self) -> bool {
        self.uses_edition
    }

    /// Returns the file and the position in it, if known: `user.proto:3:12`.
    pub fn position(&self) -> Option<&str> {
        self.position.as_deref()
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for SchemaError {}

impl From<protox::Error> for SchemaError {
    fn from(error: protox::Error) -> SchemaError {
        use std::error::Error;
        // The source is more specific, as for a file that cannot be read.
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        let text = format!("{error}{cause}");
        // protox knows no editions, and takes the first word of such a file for a mistake.
        let uses_edition = text.ends_with("found 'edition'");
        let text =
            if uses_edition { "a '.proto' file with an edition is not supported".into() } else { text };
        SchemaError { text, position: position(&error), uses_edition }
    }
}

/// Extracts the position from protox's debug output, `name:line:column: text`. protox
/// offers no other access to it.
fn position(error: &protox::Error) -> Option<String> {
    let text = format!("{error:?}");
    let place = text.split(": ").next()?;
    let is_place = place.rsplitn(3, ':').take(2).all(|part| part.parse::<u32>().is_ok());
    (is_place && place.matches(':').count() >= 2).then(|| place.to_owned())
}

impl Schema {
    /// Returns the built-in interfaces.
    ///
    /// They are Kubernetes' interfaces of a node (the CRI, `runtime.v1`; the CSI, `csi.v1`; device
    /// plugins, plugin registration, pod resources, dynamic resource allocation, key management),
    /// the services of containerd and its shims, gRPC's health and reflection services, and the
    /// messages used in error details. They are decoded on the first call.
    pub fn builtin() -> Schema {
        static SCHEMA: OnceLock<Schema> = OnceLock::new();
        let decode = || {
            let mut pool = protobufs_own();
            add_files(&mut pool, builtin::files().to_vec()).expect("a test reads it");
            let services = pool.services().map(|service| service.full_name().to_owned()).collect();
            Schema { pool, services, origin: Origin::Builtin }
        };
        SCHEMA.get_or_init(decode).clone()
    }

    /// Compiles `.proto` files.
    ///
    /// Imports are looked up in `includes`, in that order, then in the built-in files
    /// (`google/protobuf/…`, `google/rpc/…` and the interfaces of [`builtin`](Schema::builtin)).
    /// If `includes` is empty, they are looked up in the directory of each file. Blocks on the
    /// file system.
    ///
    /// ```
    /// use stoop_dynamic::Schema;
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// let file = directory.path().join("users.proto");
    /// std::fs::write(&file, r#"
    ///     syntax = "proto3";
    ///     package app.v1;
    ///     import "google/rpc/status.proto";
    ///     message User { string name = 1; }
    ///     service Users { rpc Check(User) returns (google.rpc.Status); }
    /// "#)?;
    /// let schema = Schema::from_protos(&[&file], &[])?;
    /// assert_eq!(schema.service_names(), ["app.v1.Users"]);
    ///
    /// std::fs::write(&file, "syntax = \"proto3\";\nmessage User { Nme name = 1; }")?;
    /// let error = Schema::from_protos(&[&file], &[]).unwrap_err();
    /// assert_eq!(error.position(), Some("users.proto:2:16"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if a file cannot be read, is not in any of the includes, or is not a valid
    /// schema.
    pub fn from_protos<P: AsRef<Path>>(files: &[P], includes: &[PathBuf]) -> Result<Schema, SchemaError> {
        let beside = |file: &P| match file.as_ref().parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let mut resolver = ChainFileResolver::new();
        if includes.is_empty() {
            files.iter().for_each(|file| resolver.add(IncludeFileResolver::new(beside(file))));
        }
        includes.iter().for_each(|include| resolver.add(IncludeFileResolver::new(include.clone())));
        resolver.add(GoogleFileResolver::new());
        let builtin = FileDescriptorSet { file: builtin::files().to_vec() };
        resolver.add(DescriptorSetFileResolver::new(builtin));
        let mut compiler = Compiler::with_file_resolver(resolver);
        compiler.include_source_info(true).include_imports(true);
        compiler.open_files(files)?;
        let own: Vec<String> =
            compiler.files().filter(|file| !file.is_import()).map(|file| file.name().to_owned()).collect();
        let pool = with_protobufs_own(&compiler.encode_file_descriptor_set())?;
        Ok(Schema::of_files(pool, &own, Origin::Files))
    }

    /// Reads a descriptor set, as `protoc --include_imports --descriptor_set_out` writes it.
    ///
    /// ```
    /// use stoop_dynamic::{Origin, Schema};
    ///
    /// let schema = Schema::from_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)?;
    /// assert_eq!(schema.service_names(), ["grpc.health.v1.Health"]);
    /// assert_eq!(schema.origin(), Origin::Files);
    /// assert!(Schema::from_descriptor_set(b"no descriptor set").is_err());
    /// # Ok::<(), stoop_dynamic::SchemaError>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the set is invalid, or if a file is missing that one of its files
    /// imports.
    pub fn from_descriptor_set(bytes: &[u8]) -> Result<Schema, SchemaError> {
        let files = features::decode_set(bytes).map_err(SchemaError::new)?;
        let names: Vec<String> = files.iter().map(|file| file.name().to_owned()).collect();
        let mut pool = protobufs_own();
        add_files(&mut pool, files)?;
        Ok(Schema::of_files(pool, &names, Origin::Files))
    }

    /// Returns the union of both schemas.
    ///
    /// ```
    /// use stoop_dynamic::Schema;
    ///
    /// let health = Schema::from_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)?;
    /// let reflection = tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET;
    /// let both = health.clone().join(&Schema::from_descriptor_set(reflection)?)?;
    /// let services = ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"];
    /// assert_eq!(both.service_names(), services);
    /// // Two files that define the same messages.
    /// assert!(health.join(&Schema::builtin()).is_err());
    /// # Ok::<(), stoop_dynamic::SchemaError>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if they contradict each other.
    pub fn join(mut self, other: &Schema) -> Result<Schema, SchemaError> {
        let files: Vec<FileDescriptorProto> =
            other.pool.files().map(|file| file.file_descriptor_proto().clone()).collect();
        add_files(&mut self.pool, files)?;
        let new = other.services.iter().filter(|name| !self.services.contains(name)).cloned();
        self.services.extend(new.collect::<Vec<_>>());
        Ok(self)
    }

    /// Creates a schema from a server's services and the files with their definitions, in any
    /// order.
    pub(crate) fn from_server(
        services: Vec<String>,
        files: Vec<FileDescriptorProto>,
        version: &'static str,
    ) -> Result<Schema, SchemaError> {
        let mut pool = protobufs_own();
        add_files(&mut pool, files)?;
        Ok(Schema { pool, services, origin: Origin::Reflection(version) })
    }

    fn of_files(pool: DescriptorPool, files: &[String], origin: Origin) -> Schema {
        let own = |service: &ServiceDescriptor| files.iter().any(|file| file == service.parent_file().name());
        let services = pool.services().filter(own).map(|service| service.full_name().to_owned()).collect();
        Schema { pool, services, origin }
    }

    /// Returns the source of the schema.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Returns the full names of the services the schema is about, sorted.
    pub fn service_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.services.iter().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// Returns the services that the schema is about and defines, sorted by name.
    pub fn services(&self) -> Vec<ServiceDescriptor> {
        let names = self.service_names();
        names.into_iter().filter_map(|name| self.pool.get_service_by_name(name)).collect()
    }

    /// Returns the schema as an encoded descriptor set, as `protoc --include_imports
    /// --descriptor_set_out` writes it. A file with an edition is written as proto2.
    ///
    /// ```
    /// use stoop_dynamic::Schema;
    ///
    /// let schema = Schema::from_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)?;
    /// let again = Schema::from_descriptor_set(&schema.descriptor_set())?;
    /// assert_eq!(again.service_names(), ["grpc.health.v1.Health"]);
    /// # Ok::<(), stoop_dynamic::SchemaError>(())
    /// ```
    pub fn descriptor_set(&self) -> Vec<u8> {
        let files = self.pool.files().map(|file| {
            let mut file = file.file_descriptor_proto().clone();
            features::unmark(&mut file);
            features::custom::unmark(&mut file);
            file
        });
        FileDescriptorSet { file: files.collect() }.encode_to_vec()
    }

    /// Returns the pool with everything that is defined.
    ///
    /// It is meant for reading and writing messages. In its descriptors, some fields are marked in
    /// a way that compilers reject: [`descriptor_set`](Schema::descriptor_set) is free of that.
    pub fn pool(&self) -> &DescriptorPool {
        &self.pool
    }

    /// Removes the services for which `keep` returns `false`.
    ///
    /// ```
    /// use stoop_dynamic::Schema;
    ///
    /// let mut schema = Schema::builtin();
    /// schema.retain(|service| service == "grpc.health.v1.Health");
    /// assert_eq!(schema.services().len(), 1);
    /// assert!(schema.method("RunPodSandbox", &[]).is_err());
    /// // Messages of the other services remain.
    /// assert!(schema.symbol("runtime.v1.PodSandboxConfig", &[]).is_ok());
    /// ```
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.services.retain(|name| keep(name));
    }
}

/// Decodes a set that the compiler made, and adds all of protobuf's own messages, whether it
/// imports them or not.
fn with_protobufs_own(set: &[u8]) -> Result<DescriptorPool, SchemaError> {
    let mut pool = protobufs_own();
    add_files(&mut pool, features::decode_set(set).map_err(SchemaError::new)?)?;
    Ok(pool)
}

/// Returns a pool with protobuf's own messages.
fn protobufs_own() -> DescriptorPool {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    let normalized = || {
        let mut files: Vec<_> =
            DescriptorPool::global().files().map(|file| file.file_descriptor_proto().clone()).collect();
        for file in files.iter_mut().filter(|file| file.syntax() == "proto3") {
            features::track_fractions(file);
        }
        let mut pool = DescriptorPool::new();
        pool.add_file_descriptor_protos(files).expect("they were valid before, and still are");
        pool
    };
    POOL.get_or_init(normalized).clone()
}

/// Adds files that are not in the pool yet. Our own versions of protobuf's files are always used:
/// the JSON mapping relies on their contents.
fn add_files(pool: &mut DescriptorPool, files: Vec<FileDescriptorProto>) -> Result<(), SchemaError> {
    let new = files.into_iter().filter(|file| pool.get_file_by_name(file.name()).is_none());
    let new: Vec<_> = new.map(known_syntax).collect::<Result<_, _>>()?;
    pool.add_file_descriptor_protos(new).map_err(|error| SchemaError::new(error.to_string()))?;
    match pool.all_messages().find(|message| message.is_map_entry() && !is_sound_entry(message)) {
        Some(entry) => Err(SchemaError::new(format!("'{}' is not a valid map entry", entry.full_name()))),
        None => Ok(()),
    }
}

/// Returns whether a map entry has a key and a value. Code that reads maps relies on it.
fn is_sound_entry(entry: &MessageDescriptor) -> bool {
    let key = entry.get_field(1).is_some_and(|key| {
        let is_key = !matches!(
            key.kind(),
            Kind::Double | Kind::Float | Kind::Bytes | Kind::Message(_) | Kind::Enum(_)
        );
        is_key && !key.is_list()
    });
    key && entry.get_field(2).is_some_and(|value| !value.is_list())
}

/// Returns the file with a syntax that prost-reflect supports, which it does not check itself.
fn known_syntax(mut file: FileDescriptorProto) -> Result<FileDescriptorProto, SchemaError> {
    match file.syntax() {
        "proto2" => Ok(file),
        "proto3" => {
            features::track_fractions(&mut file);
            Ok(file)
        }
        // An empty string and an absent one are the same in protobuf. prost-reflect panics on an
        // empty one.
        "" => {
            file.syntax = None;
            Ok(file)
        }
        other => Err(SchemaError::new(format!("'{}' has the unknown syntax '{other}'", file.name()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builtin_interfaces_are_present() {
        let schema = Schema::builtin();
        for name in [
            "runtime.v1.RuntimeService",
            "runtime.v1.ImageService",
            "grpc.health.v1.Health",
            "containerd.services.version.v1.Version",
            "containerd.services.transfer.v1.Transfer",
            "containerd.task.v3.Task",
            "csi.v1.Identity",
            "csi.v1.Controller",
            "csi.v1.Node",
            "v1beta1.DevicePlugin",
            "pluginregistration.Registration",
            "v1.PodResourcesLister",
            "k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin",
            "k8s.io.kubelet.pkg.apis.dra.v1beta1.DRAPlugin",
            "v2.KeyManagementService",
        ] {
            assert!(schema.service_names().contains(&name), "{name}");
        }
        assert!(schema.pool().get_message_by_name("google.rpc.BadRequest").is_some());
        assert!(schema.pool().get_message_by_name("io.containerd.cgroups.v1.Metrics").is_some());
    }

    #[test]
    fn imports_resolve_to_siblings_and_builtin_files() {
        let directory = stoop_testkit::tempdir();
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        write("other.proto", "syntax = \"proto3\"; package o; message Other { string name = 1; }");
        let path = write(
            "user.proto",
            "syntax = \"proto3\"; package u; import \"other.proto\"; import \"google/rpc/status.proto\";
             service Users { rpc Find (o.Other) returns (google.rpc.Status); }",
        );
        let schema = Schema::from_protos(&[path], &[]).unwrap();
        assert_eq!((schema.service_names(), schema.origin()), (vec!["u.Users"], Origin::Files));
        let wrong = write("wrong.proto", "syntax = \"proto3\";\nmessage M { Missing m = 1; }");
        let error = Schema::from_protos(&[wrong], &[]).unwrap_err();
        assert!(error.to_string().contains("Missing"), "{error}");
        assert_eq!(error.position(), Some("wrong.proto:2:13"));
        let edition = write("edition.proto", "edition = \"2023\";\nmessage M { int32 a = 1; }");
        let error = Schema::from_protos(&[edition], &[]).unwrap_err();
        assert!(error.uses_edition() && error.to_string().contains("edition"), "{error}");
        let error = Schema::from_protos(&[directory.path().join("none.proto")], &[]).unwrap_err();
        assert!(error.to_string().contains("none.proto"), "{error}");
    }

    #[test]
    fn editions_are_accepted_and_unknown_syntax_is_not() {
        let file = |syntax: &str| FileDescriptorProto {
            name: Some("e.proto".into()),
            syntax: Some(syntax.into()),
            ..FileDescriptorProto::default()
        };
        let edition = features::decode_file(&file("editions").encode_to_vec()).unwrap();
        assert!(Schema::from_server(Vec::new(), vec![edition], "v1").is_ok());
        assert!(Schema::from_server(Vec::new(), vec![file("")], "v1").is_ok());
        let error = Schema::from_server(Vec::new(), vec![file("proto4")], "v1").unwrap_err();
        assert!(error.to_string().contains("'proto4'"), "{error}");
    }

    #[test]
    fn a_descriptor_set_has_no_marks() {
        let directory = stoop_testkit::tempdir();
        let path = directory.path().join("a.proto");
        std::fs::write(&path, "syntax = \"proto3\"; message M { double d = 1; optional float f = 2; }")
            .unwrap();
        let set = Schema::from_protos(&[path], &[]).unwrap().descriptor_set();
        let files = FileDescriptorSet::decode(&set[..]).unwrap().file;
        let fields = files.iter().flat_map(|file| &file.message_type).flat_map(|message| &message.field);
        for field in fields {
            assert_eq!(field.proto3_optional(), field.name() == "f", "{}", field.name());
        }
    }

    #[test]
    fn a_server_cannot_redefine_what_json_relies_on() {
        let evil = FileDescriptorProto {
            name: Some("google/protobuf/timestamp.proto".into()),
            package: Some("google.protobuf".into()),
            ..FileDescriptorProto::default()
        };
        let schema = Schema::from_server(Vec::new(), vec![evil], "v1").unwrap();
        let timestamp = schema.pool().get_message_by_name("google.protobuf.Timestamp").unwrap();
        assert_eq!(timestamp.fields().len(), 2);
    }
}
