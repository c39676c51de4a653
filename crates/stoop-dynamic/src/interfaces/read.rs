//! From nodes to file descriptors.

use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumOptions, FieldDescriptorProto, FileDescriptorProto,
    FileOptions, MessageOptions, MethodDescriptorProto, MethodOptions, ServiceDescriptorProto,
    ServiceOptions, method_options,
};

use super::members::{self, Oneofs};
use super::names::{is_identifier, within};
use super::reader::{Comments, Reader, count, keep, leaf, path, words};
use super::tree::{self, FormError, Node};

type Read<T> = Result<T, FormError>;

/// The words that may begin a line about the project.
pub const ABOUT: [&str; 6] = ["project", "version", "license", "copyright", "source", "note"];

/// The interfaces of one project.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Project {
    /// What the file tells of the project: a word of [`ABOUT`], and the rest of the line.
    pub about: Vec<(String, String)>,
    /// The files, as far as they are facts.
    pub files: Vec<FileDescriptorProto>,
    /// Comments on elements by their full names, on files by their paths, and on the project by an
    /// empty name.
    pub comments: Comments,
}

/// Reads the interfaces of a project.
///
/// # Errors
/// Returns an error if the text is not in the form.
pub fn read(text: &str) -> Read<Project> {
    let mut project = Project::default();
    for node in tree::parse(text)? {
        if node.keyword() == "file" {
            let mut reader = Reader { comments: &mut project.comments, package: String::new(), proto3: true };
            let file = reader.file(&node, &project.files)?;
            project.files.push(file);
            continue;
        }
        let (keyword, rest) = (node.keyword().to_owned(), node.words.get(1..).unwrap_or_default().join(" "));
        if !ABOUT.contains(&keyword.as_str()) || !node.children.is_empty() || rest.is_empty() {
            return Err(node.error(format!("'{keyword}' is not expected here")));
        }
        keep(&mut project.comments, String::new(), &node);
        project.about.push((keyword, rest));
    }
    Ok(project)
}

