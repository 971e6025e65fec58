//! Reading real folders and commits: links, pipes, ignored and odd files.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use freshen::load::{LoadError, ReadProblem, Tree, at_commit, commit_of, scan};
use tempfile::TempDir;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    write(folder.path(), files);
    folder
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn paths(tree: &Tree) -> Vec<String> {
    tree.files.iter().map(|file| file.path.clone()).collect()
}

fn codes(tree: &Tree) -> Vec<&'static str> {
    tree.problems.iter().map(|problem| problem.code).collect()
}

/// What a scan of `root` lists, and the codes of its problems.
fn check(root: &Path, files: &[&str], problems: &[&str]) {
    scan(&[root.to_owned()], |tree| {
        assert_eq!(paths(tree), files);
        assert_eq!(codes(tree), problems);
    })
    .unwrap();
}

#[test]
fn only_manifests_are_read_and_editor_debris_is_not() {
    let root = folder(&[
        ("a.yaml", "1"),
        ("b/c.yml", "2"),
        ("a.yaml~", ""),
        (".a.yaml.swp", ""),
        (".hidden/x.yaml", ""),
        ("#a.yaml#", ""),
        ("4913", ""),
        ("x.yaml.tmp", ""),
        ("ids.txt", "a"),
    ]);
    symlink("nowhere", root.path().join(".#a.yaml")).unwrap();
    check(root.path(), &["a.yaml", "b/c.yml"], &[]);
}

#[test]
fn ignore_files_work_as_in_git() {
    let root = folder(&[
        (".freshenignore", "*.draft.yaml\n/old/\n"),
        ("a.yaml", ""),
        ("a.draft.yaml", ""),
        ("old/x.yaml", ""),
        ("b/old/y.yaml", ""),
        ("b/.freshenignore", "!keep.draft.yaml\n"),
        ("b/keep.draft.yaml", ""),
    ]);
    let expected = ["a.yaml", "b/keep.draft.yaml", "b/old/y.yaml"];
    check(root.path(), &expected, &[]);
}

#[test]
fn a_link_out_of_the_root_is_an_error_and_one_inside_is_followed() {
    let outside = folder(&[("secret.yaml", "x")]);
    let root = folder(&[("real/a.yaml", "1"), (".data/b.yaml", "2")]);
    symlink(
        outside.path().join("secret.yaml"),
        root.path().join("out.yaml"),
    )
    .unwrap();
    symlink(".data/b.yaml", root.path().join("b.yaml")).unwrap();
    symlink("real", root.path().join("alias")).unwrap();
    symlink("..", root.path().join("real/up")).unwrap();
    check(root.path(), &["b.yaml", "real/a.yaml"], &["unreadable"]);
}

#[test]
fn a_link_that_leads_nowhere_is_a_problem_of_its_own_and_stops_no_other_file() {
    let root = folder(&[("a.yaml", "1")]);
    symlink("nowhere.yaml", root.path().join("x.yaml")).unwrap();
    symlink("nowhere", root.path().join("folder")).unwrap();
    symlink("itself.yaml", root.path().join("itself.yaml")).unwrap();
    check(root.path(), &["a.yaml"], &["unreadable", "unreadable"]);
}

#[test]
fn a_pipe_is_skipped_without_waiting_for_it() {
    let root = folder(&[("a.yaml", "1")]);
    let made = Command::new("mkfifo")
        .arg(root.path().join("p.yaml"))
        .status();
    assert!(made.unwrap().success());
    check(root.path(), &["a.yaml"], &["not-a-file"]);
    scan(&[root.path().to_owned()], |tree| {
        assert_eq!(tree.read(0, "p.yaml"), Err(ReadProblem::NotRegular));
    })
    .unwrap();
}

#[test]
fn a_name_that_is_not_plain_text_is_a_problem_of_that_file_alone() {
    let root = folder(&[("a.yaml", "1"), ("new\nline.yaml", "")]);
    let odd = std::ffi::OsStr::from_bytes(b"\xff.yaml");
    fs::write(root.path().join(odd), "").unwrap();
    check(
        root.path(),
        &["a.yaml"],
        &["bad-file-name", "bad-file-name"],
    );
}

