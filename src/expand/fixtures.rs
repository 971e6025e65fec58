//! Sets and templates for tests, with nothing declared that is not named.

use crate::manifest::{
    After, AssetSetSpec, AssetSpec, LimitsSpec, OnCreate, OnRemove, Place, PresetChoice,
    PresetSpec, Problem, Step, TemplateEntry, TemplateSpec, UrlSpec,
};
use crate::resolve::{NamedFile, resolve};

use super::{Addressing, Compiled, Expansion, SetSource, compile};

pub(crate) fn nowhere(path: &[Step<'_>]) -> Place {
    let steps: Vec<String> = path
        .iter()
        .map(|step| match step {
            Step::Key(key) | Step::KeyOf(key) => (*key).to_owned(),
            Step::Index(index) => index.to_string(),
        })
        .collect();
    Place::file(steps.join("."))
}

pub(crate) fn set() -> AssetSetSpec {
    AssetSetSpec {
        cdns: Vec::new(),
        after: After::Accepted,
        templates: Vec::new(),
        image_presets: PresetChoice::None,
        revision_file: None,
        revision: None,
        smart_crops: None,
        assets: Vec::new(),
        assets_from: Vec::new(),
        urls: Vec::new(),
        exclude: Vec::new(),
        exclude_assets: Vec::new(),
        limits: LimitsSpec {
            max_urls: 10_000,
            max_share_percent: None,
        },
        on_create: OnCreate::Invalidate,
        on_remove: OnRemove::Ignore,
        not_before_ms: None,
        suspend: false,
        strict: false,
        check_assets: false,
    }
}

pub(crate) fn set_of(ids: &[&str]) -> AssetSetSpec {
    AssetSetSpec {
        assets: ids.iter().map(|id| asset(id)).collect(),
        ..set()
    }
}

pub(crate) fn asset(id: &str) -> AssetSpec {
    AssetSpec {
        id: id.to_owned(),
        kind: None,
        revision: None,
        smart_crops: None,
    }
}

pub(crate) fn url(url: &str) -> UrlSpec {
    UrlSpec {
        url: url.to_owned(),
        revision: None,
    }
}

pub(crate) fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

pub(crate) fn preset(name: &str, revision: Option<&str>) -> PresetSpec {
    PresetSpec {
        name: name.to_owned(),
        revision: revision.map(str::to_owned),
    }
}

pub(crate) fn template(urls: &[&str]) -> TemplateSpec {
    TemplateSpec {
        revision: None,
        urls: urls
            .iter()
            .map(|url| TemplateEntry {
                url: (*url).to_owned(),
                revision: None,
                types: Vec::new(),
                place: Place::file("template"),
            })
            .collect(),
    }
}

pub(crate) fn acme() -> Addressing {
    Addressing {
        servers: texts(&["https://s"]),
        company: "Acme".to_owned(),
        root: Some("Acme".to_owned()),
        presets: vec![preset("small", None), preset("large", Some("2"))],
        crops: Vec::new(),
    }
}

pub(crate) fn compile_with(
    spec: &AssetSetSpec,
    templates: &[TemplateSpec],
    addressings: &[Addressing],
    files: &[Option<NamedFile>],
) -> Compiled {
    let source = SetSource {
        spec,
        place_of: &nowhere,
        templates: &templates.iter().collect::<Vec<_>>(),
        addressings: &addressings.iter().collect::<Vec<_>>(),
        max_expansion: 1_000,
    };
    compile(&source, resolve(spec, &nowhere, files))
}

/// The expansion of a set without any problem, for Acme.
pub(crate) fn expansion(spec: &AssetSetSpec, templates: &[TemplateSpec]) -> Expansion {
    let compiled = compile_with(spec, templates, &[acme()], &[]);
    assert_eq!(compiled.problems, [] as [Problem; 0]);
    compiled.expansion.expect("there is no problem")
}

pub(crate) fn urls(expansion: &Expansion) -> Vec<String> {
    let mut urls = Vec::new();
    expansion.for_each(|url, _| urls.push(url.to_owned()));
    urls
}
