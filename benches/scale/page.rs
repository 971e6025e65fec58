//! The page that is committed: the table, the plots, and what they come from.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::line::Line;
use crate::machine::Machine;
use crate::svg::Plot;
use crate::table::markdown;

const HEAD: &str = "\
# Performance

Written by `cargo bench --bench scale -- --plots docs/performance`: not edited
by hand. In one run each figure of freshen is taken beside a floor, the least
that the same work takes without it; the ratio is what must hold on any machine.

";

const HOW: &str = "
A figure of freshen is a whole process of the release build, from its start to
its end, the best of three; of start-up it is the median of 31. Peak memory is
what the kernel tells of that process. Inputs are in the page cache, and what
earlier rows have written is on the disk before anything durable is measured.

- *a bare loop* reads the same ids, expands, SHA-256s, sorts and dedups the same
  URLs on all cores, and judges nothing.
- *sha256sum* reads all manifests and all files that they name.
- *git status* runs in a repository of the same files.
- *a bare client* has the very bodies that freshen sent, and is timed from then
  on: it posts them over the same HTTP library and as many connections, and
  keeps no journal.
- A *new checkout* is the same bytes in another file, so that what is known of
  it by its times does not count.

";

/// Writes the page and its plots into `folder`.
pub(crate) fn write(
    folder: &Path,
    machine: &Machine,
    lines: &[Line],
    plots: &[(&str, Plot)],
) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    let mut page = format!("{HEAD}{machine}.\n\n{}{HOW}", markdown(lines));
    for (name, plot) in plots {
        fs::write(folder.join(format!("{name}.svg")), plot.svg())?;
        writeln!(page, "![{}]({name}.svg)", plot.title)?;
    }
    fs::write(folder.join("README.md"), page)?;
    Ok(())
}
