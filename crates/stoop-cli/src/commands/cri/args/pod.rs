//! The actions on pods and images.

use std::path::PathBuf;

use clap::Args;

use super::container::Transport;

/// Run a pod, as a file describes it.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  stoop cri runp pod.yaml")]
pub(in super::super) struct RunPod {
    /// Pod: YAML or JSON
    #[arg(value_name = "POD-FILE")]
    pub(in super::super) pod: PathBuf,

    /// Runtime handler of the pod
    #[arg(long, short, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub(in super::super) runtime: String,
}

/// Stop pods, with their containers.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  stoop cri stopp web-pod")]
pub(in super::super) struct PodIds {
    /// Pods, by id or name
    #[arg(value_name = "POD", required = true)]
    pub(in super::super) ids: Vec<String>,
}

/// Remove pods, with their containers.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  stoop cri rmp web-pod
  stoop cri rmp -f web-pod")]
pub(in super::super) struct RemovePods {
    /// Pods, by id or name
    #[arg(value_name = "POD", required_unless_present = "all", conflicts_with = "all")]
    pub(in super::super) ids: Vec<String>,

    /// Stop those that run
    #[arg(long, short)]
    pub(in super::super) force: bool,

    /// Remove all pods
    #[arg(long, short)]
    pub(in super::super) all: bool,
}

/// Remove images.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  stoop cri rmi busybox:1
  stoop cri rmi --prune")]
pub(in super::super) struct RemoveImages {
    /// Images, by name or id
    #[arg(value_name = "IMAGE", required_unless_present_any = ["all", "prune"])]
    #[arg(conflicts_with_all = ["all", "prune"])]
    pub(in super::super) images: Vec<String>,

    /// Remove all images
    #[arg(long, short)]
    pub(in super::super) all: bool,

    /// Remove the images that no container uses, and that are not pinned
    #[arg(long, short = 'q', conflicts_with = "all")]
    pub(in super::super) prune: bool,
}

/// Let the runtime pull an image.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  stoop cri pull registry.example/web:1
  CRICTL_CREDS=me:secret stoop cri pull registry.example/web:1")]
pub(in super::super) struct Pull {
    /// Image
    #[arg(value_name = "IMAGE")]
    pub(in super::super) image: String,

    /// Log in to the registry as this user; by default as CRICTL_CREDS says
    #[arg(long, value_name = "USER:PASSWORD")]
    pub(in super::super) creds: Option<String>,

    /// Log in to the registry with this text: USER:PASSWORD in base64
    #[arg(long, value_name = "TEXT", conflicts_with = "creds")]
    pub(in super::super) auth: Option<String>,
}

/// Forward TCP ports of this machine to a pod.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  stoop cri port-forward web-pod 8080:80
  stoop cri port-forward web-pod 80
  stoop cri port-forward web-pod :80        # any free port here")]
pub(in super::super) struct PortForward {
    /// Pod, by id or name
    #[arg(value_name = "POD")]
    pub(in super::super) id: String,

    #[command(flatten)]
    pub(in super::super) transport: Transport,

    /// Ports, here and in the pod
    #[arg(value_name = "[LOCAL:]PORT", required = true, value_parser = ports)]
    pub(in super::super) ports: Vec<Ports>,
}

/// A port of this machine, and the one of the pod behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Ports {
    /// 0 stands for any.
    pub(in super::super) local: u16,
    pub(in super::super) remote: u16,
}

/// Parses `8080:80`, `80` or `:80`.
fn ports(text: &str) -> Result<Ports, &'static str> {
    const WRONG: &str = "not a port, or two, as in 80 or 8080:80";
    let number = |text: &str| text.parse::<u16>().map_err(|_| WRONG);
    let (local, remote) = match text.split_once(':') {
        None => (number(text)?, number(text)?),
        Some(("", remote)) => (0, number(remote)?),
        Some((local, remote)) => (number(local)?, number(remote)?),
    };
    if remote == 0 { Err(WRONG) } else { Ok(Ports { local, remote }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_parsed() {
        let pair = |local, remote| Ok(Ports { local, remote });
        assert_eq!(ports("80"), pair(80, 80));
        assert_eq!(ports("8080:80"), pair(8080, 80));
        assert_eq!(ports(":80"), pair(0, 80));
        assert_eq!(ports("0:80"), pair(0, 80));
        for wrong in ["", ":", "0", "80:", "80:0", "http", "70000", "1:2:3", "-1"] {
            assert!(ports(wrong).is_err(), "{wrong}");
        }
    }
}
