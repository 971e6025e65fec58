//! A CSV file of assets, with a header.

use std::collections::{BTreeMap, HashMap};

use csv::ByteRecord;

use crate::manifest::{Place, Problem};

use super::NamedFile;
use super::intake::{Intake, NO_SUCH_SERVICE, unsupported};
use super::kinds::{Service, service_of};
use super::lines::without_mark;
use super::table::{Group, GroupId};

/// The columns that a manifest names.
pub(super) struct Wanted<'a> {
    pub(super) id: &'a str,
    pub(super) revision: Option<&'a str>,
    pub(super) kind: Option<&'a str>,
    /// Columns that must hold exactly these texts.
    pub(super) filter: &'a BTreeMap<String, String>,
}

/// Where in a row they stand.
struct Columns<'a> {
    id: usize,
    revision: Option<usize>,
    kind: Option<usize>,
    filter: Vec<(usize, &'a str)>,
}

/// Takes in every row of `file` that the filter lets through.
pub(super) fn take(
    intake: &mut Intake<'_>,
    wanted: &Wanted<'_>,
    file: &NamedFile,
    place_of: &dyn Fn(&str) -> Place,
) {
    let contents = without_mark(&file.bytes);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(contents);
    let mut record = ByteRecord::new();
    let Some(header) = next_row(&mut reader, &mut record).then(|| header_of(&record)) else {
        let problem = Problem::error("csv-column", Some(place_of("csv")), no_header(file));
        intake.report(problem.hint("the first row names the columns"));
        return;
    };
    let Some(columns) = find_columns(intake, wanted, &header, file, place_of) else {
        return;
    };
    let mut rows = Rows {
        intake,
        file,
        columns,
        width: header.len(),
        groups: HashMap::new(),
    };
    while next_row(&mut reader, &mut record) {
        let line = line_of(&record, contents);
        if let Some(line) = open_quote(&record, &reader, contents) {
            let why = "a quote opens here and is never closed: all that follows is left out";
            let hint = Some("close it, or write a quote inside a field twice");
            rows.intake.skip(file, line, why, hint);
            break;
        }
        if let Err(why) = rows.take_one(&record, line) {
            rows.intake.skip(file, line, &why.0, why.1);
        }
    }
    intake.finish_file(file);
}

fn no_header(file: &NamedFile) -> String {
    format!("{} has no header row", file.name)
}

/// Reads on to the next row that is neither empty nor a comment.
fn next_row(reader: &mut csv::Reader<&[u8]>, record: &mut ByteRecord) -> bool {
    // Reading bytes from memory, flexibly, has no way to fail.
    while reader.read_byte_record(record).unwrap_or(false) {
        let is_comment = record.get(0).is_some_and(|first| first.starts_with(b"#"));
        if !is_comment && record.iter().any(|field| !field.is_empty()) {
            return true;
        }
    }
    false
}

/// The line a row starts on. The reader may stand before the line feed that
/// ends the row above, and before empty lines.
fn line_of(record: &ByteRecord, contents: &[u8]) -> u32 {
    let Some(position) = record.position() else {
        return 0;
    };
    let feeds = contents[position.byte() as usize..]
        .iter()
        .take_while(|byte| matches!(byte, b'\r' | b'\n'))
        .filter(|byte| **byte == b'\n')
        .count();
    position.line() as u32 + feeds as u32
}

/// The line of a quote that nothing closes, so that the rest of the file is
/// one field; only the last row can hold it.
fn open_quote(record: &ByteRecord, reader: &csv::Reader<&[u8]>, contents: &[u8]) -> Option<u32> {
    let is_last = reader.position().byte() == contents.len() as u64;
    let start = record.position().filter(|_| is_last)?;
    let mut opened = None;
    let mut line = start.line() as u32;
    let mut bytes = contents[start.byte() as usize..].iter().peekable();
    let mut is_first_in_field = true;
    while let Some(byte) = bytes.next() {
        line += u32::from(*byte == b'\n');
        match (byte, opened) {
            // Two quotes are one of the field's own.
            (b'"', Some(_)) if bytes.next_if(|next| **next == b'"').is_none() => opened = None,
            (b'"', None) if is_first_in_field => opened = Some(line),
            _ => {}
        }
        is_first_in_field = opened.is_none() && matches!(byte, b',' | b'\n' | b'\r');
    }
    opened
}

