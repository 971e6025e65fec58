//! The stages one by one: `cargo bench --bench stages`.
//!
//! Sorting and dedup are a part of `Expansion::entries`: what it takes on one
//! core beyond expanding and hashing.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a bench sets up files, and ends where it cannot"
)]

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use freshen::batch::journal::{BatchNo, Cause, Claim, Close, NewBatch, Outcome};
use freshen::declare::{Cdn, Declared, Options, declare};
use freshen::digest::{Digest, Entry, ItemKind, Key, Mark};
use freshen::load;
use freshen::manifest::{ProviderSchemas, SourceFile, read_catalog};
use freshen::plan::diff::{Past, diff};
use freshen::plan::recorded::{LedgerContents, LedgerId, TargetId};
use freshen::provider::{Answer, Credentials, Facts, catalog};
use freshen::state::{Begin, Holder, Step, Store};

const IDS: usize = 10_000;
const ENTRIES: usize = 10;
const URLS: usize = IDS * ENTRIES;
const BATCH: usize = 1_000;

/// Batches of one run of the journal.
const BATCHES: usize = 10;

const NOW_MS: i64 = 1_800_000_000_000;

const ACCEPTED: &str = include_str!("../tests/cases/ips/accepted-by-handle.xml");

criterion_group!(
    stages,
    parse,
    expand_and_hash,
    entries,
    compare,
    soap,
    answer,
    journal,
    open_state
);
criterion_main!(stages);

/// From the text of a manifest to its values.
fn parse(criterion: &mut Criterion) {
    let mut text = String::from(SET);
    text.push_str("  assets:\n");
    for id in ids() {
        writeln!(text, "    - {id}").unwrap();
    }
    let bytes: Arc<[u8]> = text.into_bytes().into();
    let file = SourceFile {
        root: 0,
        path: "set.yaml".to_owned(),
        name: "set.yaml".into(),
        digest: Digest::of(&bytes),
        bytes,
    };
    let schemas: ProviderSchemas = catalog::schemas().into_iter().collect();
    let mut group = criterion.benchmark_group("manifest");
    group.throughput(Throughput::Elements(IDS as u64));
    group.bench_function("parse, check and convert inline assets", |bench| {
        bench.iter(|| read_catalog(std::slice::from_ref(&file), &schemas));
    });
    group.finish();
}

fn expand_and_hash(criterion: &mut Criterion) {
    let declared = declared();
    let (set, cdn) = (&declared.sets["all"], cdn(&declared));
    let expansion = set.expand().expansion.unwrap();
    let mut group = criterion.benchmark_group("expand");
    group.throughput(Throughput::Elements(URLS as u64));
    group.bench_function("compile, ids included", |bench| bench.iter(|| set.expand()));
    group.bench_function("expand and hash, one core", |bench| {
        bench.iter(|| expansion.for_each(|url, mark| _ = black_box(entry(cdn, url, mark))));
    });
    group.finish();
}

fn entries(criterion: &mut Criterion) {
    let declared = declared();
    let expansion = declared.sets["all"].expand().expansion.unwrap();
    let wire = &cdn(&declared).wire;
    let one_core = rayon::ThreadPoolBuilder::new().num_threads(1);
    let one_core = one_core.build().unwrap();
    let mut group = criterion.benchmark_group("expand");
    group.throughput(Throughput::Elements(URLS as u64));
    group.bench_function("expand, hash, sort and dedup, one core", |bench| {
        one_core.install(|| bench.iter(|| expansion.entries(wire)));
    });
    group.bench_function("expand, hash, sort and dedup, all cores", |bench| {
        bench.iter(|| expansion.entries(wire));
    });
    group.finish();
}

