//! The components that are linked into the command, as CycloneDX 1.5 in JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Value, json};

use super::Release;
use crate::{Outcome, cargo, output_of, tree};

/// One crate in the command.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Component {
    pub name: String,
    pub version: String,
    pub license: String,
}

/// Writes the list for one release.
pub(super) fn write(release: &Release) -> Outcome {
    let document = document(&components(&release.target)?, &checksums(&tree::read("Cargo.lock")?));
    let path = release.directory.join(format!("{}.cdx.json", release.stem()));
    let text = serde_json::to_string_pretty(&document).map_err(|e| e.to_string())?;
    fs::write(&path, text + "\n").map_err(|e| format!("cannot write '{}': {e}", path.display()))?;
    println!("{}", path.display());
    Ok(())
}

/// Returns the crates that are linked into the command for this target, the command first.
///
/// Cargo's tree of this one package is asked, because `cargo metadata` enables a feature for all
/// packages if it is enabled for one.
pub(super) fn components(target: &str) -> Result<Vec<Component>, String> {
    let mut command = cargo(&["tree", "--locked", "-p", "stoop-cli", "-e", "normal", "--prefix", "none"]);
    let listing = output_of(command.args(["--target", target, "--format", "{p}|{l}"]))?;
    let components = parse(&String::from_utf8_lossy(&listing));
    if components.is_empty() { Err("cargo tree lists nothing".into()) } else { Ok(components) }
}

fn parse(listing: &str) -> Vec<Component> {
    let mut seen = BTreeSet::new();
    let component = |line: &str| {
        let (package, license) = line.trim_end_matches(" (*)").split_once('|')?;
        let mut words = package.split_whitespace();
        let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
        // An older spelling of the alternative, with spaces or without.
        let license = license.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ");
        Some(Component { name: name.into(), version: version.into(), license })
    };
    listing.lines().filter_map(component).filter(|component| seen.insert(component.clone())).collect()
}

/// Returns the checksum of each package in a lock file.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let value = |package: &str, key: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    let packages = lock.split("[[package]]").skip(1);
    packages
        .filter_map(|package| {
            Some(((value(package, "name")?, value(package, "version")?), value(package, "checksum")?))
        })
        .collect()
}

fn document(components: &[Component], checksums: &BTreeMap<(String, String), String>) -> Value {
    let entry = |component: &Component, kind: &str| {
        let Component { name, version, license } = component;
        let url = format!("pkg:cargo/{name}@{version}");
        let mut entry = json!({
            "type": kind, "bom-ref": url, "name": name, "version": version, "purl": url,
            "licenses": [{"expression": license}],
        });
        if let Some(sum) = checksums.get(&(name.clone(), version.clone())) {
            entry["hashes"] = json!([{"alg": "SHA-256", "content": sum}]);
        }
        entry
    };
    let (command, linked) = components.split_first().expect("the command itself");
    let linked: Vec<Value> = linked.iter().map(|component| entry(component, "library")).collect();
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": entry(command, "application")},
        "components": linked,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_listed_once() {
        let listing = "stoop-cli v0.1.0 (/x/crates/stoop-cli)|MIT OR Apache-2.0\nserde v1.0.1|MIT/Apache-2.0\n\
            derive v1.0.0 (proc-macro)|Apache-2.0 / MIT\nserde v1.0.1|MIT/Apache-2.0 (*)\n\n";
        let found = parse(listing);
        let names: Vec<&str> = found.iter().map(|component| &*component.name).collect();
        assert_eq!(names, ["stoop-cli", "serde", "derive"]);
        assert_eq!(found[1].license, "MIT OR Apache-2.0");
        assert_eq!(found[2].license, "Apache-2.0 OR MIT");
    }

    #[test]
    fn each_component_has_its_checksum() {
        let lock = "version = 4\n\n[[package]]\nname = \"serde\"\nversion = \"1.0.1\"\nchecksum = \"ab12\"\n\n\
            [[package]]\nname = \"stoop-cli\"\nversion = \"0.1.0\"\n";
        let components = parse("stoop-cli v0.1.0|MIT\nserde v1.0.1|MIT\n");
        let document = document(&components, &checksums(lock));
        assert_eq!(document["metadata"]["component"]["purl"], "pkg:cargo/stoop-cli@0.1.0");
        assert_eq!(document["components"][0]["hashes"][0]["content"], "ab12");
        assert_eq!(document["components"].as_array().unwrap().len(), 1);
    }
}
