//! Fields that are secrets in messages of well-known methods, if there is no schema: logins to
//! registries, secrets of builds, variables of containers, passwords of etcd.

use std::sync::Arc;

use super::super::methods::{Field, Fields};

/// The numbers of the fields that lead to a field.
type Path = &'static [u32];

/// A method, and the fields of its messages that are secrets.
struct Method {
    path: &'static str,
    requests: &'static [Path],
    responses: &'static [Path],
}

/// Password, auth, identity token and registry token of AuthConfig.
const AUTH_CONFIG: &[Path] = &[&[2, 2], &[2, 3], &[2, 5], &[2, 6]];
/// The values of a container's variables.
const VARIABLES: &[Path] = &[&[2, 6, 2]];

const METHODS: &[Method] = &[
    Method { path: "/runtime.v1.ImageService/PullImage", requests: AUTH_CONFIG, responses: &[] },
    Method { path: "/runtime.v1alpha2.ImageService/PullImage", requests: AUTH_CONFIG, responses: &[] },
    Method { path: "/runtime.v1.RuntimeService/CreateContainer", requests: VARIABLES, responses: &[] },
    Method { path: "/runtime.v1alpha2.RuntimeService/CreateContainer", requests: VARIABLES, responses: &[] },
    Method { path: "/moby.filesync.v1.Auth/Credentials", requests: &[], responses: &[&[2]] },
    Method { path: "/moby.filesync.v1.Auth/FetchToken", requests: &[], responses: &[&[1]] },
    Method { path: "/moby.buildkit.secrets.v1.Secrets/GetSecret", requests: &[], responses: &[&[1]] },
    Method { path: "/etcdserverpb.Auth/Authenticate", requests: &[&[2]], responses: &[&[2]] },
    Method { path: "/etcdserverpb.Auth/UserAdd", requests: &[&[2]], responses: &[] },
    Method { path: "/etcdserverpb.Auth/UserChangePassword", requests: &[&[2]], responses: &[] },
];

/// Returns the fields of the messages of a method, if it is one of these.
pub(super) fn fields(method: &str, is_response: bool) -> Option<Arc<dyn Fields>> {
    let found = METHODS.iter().find(|known| known.path == method)?;
    let secrets = if is_response { found.responses } else { found.requests };
    Some(Arc::new(Secrets(secrets.to_vec())))
}

/// The paths to the secrets in a message.
#[derive(Debug)]
struct Secrets(Vec<Path>);

impl Fields for Secrets {
    fn field(&self, number: u32) -> Field {
        let begins = |path: &Path| path.split_first().filter(|(first, _)| **first == number);
        let rests: Vec<Path> = self.0.iter().filter_map(|path| begins(path).map(|(_, rest)| rest)).collect();
        match &rests[..] {
            [] => Field::Text,
            rests if rests.iter().any(|rest| rest.is_empty()) => Field::Secret,
            _ => Field::Message(Arc::new(Secrets(rests))),
        }
    }

    fn has_secrets(&self) -> bool {
        !self.0.is_empty()
    }
}
