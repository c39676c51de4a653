//! Resolves a name that a user typed to a method or symbol, by full name or suffix, and suggests
//! similar names. Does no I/O.

use std::fmt;

use prost_reflect::{
    EnumDescriptor, FieldDescriptor, FileDescriptor, MessageDescriptor, MethodDescriptor, ServiceDescriptor,
};
use stoop::escaped;

use crate::Schema;

/// A named element of a schema.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Symbol {
    /// A service.
    Service(ServiceDescriptor),
    /// A method.
    Method(MethodDescriptor),
    /// A message.
    Message(MessageDescriptor),
    /// A field of a message.
    Field(FieldDescriptor),
    /// An enum.
    Enum(EnumDescriptor),
    /// A file.
    File(FileDescriptor),
}

impl Symbol {
    /// Returns the full name. A method's is written `service/method`.
    pub fn name(&self) -> String {
        match self {
            Symbol::Service(service) => service.full_name().into(),
            Symbol::Method(method) => path_of(method),
            Symbol::Message(message) => message.full_name().into(),
            Symbol::Field(field) => field.full_name().into(),
            Symbol::Enum(values) => values.full_name().into(),
            Symbol::File(file) => file.name().into(),
        }
    }

    fn package(&self) -> String {
        match self {
            Symbol::Service(service) => service.package_name().into(),
            Symbol::Method(method) => method.parent_service().package_name().into(),
            Symbol::Message(message) => message.package_name().into(),
            Symbol::Field(field) => field.parent_message().package_name().into(),
            Symbol::Enum(values) => values.package_name().into(),
            Symbol::File(file) => file.package_name().into(),
        }
    }
}

/// The error for a name that resolves to nothing, or to several elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// No element has this name. Contains similar names, the most similar first.
    Unknown(Vec<String>),
    /// Several elements have this name.
    Ambiguous(Vec<String>),
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, names) = match self {
            Unresolved::Unknown(near) if near.is_empty() => ("unknown name", near),
            Unresolved::Unknown(near) => ("unknown name; similar names:", near),
            Unresolved::Ambiguous(fit) => ("ambiguous name:", fit),
        };
        f.write_str(what)?;
        for (nth, name) in names.iter().enumerate() {
            write!(f, "{} '{}'", if nth == 0 { "" } else { "," }, escaped(name))?;
        }
        Ok(())
    }
}

impl std::error::Error for Unresolved {}

/// The maximum number of suggestions.
const SUGGESTIONS: usize = 4;

/// The minimum Jaro-Winkler similarity of a suggestion.
const ALIKE: f64 = 0.75;

impl Schema {
    /// Returns the method of this name: `package.Service/Method`, or any unambiguous suffix
    /// (`Service/Method`, `Method`).
    ///
    /// A dot may replace the slash. If several methods match, those in the first package of
    /// `preferred` that has any are considered.
    ///
    /// ```
    /// use stoop_dynamic::{Schema, Unresolved};
    ///
    /// let schema = Schema::builtin();
    /// assert_eq!(schema.method("RunPodSandbox", &[])?.parent_service().name(), "RuntimeService");
    /// // Several services have a method of this name.
    /// assert!(matches!(schema.method("Version", &[]), Err(Unresolved::Ambiguous(_))));
    /// let version = schema.method("Version", &["runtime.v1"])?;
    /// assert_eq!(version.full_name(), "runtime.v1.RuntimeService.Version");
    /// // A typing error: similar names are suggested.
    /// let error = schema.method("RunPodSanbox", &[]).unwrap_err();
    /// let Unresolved::Unknown(similar) = error else { panic!() };
    /// assert_eq!(similar[0], "runtime.v1.RuntimeService/RunPodSandbox");
    /// # Ok::<(), Unresolved>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if no method has the name, or if several have.
    pub fn method(&self, name: &str, preferred: &[&str]) -> Result<MethodDescriptor, Unresolved> {
        let methods: Vec<_> =
            self.services().into_iter().flat_map(|service| service.methods().collect::<Vec<_>>()).collect();
        let fits = methods.iter().filter(|method| is_end_of(&path_of(method), name)).cloned().collect();
        one_of(fits, preferred, |method: &MethodDescriptor| {
            (path_of(method), method.parent_service().package_name().to_owned())
        })
        .unwrap_or_else(|| Err(Unresolved::Unknown(near(name, methods.iter().map(path_of)))))
    }

