//! `import-urls`: manifests from a list of URLs.
#![expect(clippy::disallowed_methods, reason = "reads the list")]

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;

use super::args::Global;
use super::exit::{Exit, Failure};
use super::output::{self, Output};
use super::{placing, workspace};
use crate::import::{self, Listing};
use crate::report::excerpt;
use crate::report::import::{Read, report};

/// `import-urls`.
#[derive(Args, Debug)]
#[command(after_help = SOURCES)]
pub(super) struct Arguments {
    /// A list of URLs, a sitemap or an access log; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Folder to write into; created if need be, may hold no manifests yet
    #[arg(long, value_name = "DIR", default_value = "./manifests")]
    out: PathBuf,
    /// What stands in front of the paths of a log: scheme and host
    #[arg(long, value_name = "URL", value_parser = import::server)]
    server: Option<String>,
}

const SOURCES: &str = "\
What FILE holds is told by its content; gzip is unpacked:
  - a sitemap begins with `<`: the text of every `loc` is a URL, images' too;
  - anything else is read line by line. Blank lines and those that begin with `#`
    say nothing. A line that begins with http:// or https://, or has no blanks,
    is a URL, and goes in byte for byte;
  - any other is a line of an access log: the target of its GET or HEAD request,
    \"GET /path HTTP/1.1\" in quotes, counts unless a status of 400 or more
    follows; without quotes, a whole URL behind the word GET or HEAD.

A form of URL that several ids have becomes a Template; ids with the same forms
become a set; what is left is listed under `urls`. Before anything is put into
DIR it is read back and expanded: unless that yields the same URLs, byte for
byte, nothing is written. Lines that hold no URL are named, left out, and end
the command with 4.";

/// Reads the list, and writes manifests that expand to just that.
pub(super) fn run(arguments: &Arguments, global: &Global, output: Output) -> Result<Exit, Failure> {
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

fn read(arguments: &Arguments) -> Result<Listing, Failure> {
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
