//! The pages that a person fills in today, row by row: what each option of
//! Adobe's *CDN Invalidation* pages does, and what each of its errors means.
//! The rows bear the page's own names, and where the page is at hand, no row of
//! it may be missing here.

use std::collections::BTreeSet;
use std::path::Path;

use freshen::sandbox::{Failure, Faults};

use crate::aloud::say;
use crate::program::Run;
use crate::world::{ROOT, World, ids, items};

/// A row's name, and what holds for it.
type Row = (&'static str, fn());

/// Part 1, step 2.
const SCENARIOS: [Row; 2] = [
    (
        "I have already created a CDN invalidation template in the past using Dynamic Media Classic.",
        a_template_from_the_screen_is_taken_over,
    ),
    (
        "I need to create a template. What do I enter?",
        a_template_yields_what_the_screen_yields,
    ),
];

/// Part 2, step 2.
const OPTIONS: [Row; 4] = [
    (
        "Invalidate asset associated image presets in CDN",
        presets_of_assets,
    ),
    ("Invalidation based on template", by_template),
    ("Add Assets", assets_whether_published_or_not),
    ("Add URL", urls_of_their_own),
];

/// An error of the screen, as freshen tells it.
const ERRORS: [Row; 4] = [
    (
        "Failed to retrieve URL(s) for selected asset(s).",
        urls_that_cannot_be_retrieved,
    ),
    (
        "Some URLs are not defined correctly. Please correct and re-submit.",
        urls_that_are_not_correct,
    ),
    (
        "Failed to invalidate CDN cache.",
        an_invalidation_that_fails,
    ),
    ("No URL(s) entered to be invalidated.", nothing_entered),
];

#[test]
fn every_scenario_of_adobes_template_page_is_covered() {
    walk("| Scenario | Option |", &SCENARIOS);
}

#[test]
fn every_option_of_adobes_invalidation_page_does_what_it_says() {
    walk("| Option | Description |", &OPTIONS);
    neither_option();
    both_options();
    confirm();
}

#[test]
fn every_error_of_adobes_page_is_told_under_its_name() {
    walk("| Error | Explanation |", &ERRORS);
}

/// Goes through the rows, and holds their names against the page's table.
fn walk(table: &str, rows: &[Row]) {
    for (name, holds) in rows {
        say(&format!("row: {name}"));
        holds();
    }
    let page = Path::new("../shared/reference/adobe-dynamic-media-cdn-invalidation.md");
    let Ok(page) = std::fs::read_to_string(page) else {
        return say("SKIPPED: Adobe's page is not here to be held against these rows");
    };
    let (_, table) = page.split_once(table).unwrap();
    let lines = table.lines().skip(2).map(str::trim);
    let names: Vec<String> = lines
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.split('|').nth(1).unwrap().trim().to_owned())
        .map(|cell| cell.replace("**", "").replace("[!UICONTROL ", ""))
        .map(|cell| cell.trim_matches(['*', ']']).to_owned())
        .collect();
    let ours: Vec<&str> = rows.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ours);
}

/// A world with this template, named `screen`, and this spec of a set.
fn world(lines: &[&str], set: &str) -> World {
    let world = World::new("");
    let lines: Vec<String> = lines.iter().map(|line| format!("    {line}\n")).collect();
    let lines = lines.concat();
    let template = format!(
        "apiVersion: freshen/v1\nkind: Template\nmetadata: {{ name: screen }}\nspec:\n  urls: |\n{lines}"
    );
    world.write("manifests/template.yaml", &template);
    world.set("set", set);
    world
}

/// What the confirm page would list.
fn expands(world: &World) -> Vec<String> {
    let run = world.freshen(&["expand", "set"]);
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    run.stdout.lines().map(str::to_owned).collect()
}

fn urls<const N: usize>(tails: [&str; N]) -> Vec<String> {
    tails.map(|tail| format!("{ROOT}/{tail}")).to_vec()
}

/// What a run that must fail, with `name` among its words, says.
fn fails(run: &Run, code: i32, name: &str) -> String {
    let said = format!("{}{}", run.stdout, run.stderr);
    assert_eq!(run.code, code, "{name}: {said}");
    assert!(said.contains(name), "no `{name}` in: {said}");
    said
}

fn a_template_from_the_screen_is_taken_over() {
    let world = World::new("");
    world.remove("manifests/cdn.yaml");
    let lines = "<ID>\n<ID>?$product$\nhttps://s7d1.scene7.com/is/content/AcmeCorp/<ID>\n";
    world.write("classic.txt", lines);
    let taken = [
        "init",
        "--from-template",
        "classic.txt",
        "--publish-server",
        "https://s7d1.scene7.com",
        "--company",
        "AcmeCorp",
    ];
    world.ends(0, &taken);
    let written = std::fs::read_to_string(world.folder().join("manifests/template.yaml")).unwrap();
    for line in lines.lines() {
        assert!(written.contains(&format!("    {line}\n")), "{written}");
    }
    let printed = world.ends(0, &["expand"]);
    let content = "https://s7d1.scene7.com/is/content/AcmeCorp/backpack";
    assert!(printed.starts_with(&format!("{content}\n{ROOT}/backpack\n")));
}

