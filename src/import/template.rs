//! The text of Adobe's template screen as manifests.

use std::sync::Arc;

use super::File;
use super::manifests::{Cdn, Manifests, cdn, head, scalar, template};
use crate::expand::{Addressing, SetSource, compile};
use crate::manifest::{
    After, AssetSetSpec, AssetSpec, LimitsSpec, OnCreate, OnRemove, Place, PresetChoice,
    PresetSpec, Problem, Step, TemplateEntry, TemplateSpec,
};
use crate::resolve::resolve;

/// What stands for the assets that a person will name.
const ASSET: &str = "backpack";

/// What stands for the names that only the account knows.
const PRESET: &str = "product";
const CROPS: [&str; 2] = ["Banner", "Square"];

const REPLACE: &str = " # replace with those of your account";

/// The text, and what the screen knows besides it.
#[derive(Debug)]
pub struct Screen<'a> {
    /// The file that holds the text, as a person would name it.
    pub name: Arc<str>,
    /// The text.
    pub text: &'a str,
    /// Scheme and host of each publish server.
    pub servers: &'a [String],
    /// Company, and root of its URLs.
    pub company: &'a str,
}

/// The files that declare what is on the screen, with an asset to be replaced;
/// or everything that is wrong with its lines.
pub fn of_screen(screen: &Screen<'_>) -> Result<Vec<File>, Vec<Problem>> {
    let entries = entries(screen);
    if entries.is_empty() {
        let place = Some(Place::file(Arc::clone(&screen.name)));
        let message = "No URL(s) entered to be invalidated: the template holds no line";
        return Err(vec![Problem::error("empty-value", place, message)]);
    }
    let names = Names::in_lines(&entries);
    let uses_id = entries.iter().any(|entry| entry.url.contains("<ID>"));
    judge(screen, &entries, &names, uses_id)?;
    let lines = entries.iter().map(|entry| entry.url.as_str());
    let manifests = [
        ("template.yaml", template("imported", lines)),
        ("set.yaml", set(uses_id)),
        (
            "cdn.yaml",
            cdn(&Cdn {
                name: "dynamic-media",
                company: screen.company,
                is_rootless: false,
                servers: screen.servers.iter().map(String::as_str).collect(),
                more: names.lines(),
            }),
        ),
    ];
    let files = manifests.into_iter().filter_map(|(path, manifest)| {
        let mut file = Manifests::new();
        file.add(&manifest);
        file.file(path)
    });
    Ok(files.collect())
}

fn entries(screen: &Screen<'_>) -> Vec<TemplateEntry> {
    let text = screen.text.trim_start_matches('\u{feff}');
    let lines = (1..).zip(text.lines());
    lines
        .filter_map(|(number, line)| {
            let url = line.trim();
            let before = line.len() - line.trim_start().len();
            let column = line[..before].chars().count() as u32 + 1;
            let width = url.chars().count() as u32;
            (!url.is_empty() && !url.starts_with('#')).then(|| TemplateEntry {
                url: url.to_owned(),
                revision: None,
                types: Vec::new(),
                place: Place::in_line(&screen.name, (number, line), (column, width)),
            })
        })
        .collect()
}

