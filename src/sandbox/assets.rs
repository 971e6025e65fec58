//! The account's assets, and how it lists them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use jiff::Timestamp;

use super::soap::{self, Request, ServiceFault};
use super::world::in_order;
use crate::provider::dynamic_media::xml::{Element, escape_text};

/// Assets in one answer, at most.
const MAX_LONG: usize = 1_000;
/// The same, where no other fields than these are asked for.
const MAX_SHORT: usize = 10_000;
const SHORT: [&str; 5] = [
    "totalRows",
    "assetArray/items/assetHandle",
    "assetArray/items/name",
    "assetArray/items/type",
    "assetArray/items/subType",
];

/// Parameters of `searchAssets`, in the schema's order.
const SEARCH: [&str; 28] = [
    "companyHandle",
    "accessUserHandle",
    "accessGroupHandle",
    "folder",
    "includeSubfolders",
    "publishState",
    "trashState",
    "conditionMatchMode",
    "keywordArray",
    "systemFieldMatchMode",
    "systemFieldConditionArray",
    "tagMatchMode",
    "tagConditionArray",
    "metadataMatchMode",
    "metadataConditionArray",
    "assetTypeArray",
    "excludeAssetTypeArray",
    "assetSubTypeArray",
    "strictSubTypeCheck",
    "excludeByproducts",
    "excludeByproductArray",
    "projectHandle",
    "recordsPerPage",
    "resultsPage",
    "sortBy",
    "sortDirection",
    "responseFieldArray",
    "excludeFieldArray",
];

/// Parameters of `getAssetsByName`, in the schema's order.
const BY_NAME: [&str; 10] = [
    "companyHandle",
    "accessUserHandle",
    "accessGroupHandle",
    "nameArray",
    "assetTypeArray",
    "excludeAssetTypeArray",
    "assetSubTypeArray",
    "strictSubTypeCheck",
    "responseFieldArray",
    "excludeFieldArray",
];

/// An asset as its account knows it.
#[derive(Clone, Debug)]
struct Asset {
    /// Counted from 1, in the order of creation.
    number: u64,
    folder: String,
    kind: String,
    modified: SystemTime,
    is_marked: bool,
    /// Every publication, the first one first.
    published: Vec<SystemTime>,
}

impl Asset {
    fn handle(&self) -> String {
        format!("a|{}", self.number)
    }
}

/// All assets of the company.
#[derive(Debug)]
pub(super) struct Assets {
    root: String,
    by_name: BTreeMap<String, Asset>,
    folders: BTreeSet<String>,
    created: u64,
}

impl Assets {
    pub(super) fn new(root: &str) -> Self {
        Self {
            root: root.to_owned(),
            by_name: BTreeMap::new(),
            folders: BTreeSet::from([root.to_owned()]),
            created: 0,
        }
    }

    /// An upload makes the asset where there is none, marks it for publish, and
    /// moves its time.
    pub(super) fn upload(&mut self, name: &str, now: SystemTime) {
        let (folder, kind) = match self.by_name.get(name) {
            Some(asset) => (asset.folder.clone(), asset.kind.clone()),
            None => (self.root.clone(), "Image".to_owned()),
        };
        self.put(name, &folder, &kind, now);
    }

    /// Puts an asset of that type into a folder, which comes to be.
    pub(super) fn put(&mut self, name: &str, folder: &str, kind: &str, now: SystemTime) {
        let folder = folder.trim_end_matches('/').to_owned();
        self.folders.insert(folder.clone());
        self.created += 1;
        let known = self.by_name.get(name);
        let asset = Asset {
            number: known.map_or(self.created, |asset| asset.number),
            folder,
            kind: kind.to_owned(),
            modified: now,
            is_marked: true,
            published: known.map_or_else(Vec::new, |asset| asset.published.clone()),
        };
        self.by_name.insert(name.to_owned(), asset);
    }

    /// Another publication in the asset's history. What else it moves nobody
    /// outside Adobe knows.
    pub(super) fn publish(&mut self, name: &str, moves_time: bool, now: SystemTime) {
        if let Some(asset) = self.by_name.get_mut(name) {
            asset.published.push(now);
            if moves_time {
                asset.modified = now;
            }
        }
    }

