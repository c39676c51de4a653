//! The Docker client's configuration files. Pure; a fuzz target includes this file, so it uses
//! nothing else of this crate.

use serde_json::Value;

/// Returns the context that a `config.json` names.
pub(crate) fn current_context(config: &[u8]) -> Option<String> {
    Some(serde_json::from_slice::<Value>(config).ok()?["currentContext"].as_str()?.to_owned())
}

/// Returns the host that a `meta.json` names, if it is the one of this context.
pub(crate) fn context_host(meta: &[u8], context: &str) -> Option<String> {
    let meta: Value = serde_json::from_slice(meta).ok()?;
    let is_its = meta["Name"].as_str() == Some(context);
    Some(meta["Endpoints"]["docker"]["Host"].as_str().filter(|_| is_its)?.to_owned())
}
