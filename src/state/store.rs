//! Opening a state to write ([`Store`]) or only to read ([`Reader`]).
#![expect(
    clippy::disallowed_methods,
    reason = "opens and creates the state file"
)]

use std::fs::{self, File};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::home::Home;
use super::lock::{Holder, Lock};
use super::records::Records;
use super::{Result, StateError, schema};

/// How long a statement waits for another process's transaction.
const BUSY: Duration = Duration::from_secs(10);

/// The writer. Holds the state's lock until it is dropped.
#[derive(Debug)]
pub struct Store {
    records: Records,
    /// What the manifests of this process are at, in git.
    pub(super) commit: Option<String>,
    /// Whether what is accepted from now on gives the state a past.
    pub(super) begins_past: bool,
    /// `None` in memory, where nobody else can be.
    pub(super) home: Option<Home>,
    /// What was noted last may still be lost with the machine.
    has_notes: bool,
    /// The disk may have failed to take notes, and is not asked again by itself.
    is_log_doubtful: bool,
}

impl Store {
    /// Takes the lock and opens the state at `path`, creating it if absent.
    ///
    /// A file of length zero is damage, not absence; a newer format is refused
    /// and left alone.
    pub fn open(path: &Path, holder: &Holder, now_ms: i64) -> Result<Self> {
        let path = resolved(path);
        let open = || -> Result<Self> {
            let lock = Lock::take(&path, holder)?;
            // Of a process that was killed, which may have noted something.
            let has_notes = has_log(&path);
            if !exists(&path)? {
                create(&path, now_ms)?;
            }
            Ok(Self {
                records: open_records(&path)?,
                commit: None,
                begins_past: false,
                home: Some(Home::new(path.clone(), lock)?),
                has_notes,
                is_log_doubtful: false,
            })
        };
        open().map_err(|error| error.at(&path))
    }

    /// A state that is gone when it is dropped, for `--since`.
    pub fn in_memory(now_ms: i64) -> Result<Self> {
        let conn = Connection::open_in_memory()?;
        schema::create(&conn, now_ms)?;
        Ok(Self {
            records: Records::in_memory(conn)?,
            commit: None,
            begins_past: false,
            home: None,
            has_notes: false,
            is_log_doubtful: false,
        })
    }

    /// Names the commit that batches opened from now on are declared at.
    pub fn declared_at(&mut self, commit: Option<String>) {
        self.commit = commit;
    }

    /// Whether the batches accepted from now on are part of telling everything
    /// that is declared: then the state has a past from the first of them on.
    pub fn begins_past(&mut self, begins: bool) {
        self.begins_past = begins;
    }

    /// Puts other records in the place of these.
    pub(super) fn replace(&mut self, records: Records) -> Records {
        std::mem::replace(&mut self.records, records)
    }

    /// Reads again what was read when it was opened.
    pub(super) fn reread(&mut self) -> Result<()> {
        self.records.reread()
    }

    /// Runs `work` as one durable transaction; the serial grows if it changed
    /// anything.
    pub(super) fn write<T>(&mut self, work: impl FnOnce(&Transaction) -> Result<T>) -> Result<T> {
        let copied = if self.is_log_doubtful {
            self.copy_log()
        } else {
            Ok(())
        };
        let written = copied.and_then(|()| self.transact(work));
        self.is_log_doubtful |= written.is_err() && self.has_notes;
        let written = written.map(|(result, has_changed)| {
            // The log is written out as a whole, so that notes are with it.
            self.has_notes &= !has_changed;
            result
        });
        self.placed(written)
    }

    /// Copies the log into the file, which writes anew what the disk may have failed
    /// to take: after an error the kernel holds it for written.
    fn copy_log(&mut self) -> Result<()> {
        let conn = self.records.connection();
        let is_busy = conn.query_row("PRAGMA wal_checkpoint(FULL)", [], |row| row.get(0))?;
        if is_busy {
            let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
            return Err(rusqlite::Error::SqliteFailure(busy, None).into());
        }
        (self.is_log_doubtful, self.has_notes) = (false, false);
        Ok(())
    }

