//! Describes the machine that was measured, without which figures mean little. Reads `/proc`,
//! changes nothing.

use std::fs;

use serde::Serialize;

/// The machine, and the settings of the measurement.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Machine {
    pub(super) kernel: String,
    pub(super) processor: String,
    /// The number of processors this process may use.
    pub(super) processors: usize,
    /// Whether it is a virtual machine, on which waking up a process costs much more.
    pub(super) is_virtual: bool,
    /// `net.core.wmem_max`: the maximum send buffer.
    pub(super) wmem_max_bytes: Option<u64>,
    /// The load average at the start of the measurement.
    pub(super) load: Option<f64>,
    pub(super) pin: Option<(usize, usize)>,
    pub(super) stoop: &'static str,
}

impl Machine {
    /// Describes this machine.
    pub(super) fn here(pin: Option<(usize, usize)>) -> Machine {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        Machine {
            kernel: or_unknown(read("/proc/sys/kernel/osrelease").trim()),
            processor: or_unknown(field(&cpuinfo, "model name").unwrap_or_default()),
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            is_virtual: is_virtual(&cpuinfo),
            wmem_max_bytes: read("/proc/sys/net/core/wmem_max").trim().parse().ok(),
            load: read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()),
            pin,
            stoop: env!("CARGO_PKG_VERSION"),
        }
    }

    /// Returns a caution about the figures, if the scheduler was free to move the processes.
    pub(super) fn caution(&self) -> Option<&'static str> {
        (self.pin.is_none() && self.processors > 1).then_some(
            "The processes were not pinned: the scheduler may run them on one processor in one run and on two in the next, which \
             can be a factor of ten. Differences between transports may be differences between runs.",
        )
    }

    /// Formats one line for each kind of fact.
    pub(super) fn lines(&self) -> Vec<String> {
        let virtually = if self.is_virtual { ", a virtual machine" } else { "" };
        let several = if self.processors == 1 { "" } else { "s" };
        let pin = match self.pin {
            Some((one, other)) => format!("one process pinned to processor {one}, the other to {other}"),
            None => "processes not pinned".into(),
        };
        let wmem = self.wmem_max_bytes.map_or("unknown".into(), |bytes| format!("{bytes} bytes"));
        let load = self.load.map_or("unknown".into(), |load| format!("{load:.2}"));
        vec![
            format!("{}, {} usable processor{several}{virtually}", self.processor, self.processors),
            format!("Linux {}, net.core.wmem_max {wmem}, load {load} at the start", self.kernel),
            format!("stoop {}, {pin}", self.stoop),
        ]
    }
}

fn or_unknown(text: &str) -> String {
    if text.is_empty() { "unknown".into() } else { text.into() }
}

/// Returns the first value of a field in the text of `/proc/cpuinfo`.
fn field<'a>(cpuinfo: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.trim() == name).map(|(_, value)| value.trim())
}

fn is_virtual(cpuinfo: &str) -> bool {
    field(cpuinfo, "flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpuinfo_is_parsed() {
        let text = "model\t\t: 1\nmodel name\t: Some CPU @ 2 GHz\nflags\t: fpu hypervisor sse\n";
        assert_eq!(field(text, "model name"), Some("Some CPU @ 2 GHz"));
        assert!(is_virtual(text));
        assert!(!is_virtual("processor\t: 0\n"), "as on some ARM machines");
        assert_eq!(Machine::here(None).lines().len(), 3);
    }
}
