//! Reads recent records of denied calls: from the audit log, and from the kernel log if no audit
//! daemon takes them.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::OFlags;
use rustix::time::{ClockId, clock_gettime};

use crate::procfs::is_in_first_pid_namespace;
use crate::why::audit_record::denials;
use crate::why::facts::Denial;

/// How much is read from the end of the audit log.
const TAIL_BYTES: u64 = 256 * 1024;
/// How many records of the kernel log are read.
const RECORDS_MAX: usize = 20_000;
/// How old a record may be.
const RECENT: Duration = Duration::from_secs(3600);

/// Returns the time since 1970.
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Returns when the machine was booted, since 1970.
pub(crate) fn booted_at() -> Option<Duration> {
    let uptime = Duration::try_from(clock_gettime(ClockId::Boottime)).ok()?;
    now().checked_sub(uptime)
}

/// Returns the recent denials, or `None` if neither log may be read.
///
/// Their pids are those of the initial pid namespace ([K-DENY-5]), and say nothing elsewhere.
///
/// [K-DENY-5]: stoop::kernel_facts#K-DENY-5
pub(crate) fn recent() -> Option<Vec<Denial>> {
    let (audit, kernel) = (audit_log(), kernel_log());
    if audit.is_none() && kernel.is_none() {
        return None;
    }
    let oldest = now().saturating_sub(RECENT);
    let texts = [audit, kernel];
    let lines = texts.iter().flatten().flat_map(|text| text.lines());
    let mut recent: Vec<Denial> = denials(lines).into_iter().filter(|denial| denial.at >= oldest).collect();
    if is_in_first_pid_namespace() == Some(false) {
        recent.iter_mut().for_each(|denial| denial.pid = None);
    }
    Some(recent)
}

fn audit_log() -> Option<String> {
    let mut file = File::open("/var/log/audit/audit.log").ok()?;
    let len_bytes = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(len_bytes.saturating_sub(TAIL_BYTES))).ok()?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads the kernel log: each read returns one record, and `EAGAIN` ends it. `EPIPE` says that
/// records were overwritten meanwhile.
fn kernel_log() -> Option<String> {
    let flags = OFlags::NONBLOCK.bits() as i32;
    let mut file = File::options().read(true).custom_flags(flags).open("/dev/kmsg").ok()?;
    let (mut text, mut record) = (String::new(), vec![0; 8192]);
    for _ in 0..RECORDS_MAX {
        match file.read(&mut record) {
            Ok(0) => break,
            Ok(length) => text.push_str(&String::from_utf8_lossy(&record[..length])),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PIPE.raw_os_error()) => {}
            Err(_) => break,
        }
    }
    Some(text)
}
