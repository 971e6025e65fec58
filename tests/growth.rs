//! How memory grows with the number of URLs: nothing here is timed.
#![expect(
    clippy::disallowed_methods,
    reason = "tests set up and look at the world that the edges touch"
)]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use freshen::declare::{Declared, Options, declare};
use freshen::load;
use wait4::Wait4 as _;

/// URLs of each id.
const ENTRIES: usize = 10;

/// URLs that are expanded at a time, about.
const CHUNK: usize = 16 * 1024;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Whoever counts what this process allocates is alone in it.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn expanding_and_hashing_allocates_by_the_chunk_and_not_by_the_url() {
    let _alone = ALONE.lock();
    let (few, many) = (10 * CHUNK, 40 * CHUNK);
    // What is made once in a process is made now.
    allocations(few);
    let grown = allocations(many).saturating_sub(allocations(few));
    let most = 200 + 10 * (many - few) / CHUNK;
    assert!(
        grown <= most as u64,
        "{grown} more allocations for {} more URLs",
        many - few
    );
}

#[test]
fn a_plan_takes_forty_bytes_for_each_further_url_at_most() {
    let _alone = ALONE.lock();
    let (one, four) = (peak_bytes(1_000_000), peak_bytes(4_000_000));
    // A process is said to have had what the one had that started it.
    let own = resident_bytes();
    assert!(one > own, "{own} bytes of this process hide the {one}");
    let each = (four - one) / 3_000_000;
    assert!(each <= 40, "{each} bytes for each of 3,000,000 more URLs");
}

/// Allocations from the bytes of a file of ids to all entries.
fn allocations(urls: usize) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), urls);
    let declared = declared(folder.path());
    let (set, cdn) = (&declared.sets["all"], &declared.cdns["dynamic-media"]);
    let _counting = dhat::Profiler::builder().testing().build();
    let expansion = set.expand().expansion.unwrap();
    let entries = expansion.entries(&cdn.wire);
    let allocations = dhat::HeapStats::get().total_blocks;
    assert_eq!(entries.len(), urls);
    allocations
}

/// The most memory that the program has at once for a plan of so many URLs.
fn peak_bytes(urls: usize) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("manifests"), urls);
    let plan = Command::new(env!("CARGO_BIN_EXE_freshen"))
        .arg("plan")
        .current_dir(folder.path())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let ended = plan.unwrap().wait4().unwrap();
    // Without a past so much waits for an approval.
    assert_eq!(ended.status.code(), Some(3));
    ended.rusage.maxrss
}

/// The most memory that this process has had at once.
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mut lines = status.lines();
    let peak = lines.find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn declared(folder: &Path) -> Declared {
    let manifests = vec![folder.to_owned()];
    let options = Options {
        manifests: manifests.clone(),
        max_expansion: 20_000_000,
        known: Arc::default(),
    };
    let declared = load::scan(&manifests, |tree| declare(tree, &options)).unwrap();
    assert!(declared.problems.is_empty(), "{:#?}", declared.problems);
    declared
}

/// A set of so many URLs, with its ids in a file.
fn write(folder: &Path, urls: usize) {
    fs::create_dir_all(folder).unwrap();
    let mut text = String::from(MANIFESTS);
    for entry in 0..ENTRIES {
        writeln!(text, "    <ID>?$preset-{entry}$&wid=830&hei=458").unwrap();
    }
    fs::write(folder.join("all.yaml"), text).unwrap();
    let mut ids = String::new();
    for id in 0..urls.div_ceil(ENTRIES) {
        writeln!(ids, "SKU-{id:08}_hero").unwrap();
    }
    fs::write(folder.join("skus.txt"), ids).unwrap();
}

const MANIFESTS: &str = r#"
apiVersion: freshen/v1
kind: Cdn
metadata: { name: dynamic-media }
spec:
  dynamicMedia:
    region: northAmerica
    company: AcmeCorp
    publishServers: ["https://media.acme.com"]
    credentials: { user: { env: IPS_USER }, password: { env: IPS_PASSWORD } }
---
apiVersion: freshen/v1
kind: AssetSet
metadata: { name: all }
spec:
  templates: [sizes]
  limits: { maxUrls: 100000000 }
  assetsFrom: [{ file: skus.txt, type: Image }]
---
apiVersion: freshen/v1
kind: Template
metadata: { name: sizes }
spec:
  revision: "1"
  urls: |
"#;