    /// Runs `work` as one transaction that outlives this process, but the machine
    /// only once something durable is written after it: for what protects nothing
    /// until then, which need not wait for the disk by itself.
    pub(super) fn note<T>(&mut self, work: impl FnOnce(&Transaction) -> Result<T>) -> Result<T> {
        let noted = self.wait_for_disk(false).and_then(|()| self.transact(work));
        let noted = self.wait_for_disk(true).and(noted);
        let noted = noted.map(|(result, has_changed)| {
            self.has_notes |= has_changed;
            result
        });
        self.placed(noted)
    }

    /// Makes what was noted last durable, where nothing has since.
    pub fn keep_notes(&mut self) -> Result<()> {
        if !self.has_notes {
            return Ok(());
        }
        self.write(|transaction| {
            // Counts as a change, so that there is something to write.
            transaction.execute("UPDATE meta SET serial = serial", [])?;
            Ok(())
        })
    }

    /// Whether a transaction ends once the disk has it; pragma `synchronous` of
    /// SQLite, "FULL" and "NORMAL" with a log.
    fn wait_for_disk(&self, waits: bool) -> Result<()> {
        let level = if waits { "FULL" } else { "NORMAL" };
        let conn = self.records.connection();
        Ok(conn.pragma_update(None, "synchronous", level)?)
    }

    fn placed<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| match &self.home {
            Some(home) => error.at(home.path()),
            None => error,
        })
    }

    /// What `work` gives, and whether it changed anything.
    fn transact<T>(&mut self, work: impl FnOnce(&Transaction) -> Result<T>) -> Result<(T, bool)> {
        let transaction = self
            .records
            .connection_mut()
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let before = transaction.total_changes();
        let result = work(&transaction)?;
        let has_changed = transaction.total_changes() != before;
        if has_changed {
            transaction
                .prepare_cached("UPDATE meta SET serial = serial + 1, written_by = ?")?
                .execute([env!("CARGO_PKG_VERSION")])?;
        }
        transaction.commit()?;
        Ok((result, has_changed))
    }
}

impl Deref for Store {
    type Target = Records;

    fn deref(&self) -> &Records {
        &self.records
    }
}

/// Reads one moment of a state, also while a [`Store`] goes on writing it.
#[derive(Debug)]
pub struct Reader {
    records: Records,
}

impl Reader {
    /// Opens the state at `path`; `None` where there is none. Never creates
    /// or locks it, and makes do with a folder that cannot be written.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let path = resolved(path);
        let open = || -> Result<Option<Self>> {
            if !exists(&path)? {
                return Ok(None);
            }
            let conn = match snapshot(&path) {
                // Without a log nobody writes, so the file itself is all there is.
                Err(error) if cannot_share(&error) && !has_log(&path) => immutable(&path)?,
                other => other?,
            };
            schema::check(&conn, &path)?;
            let records = Records::new(conn)?;
            Ok(Some(Self { records }))
        };
        open().map_err(|error| error.at(&path))
    }
}

impl Deref for Reader {
    type Target = Records;

    fn deref(&self) -> &Records {
        &self.records
    }
}

/// One name for one state, whichever links lead to it: its lock goes by name.
pub(super) fn resolved(path: &Path) -> PathBuf {
    if let Ok(path) = fs::canonicalize(path) {
        return path;
    }
    match (fs::canonicalize(folder_of(path)), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

/// The folder of a file, for which a bare name has an empty path.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Whether there is a state file; one that cannot be one is an error.
pub(super) fn exists(path: &Path) -> Result<bool> {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => Err(StateError::Misplaced {
            path: path.to_owned(),
            what: "is not a regular file".to_owned(),
            cure: "name a file with `--state`",
        }),
        Ok(found) if found.len() == 0 => {
            let what = "it is empty, which is not the same as absent";
            Err(StateError::damaged("file", "length", what).at(path))
        }
        Ok(_) => Ok(true),
        // Its log would be replayed into whatever file came to stand there.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && has_log(path) => {
            let what = "the file is gone, but its log is still there";
            Err(StateError::damaged("log", "`-wal`", what).at(path))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StateError::io("read", path)(error)),
    }
}

