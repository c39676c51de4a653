//! From file descriptors to nodes, and to text.

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, MethodDescriptorProto,
    ServiceDescriptorProto, method_options::IdempotencyLevel,
};

use super::members::SCALARS;
use super::names::{json_name, renamed, within};
use super::print::{print, quote};
use super::read::{Project, read};
use super::reader::Comments;
use super::tree::Node;

/// The words before the type of a field that mean something.
const WORDS: [&str; 7] = ["repeated", "required", "optional", "map", "enum", "group", "stream"];

/// Writes the interfaces of a project, whose files hold facts only.
///
/// # Errors
/// Returns an error if the form cannot express a file: what is written is always read back as the
/// same project.
pub fn write(project: &Project) -> Result<String, String> {
    let mut nodes: Vec<Node> =
        project.about.iter().map(|(word, rest)| Node::new([word.as_str(), rest.as_str()])).collect();
    if let (Some(first), Some(comment)) = (nodes.first_mut(), project.comments.get("")) {
        first.comment = lines(comment);
    }
    for (at, file) in project.files.iter().enumerate() {
        let writer = Writer { file, comments: &project.comments };
        nodes.push(writer.file(&project.files[..at]));
    }
    let text = print(&nodes);
    let again = read(&text).map_err(|error| format!("cannot be expressed: {error}"))?;
    let is_same = |(ours, read): &(&FileDescriptorProto, &FileDescriptorProto)| ours == read;
    if let Some((file, read)) = project.files.iter().zip(&again.files).find(|pair| !is_same(pair)) {
        return Err(format!("'{}' cannot be expressed: {file:?} would be {read:?}", file.name()));
    }
    if again.about != project.about || again.files.len() != project.files.len() {
        return Err("what is told of the project cannot be expressed".into());
    }
    Ok(text)
}

fn lines(comment: &str) -> Vec<String> {
    comment.split('\n').map(str::to_owned).collect()
}

/// Writes one file.
struct Writer<'p> {
    file: &'p FileDescriptorProto,
    comments: &'p Comments,
}

