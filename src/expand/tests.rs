use proptest::prelude::*;

use super::fixtures::*;
use super::*;
use crate::digest::{Entry, ItemKind, Key, Mark};
use crate::manifest::{Fold, Granularity, PresetChoice};
use crate::resolve::glob;
use crate::wire::Wire;

fn as_declared() -> Wire {
    wire(Fold::Url)
}

fn wire(default: Fold) -> Wire {
    Wire::new(&Granularity {
        default,
        path_hosts: Vec::new(),
        url_hosts: Vec::new(),
    })
}

fn check(spec: &AssetSetSpec, templates: &[TemplateSpec], expected: &[&str]) {
    let expansion = expansion(spec, templates);
    assert_eq!(urls(&expansion), expected);
    assert_eq!(expansion.count(), expected.len() as u64);
}

/// Checks `code message` of every problem.
fn check_problems(spec: &AssetSetSpec, templates: &[TemplateSpec], expected: &[&str]) {
    check_problems_with(spec, templates, &[acme()], expected);
}

fn check_problems_with(
    spec: &AssetSetSpec,
    templates: &[TemplateSpec],
    addressings: &[Addressing],
    expected: &[&str],
) {
    let compiled = compile_with(spec, templates, addressings, &[]);
    let found: Vec<String> = compiled
        .problems
        .iter()
        .map(|problem| {
            let place = problem.place.as_ref().map_or("-", |place| &place.file);
            format!("{place}: {}", problem.message)
        })
        .collect();
    assert_eq!(found, expected);
    let is_sound = !compiled.problems.iter().any(Problem::is_error);
    assert_eq!(compiled.expansion.is_some(), is_sound);
}

#[test]
fn without_template_and_presets_each_asset_has_its_base_url() {
    check(
        &set_of(&["a", "b/"]),
        &[],
        &["https://s/is/image/Acme/a", "https://s/is/image/Acme/b/"],
    );
}

#[test]
fn with_presets_each_asset_has_base_and_preset_urls() {
    let mut spec = set_of(&["a"]);
    spec.image_presets = PresetChoice::All;
    check(
        &spec,
        &[],
        &[
            "https://s/is/image/Acme/a",
            "https://s/is/image/Acme/a?$small$",
            "https://s/is/image/Acme/a?$large$",
        ],
    );
    spec.image_presets = PresetChoice::Named(vec![preset("large", None)]);
    check(
        &spec,
        &[template(&["<ID>?$<PRESET>$&x=1"])],
        &[
            "https://s/is/image/Acme/a?$large$&x=1",
            "https://s/is/image/Acme/a",
            "https://s/is/image/Acme/a?$large$",
        ],
    );
}

#[test]
fn templates_alone_replace_base_urls() {
    let mut spec = set_of(&["a", "b"]);
    spec.assets[0].smart_crops = Some(texts(&["Banner", "Square"]));
    check(
        &spec,
        &[
            template(&["<ID>:<CROP>", "https://h:8080/is/content/Acme/<ID>"]),
            template(&["https://h/is/content/Acme/backpack"]),
        ],
        // Whole URLs come first, whatever assets there are.
        &[
            "https://h/is/content/Acme/backpack",
            "https://s/is/image/Acme/a:Banner",
            "https://s/is/image/Acme/a:Square",
            "https://h:8080/is/content/Acme/a",
            "https://h:8080/is/content/Acme/b",
        ],
    );
}

#[test]
fn several_servers_multiply() {
    let mut two = acme();
    two.servers.push("https://t".to_owned());
    let compiled = compile_with(
        &set_of(&["a"]),
        &[template(&["<ID>?$<PRESET>$"])],
        &[two],
        &[],
    );
    let expansion = compiled.expansion.expect("no problem");
    assert_eq!(
        urls(&expansion),
        [
            "https://s/is/image/Acme/a?$small$",
            "https://s/is/image/Acme/a?$large$",
            "https://t/is/image/Acme/a?$small$",
            "https://t/is/image/Acme/a?$large$",
        ]
    );
}

#[test]
fn entries_with_types_apply_to_those_alone() {
    let mut spec = set_of(&["clip", "a"]);
    spec.assets[0].kind = Some("Video".to_owned());
    let mut shared = template(&["<ID>", "<SERVER>/is/content/<COMPANY>/<ID>"]);
    shared.urls[0].types = texts(&["Image"]);
    shared.urls[1].types = texts(&["Video"]);
    check(
        &spec,
        &[shared],
        &[
            "https://s/is/content/Acme/clip",
            "https://s/is/image/Acme/a",
        ],
    );
}

