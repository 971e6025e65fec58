//! What is shown, and how: long lists, lines of JSON, SARIF, colour, a sign of
//! life, and what the program prints about itself.

use std::io::{BufRead as _, BufReader, ErrorKind};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use freshen::sandbox::Options;

use crate::aloud::say;
use crate::program::{command, freshen};
use crate::world::{ROOT, World, ids};

/// Thirty URLs that have not been sent.
fn thirty() -> World {
    let world = World::new("");
    world.write("manifests/skus.txt", &ids("sku", 30));
    world.set("set", "  assetsFrom: [{ file: skus.txt }]");
    world
}

#[test]
fn a_list_of_urls_is_cut_at_twenty_unless_all_are_asked_for() {
    let world = thirty();
    let check = |arguments: &[&str], shown: usize, more: Option<&str>| {
        let said = world.freshen(arguments).stdout;
        let urls = said.lines().filter(|line| line.trim().starts_with(ROOT));
        assert_eq!(urls.count(), shown, "{arguments:?}: {said}");
        let found = said.lines().find(|line| line.ends_with(" more"));
        assert_eq!(found.map(str::trim), more, "{arguments:?}");
    };
    check(&["plan"], 0, None);
    check(&["plan", "-v"], 20, Some("and 10 more"));
    check(&["plan", "-vv"], 30, None);
    world.set(
        "set",
        "  limits: { maxUrls: 1 }\n  assetsFrom: [{ file: skus.txt }]",
    );
    check(&["plan", "-v"], 20, Some("and 10 more"));
    check(&["plan", "-vv"], 30, None);
}

#[test]
fn a_reconcile_leaves_the_metrics_of_a_daemon_in_a_file() {
    let world = World::new("");
    world.set("set", "  limits: { maxUrls: 3 }\n  assets: [a, b]");
    let arguments = ["reconcile", "--metrics-file", "freshen.prom"];
    world.ends(0, &arguments);
    let check = |lines: &[&str]| {
        let text = std::fs::read_to_string(world.folder().join("freshen.prom")).unwrap();
        for line in lines {
            let found = text.lines().any(|other| other == *line);
            assert!(found, "no `{line}` in: {text}");
        }
    };
    check(&[
        "freshen_calls_total{cdn=\"dynamic-media\",result=\"accepted\"} 1",
        "freshen_items_invalidated_total{cdn=\"dynamic-media\"} 2",
        "freshen_reconcile_duration_seconds_count{result=\"done\"} 1",
        "freshen_urls{set=\"set\",cdn=\"dynamic-media\"} 2.0",
    ]);
    world.set("set", "  limits: { maxUrls: 3 }\n  assets: [c, d, e, f]");
    world.ends(3, &arguments);
    check(&[
        "freshen_calls_total{cdn=\"dynamic-media\",result=\"accepted\"} 0",
        "freshen_blocked_items{set=\"set\",cdn=\"dynamic-media\"} 4.0",
    ]);
    world.set("set", "  assets: [c]");
    let run = world.freshen(&["reconcile", "--metrics-file", "absent/freshen.prom"]);
    assert_eq!(run.code, 0, "what was sent stays sent: {}", run.stderr);
    let told = "failed to write the metrics to `absent/freshen.prom`";
    assert!(run.stderr.contains(told), "{}", run.stderr);
}

/// Every line as JSON, by its `type`.
fn lines(world: &World, code: i32, arguments: &[&str]) -> Vec<(String, Value)> {
    let run = world.freshen(&[arguments, &["-o", "jsonl"]].concat());
    assert_eq!(run.code, code, "{arguments:?}: {}", run.stderr);
    let notes = run.stderr.lines();
    let mut others = notes.filter(|note| !note.starts_with("no state at "));
    assert_eq!(others.next(), None, "{arguments:?}");
    let lines = run.stdout.lines().map(|line| {
        let value: Value = serde_json::from_str(line).unwrap();
        (value["type"].as_str().unwrap().to_owned(), value)
    });
    lines.collect()
}

#[test]
fn lines_of_json_name_what_they_are_and_end_with_the_summary() {
    let world = thirty();
    let check = |arguments: &[&str], elements: &str, count: usize| -> Vec<(String, Value)> {
        let lines = lines(&world, 0, arguments);
        let (last, summary) = lines.last().unwrap();
        assert_eq!(last, "summary", "{arguments:?}");
        let format = format!("freshen.{}/v1", arguments[0]);
        assert_eq!(summary["format"], format, "{arguments:?}");
        let found = lines.iter().filter(|(name, _)| name == elements).count();
        assert_eq!(found, count, "{arguments:?}: {lines:?}");
        lines
    };
    let expanded = check(&["expand"], "url", 30);
    assert_eq!(expanded[0].1["value"], format!("{ROOT}/sku0"));
    let planned = check(&["plan"], "set", 1);
    let first = planned.iter().find(|(name, _)| name == "set").unwrap();
    assert_eq!(first.1["name"], "set");
    check(&["validate"], "problem", 0);
    let sent = check(&["reconcile"], "cdn", 1);
    assert_eq!(sent.last().unwrap().1["accepted"], 30);
    check(&["status"], "set", 1);
    let batches = lines(&world, 0, &["history"]);
    assert_eq!((batches.len(), &batches[0].1["items"]), (2, &30.into()));
    world.write("manifests/bad.yaml", "kind: [");
    let problems = lines(&world, 4, &["validate"]);
    assert_eq!(problems[0].0, "problem", "{problems:?}");
}

