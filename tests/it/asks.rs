//! What a command asks for, whether somebody holds the state or nobody does.

use std::process::Child;

use freshen::sandbox::{Failure, Options, Sandbox};

use crate::world::{ROOT, World};

/// A reconcile that holds the state for as long as its call hangs.
fn holder(world: &World) -> Child {
    world.set("held", "  assets: [hangs]");
    world.sandbox.fail(Failure::Hang, Some(1));
    let before = world.sandbox.calls().len();
    let child = world.start(&["reconcile"]);
    world.wait_until("the hanging call", |world| {
        world.sandbox.calls().len() > before
    });
    child
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn status(world: &World, set: &str) -> String {
    let run = world.freshen(&["status", set]);
    format!("{}{}", run.stdout, run.stderr)
}

#[test]
fn a_set_is_adopted_renamed_and_forgotten_beside_the_holder_of_the_state() {
    let world = World::new("");
    world.set("old", "  assets: [a]");
    world.sends(0);
    let child = holder(&world);
    let said = world.ends(0, &["state", "mv", "old", "new"]);
    assert!(said.contains("recorded as `new`"), "{said}");
    world.wait_until("the new name", |world| {
        status(world, "new").contains("accepted")
    });
    world.ends(0, &["state", "forget", "new"]);
    world.wait_until("the old name", |world| {
        status(world, "new").contains("no set") || status(world, "new").contains("there is no set")
    });
    end(child);
}

#[test]
fn what_is_adopted_is_fresh_even_if_it_was_to_be_sent_again() {
    let world = World::new("");
    world.set("set", "  assets: [a, b]");
    world.sends(0);
    world.ends(0, &["suspend", "--set", "set"]);
    world.ends(4, &["invalidate", "set"]);
    world.ends(0, &["resume", "--set", "set"]);
    let said = world.ends(0, &["state", "adopt", "set"]);
    assert!(said.contains("nothing was sent"), "{said}");
    assert_eq!(world.sends(0).len(), 0);
}

#[test]
fn an_approval_and_an_adoption_leave_what_has_departed_as_it_was() {
    let world = World::new("");
    world.set("moved", "  assets: [a, b, c]");
    world.sends(0);
    world.set("moved", "  assets: [a]");
    assert_eq!(world.sends(0).len(), 0);
    world.set("moved", "  limits: { maxUrls: 1 }\n  assets: [a, d, e]");
    let said = world.ends(3, &["reconcile"]);
    let id = said.split("freshen approve ").nth(1).unwrap();
    world.ends(0, &["approve", &id[..12]]);
    world.set("other", "  assets: [b, c]");
    let sent = world.sends(0);
    let sent: Vec<&String> = sent.iter().flatten().collect();
    assert!(!sent.contains(&&format!("{ROOT}/b")), "{sent:?}");
}

#[test]
fn a_name_that_is_taken_is_refused_and_nothing_is_renamed() {
    let world = World::new("");
    world.set("one", "  assets: [a]");
    world.set("two", "  assets: [b]");
    world.sends(0);
    let said = world.ends(1, &["state", "mv", "one", "two"]);
    assert!(said.contains("`two` already"), "{said}");
    assert_eq!(world.sends(0).len(), 0);
}

#[test]
fn an_undeclared_url_goes_only_to_the_cdns_whose_root_it_is_under() {
    let world = World::new("");
    let brand = Sandbox::start(Options {
        company: "Brand".to_owned(),
        ..Options::default()
    })
    .unwrap();
    let text = world.cdn("brand", "").replace("AcmeCorp", "Brand");
    world.write(
        "manifests/brand.yaml",
        &text.replace(&world.sandbox.endpoint(), &brand.endpoint()),
    );
    world.set("one", "  cdns: [dynamic-media]\n  assets: [a]");
    world.sends(0);
    let url = format!("{ROOT}/undeclared");
    assert_eq!(world.sends_by(0, &["invalidate", "--url", &url]), [[url]]);
    assert_eq!(brand.calls().len(), 0);
    let nobodys = "https://s7d1.scene7.com/is/image/Nobody/x";
    let said = world.ends(1, &["invalidate", "--url", nobodys]);
    assert!(
        said.contains("Some URLs are not defined correctly"),
        "{said}"
    );
}
