//! `stoop cri`.

mod container;
mod criteria;
mod list;
mod pod;

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::args::footer;
use crate::args::shared::{QuietFlag, endpoint};
use crate::endpoint::Endpoint;
use crate::time;

pub(super) use container::{Attach, ContainerIds, Create, Exec, Logs, RemoveContainers, Run, StopContainers};
#[cfg(test)]
pub(super) use criteria::image_filter;
pub(super) use criteria::{ContainerFilter, ContainerState, ImageFilter};
pub(super) use list::{
    Events, Format, Images, Info, Inspect, InspectImages, InspectPods, ListContainers, ListPods, PodStats,
    Sampling, Stats, Version,
};
pub(super) use pod::{PodIds, PortForward, Pull, RemoveImages, RemovePods, RunPod};

/// Manage the pods, containers and images of a container runtime, as crictl does.
///
/// The runtime is found as crictl finds it: by CONTAINER_RUNTIME_ENDPOINT, by /etc/crictl.yaml, or
/// at the default address of containerd, CRI-O or cri-dockerd. Actions and flags are those of
/// crictl. A container or a pod may be given by the beginning of its id, or by its name.
///
/// `exec` and `run` files are those of crictl, too: YAML or JSON. For calls without an action, see
/// `stoop grpc cri`.
#[derive(Args, Debug)]
#[command(subcommand_value_name = "ACTION", subcommand_help_heading = "Actions")]
#[command(subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = footer("
  stoop cri pods
  stoop cri ps -a
  stoop cri logs -f web
  stoop cri exec -it web sh
  stoop cri inspect web
  stoop cri run container.yaml pod.yaml
  stoop cri -r /run/crio/crio.sock images
  stoop cri ps --help                       # the help of one action"))]
pub(crate) struct Cri {
    /// Runtime: an address, or cri
    #[arg(long = "runtime-endpoint", short = 'r', value_name = "ADDR", value_parser = endpoint())]
    #[arg(default_value = "cri", hide_default_value = true)]
    pub(crate) endpoint: Endpoint,

    /// Server of images, if it is not the runtime
    #[arg(long, short = 'i', value_name = "ADDR", value_parser = endpoint())]
    pub(super) image_endpoint: Option<Endpoint>,

    /// Wait up to this time for the server to start, as in 2, 500ms, 1m
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(super) wait: Option<Duration>,

    /// Cancel a call after this time, as in 2, 500ms, 1m; the runtime is notified
    #[arg(long, short = 't', value_name = "TIME", value_parser = time::parse)]
    pub(super) timeout: Option<Duration>,

    #[command(flatten)]
    pub(super) quiet: QuietFlag,

    #[command(subcommand)]
    pub(super) action: Action,
}

/// What to do, in crictl's words.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    Ps(ListContainers),
    Pods(ListPods),
    Images(Images),
    Inspect(Inspect),
    Inspectp(InspectPods),
    Inspecti(InspectImages),
    Logs(Logs),
    Exec(Exec),
    Attach(Attach),
    PortForward(PortForward),
    Stats(Stats),
    Statsp(PodStats),
    Events(Events),
    Run(Run),
    Runp(RunPod),
    Create(Create),
    Start(ContainerIds),
    Stop(StopContainers),
    Stopp(PodIds),
    Rm(RemoveContainers),
    Rmp(RemovePods),
    Rmi(RemoveImages),
    Pull(Pull),
    Imagefsinfo(Info),
    Info(Info),
    Version(Version),
    /// Any other word
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

impl Action {
    /// Returns whether it concerns only images.
    pub(super) fn is_of_images(&self) -> bool {
        use Action::{Imagefsinfo, Images, Inspecti, Pull, Rmi};
        matches!(self, Images(_) | Inspecti(_) | Pull(_) | Rmi(_) | Imagefsinfo(_))
    }
}
