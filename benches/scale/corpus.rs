//! Folders of manifests that rows are measured on.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::sizes::ENTRIES;

/// What every URL of a corpus begins with.
pub(crate) const IMAGES: &str = "https://media.acme.com/is/image/AcmeCorp/";

/// The coarsest step of a file's times: freshen takes no file down that could
/// still be written to without another one.
const STEP: Duration = Duration::from_millis(2_100);

const FITS: &str = "a string takes everything";

/// Where nothing is sent.
const NOWHERE: &str = "http://127.0.0.1:9/ips";

/// A folder in which `freshen` is run, on the disk that the project is on:
/// what is durable costs nothing in memory.
pub(crate) struct Corpus(TempDir);

impl Corpus {
    /// With nothing but a Cdn at `endpoint`, of that `concurrency`.
    pub(crate) fn new(endpoint: &str, concurrency: usize) -> io::Result<Self> {
        let corpus = Self(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?);
        fs::create_dir(corpus.path("manifests"))?;
        corpus.point_at(endpoint, concurrency)?;
        Ok(corpus)
    }

    /// A set of so many ids in a file.
    pub(crate) fn large(ids: usize) -> io::Result<Self> {
        let corpus = Self::new(NOWHERE, 1)?;
        corpus.write("manifests/template.yaml", &template())?;
        corpus.add_set("all", 0, ids)?;
        Ok(corpus)
    }

    /// Sets of so many ids, each with a file of its own.
    pub(crate) fn sets((sets, ids): (usize, usize)) -> io::Result<Self> {
        let corpus = Self::new(NOWHERE, 1)?;
        corpus.write("manifests/template.yaml", &template())?;
        for set in 0..sets {
            corpus.add_set(&format!("set{set:04}"), set * ids, ids)?;
        }
        Ok(corpus)
    }

    /// Manifests of ten assets each, a hundred in a folder.
    pub(crate) fn small(manifests: usize) -> io::Result<Self> {
        let corpus = Self::new(NOWHERE, 1)?;
        for n in 0..manifests {
            let mut text = head("AssetSet", &format!("small{n:05}"));
            text.push_str("  assets:\n");
            for asset in 0..10 {
                writeln!(text, "    - {}", id(n * 10 + asset)).expect(FITS);
            }
            let folder = format!("manifests/{:03}", n / 100);
            fs::create_dir_all(corpus.path(&folder))?;
            corpus.write(&format!("{folder}/small{n:05}.yaml"), &text)?;
        }
        Ok(corpus)
    }

    /// One manifest with all of the assets in it.
    pub(crate) fn inline(assets: usize) -> io::Result<Self> {
        let corpus = Self::new(NOWHERE, 1)?;
        let mut file = BufWriter::new(File::create(corpus.path("manifests/inline.yaml"))?);
        file.write_all(head("AssetSet", "inline").as_bytes())?;
        file.write_all(b"  limits: { maxUrls: 100000000 }\n  assets:\n")?;
        for asset in 0..assets {
            writeln!(file, "    - {}", id(asset))?;
        }
        file.flush()?;
        Ok(corpus)
    }

    /// `freshen` in this folder.
    pub(crate) fn freshen(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_freshen"), arguments);
        command
            .env("IPS_USER", "user")
            .env("IPS_PASSWORD", "password");
        command
    }

    /// Another program in this folder.
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.0.path());
        command
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> io::Result<()> {
        fs::write(self.path(name), text)
    }

    /// The regular files below `manifests` with that extension, as this
    /// folder's programs name them.
    pub(crate) fn files(&self, extension: &str) -> io::Result<Vec<String>> {
        let mut files = Vec::new();
        let mut folders = vec![self.path("manifests")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|found| found == extension) {
                    let path = path.strip_prefix(self.0.path()).unwrap_or(&path);
                    files.push(path.display().to_string());
                }
            }
        }
        files.sort();
        Ok(files)
    }

    /// Puts the Cdn at `endpoint`, with so many calls at once.
    pub(crate) fn point_at(&self, endpoint: &str, concurrency: usize) -> io::Result<()> {
        self.write("manifests/cdn.yaml", &cdn(endpoint, concurrency))
    }

    /// Removes the state.
    pub(crate) fn forget(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.0.path())? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("freshen.db") {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// Waits until freshen may take down what the files hold.
    pub(crate) fn let_settle() {
        std::thread::sleep(STEP);
    }

    fn add_set(&self, name: &str, first: usize, ids: usize) -> io::Result<()> {
        let text = format!(
            "{}  templates: [sizes]\n  limits: {{ maxUrls: 100000000 }}\n  \
             assetsFrom: [{{ file: {name}.txt, type: Image }}]\n",
            head("AssetSet", name)
        );
        self.write(&format!("manifests/{name}.yaml"), &text)?;
        write_ids(&self.path(&format!("manifests/{name}.txt")), first, ids)
    }
}

/// What the template adds to each id.
pub(crate) fn suffixes() -> impl Iterator<Item = String> {
    (0..ENTRIES).map(|entry| format!("?$preset-{entry}$&wid=830&hei=458"))
}

/// The beginning of a manifest, up to the lines of its `spec`.
pub(crate) fn head(kind: &str, name: &str) -> String {
    format!("apiVersion: freshen/v1\nkind: {kind}\nmetadata: {{ name: {name} }}\nspec:\n")
}

/// A Cdn whose rate never makes anything wait.
fn cdn(endpoint: &str, concurrency: usize) -> String {
    format!(
        r#"{}  dynamicMedia:
    endpoint: "{endpoint}"
    company: AcmeCorp
    companyHandle: "c|6"
    publishServers: ["https://media.acme.com"]
    credentials: {{ user: {{ env: IPS_USER }}, password: {{ env: IPS_PASSWORD }} }}
  rateLimit: {{ requests: 1000000/1s, urls: 1000000000/1s }}
  concurrency: {concurrency}
"#,
        head("Cdn", "dynamic-media")
    )
}

fn template() -> String {
    let mut text = head("Template", "sizes") + "  revision: \"1\"\n  urls: |\n";
    for suffix in suffixes() {
        writeln!(text, "    <ID>{suffix}").expect(FITS);
    }
    text
}

fn write_ids(path: &Path, first: usize, count: usize) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for number in first..first + count {
        writeln!(file, "{}", id(number))?;
    }
    file.flush()
}

/// An id as catalogues have them.
fn id(number: usize) -> String {
    format!("SKU-{number:08}_{:04x}_hero", number * 31 % 65_536)
}
