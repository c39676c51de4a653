//! The table of services against the packages that are installed here: the paths of their units and
//! configuration files, not what a person remembers.
//!
//! A row names what it is from, in `checked`: packages (`debian RELEASE PACKAGE`), or pages of
//! documentation. Packages that are installed must have what the row says. The others are listed in
//! the output of the test. `STOOP_PACKAGES` may name a directory with packages that are not
//! installed, unpacked with `dpkg-deb -R`, each in a directory of its name.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use stoop::Address;
use stoop_inspect::endpoints::recognise;
use stoop_testkit::{has_program, skip};
use toml::{Table, Value};

/// Sockets of packaged units that are between the programs of one package, and not for clients.
const NOT_SERVICES: [&str; 2] = ["/run/systemd/fsck.progress", "/run/pk-debconf-socket"];

/// A row of the table.
struct Row {
    file: String,
    table: Table,
}

impl Row {
    fn list(&self, key: &str) -> Vec<&str> {
        let words = self.table.get(key).and_then(Value::as_array);
        words.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// The packages that it is from.
    fn packages(&self) -> Vec<Source<'_>> {
        self.list("checked").into_iter().filter_map(Source::parse).collect()
    }

    /// The unit on Debian.
    fn unit(&self) -> Option<&str> {
        let on_debian = self.table.get("units").and_then(|units| units.get("debian"));
        on_debian.or_else(|| self.table.get("unit"))?.as_str().filter(|unit| !unit.is_empty())
    }
}

/// A package that a row is from.
struct Source<'r> {
    release: &'r str,
    package: &'r str,
}

impl Source<'_> {
    fn parse(text: &str) -> Option<Source<'_>> {
        let (release, package) = text.strip_prefix("debian ")?.split_once(' ')?;
        Some(Source { release, package })
    }

    /// Returns the package, if it is installed or unpacked here.
    fn find(&self) -> Option<Package> {
        let installed = (self.release == "12").then(|| installed(self.package)).flatten();
        installed.or_else(|| unpacked(&Path::new(&std::env::var_os("STOOP_PACKAGES")?).join(self.package)))
    }
}

/// Reads a file: a row, or one for each of its versions.
fn read(path: &Path) -> Vec<Row> {
    let file = path.file_stem().unwrap().to_str().unwrap();
    let text = fs::read_to_string(path).unwrap();
    let row = |file: String, text: String| Row { file, table: text.parse().unwrap() };
    let whole = row(file.to_owned(), text.clone());
    match whole.list("versions").as_slice() {
        [] => vec![whole],
        versions => versions
            .iter()
            .map(|version| row(format!("{file} {version}"), text.replace("{version}", version)))
            .collect(),
    }
}

fn rows() -> Vec<Row> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("services");
    fs::read_dir(directory).unwrap().flat_map(|entry| read(&entry.unwrap().path())).collect()
}

/// An installed package.
struct Package {
    files: Vec<PathBuf>,
    /// The scripts of its installation.
    scripts: Vec<PathBuf>,
}

fn installed(name: &str) -> Option<Package> {
    let output = Command::new("dpkg").args(["-L", name]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let files: Vec<PathBuf> = text.lines().map(PathBuf::from).filter(|path| path.is_file()).collect();
    let script = |part: &str| PathBuf::from(format!("/var/lib/dpkg/info/{name}.{part}"));
    let scripts = ["postinst", "preinst", "postrm"].map(script).into_iter().filter(|path| path.exists());
    (output.status.success() && !files.is_empty()).then(|| Package { files, scripts: scripts.collect() })
}

fn unpacked(root: &Path) -> Option<Package> {
    let (mut files, mut next) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = next.pop() {
        for entry in fs::read_dir(directory).ok()?.flatten() {
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => next.push(entry.path()),
                // A unit may be a link to another.
                _ => files.push(entry.path()),
            }
        }
    }
    (!files.is_empty()).then(|| Package { files, scripts: Vec::new() })
}

impl Package {
    /// Whether a text is in one of its files.
    fn contains(&self, text: &str) -> bool {
        let mut grep = Command::new("grep");
        let grep = grep.args(["-qasF", "-e", text, "--"]).args(&self.files).args(&self.scripts);
        grep.status().unwrap().success()
    }

    /// Whether a path is in its files: as it is, in `/run`, or below a directory that a unit or the
    /// environment names.
    fn names_path(&self, path: &str) -> bool {
        let fixed = path.split(['*', '{']).next().unwrap();
        let in_run = fixed.replacen("/var/run/", "/run/", 1);
        let below_run = in_run.strip_prefix("/run/").map(|below| format!("%t/{below}"));
        let of_postfix =
            fixed.strip_prefix("/var/spool/postfix/").map(|below| format!("$queue_directory/{below}"));
        let below_tmp = fixed.strip_prefix("/tmp").filter(|name| name.len() > 1);
        let spellings = [Some(fixed), Some(&in_run), below_run.as_deref(), of_postfix.as_deref(), below_tmp];
        let names = spellings.into_iter().flatten().map(|text| text.trim_end_matches('/'));
        // A program may put the name together from a directory of its own and the rest.
        let is_own = |directory: &&str| directory.matches('/').count() > 1;
        let directories =
            [fixed, &in_run].map(|text| text.trim_end_matches('/').rsplit_once('/').unwrap_or_default().0);
        names.chain(directories.into_iter().filter(is_own)).any(|text| self.contains(text))
    }