#[test]
fn excluded_urls_and_assets_are_left_out() {
    let mut spec = set_of(&["a", "test-1"]);
    spec.image_presets = PresetChoice::All;
    spec.exclude = texts(&["*?$large$"]);
    spec.exclude_assets = texts(&["test-*"]);
    let expansion = expansion(&spec, &[]);
    assert_eq!(
        urls(&expansion),
        [
            "https://s/is/image/Acme/a",
            "https://s/is/image/Acme/a?$small$"
        ]
    );
    assert_eq!(expansion.count(), 3);
    // The exclusion is about declared URLs, even where all fold to one item.
    assert_eq!(expansion.entries(&wire(Fold::Path)).len(), 1);
}

#[test]
fn every_url_that_cannot_be_sent_is_named() {
    let mut spec = set();
    spec.urls = vec![
        url("https://a/s7viewers/html5/SpinViewer.html?asset=Acme/x"),
        url("https://u@a/is/image/Acme/x"),
        url("https://a/is/image/Acme/x"),
    ];
    check_problems(
        &spec,
        &[template(&["https://a/is/image/<ID>", "<ids>"])],
        &[
            "template: there is no token <ids>",
            "template: Some URLs are not defined correctly: \"https://a/is/image/\": it is not under /is/image/Acme/ or /is/content/Acme/",
            "spec.urls.0: Some URLs are not defined correctly: \"https://a/s7viewers/html5/SpinViewer.html?asset=Acme/x\": it is not under /is/image/Acme/ or /is/content/Acme/",
            "spec.urls.1: Some URLs are not defined correctly: \"https://…@a/is/image/Acme/x\": it carries credentials",
        ],
    );
    let long = "b".repeat(4096 - "https://s/is/image/Acme/".len());
    assert_eq!(expansion(&set_of(&[&long]), &[]).count(), 1);
    check_problems(
        &set_of(&[&format!("{long}b")]),
        &[],
        &[
            "spec.assets.0: Some URLs are not defined correctly: this asset's are longer than 4096 bytes",
        ],
    );
}

#[test]
fn what_would_vanish_silently_is_an_error() {
    let nothing = "spec: No URL(s) entered to be invalidated: the set expands to nothing";
    check_problems(&set(), &[], &[nothing]);
    check_problems(
        &set_of(&["a"]),
        &[template(&["<ID>", "<ID>:<CROP>"])],
        &["template: <CROP> is used here, and no asset of the set has smart crops"],
    );
    let mut spec = set_of(&["a"]);
    spec.smart_crops = Some(texts(&["Banner"]));
    check_problems(
        &spec,
        &[],
        &["spec.smartCrops: no template entry of this set uses its smart crops"],
    );
    let mut spec = set_of(&["a", "b"]);
    spec.assets[1].smart_crops = Some(texts(&["Banner"]));
    check_problems(
        &spec,
        &[],
        &["spec.assets.1: asset \"b\" declares smart crops that no template entry uses"],
    );
    let mut spec = set_of(&["a", "b", "c"]);
    spec.assets[1].kind = Some("Video".to_owned());
    spec.assets[2].kind = Some("Video".to_owned());
    check_problems(
        &spec,
        &[],
        &[
            "spec.assets.1: Failed to retrieve URL(s) for selected asset(s): \"b\" of type Video yields none, nor do 1 others like it",
        ],
    );
    let mut spec = set_of(&["test-1"]);
    spec.exclude_assets = texts(&["*"]);
    check_problems(
        &spec,
        &[],
        &[
            "spec.excludeAssets: No URL(s) entered to be invalidated: excludeAssets takes out the only asset",
        ],
    );
    let mut spec = set_of(&["a", "b"]);
    spec.exclude = texts(&["*/a", "*/b"]);
    check_problems(
        &spec,
        &[],
        &["spec.exclude: No URL(s) entered to be invalidated: exclude takes out all 2 URLs"],
    );
    spec.exclude.pop();
    check_problems(&spec, &[], &[]);
}

#[test]
fn crops_of_the_cdn_are_a_default_that_need_not_be_used() {
    let mut addressing = acme();
    addressing.crops = texts(&["Banner"]);
    check_problems_with(&set_of(&["a"]), &[], &[addressing.clone()], &[]);
    let mut spec = set_of(&["a", "b"]);
    spec.assets[0].smart_crops = Some(Vec::new());
    let compiled = compile_with(
        &spec,
        &[template(&["<ID>", "<ID>:<CROP>"])],
        &[addressing],
        &[],
    );
    assert_eq!(
        urls(&compiled.expansion.expect("no problem")),
        [
            "https://s/is/image/Acme/a",
            "https://s/is/image/Acme/b",
            "https://s/is/image/Acme/b:Banner",
        ]
    );
}

