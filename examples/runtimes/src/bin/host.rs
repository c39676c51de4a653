//! The program with the main logic. It gives jobs to runtimes, of which it knows only the
//! interface.
//!
//! ```text
//! host DIRECTORY|ADDRESS [--tls DIRECTORY]
//! ```
//!
//! Reads commands, a line each: `list`; `run RUNTIME TEXT`; `follow RUNTIME TEXT`; `load RUNTIME
//! COUNT`, which makes that many calls, 64 at once. A runtime has the name of its socket: `upper`
//! is `DIRECTORY/upper.sock`. An address in place of the directory is a single runtime, on this or
//! another machine.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use runtimes::api::runtime_client::RuntimeClient;
use runtimes::api::{Job, VersionRequest};
use runtimes::{REVISIONS, arguments, tls};
use stoop_grpc::{Channel, Connect, Endpoint};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::task::JoinSet;
use tonic::{Code, Status};

/// How long a call waits for a runtime that is just being replaced. An endless job would need no
/// limit.
const PATIENCE: Duration = Duration::from_secs(2);

type Client = RuntimeClient<Channel>;

/// The available runtimes.
struct Runtimes {
    place: Location,
    certificates: Option<PathBuf>,
    /// Clients of runtimes with a negotiated revision.
    known: BTreeMap<String, Client>,
}

enum Location {
    Directory(PathBuf),
    One(Endpoint),
}

impl Runtimes {
    /// Returns the names of the sockets that exist now; nothing is cached.
    fn names(&self) -> std::io::Result<BTreeSet<String>> {
        let Location::Directory(directory) = &self.place else {
            return Ok(BTreeSet::from(["remote".to_owned()]));
        };
        let mut names = BTreeSet::new();
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "sock") {
                names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
            }
        }
        Ok(names)
    }

    fn endpoint(&self, name: &str) -> Result<Endpoint, Box<dyn Error>> {
        Ok(match &self.place {
            Location::Directory(directory) => {
                directory.join(name).with_extension("sock").as_path().try_into()?
            }
            Location::One(endpoint) => endpoint.clone(),
        })
    }

    /// Returns a client of this runtime. The revision is negotiated with a new one, and with its
    /// successors at the same address only if a call fails.
    async fn client(&mut self, name: &str) -> Result<Client, Box<dyn Error>> {
        if let Some(client) = self.known.get(name) {
            return Ok(client.clone());
        }
        let mut connect = Connect::new(self.endpoint(name)?).timeout(PATIENCE).wait_for_server(PATIENCE);
        if let Some(directory) = &self.certificates {
            connect = connect.tls(tls::client(directory, "host")?);
        }
        let mut client = Client::new(connect.lazy()?);
        let version = client.version(VersionRequest { revisions: REVISIONS.to_vec() }).await?.into_inner();
        println!("{name}: {} speaks revision {}", version.name, version.revision);
        self.known.insert(name.to_owned(), client.clone());
        Ok(client)
    }

    async fn obey(&mut self, line: &str) -> Result<(), Box<dyn Error>> {
        let mut words = line.splitn(3, ' ');
        let (verb, name, rest) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        match verb {
            "list" => println!("runtimes: {:?}", self.names()?),
            "run" => {
                let done = self.client(name).await?.run(Job { text: rest.to_owned() }).await?.into_inner();
                println!("{name}: {} (by {})", done.text, done.by);
            }
            "follow" => {
                let job = Job { text: rest.to_owned() };
                let mut pieces = self.client(name).await?.follow(job).await?.into_inner();
                while let Some(done) = pieces.message().await? {
                    println!("{name}: {}", done.text);
                }
            }
            "load" => load(name, self.client(name).await?, rest.parse()?).await,
            _ => return Err("list | run RUNTIME TEXT | follow RUNTIME TEXT | load RUNTIME COUNT".into()),
        }
        Ok(())
    }

    /// Executes a command. A runtime that exited or is broken fails only the commands that need it.
    async fn command(&mut self, line: &str) {
        let Err(error) = self.obey(line).await else { return };
        let name = line.split(' ').nth(1).unwrap_or_default();
        // The next runtime of this name may support another revision.
        self.known.remove(name);
        match error.downcast_ref::<Status>() {
            Some(status) if status.code() == Code::Unavailable => {
                println!("{name}: unavailable: {}", status.message())
            }
            Some(status) => println!("{name}: {:?}: {}", status.code(), status.message()),
            None => println!("error: {error}"),
        }
    }
}

/// Makes so many calls, 64 at once, and reports their results and the runtimes that answered.
async fn load(name: &str, client: Client, count: usize) {
    let mut tasks = JoinSet::new();
    for nth in 0..64 {
        let mut client = client.clone();
        let mine = count / 64 + usize::from(nth < count % 64);
        tasks.spawn(async move {
            let (mut failed, mut by) = (0, BTreeSet::new());
            for _ in 0..mine {
                match client.run(Job { text: "x".to_owned() }).await {
                    Ok(done) => drop(by.insert(done.into_inner().by)),
                    Err(_) => failed += 1,
                }
            }
            (failed, by)
        });
    }
    println!("{name}: loaded");
    let (mut failed, mut by) = (0, BTreeSet::new());
    while let Some(Ok((theirs, who))) = tasks.join_next().await {
        failed += theirs;
        by.extend(who);
    }
    println!("{name}: {count} calls, {failed} failed, by {by:?}");
}

#[tokio::main]
async fn main() -> ExitCode {
    let (plain, [certificates]) = arguments(["tls"]);
    let [place] = &plain[..] else {
        eprintln!("usage: host DIRECTORY|ADDRESS [--tls DIRECTORY]");
        return ExitCode::from(2);
    };
    let place = match place.parse() {
        _ if Path::new(place).is_dir() => Location::Directory(place.into()),
        Ok(endpoint) => Location::One(endpoint),
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut runtimes =
        Runtimes { place, certificates: certificates.map(PathBuf::from), known: BTreeMap::new() };
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        runtimes.command(&line).await;
    }
    ExitCode::SUCCESS
}
