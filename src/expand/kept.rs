//! Kept inputs: what the URLs of a set came from, so that they can be told
//! once the set no longer yields them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Mark;
use crate::resolve::table::{Asset, AssetTable, Group};
use crate::resolve::{glob, id};

use super::line::Revisions;
use super::program::{Bound, Class, Expansion, Whole};
use super::template::{Pattern, Slot, Template};

/// A set's inputs as far as its URLs come from them: without revisions, in an
/// order of their own, so that the same URLs are kept as the same bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Globs over URLs that are left out.
    exclude: Vec<String>,
    /// URLs that no asset goes into; sorted.
    urls: Vec<Box<str>>,
    /// By what they go into: ids of assets as declared; sorted.
    families: BTreeMap<Form, Vec<Box<str>>>,
}

/// What assets go into.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    /// With `<ID>` and `<CROP>` for what goes in; sorted.
    lines: Vec<String>,
    /// What stands for `<CROP>`; sorted.
    crops: Vec<String>,
}

/// The stored form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    exclude: Cow<'a, [String]>,
    urls: Cow<'a, [Box<str>]>,
    families: Vec<FamilyWire<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FamilyWire<'a> {
    form: Cow<'a, Form>,
    ids: Cow<'a, [Box<str>]>,
}

impl Kept {
    /// What `expansion` yields its URLs from.
    pub fn of(expansion: &Expansion) -> Self {
        let mut ids: Vec<Vec<Box<str>>> = vec![Vec::new(); expansion.classes.len()];
        for asset in (0..expansion.table.len()).map(|asset| expansion.table.get(asset)) {
            ids[asset.group.index()].push(asset.declared.into());
        }
        let mut families: BTreeMap<Form, Vec<Box<str>>> = BTreeMap::new();
        for (class, ids) in expansion.classes.iter().zip(ids) {
            if !ids.is_empty() {
                let form = Form::of(expansion, class);
                families.entry(form).or_default().extend(ids);
            }
        }
        families.values_mut().for_each(sort);
        let mut exclude = expansion.exclude.clone();
        sort(&mut exclude);
        let urls = expansion.wholes.iter().map(|whole| whole.url.clone());
        let mut urls: Vec<Box<str>> = urls.collect();
        sort(&mut urls);
        Self {
            exclude,
            urls,
            families,
        }
    }

    /// The stored form; equal for equal inputs.
    pub fn to_bytes(&self) -> Vec<u8> {
        let families = self.families.iter().map(|(form, ids)| FamilyWire {
            form: Cow::Borrowed(form),
            ids: Cow::Borrowed(ids),
        });
        let wire = Wire {
            exclude: Cow::Borrowed(&self.exclude),
            urls: Cow::Borrowed(&self.urls),
            families: families.collect(),
        };
        serde_json::to_vec(&wire).expect("texts and lists of them become JSON")
    }

