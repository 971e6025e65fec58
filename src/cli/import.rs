//! `import-urls`: manifests from a list of URLs.
#![expect(clippy::disallowed_methods, reason = "reads the list")]

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use super::args::{Global, ImportUrls};
use super::exit::{Exit, Failure};
use super::output::{self, Output};
use super::{placing, workspace};
use crate::import::{self, Listing};
use crate::report::excerpt;
use crate::report::import::{Read, report};

/// Reads the list, and writes manifests that expand to just that.
pub(super) fn run(
    arguments: &ImportUrls,
    global: &Global,
    output: Output,
) -> Result<Exit, Failure> {
    let folder = &arguments.out;
    placing::check_no_others(folder, &[])?;
    let listing = read(arguments)?;
    if listing.urls.is_empty() {
        output::problems(&excerpt::render(&listing.problems, false));
        let file = arguments.file.display();
        let error =
            anyhow::anyhow!("No URL(s) entered to be invalidated: none was found in {file}");
        return Err(Failure::nothing(error));
    }
    let accounts = import::group(&listing.urls);
    let files = import::of_accounts(&accounts);
    placing::place(folder, &files, global.max_expansion, |declared| {
        import::prove(declared, Some(&listing.urls))
    })?;
    let has_errors = workspace::has_errors(&listing.problems);
    let read = Read {
        folder: folder.display().to_string(),
        urls: listing.urls.len() as u64,
        passed_over: listing.passed_over,
        problems: listing.problems,
    };
    output.report(&report(read, &accounts), None)?;
    Ok(Exit::first([(has_errors, Exit::Failed)]))
}

fn read(arguments: &ImportUrls) -> Result<Listing, Failure> {
    let path = &arguments.file;
    let mut input: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let file =
            File::open(path).with_context(|| format!("failed to open {}", path.display()))?;
        Box::new(BufReader::new(file))
    };
    let name: Arc<str> = path.display().to_string().into();
    let listing = import::read(&mut *input, &name, arguments.server.as_deref());
    Ok(listing.with_context(|| format!("failed to read {}", path.display()))?)
}
