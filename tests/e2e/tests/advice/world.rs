//! Worlds: a path of two directories and a last name, each in a random state; who asks, and what.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use stoop_testkit::{KillOnDrop, NOBODY};

/// Small numbers from a seed (xorshift).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) % limit
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// What has the last name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    Listener,
    Receiver,
    Full,
    Client,
    Stale,
    StaleWithLock,
    Missing,
    MissingWithLock,
    Unlinked,
    File,
    EmptyDirectory,
    FullDirectory,
    Dangling,
    Loop,
    NoDirectory,
}

const LASTS: [Last; 15] = [
    Last::Listener,
    Last::Receiver,
    Last::Full,
    Last::Client,
    Last::Stale,
    Last::StaleWithLock,
    Last::Missing,
    Last::MissingWithLock,
    Last::Unlinked,
    Last::File,
    Last::EmptyDirectory,
    Last::FullDirectory,
    Last::Dangling,
    Last::Loop,
    Last::NoDirectory,
];

/// A world, its question, and the files that no advice may change.
#[derive(Debug)]
pub struct World {
    pub last: Last,
    pub path: PathBuf,
    /// The address, as it is given to `stoop why`.
    pub address: String,
    /// The arguments of `stoop why`, after the address.
    pub flags: Vec<String>,
    /// The user who asks, and follows the advice.
    pub asker: u32,
    pub is_read_only: bool,
    /// Mount points, in the order in which they were mounted.
    pub mounted: Vec<PathBuf>,
    /// A file that has taken the last inode.
    pub filler: Option<PathBuf>,
    pub children: Vec<KillOnDrop>,
    bystander: PathBuf,
    before: Vec<(PathBuf, u64, Vec<u8>)>,
    held: Vec<OwnedFd>,
}

impl World {
    /// Creates the world of a seed in an empty directory.
    pub fn create(base: &Path, seed: u64) -> World {
        let mut random = Random::new(seed);
        let inner = base.join("a/b");
        fs::create_dir_all(&inner).expect("create directories");
        let last = random.of(&LASTS);
        let asker = random.of(&[0, 0, NOBODY]);
        let flags = random.of(&[&[][..], &[], &["--op", "bind"], &["--op", "send"], &["--kind", "dgram"]]);
        let mut flags: Vec<String> = flags.iter().map(|flag: &&str| (*flag).to_owned()).collect();
        if asker == 0 && random.one_in(2) {
            flags.extend(["--as", "nobody"].map(str::to_owned));
        }
        let directory = if last == Last::NoDirectory { inner.join("none") } else { inner.clone() };
        let path = directory.join(random.of(&["s.sock", "with space"]));
        let mut world = World::empty(&inner);
        world.asks(path.clone());
        world.holds(last, put(last, &path));
        (world.flags, world.asker) = (flags, asker);
        for directory in [&inner, inner.parent().expect("a parent")] {
            set(directory, random.of(&[0o755, 0o755, 0o700, 0o750, 0o705, 0o770]), &mut random);
        }
        if fs::symlink_metadata(&path).is_ok_and(|file| !file.is_symlink()) {
            set(&path, random.of(&[0o666, 0o660, 0o600, 0o755]), &mut random);
        }
        world.is_read_only = random.one_in(8);
        if world.is_read_only {
            super::bind_read_only(&inner);
            world.mounted.push(inner);
        }
        world.remember();
        world
    }

    /// Creates a world in a directory, with a live server and a file of others. Nothing is at the
    /// address, and root asks whether a connect would succeed.
    pub fn empty(directory: &Path) -> World {
        let bystander = directory.join("bystander.sock");
        let held = vec![UnixListener::bind(&bystander).expect("bind").into()];
        fs::write(directory.join("notes"), b"precious").expect("write a file");
        let path = directory.join("s.sock");
        World {
            last: Last::Missing,
            address: path.display().to_string(),
            path,
            flags: Vec::new(),
            asker: 0,
            is_read_only: false,
            mounted: Vec::new(),
            filler: None,
            children: Vec::new(),
            bystander,
            before: Vec::new(),
            held,
        }
    }

    /// Sets the path that is asked for.
    pub fn asks(&mut self, path: PathBuf) {
        self.address = path.display().to_string();
        self.path = path;
    }

    /// Keeps what the address leads to open.
    pub fn holds(&mut self, last: Last, sockets: impl IntoIterator<Item = OwnedFd>) {
        self.last = last;
        self.held.extend(sockets);
    }

    /// Remembers what no advice may change.
    pub fn remember(&mut self) {
        self.before = self.precious();
    }

