//! What the account lists: requests for it, and what the answers hold.

use jiff::Timestamp;

use super::read::{not_understood, read_as};
use super::soap::Body;
use super::xml::Element;
use crate::lookup::{AssetQuery, Listed, Page, Query, Row};
use crate::manifest::{PublishState, SearchRevision};
use crate::provider::{Answer, Credentials, Verdict};

/// Assets in one answer, at most, where only these fields are asked for.
const MAX_SHORT: usize = 10_000;
/// Assets in one answer, at most, whatever is asked for.
const MAX_LONG: usize = 1_000;
/// Ids in one question.
const MAX_NAMES: usize = 500;
/// Room for whatever else a server adds to the longest answer.
const MAX_ELEMENTS: usize = 200_000;

/// Operation and body that ask for a page, counted from 1.
pub(super) fn request(
    namespace: &str,
    credentials: &Credentials,
    company_handle: &str,
    (query, page): (&Query, u32),
) -> (&'static str, Vec<u8>) {
    match query {
        Query::Assets(query) => {
            let mut body = Body::open(namespace, credentials, "searchAssetsParam", 1024);
            body.leaf("companyHandle", company_handle);
            search(&mut body, query, page);
            ("searchAssets", body.close("searchAssetsParam"))
        }
        Query::Presets => {
            let mut body = Body::open(namespace, credentials, "getImageFormatsParam", 256);
            body.leaf("companyHandle", company_handle);
            ("getImageFormats", body.close("getImageFormatsParam"))
        }
        Query::Names(names) => {
            let mut body = Body::open(namespace, credentials, "getAssetsByNameParam", 32 << 10);
            body.leaf("companyHandle", company_handle);
            let asked = names.iter().skip((page as usize - 1) * MAX_NAMES);
            let asked = asked.take(MAX_NAMES).map(String::as_str);
            body.array("nameArray", asked);
            let fields = ["assetHandle", "name", "type", "subType"];
            let fields = fields.map(|field| format!("assetArray/items/{field}"));
            body.array("responseFieldArray", fields.iter().map(String::as_str));
            ("getAssetsByName", body.close("getAssetsByNameParam"))
        }
        Query::History(asset) => {
            let parameter = "getAssetPublishHistoryParam";
            let mut body = Body::open(namespace, credentials, parameter, 256);
            body.leaf("companyHandle", company_handle);
            body.leaf("assetHandle", asset);
            ("getAssetPublishHistory", body.close(parameter))
        }
    }
}

/// What is in a page of the answer.
pub(super) fn read((query, page): (&Query, u32), answer: &Answer) -> Result<Page, Verdict> {
    let found = match query {
        Query::Assets(query) => {
            read_as(answer, &[], ("searchAssetsReturn", MAX_ELEMENTS), |found| {
                assets(query, found)
            })
        }
        Query::Presets => read_as(
            answer,
            &[],
            ("getImageFormatsReturn", MAX_ELEMENTS),
            presets,
        ),
        Query::Names(names) => {
            let is_last = page as usize * MAX_NAMES >= names.len();
            let name = "getAssetsByNameReturn";
            read_as(answer, &[], (name, MAX_ELEMENTS), |found| {
                named(found, is_last)
            })
        }
        Query::History(_) => {
            let name = "getAssetPublishHistoryReturn";
            read_as(answer, &[], (name, MAX_ELEMENTS), history)
        }
    };
    found.map_err(|verdict| match verdict {
        // A fault in a parameter is one of the query, which has no items.
        Verdict::Refused { reason, .. } | Verdict::TooLarge(reason) => {
            Verdict::NotUnderstood(reason)
        }
        verdict => verdict,
    })
}

/// The order is the schema's.
fn search(body: &mut Body, query: &AssetQuery, page: u32) {
    body.leaf("folder", &query.folder);
    let subfolders = if query.subfolders { "true" } else { "false" };
    body.leaf("includeSubfolders", subfolders);
    if let Some(state) = query.publish_state {
        body.leaf(
            "publishState",
            match state {
                PublishState::Marked => "MarkedForPublish",
                PublishState::NotMarked => "NotMarkedForPublish",
            },
        );
    }
    body.leaf("trashState", "NotInTrash");
    if !query.types.is_empty() {
        body.array("assetTypeArray", query.types.iter().map(String::as_str));
    }
    body.leaf("recordsPerPage", &page_size(query).to_string());
    body.leaf("resultsPage", &page.to_string());
    // What is new comes last, so that it does not move what was read before.
    body.leaf("sortBy", "Created");
    body.leaf("sortDirection", "Ascending");
    let mut fields = vec![
        "totalRows",
        "assetArray/items/assetHandle",
        "assetArray/items/name",
        "assetArray/items/type",
        "assetArray/items/subType",
    ];
    if query.revision.is_some() {
        fields.push("assetArray/items/lastModified");
    }
    if query.revision == Some(SearchRevision::Published) {
        fields.push("assetArray/items/readyForPublish");
    }
    body.array("responseFieldArray", fields);
}

fn page_size(query: &AssetQuery) -> usize {
    if query.revision.is_some() {
        MAX_LONG
    } else {
        MAX_SHORT
    }
}