fn header_of(record: &ByteRecord) -> Vec<String> {
    record
        .iter()
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect()
}

/// Finds the wanted columns, reporting every one that is not there.
fn find_columns<'a>(
    intake: &mut Intake<'_>,
    wanted: &Wanted<'a>,
    header: &[String],
    file: &NamedFile,
    place_of: &dyn Fn(&str) -> Place,
) -> Option<Columns<'a>> {
    let mut find = |field: &str, name: &str| {
        let found = header.iter().position(|column| column == name);
        if found.is_none() {
            let message = format!("{} has no column {name:?}", file.name);
            intake.report(
                Problem::error("csv-column", Some(place_of(field)), message)
                    .hint(format!("its columns are {}", header.join(", "))),
            );
        }
        found
    };
    let id = find("id", wanted.id);
    let revision = wanted.revision.map(|name| find("revision", name));
    let kind = wanted.kind.map(|name| find("type", name));
    let filter: Vec<Option<(usize, &str)>> = wanted
        .filter
        .iter()
        .map(|(name, text)| Some((find("where", name)?, text.as_str())))
        .collect();
    Some(Columns {
        id: id?,
        revision: match revision {
            Some(found) => Some(found?),
            None => None,
        },
        kind: match kind {
            Some(found) => Some(found?),
            None => None,
        },
        filter: filter.into_iter().collect::<Option<_>>()?,
    })
}

struct Rows<'r, 'i, 'a> {
    intake: &'r mut Intake<'i>,
    file: &'r NamedFile,
    columns: Columns<'a>,
    width: usize,
    /// One for each type met so far; the empty text is no type.
    groups: HashMap<String, GroupId>,
}

/// Why a row is left out, and the cure.
struct BadRow(String, Option<&'static str>);

impl Rows<'_, '_, '_> {
    fn take_one(&mut self, record: &ByteRecord, line: u32) -> Result<(), BadRow> {
        if record.len() != self.width {
            let message = format!(
                "{} fields where the header has {}",
                record.len(),
                self.width
            );
            return Err(BadRow(message, Some("quote fields that hold a comma")));
        }
        for (column, text) in &self.columns.filter {
            if record.get(*column) != Some(text.as_bytes()) {
                return Ok(());
            }
        }
        let id = text_of(record, self.columns.id)?;
        if self.intake.is_excluded(id) {
            return Ok(());
        }
        let revision = match self.columns.revision {
            Some(column) => Some(text_of(record, column)?).filter(|text| !text.is_empty()),
            None => None,
        };
        let kind = match self.columns.kind {
            Some(column) => text_of(record, column)?,
            None => "",
        };
        let group = self.group(kind, line)?;
        self.intake
            .push(group, line, id, revision)
            .map_err(|fault| BadRow(fault.to_string(), Some(fault.hint())))
    }

    /// The group of the rows of type `kind`.
    fn group(&mut self, kind: &str, line: u32) -> Result<GroupId, BadRow> {
        if let Some(group) = self.groups.get(kind) {
            return Ok(*group);
        }
        if service_of(kind) == Service::Unsupported {
            return Err(BadRow(unsupported(kind), Some(NO_SUCH_SERVICE)));
        }
        if !kind.is_empty() && service_of(kind) == Service::Unknown {
            let name = &self.file.name;
            self.intake.warn_of_kind(kind, || Place {
                line,
                ..Place::file(name.clone())
            });
        }
        let group = self.intake.add_group(Group {
            kind: (!kind.is_empty()).then(|| kind.to_owned()),
            crops: None,
            revision: None,
            file: Some(self.file.name.clone()),
        });
        self.groups.insert(kind.to_owned(), group);
        Ok(group)
    }
}

fn text_of(record: &ByteRecord, column: usize) -> Result<&str, BadRow> {
    let field = record.get(column).unwrap_or_default();
    std::str::from_utf8(field).map_err(|_| {
        BadRow(
            "this row is not UTF-8".to_owned(),
            Some("save the file as UTF-8"),
        )
    })
}
