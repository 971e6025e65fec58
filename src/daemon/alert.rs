//! Alerts: what somebody has to know, once for each change.
//!
//! The driver shows what conditions hold after each pass; what comes back is
//! what has changed since the last one. An alert is known by its kind, its
//! object and its reason, never by its text: a duration or a request's number
//! in a message must not make a second alert of the first. Sets that change
//! together at one Cdn are one alert.
//!
//! What was alerted is not kept beyond the process: after a restart, a
//! condition that still holds is alerted once more, and one that ended
//! meanwhile is not reported as recovered.

use std::collections::{BTreeMap, BTreeSet};

use crate::batch::lane::HaltKind;
use crate::declare::Declared;
use crate::plan::Plan;
use crate::report::alert::{AlertDocument, AlertKind, AlertedSet};
use crate::report::condition;
use crate::report::number::{counted, instant};

/// A Cdn that failed less often in a row may only have hiccupped.
const FAILING_ATTEMPTS: u32 = 3;

/// Why an alert is of the manifests as a whole.
const UNREAD: &str = "manifests cannot be read";

/// Sets that an alert names, at most.
const MAX_SETS: usize = 100;

/// What holds after a pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// By name of the Cdn.
    pub cdns: BTreeMap<String, CdnCondition>,
    /// Sets that have errors: of what they want, nothing is known.
    pub broken: BTreeSet<String>,
    /// Something could not be read: what is missing here may still be so.
    pub is_incomplete: bool,
    /// Nothing is known of the sets in a manifest, or a root is empty.
    pub is_unread: bool,
}

/// What holds at a Cdn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CdnCondition {
    /// Why it cannot be told anything.
    pub trouble: Option<Trouble>,
    /// Every set that is sent to it.
    pub sets: BTreeMap<String, Share>,
}

/// Why a Cdn cannot be told anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It failed so often in a row, and is tried again.
    Failing(u32),
    /// Nothing is sent before somebody acts.
    Halted {
        /// What kind of trouble.
        kind: HaltKind,
        /// The code of the reason, such as `HTTP 401`.
        code: String,
    },
}

/// What holds of a set at a Cdn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Items that wait for an approval.
    pub blocked: u64,
    /// What an approval names.
    pub plan: Option<String>,
    /// Items that this Cdn refused.
    pub refused: u64,
}

impl Conditions {
    /// The conditions of sets, once `plan` is what is left to be sent. What
    /// holds at Cdns is added by whoever has talked to them.
    pub fn of(declared: &Declared, plan: &Plan, failed: &BTreeSet<String>) -> Self {
        let mut cdns: BTreeMap<String, CdnCondition> = (declared.cdns.keys())
            .map(|name| (name.clone(), CdnCondition::default()))
            .collect();
        for set in &plan.sets {
            for target in &set.targets {
                let standing = condition::Standing::of(set, target, 0);
                let share = Share {
                    blocked: standing.blocked,
                    plan: standing.plan,
                    refused: target.refused,
                };
                let cdn = cdns.entry(target.cdn.clone()).or_default();
                cdn.sets.insert(set.set.clone(), share);
            }
        }
        Self {
            cdns,
            broken: declared.broken.iter().chain(failed).cloned().collect(),
            is_incomplete: declared.is_frozen(),
            is_unread: declared.hides_sets() || !declared.empty_roots.is_empty(),
        }
    }
}

/// Something that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// What changed.
    pub kind: AlertKind,
    /// For a recovery: what it was.
    pub was: Option<AlertKind>,
    /// The Cdn concerned; `None` where it is the manifests.
    pub cdn: Option<String>,
    /// Why, in words that stay the same while the trouble is the same.
    pub reason: String,
    /// The sets concerned, by name.
    pub sets: Vec<AlertedSet>,
    /// When it began, milliseconds since the epoch.
    pub since_ms: i64,
    /// When it was noticed, milliseconds since the epoch.
    pub at_ms: i64,
}

impl Alert {
    /// As it is sent.
    pub fn document(&self) -> AlertDocument {
        AlertDocument {
            format: "freshen.alert/v1",
            kind: self.kind,
            was: self.was,
            cdn: self.cdn.clone(),
            reason: self.reason.clone(),
            sets: self.sets.iter().take(MAX_SETS).cloned().collect(),
            more_sets: self.sets.len().saturating_sub(MAX_SETS) as u64,
            since: instant(self.since_ms),
            at: instant(self.at_ms),
            message: self.message(),
        }
    }

