//! Parses a cgroup path: which container, unit or session a process belongs to. Pure.
//!
//! The path is the only source, and any process that may create cgroups may choose their names. The
//! result is a label for people and never a proof.

use std::fmt;

/// The workload a process belongs to, as far as its cgroup's name says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Workload {
    /// A container. If containers are nested, the innermost.
    Container {
        /// The container runtime: `docker`, `containerd`, `nerdctl`, `cri-o`, `podman`, `lxc`,
        /// `nspawn`, or `container` if the name does not say.
        runtime: String,
        /// The container's full id or name.
        id: String,
        /// The pod it is part of: the uid of a Kubernetes pod, or the id of a podman pod.
        pod: Option<String>,
    },
    /// A systemd unit, such as `nginx.service`.
    Unit {
        /// The unit's name, with systemd's escapes left as they are.
        name: String,
        /// The user whose service manager runs it, or `None` for the system's service manager.
        user: Option<u32>,
    },
    /// A login session.
    Session {
        /// The session's id, as `loginctl` shows it.
        id: String,
        /// The user who logged in.
        user: Option<u32>,
    },
    /// None of these: a kernel thread, a machine without systemd, or a cgroup with an unknown kind
    /// of name.
    #[default]
    Unknown,
}

impl fmt::Display for Workload {
    /// Writes a short form for a column: `docker:0123456789ab`, `nginx.service`, `session-3`, `-`.
    /// Ids are truncated to twelve characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Workload::Container { runtime, id, .. } => {
                let short = if is_id(id) { &id[..12] } else { id };
                write!(f, "{runtime}:{}", stoop::escaped(short))
            }
            Workload::Unit { name, .. } => write!(f, "{}", stoop::escaped(name)),
            Workload::Session { id, .. } => write!(f, "session-{}", stoop::escaped(id)),
            Workload::Unknown => f.write_str("-"),
        }
    }
}

impl Workload {
    /// Parses the text of `/proc/PID/cgroup`.
    ///
    /// This never fails: unknown text gives [`Workload::Unknown`]. The innermost container or unit
    /// of the path counts, and a container takes precedence over a unit.
    ///
    /// # Examples
    ///
    /// ```
    /// use stoop_inspect::Workload;
    ///
    /// let workload = Workload::from_cgroup(b"0::/system.slice/nginx.service\n");
    /// assert_eq!(workload, Workload::Unit { name: "nginx.service".into(), user: None });
    ///
    /// let id = "0123456789abcdef".repeat(4);
    /// let text = format!("0::/system.slice/docker-{id}.scope\n");
    /// let workload = Workload::from_cgroup(text.as_bytes());
    /// // The short form is for a column of a table. The full id is in the variant.
    /// assert_eq!(workload.to_string(), "docker:0123456789ab");
    ///
    /// assert_eq!(Workload::from_cgroup(b"anything else"), Workload::Unknown);
    /// ```
    #[doc(hidden)]
    pub fn from_cgroup(text: &[u8]) -> Workload {
        from_cgroup(text).0
    }
}

/// Parses the text, and returns the path of the cgroup that determined the result, or else that of
/// the process's unit.
pub(crate) fn from_cgroup(text: &[u8]) -> (Workload, Option<&[u8]>) {
    let groups = || text.split(|&byte| byte == b'\n').filter_map(group);
    // A container runtime may use any hierarchy. systemd's units are in its own, or in the only
    // one.
    let container = groups().find_map(|(_, path)| Some((container(&segments(path))?, path)));
    let of_systemd = || groups().filter(|(controllers, _)| matches!(*controllers, b"" | b"name=systemd"));
    let unit = || of_systemd().find_map(|(_, path)| Some((unit(&segments(path))?, path)));
    let any = || of_systemd().map(|(_, path)| path).max_by_key(|path| path.len());
    match container.or_else(unit) {
        Some((workload, path)) => (workload, Some(path)),
        None => (Workload::Unknown, any()),
    }
}

