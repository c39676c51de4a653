//! Images: one layer with busybox and a Unix socket client, both static, and the metadata, in the
//! OCI layout and in the format of `docker save`. The layout has two images that differ in the
//! program they run.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::run::program;

use super::{IMAGE, PAUSE};

/// The client that the image contains as `/bin/talk`.
const TALK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/talk.c");

/// Creates the images inside `directory`, and returns their archive.
#[track_caller]
pub(super) fn archive(directory: &Path) -> PathBuf {
    tar(&layout(directory), directory.join("image.tar"))
}

/// Creates the images inside `directory`, and returns their layout: `index.json`, and
/// `blobs/sha256`.
#[track_caller]
pub(super) fn layout(directory: &Path) -> PathBuf {
    let layout = directory.join("layout");
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).expect("make a directory");
    let layer = layer(directory);
    let layer = keep(&blobs, &fs::read(layer).expect("read the layer"));
    let images = [(IMAGE, SHELL), (PAUSE, &["/bin/sleep", "1000000"])];
    let entries = images.map(|(name, command)| image(&blobs, name, command, &layer));
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": entries });
    fs::write(layout.join("index.json"), index.to_string()).expect("write the index");
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("write the layout");
    layout
}

/// Writes the metadata of an image of one layer, and returns its entry for the index.
fn image(blobs: &Path, name: &str, command: &[&str], layer: &(String, usize)) -> serde_json::Value {
    let config = keep(blobs, config(&layer.0, command).to_string().as_bytes());
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described("config.v1+json", &config),
        "layers": [described("layer.v1.tar", layer)],
    });
    let manifest = keep(blobs, manifest.to_string().as_bytes());
    let mut entry = described("manifest.v1+json", &manifest);
    entry["annotations"] = serde_json::json!({ "io.containerd.image.name": name });
    entry
}

/// Creates the image inside `directory` as `docker save` would, under this name, and returns its
/// archive.
#[track_caller]
pub(crate) fn docker_archive(directory: &Path, name: &str) -> PathBuf {
    fs::create_dir_all(directory).expect("make a directory");
    let layer = layer(directory);
    let saved = directory.join("saved");
    fs::create_dir(&saved).expect("make a directory");
    let (layer_digest, _) = keep(&saved, &fs::read(layer).expect("read the layer"));
    let (config_digest, _) = keep(&saved, config(&layer_digest, SHELL).to_string().as_bytes());
    let file = |digest: &str| digest.trim_start_matches("sha256:").to_owned();
    let manifest = serde_json::json!([
        { "Config": file(&config_digest), "RepoTags": [name], "Layers": [file(&layer_digest)] }
    ]);
    fs::write(saved.join("manifest.json"), manifest.to_string()).expect("write the manifest");
    tar(&saved, directory.join("saved.tar"))
}

/// The program of the image that tests talk to.
const SHELL: &[&str] = &["/bin/sh"];

fn config(layer_digest: &str, command: &[&str]) -> serde_json::Value {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    serde_json::json!({
        "architecture": architecture,
        "os": "linux",
        "config": { "Env": ["PATH=/bin"], "Cmd": command },
        "rootfs": { "type": "layers", "diff_ids": [layer_digest] },
    })
}

fn described(kind: &str, (digest, len): &(String, usize)) -> serde_json::Value {
    let kind = format!("application/vnd.oci.image.{kind}");
    serde_json::json!({ "mediaType": kind, "digest": digest, "size": len })
}

/// Returns the files of the image, as an archive.
fn layer(directory: &Path) -> PathBuf {
    let files = directory.join("files");
    let bin = files.join("bin");
    fs::create_dir_all(&bin).expect("make a directory");
    let busybox = program("sh", ["-c", "command -v busybox"]).run().ok().text();
    fs::copy(busybox.trim(), bin.join("busybox")).expect("copy busybox");
    for name in ["sh", "sleep", "cat"] {
        if !bin.join(name).exists() {
            symlink("busybox", bin.join(name)).expect("make a link");
        }
    }
    let talk = bin.join("talk");
    program("cc", ["-static", "-O1", "-Wall", "-Werror", "-o"]).arg(&talk).arg(TALK).run().ok();
    fs::set_permissions(&talk, fs::Permissions::from_mode(0o755)).expect("make it executable");
    tar(&files, directory.join("layer.tar"))
}

#[track_caller]
fn tar(contents: &Path, archive: PathBuf) -> PathBuf {
    program("tar", ["--create", "--owner=0", "--group=0", "--file"])
        .arg(&archive)
        .arg("--directory")
        .arg(contents)
        .arg(".")
        .run()
        .ok();
    archive
}

/// Stores a blob in the layout; returns its digest and its length.
fn keep(blobs: &Path, bytes: &[u8]) -> (String, usize) {
    let sum = program("sha256sum", ["-"]).input(bytes).run().ok().text();
    let sum = sum.split_whitespace().next().expect("a sum").to_owned();
    fs::write(blobs.join(&sum), bytes).expect("write a blob");
    (format!("sha256:{sum}"), bytes.len())
}