    fn message(&self) -> String {
        let sets = counted(self.sets.len() as u64, "set");
        let reason = &self.reason;
        let what = match (self.was.unwrap_or(self.kind), &self.cdn) {
            (AlertKind::Blocked, Some(cdn)) => {
                format!("waiting for an approval at {cdn}: {sets}")
            }
            (AlertKind::Refused, Some(cdn)) => format!("refused by {cdn}: items of {sets}"),
            (_, Some(cdn)) => {
                format!("Failed to invalidate CDN cache: {cdn} ({reason}), {sets} concerned")
            }
            (_, None) => format!("errors in the manifests: {sets} kept at the last good state"),
        };
        match self.was {
            Some(_) => ["recovered: ", &what].concat(),
            None => what,
        }
    }
}

/// What an alert is known by, and in which order alerts are told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    kind: AlertKind,
    cdn: Option<String>,
    reason: String,
    /// `None` for a Cdn's own trouble.
    set: Option<String>,
}

#[derive(Clone, Debug)]
struct Standing {
    since_ms: i64,
    items: Option<u64>,
    plan: Option<String>,
}

/// Remembers what was alerted.
#[derive(Debug, Default)]
pub struct Alerter {
    /// Alerted, and not known to be over.
    standing: BTreeMap<Identity, Standing>,
    /// By Cdn: since when it is in trouble, alerted or not.
    troubled_since: BTreeMap<String, i64>,
}

impl Alerter {
    /// What has changed now that `conditions` hold.
    pub fn observe(&mut self, conditions: &Conditions, now_ms: i64) -> Vec<Alert> {
        self.note_trouble(conditions, now_ms);
        let found = self.found(conditions, now_ms);
        let mut alerts = BTreeMap::new();
        for (identity, standing) in &found {
            if !self.standing.contains_key(identity) {
                add(&mut alerts, conditions, identity, standing, (None, now_ms));
            }
        }
        let mut unknown = BTreeMap::new();
        for (identity, standing) in std::mem::take(&mut self.standing) {
            if found.contains_key(&identity) || is_replaced(&identity, &found) {
                continue;
            }
            if is_unknown(&identity, conditions) {
                unknown.insert(identity, standing);
            } else {
                let was = Some(identity.kind);
                add(&mut alerts, conditions, &identity, &standing, (was, now_ms));
            }
        }
        self.standing = found;
        self.standing.extend(unknown);
        alerts.into_values().collect()
    }

    fn note_trouble(&mut self, conditions: &Conditions, now_ms: i64) {
        for (name, cdn) in &conditions.cdns {
            match cdn.trouble {
                None => {
                    self.troubled_since.remove(name);
                }
                Some(_) => {
                    self.troubled_since.entry(name.clone()).or_insert(now_ms);
                }
            }
        }
        self.troubled_since
            .retain(|name, _| conditions.is_incomplete || conditions.cdns.contains_key(name));
    }

    /// Everything that is worth an alert, whether it was alerted before or not.
    fn found(&self, conditions: &Conditions, now_ms: i64) -> BTreeMap<Identity, Standing> {
        let mut found = BTreeMap::new();
        for (name, cdn) in &conditions.cdns {
            let cdn_name = || Some(name.clone());
            if let Some(identity) = self.trouble(name, cdn.trouble.as_ref()) {
                let since_ms = self.troubled_since.get(name).copied();
                found.insert(identity, (since_ms, None, None));
            }
            for (set, share) in &cdn.sets {
                let identity = |kind, reason: &str| Identity {
                    kind,
                    cdn: cdn_name(),
                    reason: reason.to_owned(),
                    set: Some(set.clone()),
                };
                if share.blocked > 0 {
                    let items = (None, Some(share.blocked), share.plan.clone());
                    found.insert(identity(AlertKind::Blocked, "limit"), items);
                }
                if share.refused > 0 {
                    let items = (None, Some(share.refused), None);
                    found.insert(identity(AlertKind::Refused, "refused"), items);
                }
            }
        }
        for set in &conditions.broken {
            let identity = Identity {
                kind: AlertKind::Failed,
                cdn: None,
                reason: "invalid".to_owned(),
                set: Some(set.clone()),
            };
            found.insert(identity, (None, None, None));
        }
        if conditions.is_unread {
            let identity = Identity {
                kind: AlertKind::Failed,
                cdn: None,
                reason: UNREAD.to_owned(),
                set: None,
            };
            found.insert(identity, (None, None, None));
        }
        let standing = |(identity, (since_ms, items, plan)): (Identity, _)| {
            let before = self.standing.get(&identity).map(|before| before.since_ms);
            let since_ms = before.or(since_ms).unwrap_or(now_ms);
            (
                identity,
                Standing {
                    since_ms,
                    items,
                    plan,
                },
            )
        };
        found.into_iter().map(standing).collect()
    }

