//! The actions that list, inspect and report.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::criteria::{ContainerFilter, ImageFilter, Newest, PodState, image_filter, label, name_pattern};
use crate::time;

/// The form of a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(in super::super) enum Format {
    #[default]
    Table,
    Json,
    Yaml,
}

/// How a list is printed.
#[derive(Args, Debug)]
pub(in super::super) struct Shape {
    /// Print a table, or the runtime's answer as JSON or YAML
    #[arg(long, short, value_name = "FORMAT", value_enum, ignore_case = true, default_value_t)]
    output: Format,

    /// Print every field, as YAML
    #[arg(long, short, conflicts_with_all = ["output", "quiet"])]
    verbose: bool,

    /// Print ids only
    #[arg(long, short)]
    pub(in super::super) quiet: bool,

    /// Print ids in full
    #[arg(long)]
    pub(in super::super) no_trunc: bool,
}

impl Shape {
    pub(in super::super) fn format(&self) -> Format {
        if self.verbose { Format::Yaml } else { self.output }
    }
}

/// How a state is printed.
#[derive(Args, Clone, Copy, Debug)]
pub(in super::super) struct StateShape {
    /// Print JSON, YAML or a table
    #[arg(long, short, value_name = "FORMAT", value_enum, ignore_case = true, default_value = "json")]
    pub(in super::super) output: Format,

    /// Leave out what is specific to the runtime
    #[arg(long, short)]
    pub(in super::super) quiet: bool,
}

/// List containers: those that run, unless -a, --state, --latest or --last is given.
#[derive(Args, Debug)]
#[command(
    visible_alias = "containers",
    after_help = "Examples:
  stoop cri ps
  stoop cri ps -a --name '^web' -o yaml
  stoop cri rm $(stoop cri ps -q --state exited)"
)]
pub(in super::super) struct ListContainers {
    /// Beginning of an id
    #[arg(value_name = "ID")]
    pub(in super::super) prefix: Option<String>,

    /// Only the containers whose id begins like this
    #[arg(long, value_name = "ID")]
    pub(in super::super) id: Option<String>,

    #[command(flatten)]
    pub(in super::super) filter: ContainerFilter,

    #[command(flatten)]
    pub(in super::super) shape: Shape,

    /// Accepted for crictl: images are shown by name anyway
    #[arg(long, short = 'r', hide = true)]
    pub(in super::super) resolve_image_path: bool,
}

/// List pods.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  stoop cri pods
  stoop cri pods --namespace kube-system --state ready
  stoop cri pods --latest -q")]
pub(in super::super) struct ListPods {
    /// Beginning of an id
    #[arg(value_name = "ID")]
    pub(in super::super) prefix: Option<String>,

    /// Only the pods whose id begins like this
    #[arg(long, value_name = "ID")]
    pub(in super::super) id: Option<String>,

    /// Only the pods whose name matches this regular expression
    #[arg(long, value_name = "REGEX", value_parser = name_pattern)]
    pub(in super::super) name: Option<regex::Regex>,

    /// Only the pods whose namespace matches this regular expression
    #[arg(long, value_name = "REGEX", value_parser = name_pattern)]
    pub(in super::super) namespace: Option<regex::Regex>,

    /// Only the pods in this state
    #[arg(long, short, value_name = "STATE", value_enum, ignore_case = true)]
    pub(in super::super) state: Option<PodState>,

    /// Only the pods with this label; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    pub(in super::super) label: Vec<(String, String)>,

    #[command(flatten)]
    pub(in super::super) newest: Newest,

    #[command(flatten)]
    pub(in super::super) shape: Shape,
}

/// List images.
#[derive(Args, Debug)]
#[command(visible_aliases = ["image", "img"], after_help = "Examples:
  stoop cri images
  stoop cri images busybox --digests")]
pub(in super::super) struct Images {
    /// List only this image
    #[arg(value_name = "IMAGE")]
    pub(in super::super) image: Option<String>,

    /// Also print digests
    #[arg(long)]
    pub(in super::super) digests: bool,

    /// Only images without a tag (dangling=true), or whose tag or digest matches (reference=REGEX);
    /// may be repeated
    #[arg(long, short, value_name = "KEY=VALUE", value_parser = image_filter)]
    pub(in super::super) filter: Vec<ImageFilter>,

    /// Also print which images are pinned: never removed to free space
    #[arg(long)]
    pub(in super::super) pinned: bool,