    /// The inverse of [`Kept::to_bytes`]; `None` where the bytes are none of
    /// its making.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let wire: Wire<'_> = serde_json::from_slice(bytes).ok()?;
        let families = wire.families.into_iter();
        let families = families.map(|family| (family.form.into_owned(), family.ids.into_owned()));
        let kept = Self {
            exclude: wire.exclude.into_owned(),
            urls: wire.urls.into_owned(),
            families: families.collect(),
        };
        let forms = kept.families.keys();
        forms
            .map(Form::patterns)
            .all(|it| it.is_some())
            .then_some(kept)
    }

    /// Whether nothing is yielded.
    pub fn is_empty(&self) -> bool {
        self.urls.is_empty() && self.families.is_empty()
    }

    /// What `other` does not hold, asset by asset: some of its URLs may come
    /// from another place in `other`.
    #[must_use]
    pub fn without(mut self, other: &Self) -> Self {
        self.urls
            .retain(|url| other.urls.binary_search(url).is_err());
        for (form, ids) in &mut self.families {
            if let Some(others) = other.families.get(form) {
                ids.retain(|id| others.binary_search(id).is_err());
            }
        }
        self.families.retain(|_, ids| !ids.is_empty());
        self
    }

    /// Without what these globs over URLs and over ids of assets leave out.
    #[must_use]
    pub fn excluding(mut self, urls: &[String], assets: &[String]) -> Self {
        self.exclude.extend_from_slice(urls);
        sort(&mut self.exclude);
        for ids in self.families.values_mut() {
            ids.retain(|id| !glob::matches_any(assets, id));
        }
        self.families.retain(|_, ids| !ids.is_empty());
        self
    }

    /// The part that yields at least one URL that `is_needed`, asset by asset.
    #[must_use]
    pub fn only(mut self, is_needed: impl Fn(&str) -> bool) -> Self {
        let exclude = &self.exclude;
        let is_needed = |url: &str| !glob::matches_any(exclude, url) && is_needed(url);
        self.urls.retain(|url| is_needed(url));
        let mut url = String::new();
        for (form, ids) in &mut self.families {
            let patterns = form.patterns().unwrap_or_default();
            ids.retain(|id| {
                let Ok(id) = id::escape(id) else { return false };
                patterns.iter().any(|pattern| {
                    form.crops_of(pattern).any(|crop| {
                        pattern.write(&mut url, &id, crop);
                        is_needed(&url)
                    })
                })
            });
        }
        self.families.retain(|_, ids| !ids.is_empty());
        self
    }

    /// All of this and all that `more` holds; what is left out is for this to
    /// say.
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        self.urls.extend(more.urls);
        sort(&mut self.urls);
        for (form, more) in more.families {
            let ids = self.families.entry(form).or_default();
            ids.extend(more);
            sort(ids);
        }
        self
    }

    /// The URLs, at the mark of what is removed.
    pub fn into_expansion(self) -> Expansion {
        let mut expansion = Expansion {
            set_revision: None,
            exclude: self.exclude,
            wholes: Vec::new(),
            table: AssetTable::default(),
            classes: Vec::new(),
            bounds: Vec::new(),
            rules: vec![Revisions::default()],
            count: self.urls.len() as u64,
        };
        expansion.wholes = self.urls.into_iter().map(removed).collect();
        for (form, ids) in &self.families {
            form.add(ids, &mut expansion);
        }
        expansion.table.shrink();
        expansion
    }
}

impl Form {
    fn of(expansion: &Expansion, class: &Class) -> Self {
        let bounds = class.bounds.iter();
        let bounds = bounds.map(|bound| &expansion.bounds[*bound as usize]);
        let mut lines = Vec::with_capacity(class.bounds.len());
        let mut uses_crop = false;
        for bound in bounds {
            let mut line = String::new();
            bound.pattern.write(&mut line, "<ID>", "<CROP>");
            lines.push(line);
            uses_crop |= bound.uses_crop;
        }
        let mut crops = if uses_crop {
            class.crops.clone()
        } else {
            Vec::new()
        };
        sort(&mut lines);
        sort(&mut crops);
        Self { lines, crops }
    }

    fn patterns(&self) -> Option<Vec<Pattern>> {
        let lines = self.lines.iter();
        let pattern = |line: &String| Some(Template::parse(line).ok()?.bind("", "", ""));
        lines.map(pattern).collect()
    }

    /// What stands for the crop in `pattern`: nothing, once, where it has none.
    fn crops_of<'a>(&'a self, pattern: &Pattern) -> impl Iterator<Item = &'a str> {
        let uses_crop = pattern.count(Slot::Crop) > 0;
        let crops = self.crops.iter().map(String::as_str);
        let none = (!uses_crop).then_some("");
        crops.filter(move |_| uses_crop).chain(none)
    }

    /// Adds a group of its own for `ids`.
    fn add(&self, ids: &[Box<str>], expansion: &mut Expansion) {
        let first = expansion.bounds.len();
        let mut class = Class {
            bounds: Vec::new(),
            crops: self.crops.clone(),
            uses_crops: !self.crops.is_empty(),
            urls: 0,
        };
        for (index, pattern) in self.patterns().unwrap_or_default().into_iter().enumerate() {
            class.bounds.push((first + index) as u32);
            class.urls += self.crops_of(&pattern).count() as u64;
            expansion.bounds.push(Bound {
                uses_crop: pattern.count(Slot::Crop) > 0,
                pattern,
                line: 0,
                rule: 0,
            });
        }
        let group = expansion.table.add_group(Group::default());
        for declared in ids {
            let Ok(id) = id::escape(declared) else {
                continue;
            };
            expansion.count += class.urls;
            expansion.table.push(Asset {
                id: &id,
                declared,
                revision: None,
                group,
                line: 0,
            });
        }
        expansion.classes.push(class);
    }
}

