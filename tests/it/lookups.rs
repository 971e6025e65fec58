//! Assets as their account lists them: asked, kept with an age, and never
//! taken for gone because they could not be had.

use freshen::sandbox::{Failure, Faults, Rule};

use crate::keeper::Keeper;
use crate::since::{commit, git};
use crate::world::{ROOT, World, items};

pub(crate) const FOLDER: &str = "AcmeCorp/Spring";

/// A set of whatever that folder holds.
pub(crate) fn set(world: &World, search: &str) {
    world.set(
        "spring",
        &format!("  assetsFrom: [{{ dynamicMedia: {{ folder: {FOLDER}{search} }} }}]"),
    );
}

/// A world whose folder holds two images.
fn spring(search: &str) -> World {
    let world = World::new("");
    for asset in ["a", "b"] {
        world.sandbox.put(asset, FOLDER, "Image");
    }
    set(&world, search);
    world
}

pub(crate) fn url(asset: &str) -> String {
    format!("{ROOT}/{asset}")
}

/// How often the account was asked for assets.
pub(crate) fn asked(world: &World) -> usize {
    calls(world, "searchAssets")
}

/// How often an operation was called.
pub(crate) fn calls(world: &World, operation: &str) -> usize {
    let calls = world.sandbox.calls().into_iter();
    calls.filter(|call| call.operation == operation).count()
}

fn fail(world: &World, failure: Failure, times: Option<u32>) {
    world.sandbox.set_faults(Faults {
        rules: vec![Rule {
            failure,
            times,
            operation: Some("searchAssets".to_owned()),
        }],
        ..Faults::default()
    });
}

