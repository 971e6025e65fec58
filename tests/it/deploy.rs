//! What is under `examples/deploy` starts the program as it is.

use std::path::Path;

use serde::Deserialize as _;
use serde_yaml::Value;

use crate::program::freshen;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new("examples/deploy").join(path)).unwrap()
}

fn documents(path: &str) -> Vec<Value> {
    let text = read(path);
    let documents = serde_yaml::Deserializer::from_str(&text);
    documents
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

/// The strings of a list.
fn strings(list: &Value) -> Vec<String> {
    let items = list.as_sequence().unwrap().iter();
    items
        .map(|item| item.as_str().unwrap().to_owned())
        .collect()
}

/// The program takes these arguments: it gets as far as to miss its past.
fn check(arguments: &[String]) {
    let folder = tempfile::tempdir().unwrap();
    let here = |argument: &String| match argument.split_once("=/") {
        Some((flag, path)) => format!("{flag}={}/{path}", folder.path().display()),
        None => argument.clone(),
    };
    let mut arguments: Vec<String> = arguments.iter().map(here).collect();
    arguments.retain(|argument| !argument.starts_with("--bootstrap"));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let run = freshen(folder.path(), &arguments);
    assert_eq!(run.code, 1, "{arguments:?}: {}", run.stderr);
    let said = run.stderr;
    assert!(said.contains("remembers nothing"), "{arguments:?}: {said}");
}

#[test]
fn the_unit_starts_the_program_and_locks_it_in() {
    let unit = read("systemd/freshen.service");
    let value = |key: &str| {
        let mut lines = unit.lines().filter_map(|line| line.split_once('='));
        lines.find(|(name, _)| *name == key).map(|(_, value)| value)
    };
    let start = value("ExecStart").unwrap();
    let start = start.strip_prefix("/usr/local/bin/freshen ").unwrap();
    // As one argument each, so that paths can be moved into a folder.
    let mut arguments: Vec<String> = Vec::new();
    for word in start.split_whitespace() {
        match arguments.last_mut() {
            Some(last) if last.starts_with("--") && !last.contains('=') => {
                *last = format!("{last}={word}");
            }
            _ => arguments.push(word.to_owned()),
        }
    }
    check(&arguments);
    for (key, expected) in [
        ("Type", "notify-reload"),
        ("DynamicUser", "yes"),
        ("ProtectSystem", "strict"),
        ("NoNewPrivileges", "yes"),
        ("StateDirectory", "freshen"),
    ] {
        assert_eq!(value(key), Some(expected), "{key}");
    }
    assert!(value("WatchdogSec").is_some());
}

#[test]
fn the_compose_file_starts_the_program_on_what_git_sync_publishes() {
    let [file] = &documents("git-sync/compose.yaml")[..] else {
        panic!("it is one document");
    };
    let services = &file["services"];
    check(&strings(&services["freshen"]["command"]));
    let publisher = strings(&services["git-sync"]["command"]);
    assert!(publisher.contains(&"--link=current".to_owned()));
    assert_eq!(services["freshen"]["read_only"], Value::from(true));
}

#[test]
fn the_kubernetes_manifests_start_one_program_on_what_git_sync_publishes() {
    let documents = documents("git-sync/kubernetes.yaml");
    let deployment = documents
        .iter()
        .find(|document| document["kind"] == "Deployment")
        .unwrap();
    let spec = &deployment["spec"];
    assert_eq!(spec["replicas"], Value::from(1));
    assert_eq!(spec["strategy"]["type"], Value::from("Recreate"));
    let pod = &spec["template"]["spec"];
    let [container] = &pod["containers"].as_sequence().unwrap()[..] else {
        panic!("it is one container");
    };
    check(&strings(&container["args"]));
    let security = &container["securityContext"];
    assert_eq!(security["readOnlyRootFilesystem"], Value::from(true));
    for probe in ["livenessProbe", "readinessProbe"] {
        let path = container[probe]["httpGet"]["path"].as_str().unwrap();
        assert!(path.starts_with("/-/"), "{path}");
    }
}
