//! What was made of a list of URLs.

use schemars::JsonSchema;
use serde::Serialize;

use super::finding::Finding;
use super::number::counted;
use super::{Body, Report, Row, SHOWN, Sign};
use crate::import::{Account, AssetGroup};
use crate::manifest::Problem;

/// `freshen.import/v1`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportDocument {
    /// `freshen.import/v1`.
    pub format: &'static str,
    /// Where the manifests are.
    pub folder: String,
    /// URLs in the list, each once; what was written expands to just these.
    pub urls: u64,
    /// Lines of a log that are no successful `GET` or `HEAD`.
    pub passed_over: u64,
    /// Roots found, and what lies under none.
    pub cdns: Vec<ImportedCdn>,
    /// In the order of lines.
    pub problems: Vec<Finding>,
}

/// What was found under one root.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportedCdn {
    /// Of the manifest.
    pub name: String,
    /// What the URLs lie under; absent for those that lie under none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// Forms of URLs that several assets have, most used first.
    pub templates: Vec<ImportedTemplate>,
    /// Sets of assets, those with the same templates together.
    pub asset_sets: Vec<ImportedSet>,
    /// URLs that have a form of their own.
    pub single_urls: u64,
}

/// A template that was found.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportedTemplate {
    /// Of the manifest.
    pub name: String,
    /// Its one line.
    pub line: String,
}

/// A set that was found.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportedSet {
    /// Of the manifest.
    pub name: String,
    /// Names of its templates.
    pub templates: Vec<String>,
    /// How many there are.
    pub assets: u64,
}

/// What was read.
#[derive(Debug)]
pub struct Read {
    /// Where the manifests are.
    pub folder: String,
    /// Each once.
    pub urls: u64,
    /// Lines that ask for nothing that is kept.
    pub passed_over: u64,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// The report on `accounts`, found in what was read.
pub fn report(read: Read, accounts: &[Account<'_>]) -> Report<ImportDocument> {
    let sum = |count: fn(&Account<'_>) -> usize| accounts.iter().map(count).sum::<usize>() as u64;
    let all = accounts.iter().flat_map(rows);
    let mut rows: Vec<Row> = all.take(SHOWN + 1).collect();
    let mut notes = Vec::new();
    if rows.len() > SHOWN {
        rows.truncate(SHOWN);
        let sets = sum(|account| account.groups.len() + usize::from(!account.urls.is_empty()));
        notes.push(format!("and {} more", sets - SHOWN as u64));
    }
    if read.passed_over > 0 {
        let lines = counted(read.passed_over, "line");
        notes.push(format!("passed over {lines}: no GET or HEAD, or failed"));
    }
    if accounts.iter().any(|account| account.root.is_none()) {
        notes.push(
            "some URLs lie under no company of Dynamic Media; their sets are suspended".to_owned(),
        );
    }
    let folder = &read.folder;
    notes.push(format!(
        "next: fill in {folder}/cdns.yaml, then freshen --manifests {folder} plan"
    ));
    let body = Body {
        title: "Import",
        columns: vec!["set", "what", "templates"],
        rows,
        notes,
        summary: format!(
            "Imported {}: {}, {} of assets, {} without a template; the manifests expand to just these.",
            counted(read.urls, "URL"),
            counted(sum(|account| account.patterns.len()), "template"),
            counted(sum(|account| account.groups.len()), "set"),
            counted(sum(|account| account.urls.len()), "URL"),
        ),
        problems: read.problems,
    };
    let wire = ImportDocument {
        format: "freshen.import/v1",
        folder: read.folder,
        urls: read.urls,
        passed_over: read.passed_over,
        cdns: accounts.iter().map(imported).collect(),
        problems: Finding::all(&body.problems),
    };
    Report { body, wire }
}

fn rows<'a>(account: &'a Account<'_>) -> impl Iterator<Item = Row> + 'a {
    let row = |cells| Row {
        sign: Sign::New,
        cells,
        ..Row::default()
    };
    let groups = account.groups.iter().map(move |group| {
        row(vec![
            group.name.clone(),
            counted(group.ids.len() as u64, "asset"),
            names(account, group).join(", "),
        ])
    });
    let urls = (!account.urls.is_empty()).then(|| {
        let urls = counted(account.urls.len() as u64, "URL");
        row(vec![account.urls_name.clone(), urls, String::new()])
    });
    groups.chain(urls)
}

fn imported(account: &Account<'_>) -> ImportedCdn {
    ImportedCdn {
        name: account.name.clone(),
        root: account.root.map(str::to_owned),
        templates: account
            .patterns
            .iter()
            .map(|pattern| ImportedTemplate {
                name: pattern.name.clone(),
                line: pattern.line.clone(),
            })
            .collect(),
        asset_sets: account
            .groups
            .iter()
            .map(|group| ImportedSet {
                name: group.name.clone(),
                templates: names(account, group),
                assets: group.ids.len() as u64,
            })
            .collect(),
        single_urls: account.urls.len() as u64,
    }
}

fn names(account: &Account<'_>, group: &AssetGroup<'_>) -> Vec<String> {
    let patterns = group.patterns.iter();
    patterns
        .map(|pattern| account.patterns[*pattern].name.clone())
        .collect()
}