    /// Returns whether it has this flag.
    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|it| it == flag)
    }

    /// Returns the question as one line.
    pub fn question(&self) -> String {
        format!("uid {}: stoop why {} {}", self.asker, self.address, self.flags.join(" "))
    }

    /// Returns the file, inode and content of what belongs to others.
    fn precious(&self) -> Vec<(PathBuf, u64, Vec<u8>)> {
        let beside = [self.bystander.clone(), self.bystander.with_file_name("notes")];
        let is_live = matches!(self.last, Last::Listener | Last::Receiver | Last::Full | Last::Client);
        let is_data = matches!(self.last, Last::File | Last::FullDirectory);
        let own = (is_live || is_data).then(|| self.path.clone());
        let fact = |path: PathBuf| {
            let file =
                fs::symlink_metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let content = if file.is_file() { fs::read(&path).expect("read a file") } else { Vec::new() };
            (path, file.ino(), content)
        };
        beside.into_iter().chain(own).map(fact).collect()
    }

    /// Checks that nothing of others was changed: files, live servers.
    pub fn assert_unharmed(&self, by: &str) {
        assert_eq!(self.precious(), self.before, "changed by: {by}\n{self:?}");
        UnixStream::connect(&self.bystander).unwrap_or_else(|error| panic!("{error} after: {by}\n{self:?}"));
    }

    /// Returns whether a server of streams answers the question.
    pub fn is_about_streams(&self) -> bool {
        let other = ["dgram", "seqpacket", "send"];
        !other.iter().any(|flag| self.has(flag)) && !self.address.starts_with("dgram:")
    }

    /// Starts the program that the address belongs to: a server for all users.
    pub fn start_owner(&self) -> UnixListener {
        self.filler.iter().for_each(|file| fs::remove_file(file).expect("free an inode"));
        let _ = fs::remove_file(&self.path);
        // Any program can bind a path that is too long, from the directory.
        let listener = stoop::Bind::new(&self.path).mode(0o666).listen().expect("bind as the owner");
        UnixListener::from(OwnedFd::from(listener))
    }

    /// Removes the world.
    pub fn remove(self, base: &Path) {
        self.mounted.iter().rev().for_each(|point| super::unmount(point));
        drop((self.held, self.children));
        fs::remove_dir_all(base.join("a")).expect("remove a world");
    }
}

/// Sets the mode of a file, and maybe gives it to another user or group.
fn set(path: &Path, mode: u32, random: &mut Random) {
    let (uid, gid) = random.of(&[(0, 0), (0, 0), (0, NOBODY), (NOBODY, NOBODY), (1, 1), (0, 2)]);
    chown(path, Some(uid), Some(gid)).expect("give a file away");
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("set a mode");
}

/// Creates what has the last name, and returns what must stay open.
fn put(last: Last, path: &Path) -> Vec<OwnedFd> {
    let lock = || fs::write(path.with_extension("pid"), "1\n").expect("write a pid file");
    let stale = || drop(UnixListener::bind(path).expect("bind"));
    let listener = || UnixListener::bind(path).expect("bind");
    match last {
        Last::Listener => return vec![listener().into()],
        Last::Receiver => return vec![UnixDatagram::bind(path).expect("bind").into()],
        Last::Full => {
            let (listener, clients) = full(listener());
            return clients.into_iter().map(OwnedFd::from).chain([listener.into()]).collect();
        }
        Last::Client => return client(path),
        Last::Unlinked => {
            let listener = listener();
            fs::remove_file(path).expect("unlink");
            return vec![listener.into()];
        }
        Last::Stale => stale(),
        Last::StaleWithLock => {
            stale();
            lock();
        }
        Last::Missing => {}
        Last::MissingWithLock => lock(),
        Last::File => fs::write(path, b"data").expect("write a file"),
        Last::EmptyDirectory => fs::create_dir(path).expect("create a directory"),
        Last::FullDirectory => {
            fs::create_dir(path).expect("create a directory");
            fs::File::create(path.join("file")).expect("create").write_all(b"data").expect("write");
        }
        Last::Dangling => symlink("nowhere", path).expect("link"),
        Last::Loop => symlink(path, path).expect("link"),
        Last::NoDirectory => {}
    }
    Vec::new()
}

pub fn full(listener: UnixListener) -> (UnixListener, Vec<UnixStream>) {
    rustix::net::listen(&listener, 0).expect("listen");
    let address = listener.local_addr().expect("an address");
    let client = UnixStream::connect(address.as_pathname().expect("a path")).expect("connect");
    (listener, vec![client])
}

/// A client with a name, and its server next to it.
fn client(path: &Path) -> Vec<OwnedFd> {
    let its = path.with_extension("server");
    let server = UnixListener::bind(&its).expect("bind");
    fs::set_permissions(&its, Permissions::from_mode(0o666)).expect("set a mode");
    let kind = rustix::net::SocketType::STREAM;
    let client = rustix::net::socket(rustix::net::AddressFamily::UNIX, kind, None).expect("a socket");
    let address = |path: &Path| rustix::net::SocketAddrUnix::new(path).expect("a short path");
    rustix::net::bind(&client, &address(path)).expect("bind");
    rustix::net::connect(&client, &address(&its)).expect("connect");
    let (accepted, _) = server.accept().expect("accept");
    vec![client, accepted.into(), server.into()]
}
