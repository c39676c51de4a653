//! Asks containerd why it does not serve the CRI: it lists its plugins, with their errors.

use stoop_dynamic::{Client, Code, MethodDescriptor, Schema, Status, json};

use super::cri_plugin::{self, CriPlugin};
use super::session::Session;

/// The method that lists the plugins.
const PLUGINS: &str = "containerd.services.introspection.v1.Introspection/Plugins";

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
        cri_plugin::judge(&answer)
    }
}