    pub(super) fn mark(&mut self, name: &str, is_marked: bool) {
        if let Some(asset) = self.by_name.get_mut(name) {
            asset.is_marked = is_marked;
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.by_name.remove(name);
    }

    pub(super) fn remove_folder(&mut self, folder: &str) {
        self.folders.remove(folder);
        self.by_name.retain(|_, asset| asset.folder != folder);
    }

    /// Answers `getAssetsByName`.
    pub(super) fn named(&self, request: &Request) -> Result<String, ServiceFault> {
        let parameter = &request.parameter;
        in_order(parameter, &BY_NAME)?;
        if parameter.child("nameArray").is_none() {
            return Err(missing("nameArray"));
        }
        let kinds = texts(parameter, "assetTypeArray");
        let fields = texts(parameter, "responseFieldArray");
        let items = texts(parameter, "nameArray")
            .into_iter()
            .filter_map(|name| {
                let (name, asset) = self.by_name.get_key_value(&name)?;
                let is_meant = kinds.is_empty() || kinds.contains(&asset.kind);
                is_meant.then(|| item(name, asset, &fields))
            });
        let items: String = items.collect();
        let content = format!("<assetArray>{items}</assetArray>");
        Ok(soap::returned(
            &request.namespace,
            "getAssetsByName",
            &content,
        ))
    }

    /// Answers `getAssetPublishHistory`.
    pub(super) fn history(&self, request: &Request) -> Result<String, ServiceFault> {
        let parameter = &request.parameter;
        in_order(parameter, &["companyHandle", "assetHandle"])?;
        let Some(handle) = parameter.text_of("assetHandle") else {
            return Err(missing("assetHandle"));
        };
        let mut all = self.by_name.values();
        let Some(asset) = all.find(|asset| asset.handle() == handle) else {
            return Err(invalid("assetHandle"));
        };
        let entries = asset.published.iter().rev().map(|at| {
            let at = Timestamp::try_from(*at).map_or_else(|_| String::new(), |it| it.to_string());
            format!(
                "<items><serverName>Image Server</serverName><contextName>ImageServing</contextName>\
                 <publishFormat>Pyramid TIFF</publishFormat><lastPublished>{at}</lastPublished></items>"
            )
        });
        let entries: String = entries.collect();
        let content = format!("<pubHistoryArray>{entries}</pubHistoryArray>");
        let operation = "getAssetPublishHistory";
        Ok(soap::returned(&request.namespace, operation, &content))
    }

    /// Answers `searchAssets`.
    pub(super) fn search(&self, request: &Request) -> Result<String, ServiceFault> {
        let parameter = &request.parameter;
        in_order(parameter, &SEARCH)?;
        let mut found = self.find(parameter)?;
        match parameter.text_of("sortBy") {
            Some("Created") => found.sort_by_key(|(_, asset)| asset.number),
            None | Some("Name") => {}
            Some(other) => return Err(invalid(&format!("sortBy {other}"))),
        }
        if parameter.text_of("sortDirection") == Some("Descending") {
            found.reverse();
        }
        let fields = texts(parameter, "responseFieldArray");
        let is_short = !fields.is_empty() && fields.iter().all(|it| SHORT.contains(&it.as_str()));
        let most = if is_short { MAX_SHORT } else { MAX_LONG };
        let size = number(parameter, "recordsPerPage")?.map_or(MAX_LONG, |size| size.min(most));
        let page = number(parameter, "resultsPage")?.unwrap_or(1);
        let total = found.len();
        let items: Vec<String> = found
            .into_iter()
            .skip(page.saturating_sub(1) * size)
            .take(size)
            .map(|(name, asset)| item(name, asset, &fields))
            .collect();
        let total = if wants(&fields, "totalRows") {
            format!("<totalRows>{total}</totalRows>")
        } else {
            String::new()
        };
        let content = format!("{total}<assetArray>{}</assetArray>", items.concat());
        Ok(soap::returned(&request.namespace, "searchAssets", &content))
    }

    fn find(&self, parameter: &Element) -> Result<Vec<(&String, &Asset)>, ServiceFault> {
        let subfolders = match parameter.text_of("includeSubfolders") {
            Some("true" | "1") => true,
            Some("false" | "0") => false,
            _ => return Err(missing("includeSubfolders")),
        };
        let folder = parameter.text_of("folder").unwrap_or(&self.root);
        let folder = folder.trim_end_matches('/');
        let inside = format!("{folder}/");
        let has_folder = |known: &String| known == folder || known.starts_with(&inside);
        if !self.folders.iter().any(has_folder) {
            return Err(invalid("folder"));
        }
        let marked = match parameter.text_of("publishState") {
            None => None,
            Some("MarkedForPublish") => Some(true),
            Some("NotMarkedForPublish") => Some(false),
            Some(_) => return Err(invalid("publishState")),
        };
        let kinds = texts(parameter, "assetTypeArray");
        let all = self.by_name.iter();
        let found = all.filter(|(_, asset)| {
            let is_there =
                asset.folder == folder || subfolders && asset.folder.starts_with(&inside);
            is_there
                && marked.is_none_or(|marked| marked == asset.is_marked)
                && (kinds.is_empty() || kinds.contains(&asset.kind))
        });
        Ok(found.collect())
    }
}

/// An asset with the fields that are asked for, in the schema's order.
fn item(name: &str, asset: &Asset, fields: &[String]) -> String {
    let modified = Timestamp::try_from(asset.modified)
        .map_or_else(|_| String::new(), |instant| instant.to_string());
    let handle = asset.handle();
    let all = [
        ("assetHandle", handle.as_str()),
        ("type", &asset.kind),
        ("name", name),
        ("fileName", name),
        ("folder", &asset.folder),
        (
            "readyForPublish",
            if asset.is_marked { "true" } else { "false" },
        ),
        ("trashState", "NotInTrash"),
        ("lastModified", &modified),
    ];
    let asked = all
        .into_iter()
        .filter(|(field, _)| wants(fields, &format!("assetArray/items/{field}")));
    let leaves: Vec<String> = asked
        .map(|(field, text)| format!("<{field}>{}</{field}>", escape_text(text)))
        .collect();
    format!("<items>{}</items>", leaves.concat())
}

fn wants(fields: &[String], field: &str) -> bool {
    fields.is_empty() || fields.iter().any(|asked| asked == field)
}

fn texts(parameter: &Element, array: &str) -> Vec<String> {
    let items = parameter.child(array).map(|array| &array.children);
    let items = items.into_iter().flatten();
    items.map(|item| item.text.trim().to_owned()).collect()
}

fn number(parameter: &Element, name: &str) -> Result<Option<usize>, ServiceFault> {
    let Some(text) = parameter.text_of(name) else {
        return Ok(None);
    };
    match text.parse() {
        Ok(number) if number > 0 => Ok(Some(number)),
        _ => Err(invalid(name)),
    }
}

fn invalid(what: &str) -> ServiceFault {
    ServiceFault::new(30_001, format!("invalid parameter: {what}"))
}

fn missing(what: &str) -> ServiceFault {
    ServiceFault::new(30_002, format!("missing parameter: {what}"))
}
