//! What manifests say of each other: Cdns, Templates and former names.

use std::collections::{BTreeMap, BTreeSet};

use super::catalog::{Broken, position};
use super::problem::Problem;
use super::spec::{AssetSetSpec, Catalog, Manifest, Step};
use super::suggest::nearest;

/// Reports what refers to nothing, and moves the sets that do, or that lean on
/// something broken, to the broken ones.
pub(super) fn check(catalog: &mut Catalog, broken: &mut Broken) {
    let mut problems = former_names(catalog);
    // Made once: a set that names one of them must not cost a look at all.
    let cdns = Names::of("Cdn", catalog.cdns.keys(), &broken.cdns);
    let templates = Names::of("Template", catalog.templates.keys(), &broken.templates);
    for set in catalog.sets.values() {
        let mut references = References {
            set,
            problems: Vec::new(),
        };
        references.cdns(&cdns);
        references.templates(&templates);
        let own = references.problems;
        if !own.is_empty() {
            problems.entry(set.name.clone()).or_default().extend(own);
        }
    }
    for (name, own) in problems {
        catalog.problems.extend(own);
        catalog.sets.remove(&name);
        broken.sets.insert(name);
    }
}

/// What sets may name of one kind.
struct Names<'c> {
    kind: &'static str,
    known: BTreeSet<&'c str>,
    broken: &'c BTreeSet<String>,
}

impl<'c> Names<'c> {
    fn of(
        kind: &'static str,
        known: impl Iterator<Item = &'c String>,
        broken: &'c BTreeSet<String>,
    ) -> Self {
        Self {
            kind,
            known: known.map(String::as_str).collect(),
            broken,
        }
    }
}

struct References<'c> {
    set: &'c Manifest<AssetSetSpec>,
    problems: Vec<Problem>,
}

impl References<'_> {
    fn cdns(&mut self, cdns: &Names<'_>) {
        if self.set.spec.cdns.is_empty() {
            self.default_cdn(cdns);
        }
        let mut seen = BTreeSet::new();
        for (tier, names) in self.set.spec.cdns.iter().enumerate() {
            for (position, name) in names.iter().enumerate() {
                let path = [
                    Step::Key("spec"),
                    Step::Key("cdns"),
                    Step::Index(tier),
                    Step::Index(position),
                ];
                self.reference(name, &path, cdns);
                self.once("Cdn", name, &path, &mut seen);
            }
        }
    }

    fn default_cdn(&mut self, cdns: &Names<'_>) {
        let Names { known, broken, .. } = cdns;
        let path = [Step::KeyOf("spec")];
        match known.len() + broken.len() {
            0 => {
                let hint = "declare a `kind: Cdn` in one of the manifest roots";
                self.report("no-cdn", &path, "no Cdn is declared".to_owned(), hint);
            }
            1 => {
                if let Some(name) = broken.first() {
                    self.waits("Cdn", name, &path);
                }
            }
            _ => {
                let names: Vec<&str> = known
                    .iter()
                    .copied()
                    .chain(broken.iter().map(String::as_str))
                    .collect();
                let hint = format!("name those meant: `cdns: [{}]`", names.join(", "));
                let message = "the set names no Cdn, and several are declared".to_owned();
                self.report("which-cdn", &path, message, &hint);
            }
        }
    }

    fn templates(&mut self, templates: &Names<'_>) {
        let mut seen = BTreeSet::new();
        for (index, name) in self.set.spec.templates.iter().enumerate() {
            let path = [
                Step::Key("spec"),
                Step::Key("templates"),
                Step::Index(index),
            ];
            self.reference(name, &path, templates);
            self.once("Template", name, &path, &mut seen);
        }
    }

    fn reference(&mut self, name: &str, path: &[Step<'_>], names: &Names<'_>) {
        let Names {
            kind,
            known,
            broken,
        } = names;
        if known.contains(name) {
            return;
        }
        if broken.contains(name) {
            self.waits(kind, name, path);
            return;
        }
        let message = format!("{kind} `{name}` is not declared");
        let hint = match nearest(name, known.iter().copied()) {
            Some(known) => format!("did you mean `{known}`?"),
            None if known.is_empty() => format!("no {kind} is declared"),
            None => format!(
                "declared: {}",
                known
                    .iter()
                    .take(10)
                    .copied()
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        };
        self.report("missing-reference", path, message, &hint);
    }

    fn once<'n>(
        &mut self,
        kind: &str,
        name: &'n str,
        path: &[Step<'_>],
        seen: &mut BTreeSet<&'n str>,
    ) {
        if !seen.insert(name) {
            let message = format!("{kind} `{name}` is named twice");
            self.report("named-twice", path, message, "remove one of the two");
        }
    }

    /// The cause is reported where it is; this says what else it stops.
    fn waits(&mut self, kind: &str, name: &str, path: &[Step<'_>]) {
        let message = format!(
            "set `{}` keeps its last good state: {kind} `{name}` has errors",
            self.set.name
        );
        let place = Some(self.set.place(path));
        self.problems
            .push(Problem::warning("depends-on-broken", place, message));
    }

    fn report(&mut self, code: &'static str, path: &[Step<'_>], message: String, hint: &str) {
        let place = Some(self.set.place(path));
        self.problems
            .push(Problem::error(code, place, message).hint(hint));
    }
}

/// Sets that claim a name which is in use, or which another claims too.
fn former_names(catalog: &Catalog) -> BTreeMap<String, Vec<Problem>> {
    let mut claims: BTreeMap<&str, Vec<(&Manifest<AssetSetSpec>, usize)>> = BTreeMap::new();
    for set in catalog.sets.values() {
        for (index, name) in set.formerly.iter().enumerate() {
            claims.entry(name).or_default().push((set, index));
        }
    }
    let mut problems: BTreeMap<String, Vec<Problem>> = BTreeMap::new();
    for (name, claimants) in claims {
        for (position_of, (set, index)) in claimants.iter().enumerate() {
            let place_of = |set: &Manifest<AssetSetSpec>, index| {
                set.place(&[
                    Step::Key("metadata"),
                    Step::Key("formerly"),
                    Step::Index(index),
                ])
            };
            let message = if let Some(owner) = catalog.sets.get(name) {
                let place = owner.place(&[Step::Key("metadata"), Step::Key("name")]);
                format!(
                    "`{name}` is still the name of a set, at {}",
                    position(&place)
                )
            } else if claimants.len() > 1 {
                let (other, other_index) = claimants[usize::from(position_of == 0)];
                let place = place_of(other, other_index);
                format!(
                    "the former name `{name}` is claimed twice, also at {}",
                    position(&place)
                )
            } else {
                continue;
            };
            let place = Some(place_of(set, *index));
            let problem = Problem::error("former-name", place, message)
                .hint("one set carries on the records of one former name");
            problems.entry(set.name.clone()).or_default().push(problem);
        }
    }
    problems
}