/// Compiles the lines as a set of one asset would.
fn judge(
    screen: &Screen<'_>,
    entries: &[TemplateEntry],
    names: &Names,
    uses_id: bool,
) -> Result<(), Vec<Problem>> {
    let template = TemplateSpec {
        revision: None,
        urls: entries.to_vec(),
    };
    let addressing = Addressing {
        servers: screen.servers.to_vec(),
        company: screen.company.to_owned(),
        root: Some(screen.company.to_owned()),
        presets: names.presets.iter().map(|name| preset(name)).collect(),
        crops: names.crops.clone(),
    };
    let spec = one_asset(uses_id);
    let place_of = |_: &[Step<'_>]| Place::file(Arc::clone(&screen.name));
    let source = SetSource {
        spec: &spec,
        place_of: &place_of,
        templates: &[&template],
        addressings: &[&addressing],
        max_expansion: u64::MAX,
    };
    let mut problems = compile(&source, resolve(&spec, &place_of, &[])).problems;
    problems.retain(Problem::is_error);
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

fn one_asset(uses_id: bool) -> AssetSetSpec {
    let asset = AssetSpec {
        id: ASSET.to_owned(),
        kind: None,
        revision: None,
        smart_crops: None,
    };
    AssetSetSpec {
        cdns: Vec::new(),
        after: After::Accepted,
        templates: vec!["imported".to_owned()],
        image_presets: PresetChoice::None,
        revision: None,
        smart_crops: None,
        assets: uses_id.then_some(asset).into_iter().collect(),
        assets_from: Vec::new(),
        revision_file: None,
        urls: Vec::new(),
        exclude: Vec::new(),
        exclude_assets: Vec::new(),
        limits: LimitsSpec {
            max_urls: u64::MAX,
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

fn preset(name: &str) -> PresetSpec {
    PresetSpec {
        name: name.to_owned(),
        revision: None,
    }
}

fn set(uses_id: bool) -> String {
    let mut text = head("AssetSet", "first-set");
    text.push_str("  cdns: [dynamic-media]\n  templates: [imported]\n");
    if uses_id {
        text.push_str(
            "  # Replace it with yours, one a line; a file of them goes under `assetsFrom`.\n",
        );
        text.extend(["  assets:\n    - ", ASSET, "\n"]);
    }
    text
}

/// Names of presets and crops, as far as the lines give them away.
struct Names {
    presets: Vec<String>,
    crops: Vec<String>,
    are_presets_known: bool,
    are_crops_known: bool,
}

impl Names {
    fn in_lines(entries: &[TemplateEntry]) -> Self {
        let uses = |token: &str| entries.iter().any(|entry| entry.url.contains(token));
        let mut presets = found(entries, presets_in);
        let mut crops = found(entries, crops_in);
        let (are_presets_known, are_crops_known) = (!presets.is_empty(), !crops.is_empty());
        if uses("<PRESET>") && !are_presets_known {
            presets.push(PRESET.to_owned());
        }
        if uses("<CROP>") && !are_crops_known {
            crops.extend(CROPS.map(str::to_owned));
        }
        Self {
            presets,
            crops,
            are_presets_known,
            are_crops_known,
        }
    }

    /// As a Cdn has them.
    fn lines(&self) -> Vec<String> {
        let list = |field: &str, names: &[String], is_known: bool| {
            let names: Vec<_> = names.iter().map(|name| scalar(name)).collect();
            let comment = if is_known { "" } else { REPLACE };
            let line = format!("{field}: [{}]{comment}", names.join(", "));
            (!names.is_empty()).then_some(line)
        };
        let presets = list("imagePresets", &self.presets, self.are_presets_known);
        let crops = list("smartCrops", &self.crops, self.are_crops_known);
        presets.into_iter().chain(crops).collect()
    }
}

/// Each once, in order.
fn found(entries: &[TemplateEntry], names_in: fn(&str) -> Vec<&str>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for name in entries.iter().flat_map(|entry| names_in(&entry.url)) {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if !name.is_empty() && name.chars().all(is_name) && !found.iter().any(|it| it == name) {
            found.push(name.to_owned());
        }
    }
    found
}

/// `product` of `?$product$`.
fn presets_in(line: &str) -> Vec<&str> {
    let texts: Vec<&str> = line.split('$').collect();
    let preset = |window: &[&'_ str]| window[0].ends_with(['?', '&']);
    let windows = texts.windows(3).filter(|window| preset(window));
    windows.map(|window| window[1]).collect()
}

/// `Banner` of `<ID>:Banner`.
fn crops_in(line: &str) -> Vec<&str> {
    let behind = line.split("<ID>:").skip(1);
    behind.filter_map(|rest| rest.split('?').next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> Result<Vec<File>, Vec<String>> {
        let screen = Screen {
            name: "t.txt".into(),
            text,
            servers: &["https://s".to_owned()],
            company: "Acme",
        };
        of_screen(&screen).map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_bad_line_is_named_where_it_stands() {
        let found = files("# mine\n<ID>\r\n  <id>?$a$\nhttps://s/is/image/Other/<ID>\n<ID> x\n");
        assert_eq!(
            found.unwrap_err(),
            [
                "t.txt:3:3: token: there is no token <id> (did you mean <ID>?)",
                "t.txt:4:1: url: Some URLs are not defined correctly: \"https://s/is/image/Other/\": it is not under /is/image/Acme/ or /is/content/Acme/ (the CDN refuses URLs of another company; rootId: \"*\" on the Cdn lifts this rule)",
                "t.txt:5:1: url: Some URLs are not defined correctly: \"https://s/is/image/Acme/ x\": it holds ' ', which no URL may (percent-encode it)",
            ]
        );
        assert_eq!(
            files("\n# none\n").unwrap_err(),
            ["t.txt: empty-value: No URL(s) entered to be invalidated: the template holds no line"]
        );
    }

    #[test]
    fn presets_and_crops_are_taken_from_the_lines_where_they_name_any() {
        let cdn = |text: &str| files(text).unwrap()[2].text.clone();
        let named = cdn("<ID>?$large$&x=$1$\n<ID>:Wide?$<PRESET>$\n<ID>:<CROP>\n");
        assert!(
            named.contains("imagePresets: [large]\n    smartCrops: [Wide]\n"),
            "{named}"
        );
        let unknown = cdn("<ID>:<CROP>?$<PRESET>$\n");
        assert!(
            unknown.contains("imagePresets: [product] # replace"),
            "{unknown}"
        );
        assert!(
            unknown.contains("smartCrops: [Banner, Square] # replace"),
            "{unknown}"
        );
        assert!(!cdn("<ID>").contains("imagePresets"));
    }

    #[test]
    fn without_a_token_for_it_no_asset_is_needed() {
        let set = |text: &str| files(text).unwrap()[1].text.clone();
        assert!(!set("https://s/is/content/Acme/x\n").contains("assets"));
        assert!(set("<ID>").contains("- backpack\n"));
    }
}
