//! The actions that run, start, stop and remove.

use std::path::Path;

use serde_json::{Value, json};
use stoop_dynamic::MessageDescriptor;

use super::args::{
    ContainerIds, Create, PodIds, Pull, RemoveContainers, RemoveImages, RemovePods, Run, RunPod,
    StopContainers,
};
use super::config;
use super::field::{list, text};
use super::filter::unused;
use super::output::{Tally, lines};
use super::select::Sort;
use super::session::Session;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};

/// Runs a pod with one container.
pub(super) async fn run(session: &Session<'_>, flags: &Run) -> Outcome {
    let (container, pod) = files(session, &flags.container, &flags.pod)?;
    // Before the pod: without the image, nothing is left behind.
    if !flags.no_pull {
        ensure_image(session, &container, &pod).await?;
    }
    let sandbox = sandbox(session, &pod, &flags.runtime).await?;
    let started = async {
        let id = create_in(session, &sandbox, &container, &pod).await?;
        session.call("StartContainer", &json!({"containerId": id})).await?;
        Ok::<_, Failure>(id)
    };
    match started.await {
        Ok(id) => printed(&id),
        Err(failure) => {
            let next = session.errors.command(&format!("rmp -f {sandbox}"));
            failure.report();
            Err(Failure::new(Exit::Failed, format!("the container of pod '{sandbox}' does not run"))
                .why("the pod was run before this failed, and still exists")
                .next(next)
                .into())
        }
    }
}

/// Runs a pod.
pub(super) async fn run_pod(session: &Session<'_>, flags: &RunPod) -> Outcome {
    let pod = config::pod(&flags.pod, &message(session, "sandbox_config")?)?;
    printed(&sandbox(session, &pod, &flags.runtime).await?)
}

/// Creates a container in a pod.
pub(super) async fn create(session: &Session<'_>, flags: &Create) -> Outcome {
    let (container, pod) = files(session, &flags.container, &flags.pod)?;
    let sandbox = session.id_of(Sort::Pod, &flags.id).await?;
    if flags.with_pull {
        ensure_image(session, &container, &pod).await?;
    }
    printed(&create_in(session, &sandbox, &container, &pod).await?)
}

fn files(session: &Session<'_>, container: &Path, pod: &Path) -> Result<(Value, Value), Failure> {
    let container = config::container(container, &message(session, "config")?)?;
    Ok((container, config::pod(pod, &message(session, "sandbox_config")?)?))
}

/// Returns the message of a field of the request to create a container.
fn message(session: &Session<'_>, field: &str) -> Result<MessageDescriptor, Failure> {
    const METHOD: &str = "CreateContainer";
    let method = session.method(METHOD).map_err(|error| session.errors.explain(METHOD, &error))?;
    let kind = method.input().get_field_by_name(field).map(|field| field.kind());
    let message = kind.as_ref().and_then(|kind| kind.as_message().cloned());
    message.ok_or_else(|| Failure::usage(format!("the interface has no '{field}'"), "it is another version"))
}

async fn sandbox(session: &Session<'_>, pod: &Value, handler: &str) -> Result<String, Failure> {
    let request = json!({"config": pod, "runtimeHandler": handler});
    Ok(text(&session.call("RunPodSandbox", &request).await?, "podSandboxId").to_owned())
}

async fn create_in(
    session: &Session<'_>,
    sandbox: &str,
    container: &Value,
    pod: &Value,
) -> Result<String, Failure> {
    let request = json!({"podSandboxId": sandbox, "config": container, "sandboxConfig": pod});
    Ok(text(&session.call("CreateContainer", &request).await?, "containerId").to_owned())
}

/// Lets the runtime pull the image of a container, if it lacks it.
async fn ensure_image(session: &Session<'_>, container: &Value, pod: &Value) -> Result<(), Failure> {
    let image = json!({"image": container["image"]});
    let status = session.call("ImageStatus", &image).await?;
    if status["image"].is_null() {
        let request = json!({"image": container["image"], "sandboxConfig": pod});
        session.call("PullImage", &request).await?;
    }
    Ok(())
}

/// Lets the runtime pull an image.
pub(super) async fn pull(session: &Session<'_>, flags: &Pull) -> Outcome {
    let mut request = json!({"image": {"image": flags.image}});
    if let Some(auth) = &flags.auth {
        request["auth"] = json!({"auth": auth});
    } else if let Some(creds) = flags.creds.clone().or_else(|| std::env::var("CRICTL_CREDS").ok()) {
        let (user, password) = creds.split_once(':').unwrap_or((&creds, ""));
        request["auth"] = json!({"username": user, "password": password});
    }
    let answer = session.call("PullImage", &request).await?;
    printed(&format!("Image is up to date for {}", text(&answer, "imageRef")))
}

/// Starts containers.
pub(super) async fn start(session: &Session<'_>, flags: &ContainerIds) -> Outcome {
    each(session, Sort::Container, &flags.ids, async |id| {
        session.call("StartContainer", &json!({"containerId": id})).await?;
        lines([id.as_str()])
    })
    .await
}

/// Stops containers.
pub(super) async fn stop(session: &Session<'_>, flags: &StopContainers) -> Outcome {
    let mut ids = flags.ids.clone();
    if flags.all {
        let all = session.all(Sort::Container).await?;
        let running = all.iter().filter(|item| text(item, "state") == "CONTAINER_RUNNING");
        ids.extend(running.map(|item| text(item, "id").to_owned()));
    }
    each(session, Sort::Container, &ids, async |id| {
        let request = json!({"containerId": id, "timeout": flags.timeout.as_secs()});
        session.call("StopContainer", &request).await?;
        lines([id.as_str()])
    })
    .await
}

