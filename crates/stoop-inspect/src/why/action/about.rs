//! What an action needs, and what it is about.

use std::path::Path;

use stoop::Address;

use super::{Action, Program, Site};

impl Action {
    /// Returns whether it is about a server that would be started at the address, as opposed to
    /// that of the program to which it belongs.
    pub(in crate::why) fn is_about_own_server(&self) -> bool {
        matches!(
            self,
            Action::StartServer { .. }
                | Action::StartReceiver(_)
                | Action::ReplaceStale(_)
                | Action::AssumeStale(_)
                | Action::BindByLongPath(_)
                | Action::TakeOver(_)
                | Action::WaitForServer { .. }
        )
    }

    /// Returns whether it changes the mode or the access list of a file.
    pub(in crate::why) fn changes_permissions(&self) -> bool {
        matches!(self, Action::ChangeMode { .. } | Action::AddAclEntry { .. } | Action::WidenAclMask { .. })
    }

    /// Returns whether it ends what keeps a process from answering.
    pub(in crate::why) fn is_relief(&self) -> bool {
        matches!(
            self,
            Action::Resume { .. } | Action::Detach { .. } | Action::Thaw { .. } | Action::RaiseLimitOf { .. }
        )
    }

    /// Returns whether root is required.
    pub fn requires_root(&self) -> bool {
        match self {
            Action::Restart { as_root, .. }
            | Action::StartUnit { as_root, .. }
            | Action::StartNamedUnit { as_root, .. }
            | Action::RemoveFile { as_root, .. }
            | Action::RemoveDirectory { as_root, .. }
            | Action::Resume { as_root, .. }
            | Action::Thaw { as_root, .. }
            | Action::RaiseLimitOf { as_root, .. }
            | Action::ShowWaitChannel { as_root, .. }
            | Action::ShowDescriptors { as_root, .. }
            | Action::ShowFileInView { as_root, .. }
            | Action::CreateDirectory { as_root, .. }
            | Action::ChangeMode { as_root, .. }
            | Action::AddAclEntry { as_root, .. }
            | Action::WidenAclMask { as_root, .. }
            | Action::JoinGroup { as_root, .. }
            | Action::FindFile { as_root, .. }
            | Action::ClearFlag { as_root, .. } => *as_root,
            Action::PredictAsRoot(_) => true,
            other => other.site().is_some_and(|at| at.as_root),
        }
    }

    fn site(&self) -> Option<&Site> {
        match self {
            Action::StartServer { at, .. }
            | Action::StartReceiver(at)
            | Action::ReplaceStale(at)
            | Action::GiveNameBack(at)
            | Action::AssumeStale(at)
            | Action::BindByLongPath(at)
            | Action::TakeOver(at)
            | Action::AllowGroup(at)
            | Action::OmitSlash { at, .. }
            | Action::UseAnotherName(at)
            | Action::WaitForOwner { at, .. }
            | Action::UseNewGroup { at, .. }
            | Action::Connect { at, .. }
            | Action::ConnectByLongPath(at)
            | Action::ShowServer(at)
            | Action::AskWhereItRuns(at)
            | Action::WaitForServer { at, .. }
            | Action::TryAgain { at, .. } => Some(at),
            _ => None,
        }
    }

    /// Returns the address it is about.
    pub(in crate::why) fn address(&self) -> Option<&Address> {
        match self {
            Action::PredictConnect { address, .. }
            | Action::ShowPath { address, .. }
            | Action::SeeElsewhere { address, .. }
            | Action::UseService { address, .. } => Some(address),
            Action::PredictAsRoot(question) | Action::PredictAs { question, .. } => Some(&question.address),
            other => other.site().map(|at| &at.address),
        }
    }

    /// Returns the file it is about.
    pub(in crate::why) fn path(&self) -> Option<&Path> {
        match self {
            Action::ShowFile(path)
            | Action::EnterDirectory { directory: path, .. }
            | Action::ShowFileInView { path, .. }
            | Action::ShowStagingDirectory(path)
            | Action::ShowLink(path)
            | Action::ShowDangling(path)
            | Action::AvoidLink(path)
            | Action::UseAbsolutePath(path)
            | Action::RemoveFile { path, .. }
            | Action::RemoveDirectory { path, .. }
            | Action::ChangeBeneathMount(path)
            | Action::CreateDirectory { path, .. }
            | Action::ChangeMode { path, .. }
            | Action::AddAclEntry { path, .. }
            | Action::WidenAclMask { path, .. }
            | Action::ShowFlags(path)
            | Action::AddName(path)
            | Action::AllowOthers(path)
            | Action::MountFileSystemAgain(path)
            | Action::ReachFileSystem { point: path, .. }
            | Action::FindFile { mount: path, .. }
            | Action::ClearFlag { path, .. }
            | Action::ShowInodes(path)
            | Action::MakeMountWritable(path)
            | Action::ShowMount(path) => Some(path),
            Action::Thaw { group, .. } => Some(&group.switch),
            _ => None,
        }
    }

    /// Returns the process it is about.
    pub(in crate::why) fn pid(&self) -> Option<u32> {
        match self {
            Action::Restart {
                program: Program::Process { pid, .. } | Program::Signal { pid, .. }, ..
            }
            | Action::Resume { pid, .. }
            | Action::Detach { pid, .. }
            | Action::RaiseLimitOf { pid, .. }
            | Action::ShareDirectory { pid, .. }
            | Action::ShowWaitChannel { pid, .. } => Some(*pid),
            _ => None,
        }
    }
}
