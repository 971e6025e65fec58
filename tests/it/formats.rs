//! States of older formats: read as they are, brought up when they are held,
//! and imported.

use std::fs;

use crate::flows::plan_id;
use crate::world::{World, items};

/// Makes a state one of format 2: no inputs are kept, no account is asked, nothing
/// is looked at or waits for its origin, and nobody knows who asked for what.
const FORMAT_2: &str = "
    DROP TABLE converged;
    DROP TABLE publication;
    DROP TABLE kept_inputs;
    DROP TABLE origin_wait;
    DROP TABLE origin_sight;
    DROP TABLE look_up;
    DROP TABLE look_up_target;
    DROP TABLE probe;
    DROP TABLE repeat;
    DROP TABLE echo;
    DROP INDEX request_parent;
    ALTER TABLE request DROP COLUMN parent;
    ALTER TABLE request DROP COLUMN items;
    ALTER TABLE request DROP COLUMN accepted;
    ALTER TABLE request DROP COLUMN refused;
    CREATE TABLE old(
        ledger_id INTEGER NOT NULL, key BLOB NOT NULL, after_no INTEGER NOT NULL,
        PRIMARY KEY (ledger_id, key)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO old SELECT ledger_id, key, after_no FROM forced;
    DROP TABLE forced;
    ALTER TABLE old RENAME TO forced;
    CREATE TABLE old(
        ledger_id INTEGER NOT NULL, plan BLOB NOT NULL, entries BLOB NOT NULL,
        digest BLOB NOT NULL, expires_ms INTEGER NOT NULL, PRIMARY KEY (ledger_id, plan)
    ) STRICT;
    INSERT INTO old SELECT ledger_id, plan, entries, digest, expires_ms FROM approval;
    DROP TABLE approval;
    ALTER TABLE old RENAME TO approval;
    PRAGMA user_version = 2;
";

/// Makes that one of format 1: nothing is known of files.
const FORMAT_1: &str = "DROP TABLE file; PRAGMA user_version = 1;";

/// A state of an older format in which two URLs are approved, one is asked
/// for, and nothing of it is sent.
fn waiting(format: u32) -> World {
    let world = World::new("");
    world.set("asked", "  assets: [a, b]");
    world.sends(0);
    world.set("approved", "  limits: { maxUrls: 1 }\n  assets: [p, q]");
    let id = plan_id(&world.ends(3, &["plan"]));
    world.ends(0, &["approve", &id]);
    world.ends(0, &["suspend", "--all"]);
    world.ends(4, &["invalidate", "asked", "--asset", "a"]);
    world.ends(0, &["resume", "--all"]);
    let state = rusqlite::Connection::open(world.folder().join("freshen.db")).unwrap();
    state.execute_batch(FORMAT_2).unwrap();
    if format == 1 {
        state.execute_batch(FORMAT_1).unwrap();
    }
    world
}

fn check_sent(world: &World) {
    let before = items(&world.accepted()).len();
    assert_eq!(before, 2, "{:?}", world.accepted());
    let sent = world.sends(0).concat();
    let sent: Vec<&str> = sent.iter().map(|url| &url[url.len() - 2..]).collect();
    assert_eq!(sent, ["/a", "/p", "/q"]);
    world.ends(0, &["state", "check"]);
}

#[test]
fn a_state_of_an_older_format_is_read_asked_and_brought_up() {
    for format in [1, 2] {
        let world = waiting(format);
        let copy = world.folder().join(format!("freshen.db.format-{format}"));
        let plan = world.ends(0, &["plan"]);
        assert!(plan.contains("2 URLs") || plan.contains("3 URLs"), "{plan}");
        assert!(world.ends(0, &["status"]).contains("pending 2"));
        world.ends(0, &["state", "check"]);
        assert!(!copy.exists(), "whoever only reads changes nothing");
        check_sent(&world);
        assert!(copy.exists());
    }
}

#[test]
fn an_export_of_an_older_format_is_imported() {
    for format in [1, 2] {
        let world = waiting(format);
        let (state, export) = (
            world.folder().join("freshen.db"),
            world.folder().join("export.db"),
        );
        let old = rusqlite::Connection::open(&state).unwrap();
        let into = export.display().to_string();
        old.execute("VACUUM INTO ?", [into]).unwrap();
        drop(old);
        fs::remove_file(&state).unwrap();
        world.ends(0, &["state", "import", "export.db"]);
        check_sent(&world);
    }
}
