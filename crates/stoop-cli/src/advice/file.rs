//! Words advice about files, and what no command does. No I/O.

use std::path::{Path, PathBuf};

use stoop::escaped;
use stoop_inspect::internal::{Action, FileFlag, ModeClass, Permission};

use crate::shell;

/// Words an advice that is about files.
pub(super) fn command(advice: &Action) -> String {
    let path = |path: &Path| shell::path(path);
    match advice {
        Action::ShowFile(file) => format!("ls -ld {}", path(file)),
        Action::ShowFileInView { path: file, .. } => format!(
            "ls -ld {}    # the directory in its view; mount the socket's directory into it",
            path(file)
        ),
        Action::ShowStagingDirectory(directory) => format!(
            "ls -ldn {}    # its owner; it can be moved away while no process of that user starts or stops a server here",
            path(directory)
        ),
        Action::ShowLink(link) => format!("readlink {}", path(link)),
        Action::ShowDangling(link) => {
            format!("readlink {}    # the target, which does not exist", path(link))
        }
        Action::AvoidLink(link) => format!("readlink -f {}    # the real path; use that instead", path(link)),
        Action::UseAbsolutePath(file) => {
            format!("readlink -f {}    # an absolute path leads both to the same file", path(file))
        }
        Action::RemoveFile { path: file, .. } => {
            format!("rm {}    # no server is bound to it", path(file))
        }
        Action::RemoveDirectory { path: directory, .. } => format!(
            "rmdir {}    # it is empty, as docker creates it for a mount without a source; then start the server",
            path(directory)
        ),
        Action::CreateDirectory { path: directory, owner: None, .. } => {
            format!("mkdir -p {}", path(directory))
        }
        Action::CreateDirectory { path: directory, owner: Some(owner), .. } => format!(
            "install -d -o {} -m 0755 {}    # owned by the user who binds",
            shell::word(owner),
            path(directory)
        ),
        Action::EnterDirectory { directory, name } => format!(
            "cd {}    # from there, any program can bind {}",
            path(directory),
            shell::path(&Path::new(".").join(name))
        ),
        Action::ChangeDirectory => "cd /    # a directory that exists".into(),
        Action::ChangeMode { path: file, class, permission, group, .. } => {
            let letter = if *permission == Permission::Search { 'x' } else { 'w' };
            let (class, effect) = match (class, permission) {
                (ModeClass::Owner, _) => ('u', String::new()),
                (ModeClass::Group, _) => ('g', format!("    # for all members of {}", escaped(group))),
                (ModeClass::Other, Permission::Search) => {
                    ('o', "    # lets all users search it, and reach what is in it".into())
                }
                (ModeClass::Other, Permission::Write) => ('o', "    # lets all users write to it".into()),
            };
            format!("chmod {class}+{letter} {}{effect}", path(file))
        }
        Action::AddAclEntry { path: file, user, permissions, .. } => {
            let user = shell::word(user);
            format!("setfacl -m u:{user}:{permissions} {}    # for that user only", path(file))
        }
        Action::WidenAclMask { path: file, permissions, .. } => format!(
            "setfacl -m m::{} {}    # there is an entry, but the mask excludes it",
            letters(*permissions),
            path(file)
        ),
        Action::ShowFlags(file) => format!("lsattr -d {}", path(file)),
        Action::ClearFlag { path: file, flag, .. } => {
            let letter = if *flag == FileFlag::Immutable { 'i' } else { 'a' };
            format!("chattr -{letter} {}", path(file))
        }
        Action::FindFile { mount, inode, .. } => {
            format!("find {} -xdev -inum {inode} -type s    # its path now", path(mount))
        }
        Action::ShowInodes(directory) => {
            format!("df -i {}    # no inode is free: remove files", path(directory))
        }
        Action::MountAgain { path: directory, is_directory: true } => format!(
            "findmnt -T {}    # its source was removed: restart the container, and let the server keep its directory",
            path(directory)
        ),
        Action::MountAgain { path: file, .. } => format!(
            "findmnt -T {}    # its source was deleted: restart the container, and mount the directory, not the file",
            path(file)
        ),
        Action::ShowMount(directory) => format!("{}    # the mount and its options", findmnt(directory)),
        other => sentence(other),
    }
}

/// Words how a mount is shown: if it is in the view of another process, by that process's list of
/// mounts.
fn findmnt(path: &Path) -> String {
    match in_view(path) {
        Some((pid, path)) => format!("findmnt -N {pid} -T {}", shell::path(&path)),
        None => format!("findmnt -T {}", shell::path(path)),
    }
}

/// Returns the process, and the path in its view, of a path through its root directory in `/proc`.
fn in_view(path: &Path) -> Option<(u32, PathBuf)> {
    let mut parts = path.strip_prefix("/proc").ok()?.components();
    let pid = parts.next()?.as_os_str().to_str()?.parse().ok()?;
    (parts.next()?.as_os_str() == "root").then(|| (pid, Path::new("/").join(parts.as_path())))
}

/// Words what no command does.
fn sentence(advice: &Action) -> String {
    match advice {
        Action::StartOwner { program: None } => {
            "# start the program that the socket belongs to, in the way it is usually started".into()
        }
        Action::AllowGroup(_) => {
            "# to last, let its server create the file with such a mode or group: a change of \
                                  the file is lost when the server starts again"
                .into()
        }
        Action::AddName(directory) => format!(
            "# name a file in it: {}",
            escaped(directory.join("app.sock").as_os_str().as_encoded_bytes())
        ),
        Action::ChangeBeneathMount(file) => format!(
            "# the mount is read-only: whoever mounted it can grant the permission on {} elsewhere",
            escaped(file.as_os_str().as_encoded_bytes())
        ),
        other => format!("# {other}"),
    }
}

fn letters(permissions: u8) -> String {
    let letter = |bit, letter| if permissions & bit != 0 { letter } else { '-' };
    [letter(4, 'r'), letter(2, 'w'), letter(1, 'x')].into_iter().collect()
}