/// Opens an existing file for reading and writing.
pub(super) fn connect(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let conn = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|error| unusable(error, path))?;
    conn.busy_timeout(BUSY)?;
    Ok(conn)
}

/// Opens an existing file to write, brought up to this version's format.
pub(super) fn open_records(path: &Path) -> Result<Records> {
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    schema::check(&conn, path)?;
    tune(&conn)?;
    schema::upgrade(&conn, path, &schema::STEPS)?;
    Records::new(conn)
}

/// Settings that hold for a connection, not for the file.
fn tune(conn: &Connection) -> Result<()> {
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.pragma_update(None, "cache_size", -4 * 1024)?;
    conn.pragma_update(None, "journal_size_limit", 64 << 20)?;
    // Pages of a log of 32 MiB: most are written again and again while batches are
    // opened and closed, and need to be copied into the file but once.
    conn.pragma_update(None, "wal_autocheckpoint", 4_096)?;
    // Else SQLite prepares a cached statement anew for each use, to plan by its values.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Makes a whole state beside `path` and moves it there, so that a crash
/// leaves none or all of it.
fn create(path: &Path, now_ms: i64) -> Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    remove_if_there(&draft)?;
    let conn = connect(
        &draft,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
    )?;
    conn.pragma_update(None, "page_size", 8192)?;
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    schema::create(&conn, now_ms)?;
    conn.close().map_err(|(_, error)| StateError::from(error))?;
    publish(&draft, path)
}

/// What a crash may have left half done.
pub(super) fn remove_if_there(draft: &Path) -> Result<()> {
    match fs::remove_file(draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StateError::io("replace", draft)(error))
        }
        _ => Ok(()),
    }
}

/// Moves a complete file to `path`, durably.
pub(super) fn publish(draft: &Path, path: &Path) -> Result<()> {
    let written = File::open(draft).and_then(|file| file.sync_all());
    written.map_err(StateError::io("write", draft))?;
    fs::rename(draft, path).map_err(StateError::io("create", path))?;
    let folder = folder_of(path);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(StateError::io("write", folder))
}

/// A connection that sees one moment and changes nothing.
fn snapshot(path: &Path) -> Result<Connection> {
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Where a log is left from a crash, it is the writer's to clear away.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, has_log(path))?;
    conn.pragma_update(None, "query_only", true)?;
    conn.execute_batch("BEGIN")?;
    conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(conn)
}

fn immutable(path: &Path) -> Result<Connection> {
    let bytes = path.as_os_str().as_encoded_bytes().iter();
    let escaped: Vec<String> = bytes.map(|byte| format!("%{byte:02X}")).collect();
    let uri = format!("file:{}?immutable=1", escaped.concat());
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    connect(Path::new(&uri), flags)
}

/// Whether the shared memory that readers of a log need could not be had.
fn cannot_share(error: &StateError) -> bool {
    matches!(error, StateError::Sqlite { source, .. } if matches!(
        source.sqlite_error_code(),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied)
    ))
}

fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    fs::metadata(log).is_ok_and(|log| log.len() > 0)
}