#[test]
fn findings_are_written_for_code_scanning() {
    let world = thirty();
    let sarif = |code: i32| -> Value {
        let run = world.freshen(&["validate", "-o", "sarif"]);
        assert_eq!(run.code, code, "{}", run.stderr);
        let sarif: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(sarif["version"], "2.1.0");
        sarif["runs"][0].clone()
    };
    assert_eq!(sarif(0)["results"].as_array().unwrap().len(), 0);
    world.set("other", "  asets: [a]");
    let run = sarif(4);
    let result = &run["results"][0];
    assert_eq!(result["level"], "error");
    assert_eq!(run["tool"]["driver"]["rules"][0]["id"], result["ruleId"]);
    let place = &result["locations"][0]["physicalLocation"];
    let file = place["artifactLocation"]["uri"].as_str().unwrap();
    assert_eq!(file, "manifests/other.yaml");
    assert_eq!(place["region"]["startLine"], 5);
    let text = result["message"]["text"].as_str().unwrap();
    assert!(text.contains("did you mean `assets`?"), "{text}");
}

/// What `freshen plan` writes to a terminal, which `script` provides.
fn on_a_terminal(world: &World, no_color: Option<&str>) -> Option<String> {
    let plan = format!("'{}' plan", env!("CARGO_BIN_EXE_freshen"));
    let mut script = Command::new("script");
    script
        .args(["-qec", &plan, "/dev/null"])
        .current_dir(world.folder())
        .env_remove("NO_COLOR")
        .env("TERM", "xterm")
        .stdin(Stdio::null());
    if let Some(value) = no_color {
        script.env("NO_COLOR", value);
    }
    match script.output() {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        output => {
            let said = String::from_utf8(output.unwrap().stdout).unwrap();
            assert!(said.contains("30 URLs to send"), "{said}");
            Some(said)
        }
    }
}

#[test]
fn colour_is_for_terminals_that_want_it() {
    let world = thirty();
    let is_coloured = |said: &str| said.contains('\u{1b}');
    assert!(!is_coloured(&world.freshen(&["plan"]).stdout));
    let Some(coloured) = on_a_terminal(&world, None) else {
        return say("SKIPPED: colour on a terminal: there is no `script` to make one");
    };
    assert!(is_coloured(&coloured), "{coloured}");
    let plain = on_a_terminal(&world, Some("1")).unwrap();
    assert!(!is_coloured(&plain), "{plain}");
}

#[test]
fn work_that_takes_long_gives_a_sign_of_life_without_a_terminal() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    let quick = world.freshen(&["reconcile"]);
    assert_eq!((quick.code, quick.stderr.as_str()), (0, ""));
    let slow = "batch: { maxUrls: 1 }\n  rateLimit: { requests: 1/14s, urls: 1000/1s }";
    world.write("manifests/cdn.yaml", &world.cdn("dynamic-media", slow));
    world.set("set", "  assets: [a, b, c]");
    let run = world.freshen(&["reconcile"]);
    assert_eq!(run.code, 0, "{}", run.stdout);
    let told: Vec<&str> = run.stderr.lines().collect();
    let is_sign = |line: &&str| line.starts_with("still sending: 1 of 2 URLs, waiting ");
    assert!(told.len() == 1 && told.iter().all(is_sign), "{told:?}");
}

/// The commands that the help lists.
fn commands() -> Vec<String> {
    let help = freshen(Path::new("."), &["--help"]).stdout;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = listed
        .take_while(|line| line.is_empty() || line.starts_with(' '))
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

#[test]
fn the_manual_and_the_completions_know_every_command() {
    let commands = commands();
    assert!(commands.len() > 15, "{commands:?}");
    let printed = |arguments: &[&str]| {
        let run = freshen(Path::new("."), arguments);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{arguments:?}");
        run.stdout
    };
    let manual = printed(&["man"]);
    assert!(manual.contains(".TH freshen 1"), "{manual}");
    assert!(manual.contains("Exit codes, the first that holds"));
    for command in commands.iter().filter(|command| *command != "help") {
        assert!(
            manual.contains(&format!(".SS freshen {command}\n")),
            "{command}"
        );
    }
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let completions = printed(&["completions", shell]);
        for word in commands.iter().map(String::as_str).chain(["max-time"]) {
            assert!(completions.contains(word), "{shell}: {word}");
        }
    }
    let bash = printed(&["completions", "bash"]);
    assert!(bash.contains("complete -F _freshen"), "{bash}");
}

#[test]
fn the_sandbox_serves_what_it_prints_until_it_is_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let mut serving = command(folder.path())
        .args(["sandbox", "--port", "0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(serving.stdout.take().unwrap()).lines();
    let lines: Vec<String> = lines.take(6).map(Result::unwrap).collect();
    let told = |name: &str| {
        let line = lines.iter().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {lines:?}"))
            .trim()
    };
    let Options { user, password, .. } = Options::default();
    assert_eq!((told("user"), told("password")), (&*user, &*password));
    assert_eq!(told("company"), "AcmeCorp");
    assert!(told("endpoint").starts_with(told("edge")));

    let world = World::new("");
    let cdn = world.cdn("dynamic-media", "");
    let cdn = cdn.replace(&world.sandbox.endpoint(), told("endpoint"));
    world.write("manifests/cdn.yaml", &cdn);
    world.set("set", "  assets: [a]");
    let said = world.ends(0, &["reconcile"]);
    assert!(said.contains("1 URL accepted"), "{said}");
    assert!(world.sandbox.calls().is_empty());

    let interrupt = format!("kill -INT {}", serving.id());
    let status = Command::new("sh").args(["-c", &interrupt]).status();
    assert!(status.unwrap().success());
    assert_eq!(serving.wait().unwrap().code(), Some(0));
}
