//! What a person must see although a test passes: its output is not captured.

use std::io::Write as _;

/// Writes a line to standard error, past whatever captures `eprintln`.
pub(crate) fn say(line: &str) {
    let mut stderr = std::io::stderr().lock();
    stderr.write_all(format!("{line}\n").as_bytes()).unwrap();
}
