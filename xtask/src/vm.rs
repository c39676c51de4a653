//! `cargo xtask vm KERNEL [arguments of cargo test…]`: the tests on another kernel.
//!
//! Debian's cloud kernels are fetched by package, booted with qemu (emulated, so that it works
//! inside another virtual machine), and given the host's own files read-only below a file system in
//! memory: the guest runs the test binaries built here, with the programs installed here. It is
//! several times slower than the machine. Needs root on Debian or Ubuntu with
//! `qemu-system-x86 busybox-static cpio xz-utils`. Nothing of the host is changed but `target/vm`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::tree::root;
use crate::{Outcome, cargo, output_of, succeed};

/// Short names, and the package that depends on the newest kernel of that line.
const KERNELS: &[(&str, &str)] =
    &[("6.1", "linux-image-cloud-amd64"), ("6.12", "linux-image-6.12-cloud-amd64")];

const INIT: &str = include_str!("vm/init.sh");
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
];
const FILE_SERVERS: &[&str] = &["/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd"];

/// How long the tests of one binary may take; a guest is slow.
const LIMIT_SECONDS: u32 = 600;

/// Boots the kernel and runs the tests in it.
pub fn run(args: &[String]) -> Outcome {
    let (name, tests) = args.split_first().ok_or("which kernel? 6.1, 6.12, or a package of Debian's")?;
    let dir = root().join("target/vm");
    let binaries = build(tests)?;
    let kernel = fetch(&dir, name)?;
    let initramfs = initramfs(&dir, &kernel, &script(&binaries))?;
    boot(&dir, &kernel, &initramfs)
}

/// A test binary, and the directory that its tests expect to be in.
struct Binary {
    path: String,
    directory: PathBuf,
}

/// Builds what `cargo test` would run.
fn build(tests: &[String]) -> Result<Vec<Binary>, String> {
    let mut command = cargo(&["test", "-q", "--no-run", "--message-format=json"]);
    let messages = output_of(command.args(tests).stderr(Stdio::inherit()))?;
    let binaries: Vec<Binary> = messages.split(|&byte| byte == b'\n').filter_map(binary).collect();
    if binaries.is_empty() { Err("these arguments select no test".into()) } else { Ok(binaries) }
}

fn binary(line: &[u8]) -> Option<Binary> {
    let message: Value = serde_json::from_slice(line).ok()?;
    let is_test = message["profile"]["test"] == true;
    let path = message["executable"].as_str().filter(|_| is_test)?.to_owned();
    let directory = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
    Some(Binary { path, directory })
}

