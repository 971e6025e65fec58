//! Whose a URL is: the root that it lies under, and the servers of that root.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::provider::dynamic_media::judge_server;

/// Roots that get a Cdn of their own, at most; logs hold what robots try.
const MAX_ROOTS: usize = 100;

/// Which of the two services of Dynamic Media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Image,
    Content,
}

/// A URL of Dynamic Media in its parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address<'u> {
    pub(super) server: &'u str,
    pub(super) service: Service,
    pub(super) root: &'u str,
    /// The byte behind the root and its slash.
    pub(super) id_start: usize,
}

impl<'u> Address<'u> {
    /// `None` where `url` is of some other form.
    pub(super) fn of(url: &'u str) -> Option<Self> {
        let (_, rest) = url.split_once("://")?;
        let path = &rest[rest.find(['/', '?'])?..];
        let server = &url[..url.len() - path.len()];
        let (service, rest) = match path.strip_prefix("/is/image/") {
            Some(rest) => (Service::Image, rest),
            None => (Service::Content, path.strip_prefix("/is/content/")?),
        };
        let (root, id) = rest.split_once('/')?;
        let is_name = !root.is_empty() && root != "*" && !root.contains(['?', '%']);
        is_name.then_some(Self {
            server,
            service,
            root,
            id_start: url.len() - id.len(),
        })
    }

    /// What makes two URLs differ in nothing but their server.
    fn path(&self, url: &'u str) -> &'u str {
        &url[self.server.len()..]
    }
}

/// The URLs of one root, or those of none.
#[derive(Debug)]
pub(super) struct Owned<'u> {
    pub(super) root: Option<&'u str>,
    /// Those of its servers that a Cdn can name.
    pub(super) servers: Vec<&'u str>,
    /// Whether all servers serve the same, so that `urls` are those of the
    /// first alone, and `<SERVER>` stands for all.
    pub(super) is_shared: bool,
    pub(super) urls: Vec<&'u str>,
}

/// Tells `urls`, sorted and each once, apart by root; those of none come last.
pub(super) fn owners<'u>(urls: &'u [Box<str>]) -> Vec<Owned<'u>> {
    let mut by_root: HashMap<&'u str, u64> = HashMap::new();
    for address in urls.iter().filter_map(|url| Address::of(url)) {
        *by_root.entry(address.root).or_default() += 1;
    }
    let mut roots: Vec<(&'u str, u64)> = by_root.into_iter().collect();
    roots.sort_unstable_by_key(|(root, count)| (std::cmp::Reverse(*count), *root));
    roots.truncate(MAX_ROOTS);
    let known: HashSet<&'u str> = roots.into_iter().map(|(root, _)| root).collect();
    let mut by_root: BTreeMap<&'u str, Vec<&'u str>> = BTreeMap::new();
    let mut others: Vec<&'u str> = Vec::new();
    for url in urls {
        match Address::of(url).filter(|address| known.contains(address.root)) {
            Some(address) => by_root.entry(address.root).or_default().push(url),
            None => others.push(url),
        }
    }
    let mut owned: Vec<Owned<'u>> = by_root
        .into_iter()
        .map(|(root, urls)| owned(root, urls))
        .collect();
    if !others.is_empty() {
        owned.push(Owned {
            root: None,
            servers: Vec::new(),
            is_shared: false,
            urls: others,
        });
    }
    owned
}

fn owned<'u>(root: &'u str, urls: Vec<&'u str>) -> Owned<'u> {
    let mut by_server: BTreeMap<&'u str, Vec<&'u str>> = BTreeMap::new();
    for url in &urls {
        if let Some(address) = Address::of(url) {
            let paths = by_server.entry(address.server).or_default();
            paths.push(address.path(url));
        }
    }
    let mut paths = by_server.values();
    let first = paths.next();
    let serve_the_same = paths.all(|other| Some(other) == first);
    let all = by_server.len();
    let servers: Vec<&'u str> = by_server
        .keys()
        .copied()
        .filter(|server| judge_server(server).is_ok())
        .collect();
    let is_shared = serve_the_same && servers.len() == all;
    let mut urls = urls;
    if is_shared {
        urls.retain(|url| is_of(url, servers[0]));
    }
    Owned {
        root: Some(root),
        servers,
        is_shared,
        urls,
    }
}

fn is_of(url: &str, server: &str) -> bool {
    Address::of(url).is_some_and(|address| address.server == server)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(urls: &[&str], expected: &[(Option<&str>, &[&str], bool, usize)]) {
        let urls: Vec<Box<str>> = urls.iter().map(|url| Box::from(*url)).collect();
        let found = owners(&urls);
        let found: Vec<(Option<&str>, &[&str], bool, usize)> = found
            .iter()
            .map(|it| (it.root, &it.servers[..], it.is_shared, it.urls.len()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn servers_that_serve_the_same_are_told_apart_from_others() {
        check(
            &[
                "http://a/is/image/X/1",
                "http://a/is/image/Y/1",
                "http://a:80/is/image/X/1",
                "http://b/is/content/Y/2",
            ],
            &[
                (Some("X"), &["http://a", "http://a:80"], true, 1),
                (Some("Y"), &["http://a", "http://b"], false, 2),
            ],
        );
    }

    #[test]
    fn what_lies_under_no_root_belongs_to_nobody() {
        check(
            &[
                "http://a/",
                "http://a/is/image/*/x",
                "http://a/is/image/X",
                "http://a/is/image/X%20Y/x",
                "http://a/is/image/x?y/x",
                "http://a?/is/image/x/y",
                "http://b/is/image/X/x",
            ],
            &[(Some("X"), &["http://b"], true, 1), (None, &[], false, 6)],
        );
    }

    #[test]
    fn a_server_that_no_cdn_can_name_is_none() {
        check(
            &["http://1.2.3.999/is/image/X/x"],
            &[(Some("X"), &[], false, 1)],
        );
    }
}