/// Splits `0::/path` or `4:memory:/path` into the controllers and the path.
fn group(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut fields = line.splitn(3, |&byte| byte == b':').skip(1);
    Some((fields.next()?, fields.next()?))
}

fn segments(path: &[u8]) -> Vec<String> {
    let name = |segment: &[u8]| {
        let name = String::from_utf8_lossy(segment).into_owned();
        // systemd prefixes an underscore to a name that would clash with a file of the cgroup
        // itself.
        name.strip_prefix('_').map(str::to_owned).unwrap_or(name)
    };
    path.split(|&byte| byte == b'/').filter(|segment| !segment.is_empty()).map(name).collect()
}

/// Returns the innermost container.
fn container(path: &[String]) -> Option<Workload> {
    let (at, (runtime, id)) = (0..path.len()).rev().find_map(|at| Some((at, named_container(path, at)?)))?;
    let pod = path[..at].iter().rev().find_map(|segment| pod(segment));
    Some(Workload::Container { runtime: runtime.to_owned(), id, pod })
}

/// The prefix that each runtime puts before the id if systemd creates the cgroup.
const SCOPES: &[(&str, &str)] = &[
    ("docker-", "docker"),
    ("cri-containerd-", "containerd"),
    ("nerdctl-", "nerdctl"),
    ("crio-", "cri-o"),
    ("libpod-", "podman"),
];

/// The parent directory that each runtime uses if it creates cgroups itself, and whether it holds
/// ids alone (true) or arbitrary names.
const PARENTS: &[(&str, &str, bool)] = &[
    ("docker", "docker", true),
    ("moby", "docker", true),
    ("ecs", "docker", true),
    ("default", "containerd", false),
    ("k8s.io", "containerd", false),
    ("libpod_parent", "podman", true),
    ("lxc", "lxc", false),
    ("lxc.payload", "lxc", false),
];

/// Returns the runtime and the id if this component of the path is a container's.
fn named_container(path: &[String], at: usize) -> Option<(&'static str, String)> {
    let name = path[at].as_str();
    let parent = at.checked_sub(1).map_or("", |above| path[above].as_str());
    if let Some(found) = in_scope(name.strip_suffix(".scope").unwrap_or(name)) {
        return Some(found);
    }
    // `SLICE:RUNTIME:ID`: the systemd notation, passed to a runtime that does not understand it.
    if let [_, prefix, id] = name.split(':').collect::<Vec<_>>()[..] {
        return in_scope(&format!("{prefix}-{id}"));
    }
    if let Some(name) = name.strip_prefix("lxc.payload.") {
        return Some(("lxc", name.to_owned()));
    }
    if let Some(name) = machine(name, path.get(at + 1).map(String::as_str)) {
        return Some(("nspawn", name));
    }
    let by_parent = |(above, _, ids_only): &&(&str, &str, bool)| {
        parent == *above && if *ids_only { is_id(name) } else { at == 1 || is_id(name) }
    };
    if let Some((_, runtime, _)) = PARENTS.iter().find(by_parent) {
        return Some((runtime, name.to_owned()));
    }
    is_id(name).then(|| ("container", name.to_owned()))
}

/// Parses `docker-ID`, `cri-containerd-ID`, …. A process that supervises a container
/// (`libpod-conmon-ID`) is not in the container.
fn in_scope(name: &str) -> Option<(&'static str, String)> {
    SCOPES.iter().find_map(|(prefix, runtime)| {
        let id = name.strip_prefix(prefix).filter(|id| is_id(id))?;
        Some((*runtime, id.to_owned()))
    })
}

/// Parses a machine of systemd-nspawn: a process is in its `payload`, or in the scope that was
/// registered for it.
fn machine(name: &str, below: Option<&str>) -> Option<String> {
    if let Some(name) = name.strip_prefix("systemd-nspawn@").and_then(|name| name.strip_suffix(".service")) {
        return (below == Some("payload")).then(|| unescape(name));
    }
    let name = unescape(name.strip_prefix("machine-")?.strip_suffix(".scope")?);
    // Virtual machines are registered in the same way. The process on this machine is their
    // emulator.
    (!["qemu-", "lxc-", "xen-"].iter().any(|other| name.starts_with(other))).then_some(name)
}

