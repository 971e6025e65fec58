//! The state file: what is recorded survives, and damage is never believed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use freshen::batch::journal::{BatchNo, Cause, Claim, Close, NewBatch, OpenBatch, Outcome};
use freshen::digest::{Digest, Entry, ItemKind, Key, Mark};
use freshen::plan::recorded::{LedgerContents, LedgerId, Refusal, TargetId};
use freshen::state::{
    Approval, Begin, HistoryFilter, Holder, NewRequest, Observation, Reader, Scope, Seen,
    StateError, Step, Store, ask, check_location, export, holder,
};
use proptest::prelude::*;
use tempfile::TempDir;

const NOW: i64 = 1_795_000_000_000;
const DAY: i64 = 24 * 60 * 60 * 1000;

/// A state file in a folder of its own.
struct Home {
    folder: TempDir,
}

impl Home {
    fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("freshen.db")
    }

    fn open(&self) -> Store {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<Store, StateError> {
        Store::open(&self.path(), &me(), NOW)
    }

    fn files(&self) -> Vec<String> {
        let files = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn me() -> Holder {
    Holder {
        pid: std::process::id(),
        host: "here".to_owned(),
        command: "freshen run".to_owned(),
        since_ms: NOW,
    }
}

fn key(url: &str) -> Key {
    Key::of(ItemKind::Url, url.as_bytes())
}

/// An entry of the URL `url` at revision `revision`; revision "" is owed.
fn entry(url: &str, revision: &str) -> Entry {
    match revision {
        "" => Entry::new(key(url), Mark::OWED),
        _ => Entry::new(key(url), Mark::of(&[Some(revision)])),
    }
}

/// Entries written `url@revision`, sorted.
fn entries(list: &[&str]) -> Vec<Entry> {
    let split = list.iter().map(|text| text.split_once('@').unwrap());
    let mut entries: Vec<Entry> = split.map(|(url, revision)| entry(url, revision)).collect();
    entries.sort_unstable();
    entries
}

fn keys(urls: &[&str]) -> Vec<Key> {
    let mut keys: Vec<Key> = urls.iter().map(|url| key(url)).collect();
    keys.sort_unstable();
    keys
}

fn begin(set: &str, target: TargetId) -> Begin {
    Begin {
        set: set.to_owned(),
        target,
        wire: Digest::of(b"wire"),
        desired: Digest::of(b"desired"),
        owe: Vec::new(),
        record: Vec::new(),
        departed: Vec::new(),
        forget: Vec::new(),
        approve: None,
    }
}

fn target(store: &mut Store) -> TargetId {
    store.target("cdn").unwrap().id
}

fn ledger(store: &Store, set: &str) -> LedgerId {
    let sets = store.sets().unwrap();
    let set = sets.iter().find(|known| known.name == set).unwrap();
    set.ledgers["cdn"].id
}

fn serial(store: &Store, set: &str) -> u64 {
    let sets = store.sets().unwrap();
    sets.iter().find(|known| known.name == set).unwrap().serial
}

fn contents(store: &Store, set: &str) -> LedgerContents {
    store.contents(ledger(store, set), NOW).unwrap()
}

/// Records `list` as accepted in `set`.
fn adopt(store: &mut Store, set: &str, list: &[&str]) -> LedgerId {
    let target = target(store);
    let record = entries(list);
    let begin = Begin {
        record,
        ..begin(set, target)
    };
    store.begin(&[begin], NOW).unwrap();
    ledger(store, set)
}

/// Opens a batch of `list`, claimed by `ledger`.
fn open(store: &mut Store, ledger: LedgerId, list: &[&str]) -> OpenBatch {
    let target = target(store);
    let batch = NewBatch {
        target,
        parent: None,
        cause: Cause::Plan,
        items: list
            .iter()
            .map(|text| text.split_once('@').unwrap().0.into())
            .collect(),
        claims: vec![Claim {
            ledger,
            entries: entries(list),
        }],
    };
    let step = Step {
        open: vec![(batch, true)],
        ..Step::default()
    };
    store.step(step, NOW).unwrap().pop().unwrap()
}

fn close(store: &mut Store, no: BatchNo, outcome: Outcome) {
    let close = Close {
        no,
        outcome,
        refusals: Vec::new(),
        gate_ms: None,
    };
    let step = Step {
        close: vec![close],
        ..Step::default()
    };
    store.step(step, NOW).unwrap();
}

fn accepted() -> Outcome {
    Outcome::Accepted {
        receipt: "ok".to_owned(),
    }
}

fn accept(store: &mut Store, ledger: LedgerId, list: &[&str]) {
    let batch = open(store, ledger, list);
    close(store, batch.no, accepted());
}

fn seen(names: &[&str]) -> Observation {
    Observation {
        present: names
            .iter()
            .map(|name| Seen {
                is_loaded: true,
                name: (*name).to_owned(),
                formerly: Vec::new(),
                inputs: Some(Digest::of(name.as_bytes())),
            })
            .collect(),
        frozen: false,
    }
}

#[test]
fn what_was_recorded_is_there_after_opening_again() {
    let home = Home::new();
    let mut store = home.open();
    assert!(store.is_new().unwrap());
    let id = adopt(&mut store, "spring", &["a@1", "b@1"]);
    let batch = open(&mut store, id, &["a@2", "c@1"]);
    store.observe(&seen(&["spring"]), NOW).unwrap();
    store.let_through().unwrap();
    drop(store);

    let mut store = home.open();
    assert!(!store.is_new().unwrap());
    assert_eq!(contents(&store, "spring").entries, entries(&["a@1", "b@1"]));
    assert_eq!(contents(&store, "spring").open, keys(&["a", "c"]));
    assert_eq!(store.open_batches().unwrap(), vec![batch.clone()]);
    close(&mut store, batch.no, accepted());
    assert_eq!(
        contents(&store, "spring").entries,
        entries(&["a@2", "b@1", "c@1"])
    );
    assert_eq!(store.open_batches().unwrap(), Vec::new());
}

/// Owes `list` in `set`, as a plan does before it sends.
fn owe(store: &mut Store, set: &str, list: &[&str]) {
    let target = target(store);
    let owe = entries(list);
    store
        .begin(
            &[Begin {
                owe,
                ..begin(set, target)
            }],
            NOW,
        )
        .unwrap();
}

/// Says that `urls` are what has left `set` by now.
fn depart(store: &mut Store, set: &str, urls: &[&str], now_ms: i64) {
    let target = target(store);
    let departed = keys(urls);
    let begin = Begin {
        departed,
        ..begin(set, target)
    };
    store.begin(&[begin], now_ms).unwrap();
}

#[test]
fn a_to_b_to_a_is_owed_whether_b_was_sent_unsent_or_lost() {
    for outcome in [
        None,
        Some(accepted()),
        Some(Outcome::Failed {
            message: "lost".to_owned(),
        }),
    ] {
        let home = Home::new();
        let mut store = home.open();
        let id = adopt(&mut store, "spring", &["a@A"]);
        owe(&mut store, "spring", &["a@B"]);
        assert_eq!(contents(&store, "spring").entries, entries(&["a@"]));
        if let Some(outcome) = outcome {
            let batch = open(&mut store, id, &["a@B"]);
            close(&mut store, batch.no, outcome);
        }
        drop(store);
        // Back at A: what is recorded is not A, so A is sent.
        assert_ne!(contents(&home.open(), "spring").entries, entries(&["a@A"]));
    }
}

#[test]
fn owing_does_not_write_what_is_new_and_does_not_lose_what_was_accepted() {
    let mut store = Store::in_memory(NOW).unwrap();
    let id = adopt(&mut store, "spring", &["a@1"]);
    accept(&mut store, id, &["b@1"]);
    owe(&mut store, "spring", &["b@2", "c@1"]);
    assert_eq!(contents(&store, "spring").entries, entries(&["a@1", "b@"]));
}

#[test]
fn accepted_claims_read_the_same_before_and_after_folding() {
    let mut store = Store::in_memory(NOW).unwrap();
    let id = adopt(&mut store, "spring", &["a@1", "b@1"]);
    accept(&mut store, id, &["a@2", "c@1"]);
    accept(&mut store, id, &["a@3"]);
    let before = contents(&store, "spring");
    assert_eq!(before.entries, entries(&["a@3", "b@1", "c@1"]));
    store.settle(&[id]).unwrap();
    assert_eq!(contents(&store, "spring"), before);
    store.settle(&[id]).unwrap();
    assert_eq!(contents(&store, "spring"), before);
    assert!(store.sets().unwrap()[0].ledgers["cdn"].is_settled);
}

#[test]
fn a_gate_is_as_late_as_the_latest_answer_asked_for_whatever_came_after() {
    let mut store = Store::in_memory(NOW).unwrap();
    let id = adopt(&mut store, "spring", &["a@1"]);
    for gate_ms in [NOW + 590_000, NOW + 5_000] {
        let batch = open(&mut store, id, &["a@2"]);
        let close = Close {
            no: batch.no,
            outcome: accepted(),
            refusals: Vec::new(),
            gate_ms: Some(gate_ms),
        };
        let step = Step {
            close: vec![close],
            ..Step::default()
        };
        store.step(step, NOW).unwrap();
        let gate_ms = store.sets().unwrap()[0].ledgers["cdn"].gate_ms;
        assert_eq!(gate_ms, Some(NOW + 590_000));
    }
}

#[test]
fn a_file_gives_back_the_space_of_history_that_is_past_keeping() {
    let home = Home::new();
    let mut store = home.open();
    let id = adopt(&mut store, "spring", &["a@1"]);
    for batch in 0..250 {
        let list: Vec<String> = (0..500).map(|n| format!("{batch}-{n}@1")).collect();
        let list: Vec<&str> = list.iter().map(String::as_str).collect();
        let batch = open(&mut store, id, &list);
        let message = "lost".to_owned();
        close(&mut store, batch.no, Outcome::Failed { message });
    }
    drop(store);
    let size = || fs::metadata(home.path()).unwrap().len();
    let before = size();
    let mut store = home.open();
    store.prune_history(NOW + 91 * DAY).unwrap();
    drop(store);
    assert!(size() < before / 4, "{} of {before} bytes left", size());
}

#[test]
fn a_serial_grows_only_when_a_ledger_changes() {
    let mut store = Store::in_memory(NOW).unwrap();
    adopt(&mut store, "spring", &["a@1"]);
    let first = serial(&store, "spring");
    let whole = store.meta().unwrap().serial;
    adopt(&mut store, "spring", &["a@1"]);
    store.observe(&seen(&["spring"]), NOW).unwrap();
    store.observe(&seen(&["spring"]), NOW + DAY).unwrap();
    assert_eq!(serial(&store, "spring"), first);
    // Only the inputs that were observed first.
    assert_eq!(store.meta().unwrap().serial, whole + 1);
    owe(&mut store, "spring", &["a@2"]);
    assert_eq!(serial(&store, "spring"), first + 1);
}

#[test]
fn what_has_departed_returns_as_it_was_and_is_dropped_after_30_counted_days() {
    let home = Home::new();
    let mut store = home.open();
    let id = adopt(&mut store, "spring", &["a@1", "b@1", "c@1"]);
    depart(&mut store, "spring", &["a", "b"], NOW);
    depart(&mut store, "spring", &["b"], NOW);
    assert_eq!(contents(&store, "spring").departed, keys(&["b"]));
    assert_eq!(
        contents(&store, "spring").entries,
        entries(&["a@1", "b@1", "c@1"])
    );
    let frozen = Observation {
        frozen: true,
        ..seen(&["spring"])
    };
    for day in 1..=30 {
        store.observe(&seen(&["spring"]), NOW + day * DAY).unwrap();
    }
    // Time does not count while something cannot be read.
    store.observe(&frozen, NOW + 31 * DAY).unwrap();
    store.observe(&frozen, NOW + 60 * DAY).unwrap();
    store.observe(&seen(&["spring"]), NOW + 61 * DAY).unwrap();
    assert_eq!(store.departed(id).unwrap()[0].0.cast_signed(), 30 * DAY);
    assert_eq!(contents(&store, "spring").entries.len(), 3);
    drop(store);
    let mut store = home.open();
    store.observe(&seen(&["spring"]), NOW + 62 * DAY).unwrap();
    assert_eq!(contents(&store, "spring").entries, entries(&["a@1", "c@1"]));
    assert_eq!(contents(&store, "spring").departed, keys(&[]));
}

#[test]
fn a_set_that_cannot_be_loaded_does_not_age() {
    let mut store = Store::in_memory(NOW).unwrap();
    let id = adopt(&mut store, "spring", &["a@1", "b@1"]);
    depart(&mut store, "spring", &["a"], NOW);
    let mut partial = seen(&["spring"]);
    partial.present[0].is_loaded = false;
    for day in 1..=40 {
        store.observe(&partial, NOW + day * DAY).unwrap();
    }
    assert_eq!(store.departed(id).unwrap(), vec![(0, keys(&["a"]))]);
}

#[test]
fn a_missing_set_is_kept_for_30_counted_days_and_a_leap_of_the_clock_is_a_week() {
    let home = Home::new();
    let mut store = home.open();
    adopt(&mut store, "spring", &["a@1"]);
    store.let_through().unwrap();
    store.observe(&seen(&[]), NOW).unwrap();
    store.observe(&seen(&[]), NOW + 365 * DAY).unwrap();
    assert_eq!(store.sets().unwrap()[0].missing_ms, Some(7 * DAY as u64));
    store.observe(&seen(&["spring"]), NOW + 366 * DAY).unwrap();
    assert_eq!(store.sets().unwrap()[0].missing_ms, None);
    for day in 367..=398 {
        store.observe(&seen(&[]), NOW + day * DAY).unwrap();
    }
    assert_eq!(store.sets().unwrap(), Vec::new());
    assert!(!store.is_new().unwrap());
    let conn = rusqlite::Connection::open(home.path()).unwrap();
    let sql = "SELECT kind || ' ' || set_name FROM event ORDER BY id DESC LIMIT 1";
    let told: String = conn.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(told, "expired spring");
}

#[test]
fn a_departed_entry_is_forgotten_when_another_set_sends_its_url() {
    let mut store = Store::in_memory(NOW).unwrap();
    adopt(&mut store, "spring", &["a@A", "b@A"]);
    depart(&mut store, "spring", &["a", "b"], NOW);
    owe(&mut store, "summer", &["a@B"]);
    assert_eq!(contents(&store, "spring").entries, entries(&["b@A"]));
    assert_eq!(contents(&store, "spring").departed, keys(&["b"]));
}

#[test]
fn formerly_carries_a_ledger_over_unless_the_old_name_is_still_there() {
    let rename = |names: &[&str]| {
        let mut store = Store::in_memory(NOW).unwrap();
        let id = adopt(&mut store, "old", &["a@1"]);
        let mut observation = seen(names);
        observation.present[0].formerly = vec!["old".to_owned()];
        store.observe(&observation, NOW).unwrap();
        let sets = store.sets().unwrap();
        assert_eq!(sets[0].ledgers["cdn"].id, id);
        sets[0].name.clone()
    };
    assert_eq!(rename(&["new"]), "new");
    assert_eq!(rename(&["new", "old"]), "old");
}

#[test]
fn changed_inputs_unsettle_a_set_so_that_a_crash_leaves_it_to_be_planned() {
    let mut store = Store::in_memory(NOW).unwrap();
    let id = adopt(&mut store, "spring", &["a@1"]);
    let is_settled = |store: &Store| store.sets().unwrap()[0].ledgers["cdn"].is_settled;
    store.observe(&seen(&["spring"]), NOW).unwrap();
    store.settle(&[id]).unwrap();
    store.observe(&seen(&["spring"]), NOW).unwrap();
    assert!(is_settled(&store));
    let mut other = seen(&["spring"]);
    other.present[0].inputs = Some(Digest::of(b"other"));
    store.observe(&other, NOW).unwrap();
    assert!(!is_settled(&store));
}

#[test]
fn a_ledger_knows_since_when_it_owes_until_all_of_it_was_sent() {
    let mut store = Store::in_memory(NOW).unwrap();
    let id = adopt(&mut store, "spring", &["a@1"]);
    let since = |store: &Store| store.sets().unwrap()[0].ledgers["cdn"].owed_since_ms;
    assert_eq!(since(&store), None);
    let target = target(&mut store);
    for (list, at_ms) in [(&["a@2"][..], NOW + 1), (&["a@2", "b@1"], NOW + 2)] {
        let owe = entries(list);
        let begin = begin("spring", target);
        store.begin(&[Begin { owe, ..begin }], at_ms).unwrap();
        assert_eq!(since(&store), Some(NOW + 1));
    }
    accept(&mut store, id, &["a@2"]);
    assert_eq!(since(&store), Some(NOW + 1));
    store.settle(&[id]).unwrap();
    assert_eq!(since(&store), None);
    owe(&mut store, "spring", &["a@3"]);
    assert_eq!(since(&store), Some(NOW));
    store.sent_all(&[id]).unwrap();
    assert_eq!(since(&store), None);
    assert!(!store.sets().unwrap()[0].ledgers["cdn"].is_settled);
    let serial = store.meta().unwrap().serial;
    store.sent_all(&[id]).unwrap();
    assert_eq!(store.meta().unwrap().serial, serial);
}

#[test]
fn forced_keys_are_owed_until_a_batch_cut_after_them_is_accepted() {
    let mut store = Store::in_memory(NOW).unwrap();
    let id = adopt(&mut store, "spring", &["a@1", "b@1"]);
    let before = open(&mut store, id, &["a@1"]);
    store.force(1, &[(id, keys(&["a", "z"]))]).unwrap();
    close(&mut store, before.no, accepted());
    let forced = contents(&store, "spring");
    assert_eq!(forced.forced, keys(&["a", "z"]));
    assert_eq!(forced.entries, entries(&["a@", "b@1"]));
    accept(&mut store, id, &["a@1"]);
    let done = contents(&store, "spring");
    assert_eq!(done.forced, keys(&["z"]));
    assert_eq!(done.entries, entries(&["a@1", "b@1"]));
}

#[test]
fn an_approval_lets_exactly_its_entries_through_until_sent_or_expired() {
    let mut store = Store::in_memory(NOW).unwrap();
    let target = target(&mut store);
    let approval = Approval {
        plan: Digest::of(b"plan"),
        request: 0,
        entries: entries(&["a@1", "b@1"]),
        expires_ms: NOW + 7 * DAY,
    };
    let begin = Begin {
        approve: Some(approval),
        ..begin("spring", target)
    };
    store.begin(&[begin], NOW).unwrap();
    let id = ledger(&store, "spring");
    assert_eq!(
        contents(&store, "spring").approved,
        entries(&["a@1", "b@1"])
    );
    accept(&mut store, id, &["a@1"]);
    assert_eq!(contents(&store, "spring").approved, entries(&["b@1"]));
    store.settle(&[id]).unwrap();
    assert_eq!(contents(&store, "spring").approved, entries(&["b@1"]));
    let late = store.contents(id, NOW + 7 * DAY).unwrap();
    assert_eq!(late.approved, Vec::new());
}

#[test]
fn a_refusal_stays_until_its_url_is_accepted() {
    let mut store = Store::in_memory(NOW).unwrap();
    let id = adopt(&mut store, "spring", &["a@1"]);
    let target = target(&mut store);
    let refuse = |store: &mut Store, list: &str| {
        let batch = open(store, id, &[list]);
        let refusal = Refusal {
            entry: entries(&[list])[0],
            item: "a".to_owned(),
            code: "30001".to_owned(),
            message: "no such asset".to_owned(),
            cdn: Digest::of(b"cdn"),
            at_ms: NOW,
        };
        let close = Close {
            no: batch.no,
            outcome: Outcome::Refused {
                code: "30001".to_owned(),
                message: "no".to_owned(),
            },
            refusals: vec![refusal.clone()],
            gate_ms: None,
        };
        store
            .step(
                Step {
                    close: vec![close],
                    ..Step::default()
                },
                NOW,
            )
            .unwrap();
        refusal
    };
    let refusals = [refuse(&mut store, "a@2"), refuse(&mut store, "b@1")];
    assert_eq!(store.refusals(target).unwrap().len(), 2);
    accept(&mut store, id, &["a@3"]);
    assert_eq!(store.refusals(target).unwrap(), refusals[1..]);
    accept(&mut store, id, &["b@1"]);
    assert_eq!(store.refusals(target).unwrap(), Vec::new());
}

#[test]
fn a_split_batch_lives_on_in_its_halves_and_the_numbers_stay_its_own() {
    let mut store = Store::in_memory(NOW).unwrap();
    let id = adopt(&mut store, "spring", &["a@1"]);
    let parent = open(&mut store, id, &["a@2", "b@1"]);
    let half = |list: &[&str]| NewBatch {
        parent: Some(parent.no),
        cause: Cause::Bisect,
        items: list.iter().map(|text| text[..1].into()).collect(),
        claims: vec![Claim {
            ledger: id,
            entries: entries(list),
        }],
        ..parent.batch.clone()
    };
    let close = Close {
        no: parent.no,
        outcome: Outcome::Split {
            message: "one is bad".to_owned(),
        },
        refusals: Vec::new(),
        gate_ms: None,
    };
    let step = Step {
        close: vec![close],
        open: vec![(half(&["a@2"]), true), (half(&["b@1"]), false)],
        ..Step::default()
    };
    let halves = store.step(step, NOW).unwrap();
    assert_eq!(halves, store.open_batches().unwrap());
    assert!(halves[0].is_sent && !halves[1].is_sent);
    let send = Step {
        send: vec![halves[1].no],
        ..Step::default()
    };
    store.step(send, NOW).unwrap();
    assert_eq!(store.open_batches().unwrap()[1].attempts, 1);
}

#[test]
fn a_step_that_cannot_be_taken_in_full_is_not_taken_at_all() {
    let mut store = Store::in_memory(NOW).unwrap();
    let id = adopt(&mut store, "spring", &["a@1"]);
    let batch = open(&mut store, id, &["a@2"]);
    let close = |no| Close {
        no,
        outcome: accepted(),
        refusals: Vec::new(),
        gate_ms: None,
    };
    let step = Step {
        close: vec![close(batch.no), close(BatchNo(99))],
        ..Step::default()
    };
    assert!(matches!(
        store.step(step, NOW),
        Err(StateError::Unknown { .. })
    ));
    assert_eq!(store.open_batches().unwrap(), vec![batch]);
    assert_eq!(contents(&store, "spring").entries, entries(&["a@1"]));
}

#[test]
fn a_target_keeps_rates_facts_and_why_it_is_halted() {
    let home = Home::new();
    let mut store = home.open();
    let mut record = store.target("cdn").unwrap();
    record.tats.insert("requests".to_owned(), NOW);
    record
        .facts
        .insert("companyHandle".to_owned(), "c|1".to_owned());
    record.attempts = 3;
    record.retry_at_ms = Some(NOW + 5);
    record.halted = Some(freshen::state::Halt {
        kind: "unauthorized".to_owned(),
        message: "bad password".to_owned(),
        fingerprint: Digest::of(b"secret"),
        at_ms: NOW,
    });
    let targets = vec![record.clone()];
    store
        .step(
            Step {
                targets,
                ..Step::default()
            },
            NOW,
        )
        .unwrap();
    drop(store);
    assert_eq!(home.open().target("cdn").unwrap(), record);
}

#[test]
fn a_reader_sees_one_moment_creates_nothing_and_leaves_nothing_behind() {
    let home = Home::new();
    assert!(Reader::open(&home.path()).unwrap().is_none());
    assert_eq!(home.files(), Vec::<String>::new());
    let mut store = home.open();
    let id = adopt(&mut store, "spring", &["a@1"]);
    let reader = Reader::open(&home.path()).unwrap().unwrap();
    accept(&mut store, id, &["a@2"]);
    assert_eq!(reader.contents(id, NOW).unwrap().entries, entries(&["a@1"]));
    let later = Reader::open(&home.path()).unwrap().unwrap();
    assert_eq!(later.contents(id, NOW).unwrap().entries, entries(&["a@2"]));
    drop((reader, later, store));
    let (bytes, files) = (fs::read(home.path()).unwrap(), home.files());
    let reader = Reader::open(&home.path()).unwrap().unwrap();
    assert_eq!(reader.sets().unwrap().len(), 1);
    drop(reader);
    assert_eq!(home.files(), files);
    assert_eq!(fs::read(home.path()).unwrap(), bytes);
}

#[test]
fn requests_are_left_beside_a_holder_and_answered_by_him() {
    let home = Home::new();
    let request = NewRequest {
        kind: "approve".to_owned(),
        arg: serde_json::json!({ "plan": "abc" }),
        by: "me".to_owned(),
    };
    assert!(matches!(
        ask(&home.path(), &request, NOW),
        Err(StateError::Absent { .. })
    ));
    let mut store = home.open();
    let id = ask(&home.path(), &request, NOW).unwrap();
    let pending = store.requests(true).unwrap();
    assert_eq!((pending[0].id, &pending[0].asked), (id, &request));
    store.answer(id, "approved", NOW + 1).unwrap();
    assert_eq!(store.requests(true).unwrap(), Vec::new());
    let all = store.requests(false).unwrap();
    assert_eq!(all[0].outcome.as_deref(), Some("approved"));
}

#[test]
fn what_is_suspended_stays_so_until_it_is_resumed() {
    let mut store = Store::in_memory(NOW).unwrap();
    let scope = Scope::Cdn("edge".to_owned());
    store.suspend(&scope, NOW).unwrap();
    store.suspend(&scope, NOW + 1).unwrap();
    store.suspend(&Scope::All, NOW).unwrap();
    assert!(store.resume(&Scope::All).unwrap());
    let left = store.suspensions().unwrap();
    assert_eq!((&left[0].scope, left[0].at_ms), (&scope, NOW));
    assert!(!store.resume(&Scope::All).unwrap());
}

#[test]
fn history_tells_what_was_sent_for_whom_and_when_a_url_went_last() {
    let mut store = Store::in_memory(NOW).unwrap();
    let spring = adopt(&mut store, "spring", &["a@1"]);
    let summer = adopt(&mut store, "summer", &["b@1"]);
    accept(&mut store, spring, &["a@2", "c@1"]);
    accept(&mut store, summer, &["b@2"]);
    let filter = HistoryFilter {
        at_most: 10,
        ..HistoryFilter::default()
    };
    assert_eq!(store.history(&filter).unwrap().len(), 2);
    let filter = HistoryFilter {
        set: Some("spring".to_owned()),
        ..filter
    };
    let batches = store.history(&filter).unwrap();
    assert_eq!(batches[0].shares, vec![(Some("spring".to_owned()), 2)]);
    assert_eq!(batches[0].outcome, Some(accepted()));
    let last = store.last_batches_with(key("a"), 5).unwrap();
    assert_eq!(
        (last[0].0.no, last[0].1),
        (batches[0].no, entry("a", "2").mark())
    );
    assert_eq!(store.last_batches_with(key("z"), 5).unwrap(), Vec::new());
}

#[test]
fn a_second_writer_is_refused_and_told_who_holds_the_state() {
    let home = Home::new();
    let store = home.open();
    let error = home.try_open().unwrap_err();
    assert!(matches!(&error, StateError::Held { holder, .. } if **holder == me()));
    assert!(
        error.to_string().contains("`freshen run` (process"),
        "{error}"
    );
    assert_eq!(holder(&home.path()), Some(me()));
    drop(store);
    assert_eq!(holder(&home.path()), None);
    home.open();
}

/// Not a test of its own: holds the state it is told until it is killed.
#[test]
fn child_that_holds_a_state() {
    let Ok(path) = std::env::var("FRESHEN_TEST_HOLD") else {
        return;
    };
    let mut store = Store::open(Path::new(&path), &me(), NOW).unwrap();
    let id = adopt(&mut store, "spring", &["a@1"]);
    for revision in 0.. {
        let list = format!("a@{revision}");
        accept(&mut store, id, &[&list]);
        fs::write(format!("{path}.done"), &list).unwrap();
    }
}

#[test]
fn a_killed_holder_frees_the_state_and_loses_nothing_that_was_done() {
    let home = Home::new();
    let done = format!("{}.done", home.path().display());
    for _ in 0..5 {
        drop(fs::remove_file(&done));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "state::child_that_holds_a_state"])
            .env("FRESHEN_TEST_HOLD", home.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while !Path::new(&done).exists() {
            assert!(child.try_wait().unwrap().is_none(), "the child ended");
            std::thread::yield_now();
        }
        assert_eq!(holder(&home.path()).unwrap().pid, child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        let store = home.open();
        let last = fs::read_to_string(&done).unwrap();
        // Killed while it wrote the note, it leaves an empty one.
        if let Some((_, revision)) = last.split_once('@') {
            let revision: u64 = revision.parse().unwrap();
            let (now, next) = (format!("a@{revision}"), format!("a@{}", revision + 1));
            let found = contents(&store, "spring").entries;
            assert!(found == entries(&[&now]) || found == entries(&[&next]));
        }
        assert_eq!(freshen::state::check(&home.path()).unwrap().len(), 0);
    }
}

#[test]
fn an_empty_file_is_damage_and_not_an_absent_state() {
    let home = Home::new();
    fs::write(home.path(), "").unwrap();
    assert!(matches!(home.try_open(), Err(StateError::Damaged { .. })));
    assert!(matches!(
        Reader::open(&home.path()),
        Err(StateError::Damaged { .. })
    ));
    assert_eq!(fs::read(home.path()).unwrap(), b"");
}

#[test]
fn a_log_without_its_state_is_not_replayed_into_a_new_one() {
    let home = Home::new();
    fs::write(home.folder.path().join("freshen.db-wal"), "log").unwrap();
    assert!(matches!(home.try_open(), Err(StateError::Damaged { .. })));
}

#[test]
fn another_sort_of_file_is_no_state() {
    let home = Home::new();
    fs::write(home.path(), "apiVersion: freshen/v1\n".repeat(1000)).unwrap();
    let error = home.try_open().unwrap_err();
    assert!(matches!(error, StateError::Damaged { .. }));
    assert!(error.hint().unwrap().contains("freshen state check"));
}

#[test]
fn a_newer_format_is_refused_by_name_and_left_alone() {
    let home = Home::new();
    drop(home.open());
    let conn = rusqlite::Connection::open(home.path()).unwrap();
    conn.execute_batch("PRAGMA user_version = 99; UPDATE meta SET written_by = '9.1.0'")
        .unwrap();
    drop(conn);
    let bytes = fs::read(home.path()).unwrap();
    let error = home.try_open().unwrap_err();
    assert!(matches!(error, StateError::Newer { found: 99, .. }));
    assert!(error.to_string().contains("9.1.0"), "{error}");
    assert!(matches!(
        Reader::open(&home.path()),
        Err(StateError::Newer { .. })
    ));
    assert_eq!(fs::read(home.path()).unwrap(), bytes);
}

#[test]
fn a_format_that_never_was_is_damage() {
    let home = Home::new();
    drop(home.open());
    let conn = rusqlite::Connection::open(home.path()).unwrap();
    conn.execute_batch("PRAGMA user_version = 0").unwrap();
    drop(conn);
    assert!(matches!(home.try_open(), Err(StateError::Damaged { .. })));
}

/// A closed state with 200 entries, a departed one, and an open batch.
fn sample(home: &Home) {
    let mut store = home.open();
    let list: Vec<String> = (0..200).map(|n| format!("https://a/{n}@1")).collect();
    let list: Vec<&str> = list.iter().map(String::as_str).collect();
    let id = adopt(&mut store, "spring", &list);
    depart(&mut store, "spring", &["https://a/7"], NOW);
    open(&mut store, id, &["https://a/1@2", "https://a/2@2"]);
}

/// Everything the planner reads, or why not.
fn read_all(path: &Path) -> Result<(Vec<LedgerContents>, Vec<OpenBatch>), StateError> {
    let reader = Reader::open(path)?.unwrap();
    let mut all = Vec::new();
    for set in reader.sets()? {
        for ledger in set.ledgers.values() {
            all.push(reader.contents(ledger.id, NOW)?);
        }
    }
    reader.targets()?;
    Ok((all, reader.open_batches()?))
}

#[test]
fn a_truncated_state_is_damage_wherever_it_was_cut() {
    let home = Home::new();
    sample(&home);
    let bytes = fs::read(home.path()).unwrap();
    for part in 1..16 {
        fs::write(home.path(), &bytes[..bytes.len() * part / 16]).unwrap();
        let read = read_all(&home.path());
        assert!(
            matches!(read, Err(StateError::Damaged { .. })),
            "{part}: {read:?}"
        );
        assert!(!freshen::state::check(&home.path()).unwrap().is_empty());
    }
}

#[test]
fn a_flipped_byte_never_changes_entries_unseen() {
    let home = Home::new();
    sample(&home);
    let bytes = fs::read(home.path()).unwrap();
    let whole = read_all(&home.path()).unwrap();
    let mut seen_damage = 0;
    for at in (0..bytes.len()).step_by(251) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x41;
        fs::write(home.path(), &damaged).unwrap();
        match read_all(&home.path()) {
            Err(_) => seen_damage += 1,
            Ok((contents, _)) => {
                for (found, expected) in contents.iter().zip(&whole.0) {
                    assert_eq!(found.entries, expected.entries, "byte {at}");
                    assert_eq!(found.departed, expected.departed, "byte {at}");
                }
            }
        }
        for file in ["freshen.db-wal", "freshen.db-shm"] {
            drop(fs::remove_file(home.folder.path().join(file)));
        }
    }
    assert!(seen_damage > 10, "{seen_damage}");
}

#[test]
fn damage_is_named_by_table_and_row() {
    let home = Home::new();
    sample(&home);
    let conn = rusqlite::Connection::open(home.path()).unwrap();
    conn.execute_batch("UPDATE bucket SET entries = substr(entries, 1, 32)")
        .unwrap();
    drop(conn);
    let findings = freshen::state::check(&home.path()).unwrap();
    let [
        StateError::Damaged {
            table: "bucket",
            row,
            ..
        },
    ] = &findings[..]
    else {
        panic!("{findings:?}");
    };
    assert_eq!(row, "ledger 1 prefix 0");
}

#[test]
fn an_export_can_be_imported_and_an_older_or_foreign_one_only_by_force() {
    let home = Home::new();
    let mut store = home.open();
    let id = adopt(&mut store, "spring", &["a@1"]);
    let old = home.folder.path().join("old.db");
    export(&home.path(), &old).unwrap();
    assert!(matches!(
        export(&home.path(), &old),
        Err(StateError::Refused { .. })
    ));
    accept(&mut store, id, &["a@2"]);
    assert!(matches!(
        store.import(&old, false),
        Err(StateError::Refused { .. })
    ));
    assert_eq!(contents(&store, "spring").entries, entries(&["a@2"]));
    store.import(&old, true).unwrap();
    assert_eq!(contents(&store, "spring").entries, entries(&["a@1"]));

    let elsewhere = Home::new();
    let mut other = elsewhere.open();
    other.import(&old, false).unwrap();
    assert_eq!(other.lineage(), store.lineage());
    assert_eq!(contents(&other, "spring").entries, entries(&["a@1"]));

    let foreign = Home::new();
    let mut foreign = foreign.open();
    adopt(&mut foreign, "winter", &["z@1"]);
    assert!(matches!(
        foreign.import(&old, false),
        Err(StateError::Refused { .. })
    ));
    assert_eq!(foreign.sets().unwrap()[0].name, "winter");
}

#[test]
fn sets_are_renamed_and_forgotten_by_name() {
    let mut store = Store::in_memory(NOW).unwrap();
    adopt(&mut store, "spring", &["a@1"]);
    adopt(&mut store, "summer", &["b@1"]);
    assert!(matches!(
        store.rename("spring", "summer", NOW),
        Err(StateError::Refused { .. })
    ));
    assert!(matches!(
        store.rename("autumn", "winter", NOW),
        Err(StateError::Unknown { .. })
    ));
    store.rename("spring", "winter", NOW).unwrap();
    assert_eq!(contents(&store, "winter").entries, entries(&["a@1"]));
    store.forget("winter", NOW).unwrap();
    assert!(matches!(
        store.forget("winter", NOW),
        Err(StateError::Unknown { .. })
    ));
    assert_eq!(store.sets().unwrap().len(), 1);
}

#[test]
fn a_state_inside_the_manifests_or_tracked_by_git_is_refused() {
    let home = Home::new();
    let root = home.folder.path().to_owned();
    assert!(check_location(&home.path(), &[]).is_ok());
    let error = check_location(&home.path(), &[root]).unwrap_err();
    assert!(matches!(error, StateError::Misplaced { .. }));
    home.open();
    let git = |args: &[&str]| {
        let ran = Command::new("git")
            .arg("-C")
            .arg(home.folder.path())
            .args(args)
            .output();
        assert!(ran.unwrap().status.success());
    };
    git(&["init", "-q"]);
    assert!(check_location(&home.path(), &[]).is_ok());
    git(&["add", "freshen.db"]);
    let error = check_location(&home.path(), &[]).unwrap_err();
    assert!(error.to_string().contains("tracked by git"), "{error}");
}

/// What may happen to a ledger, on keys numbered below 40.
#[derive(Clone, Debug)]
enum Happening {
    Record(BTreeMap<u8, u8>),
    Owe(BTreeSet<u8>),
    Forget(BTreeSet<u8>),
    Accept(BTreeMap<u8, u8>),
    Fail(BTreeMap<u8, u8>),
    Force(BTreeSet<u8>),
    Settle,
    Reopen,
}

fn happening() -> impl Strategy<Value = Happening> {
    let marks = || proptest::collection::btree_map(0..40_u8, 1..9_u8, 1..12);
    let some = || proptest::collection::btree_set(0..40_u8, 1..12);
    prop_oneof![
        marks().prop_map(Happening::Record),
        some().prop_map(Happening::Owe),
        some().prop_map(Happening::Forget),
        marks().prop_map(Happening::Accept),
        marks().prop_map(Happening::Fail),
        some().prop_map(Happening::Force),
        Just(Happening::Settle),
        Just(Happening::Reopen),
    ]
}

/// The ledger as a map: mark by key (0 is owed), and what is forced.
#[derive(Default)]
struct Model {
    marks: BTreeMap<u8, u8>,
    forced: BTreeSet<u8>,
}

impl Model {
    fn contents(&self) -> (Vec<Entry>, Vec<Key>) {
        let text = |(n, mark): (&u8, &u8)| match (self.forced.contains(n), *mark) {
            (true, _) | (_, 0) => format!("{n}@"),
            (false, mark) => format!("{n}@{mark}"),
        };
        let list: Vec<String> = self.marks.iter().map(text).collect();
        let list: Vec<&str> = list.iter().map(String::as_str).collect();
        (entries(&list), numbered(&self.forced))
    }
}

fn numbered(numbers: &BTreeSet<u8>) -> Vec<Key> {
    let urls: Vec<String> = numbers.iter().map(u8::to_string).collect();
    keys(&urls.iter().map(String::as_str).collect::<Vec<_>>())
}

fn texts(marks: &BTreeMap<u8, u8>) -> Vec<String> {
    let text = |(n, mark)| format!("{n}@{mark}");
    marks.iter().map(text).collect()
}

/// Lets `happening` happen to the store.
fn happen(home: &Home, store: &mut Option<Store>, happening: &Happening) {
    if let Happening::Reopen = happening {
        drop(store.take());
        *store = Some(home.open());
        return;
    }
    let store = store.as_mut().unwrap();
    let id = adopt(store, "spring", &[]);
    let begin = begin("spring", target(store));
    let begin = match happening {
        Happening::Record(marks) => {
            let list = texts(marks);
            let list: Vec<&str> = list.iter().map(String::as_str).collect();
            Begin {
                record: entries(&list),
                ..begin
            }
        }
        Happening::Owe(numbers) => {
            let owed = |key| Entry::new(key, Mark::OWED);
            Begin {
                owe: numbered(numbers).into_iter().map(owed).collect(),
                ..begin
            }
        }
        Happening::Forget(numbers) => Begin {
            forget: numbered(numbers),
            ..begin
        },
        Happening::Accept(marks) => return attempt(store, id, marks, accepted()),
        Happening::Fail(marks) => {
            let message = "lost".to_owned();
            return attempt(store, id, marks, Outcome::Failed { message });
        }
        Happening::Force(numbers) => return store.force(1, &[(id, numbered(numbers))]).unwrap(),
        Happening::Settle => return store.settle(&[id]).unwrap(),
        Happening::Reopen => unreachable!("handled above"),
    };
    store.begin(&[begin], NOW).unwrap();
}

fn attempt(store: &mut Store, id: LedgerId, marks: &BTreeMap<u8, u8>, outcome: Outcome) {
    let list = texts(marks);
    let list: Vec<&str> = list.iter().map(String::as_str).collect();
    let batch = open(store, id, &list);
    close(store, batch.no, outcome);
}

impl Model {
    /// Lets `happening` happen to the model.
    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Record(marks) => self.marks.extend(marks),
            Happening::Owe(numbers) => {
                for n in numbers {
                    self.marks.entry(n).and_modify(|mark| *mark = 0);
                }
            }
            Happening::Forget(numbers) => {
                self.marks.retain(|n, _| !numbers.contains(n));
                self.forced.retain(|n| !numbers.contains(n));
            }
            Happening::Accept(marks) => {
                self.forced.retain(|n| !marks.contains_key(n));
                self.marks.extend(marks);
            }
            Happening::Force(numbers) => self.forced.extend(numbers),
            Happening::Fail(_) | Happening::Settle | Happening::Reopen => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_ledger_is_a_map_whatever_happens_to_it(
        happenings in proptest::collection::vec(happening(), 1..25)
    ) {
        let home = Home::new();
        let mut store = Some(home.open());
        let mut model = Model::default();
        for happening in happenings {
            happen(&home, &mut store, &happening);
            model.happen(happening);
            let store = store.as_ref().unwrap();
            if let Some(set) = store.sets().unwrap().first() {
                let found = store.contents(set.ledgers["cdn"].id, NOW).unwrap();
                prop_assert_eq!((found.entries, found.forced), model.contents());
            }
        }
        drop(store);
        prop_assert!(freshen::state::check(&home.path()).unwrap().is_empty());
    }
}
