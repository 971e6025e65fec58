//! Classes: assets of one group get the same patterns.

use crate::manifest::{Place, Problem, Step};
use crate::resolve::id;
use crate::resolve::table::{AssetTable, Group};

use super::SetSource;
use super::line::Line;
use super::program::{Bound, Class};
use super::template::Slot;
use super::url::MAX_LENGTH;

/// In the words of Adobe's screen.
const NO_URL: &str = "Failed to retrieve URL(s) for selected asset(s):";

/// What is known of a group while the set is compiled.
pub(super) struct Sized {
    pub(super) class: Class,
    /// Longest URL without what stands for `<ID>`, and how often that occurs.
    longest: usize,
    ids: usize,
    longest_crop: usize,
    members: u64,
    first: usize,
}

/// Works out the class of each group, and refuses assets with too long URLs.
pub(super) fn classes_of(
    source: &SetSource<'_>,
    lines: &[Line],
    bounds: &[Bound],
    table: &AssetTable,
    problems: &mut Vec<Problem>,
) -> Vec<Sized> {
    let mut classes: Vec<Sized> = table
        .groups()
        .iter()
        .map(|group| class_of(source, lines, bounds, group, problems))
        .collect();
    for index in 0..table.len() {
        let sized = &mut classes[table.group_of(index).index()];
        if sized.members == 0 {
            sized.first = index;
        }
        sized.members += 1;
        if sized.is_too_long(bounds, table.get(index).id.len()) {
            let message = format!(
                "Some URLs are not defined correctly: this asset's are longer than {MAX_LENGTH} bytes"
            );
            let place = Some(asset_place(source, table, index));
            problems.push(Problem::error("url", place, message).hint("shorten its id"));
        }
    }
    classes
}

/// What would vanish without a word, group by group.
pub(super) fn judge_assets(
    source: &SetSource<'_>,
    classes: &[Sized],
    table: &AssetTable,
) -> Vec<Problem> {
    table
        .groups()
        .iter()
        .zip(classes)
        .filter(|(_, sized)| sized.has_members())
        .filter_map(|(group, sized)| {
            judge(group, sized, table, &|| {
                asset_place(source, table, sized.first)
            })
        })
        .collect()
}

/// How many URLs all assets have together; saturates.
pub(super) fn count(classes: &[Sized]) -> u64 {
    classes.iter().fold(0, |sum: u64, sized| {
        sum.saturating_add(sized.members.saturating_mul(sized.class.urls))
    })
}

impl Sized {
    pub(super) fn has_members(&self) -> bool {
        self.members > 0
    }

    fn is_too_long(&self, bounds: &[Bound], id: usize) -> bool {
        // The bound over all patterns settles nearly every asset at once.
        self.longest + self.ids * id > MAX_LENGTH
            && self.class.bounds.iter().any(|index| {
                let pattern = &bounds[*index as usize].pattern;
                let crops = pattern.count(Slot::Crop) * self.longest_crop;
                pattern.text.len() + crops + pattern.count(Slot::Id) * id > MAX_LENGTH
            })
    }
}

/// Crops of a group: its own, else the set's, else the Cdn's.
pub(super) fn crops_of<'a>(source: &SetSource<'a>, own: Option<&'a [String]>) -> &'a [String] {
    own.or(source.spec.smart_crops.as_deref())
        .or_else(|| source.addressings.first().map(|first| &first.crops[..]))
        .unwrap_or_default()
}

fn class_of(
    source: &SetSource<'_>,
    lines: &[Line],
    bounds: &[Bound],
    group: &Group,
    problems: &mut Vec<Problem>,
) -> Sized {
    let crops: Vec<String> = crops_of(source, group.crops.as_deref())
        .iter()
        .filter_map(|crop| escape_crop(source, crop, problems))
        .collect();
    let longest_crop = crops.iter().map(String::len).max().unwrap_or(0);
    let mut sized = Sized {
        class: Class {
            bounds: Vec::new(),
            crops,
            uses_crops: false,
            urls: 0,
        },
        longest: 0,
        ids: 0,
        longest_crop,
        members: 0,
        first: 0,
    };
    for (index, bound) in bounds.iter().enumerate() {
        let line = &lines[bound.line];
        let is_empty = line.uses_crop && sized.class.crops.is_empty();
        if is_empty || !line.scope.covers(group.kind.as_deref()) {
            continue;
        }
        let crop_slots = bound.pattern.count(Slot::Crop);
        let length = bound.pattern.text.len() + crop_slots * longest_crop;
        sized.class.bounds.push(index as u32);
        sized.class.uses_crops |= crop_slots > 0;
        sized.class.urls += match crop_slots {
            0 => 1,
            _ => sized.class.crops.len() as u64,
        };
        sized.longest = sized.longest.max(length);
        sized.ids = sized.ids.max(bound.pattern.count(Slot::Id));
    }
    sized
}

/// A crop's name as it stands in URLs.
pub(super) fn escape_crop(
    source: &SetSource<'_>,
    crop: &str,
    problems: &mut Vec<Problem>,
) -> Option<String> {
    if let Ok(escaped) = id::escape(crop) {
        return Some(escaped.into_owned());
    }
    let place = (source.place_of)(&[Step::Key("spec"), Step::Key("smartCrops")]);
    let message = format!("{crop:?} cannot be the name of a smart crop in a URL");
    let problem = Problem::error("crop-name", Some(place), message)
        .hint("use the name as Dynamic Media shows it");
    if !problems.contains(&problem) {
        problems.push(problem);
    }
    None
}

fn judge(
    group: &Group,
    sized: &Sized,
    table: &AssetTable,
    place: &dyn Fn() -> Place,
) -> Option<Problem> {
    let asset = table.get(sized.first).id;
    if sized.class.urls == 0 {
        let others = match sized.members {
            1 => String::new(),
            members => format!(", nor do {} others like it", members - 1),
        };
        let (message, hint) = match &group.kind {
            Some(kind) => (
                format!("{NO_URL} {asset:?} of type {kind} yields none{others}"),
                "only types served under /is/image have URLs of their own; \
                 give it a template entry, such as <SERVER>/is/content/<COMPANY>/<ID>, \
                 or list its URLs under spec.urls instead",
            ),
            None => (
                format!("{NO_URL} {asset:?} yields none{others}"),
                "no template entry applies to it; check types and smart crops",
            ),
        };
        return Some(Problem::error("asset-without-url", Some(place()), message).hint(hint));
    }
    let declares_crops = group.crops.as_ref().is_some_and(|crops| !crops.is_empty());
    if declares_crops && !sized.class.uses_crops {
        let message = format!("asset {asset:?} declares smart crops that no template entry uses");
        return Some(
            Problem::error("unused-crops", Some(place()), message)
                .hint("add an entry such as <ID>:<CROP> to a template of the set"),
        );
    }
    None
}

fn asset_place(source: &SetSource<'_>, table: &AssetTable, index: usize) -> Place {
    let asset = table.get(index);
    match &table.groups()[asset.group.index()].file {
        Some(file) => Place {
            line: asset.line,
            column: 1,
            ..Place::file(file.clone())
        },
        None => (source.place_of)(&[
            Step::Key("spec"),
            Step::Key("assets"),
            Step::Index(asset.line as usize),
        ]),
    }
}
