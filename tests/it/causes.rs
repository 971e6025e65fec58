//! What stands in the way of a URL, as `explain` and `status` tell it.

use crate::world::{ROOT, World};

/// Explains `url`: `part` is told, and `next` is the command to run.
fn check(world: &World, url: &str, part: &str, next: &str) {
    let run = world.freshen(&["explain", &format!("{ROOT}/{url}")]);
    let said = format!("{}{}", run.stdout, run.stderr);
    assert!(said.contains(part), "{url}: no `{part}` in: {said}");
    let last = said.lines().last().unwrap_or_default();
    let (_, found) = last.split_once("Next: ").unwrap_or_default();
    assert!(found.contains(next), "{url}: no `{next}` in: {last}");
}

fn says(world: &World, command: &str, parts: &[&str]) {
    let run = world.freshen(&[command]);
    let said = format!("{}{}", run.stdout, run.stderr);
    for part in parts {
        assert!(said.contains(part), "{command}: no `{part}` in: {said}");
    }
}

#[test]
fn what_is_told_was_sent_in_a_batch_and_can_be_sent_again() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    check(&world, "a", "never told", "freshen reconcile");
    world.sends(0);
    check(
        &world,
        "a",
        "in batch 1: accepted",
        "freshen invalidate --url",
    );
    check(&world, "nobody", "never purged", "freshen invalidate --url");
    check(&world, "a?wid=300", "the same path", "a?wid=300'");
    says(&world, "status", &["fresh", "accepted"]);
}

#[test]
fn what_is_blocked_names_its_limit_and_its_approval() {
    let world = World::new("");
    world.set("set", "  limits: { maxUrls: 1 }\n  assets: [a, b]");
    check(&world, "a", "maxUrls 1", "freshen approve ");
    says(
        &world,
        "plan",
        &[
            "2 URLs blocked: 1 call",
            "freshen approve",
            "state adopt set",
        ],
    );
    says(
        &world,
        "reconcile",
        &["2 blocked", "1 call", "state adopt set"],
    );
    says(&world, "status", &["blocked 2", "freshen approve"]);
}

#[test]
fn what_is_held_names_the_manifest_or_the_command_that_holds_it() {
    let world = World::new("");
    world.set("other", "  assets: [o]");
    world.set("manifest", "  suspend: true\n  assets: [a]");
    world.set("command", "  assets: [b]");
    world.set("later", "  notBefore: 2999-01-01T00:00:00Z\n  assets: [c]");
    world.ends(0, &["suspend", "--set", "command"]);
    check(&world, "a", "manifest.yaml:5", "`suspend: true` at");
    check(
        &world,
        "b",
        "suspended with",
        "freshen resume --set command",
    );
    check(
        &world,
        "c",
        "later.yaml:5",
        "freshen reconcile, from 2999-01-01",
    );
    world.sends(4);
    says(
        &world,
        "status",
        &["suspended", "not before 2999-01-01", "fresh"],
    );
}

#[test]
fn what_is_left_out_or_cannot_be_read_names_where() {
    let world = World::new("");
    world.set(
        "set",
        "  assets: [a, b, test-c]\n  exclude: [\"*/b\"]\n  excludeAssets: [\"test-*\"]",
    );
    check(
        &world,
        "b",
        "`exclude` at ./manifests/set.yaml:6",
        "freshen invalidate --url",
    );
    check(
        &world,
        "test-c",
        "`excludeAssets` at ./manifests/set.yaml:7",
        "test-c'",
    );
    world.sends(0);
    world.set("set", "  assets: [a, b]\n  nonsense: true");
    check(&world, "a", "keeps its last good state", "freshen validate");
    check(&world, "x", "is not known", "freshen validate");
    says(&world, "status", &["last good state"]);
}

#[test]
fn what_an_inner_tier_refused_is_held_back_outside() {
    let world = World::new("");
    let outer = world
        .cdn("outer", "")
        .replace("company: AcmeCorp", "company: Other\n    rootId: AcmeCorp");
    world.write("manifests/outer.yaml", &outer);
    world.set("set", "  cdns: [dynamic-media, outer]\n  assets: [a, bad]");
    world.sandbox.poison(&format!("{ROOT}/bad"), true);
    world.ends(4, &["reconcile", "--max-time", "20s"]);
    check(
        &world,
        "bad",
        "the inner tier `dynamic-media` refused it",
        "freshen invalidate --cdn dynamic-media",
    );
    says(&world, "status", &["refused 1"]);
}

#[test]
fn a_halted_target_names_its_credentials() {
    let world = World::new("");
    let text = world
        .cdn("dynamic-media", "")
        .replace("IPS_PASSWORD", "IPS_USER");
    world.write("manifests/cdn.yaml", &text);
    world.set("set", "  assets: [a]");
    world.ends(4, &["reconcile"]);
    check(
        &world,
        "a",
        "unauthorized",
        "correct the credentials of Cdn `dynamic-media`",
    );
    says(&world, "status", &["unauthorized", "pending 1"]);
}

#[test]
fn a_batch_names_the_commit_it_was_declared_at() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    let git = |arguments: &[&str]| {
        let output = std::process::Command::new("git")
            .current_dir(world.folder())
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "--quiet"]);
    git(&["add", "manifests"]);
    git(&["commit", "--quiet", "--message", "declare"]);
    let commit = git(&["rev-parse", "HEAD"]);
    world.sends(0);
    check(
        &world,
        "a",
        &format!("from commit {}", &commit[..12]),
        "freshen invalidate",
    );
    says(&world, "history", &[&commit[..12]]);
    let json = world.ends(0, &["history", "-o", "json"]);
    assert!(json.contains(&commit), "{json}");
}