#[test]
fn what_only_a_dynamic_media_cdn_knows_must_come_from_one() {
    let lead = "Failed to retrieve URL(s) for selected asset(s):";
    check_problems_with(
        &set_of(&["a"]),
        &[],
        &[],
        &[&format!(
            "spec.assets: {lead} publish server and root are needed, and none of the set's Cdns is dynamicMedia"
        )],
    );
    let mut lifted = acme();
    lifted.root = None;
    check_problems_with(
        &set_of(&["a"]),
        &[template(&["<ID>"])],
        std::slice::from_ref(&lifted),
        &[&format!(
            "template: {lead} a root is needed, and the Cdn's rootId is \"*\""
        )],
    );
    let any = [template(&[
        "<SERVER>/is/image/<COMPANY>/<ID>",
        "https://x/<ID>",
    ])];
    check_problems_with(&set_of(&["a"]), &any, &[lifted], &[]);
    let mut bare = acme();
    bare.presets.clear();
    let mut spec = set_of(&["a"]);
    spec.image_presets = PresetChoice::All;
    check_problems_with(
        &spec,
        &[],
        &[bare],
        &[&format!(
            "spec.imagePresets: {lead} image presets are asked for, and neither set nor Cdn declares any"
        )],
    );
}

#[test]
fn more_urls_than_allowed_are_counted_and_not_expanded() {
    let ids: Vec<String> = (0..1001).map(|id| id.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    check_problems(
        &set_of(&ids),
        &[],
        &["spec: the set expands to 1001 URLs, more than the 1000 allowed"],
    );
}

fn entry(url: &str, mark: Mark) -> Entry {
    Entry::new(Key::of(ItemKind::Url, url.as_bytes()), mark)
}

#[test]
fn a_mark_combines_all_revisions_that_apply() {
    let mut spec = set_of(&["a"]);
    spec.revision = Some("s".to_owned());
    spec.assets[0].revision = Some("a".to_owned());
    let mut templates = [template(&["<ID>?$<PRESET>$"])];
    templates[0].revision = Some("t".to_owned());
    templates[0].urls[0].revision = Some("e".to_owned());
    let mut expected = vec![
        entry(
            "https://s/is/image/Acme/a?$small$",
            Mark::of(&[Some("s"), Some("t"), Some("e"), None, Some("a"), None]),
        ),
        entry(
            "https://s/is/image/Acme/a?$large$",
            Mark::of(&[Some("s"), Some("t"), Some("e"), Some("2"), Some("a"), None]),
        ),
    ];
    expected.sort_unstable();
    assert_eq!(
        expansion(&spec, &templates).entries(&as_declared()),
        expected
    );
}

#[test]
fn what_the_file_of_an_asset_holds_is_the_last_of_its_revisions() {
    let mut expansion = expansion(&set_of(&["a", "b"]), &[]);
    let contents = [Digest::of(b"a"), Digest::of(b"b")];
    expansion.table.set_contents(contents.into());
    let mut expected: Vec<Entry> = ["a", "b"]
        .iter()
        .zip(contents.map(|content| content.to_string()))
        .map(|(id, content)| {
            let revisions = [None, None, None, None, None, None, Some(&*content)];
            let url = format!("https://s/is/image/Acme/{id}");
            entry(&url, Mark::of(&revisions))
        })
        .collect();
    expected.sort_unstable();
    assert_eq!(expansion.entries(&as_declared()), expected);
}

#[test]
fn an_item_declared_twice_gets_both_revisions() {
    let address = "https://a/is/image/Acme/x";
    let mut spec = set();
    spec.urls = vec![url(address), url(address), url(&format!("{address}?y"))];
    spec.urls[1].revision = Some("2".to_owned());
    spec.urls[2].revision = Some("2".to_owned());
    let absent = Mark::of(&[None; 6]);
    let second = Mark::of(&[None, None, Some("2"), None, None, None]);
    let combined = Mark::combined(&mut vec![second, absent]);
    let expansion = expansion(&spec, &[]);
    let mut expected = vec![
        entry(address, combined),
        entry(&format!("{address}?y"), second),
    ];
    expected.sort_unstable();
    assert_eq!(expansion.entries(&as_declared()), expected);
    assert_eq!(
        expansion.entries(&wire(Fold::Path)),
        [entry(address, combined)]
    );
}

fn wanted(key: Key) -> bool {
    key.to_bytes()[0].is_multiple_of(3)
}

/// Ids, kinds and crops enough for a few thousand URLs in several classes.
fn any_set() -> impl Strategy<Value = AssetSetSpec> {
    let asset = (
        "[a-z0-9 %üß.:$-]{1,8}",
        0..3_u8,
        proptest::option::of("[12]"),
    )
        .prop_map(|(id, sort, revision)| {
            let mut asset = asset(&format!("{id}_"));
            asset.revision = revision;
            asset.kind = (sort == 1).then(|| "Video".to_owned());
            asset.smart_crops = (sort == 2).then(|| texts(&["Banner", "Square"]));
            asset
        });
    let url = "[a-zA-Z0-9$:{},+%?/-]{0,20}"
        .prop_map(|tail| url(&format!("https://h/is/content/Acme/{tail}")));
    (
        proptest::collection::vec(asset, 1..40),
        proptest::collection::vec(url, 1..10),
    )
        .prop_map(|(assets, urls)| AssetSetSpec {
            assets,
            urls,
            smart_crops: Some(texts(&["Wide"])),
            ..set()
        })
}

fn lines() -> [TemplateSpec; 2] {
    [
        template(&["<ID>", "<ID>:<CROP>?$<PRESET>$"]),
        template(&["https://h/is/content/Acme/<ID>"]),
    ]
}

proptest! {
    #[test]
    fn order_never_matters(spec in any_set(), seed in any::<u64>()) {
        let one = expansion(&spec, &lines());
        let mut other = spec.clone();
        let (at_asset, at_url) = (seed as usize % spec.assets.len(), seed as usize % spec.urls.len());
        other.assets.rotate_left(at_asset);
        other.assets.reverse();
        other.urls.rotate_left(at_url);
        let mut turned = lines();
        turned.reverse();
        turned[1].urls.reverse();
        let other = expansion(&other, &turned);
        for fold in [Fold::Url, Fold::Path] {
            prop_assert_eq!(one.entries(&wire(fold)), other.entries(&wire(fold)));
        }
    }

    #[test]
    fn bytes_never_change(spec in any_set()) {
        let found = urls(&expansion(&spec, &lines()));
        for declared in &spec.urls {
            prop_assert!(found.contains(&declared.url));
        }
    }

    #[test]
    fn entries_are_what_for_each_shows(spec in any_set(), exclude in "[a-z*]{0,3}[*]") {
        let everything = urls(&expansion(&spec, &lines()));
        let mut spec = spec;
        spec.exclude = vec![exclude];
        let compiled = compile_with(&spec, &lines(), &[acme()], &[]);
        let Some(expansion) = compiled.expansion else {
            prop_assert_eq!(compiled.problems[0].code, "empty-set");
            prop_assert!(everything.iter().all(|url| glob::matches_any(&spec.exclude, url)));
            return Ok(());
        };
        let mut shown: std::collections::BTreeMap<Key, Vec<Mark>> = std::collections::BTreeMap::new();
        expansion.for_each(|url, mark| {
            shown.entry(Key::of(ItemKind::Url, url.as_bytes())).or_default().push(mark);
        });
        let expected: Vec<Entry> = shown
            .into_iter()
            .map(|(key, mut marks)| Entry::new(key, Mark::combined(&mut marks)))
            .collect();
        prop_assert_eq!(expansion.entries(&as_declared()), expected);
    }

    #[test]
    fn find_from_any_cursor_yields_exactly_the_wanted(spec in any_set(), at_most in 1..50_usize) {
        let expansion = expansion(&spec, &lines());
        let mut expected = Vec::new();
        expansion.for_each(|url, _| {
            let key = Key::of(ItemKind::Url, url.as_bytes());
            if wanted(key) {
                expected.push((key, Box::from(url)));
            }
        });
        let (mut found, mut cursor) = (Vec::new(), Some(0));
        while let Some(from) = cursor {
            let as_itself = |key| wanted(key).then_some(key);
            let part = expansion.find(&as_declared(), from, &as_itself, at_most);
            prop_assert!(part.items.len() >= at_most || part.next.is_none());
            found.extend(part.items);
            cursor = part.next;
        }
        prop_assert_eq!(found, expected);
    }
}
