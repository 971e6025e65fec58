//! What keeps a URL that is to be sent from being sent, and what to do then.

use crate::batch::rate::{Budget, Class};
use crate::declare::{Cdn, DeclaredSet};
use crate::digest::{ItemKind, Key};
use crate::plan::policy::Limit;
use crate::plan::{Bootstrap, Hold, SetPlan, TargetPlan};
use crate::report::explain::{Obstacle, ObstacleKind, quoted};
use crate::report::number::{counted, grouped, instant};
use crate::report::plan::blocked;
use crate::report::{self, place};
use crate::state::{Holder, Scope, Suspension, TargetRecord};

/// A URL that is to be sent, and everything that bears on it.
pub(super) struct Circumstances<'a> {
    pub(super) url: &'a str,
    pub(super) set: &'a DeclaredSet,
    pub(super) cdn: &'a Cdn,
    pub(super) plan: &'a SetPlan,
    pub(super) target: &'a TargetPlan,
    /// The plan sends it, as far as limits and refusals go.
    pub(super) is_sent: bool,
    /// The Cdn of an inner tier that refused it.
    pub(super) refused_by: Option<&'a str>,
    pub(super) bootstrap: Option<Bootstrap>,
    pub(super) recorded: Option<&'a TargetRecord>,
    pub(super) suspensions: &'a [Suspension],
    pub(super) now_ms: i64,
}

/// Everything in the way, what must be cleared first in front.
pub(super) fn all(about: &Circumstances<'_>) -> Vec<Obstacle> {
    let waits = [held_back(about), limit(about)];
    let holds = suspended(about).into_iter().chain(not_before(about));
    let holds = holds.chain(origin(about));
    let target = [halted(about), retry(about).or_else(|| rate(about))];
    let all = waits.into_iter().flatten().chain(holds);
    all.chain(target.into_iter().flatten()).collect()
}

/// Who reconciles now sends it; nobody else could.
pub(super) fn in_hand(holder: &Holder) -> Obstacle {
    let detail = format!("the state is held by {holder}, who sends it");
    obstacle(ObstacleKind::InHand, detail, "freshen status")
}

fn obstacle(kind: ObstacleKind, detail: String, next: impl Into<String>) -> Obstacle {
    let next = next.into();
    Obstacle { kind, detail, next }
}

fn held_back(about: &Circumstances<'_>) -> Option<Obstacle> {
    let inner = about.refused_by.filter(|_| !about.is_sent)?;
    let detail = format!("held back: the inner tier `{inner}` refused it");
    let next = format!(
        "freshen invalidate --cdn {inner} --url {}",
        quoted(about.url)
    );
    Some(obstacle(ObstacleKind::HeldBack, detail, next))
}

fn limit(about: &Circumstances<'_>) -> Option<Obstacle> {
    let approve = format!("freshen approve {}", about.plan.id.short());
    if let Some(block) = about.target.block
        && !matches!(block.limit, Limit::FirstRun(_))
        && !about.is_sent
        && about.refused_by.is_none()
    {
        let waiting = counted(block.items, "URL");
        let detail = format!("BLOCKED: {waiting}, {}", blocked(block));
        return Some(obstacle(ObstacleKind::Blocked, detail, approve));
    }
    let bootstrap = about.bootstrap.filter(|_| !about.is_sent)?;
    let detail = format!(
        "BLOCKED: {} and no earlier state (up to {} go unasked); if the CDN has them all \
         already: freshen reconcile --bootstrap adopt",
        counted(bootstrap.items, "URL"),
        grouped(bootstrap.limit)
    );
    let next = "freshen reconcile --bootstrap invalidate";
    Some(obstacle(ObstacleKind::Blocked, detail, next))
}

