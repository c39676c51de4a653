//! Messages and their fields. Does no I/O.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use prost_reflect::{
    DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind, MapKey, MessageDescriptor, OneofDescriptor,
    Value,
};

use super::syntax::{Json, Member};
use super::{Fault, scalar};
use crate::features::{is_implicit, is_zero};
use crate::resolve::nearest;

/// The limit on messages inside each other, the same as in protobuf's own parsers.
const MAX_DEPTH: usize = 100;

/// Reads a message of a type that has a JSON form of its own. Returns `None` for other types.
pub(super) type OwnForm =
    fn(Reader, &MessageDescriptor, Json<'_>) -> Option<Result<DynamicMessage, Box<Fault>>>;

/// How messages are read, and how deep this one is.
#[derive(Clone, Copy)]
pub(super) struct Reader {
    pub(super) discard_unknown: bool,
    pub(super) depth: usize,
    pub(super) own_form: OwnForm,
}

/// A field of a message, or an extension.
enum Target {
    Field(FieldDescriptor),
    Extension(ExtensionDescriptor),
}

/// What was read into a message so far.
#[derive(Default)]
struct Seen {
    numbers: HashMap<u32, String>,
    oneofs: Vec<(OneofDescriptor, String)>,
}

impl Reader {
    /// Reads a message of any type.
    pub(super) fn message(
        self,
        descriptor: &MessageDescriptor,
        json: Json<'_>,
    ) -> Result<DynamicMessage, Box<Fault>> {
        if self.depth > MAX_DEPTH {
            return Err(json.fault(format!("messages are nested more than {MAX_DEPTH} deep")));
        }
        let inner = Reader { depth: self.depth + 1, ..self };
        match (self.own_form)(inner, descriptor, json) {
            Some(read) => read,
            None => inner.fields(descriptor, json.members()?.into_iter()),
        }
    }

    /// Reads the fields of a message.
    pub(super) fn fields<'t>(
        self,
        descriptor: &MessageDescriptor,
        members: impl Iterator<Item = Member<'t>>,
    ) -> Result<DynamicMessage, Box<Fault>> {
        let mut message = DynamicMessage::new(descriptor.clone());
        let mut seen = Seen::default();
        for member in members {
            let step = format!(".{}", member.name);
            self.field(&mut message, &mut seen, &member).map_err(|fault| fault.within(step))?;
        }
        Ok(message)
    }

    fn field(
        self,
        message: &mut DynamicMessage,
        seen: &mut Seen,
        member: &Member<'_>,
    ) -> Result<(), Box<Fault>> {
        let descriptor = prost_reflect::ReflectMessage::descriptor(message);
        let Some(target) = Target::find(&descriptor, &member.name) else {
            return if self.discard_unknown { Ok(()) } else { Err(unknown(&descriptor, member)) };
        };
        seen.number(&target, member)?;
        // A null stands for an absent field, but for the types that have a null of their own.
        if member.value.is_null() && (target.is_repeated() || !has_null(&target.kind())) {
            return Ok(());
        }
        seen.oneof(&target, member)?;
        let Some(value) = self.value(&target, member.value)? else { return Ok(()) };
        match target {
            Target::Field(field) if is_implicit(&field) && is_zero(&field, &value) => {}
            Target::Field(field) => message.set_field(&field, value),
            Target::Extension(extension) => message.set_extension(&extension, value),
        }
        Ok(())
    }

    /// Reads the value of a field. Returns `None` if it is to be discarded.
    fn value(self, target: &Target, json: Json<'_>) -> Result<Option<Value>, Box<Fault>> {
        let kind = target.kind();
        match &kind {
            Kind::Message(entry) if target.is_map() => self.map(entry, json).map(Some),
            _ if target.is_repeated() => self.list(&kind, json).map(Some),
            _ => self.one(&kind, json),
        }
    }

    fn list(self, kind: &Kind, json: Json<'_>) -> Result<Value, Box<Fault>> {
        let mut values = Vec::new();
        for (at, element) in json.elements()?.into_iter().enumerate() {
            let within = |fault: Box<Fault>| fault.within(format!("[{at}]"));
            values.extend(self.element(kind, element).map_err(within)?);
        }
        Ok(Value::List(values))
    }

    fn map(self, entry: &MessageDescriptor, json: Json<'_>) -> Result<Value, Box<Fault>> {
        let (key_kind, value_kind) =
            (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
        let mut entries: HashMap<MapKey, Value> = HashMap::new();
        for Member { name, at, value } in json.members()? {
            let within = |fault: Box<Fault>| fault.within(format!(".{name}"));
            let Some(key) = scalar::map_key(&key_kind, &name) else {
                return Err(within(Fault::new(at, format!("'{name}' is not a key of type {key_kind:?}"))));
            };
            let Some(value) = self.element(&value_kind, value).map_err(within)? else { continue };
            if entries.insert(key, value).is_some() {
                return Err(within(Fault::new(at, format!("the key '{name}' occurs twice"))));
            }
        }
        Ok(Value::Map(entries))
    }

    /// Reads an element of a list, or a value of a map.
    fn element(self, kind: &Kind, json: Json<'_>) -> Result<Option<Value>, Box<Fault>> {
        if json.is_null() && !has_null(kind) {
            return Err(json.fault("null is not an element"));
        }
        self.one(kind, json)
    }

    /// Reads a single value. Returns `None` if it is to be discarded: an unknown name of an enum.
    fn one(self, kind: &Kind, json: Json<'_>) -> Result<Option<Value>, Box<Fault>> {
        match kind {
            Kind::Message(descriptor) => self.message(descriptor, json).map(|it| Some(Value::Message(it))),
            Kind::Enum(values) if self.discard_unknown && json.text().starts_with('"') => {
                let is_known = values.get_value_by_name(&json.string()?).is_some();
                is_known.then(|| scalar::scalar(kind, json)).transpose()
            }
            kind => scalar::scalar(kind, json).map(Some),
        }
    }
}

/// Returns whether JSON's null is a value of this type.
fn has_null(kind: &Kind) -> bool {
    match kind {
        Kind::Message(descriptor) => descriptor.full_name() == "google.protobuf.Value",
        Kind::Enum(values) => scalar::is_null_value(values),
        _ => false,
    }
}

fn unknown(descriptor: &MessageDescriptor, member: &Member<'_>) -> Box<Fault> {
    let names = descriptor.fields().map(|field| field.json_name().to_owned()).collect::<Vec<_>>();
    let fault = Fault::new(member.at, format!("'{}' has no field '{}'", descriptor.full_name(), member.name));
    fault.nearest(nearest(&member.name, names.into_iter()))
}

impl Target {
    /// Finds a field by either of its names, or an extension by its name in brackets.
    fn find(descriptor: &MessageDescriptor, name: &str) -> Option<Target> {
        if name.starts_with('[') {
            return descriptor.get_extension_by_json_name(name).map(Target::Extension);
        }
        let field = descriptor.get_field_by_json_name(name).or_else(|| descriptor.get_field_by_name(name));
        field.map(Target::Field)
    }

    fn number(&self) -> u32 {
        match self {
            Target::Field(field) => field.number(),
            Target::Extension(extension) => extension.number(),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Target::Field(field) => field.kind(),
            Target::Extension(extension) => extension.kind(),
        }
    }

    fn is_map(&self) -> bool {
        match self {
            Target::Field(field) => field.is_map(),
            Target::Extension(extension) => extension.is_map(),
        }
    }

    /// Returns whether it is a list or a map.
    fn is_repeated(&self) -> bool {
        self.is_map()
            || match self {
                Target::Field(field) => field.is_list(),
                Target::Extension(extension) => extension.is_list(),
            }
    }
}

impl Seen {
    /// Rejects a field that was read already, by this name or the other.
    fn number(&mut self, target: &Target, member: &Member<'_>) -> Result<(), Box<Fault>> {
        match self.numbers.entry(target.number()) {
            Entry::Vacant(entry) => {
                entry.insert(member.name.clone());
                Ok(())
            }
            Entry::Occupied(entry) if *entry.get() == member.name => {
                Err(Fault::new(member.at, format!("the field '{}' occurs twice", member.name)))
            }
            Entry::Occupied(entry) => {
                let names = format!("'{}' and '{}' are the same field", entry.get(), member.name);
                Err(Fault::new(member.at, names))
            }
        }
    }

    /// Rejects a second field of a oneof.
    fn oneof(&mut self, target: &Target, member: &Member<'_>) -> Result<(), Box<Fault>> {
        let Target::Field(field) = target else { return Ok(()) };
        let Some(oneof) = field.containing_oneof() else { return Ok(()) };
        match self.oneofs.iter().find(|(other, _)| *other == oneof) {
            None => {
                self.oneofs.push((oneof, member.name.clone()));
                Ok(())
            }
            Some((_, first)) => {
                let text = format!("only one of '{first}' and '{}' can be set", member.name);
                Err(Fault::new(member.at, text))
            }
        }
    }
}
