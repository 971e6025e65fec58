//! What a pass tells people: its line in the log, and what alerts are made of.

use freshen::daemon::alert::{Alerter, Conditions};
use freshen::daemon::pass::PassLine;
use freshen::reconcile::Outcome;
use freshen::report::alert::AlertKind;
use freshen::sandbox::{Failure, Faults};
use freshen::state::Reader;

use crate::metrics::Site;
use crate::world::{ROOT, World};

fn site() -> Site {
    let site = Site::new();
    site.set("small", "assets: [a]");
    site.set("large", "assets: [a, b, c]\n  limits: { maxUrls: 2 }");
    site.set("later", "assets: [a]\n  suspend: true");
    site.set("broken", "nonsense: true");
    site
}

#[test]
fn the_line_of_a_pass_counts_what_it_left() {
    let (declared, planned) = site().planned();
    let mut outcome = Outcome {
        left: planned.plan,
        failed: planned.failed,
        partial: planned.partial,
        ..Outcome::default()
    };
    let tally = &mut outcome.targets.entry("dm".to_owned()).or_default().tally;
    (tally.calls, tally.accepted, tally.refused) = (3, 2, 1);
    let expected = PassLine {
        sets: 3,
        invalid: 1,
        calls: 3,
        accepted: 2,
        refused: 1,
        left: 1,
        blocked: 3,
        held: 1,
        is_unfinished: true,
    };
    assert_eq!(PassLine::of(&declared, &outcome), expected);
}

#[test]
fn a_plan_is_alerted_as_what_waits_for_people() {
    let (declared, planned) = site().planned();
    let conditions = Conditions::of(&declared, &planned.plan, &planned.failed);
    let alerts = Alerter::default().observe(&conditions, 0);
    let [broken, blocked] = &alerts[..] else {
        panic!("{alerts:#?}");
    };
    assert_eq!((broken.kind, &broken.cdn), (AlertKind::Failed, &None));
    assert_eq!(broken.sets[0].name, "broken");
    assert_eq!(blocked.kind, AlertKind::Blocked);
    assert_eq!(blocked.cdn.as_deref(), Some("dm"));
    let set = &blocked.sets[0];
    assert_eq!((set.name.as_str(), set.items), ("large", Some(3)));
    let large = planned.plan.sets.iter().find(|set| set.set == "large");
    assert_eq!(set.plan, Some(large.unwrap().id.to_string()));
}

/// Whether the one ledger of `world` owes, and whether it is settled.
fn stands(world: &World) -> (bool, bool) {
    let reader = Reader::open(&world.folder().join("freshen.db")).unwrap();
    let sets = reader.unwrap().sets().unwrap();
    let ledger = sets[0].ledgers.values().next().unwrap();
    (ledger.owed_since_ms.is_some(), ledger.is_settled)
}

#[test]
fn what_was_refused_is_not_unsent_but_what_waits_for_a_cdn_is() {
    let world = World::new("");
    world.set("set", "  assets: [a, bad]");
    world.sandbox.poison(&format!("{ROOT}/bad"), true);
    world.sandbox.fail(Failure::Code(30_000), None);
    world.ends(4, &["reconcile", "--max-time", "1s"]);
    assert_eq!(stands(&world), (true, false));
    world.sandbox.set_faults(Faults::default());
    world.sandbox.poison(&format!("{ROOT}/bad"), true);
    world.ends(4, &["reconcile"]);
    assert_eq!(stands(&world), (false, false));
}
