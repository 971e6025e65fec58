//! The lines of a set: those of its templates, and those of base and preset URLs.

use crate::manifest::{Place, PresetChoice, PresetSpec, Problem, Step, without_userinfo};
use crate::resolve::id;
use crate::resolve::kinds::{Service, service_of};
use crate::resolve::{NO_SUCH_SERVICE, unknown_kind, unsupported};

use super::template::{Pattern, Template, Token};
use super::{Addressing, SetSource, url};

/// Characters of a bad URL that are shown: enough to know it by.
const SHOWN: usize = 200;

/// Which assets a line is for.
#[derive(Clone, Debug)]
pub(super) enum Scope {
    /// Every asset, whatever its type.
    All,
    /// Those that `/is/image` serves.
    Images,
    /// Those of the types listed; an asset without a type counts as Image.
    Kinds(Vec<String>),
}

impl Scope {
    pub(super) fn covers(&self, kind: Option<&str>) -> bool {
        let kind = kind.unwrap_or("Image");
        match self {
            Self::All => true,
            Self::Images => matches!(service_of(kind), Service::Image | Service::Unknown),
            Self::Kinds(kinds) => kinds.iter().any(|one| one == kind),
        }
    }
}

/// The revisions that a pattern brings along.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Revisions {
    pub(super) template: Option<String>,
    pub(super) entry: Option<String>,
    pub(super) preset: Option<String>,
}

/// A line, with everything bound but id and crop.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) place: Place,
    pub(super) scope: Scope,
    pub(super) uses_id: bool,
    pub(super) uses_crop: bool,
    pub(super) patterns: Vec<(Pattern, Revisions)>,
}

/// A line before it is bound.
struct Draft {
    template: Template,
    place: Place,
    scope: Scope,
    revisions: Revisions,
}

/// All lines of the set, without those that have a problem.
pub(super) fn lines_of(source: &SetSource<'_>, problems: &mut Vec<Problem>) -> Vec<Line> {
    let mut drafts = template_drafts(source, problems);
    drafts.extend(image_drafts(source));
    let binder = Binder {
        addressing: source.addressings.first().copied(),
        roots: roots_of(source),
        presets: presets_of(source, problems),
    };
    let mut lines = Vec::with_capacity(drafts.len());
    for draft in drafts {
        match binder.bind(&draft) {
            Ok(line) => lines.push(line),
            Err(problem) => problems.push(problem),
        }
    }
    lines
}

/// The roots that URLs of the set must lie under.
pub(super) fn roots_of<'a>(source: &SetSource<'a>) -> Vec<&'a str> {
    source
        .addressings
        .iter()
        .filter_map(|addressing| addressing.root.as_deref())
        .collect()
}

fn template_drafts(source: &SetSource<'_>, problems: &mut Vec<Problem>) -> Vec<Draft> {
    let mut drafts = Vec::new();
    for template in source.templates {
        for entry in &template.urls {
            for kind in &entry.types {
                problems.extend(judge_kind(kind, &entry.place));
            }
            match Template::parse(&entry.url) {
                Ok(parsed) => drafts.push(Draft {
                    template: parsed,
                    place: entry.place.clone(),
                    scope: match &entry.types[..] {
                        [] => Scope::All,
                        kinds => Scope::Kinds(kinds.to_vec()),
                    },
                    revisions: Revisions {
                        template: template.revision.clone(),
                        entry: entry.revision.clone(),
                        preset: None,
                    },
                }),
                Err(faults) => problems.extend(faults.into_iter().map(|fault| {
                    Problem::error("token", Some(entry.place.clone()), fault.to_string())
                        .hint(format!("did you mean {}?", fault.nearest))
                })),
            }
        }
    }
    drafts
}

fn judge_kind(kind: &str, place: &Place) -> Option<Problem> {
    match service_of(kind) {
        Service::Image | Service::Elsewhere => None,
        Service::Unsupported => Some(
            Problem::error("asset-type", Some(place.clone()), unsupported(kind))
                .hint(NO_SUCH_SERVICE),
        ),
        Service::Unknown => Some(unknown_kind(kind, place.clone())),
    }
}

/// The lines of base and preset URLs, where the set asks for them.
fn image_drafts(source: &SetSource<'_>) -> Vec<Draft> {
    let spec = source.spec;
    let has_assets = !spec.assets.is_empty() || !spec.assets_from.is_empty();
    let with_presets = spec.image_presets != PresetChoice::None;
    let with_base = with_presets || source.templates.is_empty();
    let field = if with_presets {
        "imagePresets"
    } else {
        "assets"
    };
    let draft = |template| Draft {
        template,
        place: (source.place_of)(&[Step::Key("spec"), Step::Key(field)]),
        scope: Scope::Images,
        revisions: Revisions::default(),
    };
    let base = (has_assets && with_base).then(|| draft(Template::base(false)));
    let preset = (has_assets && with_presets).then(|| draft(Template::base(true)));
    base.into_iter().chain(preset).collect()
}

