//! A guest: its first files, the server of this machine's files, and qemu.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::Machine;
use super::report::Report;
use crate::succeed;

const INIT: &str = include_str!("init.sh");
const MODULES: &[&str] = &[
    "virtio",
    "virtio_ring",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "fuse",
    "virtiofs",
    "overlay",
    "unix_diag",
    // For images.
    "loop",
    "fat",
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "nls_iso8859-1",
    "nls_utf8",
    "exfat",
    // For NFS, on both sides.
    "sunrpc",
    "auth_rpcgss",
    "rpcsec_gss_krb5",
    "grace",
    "lockd",
    "nfs_acl",
    "nfs_localio",
    "netfs",
    "fscache",
    "dns_resolver",
    "nfs",
    "nfsv4",
    "nfsd",
    // For directories shared by 9p.
    "9pnet",
    "9pnet_virtio",
    "9p",
];
/// What the guest calls the directory that it shares with this machine, by each way to mount it.
const SHARED_VIRTIOFS: &str = "shared-virtiofs";
const SHARED_9P: &str = "shared-9p";

const FILE_SERVERS: &[&str] = &["/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd"];

/// Packs the guest's initial files: busybox, the modules needed to mount this machine's files and
/// those that the tests mount, and the tests to run.
pub fn initramfs(dir: &Path, kernel: &Path, busybox: &Path, tests: &str) -> Result<PathBuf, String> {
    let files = dir.join("initramfs");
    let _ = fs::remove_dir_all(&files);
    let made = (|| {
        for part in ["bin", "modules", "proc"] {
            fs::create_dir_all(files.join(part))?;
        }
        fs::copy(busybox, files.join("bin/busybox"))?;
        fs::write(files.join("init"), INIT)?;
        fs::write(files.join("tests.sh"), tests)
    })();
    made.map_err(|e: std::io::Error| {
        format!("cannot write '{}': {e} (is busybox-static installed?)", files.display())
    })?;
    // Drivers built into the kernel have no file.
    let names = MODULES
        .iter()
        .flat_map(|name| ["-o", "-name"].into_iter().map(str::to_owned).chain([format!("{name}.ko*")]));
    let mut copy = Command::new("find");
    copy.arg(kernel).arg("(").args(names.skip(1)).args([")", "-exec", "cp", "{}", "modules/", ";"]);
    succeed(copy.current_dir(&files))?;
    let pack = "chmod +x init; if ls modules/*.xz >/dev/null 2>&1; then xz -d modules/*.xz; fi
        find . | cpio --create --format=newc --quiet > ../initramfs.cpio";
    succeed(Command::new("sh").args(["-ec", pack]).current_dir(&files))?;
    Ok(dir.join("initramfs.cpio"))
}

/// Runs the guest until it ends, printing its output, and returns what it reported.
pub fn boot(dir: &Path, machine: Machine, kernel: &Path, initramfs: &Path) -> Result<Report, String> {
    let shared = dir.join("shared");
    let _ = fs::remove_dir_all(&shared);
    fs::create_dir(&shared).map_err(|e| format!("'{}': {e}", shared.display()))?;
    let directories =
        [FileServer::start(dir, "host", Path::new("/"))?, FileServer::start(dir, SHARED_VIRTIOFS, &shared)?];
    let mut command = qemu(machine);
    directories.iter().for_each(|directory| directory.attach(&mut command));
    let shared = format!("local,path={},mount_tag={SHARED_9P},security_model=passthrough", shared.display());
    command.args(["-virtfs", &shared]);
    command.arg("-kernel").arg(image(kernel)?).arg("-initrd").arg(initramfs);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut guest = command.spawn().map_err(|e| format!("{:?}: {e}", command.get_program()))?;
    let report = guest.stdout.take().map(show).unwrap_or_default();
    guest.wait().map_err(|e| e.to_string())?;
    Ok(report)
}

/// Copies the guest's console to stdout, and reads it.
fn show(console: ChildStdout) -> Report {
    let mut report = Report::default();
    for line in BufReader::new(console).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).replace(|c: char| c.is_control() && c != '\t', "");
        // If stdout is closed, the guest continues all the same.
        let _ = writeln!(std::io::stdout(), "{line}");
        report.read(&line);
    }
    report
}

/// A directory of this machine that the guest can mount by virtiofs, until the value is dropped.
struct FileServer {
    tag: &'static str,
    socket: PathBuf,
    process: Child,
}

impl FileServer {
    fn start(dir: &Path, tag: &'static str, source: &Path) -> Result<FileServer, String> {
        let socket = dir.join(format!("{tag}.sock"));
        let _ = fs::remove_file(&socket);
        let program = FILE_SERVERS.iter().find(|path| Path::new(path).exists());
        let program = program.ok_or("virtiofsd is not installed")?;
        let mut command = Command::new(program);
        command.arg(format!("--socket-path={}", socket.display()));
        command.args(["-o", "cache=auto", "-o", "sandbox=chroot", "-o"]);
        command.arg(format!("source={}", source.display()));
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = process.map_err(|e| format!("{program}: {e}"))?;
        let server = FileServer { tag, socket, process };
        // It is ready when its socket exists: at once, but the machine may be busy with the tests' build.
        for _ in 0..1200 {
            if server.socket.exists() {
                return Ok(server);
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Err(format!("{program} did not start"))
    }

    /// Adds the directory to the guest.
    fn attach(&self, qemu: &mut Command) {
        let FileServer { tag, socket, .. } = self;
        qemu.arg("-chardev").arg(format!("socket,id={tag},path={}", socket.display()));
        qemu.arg("-device").arg(format!("vhost-user-fs-pci,chardev={tag},tag={tag}"));
    }
}

impl Drop for FileServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the image of an unpacked kernel. Newer packages keep it with the modules.
fn image(kernel: &Path) -> Result<PathBuf, String> {
    let find = Command::new("find").arg(kernel).args(["-type", "f", "-name", "vmlinuz*"]).output();
    let found = find.map_err(|e| format!("find: {e}"))?.stdout;
    let found = String::from_utf8_lossy(&found).lines().next().map(PathBuf::from);
    found.ok_or_else(|| format!("there is no kernel in '{}'", kernel.display()))
}

/// How much slower the tests are in a guest: their deadlines are multiplied by it.
const SLOWNESS: u32 = 20;

/// Returns the machine, without its files and what it boots.
fn qemu(machine: Machine) -> Command {
    // If the emulator runs late, the kernel takes the timer for a broken one, and panics.
    let (program, parameters) = match machine {
        Machine::X86 => ("qemu-system-x86_64", "console=ttyS0 no_timer_check"),
        Machine::Arm => ("qemu-system-aarch64", "console=ttyAMA0"),
    };
    let mut command = Command::new(program);
    match machine {
        Machine::X86 => command.args(["-machine", "q35"]),
        Machine::Arm => command.args(["-machine", "virt"]),
    };
    // Always emulated: inside another virtual machine, KVM may fail at instructions that it offers.
    command.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "3G"]);
    command.args(["-nographic", "-no-reboot", "-nic", "none", "-append"]);
    command.arg(format!("{parameters} quiet panic=-1 slowness={SLOWNESS}"));
    // Shared with the servers of its files.
    let memory = "memory-backend-memfd,id=memory,size=3G,share=on";
    command.args(["-object", memory, "-numa", "node,memdev=memory"]);
    command
}