fn a_template_yields_what_the_screen_yields() {
    let assets = "  templates: [screen]\n  assets: [a]";
    // "If the template contains just <ID>, then Dynamic Media fills in" the rest.
    assert_eq!(expands(&world(&["<ID>"], assets)), urls(["a"]));
    // "Any presets/modifiers post <ID> are copied as-is."
    let modified = [
        "<ID>?$product$",
        "<ID>?wid=1&fmt=png-alpha,rgb&layer=1{a%2Cb}",
    ];
    assert_eq!(
        expands(&world(&modified, assets)),
        urls(["a?$product$", "a?wid=1&fmt=png-alpha,rgb&layer=1{a%2Cb}"]),
    );
    // Its two examples: with the asset's id, and without any.
    let content = "http://my.publishserver.com:8080/is/content/AcmeCorp";
    let whole = format!("{content}/backpack");
    let examples = [&format!("{content}/<ID>")[..], &whole];
    assert_eq!(
        expands(&world(&examples, assets)),
        [format!("{content}/a"), whole.clone()]
    );
    assert_eq!(expands(&world(&[&whole], "  templates: [screen]")), [whole]);
    // "Asset file types that are not supported for CDN invalidation."
    for kind in [
        "PostScript",
        "EncapsulatedPostScript",
        "Illustrator",
        "InDesign",
        "PowerPoint",
        "Excel",
        "Word",
        "Rtf",
    ] {
        let set = format!("  templates: [screen]\n  assets: [{{ id: a, type: {kind} }}]");
        fails(&world(&["<ID>"], &set).freshen(&["validate"]), 4, kind);
    }
    // "Dynamic Media does not do any template validation"; freshen does.
    let slip = world(&["<ID", "<IDS>", "<ID>?$product$"], assets).freshen(&["validate"]);
    let said = fails(&slip, 4, "template.yaml:6:");
    assert!(said.contains("template.yaml:7:"), "every line: {said}");
    // "You must specify URLs for image smart crops" in the template.
    let crops = world(
        &["<ID>:<CROP>"],
        "  templates: [screen]\n  smartCrops: [Banner, Square]\n  assets: [a]",
    );
    assert_eq!(expands(&crops), urls(["a:Banner", "a:Square"]));
}

fn presets_of_assets() {
    let world = world(&["<ID>"], "  imagePresets: true\n  assets: [a]");
    assert_eq!(expands(&world), urls(["a", "a?$product$", "a?$thumbnail$"]));
    // "This option works only for image assets."
    world.set(
        "set",
        "  imagePresets: true\n  assets: [{ id: clip, type: Video }]",
    );
    fails(
        &world.freshen(&["validate"]),
        4,
        "of type Video yields none",
    );
}

fn by_template() {
    // "Only the defined template": no base URL, no preset beyond it.
    let only = world(
        &["<ID>?$product$"],
        "  templates: [screen]\n  assets: [a, b]",
    );
    assert_eq!(expands(&only), urls(["a?$product$", "b?$product$"]));
}

/// "You can select either published or unpublished assets."
fn assets_whether_published_or_not() {
    let world = World::new("");
    for (name, ready) in [("on", true), ("off", false)] {
        world.sandbox.put(name, "AcmeCorp/Spring", "Image");
        world.sandbox.mark(name, ready);
    }
    let picks = |state: &str| {
        let search = format!("{{ folder: AcmeCorp/Spring, publishState: {state} }}");
        let set = format!("  assetsFrom: [{{ dynamicMedia: {search} }}]");
        world.set("set", &set);
        world.ends(0, &["reconcile"]);
        expands(&world)
    };
    assert_eq!(picks("any"), urls(["off", "on"]));
    assert_eq!(picks("MarkedForPublish"), urls(["on"]));
    assert_eq!(picks("NotMarkedForPublish"), urls(["off"]));
    assert_eq!(
        items(&world.accepted()),
        BTreeSet::from_iter(urls(["off", "on"]))
    );
}

fn urls_of_their_own() {
    // "Use this option if you did not create a CDN Invalidation Template";
    // crops among them.
    let world = World::new("");
    let declared = format!("  urls:\n  - {ROOT}/spinset\n  - \"{ROOT}/spinset:Banner?$product$\"");
    world.set("set", &declared);
    assert_eq!(
        expands(&world),
        urls(["spinset", "spinset:Banner?$product$"])
    );
    // "If the number of URLs is greater than 1000, you are unable to tap Next."
    let many: Vec<String> = (0..2500).map(|n| format!("  - {ROOT}/u{n}\n")).collect();
    world.set("set", &format!("  urls:\n{}", many.concat()));
    let sent = world.sends(0);
    assert_eq!(
        sent.iter().map(Vec::len).collect::<Vec<_>>(),
        [1000, 1000, 500]
    );
}

