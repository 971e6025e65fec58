//! What somebody runs into who uses the program for the first time.

use std::fs;
use std::path::Path;
use std::process::Command;

use freshen::sandbox::Failure;

use crate::keeper::Keeper;
use crate::program::{freshen, run};
use crate::world::{ROOT, World, ids, items};

#[test]
fn an_empty_list_of_urls_purges_nothing() {
    let world = World::new("");
    world.set("spring", "  assets: [a, b]");
    world.sends(0);
    world.write("empty.txt", "\n# nobody wrote any\n");
    let from: &[&str] = &["--urls-from", "empty.txt"];
    for whose in [&["spring"][..], &["--cdn", "dynamic-media"], &[]] {
        let said = world.ends(64, &[&["invalidate"], whose, from].concat());
        assert!(
            said.contains("No URL(s) entered to be invalidated"),
            "{said}"
        );
    }
    assert_eq!(world.sends(0).len(), 0);
}

#[test]
fn a_script_is_taken_over_by_watching_first_and_adopting_then() {
    let world = World::new("");
    world.remove("manifests/cdn.yaml");
    let listed: Vec<String> = (0..6)
        .flat_map(|n| [format!("{ROOT}/a{n}"), format!("{ROOT}/a{n}?$product$")])
        .collect();
    world.write("purged-by-script.txt", &listed.join("\n"));
    world.ends(0, &["import-urls", "purged-by-script.txt"]);
    world.remove("manifests/cdns.yaml");
    world.write("manifests/cdn.yaml", &world.cdn("acmecorp", ""));
    // The script still does it: freshen says what it would do.
    let keeper = Keeper::start(&world, &["--observe"]);
    keeper.wait_for_log("items=12");
    drop(keeper);
    world.ends(0, &["state", "adopt", "acmecorp-assets"]);
    let said = world.ends(0, &["plan"]);
    assert!(said.contains("nothing to send"), "{said}");
    assert!(world.sandbox.calls().is_empty());
    let keeper = Keeper::start(&world, &[]);
    keeper.wait_until("a pass", |keeper| keeper.passes() > 0);
    let sets = fs::read_to_string(world.folder().join("manifests/sets.yaml")).unwrap();
    let revised = sets.replacen("- a3\n", "- { id: a3, revision: '2' }\n", 1);
    assert_ne!(sets, revised, "{sets}");
    world.write("manifests/sets.yaml", &revised);
    let sent = [vec![format!("{ROOT}/a3"), format!("{ROOT}/a3?$product$")]];
    world.wait_until("what was revised", |world| world.accepted() == sent);
}

/// A set of so many assets, all of them recorded as told.
fn adopted(world: &World, count: usize) {
    world.write("manifests/skus.txt", &ids("a", count));
    world.set(
        "spring",
        "  assetsFrom: [{ file: skus.txt, type: Image }]\n  limits: { maxUrls: 100 }",
    );
    world.ends(0, &["reconcile", "--bootstrap", "adopt"]);
}

