//! The test binaries, and the script by which the guest runs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::tree::root;
use crate::{Outcome, output_of};

/// How long the tests of one binary may take: a guest is slow, and slower on a busy machine.
const LIMIT_SECONDS: u32 = 1800;

/// Prints how many tests were skipped. One may lack several things, and records each.
const SKIPPED: &str = "cut -d ' ' -f 2 $STOOP_SKIPS | sort -u | wc -l";

/// A test binary, or an example that tests may run.
pub struct Binary {
    path: String,
    /// The directory that its tests expect to be in.
    directory: PathBuf,
    package: String,
    target: String,
    is_test: bool,
}

/// Builds what `cargo test` would run with these arguments.
pub fn build(mut cargo: Command, tests: &[String]) -> Result<Vec<Binary>, String> {
    cargo.args(["test", "-q", "--no-run", "--message-format=json"]).args(tests);
    let messages = output_of(cargo.stderr(Stdio::inherit()))?;
    let binaries: Vec<Binary> = messages.split(|&byte| byte == b'\n').filter_map(binary).collect();
    if !binaries.iter().any(|binary| binary.is_test) {
        Err("these arguments select no test".into())
    } else {
        Ok(binaries)
    }
}

/// Keeps the binaries as they are, whatever is built while a guest runs them. Tests look for
/// examples in a directory next to theirs.
pub fn keep(binaries: &mut [Binary], dir: &Path) -> Outcome {
    let [tests, examples] = ["tests", "examples"].map(|name| dir.join(name));
    for kept in [&tests, &examples] {
        let _ = fs::remove_dir_all(kept);
        fs::create_dir_all(kept).map_err(|e| format!("'{}': {e}", kept.display()))?;
    }
    for binary in binaries {
        let kept = if binary.is_test { &tests } else { &examples };
        let to = kept.join(Path::new(&binary.path).file_name().unwrap_or_default());
        fs::hard_link(&binary.path, &to).map_err(|e| format!("'{}': {e}", to.display()))?;
        binary.path = to.display().to_string();
    }
    Ok(())
}

fn binary(line: &[u8]) -> Option<Binary> {
    let message: Value = serde_json::from_slice(line).ok()?;
    let is_test = message["profile"]["test"] == true;
    let is_example = message["target"]["kind"][0] == "example";
    let path = message["executable"].as_str().filter(|_| is_test || is_example)?.to_owned();
    let directory = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
    let target = message["target"]["name"].as_str()?.to_owned();
    Some(Binary { path, package: package(message["package_id"].as_str()?)?, directory, target, is_test })
}

/// Returns the name in a package id: `path+file:///…/crates/stoop#0.1.0`, or `…/kernel#NAME@0.1.0`
/// if the directory has another name.
fn package(id: &str) -> Option<String> {
    let (source, version) = id.rsplit_once('#')?;
    let name = version.split_once('@').map_or_else(|| source.rsplit('/').next(), |(name, _)| Some(name));
    name.map(str::to_owned)
}

/// Returns the script that runs each binary in turn in a guest whose root is `files`, with the
/// parser of AppArmor's profiles that belongs to its kernel. It prints lines that begin with
/// `vm: `, which [`super::report`] reads.
pub fn script(binaries: &[Binary], files: &Path, parser: &Path) -> String {
    let is_whole = files == Path::new("/");
    let path = std::env::var("PATH").ok().filter(|_| is_whole);
    let path = path.as_deref().unwrap_or("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let mut script = format!(
        "# root {}\n# workspace {}\nexport PATH={} HOME=/root TERM=dumb TMPDIR=/run/scratch STOOP_SKIPS=/run/skips
export STOOP_APPARMOR_PARSER={}\n",
        files.display(),
        if is_whole { String::new() } else { root().display().to_string() },
        quoted(path),
        quoted(&parser.display().to_string())
    );
    script += "echo \"vm: kernel $(uname -r) $(uname -m)\"\n";
    for Binary { path, directory, package, target, .. } in binaries.iter().filter(|binary| binary.is_test) {
        let (path, directory) = (quoted(path), quoted(&directory.display().to_string()));
        script += &format!(
            "echo 'vm: run {package} {target}'; >$STOOP_SKIPS; cd {directory}
timeout {LIMIT_SECONDS} {path} --test-threads=2 </dev/null 2>&1; rc=$?
sort -u $STOOP_SKIPS; echo \"vm: ended $rc $({SKIPPED})\"\n"
        );
    }
    script + "echo 'vm: done'\n"
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_lacks_several_things_is_one() {
        let skips = std::env::temp_dir().join(format!("stoop-skips-{}", std::process::id()));
        fs::write(&skips, "SKIP a::b: lacks x\nSKIP a::b: lacks y\nSKIP a::c: lacks x\n").unwrap();
        let mut count = Command::new("sh");
        let output = count.args(["-c", SKIPPED]).env("STOOP_SKIPS", &skips).output().unwrap();
        fs::remove_file(&skips).unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "2");
    }

    #[test]
    fn packages_are_named_in_their_ids() {
        let name = |id| package(id).unwrap();
        assert_eq!(name("path+file:///w/crates/stoop#0.1.0"), "stoop");
        assert_eq!(name("path+file:///w/tests/kernel#stoop-kernel-facts@0.1.0"), "stoop-kernel-facts");
    }
}