/// "If you leave both options unchecked, the base URL of the selected assets is
/// formed."
fn neither_option() {
    assert_eq!(expands(&world(&["<ID>?x"], "  assets: [a]")), urls(["a"]));
}

/// Their union, each URL once.
fn both_options() {
    let both = world(
        &["<ID>?$product$", "<ID>?wid=1"],
        "  templates: [screen]\n  imagePresets: true\n  assets: [a]",
    );
    let expected = urls(["a", "a?$product$", "a?$thumbnail$", "a?wid=1"]);
    assert_eq!(expands(&both), expected);
}

/// The confirm page: what is listed is what is sent, but for what the X takes out.
fn confirm() {
    let lines = ["<ID>", "<ID>?$product$", "<ID>?$thumbnail$"];
    let world = world(
        &lines,
        "  templates: [screen]\n  exclude: ['*?$thumbnail$']\n  assets: [spinset]",
    );
    let listed = expands(&world);
    assert_eq!(listed, urls(["spinset", "spinset?$product$"]));
    assert_eq!(items(&world.sends(0)), BTreeSet::from_iter(listed));
    // All that a screen of it would have to show at once.
    world.write("manifests/ids.txt", &ids("k", 3000));
    world.set("set", "  assetsFrom: [{ file: ids.txt }]");
    assert_eq!(items(&world.sends(0)), BTreeSet::from_iter(expands(&world)));
}

fn urls_that_cannot_be_retrieved() {
    let name = "Failed to retrieve URL(s)";
    // "A Dynamic Media configuration is not found."
    let world = World::new("");
    world.set("set", "  assets: [a]");
    world.ends(0, &["reconcile"]);
    world.remove("manifests/cdn.yaml");
    let said = fails(&world.freshen(&["reconcile"]), 4, "set.yaml:");
    assert!(said.contains("no Cdn is declared"), "{said}");
    let wish = [
        "invalidate",
        "--url",
        "https://s7d1.scene7.com/is/image/AcmeCorp/x",
    ];
    fails(&world.freshen(&wish), 1, name);
    // "An exception while retrieving a service user."
    let world = World::new("");
    world.set("set", "  assets: [a]");
    let mut bare = world.command(&["reconcile", "--max-time", "5s"]);
    let run = crate::program::run(bare.env_remove("IPS_PASSWORD"));
    let said = fails(&run, 4, "IPS_PASSWORD");
    assert!(world.accepted().is_empty(), "{said}");
    // "The publish server or the company root is missing."
    let cdn = world.cdn("dynamic-media", "");
    let bare = cdn.replace("    publishServers: [\"https://s7d1.scene7.com\"]\n", "");
    world.write("manifests/cdn.yaml", &bare);
    let said = fails(&world.freshen(&["validate"]), 4, name);
    assert!(said.contains("publishServers"), "{said}");
    // An asset that yields nothing.
    let world = World::new("");
    world.set("set", "  assets: [{ id: clip, type: Video }]");
    fails(&world.freshen(&["reconcile"]), 4, name);
}

fn urls_that_are_not_correct() {
    let name = "Some URLs are not defined correctly";
    // "The URL is referring to a different company": known before anything is sent.
    let world = World::new("");
    world.set(
        "set",
        "  urls: ['https://s7d1.scene7.com/is/image/Other/a']",
    );
    let said = fails(&world.freshen(&["reconcile"]), 4, name);
    assert!(
        said.contains("it is not under /is/image/AcmeCorp/"),
        "{said}"
    );
    assert!(world.sandbox.calls().is_empty());
    // "Not valid as per the validation done by the IPS API": the rest goes out.
    let world = World::new("");
    world.set("set", "  assets: [a, bad, c]");
    world.sandbox.poison(&format!("{ROOT}/bad"), true);
    let said = fails(&world.freshen(&["reconcile"]), 4, name);
    assert!(said.contains(&format!("{ROOT}/bad")), "{said}");
    assert_eq!(
        items(&world.accepted()),
        BTreeSet::from_iter(urls(["a", "c"]))
    );
}

/// "The request fails for any other reason."
fn an_invalidation_that_fails() {
    for failure in [
        Failure::Code(30_000),
        Failure::Code(20_003),
        Failure::Status {
            status: 503,
            retry_after: None,
        },
    ] {
        let world = World::new("");
        world.set("set", "  assets: [a]");
        world.sandbox.fail(failure, None);
        let run = world.freshen(&["reconcile", "--max-time", "1s"]);
        fails(&run, 4, "Failed to invalidate CDN cache");
        world.sandbox.set_faults(Faults::default());
        world.ends(0, &["reconcile"]);
        assert_eq!(items(&world.accepted()), BTreeSet::from_iter(urls(["a"])));
    }
}

fn nothing_entered() {
    for spec in ["  assets: []", "  assets: [a]\n  exclude: ['*']"] {
        let world = World::new("");
        world.set("set", spec);
        let said = fails(
            &world.freshen(&["reconcile"]),
            4,
            "No URL(s) entered to be invalidated",
        );
        assert!(said.contains("set.yaml:"), "{said}");
        assert!(world.sandbox.calls().is_empty());
    }
}