fn assets(query: &AssetQuery, found: &Element) -> Result<Page, Verdict> {
    let total = match found.text_of("totalRows") {
        None => None,
        Some(text) => Some(
            text.parse::<u64>()
                .map_err(|_| not_understood("a number of assets that is no number"))?,
        ),
    };
    let items = found.child("assetArray").map(|array| &array.children);
    let rows: Vec<Row> = items
        .into_iter()
        .flatten()
        .map(|item| asset(query, item))
        .collect::<Result<_, _>>()?;
    Ok(Page {
        total,
        is_full: rows.len() >= page_size(query),
        rows,
    })
}

/// Id, type and, where wanted, the time of the last change; or all that it takes
/// to ask when it was last published.
fn asset(query: &AssetQuery, item: &Element) -> Result<Row, Verdict> {
    let text = |name: &str| item.text_of(name).filter(|text| !text.is_empty());
    let (Some(name), Some(kind)) = (text("name"), text("type")) else {
        return Err(not_understood("an asset without its name or its type"));
    };
    let handle = text("assetHandle").unwrap_or_default();
    let modified = || {
        let modified = text("lastModified");
        modified.ok_or_else(|| not_understood("an asset without `lastModified`"))
    };
    let cells = match query.revision {
        None => vec![name.to_owned(), kind.to_owned()],
        Some(SearchRevision::Modified) => {
            vec![name.to_owned(), kind.to_owned(), instant(modified()?)]
        }
        Some(SearchRevision::Published) if handle.is_empty() => {
            return Err(not_understood("an asset without its handle"));
        }
        Some(SearchRevision::Published) => {
            let modified = moment(modified()?);
            let listed = Listed {
                id: name.to_owned(),
                kind: kind.to_owned(),
                modified: modified
                    .ok_or_else(|| not_understood("a `lastModified` that is no time"))?,
                // What the account does not tell keeps nobody from asking.
                is_ready: !matches!(text("readyForPublish"), Some("false" | "0")),
                handle: handle.to_owned(),
            };
            listed.to_cells()
        }
    };
    Ok(Row {
        key: handle.to_owned(),
        cells,
    })
}

/// The latest publication, whatever the server, the context and the format; no
/// row where there was none.
fn history(found: &Element) -> Result<Page, Verdict> {
    let Some(array) = found.child("pubHistoryArray") else {
        return Err(not_understood("the answer holds no publish history"));
    };
    let times = array.children.iter().map(|entry| {
        let time = entry.text_of("lastPublished").and_then(moment);
        time.ok_or_else(|| not_understood("a publication without a time"))
    });
    let times: Vec<Timestamp> = times.collect::<Result<_, _>>()?;
    let latest = times.into_iter().max();
    let rows = latest.map(|latest| Row {
        key: String::new(),
        cells: vec![latest.to_string()],
    });
    Ok(Page {
        total: None,
        is_full: false,
        rows: rows.into_iter().collect(),
    })
}

/// Those of the ids asked about that the account has.
fn named(found: &Element, is_last: bool) -> Result<Page, Verdict> {
    let items = found.child("assetArray").map(|array| &array.children);
    let rows = items.into_iter().flatten().map(|item| {
        let text = |name: &str| item.text_of(name).filter(|text| !text.is_empty());
        let (Some(name), Some(kind)) = (text("name"), text("type")) else {
            return Err(not_understood("an asset without its name or its type"));
        };
        // Two ids may lead to one asset, where case does not count.
        Ok(Row {
            key: String::new(),
            cells: vec![name.to_owned(), kind.to_owned()],
        })
    });
    Ok(Page {
        total: None,
        is_full: !is_last,
        rows: rows.collect::<Result<_, _>>()?,
    })
}

/// All of them come at once.
fn presets(found: &Element) -> Result<Page, Verdict> {
    let Some(array) = found.child("imageFormatArray") else {
        return Err(not_understood("the answer holds no image presets"));
    };
    let rows: Vec<Row> = array
        .children
        .iter()
        .map(preset)
        .collect::<Result<_, _>>()?;
    Ok(Page {
        total: Some(rows.len() as u64),
        is_full: false,
        rows,
    })
}

/// Name and definition.
fn preset(item: &Element) -> Result<Row, Verdict> {
    let text = |name: &str| item.text_of(name).unwrap_or_default();
    let (name, Some(modifier)) = (text("name"), item.text_of("urlModifier")) else {
        return Err(not_understood("an image preset without `urlModifier`"));
    };
    if name.is_empty() {
        return Err(not_understood("an image preset without its name"));
    }
    Ok(Row {
        key: text("imageFormatHandle").to_owned(),
        cells: vec![name.to_owned(), modifier.to_owned()],
    })
}

/// An `xsd:dateTime`, which may lack its zone: then that of all others is meant,
/// and any will do to compare them.
fn moment(text: &str) -> Option<Timestamp> {
    let zoned = text.parse();
    zoned.or_else(|_| format!("{text}Z").parse()).ok()
}

/// One moment has one text, in whatever zone the service tells it.
fn instant(text: &str) -> String {
    let parsed: Result<Timestamp, _> = text.parse();
    parsed.map_or_else(|_| text.to_owned(), |instant| instant.to_string())
}