/// The one statement's only number, in the state.
pub(crate) fn number(world: &World, sql: &str) -> i64 {
    let path = world.folder().join("freshen.db");
    let state = rusqlite::Connection::open(path).unwrap();
    state.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Makes every answer too old.
pub(crate) fn age(world: &World) {
    let path = world.folder().join("freshen.db");
    let state = rusqlite::Connection::open(path).unwrap();
    let sql = "UPDATE look_up SET asked_ms = 0; UPDATE look_up_target SET retry_at_ms = NULL;
        UPDATE publication SET asked_ms = asked_ms - 3600000";
    state.execute_batch(sql).unwrap();
}

#[test]
fn what_a_folder_holds_is_sent_and_asked_for_again_only_after_its_poll() {
    let world = spring(", poll: 1h");
    world
        .sandbox
        .put("deep", &format!("{FOLDER}/2026/new"), "Image");
    world.sandbox.put("elsewhere", "AcmeCorp/Summer", "Image");
    let sent = items(&world.sends(0));
    assert_eq!(
        sent.into_iter().collect::<Vec<_>>(),
        ["a", "b", "deep"].map(url)
    );
    assert_eq!(asked(&world), 1);
    world.sandbox.put("c", FOLDER, "Image");
    let said = world.ends(0, &["reconcile"]);
    assert!(said.contains("3 rows, retrieved"), "{said}");
    assert_eq!(asked(&world), 1, "the answer is not old yet");
    age(&world);
    assert_eq!(world.sends(0), [[url("c")]]);
    assert_eq!(asked(&world), 2);
}

#[test]
fn a_search_tells_assets_apart_by_folder_state_type_and_name() {
    let world = spring("");
    world
        .sandbox
        .put("deep", &format!("{FOLDER}/2026"), "Image");
    world.sandbox.put("draft", FOLDER, "Image");
    world.sandbox.mark("draft", false);
    world.sandbox.put("spin", FOLDER, "SpinSet");
    let check = |search: &str, expected: &[&str]| {
        set(&world, &format!(", revision: lastModified{search}"));
        let name = search.replace(|c: char| !c.is_alphanumeric(), "-");
        world.ends(0, &["--state", &format!("x{name}.db"), "reconcile"]);
        let said = world.ends(0, &["--state", &format!("x{name}.db"), "expand"]);
        let found = said
            .lines()
            .filter_map(|line| line.strip_prefix(ROOT)?.strip_prefix('/'));
        assert_eq!(found.collect::<Vec<_>>(), expected, "{search}");
    };
    check("", &["a", "b", "deep", "spin"]);
    check(", subfolders: false", &["a", "b", "spin"]);
    check(", publishState: NotMarkedForPublish", &["draft"]);
    check(
        ", publishState: any, types: [Image]",
        &["a", "b", "deep", "draft"],
    );
    check(", types: [SpinSet, Video]", &["spin"]);
    check(", name: 'd*'", &["deep"]);
}

#[test]
fn reading_commands_ask_nobody_and_say_what_was_not_retrieved() {
    let world = spring("");
    world.set("other", "  assets: [x]");
    let said = world.ends(4, &["plan"]);
    let words = "Failed to retrieve URL(s) for selected asset(s): \
                 the assets of `AcmeCorp/Spring`: not retrieved yet";
    assert!(said.contains(words), "{said}");
    assert!(said.contains("1 URL"), "the other set is planned: {said}");
    let said = world.ends(0, &["validate"]);
    assert!(said.contains("the set `spring` is left out"), "{said}");
    assert_eq!(world.sandbox.calls().len(), 0);
    world.ends(0, &["reconcile"]);
    let before = world.sandbox.calls().len();
    let said = world.ends(0, &["plan"]);
    assert!(said.contains("2 rows, retrieved"), "{said}");
    let said = world.ends(0, &["validate"]);
    assert!(!said.contains("left out"), "{said}");
    world.ends(0, &["explain", "a"]);
    world.ends(0, &["status"]);
    assert_eq!(world.sandbox.calls().len(), before);
}

#[test]
fn what_could_not_be_had_again_leaves_the_last_answer_in_force() {
    let status = |status| Failure::Status {
        status,
        retry_after: None,
    };
    let check = |what: &str, spoil: &dyn Fn(&World)| {
        let world = spring("");
        world.ends(0, &["reconcile"]);
        age(&world);
        spoil(&world);
        let said = world.ends(4, &["reconcile"]);
        let words = "Failed to retrieve URL(s) for selected asset(s)";
        assert!(said.contains(words), "{what}: {said}");
        assert!(said.contains("stays in force"), "{what}: {said}");
        assert_eq!(world.accepted().len(), 1, "{what}");
        world.ends(4, &["plan"]);
        assert_eq!(number(&world, "SELECT count(*) FROM departed"), 0, "{what}");
        let kept = number(&world, "SELECT rows FROM look_up");
        assert_eq!(kept, 2, "{what}");
        world.sandbox.set_faults(Faults::default());
        world.sandbox.put("a", FOLDER, "Image");
        world.sandbox.put("b", FOLDER, "Image");
        age(&world);
        world.ends(0, &["reconcile"]);
        assert_eq!(world.accepted().len(), 1, "{what}: nothing was forgotten");
    };
    check("a vanished folder", &|world| {
        world.sandbox.remove_folder(FOLDER);
    });
    check("an empty folder", &|world| {
        world.sandbox.remove("a");
        world.sandbox.remove("b");
    });
    check("a fault", &|world| fail(world, Failure::Code(30_000), None));
    check("wrong credentials", &|world| {
        fail(world, Failure::Code(10_001), None);
    });
    check("a page of a proxy", &|world| fail(world, status(200), None));
    check("throttling", &|world| fail(world, status(429), None));
    check("no answer", &|world| fail(world, Failure::DropReply, None));
}

#[test]
fn an_asset_that_is_gone_departs_like_one_taken_out_of_a_file() {
    let world = spring("");
    world.ends(0, &["reconcile"]);
    world.sandbox.remove("b");
    age(&world);
    assert_eq!(world.sends(0).len(), 0);
    assert_eq!(number(&world, "SELECT count(*) FROM departed"), 1);
    world.sandbox.put("b", FOLDER, "Image");
    age(&world);
    assert_eq!(world.sends(0).len(), 0, "it came back in time");
}

#[test]
fn an_upload_moves_the_revision_where_it_is_asked_for() {
    let world = spring(", revision: lastModified");
    world.ends(0, &["reconcile"]);
    world.sandbox.upload("a", "new");
    age(&world);
    assert_eq!(world.sends(0), [[url("a")]]);
    age(&world);
    assert_eq!(world.sends(0).len(), 0);
}

#[test]
fn long_lists_come_in_pages() {
    let world = World::new("");
    for n in 0..2_500 {
        world.sandbox.put(&format!("n{n}"), FOLDER, "Image");
    }
    set(&world, ", revision: lastModified");
    world.ends(0, &["reconcile"]);
    assert_eq!(asked(&world), 3);
    assert_eq!(items(&world.accepted()).len(), 2_500);
    set(&world, "");
    world.ends(0, &["reconcile"]);
    assert_eq!(asked(&world), 4, "without times, ten thousand come at once");
}

#[test]
fn what_cannot_be_invalidated_is_left_out_and_counted() {
    let world = spring("");
    world.sandbox.put("slides", FOLDER, "PowerPoint");
    let said = world.ends(0, &["reconcile"]);
    assert!(said.contains("1 of type PowerPoint"), "{said}");
    assert_eq!(items(&world.accepted()).len(), 2);
}

#[test]
fn look_ups_have_a_budget_of_their_own_that_lasts() {
    let world = World::new("rateLimit: { requests: 1000/1s, urls: 100000/1s, lookUps: 2/1h }");
    world.sandbox.put("a", FOLDER, "Image");
    set(&world, "");
    world.ends(0, &["reconcile"]);
    // The company's handle, and the assets.
    assert_eq!(asked(&world), 1);
    let tats = "SELECT tats FROM look_up_target";
    let path = world.folder().join("freshen.db");
    let state = rusqlite::Connection::open(path).unwrap();
    let tats: String = state.query_row(tats, [], |row| row.get(0)).unwrap();
    assert!(tats.contains("requests 2/3600000ms"), "{tats}");
    let of_target = "SELECT count(*) FROM target WHERE tats LIKE '%2/3600000ms%'";
    assert_eq!(number(&world, of_target), 0);
}

#[test]
fn credentials_go_to_no_host_that_is_not_allowed() {
    let world = spring("");
    let cdn = world.cdn("dynamic-media", "");
    let cdn = cdn.replace(&world.sandbox.endpoint(), "https://ips.example/");
    world.write("manifests/cdn.yaml", &cdn);
    let said = world.ends(4, &["reconcile"]);
    assert!(
        said.contains("--allow-endpoint https://ips.example"),
        "{said}"
    );
}

#[test]
fn without_a_state_such_sets_are_left_out_by_name() {
    let world = spring("");
    world.set("other", "  assets: [x]");
    git(world.folder(), &["init", "--quiet"]);
    commit(&world);
    world.set("other", "  assets: [x, y]");
    let said = world.ends(0, &["reconcile", "--since", "HEAD"]);
    assert!(said.contains("the set `spring` is left out"), "{said}");
    assert_eq!(world.accepted(), [[url("y")]]);
    assert_eq!(asked(&world), 0);
}

#[test]
fn a_set_that_was_left_out_at_the_commit_does_not_look_new() {
    let world = spring("");
    git(world.folder(), &["init", "--quiet"]);
    commit(&world);
    world.set("spring", "  assets: [a, b]");
    let said = world.ends(4, &["reconcile", "--since", "HEAD"]);
    assert!(said.contains("what changed in the set `spring`"), "{said}");
    assert_eq!(world.accepted().len(), 0);
}

#[test]
fn a_revision_that_no_account_tells_is_refused_with_those_that_it_does() {
    let world = spring(", revision: lastPublishd");
    let said = world.ends(4, &["validate"]);
    let words = "`revision` must be `lastModified` or `lastPublished`";
    assert!(said.contains(words), "{said}");
    assert!(said.contains("did you mean `lastPublished`?"), "{said}");
}

/// A set of one asset with its presets, as the account defines them.
fn presets(world: &World) {
    let cdn = world.cdn("dynamic-media", "");
    let declared = "[thumbnail, { name: product, revision: \"1\" }]";
    assert!(cdn.contains(declared));
    world.write("manifests/cdn.yaml", &cdn.replace(declared, "discover"));
    world.set("set", "  imagePresets: true\n  assets: [x]");
    world.sandbox.remove_presets();
    world.sandbox.define("large", "wid=800");
    world.sandbox.define("small", "wid=80");
}

#[test]
fn a_preset_that_is_new_or_defined_anew_in_the_account_is_sent() {
    let world = World::new("");
    presets(&world);
    let sent = items(&world.sends(0)).into_iter().collect::<Vec<_>>();
    assert_eq!(sent, ["x", "x?$large$", "x?$small$"].map(url));
    world.sandbox.define("large", "wid=900");
    assert_eq!(world.sends(0).len(), 0, "the answer is not old yet");
    age(&world);
    assert_eq!(world.sends(0), [[url("x?$large$")]]);
    world.sandbox.define("wide", "wid=2000");
    age(&world);
    assert_eq!(world.sends(0), [[url("x?$wide$")]]);
    age(&world);
    assert_eq!(world.sends(0).len(), 0);
}

#[test]
fn only_sets_that_use_presets_wait_for_them_and_failures_take_none_away() {
    let world = World::new("");
    presets(&world);
    world.set("plain", "  assets: [y]");
    let template = "apiVersion: freshen/v1\nkind: Template\nmetadata: { name: t }\n\
                    spec: { urls: ['<ID>?$<PRESET>$'] }\n";
    world.write("manifests/t.yaml", template);
    world.set("templated", "  templates: [t]\n  assets: [z]");
    let said = world.ends(4, &["plan", "-v"]);
    let words = "the image presets: not retrieved yet";
    assert_eq!(said.matches(&format!("(s): {words}")).count(), 2, "{said}");
    assert!(said.contains(&url("y")), "{said}");
    world.ends(0, &["reconcile"]);
    let sent = items(&world.accepted());
    assert!(sent.contains(&url("z?$small$")), "{sent:?}");
    assert_eq!(sent.len(), 6);
    world.sandbox.remove_presets();
    age(&world);
    let before = world.accepted().len();
    let said = world.ends(4, &["reconcile"]);
    assert!(
        said.contains("the image presets: the answer is empty"),
        "{said}"
    );
    assert_eq!(world.accepted().len(), before);
    assert_eq!(number(&world, "SELECT count(*) FROM departed"), 0);
}

#[test]
fn listed_ids_and_types_are_checked_and_every_finding_is_in_one_report() {
    let world = World::new("");
    for (asset, kind) in [
        ("a", "Image"),
        ("Tent", "Image"),
        ("spin", "SpinSet"),
        ("film", "Video"),
    ] {
        world.sandbox.put(asset, "AcmeCorp", kind);
    }
    world.write("manifests/skus.txt", "a\nlost\n");
    let list = "  checkAssets: true\n  assetsFrom: [{ file: skus.txt }]\n  \
                assets: [tent, { id: spin, type: Image }, film]";
    world.set("set", list);
    let said = world.ends(0, &["validate"]);
    assert!(said.contains("have not been checked yet"), "{said}");
    let said = world.ends(0, &["reconcile"]);
    let findings = [
        "the account has no asset `tent`",
        "in the same case and without file ending",
        "asset `spin` is declared as Image, and is of type SpinSet",
        "asset `film` is of type Video, and is taken for an Image",
        "the account has no asset `lost`",
        "skus.txt:2",
    ];
    for finding in findings {
        assert!(said.contains(finding), "{finding}: {said}");
    }
    assert_eq!(items(&world.accepted()).len(), 5, "a warning stops nothing");
    world.set("set", &format!("{list}\n  strict: true\n  revision: '2'"));
    let said = world.ends(4, &["reconcile"]);
    assert!(
        said.contains("error: the account has no asset `lost`"),
        "{said}"
    );
    assert_eq!(world.accepted().len(), 1);
    world.set(
        "set",
        "  checkAssets: true\n  strict: true\n  assets: [a, Tent]",
    );
    world.ends(0, &["reconcile"]);
}

#[test]
fn many_ids_are_checked_in_parts_and_none_known_is_an_answer() {
    let world = World::new("");
    let ids: Vec<String> = (0..1_200).map(|n| format!("n{n}")).collect();
    world.write("manifests/skus.txt", &ids.join("\n"));
    world.set(
        "set",
        "  checkAssets: true\n  assetsFrom: [{ file: skus.txt }]",
    );
    let said = world.ends(0, &["reconcile"]);
    assert!(said.contains("the account has no asset `n0`"), "{said}");
    assert!(said.contains("1180 more of its assets"), "{said}");
    let calls = world.sandbox.calls();
    let asked = calls
        .iter()
        .filter(|call| call.operation == "getAssetsByName");
    assert_eq!(asked.count(), 3);
    assert_eq!(items(&world.accepted()).len(), 1_200);
}

#[test]
fn a_check_that_fails_stops_nothing() {
    let world = World::new("");
    world.set("set", "  checkAssets: true\n  strict: true\n  assets: [a]");
    world.sandbox.fail(Failure::Code(30_000), Some(1));
    let said = world.ends(0, &["reconcile"]);
    assert!(
        said.contains("could not be checked: ipsApiFault 30000"),
        "{said}"
    );
    assert_eq!(world.accepted(), [[url("a")]]);
}

pub(crate) const ADOPT: [&str; 2] = ["--bootstrap", "adopt"];

#[test]
fn a_new_asset_is_sent_by_the_daemon_without_any_edit() {
    let world = spring(", poll: 1s");
    let keeper = Keeper::start(&world, &ADOPT);
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    assert_eq!(world.accepted().len(), 0, "what was there is adopted");
    world.sandbox.put("c", FOLDER, "Image");
    let start = std::time::Instant::now();
    world.wait_until("the new asset", |world| {
        world
            .accepted()
            .last()
            .is_some_and(|urls| *urls == [url("c")])
    });
    // Poll, settle, and two seconds for everything else.
    let took = start.elapsed();
    assert!(took.as_millis() < 1_000 + 250 + 2_000, "{took:?}");
    assert_eq!(world.accepted().len(), 1);
}

#[test]
fn an_unchanged_answer_makes_the_daemon_do_nothing() {
    let world = spring(", poll: 1s");
    let keeper = Keeper::start(&world, &ADOPT);
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    let (passes, before) = (keeper.passes(), asked(&world));
    world.wait_until("two polls", |world| asked(world) > before + 1);
    assert_eq!(keeper.passes(), passes);
}

#[test]
fn an_account_that_hangs_holds_up_nothing_that_is_sent() {
    let world = spring(", poll: 1s");
    world.set("other", "  assets: [x]");
    let keeper = Keeper::start(&world, &ADOPT);
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    fail(&world, Failure::Hang, None);
    let before = asked(&world);
    world.wait_until("a hanging call", |world| asked(world) > before);
    world.set("other", "  assets: [x, y]");
    world.wait_until("the other set", |world| {
        world
            .accepted()
            .last()
            .is_some_and(|urls| *urls == [url("y")])
    });
}

#[test]
fn a_failure_is_told_by_the_daemon_and_passes_with_the_next_answer() {
    let world = spring(", poll: 1s");
    let keeper = Keeper::start(&world, &ADOPT);
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    world.sandbox.remove_folder(FOLDER);
    keeper.wait_for_log("Failed to retrieve URL(s) for selected asset(s)");
    for asset in ["a", "b", "c"] {
        world.sandbox.put(asset, FOLDER, "Image");
    }
    world.wait_until("the new one", |world| {
        world
            .accepted()
            .last()
            .is_some_and(|urls| *urls == [url("c")])
    });
    assert_eq!(world.accepted().len(), 1);
}
