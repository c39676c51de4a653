//! Why containerd does not serve the CRI, as its list of plugins shows.

use stoop_dynamic::DynamicMessage;

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

/// Judges the list of plugins.
pub(super) fn judge(answer: &DynamicMessage) -> Option<CriPlugin> {
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
