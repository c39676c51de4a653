//! Reads the kernel's limits, and names the security mechanisms that may affect the call.

use std::fs;
use std::str::FromStr;

use crate::why::Who;
use crate::why::facts::{Limits, Security};

pub(super) fn limits() -> Limits {
    Limits {
        wmem_default_bytes: setting("net/core/wmem_default"),
        somaxconn: setting("net/core/somaxconn"),
        max_dgram_qlen: setting("net/unix/max_dgram_qlen"),
        protected_symlinks: setting::<u8>("fs/protected_symlinks").map(|on| on != 0),
    }
}

fn setting<T: FromStr>(name: &str) -> Option<T> {
    fs::read_to_string(format!("/proc/sys/{name}")).ok()?.trim().parse().ok()
}

pub(super) fn security(who: &Who) -> Security {
    let modules = fs::read_to_string("/sys/kernel/security/lsm").ok();
    let Who::Process(pid) = who else {
        return Security { modules: modules.as_deref().map(names), ..Security::default() };
    };
    let status = fs::read(format!("/proc/{pid}/status")).unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let number =
        |key: &str| status.lines().find_map(|line| line.strip_prefix(key)?.trim().parse::<u8>().ok());
    let label = fs::read_to_string(format!("/proc/{pid}/attr/current")).ok();
    Security {
        modules: modules.as_deref().map(names),
        label: label
            .map(|label| label.trim_end_matches(['\0', '\n']).to_owned())
            .filter(|label| !label.is_empty()),
        seccomp: number("Seccomp:").map(|mode| mode != 0),
        no_new_privileges: number("NoNewPrivs:").map(|on| on != 0),
    }
}

fn names(modules: &str) -> Vec<String> {
    modules.trim().split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
