//! Profiles of AppArmor.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::{Role, is_root, spawn, tempdir};

/// A profile that is loaded until the value is dropped. It concerns only what [`Profile::confine`]
/// starts.
#[derive(Debug)]
pub struct Profile {
    name: String,
    dir: TempDir,
}

impl Profile {
    /// Loads a profile with these rules, or says what is missing.
    pub fn load(rules: &str) -> Result<Profile, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|on| on.trim() == "Y") {
            return Err("AppArmor".into());
        }
        if !is_root() {
            return Err("root".into());
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let profile = Profile { name: format!("stoop-{}-{number}", std::process::id()), dir: tempdir() };
        // What an explanation itself does is not logged: the kernel prints few records a second.
        let quiet = "network netlink,";
        let text = format!(
            "abi <kernel>,\nprofile {} flags=(attach_disconnected) {{\n{rules}\n{quiet}\n}}\n",
            profile.name
        );
        fs::write(profile.dir.path().join("profile"), text).expect("write the profile");
        profile.parse("--replace")
    }

    /// Returns the role as it runs under the profile.
    pub fn confine(&self, role: Role) -> Role {
        role.within("aa-exec", &["-p", &self.name, "--"])
    }

    /// Returns its name, which the records of denials have.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn parse(self, what: &str) -> Result<Profile, String> {
        let done = self.parser(what).and_then(|mut parser| parser.wait());
        match done {
            Ok(status) if status.success() => Ok(self),
            Ok(_) => Err("a parser of profiles that knows these rules".into()),
            Err(_) => Err("apparmor_parser".into()),
        }
    }

    /// Starts the parser, which a guest has for its kernel.
    fn parser(&self, what: &str) -> std::io::Result<std::process::Child> {
        let parser = std::env::var("STOOP_APPARMOR_PARSER").unwrap_or("apparmor_parser".into());
        let mut command = Command::new(parser);
        command.args([what, "--skip-cache"]).arg(self.dir.path().join("profile"));
        spawn(command.stdin(Stdio::null()).stdout(Stdio::null()))
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        // Fails if it was not loaded.
        let _ = self.parser("--remove").and_then(|mut parser| parser.wait());
    }
}
