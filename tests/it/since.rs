//! `--since`: what was declared at a commit stands in for a state.

use std::path::Path;
use std::process::Command;

use crate::program;
use crate::world::{ROOT, World};

/// Runs git, which must succeed, and returns what it says.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A repository of one commit: the sets `listed` (from a file) and `other`.
fn repository() -> World {
    let world = World::new("");
    world.write("manifests/skus.txt", "a\nb\n");
    world.set("listed", "  assetsFrom: [{ file: skus.txt, type: Image }]");
    world.set("other", "  assets: [x, { id: y, revision: '1' }]");
    git(
        world.folder(),
        &["init", "--quiet", "--initial-branch=main"],
    );
    git(
        world.folder(),
        &["config", "uploadpack.allowFilter", "true"],
    );
    git(world.folder(), &["add", "manifests"]);
    commit(&world);
    world
}

pub(crate) fn commit(world: &World) {
    git(world.folder(), &["add", "manifests"]);
    git(
        world.folder(),
        &["commit", "--quiet", "--message", "change"],
    );
}

fn clone(world: &World, name: &str, arguments: &[&str]) {
    let url = format!("file://{}", world.folder().display());
    let clone = [&["clone", "--quiet"], arguments, &[&url, name]].concat();
    git(world.folder(), &clone);
}

/// What `reconcile --since` sends; it makes no state, and `plan` agrees.
fn sends(world: &World, since: &str) -> Vec<Vec<String>> {
    let plan = world.ends(0, &["plan", "--since", since, "-vv"]);
    let sent = world.sends_by(0, &["reconcile", "--since", since]);
    for url in sent.iter().flatten() {
        assert!(plan.lines().any(|line| line.trim() == url), "{url}: {plan}");
    }
    assert!(!world.folder().join("freshen.db").exists());
    sent
}

fn urls<const N: usize>(ids: [&str; N]) -> Vec<String> {
    ids.map(|id| format!("{ROOT}/{id}")).to_vec()
}

#[test]
fn only_what_changed_since_a_commit_is_sent_and_no_state_is_made() {
    let world = repository();
    assert!(sends(&world, "HEAD").is_empty());
    world.write("manifests/skus.txt", "a\nb\nc\n");
    assert_eq!(sends(&world, "HEAD"), [urls(["c"])], "a file of ids");
    commit(&world);
    assert!(sends(&world, "HEAD").is_empty());
    assert_eq!(sends(&world, "HEAD~1"), [urls(["c"])]);
    world.set("other", "  assets: [x, { id: y, revision: '2' }]");
    assert_eq!(sends(&world, "HEAD"), [urls(["y"])], "a revision");
    world.set("third", "  assets: [n]");
    commit(&world);
    assert_eq!(sends(&world, "HEAD~1"), [urls(["y", "n"])], "a new set too");
    world.remove("manifests/third.yaml");
    world.write("manifests/skus.txt", "b\n");
    assert!(
        sends(&world, "HEAD").is_empty(),
        "nothing is gone for a CDN"
    );
}

#[test]
fn a_state_beside_it_is_neither_read_nor_written_by_since() {
    let world = repository();
    world.sends(0);
    let before = std::fs::read(world.folder().join("freshen.db")).unwrap();
    world.set("other", "  assets: [x, y, z]");
    for _ in 0..2 {
        let sent = world.sends_by(0, &["reconcile", "--since", "HEAD"]);
        assert_eq!(sent, [urls(["y", "z"])]);
    }
    let after = std::fs::read(world.folder().join("freshen.db")).unwrap();
    assert!(before == after);
}

#[test]
fn a_commit_that_is_not_here_is_had_by_the_fetch_that_is_told() {
    let world = repository();
    let first = git(world.folder(), &["rev-parse", "HEAD"]);
    git(world.folder(), &["branch", "feature"]);
    world.write("manifests/skus.txt", "a\nb\nc\n");
    commit(&world);
    for (reference, fetch) in [
        ("HEAD~1", "fetch --unshallow"),
        ("origin/main~1", "fetch --unshallow"),
        (
            "origin/feature",
            "fetch origin feature:refs/remotes/origin/feature",
        ),
        (&*first, &format!("fetch origin {first}")),
    ] {
        clone(&world, "clone", &["--depth", "1"]);
        let roots = ["--manifests", "clone/manifests"];
        let plan = [&roots[..], &["plan", "--since", reference]].concat();
        let reconcile = [&roots[..], &["reconcile", "--since", reference]].concat();
        let said = world.ends(1, &plan);
        let unknown = format!("`{reference}` is no commit of this clone");
        assert!(said.contains(&unknown), "{said}");
        assert_eq!(world.sends_by(1, &reconcile).len(), 0, "{reference}");

        let (_, cure) = said.split_once("hint: run: ").unwrap();
        assert!(cure.contains(fetch), "{reference}: {cure}");
        let words: Vec<&str> = cure.split_whitespace().collect();
        let (program, arguments) = words.split_first().unwrap();
        assert_eq!(*program, "git");
        git(world.folder(), arguments);
        assert_eq!(world.sends_by(0, &reconcile), [urls(["c"])], "{reference}");
        std::fs::remove_dir_all(world.folder().join("clone")).unwrap();
    }
}

#[test]
fn a_file_of_the_commit_that_a_partial_clone_lacks_sends_nothing_of_its_sets() {
    let world = repository();
    world.write("manifests/skus.txt", "a\nb\nc\n");
    commit(&world);
    clone(&world, "clone", &["--filter=blob:none"]);
    let origin = ["remote", "set-url", "origin", "./gone"];
    git(&world.folder().join("clone"), &origin);
    let roots = ["--manifests", "clone/manifests"];
    for command in ["plan", "reconcile"] {
        let arguments = [&roots[..], &[command, "--since", "HEAD~1"]].concat();
        let said = world.ends(4, &arguments);
        let unknown = "what changed in the set `listed` since HEAD~1 is not known";
        assert!(said.contains(unknown), "{said}");
    }
    assert!(world.accepted().is_empty());
}

#[test]
fn a_set_that_was_invalid_at_the_commit_is_named_and_not_sent() {
    let world = repository();
    world.set("other", "  assets: [x, y]\n  nonsense: 1");
    commit(&world);
    world.set("other", "  assets: [x, y, z]");
    world.write("manifests/skus.txt", "a\nb\nc\n");
    let arguments = ["reconcile", "--since", "HEAD"];
    let sent = world.sends_by(4, &arguments);
    assert_eq!(sent, [urls(["c"])], "of the set that was valid there");
    let said = world.ends(4, &arguments);
    for part in [
        "what changed in the set `other` since HEAD is not known",
        "manifests/other.yaml:3:19",
        "compare with a commit at which its manifests are valid",
    ] {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
}

#[test]
fn outside_of_git_since_sends_nothing_and_says_why() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    for command in ["plan", "reconcile"] {
        let run = world.freshen(&[command, "--since", "HEAD"]);
        assert_eq!(run.code, 1, "{}", run.stdout);
        assert!(
            run.stderr.contains("not a git repository"),
            "{}",
            run.stderr
        );
    }
    assert!(world.sandbox.calls().is_empty());
    let missing = program::run(
        program::command(world.folder())
            .env("PATH", "")
            .args(["plan", "--since", "HEAD"]),
    );
    assert_eq!(missing.code, 1);
    assert!(
        missing.stderr.contains("hint: install git"),
        "{}",
        missing.stderr
    );
}
