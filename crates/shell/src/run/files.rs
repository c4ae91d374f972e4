//! `Import-Csv` and `Export-Csv`.

use super::{Active, Running, Stop};
use crate::catalogue::{BuiltIn, Does};
use crate::item::{Item, Object, same, text};
use crate::plan::Planned;
use crate::wrong::{Both, Mishap};
use model::Locale;

/// Most bytes of a file: a row for each of a million people.
const FILE_MOST: usize = 256 << 20;

/// Reads a file, or writes one.
pub(super) async fn csv(
    running: &mut Running<'_>,
    call: &Planned<'_>,
    stage: &mut Active<'_>,
    before: &mut [Active<'_>],
) -> Result<(), Stop> {
    stage.ended = true;
    let path = call.own_text("Path", stage.here).unwrap_or_default();
    let delimiter = call.own_text("Delimiter", stage.here).and_then(|text| text.bytes().next()).unwrap_or(b',');
    let done = if matches!(call.cmdlet.does, Does::BuiltIn(BuiltIn::ImportCsv)) {
        let header = call.own_names("Header", stage.here);
        let bytes = running.terminal.read(&path).map_err(|cause| Mishap::CannotRead { path: path.clone(), cause });
        bytes.and_then(|bytes| read(&path, &bytes, delimiter, header)).map(|items| {
            hint(running, &items, delimiter);
            stage.ready = items.into();
        })
    } else {
        let all = running.gather(call.cmdlet, before).await?;
        running.terminal.write(&path, &written(&all, delimiter)).map_err(|cause| Mishap::CannotWrite { path, cause })
    };
    done.map_err(|wrong| {
        running.report(call.cmdlet.name, "", wrong);
        Stop
    })
}

/// One column whose name holds semicolons is a file of another dialect.
fn hint(running: &mut Running<'_>, items: &[Item], delimiter: u8) {
    let Some(Item::Object(object)) = items.first() else { return };
    if let ([(name, _)], b',') = (object.properties.as_slice(), delimiter)
        && name.contains([';', '\t'])
    {
        running.once(match running.locale {
            Locale::En => "the file has one column only; if its cells stand apart by semicolons, add -Delimiter ';'".to_owned(),
            Locale::Fr => "le fichier n’a qu’une colonne ; si des points-virgules séparent les cellules, ajoutez -Delimiter ';'".to_owned(),
        });
    }
}

fn read(path: &str, bytes: &[u8], delimiter: u8, header: Vec<String>) -> Result<Vec<Item>, Mishap> {
    if bytes.len() > FILE_MOST {
        return Err(Mishap::FileTooLarge { path: path.to_owned(), most: FILE_MOST });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Mishap::NotUtf8 { path: path.to_owned() })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let headless = !header.is_empty();
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).has_headers(!headless).from_reader(text.as_bytes());
    let bad = |error: &csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        let cause = match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => cells(*len, *expected_len),
            _ => Both { en: error.to_string(), fr: error.to_string() },
        };
        Mishap::BadCsv { path: path.to_owned(), line, cause }
    };
    let names: Vec<String> = match headless {
        true => header,
        false => reader.headers().map_err(|error| bad(&error))?.iter().map(|name| name.trim().to_owned()).collect(),
    };
    for (place, name) in names.iter().enumerate() {
        if names[..place].iter().any(|other| same(other, name)) {
            return Err(Mishap::TwiceInHeader { path: path.to_owned(), name: name.clone() });
        }
    }
    let mut items = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|error| bad(&error))?;
        if row.len() != names.len() {
            let cause = cells(row.len() as u64, names.len() as u64);
            return Err(Mishap::BadCsv { path: path.to_owned(), line: row.position().map_or(1, csv::Position::line), cause });
        }
        let cells = names.iter().cloned().zip(row.iter().map(|cell| cell.into()));
        items.push(Item::Object(Object::from_pairs(cells)));
    }
    Ok(items)
}

/// That a row is not as long as the others.
fn cells(there: u64, columns: u64) -> Both {
    Both { en: format!("{there} cells, {columns} columns"), fr: format!("cellules : {there}, colonnes : {columns}") }
}

/// Columns are the properties of the first object, as in PowerShell.
fn written(items: &[Item], delimiter: u8) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
    let names = match items.first() {
        Some(Item::Object(object)) => object.names(),
        Some(Item::Plain(_)) => vec!["Value".to_owned()],
        None => return Vec::new(),
    };
    // Writing into memory cannot fail, and every row has as many cells as there are names.
    let _ = writer.write_record(&names);
    for item in items {
        let cells: Vec<String> = match item {
            Item::Object(object) => names.iter().map(|name| object.get(name).map(text).unwrap_or_default()).collect(),
            Item::Plain(value) => std::iter::once(text(value)).chain(names.iter().skip(1).map(|_| String::new())).collect(),
        };
        let _ = writer.write_record(&cells);
    }
    writer.into_inner().unwrap_or_default()
}