/// Parses `pod0123…`, `kubepods-burstable-pod0123_….slice`, `machine-libpod_pod_0123….slice`.
fn pod(segment: &str) -> Option<String> {
    let name = segment.split(':').next().unwrap_or_default();
    let name = name.strip_suffix(".slice").unwrap_or(name);
    if let Some((_, id)) = name.split_once("libpod_pod_") {
        return Some(id.to_owned());
    }
    let uid = name.strip_prefix("pod").or_else(|| {
        let (before, uid) = name.rsplit_once("-pod")?;
        before.contains("kubepods").then_some(uid)
    })?;
    (!uid.is_empty()).then(|| uid.replace('_', "-"))
}

/// Returns the innermost unit. A slice does not count: it only groups units.
fn unit(path: &[String]) -> Option<Workload> {
    const KINDS: &[&str] = &[".service", ".scope", ".socket", ".mount", ".swap"];
    let at = path.iter().rposition(|name| KINDS.iter().any(|kind| name.ends_with(kind) && name != kind))?;
    let between = |prefix: &str, suffix: &str| {
        let number = |name: &String| name.strip_prefix(prefix)?.strip_suffix(suffix)?.parse().ok();
        path[..at].iter().rev().find_map(number)
    };
    let name = &path[at];
    if let Some(id) = name.strip_prefix("session-").and_then(|name| name.strip_suffix(".scope")) {
        return Some(Workload::Session { id: id.to_owned(), user: between("user-", ".slice") });
    }
    Some(Workload::Unit { name: name.clone(), user: between("user@", ".service") })
}

