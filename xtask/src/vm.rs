//! `cargo xtask vm KERNEL [--write] [arguments of cargo test…]`: the tests on another kernel.
//!
//! Debian's cloud kernels are fetched by package and booted with qemu, emulated if the machine
//! cannot run guests. The guest gets files of this machine read-only below a file system in memory:
//! for x86-64 the whole root, so that it runs the test binaries built here with the programs
//! installed here; for arm64 the workspace, above Debian's arm64 packages. The arm64 binaries are
//! compiled here too ([`cross`]). An emulated guest is ten to fifty times slower than the machine.
//!
//! Needs root on Debian or Ubuntu with `qemu-system-x86 qemu-system-arm gcc-aarch64-linux-gnu
//! libc6-dev-arm64-cross busybox-static cpio xz-utils apparmor auditd`, and for the tests of file
//! systems `bindfs dosfstools exfatprogs nfs-kernel-server`. Install them with
//! `--no-install-recommends`: what qemu recommends is not used, and may conflict with packages of
//! backports. Changes nothing but `target/vm` and, with `--write`, the page of results.

mod build;
mod cross;
mod debian;
mod guest;
mod page;
mod report;

use std::path::PathBuf;

use crate::Outcome;
use crate::tree::root;

pub use page::unwritten;

/// The processor of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Machine {
    X86,
    Arm,
}

impl Machine {
    /// Returns Debian's name of the architecture.
    fn debian(self) -> &'static str {
        match self {
            Self::X86 => "amd64",
            Self::Arm => "arm64",
        }
    }
}

/// A kernel that can be booted.
struct Kernel {
    /// What the verb calls it.
    name: &'static str,
    machine: Machine,
    /// The release of Debian that has it. Its newest cloud kernel is taken.
    suite: &'static str,
}

const KERNELS: &[Kernel] = &[
    Kernel { name: "6.1", machine: Machine::X86, suite: "bookworm" },
    Kernel { name: "6.12", machine: Machine::X86, suite: "trixie" },
    Kernel { name: "newest", machine: Machine::X86, suite: "sid" },
    Kernel { name: "arm64-6.12", machine: Machine::Arm, suite: "trixie" },
    Kernel { name: "arm64-newest", machine: Machine::Arm, suite: "sid" },
];

/// What is tested if the arguments do not say: the packages that depend most on the kernel.
const TESTED: &[&str] = &["stoop-kernel-facts", "stoop", "stoop-bpf", "stoop-tap", "stoop-inspect"];
/// Arguments of `cargo test` that select some test binaries of a package.
const SELECTING: &[&str] = &["--test", "--lib"];
const FEATURES: &[&str] = &["--features", "stoop/tokio"];

/// Boots the kernel and runs the tests in it.
pub fn run(args: &[String]) -> Outcome {
    let (name, tests) = args.split_first().ok_or_else(usage)?;
    let (flags, tests): (Vec<_>, Vec<_>) = tests.iter().cloned().partition(|arg| arg == "--write");
    let tests = if tests.is_empty() { default_tests() } else { tests };
    let kernels: Vec<&Kernel> = KERNELS.iter().filter(|k| name == "all" || k.name == name).collect();
    if kernels.is_empty() {
        return Err(usage());
    }
    let mut failed = Vec::new();
    for kernel in kernels {
        let report = test(kernel, &tests)?;
        if !flags.is_empty() {
            let is_selection = tests.iter().any(|arg| SELECTING.contains(&arg.as_str()));
            page::write(kernel.name, &report, is_selection || !report.is_complete())?;
        }
        if !report.is_complete() {
            failed.push(format!("{}: the guest did not come to its end", kernel.name));
        }
        failed.extend(report.failures().map(|test| format!("{}: {test}", kernel.name)));
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed:\n  {}", failed.join("\n  "))) }
}

fn usage() -> String {
    let names: Vec<&str> = KERNELS.iter().map(|kernel| kernel.name).collect();
    format!("usage: cargo xtask vm {}|all [--write] [arguments of cargo test…]", names.join("|"))
}

fn default_tests() -> Vec<String> {
    let packages = TESTED.iter().flat_map(|name| ["-p", name]);
    packages.chain(FEATURES.iter().copied()).map(str::to_owned).collect()
}

fn test(kernel: &Kernel, tests: &[String]) -> Result<report::Report, String> {
    let machine = kernel.machine;
    let mut binaries = match machine {
        Machine::X86 => build::build(crate::cargo(&[]), tests)?,
        Machine::Arm => build::build(cross::cargo(&dir())?, tests)?,
    };
    let files = match machine {
        Machine::X86 => PathBuf::from("/"),
        Machine::Arm => cross::files(&dir())?,
    };
    let image = debian::kernel(&dir(), kernel)?;
    let parser = debian::apparmor_parser(&dir(), kernel)?;
    let busybox = files.join("bin/busybox");
    // One for each kernel, so that several guests can run at a time.
    let run = dir().join(format!("run-{}", kernel.name));
    std::fs::create_dir_all(&run).map_err(|e| format!("'{}': {e}", run.display()))?;
    build::keep(&mut binaries, &run)?;
    let script = build::script(&binaries, &files, &parser);
    let initramfs = guest::initramfs(&run, &image, &busybox, &script)?;
    guest::boot(&run, machine, &image, &initramfs)
}

/// Returns the directory of all that is fetched and made.
fn dir() -> PathBuf {
    root().join("target/vm")
}