fn suspended(about: &Circumstances<'_>) -> Vec<Obstacle> {
    let suspended = |detail, next| obstacle(ObstacleKind::Suspended, detail, next);
    let mut found = Vec::new();
    for (what, place) in [
        about
            .set
            .suspend
            .then(|| ("set", about.set.place_of("suspend"))),
        about.cdn.suspend.then(|| ("Cdn", about.cdn.place.clone())),
    ]
    .into_iter()
    .flatten()
    {
        let at = report::place(&place);
        let detail = format!("suspended: the manifest of its {what} says so, at {at}");
        let next = format!("take out `suspend: true` at {at}, then freshen reconcile");
        found.push(suspended(detail, next));
    }
    for suspension in about.suspensions {
        let argument = match &suspension.scope {
            Scope::All => "--all".to_owned(),
            Scope::Set(name) if *name == about.set.name => format!("--set {name}"),
            Scope::Cdn(name) if *name == about.cdn.name => format!("--cdn {name}"),
            Scope::Set(_) | Scope::Cdn(_) => continue,
        };
        let since = instant(suspension.at_ms);
        let detail = format!("suspended with `freshen suspend {argument}` since {since}");
        found.push(suspended(detail, format!("freshen resume {argument}")));
    }
    found
}

fn not_before(about: &Circumstances<'_>) -> Option<Obstacle> {
    // What is suspended is told as such, whenever it were to go.
    let Some(Hold::NotBefore(at_ms)) = about.target.hold else {
        return None;
    };
    let (at, field) = (instant(at_ms), place(&about.set.place_of("notBefore")));
    let detail = format!("held until {at}: `notBefore` at {field}");
    let next = format!("freshen reconcile, from {at} on");
    Some(obstacle(ObstacleKind::NotBefore, detail, next))
}

fn origin(about: &Circumstances<'_>) -> Option<Obstacle> {
    let key = Key::of(ItemKind::Url, about.cdn.wire.item(about.url.as_bytes()));
    let waiting = &about.target.waiting;
    let at = waiting
        .entries
        .binary_search_by_key(&key, |entry| entry.key());
    let until = instant(waiting.until_ms.filter(|_| at.is_ok())?);
    let told = waiting.told.as_deref().unwrap_or("nobody has looked yet");
    let detail = format!("waits for new bytes at the origin, until {until} at the latest: {told}");
    let next = format!(
        "publish it at the origin, or: freshen invalidate --url {}",
        quoted(about.url)
    );
    Some(obstacle(ObstacleKind::WaitsForOrigin, detail, next))
}

fn halted(about: &Circumstances<'_>) -> Option<Obstacle> {
    let halt = about.recorded?.halted.as_ref()?;
    let since = instant(halt.at_ms);
    let detail = format!(
        "{}: {}: {} ({since})",
        report::FAILED,
        halt.kind,
        halt.message
    );
    let what = match halt.kind.as_str() {
        "unauthorized" => "the credentials of Cdn",
        _ => "Cdn",
    };
    let Cdn { name, .. } = about.cdn;
    let at = place(&about.cdn.place);
    let next = format!("correct {what} `{name}` ({at}), then freshen reconcile");
    Some(obstacle(ObstacleKind::Halted, detail, next))
}

fn retry(about: &Circumstances<'_>) -> Option<Obstacle> {
    let target = about.recorded.filter(|target| target.halted.is_none())?;
    let at = instant(target.retry_at_ms.filter(|at_ms| *at_ms > about.now_ms)?);
    let why = match target.attempts {
        0 => "as it was told to".to_owned(),
        attempts => format!("after {}", counted(u64::from(attempts), "failure")),
    };
    let detail = format!("Cdn `{}` waits until {at}, {why}", about.cdn.name);
    let next = format!("freshen reconcile, from {at} on");
    Some(obstacle(ObstacleKind::Waiting, detail, next))
}

/// The declared rate says when the next call may go; which items are in it is
/// for the order of sets to say.
fn rate(about: &Circumstances<'_>) -> Option<Obstacle> {
    let target = about.recorded.filter(|target| target.halted.is_none())?;
    let budget = Budget::new(&about.cdn.rate, &target.tats, about.now_ms);
    let next_ms = budget.earliest_ms(Class::Planned, 1, about.now_ms);
    let at = instant(Some(next_ms).filter(|at_ms| *at_ms > about.now_ms)?);
    let detail = format!(
        "the declared rate of Cdn `{}` lets its next call go at {at}",
        about.cdn.name
    );
    let next = format!("freshen reconcile, from {at} on");
    Some(obstacle(ObstacleKind::Waiting, detail, next))
}
