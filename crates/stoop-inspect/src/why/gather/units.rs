//! Finds the systemd units that name a socket's path. [`listens`] and [`mentions`] are pure.

use std::fs;
use std::path::{Path, PathBuf};

use crate::why::facts::Unit;

/// The directories of unit files, those of the administrator first (`systemd.unit(5)`).
const SYSTEM: &[&str] = &[
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
const USER: &[&str] = &["/etc/systemd/user", "/run/systemd/user", "/usr/lib/systemd/user"];

/// The largest unit file that is read.
const FILE_MAX_BYTES: u64 = 64 * 1024;

/// Returns the units that name the path, units of sockets first. `home` is the home directory of
/// the user of this process, and `runtime` that user's directory for sockets.
pub(super) fn naming(path: &Path, home: Option<&Path>, runtime: Option<&Path>) -> Vec<Unit> {
    let Some(path) = path.to_str().map(without_var) else { return Vec::new() };
    let own = home.map(|home| home.join(".config/systemd/user"));
    let runtime = runtime.and_then(Path::to_str).unwrap_or("/run");
    let system = SYSTEM.iter().map(|directory| (PathBuf::from(directory), false));
    let user = own.into_iter().chain(USER.iter().map(PathBuf::from)).map(|directory| (directory, true));
    let mut units: Vec<(Named, Unit)> = Vec::new();
    for (directory, of_user) in system.chain(user) {
        let base = if of_user { runtime } else { "/run" };
        for (name, text) in texts(&directory) {
            let how = named(&name, &text.replace("%t", base), &path);
            if let Some(how) = how.filter(|_| !units.iter().any(|(_, unit)| unit.name == name)) {
                units.push((how, Unit { name, of_user }));
            }
        }
    }
    units.sort();
    units.dedup();
    let best = units.first().map(|(how, _)| *how);
    // A mention may be that of a client. More than one says nothing.
    let only = units.len() == 1;
    let counts = |how: Named| how != Named::Mention || only;
    let best = units.into_iter().filter(|(how, _)| Some(*how) == best && counts(*how)).map(|(_, unit)| unit);
    of_file_name(best.collect(), &path)
}

/// Narrows units that are given the same directory to those that are called as the file in it:
/// `php8.2-fpm.service` for `/run/php/php8.2-fpm.sock`. Pure.
fn of_file_name(units: Vec<Unit>, path: &str) -> Vec<Unit> {
    let file = path.rsplit('/').next().and_then(|file| file.split(".sock").next()).unwrap_or(path);
    let is_called = |unit: &Unit| unit.name.rsplit_once('.').is_some_and(|(stem, _)| stem == file);
    match units.iter().any(is_called) {
        true => units.into_iter().filter(is_called).collect(),
        false => units,
    }
}

/// How a unit names a path, the surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    /// It listens there.
    Listens,
    /// It is given the directory of the socket.
    Directory,
    /// Its command line has the path.
    Mention,
}

fn named(unit: &str, text: &str, path: &str) -> Option<Named> {
    match unit.rsplit_once('.')? {
        // An instance of a template is not known from its file.
        (name, _) if name.ends_with('@') => None,
        (_, "socket") => listens(text, path).then_some(Named::Listens),
        (_, "service") if has_directory(text, path) => Some(Named::Directory),
        (_, "service") => mentions(text, path).then_some(Named::Mention),
        _ => None,
    }
}

/// Returns the names and texts of the unit files of a directory, each with its drop-ins.
fn texts(directory: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let read = |path: &Path| {
        let is_small = fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= FILE_MAX_BYTES);
        is_small.then(|| fs::read_to_string(path).ok()).flatten()
    };
    let unit = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let is_unit = name.ends_with(".socket") || name.ends_with(".service");
        let mut text = is_unit.then(|| read(&entry.path())).flatten()?;
        let more = fs::read_dir(directory.join(format!("{name}.d"))).into_iter().flatten().flatten();
        more.filter_map(|file| read(&file.path())).for_each(|more| text += &more);
        Some((name, text))
    };
    entries.filter_map(unit).collect()
}

