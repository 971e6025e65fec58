//! Writing: accounts as manifests and files of ids.

use std::borrow::Cow;

use super::group::{Account, AssetGroup};
use super::{File, SCHEMA};

/// More assets than this are kept in a file of their own.
const MAX_INLINE: usize = 100;

/// Bytes of URLs in one manifest, about; far from what one may hold.
const MAX_URLS: usize = 16 << 20;

/// What a Cdn says that is known.
#[derive(Debug, Default)]
pub(super) struct Cdn<'a> {
    pub(super) name: &'a str,
    pub(super) company: &'a str,
    /// Whether its URLs need not lie under a root.
    pub(super) is_rootless: bool,
    pub(super) servers: Vec<&'a str>,
    /// Lines that go into the block as they are.
    pub(super) more: Vec<String>,
}

/// The files that declare `accounts`.
pub fn of_accounts(accounts: &[Account<'_>]) -> Vec<File> {
    let mut files = Vec::new();
    let mut cdns = Manifests::new();
    let mut templates = Manifests::new();
    let mut sets = Manifests::new();
    let mut singles = Vec::new();
    // Whom the others belong to is not known; it is as likely the first.
    let company = accounts.iter().find_map(|account| account.root);
    for account in accounts {
        cdns.add(&cdn(&Cdn {
            name: &account.name,
            company: account.root.or(company).unwrap_or("unknown"),
            is_rootless: account.root.is_none(),
            servers: account.servers.clone(),
            more: Vec::new(),
        }));
        for pattern in &account.patterns {
            templates.add(&template(&pattern.name, [pattern.line.as_str()]));
        }
        for group in &account.groups {
            if group.ids.len() > MAX_INLINE {
                files.push(File {
                    path: ids_path(&group.name),
                    text: group.ids.join("\n") + "\n",
                });
            }
            sets.add(&assets(account, group));
        }
        singles.extend(url_sets(account));
    }
    files.extend(templates.file("templates.yaml"));
    files.extend(sets.file("sets.yaml"));
    files.extend(url_files(singles));
    files.extend(cdns.file("cdns.yaml"));
    files
}

/// A Cdn, with what has to be filled in by a person.
pub(super) fn cdn(cdn: &Cdn<'_>) -> String {
    let mut text = head("Cdn", cdn.name);
    if cdn.is_rootless {
        text.push_str(
            "  # Dynamic Media refuses URLs of no company, so sets of this Cdn are suspended.\n",
        );
    }
    text.push_str("  dynamicMedia:\n    region: northAmerica # or emea, apac\n");
    text.extend(["    company: ", &scalar(cdn.company), "\n"]);
    if cdn.is_rootless {
        text.push_str("    rootId: \"*\"\n");
    }
    if !cdn.servers.is_empty() {
        let servers: Vec<String> = cdn.servers.iter().map(|server| quoted(server)).collect();
        text.extend(["    publishServers: [", &servers.join(", "), "]\n"]);
    }
    for line in &cdn.more {
        text.extend(["    ", line, "\n"]);
    }
    text.push_str(
        "    # Read when they are used, never stored.\n    credentials:\n      \
         user: { env: IPS_USER }\n      password: { env: IPS_PASSWORD }\n",
    );
    text
}

/// A Template of these lines.
pub(super) fn template<'l>(name: &str, lines: impl IntoIterator<Item = &'l str>) -> String {
    let mut text = head("Template", name);
    text.push_str("  urls: |\n");
    for line in lines {
        text.extend(["    ", line, "\n"]);
    }
    text
}

/// The start of every manifest, up to its `spec`.
pub(super) fn head(kind: &str, name: &str) -> String {
    format!("apiVersion: freshen/v1\nkind: {kind}\nmetadata: {{ name: {name} }}\nspec:\n")
}

/// Manifests of one file.
pub(super) struct Manifests(String);

impl Manifests {
    pub(super) fn new() -> Self {
        Self(String::new())
    }

    pub(super) fn add(&mut self, manifest: &str) {
        if self.0.is_empty() {
            self.0 = format!("# yaml-language-server: $schema={SCHEMA}\n");
        } else {
            self.0.push_str("---\n");
        }
        self.0.push_str(manifest);
    }

    /// The file, unless it would hold nothing.
    pub(super) fn file(self, path: &str) -> Option<File> {
        (!self.0.is_empty()).then(|| File {
            path: path.to_owned(),
            text: self.0,
        })
    }
}

