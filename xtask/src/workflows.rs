//! Tests of the files that configure the code host: they parse, and what they call exists.
//!
//! The host itself is not here, so what only it knows (names of its actions, contexts, secrets) is
//! not checked.

use std::fs;

use saphyr::{LoadableYamlNode, Yaml};

use crate::{VERBS, tree};

const HOST: &str = ".github";
const WORKFLOWS: &str = ".github/workflows";

/// Programs of the repository that a workflow may start.
const PROGRAMS: &[&str] = &["./test", ".ci/run"];

#[test]
fn every_file_of_the_host_parses() {
    let mut files = files(WORKFLOWS);
    assert!(files.len() >= 3, "{files:?}");
    files.extend(self::files(HOST));
    files.extend(self::files(".github/ISSUE_TEMPLATE"));
    for (path, text) in files {
        assert_eq!(load(&text).map(|documents| documents.len()), Ok(1), "{path}");
    }
}

#[test]
fn every_workflow_calls_what_exists() {
    let findings: Vec<String> = files(WORKFLOWS)
        .iter()
        .flat_map(|(path, text)| findings(text).into_iter().map(move |finding| format!("{path}: {finding}")))
        .collect();
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn what_does_not_exist_is_found() {
    let workflow = |step: &str, needs: &str| {
        format!(
            "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    needs: {needs}\n    steps:\n      - {step}\n"
        )
    };
    assert!(findings(&workflow("run: cargo xtask check && ./test --yes", "[]")).is_empty());
    let found = findings(&workflow("run: cargo xtask chekc", "[b]"));
    assert_eq!(found, ["a: there is no job 'b'", "a: there is no verb 'chekc'"]);
    assert_eq!(findings(&workflow("run: ./tset", "[]")), ["a: './tset' does not exist"]);
    assert_eq!(findings(&workflow("name: x", "[]")), ["a: a step neither runs nor uses anything"]);
    assert_eq!(findings(&workflow("run: cargo test -p stop", "[]")), ["a: there is no package 'stop'"]);
    assert_eq!(findings("on: push\n"), ["it has no jobs"]);
}

/// Returns the YAML files directly in a directory.
fn files(directory: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(tree::root().join(directory)).unwrap();
    let mut paths: Vec<String> = entries
        .map(|entry| format!("{directory}/{}", entry.unwrap().file_name().display()))
        .filter(|path| path.ends_with(".yml"))
        .collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), tree::read(&path).unwrap())).collect()
}

fn load(text: &str) -> Result<Vec<Yaml<'_>>, String> {
    Yaml::load_from_str(text).map_err(|error| error.to_string())
}

/// Reports each call of a workflow that cannot succeed.
fn findings(text: &str) -> Vec<String> {
    let documents = load(text).unwrap();
    let jobs = documents[0].as_mapping_get("jobs").and_then(Yaml::as_mapping);
    let Some(jobs) = jobs else { return vec!["it has no jobs".into()] };
    let names: Vec<&str> = jobs.keys().filter_map(|name| name.as_str()).collect();
    let mut findings = Vec::new();
    for (name, job) in jobs {
        let name = name.as_str().unwrap_or_default();
        let mut report = |finding: String| findings.push(format!("{name}: {finding}"));
        if job.as_mapping_get("runs-on").is_none() {
            report("it runs nowhere".into());
        }
        for needed in texts(job.as_mapping_get("needs")).filter(|needed| !names.contains(needed)) {
            report(format!("there is no job '{needed}'"));
        }
        let steps = job.as_mapping_get("steps").and_then(Yaml::as_sequence);
        for step in steps.into_iter().flatten() {
            match step.as_mapping_get("run").and_then(Yaml::as_str) {
                Some(script) => missing(script).into_iter().for_each(&mut report),
                None if step.as_mapping_get("uses").is_none() => {
                    report("a step neither runs nor uses anything".into());
                }
                None => {}
            }
        }
    }
    findings
}

/// Returns the texts of a value that is one text or a sequence of texts.
fn texts<'a>(value: Option<&'a Yaml<'a>>) -> impl Iterator<Item = &'a str> {
    let one = value.and_then(Yaml::as_str);
    let several = value.and_then(Yaml::as_sequence);
    one.into_iter().chain(several.into_iter().flatten().filter_map(Yaml::as_str))
}

/// Reports verbs, programs and packages in a script that do not exist.
fn missing(script: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let words: Vec<&str> = script.split_whitespace().collect();
    for (n, word) in words.iter().enumerate() {
        let next = words.get(n + 1).copied().unwrap_or_default();
        // A value that the host fills in.
        let is_known = |name: &str| name.starts_with('$') || name.is_empty();
        if *word == "xtask" && !is_known(next) && !VERBS.iter().any(|(verb, ..)| *verb == next) {
            findings.push(format!("there is no verb '{next}'"));
        }
        if *word == "-p" && !is_known(next) && !packages().contains(&next.to_owned()) {
            findings.push(format!("there is no package '{next}'"));
        }
        let starts = word.starts_with("./") || word.starts_with(".ci/");
        if starts && !PROGRAMS.contains(word) {
            findings.push(format!("'{word}' does not exist"));
        }
    }
    findings
}

/// Returns the names of the packages of this workspace, from their manifests.
fn packages() -> Vec<String> {
    let manifests = tree::sources("", &["toml"]).unwrap();
    let name = |text: &str| {
        let package = text.split_once("[package]\nname = \"")?.1;
        Some(package.split('"').next()?.to_owned())
    };
    manifests.iter().filter_map(|manifest| name(&manifest.text)).collect()
}
