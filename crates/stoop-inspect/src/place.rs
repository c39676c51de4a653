//! Where a process belongs: the container, the unit or the session that its control group names.

use std::fmt;

/// What a process runs in, as far as the name of its control group tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Place {
    /// A container.
    Container {
        /// Who runs it: `docker`, `containerd`, `cri-o`, `podman`, `lxc`, `nspawn`, or `container` where that is not known.
        runtime: String,
        /// Its id or name, in full.
        id: String,
        /// The Kubernetes pod it is part of, by its uid.
        pod: Option<String>,
    },
    /// A unit of systemd: `nginx.service`.
    Unit {
        /// Its name, with the escapes of systemd as they are.
        name: String,
        /// The user whose own service manager runs it; `None` for the system's.
        user: Option<u32>,
    },
    /// A login session without a unit of its own.
    Session {
        /// The session's id, as `loginctl` shows it.
        id: String,
        /// The user who logged in.
        user: Option<u32>,
    },
    /// Neither: a kernel thread, a machine without systemd, or a group whose name says nothing known.
    #[default]
    Unknown,
}

impl fmt::Display for Place {
    /// Short, for a column: `docker:0123456789ab`, `nginx.service`, `session-3`, `-`. Ids are cut to twelve characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Container { runtime, id, .. } => {
                let is_hash = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
                let short = if is_hash { &id[..12] } else { id };
                write!(f, "{runtime}:{}", stoop::escaped(short))
            }
            Place::Unit { name, .. } => write!(f, "{}", stoop::escaped(name)),
            Place::Session { id, .. } => write!(f, "session-{}", stoop::escaped(id)),
            Place::Unknown => f.write_str("-"),
        }
    }
}

/// Reads `/proc/PID/cgroup`: the place, and the path that tells it. Pure.
pub(crate) fn from_cgroup(text: &[u8]) -> (Place, Option<&[u8]>) {
    (Place::Unknown, text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"0::")))
}