    #[command(flatten)]
    pub(in super::super) shape: Shape,
}

/// Print the state of containers.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  stoop cri inspect web
  stoop cri inspect web | jq .pid
  stoop cri inspect --latest -o yaml")]
pub(in super::super) struct Inspect {
    /// Containers, by id, the beginning of an id, or name
    #[arg(value_name = "ID", conflicts_with_all = FILTERS, required_unless_present_any = FILTERS)]
    pub(in super::super) ids: Vec<String>,

    #[command(flatten)]
    pub(in super::super) filter: ContainerFilter,

    #[command(flatten)]
    pub(in super::super) shape: StateShape,
}

/// The flags that stand in place of ids.
const FILTERS: [&str; 8] = ["name", "pod", "image", "state", "label", "latest", "last", "all"];

/// Print the state of pods.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  stoop cri inspectp web-pod -o yaml")]
pub(in super::super) struct InspectPods {
    /// Pods, by id, the beginning of an id, or name
    #[arg(value_name = "ID", required = true)]
    pub(in super::super) ids: Vec<String>,

    #[command(flatten)]
    pub(in super::super) shape: StateShape,
}

/// Print the state of images.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  stoop cri inspecti busybox:1")]
pub(in super::super) struct InspectImages {
    /// Images, by name or id
    #[arg(value_name = "IMAGE", required = true)]
    pub(in super::super) images: Vec<String>,

    #[command(flatten)]
    pub(in super::super) shape: StateShape,
}

/// Print what containers use: processor, memory, disk.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  stoop cri stats
  stoop cri stats web -w")]
pub(in super::super) struct Stats {
    /// Only this container, by id or name
    #[arg(value_name = "ID")]
    pub(in super::super) prefix: Option<String>,

    /// Include containers that do not run
    #[arg(long, short)]
    pub(in super::super) all: bool,

    /// Only this container, by id or name
    #[arg(long, value_name = "ID", conflicts_with = "prefix")]
    pub(in super::super) id: Option<String>,

    /// Only the containers of this pod, by id or name
    #[arg(long, short, value_name = "POD")]
    pub(in super::super) pod: Option<String>,

    /// Only the containers with this label; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    pub(in super::super) label: Vec<(String, String)>,

    #[command(flatten)]
    pub(in super::super) sampling: Sampling,
}

/// Print what pods use: processor and memory.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  stoop cri statsp
  stoop cri statsp web-pod -o json")]
pub(in super::super) struct PodStats {
    /// Only this pod, by id or name
    #[arg(value_name = "ID")]
    pub(in super::super) prefix: Option<String>,

    /// Only this pod, by id or name
    #[arg(long, value_name = "ID", conflicts_with = "prefix")]
    pub(in super::super) id: Option<String>,

    /// Only the pods with this label; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    pub(in super::super) label: Vec<(String, String)>,

    #[command(flatten)]
    pub(in super::super) sampling: Sampling,
}

/// How often usage is read.
#[derive(Args, Clone, Copy, Debug)]
pub(in super::super) struct Sampling {
    /// Measure the processor for this time
    #[arg(long, short, value_name = "TIME", value_parser = time::parse, default_value = "1s")]
    pub(in super::super) seconds: Duration,

    /// Print again and again
    #[arg(long, short)]
    pub(in super::super) watch: bool,

    /// Print a table, or the runtime's answer as JSON or YAML
    #[arg(long, short, value_name = "FORMAT", value_enum, ignore_case = true, default_value_t)]
    pub(in super::super) output: Format,
}

/// Print what happens to containers, as it happens.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  stoop cri events
  stoop cri events -o table")]
pub(in super::super) struct Events {
    /// Print JSON lines, YAML documents, or a table
    #[arg(long, short, value_name = "FORMAT", value_enum, ignore_case = true, default_value = "json")]
    pub(in super::super) output: Format,
}

/// Print the state of the runtime (info), or of its file systems (imagefsinfo).
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  stoop cri info
  stoop cri imagefsinfo -o yaml")]
pub(in super::super) struct Info {
    #[command(flatten)]
    pub(in super::super) shape: StateShape,
}

/// Print the versions of the runtime and of its interface.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  stoop cri version")]
pub(in super::super) struct Version {
    /// Print a table, JSON or YAML
    #[arg(long, short, value_name = "FORMAT", value_enum, ignore_case = true, default_value_t)]
    pub(in super::super) output: Format,
}
