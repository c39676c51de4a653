//! Files that describe pods and containers, as crictl reads them. Pure, except for reading them.

use std::path::Path;

use serde_json::{Value, json};
use stoop::escaped;
use stoop_dynamic::{MessageDescriptor, json};

use super::field::text;
use super::yaml;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::base64;

/// Reads a file that describes a pod. What it does not say is added: the namespace `default`, and a
/// unique id.
pub(super) fn pod(path: &Path, message: &MessageDescriptor) -> Result<Value, Failure> {
    let mut config = read(path, message)?;
    if text(&config, "metadata.namespace").is_empty() {
        config["metadata"]["namespace"] = json!("default");
    }
    if text(&config, "metadata.uid").is_empty() {
        let uid = std::fs::read_to_string("/proc/sys/kernel/random/uuid");
        let uid = uid.map_err(|error| Failure::io("read a unique id from the kernel", &error))?;
        config["metadata"]["uid"] = json!(uid.trim());
    }
    Ok(config)
}

/// Reads a file that describes a container.
pub(super) fn container(path: &Path, message: &MessageDescriptor) -> Result<Value, Failure> {
    read(path, message)
}

fn read(path: &Path, message: &MessageDescriptor) -> Result<Value, Failure> {
    let name = escaped(path.as_os_str().as_encoded_bytes()).to_string();
    let contents =
        std::fs::read_to_string(path).map_err(|error| Failure::io(format!("read '{name}'"), &error))?;
    let invalid = |why: String| {
        Failure::new(Exit::Usage, format!("'{name}' does not describe a {}", described(message)))
            .why(why)
            .next(format!("stoop grpc cri describe {}", message.full_name()))
    };
    let mut config = yaml::parse(&contents).map_err(invalid)?;
    if text(&config, "metadata.name").is_empty() {
        return Err(invalid("it has no metadata.name".into()).into());
    }
    encode_variables(&mut config, message);
    json::read(message, &config.to_string()).map_err(|error| {
        let report = invalid(format!("at '{}': {error}", error.path()));
        match error.nearest() {
            Some(nearest) => report.seen(format!("did you mean '{nearest}'?")),
            None => report,
        }
    })?;
    Ok(config)
}

fn described(message: &MessageDescriptor) -> &'static str {
    if message.name().starts_with("Pod") { "pod" } else { "container" }
}

/// Encodes the values of environment variables, which are text in files. In newer versions of the
/// interface they are bytes, and bytes are base64 in JSON.
fn encode_variables(config: &mut Value, message: &MessageDescriptor) {
    let variable = message.get_field_by_name("envs").map(|field| field.kind());
    let value = variable.as_ref().and_then(|kind| kind.as_message()?.get_field_by_name("value"));
    let is_bytes = value.is_some_and(|value| format!("{:?}", value.kind()) == "bytes");
    let variables = config.get_mut("envs").and_then(Value::as_array_mut);
    let Some(variables) = variables.filter(|_| is_bytes) else { return };
    for variable in variables {
        let value = variable.get_mut("value").filter(|value| value.is_string());
        if let Some(value) = value {
            *value = json!(base64(value.as_str().unwrap_or_default().as_bytes()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stoop_dynamic::Schema;

    fn message(field: &str) -> MessageDescriptor {
        let method = Schema::builtin().method("runtime.v1.RuntimeService/CreateContainer", &[]).unwrap();
        let kind = method.input().get_field_by_name(field).unwrap().kind();
        kind.as_message().unwrap().clone()
    }

    fn file(contents: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), contents).unwrap();
        file
    }

    #[test]
    fn a_pod_gets_what_its_file_does_not_say() {
        let short = file("metadata: {name: web}\nlog_directory: /tmp\n");
        let config = pod(short.path(), &message("sandbox_config")).unwrap();
        assert_eq!(text(&config, "metadata.namespace"), "default");
        assert_eq!(text(&config, "metadata.uid").len(), 36, "{config}");
        let long =
            file(r#"{"metadata": {"name": "web", "namespace": "n", "uid": "u"}, "logDirectory": "/tmp"}"#);
        let config = pod(long.path(), &message("sandbox_config")).unwrap();
        assert_eq!(config["metadata"], json!({"name": "web", "namespace": "n", "uid": "u"}));
    }

    #[test]
    fn variables_are_text_in_files() {
        let file = file("metadata: {name: web}\nimage: {image: x}\nenvs: [{key: WORD, value: grüezi}]\n");
        let config = container(file.path(), &message("config")).unwrap();
        assert_eq!(config["envs"][0]["value"], "Z3LDvGV6aQ==");
    }

    #[test]
    fn a_wrong_field_is_named() {
        for (contents, why) in [
            ("metadata: {name: web}\nimag: {image: x}\n", "imag"),
            ("image: {image: x}\n", "metadata.name"),
            ("metadata: {name: web}\ncommand: sh\n", "command"),
            ("a: b: c", "mapping"),
        ] {
            let file = file(contents);
            let Err(Failure::Report(report)) = container(file.path(), &message("config")) else {
                panic!("{contents} was accepted")
            };
            assert!(report.text().contains(why), "{}", report.text());
        }
    }
}
