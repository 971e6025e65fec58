//! Compiling a set: every rule is applied here, before anything is expanded.

use crate::digest::{Digest, Mark};
use crate::manifest::{Problem, Step};
use crate::resolve::Resolved;
use crate::resolve::table::AssetTable;

use super::class::{Sized, classes_of, count, crops_of, escape_crop, judge_assets};
use super::line::{Line, Revisions, bad_url, lines_of, roots_of};
use super::program::{Bound, Expansion, Whole};
use super::template::Pattern;
use super::{Compiled, SetSource, url};

/// In the words of Adobe's screen.
const NOTHING: &str = "No URL(s) entered to be invalidated:";

/// Compiles a set with its assets, or says everything that is wrong with it.
pub fn compile(source: &SetSource<'_>, resolved: Resolved) -> Compiled {
    let Resolved {
        table,
        mut problems,
        skipped,
        excluded,
        unused,
    } = resolved;
    problems.extend(unused_exclusions(source, "excludeAssets", &unused));
    let mut line_problems = Vec::new();
    let mut lines = lines_of(source, &mut line_problems);
    // What a missing line would have yielded is not missed as well.
    let are_lines_sound = !line_problems.iter().any(Problem::is_error);
    problems.extend(line_problems);
    let mut rules: Vec<Revisions> = Vec::new();
    let bounds = bounds_of(&mut lines, &mut rules);
    let sized = classes_of(source, &lines, &bounds, &table, &mut problems);
    let missing: Vec<Problem> = lines
        .iter()
        .filter_map(|line| missing_crops(source, line, &sized, &table))
        .collect();
    if are_lines_sound && missing.is_empty() {
        problems.extend(judge_assets(source, &sized, &table));
        problems.extend(unused_crops(source, &lines));
    }
    problems.extend(missing);
    let mut wholes = declared_urls(source, &mut problems);
    wholes.extend(free_urls(source, &lines, &mut problems));
    let count = count(&sized).saturating_add(wholes.len() as u64);
    if !problems.iter().any(Problem::is_error) {
        problems.extend(judge_count(source, count, excluded));
    }
    let expansion = Expansion {
        set_revision: source.spec.revision.clone(),
        exclude: source.spec.exclude.clone(),
        wholes,
        table,
        classes: sized.into_iter().map(|sized| sized.class).collect(),
        bounds,
        rules,
        count,
    };
    let is_sound = !problems.iter().any(Problem::is_error);
    if is_sound && expansion.is_all_excluded() {
        problems.push(all_excluded(source, count));
    } else if is_sound {
        let unused = expansion.unused_exclusions();
        problems.extend(unused_exclusions(source, "exclude", &unused));
    }
    let is_sound = !problems.iter().any(Problem::is_error);
    Compiled {
        expansion: is_sound.then_some(expansion),
        problems,
        partial: skipped > 0,
    }
}

/// Takes the patterns that have assets put in out of `lines`, and gives equal
/// revisions one number, so that their mark is worked out once for an asset.
fn bounds_of(lines: &mut [Line], rules: &mut Vec<Revisions>) -> Vec<Bound> {
    let mut bounds = Vec::new();
    for (index, line) in lines
        .iter_mut()
        .enumerate()
        .filter(|(_, line)| line.uses_id)
    {
        for (pattern, revisions) in std::mem::take(&mut line.patterns) {
            let known = rules.iter().position(|rule| *rule == revisions);
            let rule = known.unwrap_or_else(|| {
                rules.push(revisions);
                rules.len() - 1
            });
            bounds.push(Bound {
                pattern,
                line: index,
                rule,
                uses_crop: line.uses_crop,
            });
        }
    }
    bounds
}

/// `urls` of the set.
fn declared_urls(source: &SetSource<'_>, problems: &mut Vec<Problem>) -> Vec<Whole> {
    let roots = roots_of(source);
    let mut wholes = Vec::with_capacity(source.spec.urls.len());
    for (index, declared) in source.spec.urls.iter().enumerate() {
        if let Err(fault) = url::judge(&Pattern::of_url(&declared.url), &roots) {
            let path = [Step::Key("spec"), Step::Key("urls"), Step::Index(index)];
            problems.push(bad_url(&declared.url, &fault, (source.place_of)(&path)));
        }
        let revisions = Revisions {
            entry: declared.revision.clone(),
            ..Revisions::default()
        };
        wholes.push(whole(source, declared.url.clone(), &revisions));
    }
    wholes
}

/// URLs of entries without `<ID>`: they exist whatever assets there are.
fn free_urls(source: &SetSource<'_>, lines: &[Line], problems: &mut Vec<Problem>) -> Vec<Whole> {
    let crops: Vec<String> = crops_of(source, None)
        .iter()
        .filter_map(|crop| escape_crop(source, crop, problems))
        .collect();
    let mut wholes = Vec::new();
    let mut url = String::new();
    for line in lines.iter().filter(|line| !line.uses_id) {
        let no_crop = [String::new()];
        let crops = if line.uses_crop { &crops[..] } else { &no_crop };
        for (pattern, revisions) in &line.patterns {
            for crop in crops {
                pattern.write(&mut url, "", crop);
                wholes.push(whole(source, url.clone(), revisions));
            }
        }
    }
    wholes
}

