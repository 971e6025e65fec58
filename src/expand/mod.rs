//! Expansion: from templates and assets to URLs and their marks.

use crate::digest::Digest;
use crate::manifest::{AssetSetSpec, PresetSpec, Problem, TemplateSpec};
use crate::resolve::PlaceOf;

mod class;
mod compile;
mod kept;
mod line;
mod program;
mod sieve;
mod sorted;
mod template;
mod url;

pub use compile::compile;
pub use kept::Kept;
pub use line::url_problem;
pub use program::{Expansion, Found};
pub use sorted::for_each_sorted;
pub use url::judge_url;

/// What a Cdn gives to the templates of its sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressing {
    /// Scheme and authority of each publish server: `<SERVER>`.
    pub servers: Vec<String>,
    /// What `<COMPANY>` stands for: the root id, or the company where it is `*`.
    pub company: String,
    /// The root that every URL must lie under; `None` lifts that rule.
    pub root: Option<String>,
    /// Presets of the account, in declared order.
    pub presets: Vec<PresetSpec>,
    /// Crops that assets have unless they or their set say otherwise.
    pub crops: Vec<String>,
}

impl Addressing {
    /// Changes exactly when some value does.
    pub fn digest(&self) -> Digest {
        let presets = self.presets.iter().flat_map(|preset| {
            let revision = preset.revision.as_deref();
            [Some(preset.name.as_str()), revision]
        });
        let groups = [
            digest_of(self.servers.iter().map(|server| Some(server.as_str()))),
            digest_of([Some(self.company.as_str()), self.root.as_deref()]),
            digest_of(presets),
            digest_of(self.crops.iter().map(|crop| Some(crop.as_str()))),
        ];
        Digest::of_parts(groups.iter().map(|digest| &digest.0[..]))
    }
}

/// What a set is expanded from, besides its assets.
#[derive(Clone, Copy)]
pub struct SetSource<'a> {
    /// What the set declares.
    pub spec: &'a AssetSetSpec,
    /// Where it declares it.
    pub place_of: PlaceOf<'a>,
    /// The templates it names, in its order.
    pub templates: &'a [&'a TemplateSpec],
    /// Of its Cdns that have a say, inner first: the first fills in tokens,
    /// all judge URLs.
    pub addressings: &'a [&'a Addressing],
    /// URLs, at most.
    pub max_expansion: u64,
}

/// What became of a set.
#[derive(Debug)]
pub struct Compiled {
    /// `None` where a problem is an error.
    pub expansion: Option<Expansion>,
    /// Every finding.
    pub problems: Vec<Problem>,
    /// Whether rows of files had to be left out.
    pub partial: bool,
}

/// Of texts in their order; absent differs from empty.
fn digest_of<'a>(texts: impl IntoIterator<Item = Option<&'a str>>) -> Digest {
    Digest::of_parts(texts.into_iter().flat_map(|text| {
        let is_present: &[u8] = if text.is_some() { &[1] } else { &[0] };
        [is_present, text.unwrap_or_default().as_bytes()]
    }))
}

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;
