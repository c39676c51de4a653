//! The distribution of this machine, which decides how the unit of a service is called.

use std::sync::OnceLock;

use stoop_inspect::endpoints::Service;

/// The unit of a service on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unit(&'static str);

/// Returns the unit of a service on this machine, if it has one.
pub(crate) fn unit(service: &Service) -> Option<Unit> {
    service.unit_on(ids()).map(Unit)
}

impl Unit {
    /// Returns a command that starts it.
    pub(crate) fn start(self, of_user: bool) -> String {
        self.command("start", of_user)
    }

    /// Returns a command that restarts it.
    pub(crate) fn restart(self, of_user: bool) -> String {
        self.command("restart", of_user)
    }

    /// Returns a command that shows its log.
    pub(crate) fn log(self) -> String {
        match self.is_of_openrc() {
            true => "tail /var/log/messages".into(),
            false => format!("journalctl -u {} -e", self.0),
        }
    }

    fn command(self, verb: &str, of_user: bool) -> String {
        match (self.is_of_openrc(), of_user) {
            (true, _) => format!("rc-service {} {verb}", self.0),
            (false, true) => format!("systemctl --user {verb} {}", self.0),
            (false, false) => format!("systemctl {verb} {}", self.0),
        }
    }

    /// Units of systemd have a suffix.
    fn is_of_openrc(self) -> bool {
        !self.0.contains('.')
    }
}

/// Returns `ID` and `ID_LIKE` of this machine.
fn ids() -> &'static [String] {
    static IDS: OnceLock<Vec<String>> = OnceLock::new();
    IDS.get_or_init(|| {
        let files = ["/etc/os-release", "/usr/lib/os-release"];
        let text = files.iter().find_map(|file| std::fs::read_to_string(file).ok());
        ids_in(&text.unwrap_or_default())
    })
}

/// Returns the words of `ID`, then those of `ID_LIKE`. openSUSE's name has its edition.
fn ids_in(os_release: &str) -> Vec<String> {
    let value = |key: &str| {
        let value = os_release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        value.unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned()
    };
    let words = format!("{} {}", value("ID"), value("ID_LIKE"));
    let plain = |word: &str| if word.starts_with("opensuse") { "opensuse" } else { word }.to_owned();
    words.split_whitespace().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_are_read() {
        assert_eq!(ids_in("NAME=\"Debian\"\nVERSION_ID=\"12\"\nID=debian\n"), ["debian"]);
        assert_eq!(
            ids_in("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"),
            ["rocky", "rhel", "centos", "fedora"]
        );
        assert_eq!(
            ids_in("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\""),
            ["opensuse", "suse", "opensuse"]
        );
        assert!(ids_in("").is_empty());
    }

    #[test]
    fn units_are_worded_for_their_manager() {
        assert_eq!(Unit("redis.service").start(false), "systemctl start redis.service");
        assert_eq!(Unit("pipewire.service").restart(true), "systemctl --user restart pipewire.service");
        assert_eq!(Unit("redis").restart(false), "rc-service redis restart");
        assert_eq!(Unit("redis.service").log(), "journalctl -u redis.service -e");
    }
}