    fn trouble(&self, cdn: &str, trouble: Option<&Trouble>) -> Option<Identity> {
        let identity = |reason| Identity {
            kind: AlertKind::Failed,
            cdn: Some(cdn.to_owned()),
            reason,
            set: None,
        };
        match trouble? {
            Trouble::Halted { kind, code } => Some(identity([kind.as_str(), ": ", code].concat())),
            Trouble::Failing(attempts) => {
                let identity = identity("failing".to_owned());
                let is_known = self.standing.contains_key(&identity);
                (*attempts >= FAILING_ATTEMPTS || is_known).then_some(identity)
            }
        }
    }
}

/// Whether a Cdn is in trouble as before, but for another reason.
fn is_replaced(identity: &Identity, found: &BTreeMap<Identity, Standing>) -> bool {
    let is_same = |other: &Identity| {
        other.kind == AlertKind::Failed && other.cdn == identity.cdn && other.set.is_none()
    };
    is_same(identity) && found.keys().any(is_same)
}

/// Whether `conditions` do not tell if this is over.
fn is_unknown(identity: &Identity, conditions: &Conditions) -> bool {
    let cdns = || conditions.cdns.iter();
    match (&identity.set, &identity.cdn) {
        (Some(set), _) if conditions.broken.contains(set) => true,
        (Some(set), Some(name)) => {
            let mut here = cdns().filter(|(other, _)| *other == name);
            conditions.is_incomplete && !here.any(|(_, cdn)| cdn.sets.contains_key(set))
        }
        (Some(set), None) => {
            conditions.is_incomplete && !cdns().any(|(_, cdn)| cdn.sets.contains_key(set))
        }
        (None, Some(name)) => conditions.is_incomplete && !conditions.cdns.contains_key(name),
        (None, None) => false,
    }
}

/// Alerts in the making: what happens together for one reason is one alert.
type Grouped = BTreeMap<(AlertKind, Option<AlertKind>, Option<String>, String), Alert>;