fn ids_path(name: &str) -> String {
    format!("ids/{name}.txt")
}

fn set(account: &Account<'_>, name: &str) -> String {
    let mut text = head("AssetSet", name);
    text.extend(["  cdns: [", &account.name, "]\n"]);
    if account.root.is_none() {
        text.push_str("  suspend: true\n");
    }
    text
}

fn assets(account: &Account<'_>, group: &AssetGroup<'_>) -> String {
    let mut text = set(account, &group.name);
    let names = group.patterns.iter();
    let names: Vec<&str> = names
        .map(|pattern| account.patterns[*pattern].name.as_str())
        .collect();
    text.extend(["  templates: [", &names.join(", "), "]\n"]);
    if group.ids.len() > MAX_INLINE {
        let path = ids_path(&group.name);
        text.extend(["  assetsFrom:\n    - { file: ", &path, " }\n"]);
    } else {
        text.push_str("  assets:\n");
        group.ids.iter().for_each(|id| push_item(&mut text, id));
    }
    text
}

/// Sets of URLs that stand by themselves, none of them too large.
fn url_sets(account: &Account<'_>) -> Vec<String> {
    let mut sets: Vec<String> = Vec::new();
    for url in &account.urls {
        let is_full = sets.last().is_none_or(|set| set.len() > MAX_URLS);
        if is_full {
            let name = match sets.len() {
                0 => account.urls_name.clone(),
                before => format!("{}-part-{}", account.urls_name, before + 1),
            };
            sets.push(set(account, &name) + "  urls:\n");
        }
        if let Some(set) = sets.last_mut() {
            push_item(set, url);
        }
    }
    sets
}

/// As few files as a manifest's size allows.
fn url_files(sets: Vec<String>) -> Vec<File> {
    let mut files: Vec<Manifests> = Vec::new();
    for set in sets {
        if files.last().is_none_or(|file| file.0.len() > MAX_URLS) {
            files.push(Manifests::new());
        }
        if let Some(file) = files.last_mut() {
            file.add(&set);
        }
    }
    let path = |number: usize| match number {
        0 => "urls.yaml".to_owned(),
        before => format!("urls-{}.yaml", before + 1),
    };
    let numbered = files.into_iter().enumerate();
    numbered
        .filter_map(|(number, file)| file.file(&path(number)))
        .collect()
}

fn push_item(text: &mut String, item: &str) {
    text.extend(["    - ", &scalar(item), "\n"]);
}

/// `text` as a YAML scalar in a block: without quotes only where no reader
/// could take it for anything else.
pub(super) fn scalar(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./?=&$%+:@".contains(&byte);
    let is_null = text.eq_ignore_ascii_case("null");
    let is_plain = text.bytes().all(is_plain)
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && !text.ends_with(':')
        && !is_null;
    if is_plain {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(quoted(text))
    }
}

/// In single quotes, where nothing but they themselves has a meaning.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_plain_to_every_reader_goes_without_quotes() {
        for plain in [
            "https://s/is/image/A/x:C?$p$&a=%24+b",
            "007",
            "1.10",
            "yes",
            "a@b",
        ] {
            assert_eq!(scalar(plain), plain);
        }
        for (text, expected) in [
            ("null", "'null'"),
            ("~", "'~'"),
            ("-a", "'-a'"),
            ("https://s/x:", "'https://s/x:'"),
            ("a'{b}", "'a''{b}'"),
            ("a,b", "'a,b'"),
        ] {
            assert_eq!(scalar(text), expected);
        }
    }

    #[test]
    fn urls_by_themselves_are_spread_over_manifests_of_a_sane_size() {
        let account = Account {
            name: "a".to_owned(),
            root: Some("A"),
            servers: Vec::new(),
            patterns: Vec::new(),
            groups: Vec::new(),
            urls: (0..10_000).map(|n| format!("{n:04000}")).collect(),
            urls_name: "a-urls".to_owned(),
        };
        let files = of_accounts(&[account]);
        let paths: Vec<&str> = files.iter().map(|file| &*file.path).collect();
        assert_eq!(
            paths,
            ["urls.yaml", "urls-2.yaml", "urls-3.yaml", "cdns.yaml"]
        );
        let urls: usize = files
            .iter()
            .map(|it| it.text.matches("\n    - ").count())
            .sum();
        assert_eq!(urls, 10_000);
        assert!(files.iter().all(|file| file.text.len() < 17 << 20));
        assert!(files[2].text.contains("{ name: a-urls-part-3 }"));
    }
}