/// What `<PRESET>` stands for: the set's presets, else the Cdn's.
fn presets_of(source: &SetSource<'_>, problems: &mut Vec<Problem>) -> Vec<PresetSpec> {
    let known = source
        .addressings
        .first()
        .map_or(&[][..], |addressing| &addressing.presets);
    let place = || (source.place_of)(&[Step::Key("spec"), Step::Key("imagePresets")]);
    let mut presets = match &source.spec.image_presets {
        PresetChoice::None | PresetChoice::All => known.to_vec(),
        PresetChoice::Named(named) => {
            problems.extend(unknown_presets(named, known, &place));
            named
                .iter()
                .map(|preset| with_revision(preset, known))
                .collect()
        }
    };
    for preset in &mut presets {
        match id::escape(&preset.name) {
            Ok(escaped) => preset.name = escaped.into_owned(),
            Err(_) => problems.push(Problem::error(
                "preset-name",
                Some(place()),
                format!("{:?} cannot be the name of a preset in a URL", preset.name),
            )),
        }
    }
    presets
}

fn with_revision(preset: &PresetSpec, known: &[PresetSpec]) -> PresetSpec {
    let of_cdn = known.iter().find(|one| one.name == preset.name);
    PresetSpec {
        name: preset.name.clone(),
        revision: preset
            .revision
            .clone()
            .or_else(|| of_cdn.and_then(|one| one.revision.clone())),
    }
}

/// A Cdn that lists presets knows them all, so another name is likely a slip.
fn unknown_presets(
    named: &[PresetSpec],
    known: &[PresetSpec],
    place: &dyn Fn() -> Place,
) -> Vec<Problem> {
    let is_known = |name: &str| known.is_empty() || known.iter().any(|one| one.name == name);
    named
        .iter()
        .filter(|preset| !is_known(&preset.name))
        .map(|preset| {
            let declared: Vec<&str> = known.iter().map(|one| one.name.as_str()).collect();
            let message = format!("the Cdn declares no image preset {:?}", preset.name);
            Problem::warning("preset-name", Some(place()), message)
                .hint(format!("it declares {}", declared.join(", ")))
        })
        .collect()
}

struct Binder<'a> {
    addressing: Option<&'a Addressing>,
    roots: Vec<&'a str>,
    presets: Vec<PresetSpec>,
}

impl Binder<'_> {
    fn bind(&self, draft: &Draft) -> Result<Line, Problem> {
        let template = &draft.template;
        let (servers, company) = self.address(draft)?;
        let presets = self.presets_for(draft)?;
        let mut patterns = Vec::with_capacity(servers.len() * presets.len());
        for server in servers {
            for preset in presets {
                let pattern = template.bind(server, company, &preset.name);
                url::judge(&pattern, &self.roots)
                    .map_err(|fault| bad_url(&pattern.text, &fault, draft.place.clone()))?;
                let revisions = Revisions {
                    preset: preset.revision.clone(),
                    ..draft.revisions.clone()
                };
                patterns.push((pattern, revisions));
            }
        }
        Ok(Line {
            place: draft.place.clone(),
            scope: draft.scope.clone(),
            uses_id: template.uses(Token::Id),
            uses_crop: template.uses(Token::Crop),
            patterns,
        })
    }

    /// Servers and company; one empty server where the line needs none.
    fn address(&self, draft: &Draft) -> Result<(&[String], &str), Problem> {
        const NONE: &[String] = &[String::new()];
        let template = &draft.template;
        let needs_server = template.uses(Token::Server);
        if !needs_server && !template.uses(Token::Company) {
            return Ok((NONE, ""));
        }
        let Some(addressing) = self.addressing else {
            return Err(cannot_form(
                draft,
                "publish server and root are needed, and none of the set's Cdns is dynamicMedia",
                "name a dynamicMedia Cdn under spec.cdns, or write the URLs out",
            ));
        };
        if needs_server && addressing.servers.is_empty() {
            return Err(cannot_form(
                draft,
                "the Cdn declares no publish server",
                "list one under publishServers",
            ));
        }
        if template.is_bare && addressing.root.is_none() {
            return Err(cannot_form(
                draft,
                "a root is needed, and the Cdn's rootId is \"*\"",
                "write the line out as <SERVER>/is/image/root/<ID>, or give the Cdn a rootId",
            ));
        }
        let servers = if needs_server {
            &addressing.servers
        } else {
            NONE
        };
        Ok((servers, &addressing.company))
    }

    fn presets_for(&self, draft: &Draft) -> Result<&[PresetSpec], Problem> {
        const NONE: &[PresetSpec] = &[PresetSpec {
            name: String::new(),
            revision: None,
        }];
        if !draft.template.uses(Token::Preset) {
            return Ok(NONE);
        }
        if self.presets.is_empty() {
            return Err(cannot_form(
                draft,
                "image presets are asked for, and neither set nor Cdn declares any",
                "list them under imagePresets of the Cdn or of the set",
            ));
        }
        Ok(&self.presets)
    }
}

fn cannot_form(draft: &Draft, what: &str, hint: &str) -> Problem {
    let message = format!("Failed to retrieve URL(s) for selected asset(s): {what}");
    Problem::error("addressing", Some(draft.place.clone()), message).hint(hint)
}

/// What is wrong with `url`, whoever's it is.
pub fn url_problem(url: &str, place: impl FnOnce() -> Place) -> Option<Problem> {
    let fault = url::judge(&Pattern::of_url(url), &[]).err()?;
    Some(bad_url(url, &fault, place()))
}

/// That `url` is not one.
pub(super) fn bad_url(url: &str, fault: &url::UrlFault, place: Place) -> Problem {
    let url = without_userinfo(url);
    let shown = match url.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}...", &url[..end]),
        None => format!("{url:?}"),
    };
    let message = format!("Some URLs are not defined correctly: {shown}: {fault}");
    Problem::error("url", Some(place), message).hint(fault.hint())
}
