//! Many sets at once: the realistic example, two environments that share
//! templates, and a hundred sets with one URL each.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use freshen::sandbox::{Options, Sandbox};

use crate::world::{ROOT, World, items};

/// The production half of the example, before a sandbox.
fn realistic() -> World {
    let world = World::new("");
    fs::remove_dir_all(world.folder().join("manifests")).unwrap();
    let copied = Command::new("cp")
        .args([
            "-r",
            "examples/catalogue/catalog",
            "examples/catalogue/envs",
        ])
        .arg(world.folder())
        .status();
    assert!(copied.unwrap().success());
    edit(
        &world,
        "envs/prod/cdn.yaml",
        "region: emea\n    service: production",
        &format!("endpoint: \"{}\"", world.sandbox.endpoint()),
    );
    edit(
        &world,
        "envs/prod/cdn.yaml",
        "file: /run/secrets/ips-password",
        "env: IPS_PASSWORD",
    );
    world
}

/// Replaces the one place where a file says `from`.
fn edit(world: &World, path: &str, from: &str, to: &str) {
    let text = fs::read_to_string(world.folder().join(path)).unwrap();
    assert_eq!(text.matches(from).count(), 1, "{from} in {path}");
    world.write(path, &text.replace(from, to));
}

#[test]
fn the_realistic_catalogue_goes_in_three_batches_and_then_an_asset_at_a_time() {
    let world = realistic();
    let reconcile = [
        "--manifests",
        "catalog",
        "--manifests",
        "envs/prod",
        "reconcile",
    ];
    let sizes: Vec<usize> = world.sends_by(0, &reconcile).iter().map(Vec::len).collect();
    assert_eq!(sizes, [1000, 1000, 500]);
    assert_eq!(items(&world.accepted()).len(), 2_500);
    assert_eq!(world.sends_by(0, &reconcile).len(), 0);

    // One image is replaced: the product system exports another hash.
    edit(
        &world,
        "envs/prod/assets/catalog.csv",
        "51a0bd52fe",
        "51a0bd52ff",
    );
    let sent = world.sends_by(0, &reconcile);
    let image = "is/image/AcmeCorp/acme-10002";
    let ours = ["", "?$thumbnail$", "?$listing$", "?$product$", "?$zoom$"];
    let crops = [":Banner", ":Square"];
    let ours = ours.iter().chain(&crops);
    let ours = ours.map(|rest| format!("https://s7g10.scene7.com/{image}{rest}"));
    let folded = ["", ":Banner", ":Square"];
    let folded = folded.map(|rest| format!("https://media.acme.example/{image}{rest}"));
    let expected: BTreeSet<String> = ours.chain(folded).collect();
    assert_eq!(sent.len(), 1);
    assert_eq!(items(&sent), expected);
    assert_eq!(world.sends_by(0, &reconcile).len(), 0);
}

#[test]
fn a_hundred_further_sets_with_one_new_url_each_are_one_batch() {
    let world = World::new("");
    world.set("base", "  assets: [x]");
    world.sends(0);
    let declare = |assets: &dyn Fn(usize) -> String| {
        for n in 0..100 {
            world.set(&format!("s{n}"), &format!("  assets: [{}]", assets(n)));
        }
        let sent = world.sends(0);
        assert_eq!((sent.len(), items(&sent).len()), (1, 100));
    };
    declare(&|n| format!("n{n}"));
    declare(&|n| format!("n{n}, m{n}"));
}

#[test]
fn flow_8_two_brands_in_two_environments_share_templates_and_nothing_else() {
    let world = World::new("");
    let staging = Sandbox::start(Options::default()).unwrap();
    let cdn = world.cdn("dynamic-media", "");
    world.remove("manifests/cdn.yaml");
    world.write("envs/prod/cdn.yaml", &cdn);
    let at_staging = cdn.replace(&world.sandbox.endpoint(), &staging.endpoint());
    world.write("envs/staging/cdn.yaml", &at_staging);
    let template = |revision: u32| {
        let text = format!(
            "apiVersion: freshen/v1\nkind: Template\nmetadata: {{ name: shared }}\nspec:\n  \
             revision: '{revision}'\n  urls: [\"<ID>?wid=800\"]\n"
        );
        world.write("catalog/shared.yaml", &text);
    };
    let brand = |environment: &str, brand: &str, ids: &str| {
        let text = format!(
            "apiVersion: freshen/v1\nkind: AssetSet\nmetadata: {{ name: {brand} }}\nspec:\n  \
             templates: [shared]\n  assetsFrom: [{{ file: {brand}.txt }}]\n"
        );
        world.write(&format!("envs/{environment}/{brand}.yaml"), &text);
        world.write(&format!("envs/{environment}/{brand}.txt"), ids);
    };
    template(1);
    brand("prod", "acme", "a1\na2\n");
    brand("prod", "borealis", "b1\n");
    brand("staging", "acme", "a1\n");
    brand("staging", "borealis", "b1\nb9\n");

    let check = |prod: &[&str], at_staging: &[&str]| {
        let before = (world.sandbox.calls().len(), staging.calls().len());
        // The order of the roots does not matter.
        for (first, second, state) in [
            ("catalog", "envs/prod", "prod.db"),
            ("envs/staging", "catalog", "staging.db"),
        ] {
            let roots = ["--manifests", first, "--manifests", second];
            world.ends(0, &[&roots[..], &["--state", state, "reconcile"]].concat());
        }
        let sent = |sandbox: &Sandbox, before: usize| -> BTreeSet<String> {
            let calls = sandbox.calls().split_off(before);
            calls.into_iter().flat_map(|call| call.urls).collect()
        };
        let expected = |ids: &[&str]| -> BTreeSet<String> {
            let urls = ids.iter().map(|id| format!("{ROOT}/{id}?wid=800"));
            urls.collect()
        };
        assert_eq!(sent(&world.sandbox, before.0), expected(prod), "prod");
        assert_eq!(sent(&staging, before.1), expected(at_staging), "staging");
    };
    check(&["a1", "a2", "b1"], &["a1", "b1", "b9"]);
    check(&[], &[]);
    brand("staging", "acme", "a1\na3\n");
    check(&[], &["a3"]);
    brand("prod", "borealis", "b1\nb2\n");
    check(&["b2"], &[]);
    template(2);
    check(&["a1", "a2", "b1", "b2"], &["a1", "a3", "b1", "b9"]);
}
