//! A file of asset ids, one a line.

use crate::manifest::Place;

use super::NamedFile;
use super::intake::Intake;
use super::table::Group;

/// Takes every id of `file` into one group.
pub(super) fn take(
    intake: &mut Intake<'_>,
    group: Group,
    file: &NamedFile,
    place_of: &dyn Fn(&str) -> Place,
) {
    if let Some(kind) = &group.kind
        && !intake.judge_kind(kind, || place_of("type"))
    {
        return;
    }
    let group = intake.add_group(group);
    for (line, bytes) in (1..).zip(without_mark(&file.bytes).split(|byte| *byte == b'\n')) {
        let Ok(text) = std::str::from_utf8(bytes) else {
            intake.skip(
                file,
                line,
                "this line is not UTF-8",
                Some("save the file as UTF-8"),
            );
            continue;
        };
        let id = text.trim();
        if id.is_empty() || id.starts_with('#') || intake.is_excluded(id) {
            continue;
        }
        if let Err(fault) = intake.push(group, line, id, None) {
            intake.skip(file, line, &fault.to_string(), Some(fault.hint()));
        }
    }
    intake.finish_file(file);
}

/// The contents without a byte order mark.
pub(super) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}