/// Stops pods.
pub(super) async fn stop_pods(session: &Session<'_>, flags: &PodIds) -> Outcome {
    each(session, Sort::Pod, &flags.ids, async |id| {
        session.call("StopPodSandbox", &json!({"podSandboxId": id})).await?;
        lines([format!("Stopped sandbox {id}").as_str()])
    })
    .await
}

/// Removes containers.
pub(super) async fn remove(session: &Session<'_>, flags: &RemoveContainers) -> Outcome {
    let ids = all_or(session, Sort::Container, &flags.ids, flags.all).await?;
    each(session, Sort::Container, &ids, async |id| {
        if flags.force {
            session.call("StopContainer", &json!({"containerId": id})).await?;
        } else {
            refuse_running(session, &id).await?;
        }
        session.call("RemoveContainer", &json!({"containerId": id})).await?;
        lines([id.as_str()])
    })
    .await
}

/// The runtime would kill a container that runs. As in crictl, that has to be asked for.
async fn refuse_running(session: &Session<'_>, id: &str) -> Result<(), Failure> {
    let status = session.call("ContainerStatus", &json!({"containerId": id})).await?;
    if text(&status, "status.state") != "CONTAINER_RUNNING" {
        return Ok(());
    }
    Err(Failure::new(Exit::No, format!("container '{id}' runs"))
        .why("a container that runs is removed only with -f")
        .next(session.errors.command(&format!("stop {id}")))
        .next(session.errors.command(&format!("rm -f {id}    # kills it")))
        .into())
}

/// Removes pods.
pub(super) async fn remove_pods(session: &Session<'_>, flags: &RemovePods) -> Outcome {
    let ids = all_or(session, Sort::Pod, &flags.ids, flags.all).await?;
    each(session, Sort::Pod, &ids, async |id| {
        if flags.force {
            session.call("StopPodSandbox", &json!({"podSandboxId": id})).await?;
        } else {
            refuse_ready(session, &id).await?;
        }
        session.call("RemovePodSandbox", &json!({"podSandboxId": id})).await?;
        lines([format!("Removed sandbox {id}").as_str()])
    })
    .await
}

/// The runtime would kill the containers of a pod that runs. As in crictl, that has to be asked
/// for.
async fn refuse_ready(session: &Session<'_>, id: &str) -> Result<(), Failure> {
    let status = session.call("PodSandboxStatus", &json!({"podSandboxId": id})).await?;
    if text(&status, "status.state") != "SANDBOX_READY" {
        return Ok(());
    }
    Err(Failure::new(Exit::No, format!("pod '{id}' runs"))
        .why("a pod that runs is removed only with -f")
        .next(session.errors.command(&format!("stopp {id}")))
        .next(session.errors.command(&format!("rmp -f {id}    # kills its containers")))
        .into())
}

/// Removes images.
pub(super) async fn remove_images(session: &Session<'_>, flags: &RemoveImages) -> Outcome {
    let images = match (flags.all, flags.prune) {
        (false, false) => flags.images.clone(),
        (_, is_prune) => {
            let answer = session.call("ListImages", &json!({})).await?;
            let images = list(&answer, "images");
            let containers = session.all(Sort::Container).await?;
            let chosen = if is_prune { unused(images, &containers) } else { images.iter().collect() };
            chosen.into_iter().map(|image| text(image, "id").to_owned()).collect()
        }
    };
    let mut tally = Tally::default();
    for image in &images {
        tally.add(remove_image(session, image).await)?;
    }
    Ok(tally.exit())
}

async fn remove_image(session: &Session<'_>, image: &str) -> Result<(), Failure> {
    let request = json!({"image": {"image": image}});
    let status = session.call("ImageStatus", &request).await?;
    if status["image"].is_null() {
        return Err(Failure::new(Exit::No, format!("no image '{}'", stoop::escaped(image)))
            .why("the runtime has none of that name or id")
            .next(session.errors.command("images"))
            .into());
    }
    session.call("RemoveImage", &request).await?;
    let tags = list(&status["image"], "repoTags").iter().filter_map(Value::as_str);
    let names: Vec<&str> = tags.collect();
    let removed = if names.is_empty() { vec![image] } else { names };
    let removed: Vec<String> = removed.iter().map(|name| format!("Deleted: {name}")).collect();
    lines(removed.iter().map(String::as_str))
}

async fn all_or(
    session: &Session<'_>,
    sort: Sort,
    ids: &[String],
    all: bool,
) -> Result<Vec<String>, Failure> {
    if !all {
        return Ok(ids.to_vec());
    }
    Ok(session.all(sort).await?.iter().map(|item| text(item, "id").to_owned()).collect())
}

/// Does something with each of these containers or pods.
async fn each(
    session: &Session<'_>,
    sort: Sort,
    typed: &[String],
    act: impl AsyncFn(String) -> Result<(), Failure>,
) -> Outcome {
    let mut tally = Tally::default();
    for typed in typed {
        let result = match session.id_of(sort, typed).await {
            Ok(id) => act(id).await,
            Err(failure) => Err(failure),
        };
        tally.add(result)?;
    }
    Ok(tally.exit())
}

fn printed(line: &str) -> Outcome {
    lines([line])?;
    Ok(Exit::Done)
}
