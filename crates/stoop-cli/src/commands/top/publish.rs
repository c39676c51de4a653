//! Metrics at a socket, or in a file.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::accounts::Entry;
use super::args::Top;
use super::frame::Frame;
use super::metrics::Totals;
use crate::args::BindFlags;
use crate::commands::relay::metrics::{answer, bind, prometheus};
use crate::failure::Failure;

/// Publishes metrics, at a socket or in a file.
pub(super) struct Publisher {
    totals: Totals,
    served: Option<Arc<Mutex<String>>>,
    file: Option<PathBuf>,
}

impl Publisher {
    /// Starts to answer requests. `None` if nothing is to be published.
    pub(super) fn start(flags: &Top) -> Result<Option<Publisher>, Failure> {
        if flags.metrics.is_none() && flags.textfile.is_none() {
            return Ok(None);
        }
        let totals = Totals::default();
        let mut served = None;
        if let Some(place) = &flags.metrics {
            let text = Arc::new(Mutex::new(totals.text()));
            let shared = text.clone();
            let body = move || shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let answering = answer(bind(place, &BindFlags::default())?, body);
            answering.map_err(|error| Failure::io("start a thread for the counters", &error))?;
            served = Some(text);
        }
        Ok(Some(Publisher { totals, served, file: flags.textfile.clone() }))
    }

    /// Publishes a look at all addresses.
    pub(super) fn publish(&mut self, frame: &Frame, entries: &[Entry]) -> Result<(), Failure> {
        self.totals.add(entries, frame.uncounted, frame.now_ns);
        if let Some(served) = &self.served {
            *served.lock().unwrap_or_else(PoisonError::into_inner) = self.totals.text();
        }
        match &self.file {
            Some(path) => write(path, &prometheus(&self.totals.text())),
            None => Ok(()),
        }
    }
}

/// Replaces a file at once: a reader never sees a part.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error| Failure::io(format!("write '{}'", crate::sockets::format::path(path)), &error);
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    // Another user reads it.
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644)).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}