    /// Returns the service, method, message, field or enum of this name, or with this suffix, or
    /// the file with this path.
    ///
    /// A field's name begins with its message's: `PodSandboxConfig.labels`.
    /// Ambiguity is resolved by `preferred`, like in [`method`](Schema::method).
    ///
    /// ```
    /// use stoop_dynamic::{Schema, Symbol};
    ///
    /// let schema = Schema::builtin();
    /// let Symbol::Message(message) = schema.symbol("PodSandboxMetadata", &[])? else { panic!() };
    /// assert_eq!(message.full_name(), "runtime.v1.PodSandboxMetadata");
    /// assert!(matches!(schema.symbol("RuntimeService/RunPodSandbox", &[])?, Symbol::Method(_)));
    /// # Ok::<(), stoop_dynamic::Unresolved>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if no element has the name, or if several have.
    pub fn symbol(&self, name: &str, preferred: &[&str]) -> Result<Symbol, Unresolved> {
        if let Some(file) = self.pool().get_file_by_name(name) {
            return Ok(Symbol::File(file));
        }
        let all = self.symbols();
        let exact = all.iter().find(|symbol| dotted(&symbol.name()) == dotted(name));
        if let Some(symbol) = exact {
            return Ok(symbol.clone());
        }
        let mut fits: Vec<_> = all.iter().filter(|symbol| is_end_of(&symbol.name(), name)).cloned().collect();
        let fields = fields_of(&all, name);
        if fits.is_empty() {
            fits = fields.iter().filter(|field| is_end_of(&field.name(), name)).cloned().collect();
        }
        one_of(fits, preferred, |symbol: &Symbol| (symbol.name(), symbol.package())).unwrap_or_else(|| {
            Err(Unresolved::Unknown(near(name, all.iter().chain(&fields).map(Symbol::name))))
        })
    }

    fn symbols(&self) -> Vec<Symbol> {
        let services = self.services();
        let methods: Vec<_> = services.iter().flat_map(ServiceDescriptor::methods).collect();
        let messages = self.pool().all_messages().filter(|message| !message.is_map_entry());
        services
            .iter()
            .cloned()
            .map(Symbol::Service)
            .chain(methods.into_iter().map(Symbol::Method))
            .chain(messages.map(Symbol::Message))
            .chain(self.pool().all_enums().map(Symbol::Enum))
            .collect()
    }
}

/// Returns the fields of the messages that a name names up to its last component.
fn fields_of(symbols: &[Symbol], name: &str) -> Vec<Symbol> {
    let Some((front, _)) = name.rsplit_once('.') else { return Vec::new() };
    let messages = symbols.iter().filter_map(|symbol| match symbol {
        Symbol::Message(message) if is_end_of(message.full_name(), front) => Some(message),
        _ => None,
    });
    messages.flat_map(MessageDescriptor::fields).map(Symbol::Field).collect()
}

/// Returns `package.Service/Method`.
fn path_of(method: &MethodDescriptor) -> String {
    format!("{}/{}", method.parent_service().full_name(), method.name())
}

fn dotted(name: &str) -> String {
    name.trim_start_matches(['/', '.']).replace('/', ".")
}

/// Returns whether `end` is the whole name or consists of its last components.
fn is_end_of(name: &str, end: &str) -> bool {
    let (name, end) = (dotted(name), dotted(end));
    !end.is_empty() && name.strip_suffix(&end).is_some_and(|front| front.is_empty() || front.ends_with('.'))
}

/// Returns the one match, or the preferred one; `None` if nothing matches.
fn one_of<T>(
    mut fits: Vec<T>,
    preferred: &[&str],
    name_and_package: impl Fn(&T) -> (String, String),
) -> Option<Result<T, Unresolved>> {
    for package in preferred {
        let is_preferred = |fit: &T| name_and_package(fit).1 == *package;
        if fits.iter().any(is_preferred) {
            fits.retain(is_preferred);
            break;
        }
    }
    match fits.len() {
        0 => None,
        1 => fits.pop().map(Ok),
        _ => Some(Err(Unresolved::Ambiguous(fits.iter().map(|fit| name_and_package(fit).0).collect()))),
    }
}