    fn has_unit(&self, unit: &str) -> bool {
        let template = unit
            .split_once('@')
            .map(|(name, rest)| format!("{name}@.{}", rest.rsplit('.').next().unwrap_or_default()));
        let is_it = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name == Some(unit) || name.is_some() && name == template.as_deref()
        };
        // systemd makes a unit of a script of init, too.
        let script = unit.strip_suffix(".service").map(|name| format!("etc/init.d/{name}"));
        let is_script = |path: &PathBuf| script.as_ref().is_some_and(|script| path.ends_with(script));
        self.files.iter().any(|path| is_it(path) || is_script(path))
    }
}

/// What of a row is not in its packages.
fn wrong(row: &Row, packages: &[&Package]) -> Vec<String> {
    let any = |holds: &dyn Fn(&Package) -> bool| packages.iter().any(|package| holds(package));
    let paths: Vec<&str> =
        ["sockets", "user_sockets", "patterns"].iter().flat_map(|key| row.list(key)).collect();
    let mut wrong = Vec::new();
    if !paths.iter().any(|path| any(&|package| package.names_path(path))) {
        wrong.push(format!("none of {paths:?} is in its files"));
    }
    if let Some(unit) = row.unit()
        && !any(&|package| package.has_unit(unit))
    {
        wrong.push(format!("no unit {unit}"));
    }
    if let Some(group) = row.table.get("group").and_then(Value::as_str)
        && !any(&|package| package.contains(group))
    {
        wrong.push(format!("nothing about the group {group}"));
    }
    wrong
}

#[test]
fn rows_agree_with_the_packages_that_they_are_from() {
    if !has_program("dpkg") || !fs::read_to_string("/etc/os-release").unwrap().contains("VERSION_ID=\"12\"") {
        skip!("lacks the packages of Debian 12");
    }
    let mut found: BTreeMap<String, Option<Package>> = BTreeMap::new();
    let (mut faults, mut unchecked, mut documented, mut count) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for row in rows() {
        let sources = row.packages();
        // A version is from the package of its name.
        let version = row.file.split_once(' ').map(|(_, version)| version);
        let sources: Vec<Source> = sources
            .into_iter()
            .filter(|it| version.is_none_or(|version| it.package.contains(version)))
            .collect();
        for source in &sources {
            found.entry(source.package.to_owned()).or_insert_with(|| source.find());
        }
        let packages: Vec<&Package> =
            sources.iter().filter_map(|source| found[source.package].as_ref()).collect();
        match (packages.is_empty(), sources.is_empty()) {
            (false, _) => {
                count += 1;
                let wrong = wrong(&row, &packages);
                faults.extend(wrong.into_iter().map(|text| format!("{}: {text}", row.file)));
            }
            (true, false) => unchecked.push(row.file.clone()),
            (true, true) => documented.push(row.file.clone()),
        }
    }
    println!("{count} rows agree");
    println!("not checked here, for lack of the packages: {}", unchecked.join(", "));
    println!("from documentation: {}", documented.join(", "));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_row_says_what_it_is_from() {
    for row in rows() {
        let sources = row.list("checked");
        assert!(!sources.is_empty(), "{}: nothing in `checked`", row.file);
        for source in sources {
            let is_known = source.starts_with("https://") || Source::parse(source).is_some();
            assert!(is_known, "{}: '{source}' is neither a page nor a package", row.file);
        }
    }
}

/// The addresses of packaged units, as a user with id 7 has them.
fn packaged_addresses() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for (directory, runtime) in [("/lib/systemd/system", "/run"), ("/usr/lib/systemd/user", "/run/user/7")] {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            for line in text.lines() {
                let Some((key, value)) = line.split_once('=') else { continue };
                if !["ListenStream", "ListenDatagram", "ListenSequentialPacket"].contains(&key) {
                    continue;
                }
                let address = value.replace("%t", runtime);
                // `%i` is the instance of a template.
                if address.starts_with('/') && !address.contains('%') {
                    found.push((entry.path(), address));
                }
            }
        }
    }
    found
}

#[test]
fn sockets_of_packaged_units_are_in_the_table() {
    let unknown: Vec<_> = packaged_addresses()
        .into_iter()
        .filter(|(_, address)| {
            !NOT_SERVICES.iter().any(|path| address.ends_with(path.trim_start_matches("/run")))
        })
        .filter(|(_, address)| recognise(&Address::path(address).unwrap()).is_none())
        .collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}
