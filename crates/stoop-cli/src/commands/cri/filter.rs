//! What is listed: states, labels, patterns. Pure.

use regex::Regex;
use serde_json::{Map, Value, json};

use super::args::{ContainerFilter, ContainerState, ImageFilter, ListPods};
use super::field::{list, number, text};

pub(super) fn selector(labels: &[(String, String)]) -> Value {
    labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect::<Map<_, _>>().into()
}

/// Returns the filter of `ListContainers`. `id` is the beginning of an id, `pod` the full id of a
/// pod.
pub(super) fn of_containers(flags: &ContainerFilter, id: Option<&str>, pod: Option<&str>) -> Value {
    let mut filter = json!({"labelSelector": selector(&flags.label)});
    if let Some(id) = id {
        filter["id"] = json!(id);
    }
    if let Some(pod) = pod {
        filter["podSandboxId"] = json!(pod);
    }
    // As in crictl, all states are of interest if the newest are asked for.
    let is_any = flags.all || flags.newest.count().is_some();
    let state = flags.state.or((!is_any).then_some(ContainerState::Running));
    if let Some(state) = state {
        filter["state"] = json!({"state": state.word()});
    }
    json!({"filter": filter})
}

/// Returns the filter of `ListPodSandbox`.
pub(super) fn of_pods(flags: &ListPods) -> Value {
    let mut filter = json!({"labelSelector": selector(&flags.label)});
    if let Some(id) = flags.id.as_ref().or(flags.prefix.as_ref()) {
        filter["id"] = json!(id);
    }
    if let Some(state) = flags.state {
        filter["state"] = json!({"state": state.word()});
    }
    json!({"filter": filter})
}

/// Returns the newest first, at most this many.
pub(super) fn newest(mut items: Vec<Value>, count: Option<usize>) -> Vec<Value> {
    items.sort_by_key(|item| std::cmp::Reverse(number(item, "createdAt")));
    items.truncate(count.unwrap_or(usize::MAX));
    items
}

/// Returns the containers that also match what the interface cannot filter by. `image` are the
/// names and ids of the image that was asked for.
pub(super) fn containers(items: &[Value], flags: &ContainerFilter, image: Option<&[String]>) -> Vec<Value> {
    let is_named = |item: &Value| matches(flags.name.as_ref(), text(item, "metadata.name"));
    let is_of_image = |item: &Value| {
        let own = [text(item, "image.image"), text(item, "imageRef"), text(item, "imageId")];
        image.is_none_or(|names| names.iter().any(|name| own.contains(&name.as_str())))
    };
    let matching = items.iter().filter(|item| is_named(item) && is_of_image(item));
    newest(matching.cloned().collect(), flags.newest.count())
}

/// Returns the pods that also match what the interface cannot filter by.
pub(super) fn pods(items: &[Value], flags: &ListPods) -> Vec<Value> {
    let matching = items.iter().filter(|item| {
        matches(flags.name.as_ref(), text(item, "metadata.name"))
            && matches(flags.namespace.as_ref(), text(item, "metadata.namespace"))
    });
    newest(matching.cloned().collect(), flags.newest.count())
}

fn matches(pattern: Option<&Regex>, text: &str) -> bool {
    pattern.is_none_or(|pattern| pattern.is_match(text))
}

/// Returns the names under which containers may refer to an image: as typed, its id, tags and
/// digests.
pub(super) fn names_of_image(typed: &str, image: &Value) -> Vec<String> {
    let listed = ["repoTags", "repoDigests"].into_iter().flat_map(|field| list(image, field));
    let listed = listed.filter_map(Value::as_str);
    [typed, text(image, "id")].into_iter().chain(listed).map(str::to_owned).collect()
}

/// Returns the images that match every filter.
pub(super) fn images(images: Vec<Value>, filters: &[ImageFilter]) -> Vec<Value> {
    let fits = |image: &Value, filter: &ImageFilter| match filter {
        ImageFilter::Dangling(is_dangling) => list(image, "repoTags").is_empty() == *is_dangling,
        ImageFilter::Reference(pattern) => {
            names_of_image("", image).iter().skip(2).any(|name| pattern.is_match(name))
        }
    };
    images.into_iter().filter(|image| filters.iter().all(|filter| fits(image, filter))).collect()
}

/// Returns the images that no container uses, and that are not pinned.
pub(super) fn unused<'v>(images: &'v [Value], containers: &[Value]) -> Vec<&'v Value> {
    let is_used = |image: &Value| {
        let names = names_of_image("", image);
        let names: Vec<&String> = names.iter().filter(|name| !name.is_empty()).collect();
        containers.iter().any(|container| {
            let refers = ["image.image", "imageRef", "imageId"].map(|field| text(container, field));
            names.iter().any(|name| refers.contains(&name.as_str()))
        })
    };
    images.iter().filter(|image| image["pinned"] != json!(true) && !is_used(image)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_first() {
        let items = ["5", "9", "7"].map(|at| json!({"createdAt": at})).to_vec();
        let times = |count| -> Vec<i64> {
            newest(items.clone(), count).iter().map(|item| number(item, "createdAt")).collect()
        };
        assert_eq!((times(None), times(Some(1)), times(Some(9))), (vec![9, 7, 5], vec![9], vec![9, 7, 5]));
    }

    #[test]
    fn images_match_every_filter() {
        let all = [
            json!({"id": "1", "repoTags": ["a:1", "b:1"]}),
            json!({"id": "2", "repoDigests": ["a@sha256:0"]}),
            json!({"id": "3", "repoTags": ["c:1"]}),
        ];
        let ids = |filters: &[&str]| -> String {
            let filters: Vec<_> =
                filters.iter().map(|text| crate::commands::cri::args::image_filter(text).unwrap()).collect();
            images(all.to_vec(), &filters).iter().map(|image| text(image, "id")).collect()
        };
        assert_eq!(
            (ids(&[]), ids(&["dangling=true"]), ids(&["dangling=false"])),
            ("123".into(), "2".into(), "13".into())
        );
        assert_eq!(
            (ids(&["reference=^a"]), ids(&["reference=^a", "dangling=false"])),
            ("12".into(), "1".into())
        );
        assert!(crate::commands::cri::args::image_filter("since=a").is_err());
    }

    #[test]
    fn unused_images_are_those_that_nothing_refers_to() {
        let image =
            |id: &str, tag: &str, pinned: bool| json!({"id": id, "repoTags": [tag], "pinned": pinned});
        let images = [
            image("sha256:1", "a:1", false),
            image("sha256:2", "b:1", false),
            image("sha256:3", "c:1", true),
            image("sha256:4", "d:1", false),
        ];
        let containers = [json!({"imageRef": "sha256:1"}), json!({"image": {"image": "b:1"}})];
        let ids: Vec<&str> =
            unused(&images, &containers).into_iter().map(|image| text(image, "id")).collect();
        assert_eq!(ids, ["sha256:4"]);
    }
}
