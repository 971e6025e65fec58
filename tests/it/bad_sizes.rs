//! Files larger than any honest one, through the real program. They are
//! sparse: they take no room on the disk.

use std::fs::{self, File};

use crate::bad_input::{World, check_says, set, url};

const MIB: u64 = 1 << 20;

/// A file of so many zero bytes among the manifests.
fn sparse(world: &World, name: &str, size: u64) {
    File::create(world.path(name))
        .unwrap()
        .set_len(size)
        .unwrap();
}

#[test]
fn a_manifest_larger_than_64_mib_is_not_read() {
    let mut world = World::settled();
    sparse(&world, "bad.yaml", 64 * MIB + 1);
    let says = [
        "cannot be read: it is larger than 64 MiB",
        "manifests/bad.yaml",
    ];
    world.check_broken("large_manifest", &says);
    world.check_nothing_lost("large_manifest");
}

#[test]
fn manifests_larger_than_512_mib_together_are_not_all_read() {
    let mut world = World::settled();
    world.write(
        "bad.yaml",
        set("bad", "  revision: '2'\n  assets: [lost]\n"),
    );
    let names: Vec<String> = (0..9).map(|n| format!("large{n}.yaml")).collect();
    for name in &names {
        sparse(&world, name, 60 * MIB);
    }
    let arguments = ["validate"];
    let run = world.freshen(&arguments);
    let says = [
        "cannot be read: the manifests of this root exceed 512 MiB",
        "manifests/large",
    ];
    check_says("large_manifests", &arguments, &run, 4, &says);
    for name in names {
        fs::remove_file(world.path(&name)).unwrap();
    }
    assert_eq!(world.freshen(&["reconcile"]).code, 0);
    assert_eq!(world.sent(), [url("lost")]);
}

#[test]
fn a_named_file_larger_than_a_gib_is_not_read() {
    let mut world = World::settled();
    sparse(&world, "ids.txt", 1024 * MIB + 1);
    world.write(
        "bad.yaml",
        set("bad", "  assetsFrom: [{ file: ids.txt }]\n"),
    );
    let says = [
        "cannot read `ids.txt`: it is larger than 1024 MiB",
        "manifests/bad.yaml:6:24",
    ];
    world.check_broken("large_ids", &says);
    world.check_nothing_lost("large_ids");
}
