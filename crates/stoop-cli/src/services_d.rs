//! Files that describe further services, as `NAME.toml` in a `services.d`: the user's own, the
//! administrator's, and those of packages.
//!
//! What a service is called decides what is suggested, also to root. Only files of this user and of
//! root are read, in directories that no other user may change. A file that cannot be used is named
//! in a warning, and ignored.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use stoop::escaped;
use stoop_inspect::internal::{Definition, add_services, parse_definition};

/// The longest file that is read.
const MAX_BYTES: u64 = 64 << 10;

/// The bit that lets all users write, and the one that lets the group.
const WRITABLE_BY_OTHERS: u32 = 0o002;
const WRITABLE_BY_GROUP: u32 = 0o020;

/// Adds the services of every file. Returns a warning for each file that is ignored.
pub(crate) fn load() -> Vec<String> {
    let (mut services, mut warnings) = (Vec::new(), Vec::new());
    for directory in directories() {
        for file in files_in(&directory) {
            match read(&directory, &file) {
                Ok(described) => services.extend(described),
                Err(why) => {
                    let file = escaped(file.as_os_str().as_encoded_bytes());
                    warnings.push(format!("warning: '{file}' is ignored: {why}"));
                }
            }
        }
    }
    add_services(services);
    warnings
}

/// Returns the directories, those that take precedence first.
fn directories() -> Vec<PathBuf> {
    let set =
        |variable: &str| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let of_user = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
    let of_user = of_user.map(|config| config.join("stoop/services.d"));
    of_user.into_iter().chain(["/etc/stoop/services.d".into(), "/usr/lib/stoop/services.d".into()]).collect()
}

/// Returns the files of a directory, by name. There are none in one that cannot be read.
fn files_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "toml")).collect();
    files.sort();
    files
}

fn read(directory: &Path, path: &Path) -> Result<Vec<Definition>, String> {
    let of_directory = fs::metadata(directory).map_err(|error| error.to_string())?;
    // Without waiting for a writer, should it be a pipe.
    let is_file = fs::metadata(path).map_err(|error| error.to_string())?.is_file();
    let file = is_file.then(|| File::open(path)).ok_or("it is not a regular file")?;
    let file = file.map_err(|error| error.to_string())?;
    let of_file = file.metadata().map_err(|error| error.to_string())?;
    distrust("its directory", &of_directory)?;
    distrust("it", &of_file)?;
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(|error| error.to_string())?;
    parse_definition(&text).map_err(|error| error.to_string())
}

/// Returns an error if another user may have written this file or directory.
fn distrust(what: &str, found: &fs::Metadata) -> Result<(), String> {
    let user = rustix::process::geteuid().as_raw();
    let by_group = found.mode() & WRITABLE_BY_GROUP != 0 && found.gid() != 0 && found.uid() != user;
    match found.uid() {
        uid if uid != 0 && uid != user => Err(format!("{what} belongs to user {uid}, not to root or you")),
        _ if found.mode() & WRITABLE_BY_OTHERS != 0 || by_group => {
            Err(format!("other users may write to {what}"))
        }
        _ => Ok(()),
    }
}
