//! The actions that list, inspect and report.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::args::{
    ContainerFilter, Events, Format, Images, Info, Inspect, InspectImages, InspectPods, ListContainers,
    ListPods, PodStats, Sampling, Stats, Version,
};
use super::field::{list, number, text};
use super::filter::{self, selector};
use super::moment::{nanos, rfc3339};
use super::output::{escaped, lines, show};
use super::select::Sort;
use super::session::{Session, value_of};
use super::table::{self, Listing, Shown};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::print;

fn now() -> i64 {
    nanos(SystemTime::now())
}

/// Lists containers.
pub(super) async fn containers(session: &Session<'_>, flags: &ListContainers) -> Outcome {
    let id = flags.id.as_ref().or(flags.prefix.as_ref());
    let items = chosen(session, &flags.filter, id.map(String::as_str)).await?;
    if flags.shape.quiet {
        lines(items.iter().map(|item| text(item, "id")))?;
        return Ok(Exit::Done);
    }
    // Only the table needs the names of pods.
    let pods = match flags.shape.format() {
        Format::Table => session.all(Sort::Pod).await?,
        _ => Vec::new(),
    };
    let whole = json!({"containers": items});
    show(flags.shape.format(), &whole, || table::containers(&items, &pods, now(), flags.shape.no_trunc))
}

/// Returns the containers that are meant.
async fn chosen(
    session: &Session<'_>,
    flags: &ContainerFilter,
    id: Option<&str>,
) -> Result<Vec<Value>, Failure> {
    let pod = match &flags.pod {
        Some(pod) => Some(session.id_of(Sort::Pod, pod).await?),
        None => None,
    };
    let image = match &flags.image {
        Some(image) => Some(names_of_image(session, image).await?),
        None => None,
    };
    let request = filter::of_containers(flags, id, pod.as_deref());
    let answer = session.call("ListContainers", &request).await?;
    Ok(filter::containers(list(&answer, "containers"), flags, image.as_deref()))
}

async fn names_of_image(session: &Session<'_>, image: &str) -> Result<Vec<String>, Failure> {
    let status = session.call("ImageStatus", &json!({"image": {"image": image}})).await?;
    Ok(filter::names_of_image(image, &status["image"]))
}

/// Lists pods.
pub(super) async fn pods(session: &Session<'_>, flags: &ListPods) -> Outcome {
    let answer = session.call("ListPodSandbox", &filter::of_pods(flags)).await?;
    let items = filter::pods(list(&answer, "items"), flags);
    if flags.shape.quiet {
        lines(items.iter().map(|item| text(item, "id")))?;
        return Ok(Exit::Done);
    }
    show(flags.shape.format(), &json!({"items": items}), || table::pods(&items, now(), flags.shape.no_trunc))
}

/// Lists images.
pub(super) async fn images(session: &Session<'_>, flags: &Images) -> Outcome {
    let items: Vec<Value> = match &flags.image {
        // containerd ignores the filter of a list.
        Some(image) => {
            let status = session.call("ImageStatus", &json!({"image": {"image": image}})).await?;
            Some(status["image"].clone()).filter(|image| !image.is_null()).into_iter().collect()
        }
        None => list(&session.call("ListImages", &json!({})).await?, "images").to_vec(),
    };
    let items = filter::images(items, &flags.filter);
    if flags.shape.quiet {
        lines(items.iter().map(|item| text(item, "id")))?;
        return Ok(Exit::Done);
    }
    let shown = Shown { digests: flags.digests, pinned: flags.pinned, full_ids: flags.shape.no_trunc };
    show(flags.shape.format(), &json!({"images": items}), || table::images(&items, shown))
}