impl Writer<'_> {
    fn file(&self, before: &[FileDescriptorProto]) -> Node {
        let (file, package) = (self.file, self.file.package());
        let mut node = self.node(file.name(), ["file", file.name()]);
        let mut add = |child| node.children.push(child);
        let is_original =
            |other: &&FileDescriptorProto| renamed(other, file.name(), package).as_ref() == Some(file);
        if let Some(original) = before.iter().find(is_original) {
            add(Node::new(["package", package]));
            add(Node::new(["like", original.name()]));
            return node;
        }
        if file.syntax.is_none() {
            add(Node::new(["proto2"]));
        }
        if file.package.is_some() {
            add(Node::new(["package", package]));
        }
        if file.options.is_some() {
            add(Node::new(["deprecated"]));
        }
        for (at, path) in file.dependency.iter().enumerate() {
            let is_public = file.public_dependency.iter().any(|public| usize::try_from(*public) == Ok(at));
            let words = ["import", "public", path.as_str()];
            add(Node::new(words.into_iter().filter(|word| is_public || *word != "public")));
        }
        file.service.iter().for_each(|service| add(self.service(service)));
        file.enum_type.iter().for_each(|values| add(self.enumeration(values, package)));
        file.message_type.iter().for_each(|message| add(self.message(message, package)));
        self.extensions(&file.extension, package).into_iter().for_each(add);
        node
    }

    /// Creates a node with the comment on an element.
    fn node<W: Into<String>>(&self, name: &str, words: impl IntoIterator<Item = W>) -> Node {
        Node {
            comment: self.comments.get(name).map(|comment| lines(comment)).unwrap_or_default(),
            ..Node::new(words)
        }
    }

    fn service(&self, service: &ServiceDescriptorProto) -> Node {
        let full = within(self.file.package(), service.name());
        let mut node = self.node(&full, ["service", service.name()]);
        if service.options.is_some() {
            node.words.push("deprecated".into());
        }
        node.children = service.method.iter().map(|method| self.method(method, &full)).collect();
        node
    }

    fn method(&self, method: &MethodDescriptorProto, service: &str) -> Node {
        let mut node = self.node(&within(service, method.name()), [method.name()]);
        self.push_side(&mut node, method.client_streaming(), method.input_type());
        node.words.push(">".into());
        self.push_side(&mut node, method.server_streaming(), method.output_type());
        let options = method.options.clone().unwrap_or_default();
        let level = match options.idempotency_level() {
            IdempotencyLevel::Idempotent => Some("idempotent"),
            IdempotencyLevel::NoSideEffects => Some("no_side_effects"),
            IdempotencyLevel::IdempotencyUnknown => None,
        };
        let deprecated = options.deprecated().then_some("deprecated");
        node.words.extend(deprecated.into_iter().chain(level).map(str::to_owned));
        node
    }

    fn push_side(&self, node: &mut Node, is_stream: bool, name: &str) {
        node.words.extend(is_stream.then(|| "stream".to_owned()));
        node.words.push(self.type_name(name));
    }

    fn message(&self, message: &DescriptorProto, scope: &str) -> Node {
        let full = within(scope, message.name());
        let mut node = self.node(&full, ["message", message.name()]);
        let options = message.options.clone().unwrap_or_default();
        node.words.extend(options.deprecated().then(|| "deprecated".to_owned()));
        node.words.extend(options.message_set_wire_format().then(|| "message_set".to_owned()));
        let is_entry =
            |nested: &DescriptorProto| nested.options.as_ref().is_some_and(|options| options.map_entry());
        let nested = message.nested_type.iter().filter(|nested| !is_entry(nested));
        node.children.extend(message.enum_type.iter().map(|values| self.enumeration(values, &full)));
        node.children.extend(nested.map(|nested| self.message(nested, &full)));
        for field in &message.field {
            let line = self.field(field, &full, message);
            match field.oneof_index.and_then(|index| message.oneof_decl.get(usize::try_from(index).ok()?)) {
                Some(oneof) if !field.proto3_optional() => match node.children.last_mut() {
                    Some(open) if open.words == ["oneof", oneof.name()] => open.children.push(line),
                    _ => {
                        let open = Node::new(["oneof", oneof.name()]);
                        node.children.push(Node { children: vec![line], ..open });
                    }
                },
                _ => node.children.push(line),
            }
        }
        let ranges =
            message.extension_range.iter().map(|range| words(range.start(), range.end().wrapping_sub(1)));
        node.children.extend(line("extensions", ranges.collect()));
        let ranges =
            message.reserved_range.iter().map(|range| words(range.start(), range.end().wrapping_sub(1)));
        node.children.extend(line("reserved", ranges.chain(message.reserved_name.iter().cloned()).collect()));
        node.children.extend(self.extensions(&message.extension, &full));
        node
    }

    fn enumeration(&self, values: &EnumDescriptorProto, scope: &str) -> Node {
        let full = within(scope, values.name());
        let mut node = self.node(&full, ["enum", values.name()]);
        let options = values.options.clone().unwrap_or_default();
        node.words.extend(options.deprecated().then(|| "deprecated".to_owned()));
        node.words.extend(options.allow_alias().then(|| "aliases".to_owned()));
        for value in &values.value {
            let words = [value.number().to_string(), value.name().to_owned()];
            let mut line = self.node(&within(&full, value.name()), words);
            line.words.extend(value.options.as_ref().map(|_| "deprecated".to_owned()));
            node.children.push(line);
        }
        let ranges = values.reserved_range.iter().map(|range| words(range.start(), range.end()));
        node.children.extend(line("reserved", ranges.chain(values.reserved_name.iter().cloned()).collect()));
        node
    }

    fn field(&self, field: &FieldDescriptorProto, scope: &str, message: &DescriptorProto) -> Node {
        let words = [field.number().to_string(), field.name().to_owned()];
        let mut node = self.node(&within(scope, field.name()), words);
        let entry = message.nested_type.iter().find(|nested| {
            let is_entry = nested.options.as_ref().is_some_and(|options| options.map_entry());
            is_entry && field.type_name() == format!(".{}", within(scope, nested.name()))
        });
        if let Some([key, value]) = entry.map(|entry| entry.field.as_slice()) {
            node.words.push("map".into());
            self.push_type(&mut node, key);
            self.push_type(&mut node, value);
        } else {
            let label = match field.label() {
                Label::Repeated => Some("repeated"),
                Label::Required => Some("required"),
                Label::Optional => field.proto3_optional().then_some("optional"),
            };
            node.words.extend(label.map(str::to_owned));
            self.push_type(&mut node, field);
        }
        options(&mut node, field);
        node
    }

    fn push_type(&self, node: &mut Node, field: &FieldDescriptorProto) {
        let keyword = match field.r#type() {
            Type::Enum => Some("enum"),
            Type::Group => Some("group"),
            Type::Message => None,
            scalar => SCALARS.iter().find(|(_, kind)| *kind == scalar).map(|(name, _)| *name),
        };
        node.words.extend(keyword.map(str::to_owned));
        if matches!(field.r#type(), Type::Enum | Type::Group | Type::Message) {
            node.words.push(self.type_name(field.type_name()));
        }
    }

    /// Returns the extensions, those of one message that follow each other below one node.
    fn extensions(&self, fields: &[FieldDescriptorProto], scope: &str) -> Vec<Node> {
        let groups = fields.chunk_by(|one, next| one.extendee == next.extendee);
        let node = |group: &[FieldDescriptorProto]| {
            let none = DescriptorProto::default();
            let children = group.iter().map(|field| self.field(field, scope, &none)).collect();
            Node { children, ..Node::new(["extend".to_owned(), self.type_name(group[0].extendee())]) }
        };
        groups.map(node).collect()
    }

    /// Returns the name of a type, short if it is in the package of the file.
    fn type_name(&self, full: &str) -> String {
        let name = match self.file.package() {
            "" => full.strip_prefix('.'),
            package => full.strip_prefix('.').and_then(|full| full.strip_prefix(package)?.strip_prefix('.')),
        };
        let has_a_meaning =
            |name: &str| WORDS.contains(&name) || SCALARS.iter().any(|(scalar, _)| *scalar == name);
        name.filter(|name| !has_a_meaning(name)).unwrap_or(full).to_owned()
    }
}

fn options(node: &mut Node, field: &FieldDescriptorProto) {
    let options = field.options.clone().unwrap_or_default();
    let packed = options.packed.map(|is| if is { "packed" } else { "unpacked" });
    let deprecated = options.deprecated().then_some("deprecated");
    node.words.extend(packed.into_iter().chain(deprecated).map(str::to_owned));
    if field.json_name() != json_name(field.name()) {
        node.words.push(format!("json={}", quote(field.json_name())));
    }
    if let Some(value) = &field.default_value {
        node.words.push(format!("default={}", quote(value)));
    }
}

/// Returns a range of numbers, both included, as one word.
fn words(first: i32, last: i32) -> String {
    if first == last { first.to_string() } else { format!("{first}..{last}") }
}

/// Returns a line of these words, unless there are none.
fn line(keyword: &str, words: Vec<String>) -> Option<Node> {
    (!words.is_empty()).then(|| Node::new(std::iter::once(keyword.to_owned()).chain(words)))
}
