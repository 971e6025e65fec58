//! What somebody wants done, checked before it is asked for: what could only
//! come to nothing is refused while there is somebody to tell.

use thiserror::Error;

use crate::declare::{Cdn, Declared};
use crate::digest::Digest;
use crate::expand::judge_url;
use crate::manifest::nearest;
use crate::plan::SetPlan;
use crate::reconcile::asks::Ask;
use crate::reconcile::forcing::{self, Selection};
use crate::reconcile::planning;
use crate::report::place;
use crate::state::{Records, Scope, StateError};

/// Why something is not even asked for.
#[derive(Debug, Error)]
pub enum Refused {
    /// It does not say what is wanted.
    #[error("{message}")]
    Unclear {
        /// What is missing.
        message: String,
        /// What to say instead.
        hint: Option<&'static str>,
    },
    /// It names what is not there, or comes to nothing.
    #[error("{message}")]
    Pointless {
        /// What it names.
        message: String,
        /// What to do instead.
        hint: String,
    },
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] StateError),
}

impl Refused {
    /// What to do about it, where we know.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unclear { hint, .. } => hint.map(str::to_owned),
            Self::Pointless { hint, .. } => Some(hint.clone()),
            Self::State(error) => error.hint(),
        }
    }

    fn pointless(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Pointless {
            message: message.into(),
            hint: hint.into(),
        }
    }
}

/// Whether `selection` names anything at all.
pub fn selects(selection: &Selection) -> Result<(), Refused> {
    let names_nothing = selection.set.is_none()
        && selection.asset.is_none()
        && selection.pattern.is_none()
        && selection.cdn.is_none()
        && selection.urls.is_none();
    // A list without URLs must not come to mean all that are declared.
    if names_nothing || selection.urls.as_ref().is_some_and(Vec::is_empty) {
        return Err(Refused::Unclear {
            message: "No URL(s) entered to be invalidated".to_owned(),
            hint: Some("name a set, or use --asset, --match, --url, --urls-from or --cdn"),
        });
    }
    Ok(())
}

/// Sends again what `selection` names.
pub fn invalidation(
    declared: &Declared,
    records: Option<&Records>,
    selection: Selection,
) -> Result<Ask, Refused> {
    selects(&selection)?;
    set(declared, selection.set.as_deref())?;
    cdn(declared, selection.cdn.as_deref())?;
    comes_to_something(declared, records, &selection)?;
    Ok(Ask::Invalidate(selection))
}

/// Holds `scope` back.
pub fn suspension(declared: &Declared, scope: Scope) -> Result<Ask, Refused> {
    match &scope {
        Scope::All => {}
        Scope::Set(name) => set(declared, Some(name))?,
        Scope::Cdn(name) => cdn(declared, Some(name))?,
    }
    Ok(Ask::Suspend(scope))
}

/// Lets `scope` go on, declared or not: its manifest may be gone by now. A set
/// or a Cdn that is not suspended is a name mistyped.
pub fn resumption(
    declared: &Declared,
    records: Option<&Records>,
    scope: Scope,
) -> Result<Ask, Refused> {
    let (what, name) = match &scope {
        Scope::All => return Ok(Ask::Resume(scope)),
        Scope::Set(name) => ("set", name),
        Scope::Cdn(name) => ("Cdn", name),
    };
    let suspended = match records {
        Some(records) => suspended(declared, records)?,
        None => Vec::new(),
    };
    if suspended.contains(&scope) {
        return Ok(Ask::Resume(scope));
    }
    let alike = suspended.iter().filter_map(|other| match (other, &scope) {
        (Scope::Set(other), Scope::Set(_)) | (Scope::Cdn(other), Scope::Cdn(_)) => Some(&**other),
        _ => None,
    });
    let by_manifest = match &scope {
        Scope::All => None,
        Scope::Set(name) => {
            let set = declared.sets.get(name).filter(|set| set.suspend);
            set.map(|set| set.place_of("suspend"))
        }
        Scope::Cdn(name) => {
            let cdn = declared.cdns.get(name).filter(|cdn| cdn.suspend);
            cdn.map(|cdn| cdn.place.clone())
        }
    };
    let hint = match by_manifest {
        Some(at) => format!("its manifest says `suspend: true`, at {}", place(&at)),
        None => meant(name, alike)
            .unwrap_or_else(|| "`freshen status` lists what is suspended".to_owned()),
    };
    let message = format!("no {what} `{name}` is suspended by command; nothing was changed");
    Err(Refused::pointless(message, hint))
}

/// What is suspended, or will be as soon as whoever holds the state has a look.
fn suspended(declared: &Declared, records: &Records) -> Result<Vec<Scope>, StateError> {
    let now = planning::suspensions(declared, records)?.into_iter();
    let asked = records.requests(true)?.into_iter();
    let soon = asked.filter_map(|request| match Ask::of(&request) {
        Ok(Ask::Suspend(scope)) => Some(scope),
        _ => None,
    });
    Ok(now.map(|suspension| suspension.scope).chain(soon).collect())
}