/// Inspects containers.
pub(super) async fn inspect(session: &Session<'_>, flags: &Inspect) -> Outcome {
    let mut ids = Vec::new();
    for typed in &flags.ids {
        ids.push(session.id_of(Sort::Container, typed).await?);
    }
    if flags.ids.is_empty() {
        let chosen = chosen(session, &flags.filter, None).await?;
        ids.extend(chosen.iter().map(|item| text(item, "id").to_owned()));
        if ids.is_empty() {
            return Err(session.errors.none_chosen());
        }
    }
    let shape = flags.shape;
    let mut found = Vec::new();
    for id in ids {
        let request = json!({"containerId": id, "verbose": !shape.quiet});
        found.push(readable(session.call("ContainerStatus", &request).await?, shape.quiet));
    }
    let statuses: Vec<Value> = found.iter().map(|one| one["status"].clone()).collect();
    let pods = if shape.output == Format::Table { session.all(Sort::Pod).await? } else { Vec::new() };
    show(shape.output, &one_or_all(found), || table::containers(&statuses, &pods, now(), true))
}

/// Inspects pods.
pub(super) async fn inspect_pods(session: &Session<'_>, flags: &InspectPods) -> Outcome {
    let mut found = Vec::new();
    for typed in &flags.ids {
        let id = session.id_of(Sort::Pod, typed).await?;
        let request = json!({"podSandboxId": id, "verbose": !flags.shape.quiet});
        found.push(readable(session.call("PodSandboxStatus", &request).await?, flags.shape.quiet));
    }
    let statuses: Vec<Value> = found.iter().map(|one| one["status"].clone()).collect();
    show(flags.shape.output, &one_or_all(found), || table::pods(&statuses, now(), true))
}

/// Inspects images.
pub(super) async fn inspect_images(session: &Session<'_>, flags: &InspectImages) -> Outcome {
    let mut found = Vec::new();
    for image in &flags.images {
        let request = json!({"image": {"image": image}, "verbose": !flags.shape.quiet});
        let answer = session.call("ImageStatus", &request).await?;
        if answer["image"].is_null() {
            let what = format!("no image '{}'", stoop::escaped(image));
            return Err(Failure::new(Exit::No, what)
                .why("the runtime has none of that name or id")
                .next(session.errors.command("images"))
                .into());
        }
        found.push(readable(answer, flags.shape.quiet));
    }
    let statuses: Vec<Value> = found.iter().map(|one| one["image"].clone()).collect();
    let shown = Shown { full_ids: true, ..Shown::default() };
    show(flags.shape.output, &one_or_all(found), || table::images(&statuses, shown))
}

fn one_or_all(mut found: Vec<Value>) -> Value {
    if found.len() == 1 { found.remove(0) } else { found.into() }
}

/// Converts what people cannot read: the times of a status, and JSON within the information that is
/// specific to a runtime.
fn readable(mut answer: Value, is_quiet: bool) -> Value {
    for field in ["createdAt", "startedAt", "finishedAt"] {
        let time = number(&answer["status"], field);
        if let Some(value) = answer["status"].get_mut(field) {
            // What has not happened has the zero of Go, as in crictl.
            *value = json!(if time == 0 { "0001-01-01T00:00:00Z".to_owned() } else { rfc3339(time) });
        }
    }
    // As in crictl, what is specific to the runtime stands beside the status.
    if let Some(members) = answer.as_object_mut()
        && let Some(Value::Object(info)) = members.remove("info")
        && !is_quiet
    {
        members.extend(info.into_iter().map(|(name, value)| (name, parsed(value))));
    }
    answer
}

/// Parses a text that is JSON itself.
fn parsed(value: Value) -> Value {
    let parsed = value.as_str().and_then(|text| serde_json::from_str(text).ok());
    parsed.unwrap_or(value)
}

