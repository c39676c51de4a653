//! The machine on which a number was measured. Reads `/proc`, changes nothing.

use std::{fmt, fs};

/// Facts without which a number means little.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The kernel's release, as printed by `uname -r`.
    pub kernel: String,
    /// How many CPUs this process may use.
    pub cpus: usize,
    /// The name of the processor model.
    pub model: String,
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Linux {}, {} CPUs, {}", self.kernel, self.cpus, self.model)
    }
}

impl Machine {
    /// Returns the facts about this machine; those that cannot be read are "unknown".
    pub fn here() -> Self {
        let unknown = || "unknown".to_owned();
        Self {
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .map_or_else(|_| unknown(), |s| s.trim().to_owned()),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            model: fs::read_to_string("/proc/cpuinfo").ok().and_then(|s| model(&s)).unwrap_or_else(unknown),
        }
    }
}

/// Returns the first processor's name in the text of `/proc/cpuinfo`.
fn model(cpuinfo: &str) -> Option<String> {
    let (_, name) =
        cpuinfo.lines().filter_map(|line| line.split_once(':')).find(|(k, _)| k.trim() == "model name")?;
    Some(name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_the_name_and_not_the_number() {
        assert_eq!(
            model("model\t\t: 1\nmodel name\t: Some CPU @ 2 GHz\n").as_deref(),
            Some("Some CPU @ 2 GHz")
        );
        assert_eq!(model("processor\t: 0\n"), None, "as on some ARM machines");
    }
}
