//! Asks containerd why it does not serve the CRI: it lists its plugins, with their errors.

use stoop_dynamic::{Client, Code, DynamicMessage, MethodDescriptor, Schema, Status, json};

use super::session::Session;

/// The method that lists the plugins.
const PLUGINS: &str = "containerd.services.introspection.v1.Introspection/Plugins";

/// The id of the plugin that serves the CRI.
const CRI: &str = "cri";

/// Why containerd does not serve the CRI.
#[derive(Debug)]
pub(super) enum CriPlugin {
    /// It has no such plugin, or did not load it.
    NotLoaded,
    /// The plugin failed, with this error.
    Failed(String),
}

impl Session<'_> {
    /// Finds out why a method of the CRI is not implemented. Returns `None` if it is another
    /// method, or the server is not a containerd without its CRI plugin.
    pub(super) async fn cri_plugin(
        &self,
        client: &Client,
        method: &MethodDescriptor,
        status: &Status,
    ) -> Option<CriPlugin> {
        let of_cri = method.parent_service().package_name().starts_with("runtime.");
        if !of_cri || status.code() != Code::Unimplemented {
            return None;
        }
        let plugins = Schema::builtin().method(PLUGINS, &[]).ok()?;
        let request = tokio_stream::once(json::read(&plugins.input(), "{}").ok()?);
        let answer = async { client.call(&plugins, request, self.options()).await?.message().await };
        let answer = self.within(PLUGINS, answer).await.ok()?.ok()??;
        judge(&answer)
    }
}

/// Judges the list of plugins.
fn judge(answer: &DynamicMessage) -> Option<CriPlugin> {
    let plugins = answer.get_field_by_name("plugins")?;
    let mut plugins = plugins.as_list()?.iter().filter_map(|plugin| plugin.as_message());
    let text = |plugin: &DynamicMessage, field: &str| {
        Some(plugin.get_field_by_name(field)?.as_str().unwrap_or_default().to_owned())
    };
    let serves = |plugin: &&DynamicMessage| {
        text(plugin, "id").as_deref() == Some(CRI)
            && text(plugin, "type").is_some_and(|sort| sort.starts_with("io.containerd.grpc."))
    };
    let Some(cri) = plugins.find(serves) else { return Some(CriPlugin::NotLoaded) };
    let error = cri.get_field_by_name("init_err")?;
    let message = text(error.as_message()?, "message")?;
    (!message.is_empty()).then_some(CriPlugin::Failed(message))
}