fn whole(source: &SetSource<'_>, url: String, revisions: &Revisions) -> Whole {
    let mark = mark_of(
        source.spec.revision.as_deref(),
        revisions,
        OfAsset::default(),
    );
    Whole {
        url: url.into_boxed_str(),
        mark,
    }
}

/// The revisions that an asset brings along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OfAsset<'a> {
    /// Its own.
    pub(super) asset: Option<&'a str>,
    /// Of the file that lists it.
    pub(super) file: Option<&'a str>,
    /// Of what its file holds.
    pub(super) content: Option<&'a Digest>,
}

/// The mark of all revisions that apply, each in its position for ever.
pub(super) fn mark_of(set: Option<&str>, revisions: &Revisions, own: OfAsset<'_>) -> Mark {
    let content = own.content.map(Digest::to_string);
    let all = [
        set,
        revisions.template.as_deref(),
        revisions.entry.as_deref(),
        revisions.preset.as_deref(),
        own.asset,
        own.file,
        content.as_deref(),
    ];
    // Absent it has no position: there are marks from before there was one.
    let (before, _) = all.split_at(all.len() - usize::from(content.is_none()));
    Mark::of(before)
}

fn unused_crops(source: &SetSource<'_>, lines: &[Line]) -> Option<Problem> {
    let declared = source.spec.smart_crops.as_deref().unwrap_or_default();
    if declared.is_empty() || lines.iter().any(|line| line.uses_crop) {
        return None;
    }
    let place = (source.place_of)(&[Step::Key("spec"), Step::Key("smartCrops")]);
    Some(
        Problem::error(
            "unused-crops",
            Some(place),
            "no template entry of this set uses its smart crops",
        )
        .hint("add an entry such as <ID>:<CROP> to a template of the set"),
    )
}

fn missing_crops(
    source: &SetSource<'_>,
    line: &Line,
    classes: &[Sized],
    table: &AssetTable,
) -> Option<Problem> {
    if !line.uses_crop {
        return None;
    }
    let mut covered = table
        .groups()
        .iter()
        .zip(classes)
        .filter(|(group, sized)| sized.has_members() && line.scope.covers(group.kind.as_deref()))
        .map(|(_, sized)| sized.class.crops.is_empty())
        .peekable();
    let is_missing = if line.uses_id {
        covered.peek().is_some() && covered.all(|is_empty| is_empty)
    } else {
        crops_of(source, None).is_empty()
    };
    is_missing.then(|| {
        let message = "<CROP> is used here, and no asset of the set has smart crops";
        Problem::error("missing-crops", Some(line.place.clone()), message)
            .hint("declare smartCrops on the assets, on the set or on the Cdn")
    })
}

fn judge_count(source: &SetSource<'_>, count: u64, excluded: u64) -> Option<Problem> {
    let place = |path: &[Step<'_>]| Some((source.place_of)(path));
    if count > source.max_expansion {
        let message = format!(
            "the set expands to {count} URLs, more than the {} allowed",
            source.max_expansion
        );
        return Some(
            Problem::error("max-expansion", place(&[Step::Key("spec")]), message)
                .hint("split the set, or raise --max-expansion"),
        );
    }
    if count > 0 {
        return None;
    }
    if excluded > 0 {
        let path = [Step::Key("spec"), Step::Key("excludeAssets")];
        let message = match excluded {
            1 => format!("{NOTHING} excludeAssets takes out the only asset"),
            _ => format!("{NOTHING} excludeAssets takes out all {excluded} assets"),
        };
        let problem = Problem::error("empty-set", place(&path), message);
        return Some(problem.hint("loosen it, or remove the set"));
    }
    let message = format!("{NOTHING} the set expands to nothing");
    let problem = Problem::error("empty-set", place(&[Step::Key("spec")]), message);
    Some(problem.hint("give it assets, assetsFrom or urls"))
}

/// What is not left out because of a slip in its pattern is purged.
fn unused_exclusions(source: &SetSource<'_>, field: &str, unused: &[usize]) -> Vec<Problem> {
    let problem = |index: &usize| {
        let path = [Step::Key("spec"), Step::Key(field), Step::Index(*index)];
        let place = (source.place_of)(&path);
        let message = format!("this pattern of `{field}` matches nothing");
        Problem::warning("unused-exclusion", Some(place), message)
            .hint("only `*` is special; the whole text must match")
    };
    unused.iter().map(problem).collect()
}

fn all_excluded(source: &SetSource<'_>, count: u64) -> Problem {
    let place = (source.place_of)(&[Step::Key("spec"), Step::Key("exclude")]);
    let message = match count {
        1 => format!("{NOTHING} exclude takes out the only URL"),
        _ => format!("{NOTHING} exclude takes out all {count} URLs"),
    };
    Problem::error("empty-set", Some(place), message).hint("loosen it, or remove the set")
}