/// Returns the values of a setting of a unit file. Pure.
fn values<'t>(text: &'t str, is_key: impl Fn(&str) -> bool + 't) -> impl Iterator<Item = &'t str> {
    let settings = text.lines().filter(|line| !line.starts_with(['#', ';']));
    settings
        .filter_map(|line| line.split_once('='))
        .filter_map(move |(key, value)| is_key(key.trim()).then_some(value.trim()))
}

/// Returns whether a unit of a socket listens at the path. Pure.
fn listens(text: &str, path: &str) -> bool {
    const KEYS: &[&str] = &["ListenStream", "ListenDatagram", "ListenSequentialPacket"];
    values(text, |key| KEYS.contains(&key)).any(|value| without_var(value) == path)
}

/// Returns whether systemd creates the directory of the socket for the unit. Pure.
fn has_directory(text: &str, path: &str) -> bool {
    let Some(directory) = path.strip_prefix("/run/").and_then(|below| below.rsplit_once('/')) else {
        return false;
    };
    values(text, |key| key == "RuntimeDirectory")
        .any(|value| value.split_whitespace().any(|name| name.trim_end_matches('/') == directory.0))
}

/// Returns whether a command line of the unit has the path as a whole. Pure.
fn mentions(text: &str, path: &str) -> bool {
    let is_whole = |value: &str| {
        let value = without_var(value);
        value.match_indices(path).any(|(at, _)| {
            let goes_on = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-@".contains(&byte);
            let before = value[..at].bytes().next_back();
            let after = value[at + path.len()..].bytes().next();
            !before.is_some_and(goes_on) && !after.is_some_and(goes_on)
        })
    };
    values(text, |key| key.starts_with("Exec") || key.starts_with("Environment")).any(is_whole)
}

/// Replaces `/var/run` by `/run`, to which it is a link.
fn without_var(path: &str) -> String {
    path.replace("/var/run/", "/run/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_sockets_listen() {
        let text = "[Socket]\n# ListenStream=/run/no.sock\nListenStream = /var/run/app/a.sock\nListenDatagram=/run/b\n";
        assert!(listens(text, "/run/app/a.sock") && listens(text, "/run/b"));
        assert!(!listens(text, "/run/no.sock") && !listens(text, "/run/app/a.soc"));
        assert_eq!(named("app.socket", text, "/run/b"), Some(Named::Listens));
        assert_eq!(named("app@.socket", text, "/run/b"), None);
    }

    #[test]
    fn services_name_their_sockets() {
        let text = "[Service]\nRuntimeDirectory=web app\nExecStart=/usr/bin/gunicorn --bind unix:/srv/shop/g.sock shop:app\n";
        let how = |path| named("gunicorn.service", text, path);
        assert_eq!(how("/srv/shop/g.sock"), Some(Named::Mention));
        assert_eq!(how("/run/app/x.sock"), Some(Named::Directory));
        for other in ["/srv/shop/g.soc", "/shop/g.sock", "/run/x.sock", "/run/ap/x.sock"] {
            assert_eq!(how(other), None, "{other}");
        }
    }

    #[test]
    fn of_several_versions_the_one_of_the_file_is_named() {
        let unit = |name: &str| Unit { name: name.into(), of_user: false };
        let both = || vec![unit("php7.4-fpm.service"), unit("php8.2-fpm.service")];
        assert_eq!(of_file_name(both(), "/run/php/php8.2-fpm.sock"), [unit("php8.2-fpm.service")]);
        assert_eq!(of_file_name(both(), "/run/php/php-fpm.sock"), both());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC{0,80}", path in "/\\PC{0,20}") {
            let _ = (named("a.socket", &text, &path), named("a.service", &text, &path));
        }
    }
}