impl Reader<'_> {
    fn file(&mut self, node: &Node, before: &[FileDescriptorProto]) -> Read<FileDescriptorProto> {
        let [_, path] = words(node)?;
        if before.iter().any(|file| file.name() == path) {
            return Err(node.error(format!("file '{path}' occurs twice")));
        }
        self.note(path.to_owned(), node);
        let mut file = FileDescriptorProto { name: Some(path.to_owned()), ..Default::default() };
        file.syntax = Some("proto3".into());
        let is_like = |child: &&Node| child.keyword() == "like";
        if let Some(like) = node.children.iter().find(is_like).filter(|_| node.children.len() > 2) {
            return Err(like.error("only a package is expected beside 'like'"));
        }
        for child in &node.children {
            if !matches!(child.keyword(), "service" | "message" | "enum") {
                leaf_or_block(child)?;
            }
            self.part(&mut file, child, before)?;
        }
        Ok(file)
    }

    fn part(
        &mut self,
        file: &mut FileDescriptorProto,
        node: &Node,
        before: &[FileDescriptorProto],
    ) -> Read<()> {
        let is_late = matches!(node.keyword(), "proto2" | "package")
            && file.message_type.len() + file.enum_type.len() + file.service.len() + file.extension.len() > 0;
        match node.keyword() {
            early if is_late => return Err(node.error(format!("'{early}' follows a definition"))),
            "proto2" => {
                let [_] = words(node)?;
                (file.syntax, self.proto3) = (None, false);
            }
            "package" => {
                let [_, package] = words(node)?;
                self.package = path(node, package)?.to_owned();
                file.package = Some(self.package.clone());
            }
            "deprecated" => {
                let [_] = words(node)?;
                file.options = Some(FileOptions { deprecated: Some(true), ..Default::default() });
            }
            "import" => {
                if node.words.get(1).is_some_and(|word| word == "public") {
                    let [_, _, path] = words(node)?;
                    file.public_dependency.push(count(file.dependency.len()));
                    file.dependency.push(path.to_owned());
                } else {
                    let [_, path] = words(node)?;
                    file.dependency.push(path.to_owned());
                }
            }
            "like" => self.like(file, node, before)?,
            "service" => file.service.push(self.service(node)?),
            "message" => {
                let scope = self.package.clone();
                file.message_type.push(self.message(node, &scope)?);
            }
            "enum" => {
                let scope = self.package.clone();
                file.enum_type.push(self.enumeration(node, &scope)?);
            }
            "extend" => {
                let scope = self.package.clone();
                file.extension.extend(self.extend(node, &scope)?);
            }
            other => return Err(node.error(format!("'{other}' is not expected in a file"))),
        }
        Ok(())
    }

    /// Copies an earlier file under the package of this one.
    fn like(
        &mut self,
        file: &mut FileDescriptorProto,
        node: &Node,
        before: &[FileDescriptorProto],
    ) -> Read<()> {
        let [_, path] = words(node)?;
        let original = before.iter().find(|file| file.name() == path);
        let original = original.ok_or_else(|| node.error(format!("no file '{path}' precedes")))?;
        let copy = super::names::renamed(original, file.name(), &self.package);
        let copy = copy.ok_or_else(|| node.error("both files need a package"))?;
        let of = |name: &String| {
            let rest = name.strip_prefix(original.package())?.strip_prefix('.')?;
            let is_there = defined(original).any(|first| rest.split('.').next() == Some(first));
            is_there.then(|| within(&self.package, rest))
        };
        let copied: Vec<_> =
            self.comments.iter().filter_map(|(name, text)| Some((of(name)?, text.clone()))).collect();
        self.comments.extend(copied);
        *file = copy;
        Ok(())
    }

    fn service(&mut self, node: &Node) -> Read<ServiceDescriptorProto> {
        let (name, options) = named(node)?;
        let full = within(&self.package, name);
        self.note(full.clone(), node);
        let mut service = ServiceDescriptorProto { name: Some(name.to_owned()), ..Default::default() };
        if is_deprecated(node, options)? {
            service.options = Some(ServiceOptions { deprecated: Some(true), ..Default::default() });
        }
        for child in &node.children {
            leaf(child)?;
            service.method.push(self.method(child)?);
            self.note(within(&full, child.keyword()), child);
        }
        Ok(service)
    }

    fn method(&mut self, node: &Node) -> Read<MethodDescriptorProto> {
        let mut words = node.words.iter().map(String::as_str).peekable();
        let name = words.next().filter(|name| is_identifier(name));
        let mut side = || {
            let is_stream = words.next_if_eq(&"stream").is_some();
            Some((is_stream.then_some(true), words.next()?))
        };
        let sides = side().zip(words.next_if_eq(&">")).and_then(|(from, _)| {
            let is_stream = words.next_if_eq(&"stream").is_some();
            Some((from, (is_stream.then_some(true), words.next()?)))
        });
        let (Some(name), Some((from, to))) = (name, sides) else {
            return Err(node.error("a method is 'NAME [stream] INPUT > [stream] OUTPUT'"));
        };
        let mut options = MethodOptions::default();
        for word in words {
            match word {
                "deprecated" => options.deprecated = Some(true),
                "idempotent" => {
                    options.idempotency_level = Some(method_options::IdempotencyLevel::Idempotent.into());
                }
                "no_side_effects" => {
                    options.idempotency_level = Some(method_options::IdempotencyLevel::NoSideEffects.into());
                }
                other => return Err(node.error(format!("'{other}' is not expected in a method"))),
            }
        }
        Ok(MethodDescriptorProto {
            name: Some(name.to_owned()),
            input_type: Some(self.type_name(node, from.1)?),
            output_type: Some(self.type_name(node, to.1)?),
            options: (options != MethodOptions::default()).then_some(options),
            client_streaming: from.0,
            server_streaming: to.0,
        })
    }

    fn message(&mut self, node: &Node, scope: &str) -> Read<DescriptorProto> {
        let (name, words) = named(node)?;
        let full = within(scope, name);
        self.note(full.clone(), node);
        let mut options = MessageOptions::default();
        for word in words {
            match word.as_str() {
                "deprecated" => options.deprecated = Some(true),
                "message_set" => options.message_set_wire_format = Some(true),
                other => return Err(node.error(format!("'{other}' is not expected here"))),
            }
        }
        let mut message = DescriptorProto { name: Some(name.to_owned()), ..Default::default() };
        message.options = (options != MessageOptions::default()).then_some(options);
        let mut oneofs = Oneofs::default();
        for child in &node.children {
            match child.keyword() {
                "message" => message.nested_type.push(self.message(child, &full)?),
                "enum" => message.enum_type.push(self.enumeration(child, &full)?),
                "extend" => message.extension.extend(self.extend(child, &full)?),
                "reserved" | "extensions" => members::ranges(&mut message, child)?,
                "oneof" => self.oneof(&mut oneofs, child, &full)?,
                _ => self.field(&mut oneofs, child, &full)?,
            }
        }
        oneofs.finish(&mut message);
        Ok(message)
    }

    fn enumeration(&mut self, node: &Node, scope: &str) -> Read<EnumDescriptorProto> {
        let (name, words) = named(node)?;
        let full = within(scope, name);
        self.note(full.clone(), node);
        let mut options = EnumOptions::default();
        for word in words {
            match word.as_str() {
                "deprecated" => options.deprecated = Some(true),
                "aliases" => options.allow_alias = Some(true),
                other => return Err(node.error(format!("'{other}' is not expected here"))),
            }
        }
        let mut values = EnumDescriptorProto { name: Some(name.to_owned()), ..Default::default() };
        values.options = (options != EnumOptions::default()).then_some(options);
        for child in &node.children {
            leaf(child)?;
            match child.keyword() {
                "reserved" => members::reserved_values(&mut values, child)?,
                _ => {
                    let value = members::value(child)?;
                    self.note(within(&full, value.name()), child);
                    values.value.push(value);
                }
            }
        }
        Ok(values)
    }
}

/// Returns the names of what a file defines, without what is nested.
pub fn defined(file: &FileDescriptorProto) -> impl Iterator<Item = &str> {
    let messages = file.message_type.iter().map(DescriptorProto::name);
    let enums = file.enum_type.iter().map(EnumDescriptorProto::name);
    let services = file.service.iter().map(ServiceDescriptorProto::name);
    messages.chain(enums).chain(services).chain(file.extension.iter().map(FieldDescriptorProto::name))
}

/// Returns the name that follows the first word, and the words that follow that.
fn named(node: &Node) -> Read<(&str, &[String])> {
    match node.words.as_slice() {
        [_, name, rest @ ..] if is_identifier(name) => Ok((name, rest)),
        _ => Err(node.error(format!("a name must follow '{}'", node.keyword()))),
    }
}

fn is_deprecated(node: &Node, words: &[String]) -> Read<bool> {
    match words {
        [] => Ok(false),
        [word] if word == "deprecated" => Ok(true),
        _ => Err(node.error("only 'deprecated' may follow the name")),
    }
}

/// Checks that a node has no comment, and nothing below it unless it is `extend`.
fn leaf_or_block(node: &Node) -> Read<()> {
    if !node.comment.is_empty() {
        return Err(node.error(format!("'{}' takes no comment", node.keyword())));
    }
    if node.keyword() == "extend" { Ok(()) } else { leaf(node) }
}
