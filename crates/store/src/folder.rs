//! The data folder of a process, and the lock that keeps a second one out of it.

use crate::{Result, StoreError};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

/// Name of the lock file in the data folder. It holds the number of the process that has it.
pub(crate) const LOCK_FILE: &str = "carillon.lock";

/// The lock on the data folder; it goes when this is dropped, or with the process.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

/// Locks a data folder.
///
/// # Errors
/// `Unavailable` while another process has it; its number is named.
pub fn lock(folder: &Path) -> Result<FolderLock> {
    let path = folder.join(LOCK_FILE);
    let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(std::process::id().to_string().as_bytes())?;
            Ok(FolderLock { _file: file })
        }
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let by = match file.read_to_string(&mut pid) {
                Ok(_) if !pid.is_empty() => format!("process {}", pid.trim()),
                _ => "another process".to_owned(),
            };
            Err(StoreError::Unavailable(format!(
                "the data folder {} is in use by {by}; stop that one first or use another folder",
                folder.display()
            )))
        }
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}
