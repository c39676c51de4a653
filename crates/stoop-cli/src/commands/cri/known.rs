//! What a runtime has, for completion: within a short time, and without a word.

use std::time::Duration;

use serde_json::{Value, json};

use super::args::Cri;
use super::error::ErrorContext;
use super::field::{list, short, text};
use super::select::Sort;
use super::session::Session;
use crate::runtime;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Containers,
    Pods,
    Images,
}

/// Something that a runtime has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) about: String,
}

/// Returns what the runtime has, or `None` if it does not answer in time.
pub(crate) fn known(flags: &Cri, sort: Known, limit: Duration) -> Option<Vec<Item>> {
    let images = flags.image_endpoint.as_ref().filter(|_| sort == Known::Images);
    let endpoint = images.unwrap_or(&flags.endpoint);
    let errors = ErrorContext { endpoint: endpoint.clone() };
    let stream = endpoint.connect_stream(None, Some(limit)).ok()?.connection;
    let runtime = runtime::start().ok()?;
    let asked = runtime.block_on(async {
        let asking = async {
            let session = Session::open(flags, errors, stream).await.ok()?;
            Some(match sort {
                Known::Containers => session.all(Sort::Container).await.ok()?.iter().map(item).collect(),
                Known::Pods => session.all(Sort::Pod).await.ok()?.iter().map(item).collect(),
                Known::Images => images_of(&session.call("ListImages", &json!({})).await.ok()?),
            })
        };
        tokio::time::timeout(limit, asking).await.ok()?
    });
    runtime.shutdown_background();
    asked
}

/// Returns a container or a pod.
fn item(value: &Value) -> Item {
    let id = text(value, "id");
    let (_, state) = text(value, "state").split_once('_').unwrap_or_default();
    let about = format!("{} {}", state.to_lowercase(), short(id));
    Item { name: text(value, "metadata.name").to_owned(), id: id.to_owned(), about }
}

/// Returns each name of each image.
fn images_of(answer: &Value) -> Vec<Item> {
    let items = list(answer, "images").iter().flat_map(|image| {
        let id = text(image, "id").trim_start_matches("sha256:");
        let names = list(image, "repoTags").iter().filter_map(Value::as_str);
        names.map(|name| Item { name: name.to_owned(), id: id.to_owned(), about: short(id).to_owned() })
    });
    items.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_have_a_name_and_an_id() {
        let container =
            json!({"id": "0123456789abcdef", "metadata": {"name": "web"}, "state": "CONTAINER_EXITED"});
        let (name, id) = ("web".to_owned(), "0123456789abcdef".to_owned());
        assert_eq!(item(&container), Item { name, id, about: "exited 0123456789abc".into() });
        let images =
            json!({"images": [{"id": "sha256:ab", "repoTags": ["a:1", "b:1"]}, {"id": "sha256:cd"}]});
        let names: Vec<String> = images_of(&images).into_iter().map(|image| image.name).collect();
        assert_eq!(names, ["a:1", "b:1"]);
    }
}
