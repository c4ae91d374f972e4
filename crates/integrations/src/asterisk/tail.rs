//! The end of the file of call records, read backwards as far as it bears on a while; and the voice messages beside it.
//!
//! The file grows by a line for each record and may be of any size. Where it was begun anew in between, the one before is read,
//! too: under the same name with `.1`, as logrotate leaves it.

use super::audio::{self, TEXT_BYTES};
use super::calls::MOST_CALLS;
use super::records::{self, Found, Line, Of, Record, Sought, While};
use super::settings::Settings;
use super::spool;
use model::time::Timestamp;
use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is read at once: some two thousand records.
const PIECE_BYTES: u64 = 512 * 1024;
/// Most that is read of one file: some two hundred thousand records.
const MOST_BYTES: u64 = 64 * 1024 * 1024;
/// How much earlier than the while the records of a piece have to end for nothing before them to be read. Records are
/// written in the order in which their calls end, but for what Asterisk gathers before it writes.
const EARLIER: Duration = Duration::from_secs(3600);
/// How far apart the times of a call and of its message may be. Both are Asterisk's own, in whole seconds.
const APART: Duration = Duration::from_secs(5);
/// Most messages of one folder that are looked at.
const MOST_MESSAGES: usize = 10_000;

/// Reads the calls of a while.
///
/// # Errors
/// Why the records cannot be read, with the mend.
pub(super) fn look(settings: &Settings, cdr_file: &Path, span: While) -> Result<Found, String> {
    let mut rows = Rows::default();
    let whole = match rows.read(cdr_file, span.0) {
        // The first call makes it, and the first one after it was put aside makes it anew.
        Err(e) if e.kind() == ErrorKind::NotFound && cdr_file.parent().is_some_and(Path::is_dir) => Ok(true),
        read => read,
    };
    let whole = whole.map_err(|e| format!("{} cannot be read ({e})", cdr_file.display()))?;
    if whole {
        let mut before = OsString::from(cdr_file);
        before.push(".1");
        match rows.read(&PathBuf::from(before), span.0) {
            Err(e) if e.kind() != ErrorKind::NotFound => tracing::debug!(error = %e, "the call records before these cannot be read"),
            Ok(_) | Err(_) => {}
        }
    }
    if rows.records.is_empty() && rows.nameless > 0 {
        return Err(format!("{} has no ids of channels; set loguniqueid = yes below [csv] in cdr.conf", cdr_file.display()));
    }
    if rows.records.is_empty() && rows.strange > 0 {
        return Err(format!("{} is not what cdr_csv writes; name its Master.csv", cdr_file.display()));
    }
    // Oldest first, as they were written.
    rows.records.reverse();
    let of = Of { pbx: &settings.name, dial_plan: &settings.dial_plan };
    let spool_dir = settings.spool_dir.as_deref();
    let message = |sought: &Sought<'_>| spool_dir.and_then(|folder| message(folder, sought));
    let mut found = records::calls(&of, span, rows.records, spool_dir.is_some().then_some(&message));
    if found.calls.len() > MOST_CALLS {
        found.unknown += found.calls.len() - MOST_CALLS;
        found.calls.drain(..found.calls.len() - MOST_CALLS);
    }
    Ok(found)
}

/// What was read, the newest first.
#[derive(Default)]
struct Rows {
    records: Vec<Record>,
    nameless: usize,
    strange: usize,
}

impl Rows {
    /// Reads a file from its end. `true`: to its beginning, and what is wanted may lie before that.
    fn read(&mut self, path: &Path, from: Timestamp) -> std::io::Result<bool> {
        let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
        let mut file = File::options().read(true).custom_flags(nonblocking).open(path)?;
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(std::io::Error::new(ErrorKind::InvalidInput, "it is no file"));
        }
        let mut at = about.len();
        let least = at.saturating_sub(MOST_BYTES);
        // The beginning of a line whose rest was read already.
        let mut rest = Vec::new();
        while at > least {
            let piece = PIECE_BYTES.min(at - least);
            at -= piece;
            file.seek(SeekFrom::Start(at))?;
            let mut bytes = Vec::new();
            file.by_ref().take(piece).read_to_end(&mut bytes)?;
            bytes.append(&mut rest);
            if at > 0 {
                let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
                    rest = bytes;
                    continue;
                };
                let lines = bytes.split_off(end + 1);
                rest = std::mem::replace(&mut bytes, lines);
            }
            if !self.take(&bytes, from) {
                return Ok(false);
            }
        }
        Ok(at == 0)
    }

    /// Takes in whole lines. `false`: all of them ended long before.
    fn take(&mut self, lines: &[u8], from: Timestamp) -> bool {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(lines);
        let (mut news, mut latest) = (Vec::new(), None);
        for row in reader.byte_records().flatten() {
            let columns: Vec<_> = row.iter().map(String::from_utf8_lossy).collect();
            match records::line(&columns.iter().map(AsRef::as_ref).collect::<Vec<&str>>()) {
                Line::Record(record) => {
                    latest = latest.max(Some(record.ended));
                    news.push(*record);
                }
                Line::Nameless => self.nameless += 1,
                Line::Strange => self.strange += 1,
            }
        }
        self.records.extend(news.into_iter().rev());
        latest.is_none_or(|latest| latest.plus(EARLIER) >= from)
    }
}

/// Where the audio of the voice message is that is sought, as Asterisk would say it: whichever folder of the mailbox it was put
/// into since. As for the audio itself, no link below the spool folder is followed.
fn message(spool_dir: &Path, sought: &Sought<'_>) -> Option<String> {
    let plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains('/');
    if !plain(sought.mailbox) || !plain(sought.context) {
        return None;
    }
    let mailbox = Path::new(sought.context).join(sought.mailbox);
    for folder in std::fs::read_dir(spool_dir.join(&mailbox)).ok()?.flatten() {
        let below = mailbox.join(folder.file_name());
        let Ok(opened) = audio::folder_of(spool_dir, &below.join("msg")) else { continue };
        let Ok(entries) = std::fs::read_dir(folder.path()) else { continue };
        for entry in entries.flatten().take(MOST_MESSAGES) {
            let name = entry.file_name();
            let Some(message) = name.to_str().and_then(|name| name.strip_suffix(".txt")) else { continue };
            let Ok(Some(text)) = audio::read(&opened, &format!("{message}.txt"), TEXT_BYTES) else { continue };
            let began = spool::message(&String::from_utf8_lossy(&text)).at;
            if began.is_some_and(|at| at.plus(APART) >= sought.from && at <= sought.until.plus(APART)) {
                return below.join(message).to_str().map(str::to_owned);
            }
        }
    }
    None
}