#[test]
fn an_invalidation_over_the_limit_is_refused_and_holds_up_no_later_one() {
    let world = World::new("");
    adopted(&world, 150);
    let said = world.ends(1, &["invalidate", "spring"]);
    for part in ["150 URLs", "maxUrls 100", "`revision`", "freshen approve"] {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
    assert_eq!(world.sends(0).len(), 0);
    let sent = world.sends_by(0, &["invalidate", "--asset", "a7"]);
    assert_eq!(sent, [[format!("{ROOT}/a7")]]);
}

#[test]
fn what_was_asked_for_in_parts_goes_whatever_it_comes_to_together() {
    let world = World::new("");
    adopted(&world, 150);
    world.ends(0, &["suspend", "--set", "spring"]);
    for digit in 0..10 {
        world.ends(4, &["invalidate", "--match", &format!("*{digit}")]);
    }
    world.ends(0, &["resume", "--set", "spring"]);
    assert_eq!(items(&world.sends(0)).len(), 150);
}

#[test]
fn undeclared_urls_that_wait_can_be_taken_back() {
    let world = World::new("");
    world.set("spring", "  assets: [a]");
    world.sends(0);
    let many: String = ids(&format!("{ROOT}/undeclared-"), 10_001);
    world.write("urls.txt", &many);
    let said = world.ends(1, &["invalidate", "--urls-from", "urls.txt"]);
    assert!(said.contains("10001 URLs"), "{said}");
    assert!(said.contains("at most 10000 at a time"), "{said}");
    world.ends(0, &["suspend", "--cdn", "dynamic-media"]);
    world.ends(4, &["invalidate", "--url", &format!("{ROOT}/other")]);
    world.ends(0, &["resume", "--cdn", "dynamic-media"]);
    let said = world.ends(0, &["state", "forget", "adhoc"]);
    assert!(said.contains("1 URL"), "{said}");
    assert_eq!(world.sends(0).len(), 0);
    let url = format!("{ROOT}/another");
    let sent = world.sends_by(0, &["invalidate", "--url", &url]);
    assert_eq!(sent, [[url]]);
}

/// A set under a name, with the names it had before.
fn renamed(world: &World, name: &str, formerly: &str, revision: &str) {
    let text = format!(
        "apiVersion: freshen/v1\nkind: AssetSet\nmetadata: {{ name: {name}, formerly: [{formerly}] }}\n\
         spec: {{ revision: '{revision}', assets: [a] }}\n"
    );
    world.write("manifests/renamed.yaml", &text);
}

#[test]
fn a_suspended_set_stays_suspended_under_another_name() {
    let world = World::new("");
    renamed(&world, "spring", "", "1");
    world.sends(0);
    world.ends(0, &["suspend", "--set", "spring"]);
    renamed(&world, "summer", "spring", "2");
    assert_eq!(world.sends(4).len(), 0, "renamed in its manifest");
    assert!(world.ends(0, &["status"]).contains("set summer"));
    renamed(&world, "autumn", "", "3");
    world.ends(0, &["state", "mv", "summer", "autumn"]);
    assert_eq!(world.sends(4).len(), 0, "renamed by command");
    renamed(&world, "winter", "autumn", "4");
    world.ends(0, &["resume", "--set", "winter"]);
    assert_eq!(world.sends(0), [[format!("{ROOT}/a")]]);
}

#[test]
fn a_suspended_cdn_stays_suspended_under_another_name() {
    let world = World::new("");
    world.set("spring", "  assets: [a]");
    world.ends(0, &["suspend", "--cdn", "dynamic-media"]);
    world.write("manifests/cdn.yaml", &world.cdn("renamed", ""));
    assert_eq!(world.sends(4).len(), 0);
    assert!(world.ends(0, &["status"]).contains("Cdn renamed"));
    world.ends(0, &["resume", "--cdn", "renamed"]);
    assert_eq!(world.sends(0), [[format!("{ROOT}/a")]]);
    assert!(!world.ends(0, &["status"]).contains("Suspended"));
}

#[test]
fn a_first_run_of_which_nothing_went_out_is_no_past() {
    let world = World::new("");
    world.write("manifests/skus.txt", &ids("a", 8_000));
    world.set("spring", "  assetsFrom: [{ file: skus.txt, type: Image }]");
    let mut command = world.command(&["reconcile"]);
    assert_eq!(run(command.env_remove("IPS_PASSWORD")).code, 4);
    assert_eq!(
        world
            .sends_by(0, &["reconcile", "--bootstrap", "adopt"])
            .len(),
        0
    );
    assert_eq!(world.sends(0).len(), 0);
    let said = world.ends(0, &["reconcile", "--bootstrap", "adopt"]);
    assert!(said.contains("`--bootstrap adopt` has no effect"), "{said}");
}

#[test]
fn a_run_without_any_set_is_no_past() {
    let world = World::new("");
    world.sends(0);
    world.write("manifests/skus.txt", &ids("a", 12_000));
    world.set(
        "spring",
        "  limits: { maxUrls: 20000 }\n  assetsFrom: [{ file: skus.txt, type: Image }]",
    );
    world.ends(3, &["reconcile", "--bootstrap", "fail"]);
    world.ends(3, &["reconcile"]);
    assert_eq!(world.accepted().len(), 0);
}

#[test]
fn of_several_sets_of_a_first_run_each_can_be_approved_by_itself() {
    let world = World::new("");
    for name in ["big1", "big2", "big3"] {
        world.write(&format!("manifests/{name}.txt"), &ids(name, 8_000));
        let spec = format!("  assetsFrom: [{{ file: {name}.txt, type: Image }}]");
        world.set(name, &spec);
    }
    let said = world.ends(3, &["plan"]);
    let ids: Vec<&str> = said
        .split("freshen approve ")
        .skip(1)
        .map(|rest| &rest[..12])
        .collect();
    assert_eq!(ids.len(), 4, "one for each set, and one to explain: {said}");
    assert!(said.contains("! big2"), "{said}");
    world.ends(0, &["approve", ids[0]]);
    let sent = items(&world.sends(3));
    assert_eq!(sent.len(), 8_000);
    assert!(sent.iter().all(|url| url.contains("/big1")));
    assert_eq!(world.sends(3).len(), 0);
}

#[test]
fn an_invalidation_before_its_time_says_until_when_it_waits() {
    let world = World::new("");
    world.set("spring", "  assets: [a]");
    world.sends(0);
    world.set("spring", "  notBefore: 2099-11-27T00:00:00Z\n  assets: [a]");
    let said = world.ends(4, &["invalidate", "spring"]);
    assert!(said.contains("held until 2099-11-27T00:00:00Z"), "{said}");
    assert!(!said.contains("sent again"), "{said}");
    assert!(said.contains("1 held"), "{said}");
    assert_eq!(world.accepted().len(), 1);
}

#[test]
fn a_state_that_is_no_file_is_refused_and_one_that_is_not_there_is_named() {
    let world = World::new("");
    world.set("spring", "  assets: [a]");
    let said = world.ends(64, &["--state", "postgres://me:secret@db/x", "plan"]);
    assert!(said.contains("keeps its state in a file"), "{said}");
    assert!(!said.contains("secret"), "{said}");
    let said = world.ends(0, &["--state", "elsewhere.db", "plan"]);
    assert!(
        said.contains("no state at elsewhere.db: everything looks new"),
        "{said}"
    );
    let said = world.ends(1, &["--state", "manifests/freshen.db", "plan"]);
    assert!(said.contains("lies inside the manifest root"), "{said}");
}

#[test]
fn init_brings_its_schema_along_and_leaves_manifests_of_others_alone() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(freshen(folder.path(), &["init"]).code, 0);
    let set = fs::read_to_string(folder.path().join("manifests/set.yaml")).unwrap();
    let schema = set
        .lines()
        .next()
        .unwrap()
        .split("$schema=")
        .nth(1)
        .unwrap();
    assert!(
        folder.path().join("manifests").join(schema).is_file(),
        "{schema}"
    );
    fs::write(folder.path().join("manifests/mine.yaml"), "").unwrap();
    fs::remove_file(folder.path().join("manifests/set.yaml")).unwrap();
    let refused = freshen(folder.path(), &["init"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("mine.yaml"), "{}", refused.stderr);
    assert!(!folder.path().join("manifests/set.yaml").exists());
}

#[test]
fn told_twice_to_stop_it_ends_at_once_and_the_next_run_goes_on() {
    let world = World::new("");
    world.set("spring", "  assets: [a]");
    world.sandbox.fail(Failure::Hang, Some(1));
    let mut running = world.start(&["reconcile"]);
    world.wait_until("the call", |world| !world.sandbox.calls().is_empty());
    let interrupt = format!("kill -INT {0}; sleep 1; kill -INT {0}", running.id());
    let status = Command::new("sh").args(["-c", &interrupt]).status();
    assert!(status.unwrap().success());
    assert_eq!(running.wait().unwrap().code(), Some(130));
    assert_eq!(world.sends(0), [[format!("{ROOT}/a")]]);
}

#[test]
fn rows_that_are_left_out_make_a_validation_partial() {
    let world = World::new("");
    world.set(
        "spring",
        "  assetsFrom: [{ csv: rows.csv, id: sku, revision: hash }]",
    );
    world.write("manifests/rows.csv", "sku,hash\na,1\nb\n");
    let said = world.ends(4, &["validate"]);
    assert!(said.contains("Partial"), "{said}");
    world.ends(4, &["plan"]);
    let unclosed = "sku,hash\na,\"1\"\"\"\nb,\"2\nc,3\nd,4\n";
    world.write("manifests/rows.csv", unclosed);
    let said = world.ends(4, &["validate"]);
    assert!(said.contains("a quote opens here"), "{said}");
    assert!(said.contains("rows.csv:3:1"), "{said}");
    assert!(said.contains("1 URL"), "{said}");
    world.write("manifests/rows.csv", "sku,hash\na,1\nb,\"2\n3\"");
    world.ends(0, &["validate"]);
}

#[test]
fn what_names_no_plan_is_refused() {
    let world = World::new("");
    world.set("spring", "  assets: [a]");
    for junk in ["junk", "", "0123456789z", "0123"] {
        let said = world.ends(64, &["reconcile", "--approve", junk]);
        assert!(said.contains("12 digits"), "{junk}: {said}");
    }
    let text = "apiVersion: freshen/v1\nkind: AssetSet\nmetadata:\n  name: spring\n  \
                annotations: { freshen/approve: abc }\nspec: { assets: [a] }\n";
    world.write("manifests/spring.yaml", text);
    let said = world.ends(4, &["validate"]);
    assert!(said.contains("`abc` names no plan"), "{said}");
}

#[test]
fn flags_in_the_environment_mean_what_they_mean_by_hand() {
    let world = World::new("");
    world.set("spring", "  assets: [a]");
    let with = |variables: &[(&str, &str)], arguments: &[&str]| {
        run(world.command(arguments).envs(variables.iter().copied())).code
    };
    assert_eq!(with(&[("FRESHEN_DETAILED_EXITCODE", "1")], &["plan"]), 2);
    assert_eq!(with(&[("FRESHEN_DETAILED_EXITCODE", "0")], &["plan"]), 0);
    let empty = [("FRESHEN_DETAILED_EXITCODE", ""), ("FRESHEN_STATE", "")];
    assert_eq!(with(&empty, &["plan"]), 0);
    let empty = [("FRESHEN_APPROVE", ""), ("FRESHEN_SET", "")];
    assert_eq!(with(&empty, &["reconcile"]), 0);
    let set = [("FRESHEN_SET", "spring")];
    assert_eq!(with(&set, &["suspend", "--cdn", "dynamic-media"]), 0);
}

#[test]
fn what_is_blocked_against_a_commit_names_a_cure_that_works() {
    let world = World::new("");
    world.set("spring", "  assets: [a]");
    for git in [
        &["init", "-q"][..],
        &["add", "manifests"],
        &[
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@t",
            "commit",
            "-qm",
            "first",
        ],
    ] {
        let status = Command::new("git")
            .current_dir(world.folder())
            .args(git)
            .status();
        assert!(status.unwrap().success(), "{git:?}");
    }
    world.set("spring", "  limits: { maxUrls: 1 }\n  assets: [a, b, c]");
    let said = world.ends(3, &["plan", "--since", "HEAD"]);
    assert!(
        said.contains("freshen reconcile --since HEAD --approve "),
        "{said}"
    );
    assert!(!said.contains("state adopt"), "{said}");
    let said = world.ends(3, &["reconcile", "--since", "HEAD"]);
    assert!(!said.contains("freshen approve"), "{said}");
    let (_, rest) = said
        .split_once("freshen reconcile --since HEAD --approve ")
        .unwrap();
    let again = ["reconcile", "--since", "HEAD", "--approve", &rest[..12]];
    assert_eq!(items(&world.sends_by(0, &again)).len(), 2);
}

#[test]
fn annotations_of_what_is_blocked_stand_at_its_set() {
    let world = World::new("");
    world.write("manifests/skus.txt", &ids("a", 11_000));
    let spec = "  limits: { maxUrls: 20000 }\n  assetsFrom: [{ file: skus.txt, type: Image }]";
    world.set("spring", spec);
    for command in ["plan", "reconcile"] {
        let said = world.ends(3, &[command, "-o", "github"]);
        let at = "::warning file=./manifests/spring.yaml,line=3,col=";
        assert!(said.contains(at), "{said}");
        assert!(said.contains("11,000"), "{said}");
        assert!(said.contains("--bootstrap adopt"), "{said}");
    }
}

#[test]
fn what_is_recorded_goes_by_the_name_of_its_cdn() {
    let world = World::new("");
    world.set("spring", "  assets: [a]");
    world.sends(0);
    world.set("spring", "  assets: [b]");
    let page = Failure::Status {
        status: 404,
        retry_after: None,
    };
    world.sandbox.fail(page, None);
    world.ends(4, &["reconcile", "--max-time", "1s"]);
    for command in ["status", "history"] {
        let said = world.freshen(&[command]).stdout;
        assert!(said.contains("  dynamic-media  "), "{said}");
        assert!(!said.contains(&world.sandbox.endpoint()), "{said}");
        let document = world.freshen(&[command, "-o", "json"]).stdout;
        assert!(
            document.contains("\"cdn\": \"dynamic-media\""),
            "{document}"
        );
    }
    let said = world.freshen(&["history"]).stdout;
    assert!(said.contains("HTTP 404: an HTML page"), "{said}");
    assert!(said.lines().all(|line| line.len() < 300), "{said}");
}

#[test]
fn the_manual_holds_every_flag_and_refers_to_no_other_page() {
    let manual = freshen(Path::new("."), &["man"]).stdout;
    for flag in [
        "detailed\\-exitcode",
        "urls\\-from",
        "bootstrap",
        "max\\-time",
        "force",
    ] {
        assert!(manual.contains(flag), "no `{flag}` in: {manual}");
    }
    assert_eq!(
        manual.matches("max\\-expansion").count(),
        2,
        "once in all: {manual}"
    );
    assert!(!manual.contains("freshen\\-plan(1)"), "{manual}");
}

#[test]
fn what_is_declared_in_vain_is_warned_of() {
    let world = World::new("batch: { maxUrls: 5000 }");
    world.set(
        "spring",
        "  excludeAssets: [\"b*\", \"c*\"]\n  exclude: [\"*/d\", \"*/e\"]\n  assets: [a, b, d]",
    );
    let said = world.ends(0, &["validate"]);
    assert!(said.contains("5000 comes to 1000"), "{said}");
    for (field, column) in [("excludeAssets", 5), ("exclude", 6)] {
        let message = format!("this pattern of `{field}` matches nothing");
        assert_eq!(said.matches(&message).count(), 1, "{said}");
        assert!(said.contains(&format!("spring.yaml:{column}:")), "{said}");
    }
}

#[test]
fn a_root_inside_another_is_refused_by_name() {
    let world = World::new("");
    world.set("more/spring", "  assets: [a]");
    let twice = ["--manifests", "manifests", "--manifests"];
    for other in ["./manifests", "manifests/more"] {
        let said = world.ends(64, &[&twice[..], &[other, "validate"]].concat());
        assert!(said.contains(other), "{said}");
    }
}

#[test]
fn explain_finds_what_a_browser_shows_and_suggests_what_can_be_pasted() {
    let world = World::new("");
    world.set("spring", "  assets: [tent, backpack]");
    world.sends(0);
    let path = "/is/image/AcmeCorp/tent";
    let check = |subject: &str, parts: &[&str]| {
        let said = world.ends(0, &["explain", subject]);
        for part in parts {
            assert!(said.contains(part), "{subject}: no `{part}` in: {said}");
        }
        let (_, next) = said.trim().rsplit_once("Next: freshen ").unwrap();
        let words: Vec<String> = next.split(' ').map(|word| word.replace('\'', "")).collect();
        let pasted = world.freshen(&words.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(pasted.code, 0, "{next}: {}", pasted.stderr);
        next.to_owned()
    };
    for same in [
        format!(" {ROOT}/tent "),
        format!("s7d1.scene7.com{path}"),
        format!("https://S7D1.scene7.com:443{path}#top"),
    ] {
        check(
            &same,
            &["Declared: 1 place", "told at the declared revision"],
        );
    }
    for other in [
        path.to_owned(),
        format!("http://s7d1.scene7.com{path}"),
        format!("https://media.acme.com{path}?wid=300"),
        format!("{ROOT}/tent/"),
    ] {
        check(
            &other,
            &["1 URL with the same path", &format!("{ROOT}/tent")],
        );
    }
    assert_eq!(check("tnet", &["did you mean `tent`?"]), "explain 'tent'");
    assert_eq!(
        check(" tent ", &["An asset with 1 URL"]),
        "invalidate --asset 'tent'"
    );
    assert_eq!(check(path, &[]), format!("explain '{ROOT}/tent'"));
}

#[test]
fn what_was_adopted_is_not_said_to_have_been_told() {
    let world = World::new("");
    world.set("spring", "  assets: [tent, backpack]");
    world.ends(0, &["reconcile", "--bootstrap", "adopt"]);
    world.ends(0, &["invalidate", "--asset", "backpack"]);
    let said = world.ends(0, &["explain", "tent"]);
    assert!(
        said.contains("adopted: recorded as told, without being sent"),
        "{said}"
    );
    assert!(said.contains("adopted 20"), "{said}");
    let said = world.ends(0, &["explain", "backpack"]);
    assert!(said.contains("told at the declared revision"), "{said}");
}

#[test]
fn a_verbose_plan_shows_so_many_urls_and_how_many_more_there_are() {
    let world = World::new("");
    world.write("manifests/skus.txt", &ids("a", 100_003));
    world.set("spring", "  assetsFrom: [{ file: skus.txt, type: Image }]");
    let plan = world.freshen(&["plan", "-vv"]);
    assert_eq!(plan.code, 3, "{}", plan.stderr);
    let shown = plan.stdout.lines().filter(|line| line.contains(ROOT));
    assert_eq!(shown.count(), 100_000);
    assert!(plan.stdout.contains("and 3 more"));
}
