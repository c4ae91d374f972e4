//! Reads the files into the scratch file: each cell is checked by its rule, and each row is matched with the live
//! directory: by external id first, then by user principal name or unique name.
//!
//! An external id may also hold Carillon's own id of an object; that object is meant then, and its external id stays.
//! Exports use it for objects that nothing else tells apart.

use super::faults::Faults;
use super::header::{Columns, columns_of};
use super::records::{Broken, Record, Records};
use super::scratch::{Kind, Scratch};
use crate::Result;
use crate::sqlite::columns::to_json;
use model::directory::{
    Environment, LIST_LENGTH, MemberKind, NotificationPermission, Ownership, Platform, Service, check_email, check_locale, check_name,
    check_phone, check_time_zone, check_token, check_upn,
};
use rusqlite::{Connection, OptionalExtension, Params, params};
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use uuid::Uuid;

/// Rows staged in one transaction of the scratch file: as long as one look at the live directory lasts.
const ROWS_PER_LOOK: u64 = 10_000;

/// Most characters of a group's description.
const DESCRIPTION_CHARS: usize = 1_024;

/// Most bytes of an endpoint of a push service. RFC 8030 sets none; those seen have under 600.
const ENDPOINT_BYTES: usize = 2_048;

/// How a row found its object: by external id.
const BY_EXTERNAL_ID: i64 = 1;
/// By name: gives way to another row that found the same object by an id.
pub(super) const BY_NAME: i64 = 2;
/// By our own id.
pub(super) const BY_ID: i64 = 3;

/// Reads every file. What is wrong with them is noted in the scratch file's faults.
pub(super) fn stage(scratch: &mut Scratch) -> Result<()> {
    let files = scratch.import.files.clone();
    let progress = scratch.import.progress.clone();
    let mut lines = 0;
    for file in &files {
        lines += count_lines(&file.path)?;
    }
    progress.total.store(lines, Ordering::Relaxed);
    for (number, file) in (0..).zip(&files) {
        let reader = BufReader::with_capacity(256 * 1024, File::open(&file.path)?);
        stage_file(scratch, (number, &file.name), reader)?;
    }
    progress.total.store(progress.read.load(Ordering::Relaxed), Ordering::Relaxed);
    Ok(())
}

/// Lines behind the header; a quoted line break counts, so it is at most a little more than the rows.
fn count_lines(path: &std::path::Path) -> Result<u64> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 256 * 1024];
    let (mut lines, mut last) = (0, b'\n');
    loop {
        let read = file.read(&mut buffer)?;
        let Some(end) = read.checked_sub(1) else { break };
        lines += buffer[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
        last = buffer[end];
    }
    Ok((lines + u64::from(last != b'\n')).saturating_sub(1))
}

fn stage_file(scratch: &mut Scratch, file: (u32, &str), input: impl BufRead) -> Result<()> {
    let mut faults = std::mem::take(&mut scratch.faults);
    let staged = stage_rows(scratch, &mut faults, file, Records::new(input));
    scratch.faults = faults;
    staged
}

fn stage_rows(scratch: &mut Scratch, faults: &mut Faults, file: (u32, &str), mut records: Records<impl BufRead>) -> Result<()> {
    let header = match records.next() {
        Ok(Some(header)) => header,
        Ok(None) => {
            faults.cell(file, 1, "", "the file is empty; its first line names the columns");
            return Ok(());
        }
        Err(broken) => return told(broken, file, faults),
    };
    let Some(columns) = columns_of(header, file, faults) else { return Ok(()) };
    scratch.kinds.insert(columns.kind);
    let progress = scratch.import.progress.clone();
    let live = Rc::new(Live::new(scratch));
    let mut staging = Staging { c: &scratch.c, live, seal: &*scratch.import.seal, faults, zones: HashSet::new(), file, columns };
    let mut rows = 0;
    scratch.c.execute_batch("BEGIN")?;
    loop {
        match records.next() {
            Ok(Some(record)) => staging.row(record)?,
            Ok(None) => break,
            Err(broken) => {
                told(broken, file, staging.faults)?;
                break;
            }
        }
        rows += 1;
        if rows == ROWS_PER_LOOK {
            scratch.c.execute_batch("COMMIT; BEGIN")?;
            progress.read.fetch_add(std::mem::take(&mut rows), Ordering::Relaxed);
            scratch.go_on()?;
        }
    }
    scratch.c.execute_batch("COMMIT")?;
    progress.read.fetch_add(rows, Ordering::Relaxed);
    Ok(())
}

