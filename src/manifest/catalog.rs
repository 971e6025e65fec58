//! All manifests of all files, and what is wrong between them.

use std::collections::{BTreeMap, BTreeSet};

use super::problem::{Place, Problem};
use super::reading::{Content, Found, Kind, Shapes};
use super::readings::Readings;
use super::references;
use super::schema::ProviderSchemas;
use super::source::SourceFile;
use super::spec::Catalog;

/// Names a person cannot give to a set.
const RESERVED_SETS: [&str; 1] = ["adhoc"];

/// Reads all files: whatever can be used, and every problem there is.
pub fn read_catalog(files: &[SourceFile], providers: &ProviderSchemas) -> Catalog {
    let (catalog, _) = read_again(files, providers, &[]);
    catalog
}

/// The same after `before`, all of it read with the same `providers`: files that
/// hold what they held then are not parsed again.
pub fn read_again(
    files: &[SourceFile],
    providers: &ProviderSchemas,
    before: &[&Readings],
) -> (Catalog, Readings) {
    let readings = Readings::of(files, &Shapes::new(providers), before);
    (catalog_of(&readings), readings)
}

fn catalog_of(readings: &Readings) -> Catalog {
    let mut catalog = Catalog::default();
    let mut by_name: BTreeMap<(Kind, &str), Vec<&Found>> = BTreeMap::new();
    for reading in readings.iter() {
        catalog.problems.extend_from_slice(&reading.problems);
        catalog.unreadable_files |= reading.is_incomplete;
        for found in &reading.found {
            let name = (found.kind, found.name.as_str());
            by_name.entry(name).or_default().push(found);
        }
    }
    let mut broken = Broken::default();
    for ((kind, name), found) in by_name {
        match only(kind, name, &found, &mut catalog.problems) {
            Some(content) => insert(&mut catalog, content),
            None => broken.of(kind).insert(name.to_owned()),
        };
    }
    references::check(&mut catalog, &mut broken);
    catalog.broken_sets = broken.sets.into_iter().collect();
    catalog.problems.sort_by(|a, b| order(a).cmp(&order(b)));
    catalog
}

/// Manifests that were named but cannot be used.
#[derive(Default)]
pub(super) struct Broken {
    pub(super) cdns: BTreeSet<String>,
    pub(super) templates: BTreeSet<String>,
    pub(super) sets: BTreeSet<String>,
}

impl Broken {
    fn of(&mut self, kind: Kind) -> &mut BTreeSet<String> {
        match kind {
            Kind::Cdn => &mut self.cdns,
            Kind::Template => &mut self.templates,
            Kind::AssetSet => &mut self.sets,
        }
    }
}

/// The content behind a name, where there is exactly one and it can be used.
fn only(kind: Kind, name: &str, found: &[&Found], problems: &mut Vec<Problem>) -> Option<Content> {
    if kind == Kind::AssetSet && RESERVED_SETS.contains(&name) {
        for one in found {
            let message = format!("the name `{name}` is kept for URLs that no manifest declares");
            let problem = Problem::error("reserved-name", Some(one.place.clone()), message);
            problems.push(problem.hint("choose another name"));
        }
        return None;
    }
    if let [one] = found {
        return one.content.clone();
    }
    for (index, one) in found.iter().enumerate() {
        let other = &found[usize::from(index == 0)].place;
        let message = format!(
            "{} `{name}` is declared {} times, also at {}",
            kind.name(),
            found.len(),
            position(other)
        );
        let problem = Problem::error("duplicate-name", Some(one.place.clone()), message);
        problems.push(problem.hint("none of them is used until one is renamed or removed"));
    }
    None
}

fn insert(catalog: &mut Catalog, content: Content) -> bool {
    match content {
        Content::Cdn(cdn) => catalog.cdns.insert(cdn.name.clone(), cdn).is_none(),
        Content::Template(template) => {
            let name = template.name.clone();
            catalog.templates.insert(name, template).is_none()
        }
        Content::AssetSet(set) => catalog.sets.insert(set.name.clone(), set).is_none(),
    }
}

pub(super) fn position(place: &Place) -> String {
    format!("{}:{}:{}", place.file, place.line, place.column)
}

fn order(problem: &Problem) -> (Option<(&str, u32, u32)>, &str, &str) {
    let place = problem.place.as_ref();
    let place = place.map(|place| (&*place.file, place.line, place.column));
    (place, problem.code, &problem.message)
}