fn removed(url: Box<str>) -> Whole {
    let mark = Mark::REMOVED;
    Whole { url, mark }
}

fn sort<T: Ord>(texts: &mut Vec<T>) {
    texts.sort_unstable();
    texts.dedup();
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{expansion, set_of, template, texts, url};
    use super::*;
    use crate::manifest::AssetSetSpec;

    fn expansion_of(spec: &AssetSetSpec, lines: &[&str]) -> Expansion {
        expansion(spec, &[template(lines)])
    }

    fn urls(expansion: &Expansion) -> Vec<String> {
        let mut urls = Vec::new();
        expansion.for_each(|url, _| urls.push(url.to_owned()));
        urls.sort_unstable();
        urls.dedup();
        urls
    }

    #[test]
    fn the_same_urls_come_out_whatever_the_order_they_went_in() {
        let lines = ["<ID>", "<ID>:<CROP>?a=%24", "https://a/is/image/Acme/b"];
        let mut spec = set_of(&["b", "a ü", "c%"]);
        spec.smart_crops = Some(texts(&["Wide", "Banner"]));
        spec.urls = vec![
            url("https://s/is/image/Acme/z?"),
            url("https://s/is/image/Acme/y"),
        ];
        spec.exclude = texts(&["*b"]);
        let first = expansion_of(&spec, &lines);
        let kept = Kept::of(&first);
        spec.assets.reverse();
        spec.urls.reverse();
        spec.revision = Some("2".to_owned());
        let second = expansion_of(&spec, &lines);
        assert_eq!(Kept::of(&second).to_bytes(), kept.to_bytes());
        let back = Kept::from_bytes(&kept.to_bytes()).unwrap();
        assert_eq!(back, kept);
        let again = back.into_expansion();
        assert_eq!(urls(&again), urls(&first));
        assert_eq!(again.count(), first.count());
    }

    #[test]
    fn what_left_is_told_and_what_is_needed_of_it_is_kept_beside_the_rest() {
        let before = Kept::of(&expansion_of(
            &set_of(&["a", "b", "c"]),
            &["<ID>", "<ID>?x"],
        ));
        let now = Kept::of(&expansion_of(&set_of(&["a"]), &["<ID>", "<ID>?x"]));
        let gone = before.clone().without(&now);
        assert_eq!(urls(&gone.clone().into_expansion()).len(), 4);
        assert!(before.clone().without(&before).is_empty());
        let left = gone.clone().only(|url| url.ends_with("/b?x"));
        assert_eq!(
            urls(&left.clone().into_expansion()).len(),
            2,
            "all of that asset"
        );
        assert_eq!(now.clone().and(gone.clone()), before);
        let excluded = gone.excluding(&texts(&["*?x"]), &texts(&["c"]));
        assert_eq!(urls(&excluded.into_expansion()).len(), 1);
    }

    #[test]
    fn other_bytes_are_refused() {
        let bytes = Kept::of(&expansion_of(&set_of(&["a"]), &["<ID>"])).to_bytes();
        assert!(Kept::from_bytes(&bytes[1..]).is_none());
        let text = String::from_utf8(bytes).unwrap().replace("<ID>", "<IT>");
        assert!(Kept::from_bytes(text.as_bytes()).is_none());
    }
}