/// Returns the names most similar to `wrong`, the most similar first.
fn near(wrong: &str, names: impl Iterator<Item = String>) -> Vec<String> {
    let wrong = dotted(wrong).to_lowercase();
    let words = wrong.split('.').count();
    let alike = |name: &str| {
        let name = dotted(name).to_lowercase();
        // Compare with as many trailing components as were typed.
        let start = name.rmatch_indices('.').nth(words - 1).map_or(0, |(at, _)| at + 1);
        strsim::jaro_winkler(&wrong, &name[start..])
    };
    let mut near: Vec<(f64, String)> =
        names.map(|name| (alike(&name), name)).filter(|(alike, _)| *alike >= ALIKE).collect();
    near.sort_by(|one, other| other.0.total_cmp(&one.0));
    near.into_iter().take(SUGGESTIONS).map(|(_, name)| name).collect()
}

/// Returns the name most similar to `wrong`, if any is similar enough.
pub(crate) fn nearest(wrong: &str, names: impl Iterator<Item = String>) -> Option<String> {
    near(wrong, names).into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: &str = "runtime.v1.RuntimeService/Version";

    #[test]
    fn resolution_errors_list_candidates() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let said = |found: Unresolved| found.to_string();
        assert_eq!(said(Unresolved::Unknown(names(&[]))), "unknown name");
        assert_eq!(said(Unresolved::Unknown(names(&["a/B"]))), "unknown name; similar names: 'a/B'");
        assert_eq!(said(Unresolved::Ambiguous(names(&["a/B", "c/B"]))), "ambiguous name: 'a/B', 'c/B'");
    }

    fn found(name: &str, preferred: &[&str]) -> Result<String, Unresolved> {
        Schema::builtin().method(name, preferred).map(|method| path_of(&method))
    }

    #[test]
    fn methods_resolve_by_full_name_and_suffix() {
        for name in [VERSION, "/runtime.v1.RuntimeService/Version", "runtime.v1.RuntimeService.Version"] {
            assert_eq!(found(name, &[]).unwrap(), VERSION);
        }
        assert_eq!(found("RuntimeService/Version", &[]).unwrap(), VERSION);
        assert_eq!(found("RunPodSandbox", &[]).unwrap(), "runtime.v1.RuntimeService/RunPodSandbox");
        assert!(matches!(found("PodSandbox", &[]), Err(Unresolved::Unknown(_))), "words, not letters");
        assert!(matches!(found("", &[]), Err(Unresolved::Unknown(_))));
    }

    #[test]
    fn ambiguity_is_resolved_by_preference() {
        let Err(Unresolved::Ambiguous(names)) = found("Version", &[]) else { panic!("there are two") };
        assert!(names.contains(&VERSION.to_owned()) && names.len() >= 2, "{names:?}");
        assert_eq!(found("Version", &["runtime.v1"]).unwrap(), VERSION);
        assert!(matches!(found("Version", &["no.such"]), Err(Unresolved::Ambiguous(_))));
    }

    #[test]
    fn similar_names_are_suggested() {
        let Err(Unresolved::Unknown(names)) = found("RunPodSanbox", &[]) else { panic!("a typing error") };
        assert_eq!(names[0], "runtime.v1.RuntimeService/RunPodSandbox");
        let Err(Unresolved::Unknown(names)) = found("RuntimeService/version", &[]) else { panic!("case") };
        assert_eq!(names[0], VERSION);
        assert_eq!(found("xyzzy", &[]), Err(Unresolved::Unknown(Vec::new())));
    }

    #[test]
    fn symbols_of_every_sort() {
        let schema = Schema::builtin();
        let symbol = |name: &str| schema.symbol(name, &["runtime.v1"]).map(|symbol| symbol.name());
        assert_eq!(symbol("RuntimeService").unwrap(), "runtime.v1.RuntimeService");
        assert_eq!(symbol("RuntimeService/Version").unwrap(), VERSION);
        assert_eq!(symbol("PodSandboxConfig").unwrap(), "runtime.v1.PodSandboxConfig");
        assert_eq!(symbol("NamespaceMode").unwrap(), "runtime.v1.NamespaceMode");
        assert_eq!(symbol("PodSandboxConfig.labels").unwrap(), "runtime.v1.PodSandboxConfig.labels");
        assert_eq!(
            symbol(".runtime.v1.PodSandboxConfig.labels").unwrap(),
            "runtime.v1.PodSandboxConfig.labels"
        );
        assert!(symbol("PodSandboxConfg").is_err());
        let Err(Unresolved::Unknown(names)) = symbol("PodSandboxConfig.label") else { panic!("no field") };
        assert_eq!(names[0], "runtime.v1.PodSandboxConfig.labels");
    }
}