fn unusable(error: rusqlite::Error, path: &Path) -> StateError {
    match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            StateError::Io {
                action: "open",
                path: path.to_owned(),
                source: std::io::Error::other(error),
            }
        }
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use crate::digest::{Digest, Entry, ItemKind, Key, Mark};
    use crate::state::{Begin, check};

    use super::*;

    fn me() -> Holder {
        Holder {
            pid: 1,
            host: "here".to_owned(),
            command: "freshen run".to_owned(),
            since_ms: 0,
        }
    }

    fn begin(store: &mut Store, set: &str, count: u32) -> Result<()> {
        let target = store.target("cdn")?.id;
        let entry = |n: u32| Entry::new(Key::of(ItemKind::Url, &n.to_be_bytes()), Mark::of(&[]));
        let mut record: Vec<Entry> = (0..count).map(entry).collect();
        record.sort_unstable();
        let begin = Begin {
            set: set.to_owned(),
            target,
            wire: Digest::of(b"wire"),
            desired: Digest::of(b"desired"),
            owe: Vec::new(),
            record,
            departed: Vec::new(),
            forget: Vec::new(),
            approve: None,
        };
        store.begin(&[begin], 0).map(drop)
    }

    #[test]
    fn a_state_is_read_where_nothing_can_be_created_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fresh en?.db");
        create(&path, 0).unwrap();
        let conn = immutable(&path).unwrap();
        schema::check(&conn, &path).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_noted_is_durable_with_what_is_written_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("freshen.db");
        let mut store = Store::open(&path, &me(), 0).unwrap();
        let waits = |store: &Store| -> i64 {
            let conn = store.connection();
            conn.query_row("PRAGMA synchronous", [], |row| row.get(0))
                .unwrap()
        };
        let change = |transaction: &Transaction| {
            transaction.execute("UPDATE meta SET created_ms = created_ms", [])?;
            Ok(())
        };
        store.keep_notes().unwrap();
        let serial = store.meta().unwrap().serial;
        store
            .note(|transaction| {
                let level = transaction.query_row("PRAGMA synchronous", [], |row| row.get(0));
                assert_eq!(level, Ok(1));
                change(transaction)
            })
            .unwrap();
        assert_eq!((store.has_notes, waits(&store)), (true, 2));
        store.write(|_| Ok(())).unwrap();
        assert!(store.has_notes, "nothing was written");
        store.keep_notes().unwrap();
        assert_eq!((store.has_notes, waits(&store)), (false, 2));
        assert_eq!(store.meta().unwrap().serial, serial + 2);
        store.note(change).unwrap();
        store.write(change).unwrap();
        assert!(!store.has_notes);
        let failed = store.note(|_| Err::<(), _>(StateError::damaged("a", "b", "c")));
        failed.unwrap_err();
        assert_eq!((store.has_notes, waits(&store)), (false, 2));
        store.note(change).unwrap();
        let failed = store.write(|_| Err::<(), _>(StateError::damaged("a", "b", "c")));
        failed.unwrap_err();
        assert!(store.has_notes && store.is_log_doubtful);
        store.write(|_| Ok(())).unwrap();
        assert!(!store.has_notes && !store.is_log_doubtful);
    }

    #[test]
    fn what_a_killed_process_noted_is_made_durable_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("freshen.db");
        let mut store = Store::open(&path, &me(), 0).unwrap();
        assert!(!store.has_notes);
        begin(&mut store, "small", 10).unwrap();
        // A reader keeps the log, as a kill does.
        let reader = Reader::open(&path).unwrap();
        drop(store);
        let mut store = Store::open(&path, &me(), 0).unwrap();
        assert!(store.has_notes);
        store.keep_notes().unwrap();
        assert!(!store.has_notes);
        drop(reader);
    }

    #[test]
    fn a_full_disk_leaves_what_was_recorded_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("freshen.db");
        let mut store = Store::open(&path, &me(), 0).unwrap();
        begin(&mut store, "small", 10).unwrap();
        let before = (store.sets().unwrap(), store.meta().unwrap());
        let conn = store.connection();
        conn.query_row("PRAGMA max_page_count = 60", [], |_| Ok(()))
            .unwrap();
        let error = begin(&mut store, "large", 50_000).unwrap_err();
        assert!(
            matches!(error, StateError::Full { path: Some(_), .. }),
            "{error:?}"
        );
        assert_eq!((store.sets().unwrap(), store.meta().unwrap()), before);
        begin(&mut store, "small", 20).unwrap();
        drop(store);
        assert_eq!(check(&path).unwrap().len(), 0);
    }
}