fn told(broken: Broken, file: (u32, &str), faults: &mut Faults) -> Result<()> {
    match broken {
        Broken::Input(error) => Err(crate::StoreError::Unavailable(format!("{} cannot be read: {error}", file.1))),
        Broken::Endless(line) => {
            faults.cell(file, line, "", "a quote is opened in this row and never closed; close it, or write two of them for one");
            Ok(())
        }
    }
}

/// Questions to the live directory, for matching.
struct Live {
    person_by_external: String,
    person_by_id: String,
    person_by_upn: String,
    grp_by_external: String,
    grp_by_id: String,
    grp_by_name: String,
    device_by_external: String,
    device_by_id: String,
    device_by_name: String,
}

impl Live {
    fn new(scratch: &Scratch) -> Live {
        let ask = |table: &str, condition: &str| scratch.sql(&format!("SELECT l.key FROM live.{table} l WHERE $seen(l) AND {condition}"));
        // A name is unique among those that have no external id (?2 true), or among all. Two answers show that it is not.
        let by_name = "l.name = ?1 AND (NOT ?2 OR l.external_id IS NULL) LIMIT 11";
        Live {
            person_by_external: ask("person", "l.external_id = ?1"),
            person_by_id: ask("person", "l.id = ?1"),
            person_by_upn: ask("person", "l.upn = ?1"),
            grp_by_external: ask("grp", "l.external_id = ?1"),
            grp_by_id: ask("grp", "l.id = ?1"),
            grp_by_name: ask("grp", by_name),
            device_by_external: ask("device", "l.external_id = ?1"),
            device_by_id: ask("device", "l.id = ?1"),
            device_by_name: ask("device", by_name),
        }
    }
}

/// One file being staged.
struct Staging<'a> {
    c: &'a Connection,
    live: Rc<Live>,
    seal: &'a (dyn Fn(Service, &str) -> Vec<u8> + Send + Sync),
    faults: &'a mut Faults,
    /// Time zones known to exist.
    zones: HashSet<String>,
    file: (u32, &'a str),
    columns: Columns,
}

/// The cells of a row, by the number of the column in the form.
struct Cells<'a> {
    line: u32,
    texts: Vec<Option<&'a str>>,
}

impl<'a> Cells<'a> {
    /// What a cell says; `None` where the file lacks the column.
    fn get(&self, column: usize) -> Option<&'a str> {
        self.texts[column]
    }

    /// What a cell says; empty where the file lacks the column.
    fn text(&self, column: usize) -> &'a str {
        self.texts[column].unwrap_or("")
    }
}