fn add(
    alerts: &mut Grouped,
    conditions: &Conditions,
    identity: &Identity,
    standing: &Standing,
    (was, now_ms): (Option<AlertKind>, i64),
) {
    let Identity {
        kind,
        cdn,
        reason,
        set,
    } = identity.clone();
    let kind = was.map_or(kind, |_| AlertKind::Recovered);
    let alert = alerts
        .entry((kind, was, cdn.clone(), reason.clone()))
        .or_insert_with(|| Alert {
            kind,
            was,
            reason,
            sets: Vec::new(),
            since_ms: standing.since_ms,
            at_ms: now_ms,
            cdn: cdn.clone(),
        });
    alert.since_ms = alert.since_ms.min(standing.since_ms);
    let named = |name: &String| AlertedSet {
        name: name.clone(),
        items: standing.items,
        plan: standing.plan.clone(),
    };
    if let Some(set) = set {
        alert.sets.push(named(&set));
        return;
    }
    // A Cdn's own trouble concerns every set that is sent to it.
    let cdn = cdn.and_then(|cdn| conditions.cdns.get(&cdn));
    let sets = cdn.into_iter().flat_map(|cdn| cdn.sets.keys());
    alert.sets.extend(sets.map(named));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Conditions as a test writes them: `dm: failing 3`, `dm: halted HTTP 401`,
    /// `dm/spring: blocked 5`, `dm/spring: refused 1`, `spring: broken`,
    /// `dm/spring: fine`, `dm: fine`, `incomplete`, `unread`; and the same for
    /// others.
    fn conditions(text: &str) -> Conditions {
        let mut conditions = Conditions::default();
        for part in text.split(", ").filter(|part| !part.is_empty()) {
            let Some((of, what)) = part.split_once(": ") else {
                match part {
                    "unread" => conditions.is_unread = true,
                    _ => conditions.is_incomplete = true,
                }
                continue;
            };
            if what == "broken" {
                conditions.broken.insert(of.to_owned());
                continue;
            }
            let (cdn, set) = match of.split_once('/') {
                Some((cdn, set)) => (cdn, Some(set)),
                None => (of, None),
            };
            let cdn = conditions.cdns.entry(cdn.to_owned()).or_default();
            let (word, rest) = what.split_once(' ').unwrap_or((what, ""));
            let number = || rest.parse().unwrap();
            match (set, word) {
                (None, "failing") => cdn.trouble = Some(Trouble::Failing(rest.parse().unwrap())),
                (None, "halted") => {
                    cdn.trouble = Some(Trouble::Halted {
                        kind: HaltKind::Unauthorized,
                        code: rest.to_owned(),
                    });
                }
                (None, "fine") => {}
                (Some(set), word) => {
                    let share = cdn.sets.entry(set.to_owned()).or_default();
                    match word {
                        "blocked" => {
                            share.blocked = number();
                            share.plan = Some(format!("plan of {rest}"));
                        }
                        "refused" => share.refused = number(),
                        "fine" => {}
                        other => panic!("no condition `{other}`"),
                    }
                }
                (_, other) => panic!("no condition `{other}`"),
            }
        }
        conditions
    }

    fn shown(alert: &Alert) -> String {
        let was = alert.was.map(|was| format!(" from {was:?}"));
        let sets: Vec<&str> = alert.sets.iter().map(|set| set.name.as_str()).collect();
        format!(
            "{:?}{} {} ({}) [{}]",
            alert.kind,
            was.unwrap_or_default(),
            alert.cdn.as_deref().unwrap_or("manifests"),
            alert.reason,
            sets.join(" "),
        )
    }

    /// Each step: what holds, and what is alerted then.
    fn check(steps: &[(&str, &[&str])]) {
        let mut alerter = Alerter::default();
        for ((text, expected), now_ms) in steps.iter().zip(0..) {
            let alerts = alerter.observe(&conditions(text), now_ms);
            let shown: Vec<String> = alerts.iter().map(shown).collect();
            assert_eq!(shown, *expected, "step {now_ms}: {text}");
        }
    }

    #[test]
    fn a_condition_is_alerted_once_and_its_end_once() {
        check(&[
            ("dm/spring: fine", &[]),
            ("dm/spring: blocked 5", &["Blocked dm (limit) [spring]"]),
            ("dm/spring: blocked 5", &[]),
            ("dm/spring: blocked 5", &[]),
            (
                "dm/spring: fine",
                &["Recovered from Blocked dm (limit) [spring]"],
            ),
            ("dm/spring: fine", &[]),
            ("dm/spring: refused 1", &["Refused dm (refused) [spring]"]),
            (
                "dm/spring: fine",
                &["Recovered from Refused dm (refused) [spring]"],
            ),
        ]);
    }

    #[test]
    fn what_holds_at_the_start_is_alerted_once() {
        check(&[
            (
                "dm: halted HTTP 401, dm/a: fine, dm/b: fine",
                &["Failed dm (unauthorized: HTTP 401) [a b]"],
            ),
            ("dm: halted HTTP 401, dm/a: fine, dm/b: fine", &[]),
        ]);
    }

    #[test]
    fn an_outage_of_a_cdn_is_one_alert_that_names_all_its_sets() {
        check(&[
            (
                "dm: failing 3, dm/a: fine, dm/b: fine, dm/c: fine, other/a: fine",
                &["Failed dm (failing) [a b c]"],
            ),
            (
                "dm: fine, dm/a: fine, dm/b: fine, dm/c: fine, other/a: fine",
                &["Recovered from Failed dm (failing) [a b c]"],
            ),
        ]);
    }

    #[test]
    fn sets_that_are_blocked_together_are_one_alert_and_a_later_one_its_own() {
        check(&[
            (
                "dm/a: blocked 1, dm/b: blocked 2, other/a: blocked 1",
                &["Blocked dm (limit) [a b]", "Blocked other (limit) [a]"],
            ),
            (
                "dm/a: blocked 1, dm/b: blocked 2, dm/c: blocked 3, other/a: fine",
                &[
                    "Blocked dm (limit) [c]",
                    "Recovered from Blocked other (limit) [a]",
                ],
            ),
        ]);
    }

    #[test]
    fn neither_counts_nor_plans_make_a_second_alert() {
        check(&[
            (
                "dm/a: blocked 10, dm: failing 3",
                &["Failed dm (failing) [a]", "Blocked dm (limit) [a]"],
            ),
            ("dm/a: blocked 11, dm: failing 17", &[]),
            ("dm/a: blocked 9, dm: failing 1", &[]),
        ]);
    }

    #[test]
    fn a_hiccup_is_no_failure_and_its_end_no_recovery() {
        check(&[
            ("dm: failing 1", &[]),
            ("dm: fine", &[]),
            ("dm: failing 2", &[]),
            ("dm: fine", &[]),
        ]);
    }

    #[test]
    fn another_reason_is_another_alert_but_no_recovery() {
        check(&[
            ("dm: failing 5", &["Failed dm (failing) []"]),
            (
                "dm: halted HTTP 401",
                &["Failed dm (unauthorized: HTTP 401) []"],
            ),
            (
                "dm: fine",
                &["Recovered from Failed dm (unauthorized: HTTP 401) []"],
            ),
        ]);
    }

    #[test]
    fn manifests_that_cannot_be_read_are_an_alert_although_no_set_is_known_to_be_broken() {
        check(&[
            (
                "unread, incomplete",
                &["Failed manifests (manifests cannot be read) []"],
            ),
            ("unread, incomplete", &[]),
            (
                "dm: fine",
                &["Recovered from Failed manifests (manifests cannot be read) []"],
            ),
        ]);
    }

    #[test]
    fn broken_manifests_are_one_alert_and_hide_no_other() {
        check(&[
            ("dm/a: blocked 3, dm/b: fine", &["Blocked dm (limit) [a]"]),
            (
                "a: broken, b: broken, incomplete",
                &["Failed manifests (invalid) [a b]"],
            ),
            (
                "dm/a: blocked 3, dm/b: fine",
                &["Recovered from Failed manifests (invalid) [a b]"],
            ),
            (
                "dm/a: fine, dm/b: fine",
                &["Recovered from Blocked dm (limit) [a]"],
            ),
        ]);
    }

    #[test]
    fn what_cannot_be_read_is_not_over() {
        check(&[
            (
                "dm: halted HTTP 401, dm/a: refused 1, b: broken",
                &[
                    "Failed manifests (invalid) [b]",
                    "Failed dm (unauthorized: HTTP 401) [a]",
                    "Refused dm (refused) [a]",
                ],
            ),
            ("incomplete", &[]),
            (
                "dm: halted HTTP 401, dm/a: refused 1, dm/b: fine, incomplete",
                &["Recovered from Failed manifests (invalid) [b]"],
            ),
        ]);
    }

    #[test]
    fn what_is_not_declared_any_more_is_over() {
        check(&[
            (
                "dm: halted HTTP 401, dm/a: refused 1, b: broken",
                &[
                    "Failed manifests (invalid) [b]",
                    "Failed dm (unauthorized: HTTP 401) [a]",
                    "Refused dm (refused) [a]",
                ],
            ),
            (
                "",
                &[
                    "Recovered from Failed manifests (invalid) [b]",
                    "Recovered from Failed dm (unauthorized: HTTP 401) []",
                    "Recovered from Refused dm (refused) [a]",
                ],
            ),
        ]);
    }

    #[test]
    fn an_alert_tells_since_when_and_how_much() {
        let mut alerter = Alerter::default();
        assert_eq!(alerter.observe(&conditions("dm: failing 1"), 1_000), []);
        let failed = alerter.observe(&conditions("dm: failing 3"), 5_000);
        assert_eq!((failed[0].since_ms, failed[0].at_ms), (1_000, 5_000));
        let over = alerter.observe(&conditions("dm: fine"), 9_000);
        assert_eq!((over[0].since_ms, over[0].at_ms), (1_000, 9_000));
        let blocked = alerter.observe(&conditions("dm/a: blocked 7, dm/b: blocked 1"), 11_000);
        let document = serde_json::to_string_pretty(&blocked[0].document()).unwrap();
        insta::assert_snapshot!(document, @r#"
        {
          "format": "freshen.alert/v1",
          "kind": "blocked",
          "cdn": "dm",
          "reason": "limit",
          "sets": [
            {
              "name": "a",
              "items": 7,
              "plan": "plan of 7"
            },
            {
              "name": "b",
              "items": 1,
              "plan": "plan of 1"
            }
          ],
          "moreSets": 0,
          "since": "1970-01-01T00:00:11Z",
          "at": "1970-01-01T00:00:11Z",
          "message": "waiting for an approval at dm: 2 sets"
        }
        "#);
    }

    #[test]
    fn a_thousand_sets_are_counted_and_not_all_named() {
        let text: Vec<String> = (0..1_000).map(|n| format!("dm/s{n}: refused 1")).collect();
        let alerts = Alerter::default().observe(&conditions(&text.join(", ")), 0);
        assert_eq!(alerts.len(), 1);
        let document = alerts[0].document();
        assert_eq!((document.sets.len(), document.more_sets), (100, 900));
        assert_eq!(document.message, "refused by dm: items of 1,000 sets");
    }
}