/// Prints the usage of containers.
pub(super) async fn stats(session: &Session<'_>, flags: &Stats) -> Outcome {
    let mut filter = json!({"labelSelector": selector(&flags.label)});
    if let Some(typed) = flags.id.as_ref().or(flags.prefix.as_ref()) {
        filter["id"] = json!(session.id_of(Sort::Container, typed).await?);
    }
    if let Some(pod) = &flags.pod {
        filter["podSandboxId"] = json!(session.id_of(Sort::Pod, pod).await?);
    }
    let request = json!({"filter": filter});
    let take = async || {
        let answer = session.call("ListContainerStats", &request).await?;
        let running = if flags.all { None } else { Some(running(session).await?) };
        let is_shown = |item: &&Value| {
            running.as_ref().is_none_or(|ids| ids.iter().any(|id| id == text(item, "attributes.id")))
        };
        Ok(list(&answer, "stats").iter().filter(is_shown).cloned().collect())
    };
    sample(flags.sampling, take, table::stats).await
}

async fn running(session: &Session<'_>) -> Result<Vec<String>, Failure> {
    let all = session.all(Sort::Container).await?;
    let running = all.iter().filter(|item| text(item, "state") == "CONTAINER_RUNNING");
    Ok(running.map(|item| text(item, "id").to_owned()).collect())
}

/// Prints the usage of pods.
pub(super) async fn pod_stats(session: &Session<'_>, flags: &PodStats) -> Outcome {
    let mut filter = json!({"labelSelector": selector(&flags.label)});
    if let Some(typed) = flags.id.as_ref().or(flags.prefix.as_ref()) {
        filter["id"] = json!(session.id_of(Sort::Pod, typed).await?);
    }
    let request = json!({"filter": filter});
    let take = async || Ok(list(&session.call("ListPodSandboxStats", &request).await?, "stats").to_vec());
    sample(flags.sampling, take, table::pod_stats).await
}

/// Takes samples and prints them: once, or again and again.
async fn sample(
    sampling: Sampling,
    take: impl AsyncFn() -> Result<Vec<Value>, Failure>,
    table: fn(&[Value], &[Value]) -> Listing,
) -> Outcome {
    let mut before = take().await?;
    loop {
        // Only a table shows what lies between two samples.
        let pause = if sampling.output == Format::Table { sampling.seconds } else { Duration::ZERO };
        tokio::time::sleep(pause).await;
        let after = if pause.is_zero() { before.clone() } else { take().await? };
        show(sampling.output, &json!({"stats": after}), || table(&before, &after))?;
        if !sampling.watch {
            return Ok(Exit::Done);
        }
        if pause.is_zero() {
            tokio::time::sleep(sampling.seconds).await;
            before = take().await?;
        } else {
            before = after;
        }
    }
}

/// Prints events as they happen.
pub(super) async fn events(session: &Session<'_>, flags: &Events) -> Outcome {
    const METHOD: &str = "GetContainerEvents";
    let mut answers = session.stream(METHOD).await?;
    let failed = |error| session.errors.explain(METHOD, &error);
    while let Some(message) = answers.message().await.map_err(failed)? {
        let event = value_of(&message);
        let text = match flags.output {
            Format::Json => format!("{event}\n"),
            Format::Yaml => format!("---\n{}", super::yaml::text(&event)),
            Format::Table => table::event(&event),
        };
        escaped(&text)?;
    }
    Ok(Exit::Done)
}

/// Prints the state of the runtime.
pub(super) async fn info(session: &Session<'_>, flags: &Info) -> Outcome {
    let answer = session.call("Status", &json!({"verbose": !flags.shape.quiet})).await?;
    let answer = readable(answer, flags.shape.quiet);
    show(flags.shape.output, &answer, || table::conditions(&answer))
}

/// Prints the file systems of images and containers.
pub(super) async fn file_systems(session: &Session<'_>, flags: &Info) -> Outcome {
    let answer = session.call("ImageFsInfo", &json!({})).await?;
    show(flags.shape.output, &answer, || table::file_systems(&answer))
}

/// Prints the versions.
pub(super) async fn version(session: &Session<'_>, flags: &Version) -> Outcome {
    let answer = session.call("Version", &json!({})).await?;
    if flags.output == Format::Table {
        print(table::version(&answer).as_bytes())?;
        return Ok(Exit::Done);
    }
    show(flags.output, &answer, || unreachable!("printed above"))
}
