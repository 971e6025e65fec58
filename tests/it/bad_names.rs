//! Bad names, through the real program: they give one clear error that names
//! place and cure, stop their own sets alone, and lose nothing.

use std::fs;

use crate::bad_input::{Case, World, case, cdn_at, set, template, url};

const RULE: &str = "at most 63 lowercase letters, digits and inner hyphens";

/// A set `bad` under another name.
fn named(name: &str) -> String {
    set(name, "  assets: [lost]\n")
}

#[test]
fn a_cdn_declared_twice_is_refused_in_both_places_and_stops_its_own_sets_alone() {
    let bad = set("bad", "  assets: [lost]\n").replace("[dm]", "[other]");
    let other = cdn_at("other", "http://127.0.0.1:9/");
    Case {
        label: "s2_cdn_twice",
        files: vec![
            ("bad.yaml", bad),
            ("other.yaml", other.clone()),
            ("sub/again.yaml", other),
        ],
        says: &[
            "Cdn `other` is declared 2 times, also at ./manifests/sub/again.yaml:3:19",
            "Cdn `other` is declared 2 times, also at ./manifests/other.yaml:3:19",
            "none of them is used until one is renamed or removed",
        ],
    }
    .check();
}

#[test]
fn a_template_declared_twice_is_refused_in_both_places_and_stops_its_own_sets_alone() {
    case(
        "s2_template_twice",
        "  templates: [t]\n  assets: [lost]\n",
        &[
            "Template `t` is declared 2 times, also at ./manifests/sub/t.yaml:3:19",
            "Template `t` is declared 2 times, also at ./manifests/t.yaml:3:19",
            "none of them is used until one is renamed or removed",
        ],
    )
    .and("t.yaml", template(&["<ID>"]))
    .and("sub/t.yaml", template(&["<ID>?wid=1"]))
    .check();
}

#[test]
fn a_name_that_is_no_label_is_refused_where_it_stands() {
    let long = "a".repeat(64);
    for name in [
        "Bad", "b_d", "-bad", "bad-", "b.d", "\"b d\"", "12E4", &long,
    ] {
        Case {
            label: "s2_bad_name",
            files: vec![("bad.yaml", named(name))],
            says: &[RULE, "manifests/bad.yaml:3:19"],
        }
        .check();
    }
    for (label, file, text) in [
        (
            "s2_bad_name_of_a_cdn",
            "other.yaml",
            cdn_at("Other", "http://127.0.0.1:9/"),
        ),
        (
            "s2_bad_name_of_a_template",
            "t.yaml",
            template(&["<ID>"]).replace("name: t", "name: T"),
        ),
    ] {
        let mut world = World::settled();
        world.write(file, text);
        let place = format!("manifests/{file}:3:19");
        world.check_broken(label, &[RULE, &place]);
        fs::remove_file(world.path(file)).unwrap();
        world.check_nothing_lost(label);
    }
}

#[test]
fn the_name_kept_for_undeclared_urls_is_refused() {
    Case {
        label: "s2_reserved_name",
        files: vec![("bad.yaml", named("adhoc"))],
        says: &[
            "the name `adhoc` is kept for URLs that no manifest declares",
            "manifests/bad.yaml:3:19",
            "choose another name",
        ],
    }
    .check();
}

/// The set `bad`, renamed, with former names.
fn formerly(name: &str, former: &str) -> String {
    let metadata = format!("name: {name}, formerly: [{former}]");
    named(name).replace(&format!("name: {name}"), &metadata)
}

#[test]
fn a_former_name_that_another_set_bears_or_claims_is_refused() {
    Case {
        label: "s2_former_name_in_use",
        files: vec![("bad.yaml", formerly("bad", "good"))],
        says: &[
            "`good` is still the name of a set, at ./manifests/good.yaml:3:19",
            "manifests/bad.yaml:3:35",
            "one set carries on the records of one former name",
        ],
    }
    .check();
    Case {
        label: "s2_former_name_claimed_twice",
        files: vec![
            ("bad.yaml", formerly("bad", "gone")),
            ("rival.yaml", formerly("rival", "gone")),
        ],
        says: &[
            "the former name `gone` is claimed twice, also at ./manifests/rival.yaml:3:37",
            "the former name `gone` is claimed twice, also at ./manifests/bad.yaml:3:35",
            "one set carries on the records of one former name",
        ],
    }
    .check();
    Case {
        label: "s2_former_name_that_is_none",
        files: vec![("bad.yaml", formerly("bad", "Gone_"))],
        says: &[RULE, "manifests/bad.yaml:3:35"],
    }
    .check();
}

#[test]
fn a_rename_that_clashes_carries_nothing_over_and_can_be_done_right() {
    let mut world = World::settled();
    fs::remove_file(world.path("bad.yaml")).unwrap();
    for name in ["one", "two"] {
        world.write(&format!("{name}.yaml"), formerly(name, "bad"));
    }
    assert_eq!(world.freshen(&["reconcile"]).code, 4);
    assert_eq!(world.sent(), [""; 0]);
    fs::remove_file(world.path("two.yaml")).unwrap();
    assert_eq!(world.freshen(&["reconcile"]).code, 0);
    assert_eq!(
        world.sent(),
        [""; 0],
        "it carries on what was sent as `bad`"
    );
    let bumped = formerly("one", "bad").replace("spec:\n", "spec:\n  revision: '2'\n");
    world.write("one.yaml", bumped);
    assert_eq!(world.freshen(&["reconcile"]).code, 0);
    assert_eq!(world.sent(), [url("lost")]);
}