/// Whether `plan` is long enough to name one plan.
pub fn names_a_plan(plan: &str) -> Result<(), Refused> {
    if !Digest::is_named_by(plan) {
        return Err(Refused::Unclear {
            message: "a plan is named by at least 12 digits of its id".to_owned(),
            hint: None,
        });
    }
    Ok(())
}

/// Lets the blocked plan through whose id begins with `plan`.
pub fn approval(
    declared: &Declared,
    records: Option<&Records>,
    plan: &str,
    now_ms: i64,
) -> Result<Ask, Refused> {
    names_a_plan(plan)?;
    let options = planning::Options {
        now_ms,
        ..planning::Options::default()
    };
    let planned = planning::plan(declared, records, &options)?.plan;
    let is_blocked = |set: &SetPlan| set.targets.iter().any(|target| target.block.is_some());
    let sets = planned.sets.iter();
    let mut named = sets.filter(|set| set.id.to_string().starts_with(plan));
    if named.any(is_blocked) {
        let plan = plan.to_owned();
        return Ok(Ask::Approve { plan });
    }
    Err(Refused::pointless(
        format!("no plan `{plan}` waits for approval"),
        "`freshen plan` names those that wait; a plan is another one once anything in it has changed",
    ))
}

/// The set of that name, among those declared.
pub fn set(declared: &Declared, name: Option<&str>) -> Result<(), Refused> {
    let Some(name) = name else { return Ok(()) };
    let mut others = declared.broken.iter().chain(&declared.left_out);
    if declared.sets.contains_key(name) || others.any(|other| other == name) {
        return Ok(());
    }
    if declared.hides_sets() {
        return Err(Refused::pointless(
            format!("a manifest cannot be read, and no other declares a set `{name}`"),
            "`freshen validate` shows where; until then its sets keep their last good state",
        ));
    }
    let names = declared.sets.keys().map(String::as_str);
    Err(Refused::pointless(
        format!("no set is called `{name}`"),
        meant(name, names).unwrap_or_else(|| "`freshen status` lists the sets".to_owned()),
    ))
}

/// The Cdn of that name, among those declared.
pub fn cdn(declared: &Declared, name: Option<&str>) -> Result<(), Refused> {
    let Some(name) = name.filter(|name| !declared.cdns.contains_key(*name)) else {
        return Ok(());
    };
    let names = declared.cdns.keys().map(String::as_str);
    let hint = "`freshen validate` shows what is declared and what is wrong with it";
    Err(Refused::pointless(
        format!("no Cdn that can be used is called `{name}`; nothing was recorded"),
        meant(name, names).unwrap_or_else(|| hint.to_owned()),
    ))
}

fn meant<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, names).map(|near| format!("did you mean `{near}`?"))
}

fn comes_to_something(
    declared: &Declared,
    records: Option<&Records>,
    selection: &Selection,
) -> Result<(), Refused> {
    let (selected, undeclared) = forcing::select(declared, selection);
    let refuse = |message: &str, hint: &str| {
        let message = format!("{message}; nothing was recorded, and nothing sent");
        Err(Refused::pointless(message, hint))
    };
    for url in &undeclared {
        if let Err(fault) = judge_url(url, None) {
            return refuse(
                &format!("Some URLs are not defined correctly: `{url}`: {fault}"),
                "write the whole URL as it is cached",
            );
        }
    }
    let is_meant = |cdn: &&Cdn| selection.cdn.as_ref().is_none_or(|name| *name == cdn.name);
    let cdns = || declared.cdns.values().filter(is_meant);
    let is_nobodys = |url: &&String| !cdns().any(|cdn| cdn.covers(url));
    if let Some(url) = undeclared.iter().find(is_nobodys)
        && cdns().next().is_some()
    {
        return refuse(
            &format!("Some URLs are not defined correctly: `{url}` is no Cdn's"),
            "its path must lie under the root of a declared Cdn",
        );
    }
    if !undeclared.is_empty() && declared.cdns.is_empty() {
        return refuse(
            "Failed to retrieve URL(s): no Cdn that can be used is declared",
            "`freshen validate` shows what is wrong with it",
        );
    }
    if selected.is_empty() && undeclared.is_empty() {
        return refuse(
            "No URL(s) entered to be invalidated: nothing declared matches",
            "`freshen expand` lists what is declared",
        );
    }
    let adhoc = forcing::adhoc(declared, selection, &undeclared);
    let recorded = records.map_or_else(|| Ok(Vec::new()), Records::sets)?;
    forcing::check_limits(&selected, &adhoc, &recorded)
        .map_err(|error| Refused::pointless(error.to_string(), error.cure()))
}