/// The guest's script: it runs each binary in turn, and prints a summary in a last line that
/// [`boot`] looks for.
fn script(binaries: &[Binary]) -> String {
    let mut script = format!(
        "export PATH={} HOME=/root TERM=dumb TMPDIR=/run/scratch STOOP_SLOWNESS=20 STOOP_SKIPS=/run/skips\nuname -r\nfailed=0\n",
        quoted(&std::env::var("PATH").unwrap_or_default())
    );
    for Binary { path, directory } in binaries {
        let (path, directory) = (quoted(path), quoted(&directory.display().to_string()));
        script += &format!(
            "cd {directory} && timeout {LIMIT_SECONDS} {path} --test-threads=2 </dev/null 2>&1 || failed=$((failed + 1))\n"
        );
    }
    script + "sort -u /run/skips 2>/dev/null | sed 's/^/vm: /'\necho \"vm: $failed failed\"\n"
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Downloads and unpacks the kernel, once.
fn fetch(dir: &Path, name: &str) -> Result<PathBuf, String> {
    let package = KERNELS.iter().find(|(short, _)| *short == name).map_or(name, |(_, package)| package);
    let kernel = dir.join(package);
    if kernel.join("boot").exists() {
        return Ok(kernel);
    }
    fs::create_dir_all(&kernel).map_err(|e| format!("cannot create '{}': {e}", kernel.display()))?;
    let depends = output_of(Command::new("apt-cache").args(["depends", "--important", package]))?;
    let depends = String::from_utf8_lossy(&depends).into_owned();
    let image = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: linux-image-"));
    let image = image.map_or_else(|| package.to_owned(), |version| format!("linux-image-{version}"));
    succeed(Command::new("apt-get").args(["-q", "download", &image]).current_dir(&kernel))?;
    let unpack = "dpkg-deb --extract ./*.deb . && rm ./*.deb";
    succeed(Command::new("sh").args(["-ec", unpack]).current_dir(&kernel))?;
    Ok(kernel)
}

/// The guest's initial files: busybox, the modules needed to mount the host's files, and the tests
/// to run.
fn initramfs(dir: &Path, kernel: &Path, tests: &str) -> Result<PathBuf, String> {
    let files = dir.join("initramfs");
    let _ = fs::remove_dir_all(&files);
    let made = (|| {
        for part in ["bin", "modules", "proc"] {
            fs::create_dir_all(files.join(part))?;
        }
        fs::copy("/bin/busybox", files.join("bin/busybox"))?;
        fs::write(files.join("init"), INIT)?;
        fs::write(files.join("tests.sh"), tests)
    })();
    made.map_err(|e: std::io::Error| {
        format!("cannot write '{}': {e} (is busybox-static installed?)", files.display())
    })?;
    for module in MODULES {
        // Drivers built into the kernel have no file.
        let copy =
            format!("find {kernel} -name {module}.ko* -exec cp {{}} modules/ ';'", kernel = kernel.display());
        succeed(Command::new("sh").args(["-c", &copy.replace(".ko*", ".ko\\*")]).current_dir(&files))?;
    }
    let pack = "chmod +x init; if ls modules/*.xz >/dev/null 2>&1; then xz -d modules/*.xz; fi
        find . | cpio --create --format=newc --quiet > ../initramfs.cpio";
    succeed(Command::new("sh").args(["-ec", pack]).current_dir(&files))?;
    Ok(dir.join("initramfs.cpio"))
}

/// Runs the guest to completion, printing its output; its last line is the result.
fn boot(dir: &Path, kernel: &Path, initramfs: &Path) -> Outcome {
    let socket = dir.join("files.sock");
    let mut files = serve_files(&socket)?;
    let outcome = qemu(&socket, kernel, initramfs).and_then(|mut guest| {
        let last = show(&mut guest);
        guest.wait().map_err(|e| e.to_string())?;
        match last.as_deref() {
            Some("vm: 0 failed") => Ok(()),
            Some(line) => Err(format!("{} test binaries", line.trim_start_matches("vm: "))),
            None => Err("the guest did not come to its end".into()),
        }
    });
    let _ = files.kill();
    let _ = files.wait();
    outcome
}

/// Copies the guest's console to stdout, and returns its closing line.
fn show(guest: &mut Child) -> Option<String> {
    let mut last = None;
    for line in BufReader::new(guest.stdout.take()?).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).replace(|c: char| c.is_control() && c != '\t', "");
        // If stdout is closed, the guest continues all the same.
        let _ = writeln!(std::io::stdout(), "{line}");
        if line.starts_with("vm: ") {
            last = Some(line);
        }
    }
    last
}

fn serve_files(socket: &Path) -> Result<Child, String> {
    let _ = fs::remove_file(socket);
    let server =
        FILE_SERVERS.iter().find(|path| Path::new(path).exists()).ok_or("virtiofsd is not installed")?;
    let mut command = Command::new(server);
    command.arg(format!("--socket-path={}", socket.display())).args([
        "-o",
        "source=/",
        "-o",
        "cache=auto",
        "-o",
        "sandbox=chroot",
    ]);
    let child =
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(|e| format!("{server}: {e}"))?;
    // It is ready when its socket exists.
    for _ in 0..100 {
        if socket.exists() {
            return Ok(child);
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    Err(format!("{server} did not start"))
}

fn qemu(socket: &Path, kernel: &Path, initramfs: &Path) -> Result<Child, String> {
    let image =
        fs::read_dir(kernel.join("boot")).map_err(|e| e.to_string())?.flatten().map(|entry| entry.path());
    let image = image
        .into_iter()
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz")))
        .ok_or("the package has no kernel")?;
    let mut command = Command::new("qemu-system-x86_64");
    command.args([
        "-accel",
        "tcg,thread=multi",
        "-cpu",
        "max",
        "-smp",
        "2",
        "-m",
        "4G",
        "-nographic",
        "-no-reboot",
    ]);
    command.args(["-nic", "none", "-append", "console=ttyS0 quiet panic=-1"]);
    command.args([
        "-object",
        "memory-backend-memfd,id=memory,size=4G,share=on",
        "-numa",
        "node,memdev=memory",
    ]);
    command.arg("-chardev").arg(format!("socket,id=files,path={}", socket.display()));
    command.args(["-device", "vhost-user-fs-pci,chardev=files,tag=host"]);
    command.arg("-kernel").arg(image).arg("-initrd").arg(initramfs);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("qemu-system-x86_64: {e}"))
}
