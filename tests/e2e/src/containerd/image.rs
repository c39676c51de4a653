//! An image: one layer with busybox and a client of local sockets, both static, and what describes it, in the OCI layout and as
//! Docker saves one.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::run::program;

use super::IMAGE;

/// The client that the image has as `/bin/talk`.
const TALK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/talk.c");

/// Makes the image inside `directory`, and gives its archive.
#[track_caller]
pub(super) fn archive(directory: &Path) -> PathBuf {
    let blobs = directory.join("layout/blobs/sha256");
    fs::create_dir_all(&blobs).expect("make a directory");
    let layer = layer(directory);
    let (layer_digest, layer_len) = keep(&blobs, &fs::read(layer).expect("read the layer"));
    let config = config(&layer_digest);
    let (config_digest, config_len) = keep(&blobs, config.to_string().as_bytes());
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described("config.v1+json", &config_digest, config_len),
        "layers": [described("layer.v1.tar", &layer_digest, layer_len)],
    });
    let (manifest_digest, manifest_len) = keep(&blobs, manifest.to_string().as_bytes());
    let mut entry = described("manifest.v1+json", &manifest_digest, manifest_len);
    entry["annotations"] = serde_json::json!({ "io.containerd.image.name": IMAGE });
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [entry] });
    let layout = directory.join("layout");
    fs::write(layout.join("index.json"), index.to_string()).expect("write the index");
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("write the layout");
    tar(&layout, directory.join("image.tar"))
}

/// Makes the image inside `directory` as `docker save` would, under this name, and gives its archive.
#[track_caller]
pub(crate) fn docker_archive(directory: &Path, name: &str) -> PathBuf {
    fs::create_dir_all(directory).expect("make a directory");
    let layer = layer(directory);
    let saved = directory.join("saved");
    fs::create_dir(&saved).expect("make a directory");
    let (layer_digest, _) = keep(&saved, &fs::read(layer).expect("read the layer"));
    let (config_digest, _) = keep(&saved, config(&layer_digest).to_string().as_bytes());
    let file = |digest: &str| digest.trim_start_matches("sha256:").to_owned();
    let manifest = serde_json::json!([
        { "Config": file(&config_digest), "RepoTags": [name], "Layers": [file(&layer_digest)] }
    ]);
    fs::write(saved.join("manifest.json"), manifest.to_string()).expect("write the manifest");
    tar(&saved, directory.join("saved.tar"))
}

fn config(layer_digest: &str) -> serde_json::Value {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    serde_json::json!({
        "architecture": architecture,
        "os": "linux",
        "config": { "Env": ["PATH=/bin"], "Cmd": ["/bin/sh"] },
        "rootfs": { "type": "layers", "diff_ids": [layer_digest] },
    })
}

fn described(kind: &str, digest: &str, len: usize) -> serde_json::Value {
    let kind = format!("application/vnd.oci.image.{kind}");
    serde_json::json!({ "mediaType": kind, "digest": digest, "size": len })
}

/// The files of the image, as an archive.
fn layer(directory: &Path) -> PathBuf {
    let files = directory.join("files");
    let bin = files.join("bin");
    fs::create_dir_all(&bin).expect("make a directory");
    let busybox = program("sh", ["-c", "command -v busybox"]).run().ok().text();
    fs::copy(busybox.trim(), bin.join("busybox")).expect("copy busybox");
    for name in ["sh", "sleep", "cat"] {
        symlink("busybox", bin.join(name)).expect("make a link");
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

/// Puts a blob where the layout wants it; gives its digest and its length.
fn keep(blobs: &Path, bytes: &[u8]) -> (String, usize) {
    let sum = program("sha256sum", ["-"]).input(bytes).run().ok().text();
    let sum = sum.split_whitespace().next().expect("a sum").to_owned();
    fs::write(blobs.join(&sum), bytes).expect("write a blob");
    (format!("sha256:{sum}"), bytes.len())
}