/// A hundredth of what is desired is not as the ledger has it.
fn compare(criterion: &mut Criterion) {
    let declared = declared();
    let expansion = declared.sets["all"].expand().expansion.unwrap();
    let desired = expansion.entries(&cdn(&declared).wire);
    let recorded = desired.iter().enumerate();
    let recorded = recorded.map(|(at, entry)| if at % 100 == 0 { entry.owed() } else { *entry });
    let contents = LedgerContents {
        entries: recorded.collect(),
        ..LedgerContents::default()
    };
    let past = Past {
        contents: &contents,
        refused: &[],
        held: &[],
        elsewhere: &[],
        waiting: &[],
        due: &[],
    };
    let mut group = criterion.benchmark_group("plan");
    group.throughput(Throughput::Elements(URLS as u64));
    group.bench_function("digest of what is desired", |bench| {
        bench.iter(|| Digest::of_entries(&desired));
    });
    group.bench_function("diff against a ledger", |bench| {
        let desired = || desired.clone();
        bench.iter_batched(
            desired,
            |desired| diff(desired, past),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn soap(criterion: &mut Criterion) {
    let declared = declared();
    let provider = &cdn(&declared).provider;
    let (batch, credentials) = (first_batch(&declared), credentials());
    let items: Vec<&str> = batch.iter().map(|(item, _)| &**item).collect();
    let id = Digest::of(b"batch");
    let mut group = criterion.benchmark_group("provider");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("SOAP body of a batch", |bench| {
        bench.iter(|| provider.calls(&id, &items, &Facts::default(), &credentials));
    });
    group.finish();
}

fn answer(criterion: &mut Criterion) {
    let declared = declared();
    let provider = &cdn(&declared).provider;
    let (batch, credentials) = (first_batch(&declared), credentials());
    let items: Vec<&str> = batch.iter().map(|(item, _)| &**item).collect();
    let (_, body) = ACCEPTED.split_once("\n\n").unwrap();
    let answer = Answer {
        status: 200,
        retry_after_ms: None,
        body: body.as_bytes().to_vec(),
    };
    criterion.bench_function("provider/answer to a batch", |bench| {
        bench.iter(|| provider.read(&items, &answer, &credentials));
    });
}

/// Durable, on the disk that the project is on.
fn journal(criterion: &mut Criterion) {
    let declared = declared();
    let batch = first_batch(&declared);
    let mut group = criterion.benchmark_group("state");
    group.sample_size(20);
    group.throughput(Throughput::Elements(BATCHES as u64));
    group.bench_function("close a batch and open the next", |bench| {
        bench.iter_batched(
            || Recorded::new(&batch),
            |mut recorded| {
                let mut open = None;
                for _ in 0..BATCHES {
                    open = Some(recorded.step(open, &batch));
                }
                recorded
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn open_state(criterion: &mut Criterion) {
    let declared = declared();
    let Recorded { store, folder, .. } = Recorded::new(&first_batch(&declared));
    drop(store);
    let path = folder.path().join("freshen.db");
    criterion.bench_function("state/open and close the file", |bench| {
        bench.iter(|| Store::open(&path, &holder(), NOW_MS).unwrap());
    });
}

/// A state that owes a batch.
struct Recorded {
    store: Store,
    target: TargetId,
    ledger: LedgerId,
    folder: tempfile::TempDir,
}

impl Recorded {
    fn new(batch: &[(Box<str>, Entry)]) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = folder.path().join("freshen.db");
        let mut store = Store::open(&path, &holder(), NOW_MS).unwrap();
        let target = store.target("cdn").unwrap().id;
        let begin = Begin {
            set: "all".to_owned(),
            target,
            wire: Digest::of(b"wire"),
            desired: Digest::of(b"desired"),
            owe: sorted(batch),
            record: Vec::new(),
            departed: Vec::new(),
            forget: Vec::new(),
            approve: None,
        };
        let ledger = store.begin(&[begin], NOW_MS).unwrap()[0];
        Self {
            store,
            target,
            ledger,
            folder,
        }
    }

    /// Closes the batch before and opens another, as the submitter does.
    fn step(&mut self, before: Option<BatchNo>, batch: &[(Box<str>, Entry)]) -> BatchNo {
        let close = before.map(|no| Close {
            no,
            outcome: Outcome::Accepted {
                receipt: "handle 4711".to_owned(),
            },
            refusals: Vec::new(),
            gate_ms: None,
        });
        let open = NewBatch {
            target: self.target,
            parent: None,
            cause: Cause::Plan,
            items: batch.iter().map(|(item, _)| item.clone()).collect(),
            claims: vec![Claim {
                ledger: self.ledger,
                entries: sorted(batch),
            }],
        };
        let step = Step {
            close: close.into_iter().collect(),
            open: vec![(open, true)],
            ..Step::default()
        };
        self.store.step(step, NOW_MS).unwrap()[0].no
    }
}

fn sorted(batch: &[(Box<str>, Entry)]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = batch.iter().map(|(_, entry)| *entry).collect();
    entries.sort_unstable();
    entries
}

/// The first items of the set, with their entries.
fn first_batch(declared: &Declared) -> Vec<(Box<str>, Entry)> {
    let expansion = declared.sets["all"].expand().expansion.unwrap();
    let mut batch = Vec::new();
    expansion.for_each(|url, mark| {
        if batch.len() < BATCH {
            batch.push((url.into(), entry(cdn(declared), url, mark)));
        }
    });
    batch
}

fn entry(cdn: &Cdn, url: &str, mark: Mark) -> Entry {
    let item = cdn.wire.item(url.as_bytes());
    Entry::new(Key::of(ItemKind::Url, item), mark)
}

fn cdn(declared: &Declared) -> &Cdn {
    &declared.cdns["dynamic-media"]
}

fn credentials() -> Credentials {
    let mut credentials = Credentials::default();
    credentials.insert("user", "user".to_owned().into());
    credentials.insert("password", "password".to_owned().into());
    credentials
}

fn holder() -> Holder {
    Holder {
        pid: 1,
        host: "here".to_owned(),
        command: "bench".to_owned(),
        since_ms: NOW_MS,
    }
}

/// A set of a file of ids and a template.
fn declared() -> Declared {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let manifests = vec![folder.path().to_owned()];
    let options = Options {
        manifests: manifests.clone(),
        max_expansion: 20_000_000,
        known: Arc::default(),
    };
    let declared = load::scan(&manifests, |tree| declare(tree, &options)).unwrap();
    assert!(declared.problems.is_empty(), "{:#?}", declared.problems);
    declared
}

fn write(folder: &Path) {
    let from = "  templates: [sizes]\n  assetsFrom: [{ file: skus.txt, type: Image }]\n";
    let mut text = [CDN, SET, from, TEMPLATE].concat();
    for entry in 0..ENTRIES {
        writeln!(text, "    <ID>?$preset-{entry}$&wid=830&hei=458").unwrap();
    }
    fs::write(folder.join("all.yaml"), text).unwrap();
    let ids: Vec<String> = ids().map(|id| id + "\n").collect();
    fs::write(folder.join("skus.txt"), ids.concat()).unwrap();
}

fn ids() -> impl Iterator<Item = String> {
    (0..IDS).map(|id| format!("SKU-{id:08}_{:04x}_hero", id * 31 % 65_536))
}

const CDN: &str = r#"
apiVersion: freshen/v1
kind: Cdn
metadata: { name: dynamic-media }
spec:
  dynamicMedia:
    region: northAmerica
    company: AcmeCorp
    companyHandle: "c|6"
    publishServers: ["https://media.acme.com"]
    credentials: { user: { env: IPS_USER }, password: { env: IPS_PASSWORD } }
---
"#;

const SET: &str = "\
apiVersion: freshen/v1
kind: AssetSet
metadata: { name: all }
spec:
";

const TEMPLATE: &str = "\
---
apiVersion: freshen/v1
kind: Template
metadata: { name: sizes }
spec:
  revision: '1'
  urls: |
";
