//! The relays that are compared, each started as its manual says, with its own defaults.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use stoop::{Address, Bind};
use stoop_bench::process::Process;
use stoop_relay::{Relay, Server};

/// A relay, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Direct,
    /// With file descriptors allowed.
    Stoop,
    /// `--no-descriptors`.
    StoopPlain,
    Socat,
    /// With a buffer of 256 KiB, the best for it.
    SocatLarge,
    Nginx,
    Haproxy,
    Proxyd,
}

const PROXYD: &str = "/lib/systemd/systemd-socket-proxyd";
const NGINX_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

impl Peer {
    pub const ALL: [Peer; 8] = [
        Peer::Direct,
        Peer::Stoop,
        Peer::StoopPlain,
        Peer::Socat,
        Peer::SocatLarge,
        Peer::Nginx,
        Peer::Haproxy,
        Peer::Proxyd,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Peer::Direct => "direct",
            Peer::Stoop => "stoop",
            Peer::StoopPlain => "stoop-no-descriptors",
            Peer::Socat => "socat",
            Peer::SocatLarge => "socat-b256k",
            Peer::Nginx => "nginx",
            Peer::Haproxy => "haproxy",
            Peer::Proxyd => "systemd-socket-proxyd",
        }
    }

    pub fn is_installed(self) -> bool {
        match self {
            Peer::Direct | Peer::Stoop | Peer::StoopPlain => true,
            Peer::Socat | Peer::SocatLarge => has("socat"),
            Peer::Nginx => has("nginx") && Path::new(NGINX_MODULE).exists(),
            Peer::Haproxy => has("haproxy"),
            Peer::Proxyd => has("systemd-socket-activate") && Path::new(PROXYD).exists(),
        }
    }
}

fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|directory| directory.join(program).exists())
}

/// Starts a relay from `front` to a server, a path or `tcp:HOST:PORT`, and waits for its socket.
pub fn start(peer: Peer, dir: &Path, front: &Path, server: &str) -> io::Result<Process> {
    let text = front.display();
    let tcp = server.strip_prefix("tcp:");
    let mut command = match peer {
        Peer::Direct | Peer::Stoop | Peer::StoopPlain => {
            let mode = if peer == Peer::Stoop { "descriptors" } else { "plain" };
            stoop_bench::role(&["relay", &text.to_string(), server, mode])?
        }
        Peer::Socat | Peer::SocatLarge => {
            let mut command = Command::new("socat");
            if peer == Peer::SocatLarge {
                command.args(["-b", "262144"]);
            }
            let to = tcp.map_or(format!("UNIX-CONNECT:{server}"), |at| format!("TCP:{at},nodelay"));
            // The answer to the end of a bulk transfer comes after the server has read all of it.
            command.args(["-t", "60", &format!("UNIX-LISTEN:{text},fork,backlog=128"), &to]);
            command
        }
        Peer::Nginx => nginx(dir, &text.to_string(), tcp.unwrap_or(&format!("unix:{server}")))?,
        Peer::Haproxy => haproxy(dir, &text.to_string(), tcp.unwrap_or(&format!("unix@{server}")))?,
        Peer::Proxyd => {
            let mut command = Command::new("systemd-socket-activate");
            command.args([
                "-l",
                &text.to_string(),
                PROXYD,
                "--connections-max=100000",
                tcp.unwrap_or(server),
            ]);
            command
        }
    };
    let relay = Process::start(command.stdin(Stdio::null()).stderr(Stdio::null()), None)?;
    let limit = Instant::now() + Duration::from_secs(10);
    while !front.exists() {
        if Instant::now() > limit {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not listen"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(relay)
}

fn nginx(dir: &Path, front: &str, server: &str) -> io::Result<Command> {
    let config = format!(
        "load_module {NGINX_MODULE};\nuser root;\ndaemon off;\nmaster_process off;\npid {0}/pid;\n\
         error_log /dev/null;\nevents {{ worker_connections 40000; }}\nstream {{ server {{\n\
         listen unix:{front};\nproxy_pass {server};\nproxy_half_close on;\nproxy_timeout 1h;\n}} }}\n",
        dir.display()
    );
    let mut command = Command::new("nginx");
    command.arg("-c").arg(written(dir, "nginx.conf", &config)?).arg("-p").arg(dir);
    Ok(command)
}

fn haproxy(dir: &Path, front: &str, server: &str) -> io::Result<Command> {
    let config = format!(
        "global\n  maxconn 9000\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  \
         timeout server 1h\nlisten relay\n  bind unix@{front}\n  server server {server}\n"
    );
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(written(dir, "haproxy.cfg", &config)?);
    Ok(command)
}

fn written(dir: &Path, name: &str, text: &str) -> io::Result<std::path::PathBuf> {
    let path = dir.join(name);
    std::fs::write(&path, text)?;
    Ok(path)
}

/// Relays until it is killed.
pub fn relay(front: &Path, server: &str, descriptors: bool) -> stoop_bench::Result {
    let to = match server.strip_prefix("tcp:").and_then(|at| at.rsplit_once(':')) {
        Some((host, port)) => Server::tcp(host, port.parse()?),
        None => Server::unix(Address::path(server)?),
    };
    let front = Bind::new(front).listen()?;
    let _running = Relay::to(to).descriptors(descriptors).start(front)?;
    loop {
        std::thread::park();
    }
}