impl Staging<'_> {
    fn row(&mut self, record: &Record) -> Result<()> {
        let line = record.line;
        if record.len() != self.columns.width {
            let (fields, width) = (record.len(), self.columns.width);
            self.faults.cell(
                self.file,
                line,
                "",
                format!("the row has {fields} cells and the first line {width}; put text with commas into quotes"),
            );
            return Ok(());
        }
        let mut cells = Cells { line, texts: Vec::with_capacity(self.columns.places.len()) };
        for (column, place) in self.columns.places.iter().enumerate() {
            let Some(bytes) = place.and_then(|place| record.field(place)) else {
                cells.texts.push(None);
                continue;
            };
            let Ok(text) = std::str::from_utf8(bytes) else {
                self.faults.cell(
                    self.file,
                    line,
                    self.columns.form.columns[column],
                    "the cell is not UTF-8; save the file as CSV in UTF-8",
                );
                return Ok(());
            };
            cells.texts.push(Some(text));
        }
        match self.columns.kind {
            Kind::People => self.person(&cells),
            Kind::Groups => self.group(&cells),
            Kind::Members => self.member(&cells),
            Kind::Devices => self.device(&cells),
            Kind::Registrations => self.registration(&cells),
        }
    }

    fn fault(&mut self, cells: &Cells<'_>, column: usize, message: impl Into<String>) {
        self.faults.cell(self.file, cells.line, self.columns.form.columns[column], message);
    }

    /// A cell that must have a value, where the column is there.
    fn needed<'t>(&mut self, cells: &Cells<'t>, column: usize, check: impl Fn(&str) -> std::result::Result<(), String>) -> Option<&'t str> {
        let text = cells.get(column)?;
        if let Err(message) = check(text) {
            self.fault(cells, column, message);
        }
        Some(text)
    }

    /// A cell that may be empty, which stands for `default`.
    fn optional<'t>(
        &mut self,
        cells: &Cells<'t>,
        column: usize,
        default: &'static str,
        check: impl Fn(&str) -> std::result::Result<(), String>,
    ) -> Option<&'t str> {
        match cells.get(column)? {
            "" => Some(default),
            text => {
                if let Err(message) = check(text) {
                    self.fault(cells, column, message);
                }
                Some(text)
            }
        }
    }

    fn switch(&mut self, cells: &Cells<'_>, column: usize, default: bool) -> Option<bool> {
        let text = cells.get(column)?.trim();
        let is = |words: [&str; 3]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
        if text.is_empty() {
            Some(default)
        } else if is(["true", "1", "yes"]) {
            Some(true)
        } else if is(["false", "0", "no"]) {
            Some(false)
        } else {
            self.fault(cells, column, format!("{text:?} is not a yes or no; write true or false"));
            None
        }
    }

    /// A word of a vocabulary; `None` also where there is none.
    fn word<T: Copy + std::fmt::Display>(
        &mut self,
        cells: &Cells<'_>,
        column: usize,
        default: Option<T>,
        (read, all): (fn(&str) -> Option<T>, &[T]),
    ) -> Option<T> {
        let text = cells.get(column)?.trim();
        if text.is_empty() && default.is_some() {
            return default;
        }
        let word = read(text);
        if word.is_none() {
            let known: Vec<_> = all.iter().map(ToString::to_string).collect();
            self.fault(cells, column, format!("{text:?} is not one of {}", known.join(", ")));
        }
        word
    }

    /// Values separated by semicolons, as JSON.
    fn list(&mut self, cells: &Cells<'_>, column: usize, check: fn(&str) -> std::result::Result<(), String>) -> Result<Option<String>> {
        let Some(text) = cells.get(column) else { return Ok(None) };
        let values: Vec<&str> = text.split(';').map(str::trim).filter(|value| !value.is_empty()).collect();
        if values.len() > LIST_LENGTH {
            self.fault(cells, column, format!("there are {} values; at most {LIST_LENGTH} are allowed", values.len()));
        }
        if let Some(message) = values.iter().find_map(|value| check(value).err()) {
            self.fault(cells, column, message);
        }
        if values.is_empty() { Ok(Some("[]".to_owned())) } else { to_json(&values).map(Some) }
    }

    fn zone(&mut self, cells: &Cells<'_>, column: usize) -> Option<String> {
        let zone = match cells.get(column)? {
            "" => "UTC",
            zone => zone,
        };
        if !self.zones.contains(zone) {
            match check_time_zone(zone) {
                Ok(()) => drop(self.zones.insert(zone.to_owned())),
                Err(message) => self.fault(cells, column, message),
            }
        }
        Some(zone.to_owned())
    }

    fn key(&self, sql: &str, values: impl Params) -> Result<Option<i64>> {
        Ok(self.c.prepare_cached(sql)?.query_row(values, |row| row.get(0)).optional()?)
    }

    /// Finds an object by external id, else by the id of ours that the cell may hold instead; answers also how.
    fn by_external(&self, by_external: &str, by_id: &str, text: &str) -> Result<(Option<i64>, i64)> {
        if text.is_empty() {
            return Ok((None, BY_NAME));
        }
        if let Some(key) = self.key(by_external, [text])? {
            return Ok((Some(key), BY_EXTERNAL_ID));
        }
        match id_in(text).map_or(Ok(None), |id| self.key(by_id, [id]))? {
            Some(key) => Ok((Some(key), BY_ID)),
            None => Ok((None, BY_NAME)),
        }
    }

    /// Finds a group or device by a unique name.
    fn by_name(&mut self, cells: &Cells<'_>, sql: &str, column: usize, table: &str) -> Result<Option<i64>> {
        let name = cells.text(column);
        let without_external = !cells.text(0).is_empty();
        let mut statement = self.c.prepare_cached(sql)?;
        let keys = statement.query_map(params![name, without_external], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()?;
        match keys.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(*one)),
            _ if without_external => Ok(None),
            many => {
                let ids = super::references::ids_of(self.c, table, many)?;
                self.fault(cells, column, format!("{name:?} may mean {ids}; give the row an external_id"));
                Ok(None)
            }
        }
    }

    fn person(&mut self, cells: &Cells<'_>) -> Result<()> {
        let external = self.optional(cells, 0, "", check_name);
        let upn = self.needed(cells, 1, check_upn);
        let display_name = self.needed(cells, 2, check_name);
        let email = self.optional(cells, 3, "", check_email);
        let locale = self.optional(cells, 4, "en", check_locale);
        let zone = self.zone(cells, 5);
        let licenses = self.list(cells, 6, check_name)?;
        let manager = cells.get(7);
        let phones = self.list(cells, 8, check_phone)?;
        let active = self.switch(cells, 9, true);
        let (mut key, by) = self.by_external(&self.live.person_by_external, &self.live.person_by_id, cells.text(0))?;
        if key.is_none() {
            key = self.key(&self.live.person_by_upn, [cells.text(1)])?;
        }
        self.c
            .prepare_cached(
                "INSERT INTO person (file, line, key, by, external_id, upn, display_name, email, locale, timezone, licenses, manager_upn, phones, \
                 active) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            )?
            .execute(params![
                self.file.0,
                cells.line,
                key,
                by,
                external,
                upn,
                display_name,
                email,
                locale,
                zone,
                licenses,
                manager,
                phones,
                active
            ])?;
        Ok(())
    }

    fn group(&mut self, cells: &Cells<'_>) -> Result<()> {
        let external = self.optional(cells, 0, "", check_name);
        let name = self.needed(cells, 1, check_name);
        let description = self.optional(cells, 2, "", |text| match text.chars().count() {
            chars if chars > DESCRIPTION_CHARS => Err(format!("the value has {chars} characters; at most {DESCRIPTION_CHARS} are allowed")),
            _ => Ok(()),
        });
        let live = self.live.clone();
        let (mut key, by) = self.by_external(&live.grp_by_external, &live.grp_by_id, cells.text(0))?;
        if key.is_none() {
            key = self.by_name(cells, &live.grp_by_name, 1, "grp")?;
        }
        self.c
            .prepare_cached("INSERT INTO grp (file, line, key, by, external_id, name, description) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
            .execute(params![self.file.0, cells.line, key, by, external, name, description])?;
        Ok(())
    }

    fn device(&mut self, cells: &Cells<'_>) -> Result<()> {
        let external = self.optional(cells, 0, "", check_name);
        let name = self.needed(cells, 1, check_name);
        let platform = self.word(cells, 3, None, (Platform::from_word, Platform::ALL));
        let ownership = self.word(cells, 4, Some(Ownership::Personal), (Ownership::from_word, Ownership::ALL));
        let enrolled = self.switch(cells, 5, false);
        let app_installed = self.switch(cells, 6, false);
        let known = (NotificationPermission::from_word as fn(&str) -> _, NotificationPermission::ALL);
        let permission = self.word(cells, 7, Some(NotificationPermission::Default), known);
        let play_services = self.switch(cells, 8, true);
        let live = self.live.clone();
        let (mut key, by) = self.by_external(&live.device_by_external, &live.device_by_id, cells.text(0))?;
        if key.is_none() {
            key = self.by_name(cells, &live.device_by_name, 1, "device")?;
        }
        self.c
            .prepare_cached(
                "INSERT INTO device (file, line, key, by, external_id, name, owner_upn, platform, ownership, enrolled, app_installed, permission, \
                 play_services, enrolled_by_upn) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            )?
            .execute(params![
                self.file.0,
                cells.line,
                key,
                by,
                external,
                name,
                cells.get(2),
                platform.map(Platform::number),
                ownership.map(Ownership::number),
                enrolled,
                app_installed,
                permission.map(NotificationPermission::number),
                play_services,
                cells.get(9),
            ])?;
        Ok(())
    }

    fn member(&mut self, cells: &Cells<'_>) -> Result<()> {
        let (group, member) = (cells.text(0), cells.text(2));
        for (column, text) in [(0, group), (2, member)] {
            if text.is_empty() {
                self.fault(cells, column, "the value is empty; give it a value");
            }
        }
        let kind = match cells.get(1) {
            Some(_) => self.word(cells, 1, None, (MemberKind::from_word, MemberKind::ALL)),
            None => Some(MemberKind::User),
        };
        self.c
            .prepare_cached(
                "INSERT INTO member (file, line, grp_name, grp_id, kind, key_name, key_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![self.file.0, cells.line, group, id_in(group), kind.map(MemberKind::number), member, id_in(member)])?;
        Ok(())
    }

    fn registration(&mut self, cells: &Cells<'_>) -> Result<()> {
        let device = cells.text(0);
        if device.is_empty() {
            self.fault(cells, 0, "the value is empty; give it a value");
        }
        let service = self.word(cells, 1, None, (Service::from_word, Service::ALL));
        let app = self.optional(cells, 2, "", check_name).unwrap_or("");
        let known = (Environment::from_word as fn(&str) -> _, Environment::ALL);
        let environment = match cells.get(3) {
            Some(_) => self.word(cells, 3, Some(Environment::Production), known),
            None => Some(Environment::Production),
        };
        if let Some(service) = service {
            self.address(cells, service);
        }
        let auth = match (service, cells.text(7)) {
            (None, _) | (_, "") => Vec::new(),
            (Some(service), plain) => (self.seal)(service, plain),
        };
        self.c
            .prepare_cached(
                "INSERT INTO registration (file, line, device_name, device_id, service, app, environment, token, endpoint, p256dh, auth) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?
            .execute(params![
                self.file.0,
                cells.line,
                device,
                id_in(device),
                service.map(Service::number),
                app,
                environment.map(Environment::number),
                cells.text(4),
                cells.text(5),
                cells.text(6),
                auth
            ])?;
        Ok(())
    }

    /// Checks what a service needs to reach the device. Whether a Web Push secret may be left out is known later.
    fn address(&mut self, cells: &Cells<'_>, service: Service) {
        let (token, endpoint, p256dh, auth) = (cells.text(4), cells.text(5), cells.text(6), cells.text(7));
        let url = |text: &str| {
            (text.starts_with("https://") || text.starts_with("http://"))
                && text.len() <= ENDPOINT_BYTES
                && check_token(service, text).is_ok()
        };
        match service {
            Service::Apns | Service::Fcm => {
                if let Err(message) = check_token(service, token) {
                    self.fault(cells, 4, message);
                }
            }
            // The channel URL of WNS may stand in either column.
            Service::Wns => {
                if (!token.is_empty() || endpoint.is_empty())
                    && let Err(message) = check_token(service, token)
                {
                    self.fault(cells, 4, message);
                }
            }
            Service::WebPush => {
                if !token.is_empty() {
                    self.fault(cells, 4, "a Web Push registration has no token; put its address into endpoint, p256dh and auth");
                }
                // Keys are in base64url without padding: 65 bytes of a P-256 point, 16 of a secret (RFC 8291 §3.1, §3.2).
                if !is_base64url(p256dh, 87) {
                    self.fault(cells, 6, "the key is not 65 bytes in base64url (87 characters)");
                }
                if !auth.is_empty() && !is_base64url(auth, 22) {
                    self.fault(cells, 7, "the secret is not 16 bytes in base64url (22 characters)");
                }
            }
        }
        if (service == Service::WebPush || !endpoint.is_empty()) && !url(endpoint) {
            self.fault(cells, 5, format!("the endpoint is not an https address of at most {ENDPOINT_BYTES} bytes"));
        }
    }
}

fn is_base64url(text: &str, length: usize) -> bool {
    let text = text.trim_end_matches('=');
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// The id of ours that a text may be.
fn id_in(text: &str) -> Option<Vec<u8>> {
    if text.len() != 36 {
        return None;
    }
    Uuid::parse_str(text).ok().map(|id| id.as_bytes().to_vec())
}