/// Returns whether the text is the 64 hexadecimal digits that most runtimes use as an id.
fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Decodes `\xNN`, which systemd writes for bytes that a unit's name cannot contain.
fn unescape(text: &str) -> String {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend(&part.as_bytes()[2..]);
            }
            None => bytes.extend([b"\\x", part.as_bytes()].concat()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns whether a cgroup's path lies below a user's slice. A user may create cgroups of any name
/// there, those of containers included, so the name proves nothing.
pub fn is_users_own(cgroup: &[u8]) -> bool {
    let mut segments = cgroup.split(|byte| b"/\n".contains(byte));
    segments.any(|name| name == b"user.slice" || (name.starts_with(b"user@") && name.ends_with(b".service")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const UID: &str = "c1b9a6e4-0000-4000-8000-0123456789ab";

    /// Formats a workload as `runtime id [pod]`, `unit [user]` or `session user`.
    fn described(text: &str) -> String {
        match Workload::from_cgroup(text.as_bytes()) {
            Workload::Container { runtime, id, pod } => {
                format!("{runtime} {id} {}", pod.unwrap_or_default()).replace(ID, "ID").replace(UID, "UID")
            }
            Workload::Unit { name, user } => {
                format!("{name} {}", user.map_or(String::new(), |user| user.to_string()))
            }
            Workload::Session { id, user } => format!("session {id} {}", user.unwrap_or(0)),
            Workload::Unknown => "-".into(),
        }
        .trim_end()
        .to_owned()
    }

    #[test]
    fn every_convention() {
        let pod = UID.replace('-', "_");
        for (path, expected) in [
            ("/", "-"),
            ("/user.slice", "-"),
            ("/init.scope", "init.scope"),
            ("/system.slice/nginx.service", "nginx.service"),
            ("/system.slice/a.service/made/by/it", "a.service"),
            ("/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service"),
            ("/user.slice/user-1000.slice/session-3.scope", "session 3 1000"),
            ("/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.service", "app-x.service 1000"),
            ("/user.slice/user-1000.slice/user@1000.service", "user@1000.service"),
            (&format!("/docker/{ID}"), "docker ID"),
            (&format!("/system.slice/docker-{ID}.scope"), "docker ID"),
            (&format!("/../../docker/{ID}"), "docker ID"),
            ("/docker/buildx", "-"),
            ("/default/web", "containerd web"),
            (&format!("/system.slice/nerdctl-{ID}.scope"), "nerdctl ID"),
            (&format!("/kubepods/burstable/pod{UID}/{ID}"), "container ID UID"),
            (
                &format!("/kubepods.slice/kubepods-pod{pod}.slice/cri-containerd-{ID}.scope"),
                "containerd ID UID",
            ),
            (
                &format!("/a/kubelet-kubepods-besteffort-pod{pod}.slice/crio-{ID}.scope/container"),
                "cri-o ID UID",
            ),
            (&format!("/system.slice/kubepods-pod{pod}.slice:cri-containerd:{ID}"), "containerd ID"),
            (&format!("/machine.slice/libpod-{ID}.scope/container"), "podman ID"),
            (&format!("/machine.slice/libpod-conmon-{ID}.scope"), &format!("libpod-conmon-{ID}.scope")),
            (&format!("/machine.slice/machine-libpod_pod_77.slice/libpod-{ID}.scope"), "podman ID 77"),
            ("/lxc.payload.c1/system.slice/nginx.service", "lxc c1"),
            ("/lxc/c1", "lxc c1"),
            ("/lxc.monitor.c1", "-"),
            ("/machine.slice/systemd-nspawn@box.service/payload/init.scope", "nspawn box"),
            ("/machine.slice/systemd-nspawn@box.service/supervisor", "systemd-nspawn@box.service"),
            ("/machine.slice/machine-my\\x2dbox.scope", "nspawn my-box"),
            ("/machine.slice/machine-qemu\\x2d1\\x2dvm.scope", "machine-qemu\\x2d1\\x2dvm.scope"),
            (
                &format!("/docker/{ID}/docker/{}", ID.replace('0', "f")),
                &format!("docker {}", ID.replace('0', "f")),
            ),
        ] {
            assert_eq!(
                described(&format!("0::{path}\n")).replace(ID, "ID"),
                expected.replace(ID, "ID"),
                "{path}"
            );
        }
    }

    #[test]
    fn a_container_is_found_in_any_hierarchy_and_a_unit_in_systemds() {
        let text = format!("12:memory:/docker/{ID}\n1:name=systemd:/system.slice/docker.service\n0::/\n");
        assert_eq!(described(&text), "docker ID");
        assert_eq!(
            described("3:cpu:/x.service\n1:name=systemd:/system.slice/cron.service\n0::/\n"),
            "cron.service"
        );
        let (_, path) = from_cgroup(b"4:memory:/elsewhere\n1:name=systemd:/here\n0::/\n");
        assert_eq!(path, Some(&b"/here"[..]));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Workload::from_cgroup(&text).to_string();
        }

        #[test]
        fn any_path_of_likely_parts_is_read(parts in proptest::collection::vec(
            "(docker-|libpod-|machine-|user@|session-|pod|_|[:\\\\x0-9a-f]{0,6}|\u{e9})(\\.scope|\\.service|\\.slice)?", 0..6)) {
            let text = format!("0::/{}\n", parts.join("/"));
            let shown = Workload::from_cgroup(text.as_bytes()).to_string();
            prop_assert!(!shown.chars().any(char::is_control));
        }

        #[test]
        fn a_container_stays_one_wherever_its_group_is(above in "(/[a-z]{1,8}\\.slice){0,3}", below in "(/[a-z]{1,8}){0,2}") {
            let text = format!("0::{above}/docker-{ID}.scope{below}\n");
            let workload = Workload::from_cgroup(text.as_bytes());
            // An enclosing cgroup may be named like a pod's.
            let is_it = matches!(&workload, Workload::Container { runtime, id, .. } if runtime == "docker" && id == ID);
            prop_assert!(is_it, "{:?}", workload);
        }
    }
}