#[test]
fn a_missing_or_empty_root_is_said_and_nothing_counts_as_vanished() {
    let root = folder(&[]);
    let missing = root.path().join("none");
    scan(&[root.path().to_owned(), missing], |tree| {
        assert_eq!(tree.empty_roots.len(), 2);
        assert_eq!(codes(tree), ["empty-root", "empty-root"]);
    })
    .unwrap();
}

#[test]
fn a_named_file_stays_inside_the_root_and_reads_the_same_twice() {
    let root = folder(&[("sets/a.yaml", "1"), ("ids/x.txt", "one")]);
    scan(&[root.path().to_owned()], |tree| {
        assert_eq!(&*tree.read(0, "sets/../ids/x.txt").unwrap().bytes, b"one");
        assert_eq!(tree.read(0, "../x.txt"), Err(ReadProblem::Outside));
        assert_eq!(tree.read(0, "ids/y.txt"), Err(ReadProblem::Missing));
        assert_eq!(tree.read(0, "ids"), Err(ReadProblem::NotRegular));
    })
    .unwrap();
}

#[test]
fn a_change_during_the_work_starts_it_again() {
    let root = folder(&[("a.yaml", "1")]);
    let mut runs = 0;
    let seen = scan(&[root.path().to_owned()], |tree| {
        runs += 1;
        if runs == 1 {
            write(root.path(), &[("b.yaml", "2")]);
        }
        paths(tree)
    });
    assert_eq!(seen.unwrap(), ["a.yaml", "b.yaml"]);
}

#[test]
fn a_folder_that_never_rests_is_unstable() {
    let root = folder(&[("a.yaml", "1")]);
    let mut runs = 0;
    let seen = scan(&[root.path().to_owned()], |_| {
        runs += 1;
        write(root.path(), &[("a.yaml", &"x".repeat(runs))]);
    });
    assert_eq!(seen, Err(LoadError::Unstable));
}

#[test]
fn a_swap_of_the_data_link_is_read_from_one_generation_only() {
    let root = folder(&[("..one/a.yaml", "1"), ("..two/a.yaml", "2")]);
    symlink("..one", root.path().join("..data")).unwrap();
    symlink("..data/a.yaml", root.path().join("a.yaml")).unwrap();
    let mut runs = 0;
    let text = scan(&[root.path().to_owned()], |tree| {
        runs += 1;
        if runs == 1 {
            symlink("..two", root.path().join("..data_tmp")).unwrap();
            fs::rename(root.path().join("..data_tmp"), root.path().join("..data")).unwrap();
        }
        tree.files[0].bytes.to_vec()
    });
    assert_eq!(text.unwrap(), b"2");
}

fn git(folder: &Path, arguments: &[&str]) {
    let done = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
}

fn repository() -> (TempDir, PathBuf) {
    let top = folder(&[
        ("m/a.yaml", "old"),
        ("m/ids/x.txt", "one"),
        ("m/.x/b.yaml", "linked"),
        ("other.yaml", ""),
    ]);
    symlink(".x/b.yaml", top.path().join("m/b.yaml")).unwrap();
    symlink("../other.yaml", top.path().join("m/out.yaml")).unwrap();
    git(top.path(), &["init", "-q"]);
    git(top.path(), &["add", "-A"]);
    git(top.path(), &["commit", "-qm", "first"]);
    let root = top.path().join("m");
    (top, root)
}

#[test]
fn a_commit_reads_as_its_folder_did() {
    let (_top, root) = repository();
    write(&root, &[("a.yaml", "new"), ("c.yaml", "new")]);
    at_commit(std::slice::from_ref(&root), "HEAD", |tree| {
        assert_eq!(paths(tree), ["a.yaml", "b.yaml"]);
        assert_eq!(&*tree.files[0].bytes, b"old");
        assert_eq!(&*tree.files[1].bytes, b"linked");
        assert_eq!(codes(tree), ["unreadable"]);
        assert_eq!(&*tree.read(0, "ids/x.txt").unwrap().bytes, b"one");
    })
    .unwrap();
    assert_eq!(commit_of(&[root]).unwrap().len(), 40);
}

#[test]
fn an_unknown_reference_says_what_to_fetch() {
    let (_top, root) = repository();
    let error = at_commit(&[root], "origin/main", |_| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`origin/main` is no commit of this clone"
    );
    let hint = error.hint().unwrap();
    let cure = "fetch origin main:refs/remotes/origin/main";
    assert!(hint.ends_with(cure), "{hint}");
}
