//! From a `dynamicMedia` block to a provider, with every problem in its place.

use std::collections::BTreeSet;

use url::{Host, Url};

use super::block::{Block, CredentialsBlock, ImagePresets, Region, Service};
use super::codec::{DynamicMedia, Endpoint};
use super::soap::{ACCESS_TOKEN, PASSWORD, USER};
use crate::expand::Addressing;
use crate::manifest::wire::{SecretWire, Text};
use crate::manifest::{PresetSpec, Problem, SecretRef, Step, without_userinfo};
use crate::provider::Places;

/// Where the service lives on every host of Adobe's.
const SERVICE_PATH: &str = "/scene7/services/IpsApiService";

/// Characters that would end a root, or that no URL may hold.
const NOT_IN_ROOTS: &str = " /?#%<>\"";

/// Checks a block of the right shape for sense.
pub(in crate::provider) fn decode(
    block: Block,
    places: &Places<'_>,
) -> Result<DynamicMedia, Vec<Problem>> {
    let mut check = Check {
        places,
        problems: Vec::new(),
    };
    let endpoint = check.endpoint(&block);
    let addressing = check.addressing(&block);
    let lists_presets = matches!(block.image_presets, ImagePresets::Discovered(_));
    let credentials = check.credentials(block.credentials);
    check.name(&[Step::Key("company")], &block.company.0, "");
    if let Some(handle) = &block.company_handle {
        check.name(&[Step::Key("companyHandle")], &handle.0, "");
    }
    check.namespace(&block.api_namespace.0);
    match endpoint {
        Some(endpoint) if check.problems.is_empty() => Ok(DynamicMedia::new(
            endpoint,
            &block.api_namespace.0,
            block.company.0,
            block.company_handle.map(String::from),
            (addressing, lists_presets),
            credentials,
        )),
        _ => Err(check.problems),
    }
}

struct Check<'a> {
    places: &'a Places<'a>,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn report(
        &mut self,
        path: &[Step<'_>],
        code: &'static str,
        message: impl Into<String>,
        hint: &str,
    ) {
        let problem = Problem::error(code, (self.places)(path), message);
        self.problems.push(problem.hint(hint));
    }

    fn endpoint(&mut self, block: &Block) -> Option<Endpoint> {
        match (block.region, &block.endpoint) {
            (Some(region), None) => Some(region_endpoint(region, block.service)),
            (None, Some(endpoint)) => {
                if block.service == Service::Staging {
                    self.report(
                        &[Step::Key("service")],
                        "endpoint-conflict",
                        "`service` picks a host of a region, and this Cdn has an `endpoint`",
                        "give the staging URL as `endpoint`, or use `region`",
                    );
                }
                self.own_endpoint(&endpoint.0)
            }
            (Some(_), Some(_)) => {
                self.report(
                    &[Step::KeyOf("endpoint")],
                    "endpoint-conflict",
                    "`region` and `endpoint` are both given",
                    "keep `region` for Adobe's own hosts, `endpoint` for any other",
                );
                None
            }
            (None, None) => {
                self.report(
                    &[],
                    "endpoint-missing",
                    "neither `region` nor `endpoint` is given",
                    "add `region: northAmerica`, `emea` or `apac`",
                );
                None
            }
        }
    }

    fn own_endpoint(&mut self, text: &str) -> Option<Endpoint> {
        let endpoint = parse_endpoint(text);
        if let Err(why) = &endpoint {
            self.report(
                &[Step::Key("endpoint")],
                "endpoint-invalid",
                format!("endpoint `{}` {why}", without_userinfo(text)),
                "write it as `https://host` or `https://host/path`",
            );
        }
        endpoint.ok()
    }

    fn addressing(&mut self, block: &Block) -> Addressing {
        let company = &block.company.0;
        let root = block.root_id.as_ref().map_or(company, |root| &root.0);
        if root != "*" {
            let key = block.root_id.as_ref().map_or("company", |_| "rootId");
            self.name(&[Step::Key(key)], root, NOT_IN_ROOTS);
        }
        for (index, Text(server)) in block.publish_servers.iter().enumerate() {
            if let Err(why) = judge_server(server) {
                self.report(
                    &[Step::Key("publishServers"), Step::Index(index)],
                    "publish-server-invalid",
                    format!("publish server `{}` {why}", without_userinfo(server)),
                    "write scheme and host only, such as `https://s7d1.scene7.com`",
                );
            }
        }
        for (index, Text(crop)) in block.smart_crops.iter().enumerate() {
            self.name(&[Step::Key("smartCrops"), Step::Index(index)], crop, "/?#");
        }
        Addressing {
            servers: texts(&block.publish_servers),
            company: if root == "*" { company } else { root }.clone(),
            root: (root != "*").then(|| root.clone()),
            presets: self.presets(&block.image_presets),
            crops: texts(&block.smart_crops),
        }
    }

    fn presets(&mut self, presets: &ImagePresets) -> Vec<PresetSpec> {
        let key = Step::Key("imagePresets");
        let ImagePresets::Declared(presets) = presets else {
            return Vec::new();
        };
        let presets: Vec<PresetSpec> = presets.iter().cloned().map(PresetSpec::from).collect();
        let mut names = BTreeSet::new();
        for (index, PresetSpec { name, .. }) in presets.iter().enumerate() {
            let at = [key, Step::Index(index)];
            self.name(&at, name, "$?#");
            if !names.insert(name) {
                let message = format!("image preset `{name}` is listed twice");
                self.report(&at, "duplicate-preset", message, "keep one of them");
            }
        }
        presets
    }

    /// The secrets of the one way of two to say who calls.
    fn credentials(&mut self, block: CredentialsBlock) -> Vec<(&'static str, SecretRef)> {
        let has_user = block.user.is_some();
        let fault = match (&block.password, &block.access_token) {
            (Some(_), Some(_)) => Some("they hold both a `password` and an `accessToken`"),
            (Some(_), None) if !has_user => Some("they hold a `password`, and no `user`"),
            (None, None) => Some("they hold neither a `password` nor an `accessToken`"),
            _ => None,
        };
        if let Some(fault) = fault {
            self.report(
                &[Step::Key("credentials")],
                "credentials",
                format!("the credentials are not clear: {fault}"),
                "give `user` and `password`, or an `accessToken`",
            );
        }
        let given = [
            (USER, block.user),
            (PASSWORD, block.password),
            (ACCESS_TOKEN, block.access_token),
        ];
        let given = given.into_iter();
        given
            .filter_map(|(role, secret)| Some((role, self.secret(role, secret?))))
            .collect()
    }

    fn secret(&mut self, role: &str, secret: SecretWire) -> SecretRef {
        let reference = SecretRef::from(secret);
        let is_usable = match &reference {
            SecretRef::Env(name) => !name.is_empty() && !name.contains(['=', '\0']),
            SecretRef::File(path) => !path.is_empty() && !path.contains('\0'),
        };
        if !is_usable {
            self.report(
                &[Step::Key("credentials"), Step::Key(role)],
                "secret-reference",
                format!("`{role}` must name an environment variable or a file"),
                "write `{ env: NAME }` or `{ file: PATH }`",
            );
        }
        reference
    }

    fn name(&mut self, path: &[Step<'_>], text: &str, forbidden: &str) {
        if let Err(message) = judge_name(text, forbidden) {
            self.report(
                path,
                "name-invalid",
                message,
                "use the name as Dynamic Media shows it",
            );
        }
    }

    fn namespace(&mut self, version: &str) {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if version.is_empty() || !version.chars().all(fits) {
            self.report(
                &[Step::Key("apiNamespace")],
                "name-invalid",
                "`apiNamespace` is a version such as `2014-04-03`",
                "give only what follows `http://www.scene7.com/IpsApi/xsd/`",
            );
        }
    }
}

/// Why `text` is not the root of URLs.
pub fn judge_root(text: &str) -> Result<(), String> {
    judge_name(text, NOT_IN_ROOTS)
}

fn judge_name(text: &str, forbidden: &str) -> Result<(), String> {
    let bad = |c: char| c.is_control() || forbidden.contains(c);
    match text.chars().find(|c| bad(*c)) {
        Some(c) => Err(format!("a name here cannot hold {c:?}")),
        None if text.trim().is_empty() => Err("a name here cannot be empty".to_owned()),
        None => Ok(()),
    }
}

fn texts(list: &[Text]) -> Vec<String> {
    list.iter().cloned().map(String::from).collect()
}

fn region_endpoint(region: Region, service: Service) -> Endpoint {
    let number = match region {
        Region::NorthAmerica => 1,
        Region::Emea => 3,
        Region::Apac => 5,
    };
    let staging = match service {
        Service::Production => "",
        Service::Staging => "-staging",
    };
    Endpoint {
        origin: format!("https://s7sps{number}apissl{staging}.scene7.com"),
        path: SERVICE_PATH.to_owned(),
        is_known: true,
    }
}

fn parse_endpoint(text: &str) -> Result<Endpoint, &'static str> {
    let url = Url::parse(text).map_err(|_| "is not a URL")?;
    let is_loopback = is_loopback(&url);
    match url.scheme() {
        "https" => {}
        "http" if is_loopback => {}
        "http" => return Err("would carry credentials unencrypted; http is for loopback only"),
        _ => return Err("is not an https URL"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds credentials, which belong under `credentials`");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment");
    }
    let origin = url.origin().ascii_serialization();
    let path = match url.path() {
        "/" => SERVICE_PATH,
        path => path,
    };
    Ok(Endpoint {
        is_known: is_loopback || is_adobe(&origin),
        origin,
        path: path.to_owned(),
    })
}

fn is_adobe(origin: &str) -> bool {
    [Region::NorthAmerica, Region::Emea, Region::Apac]
        .into_iter()
        .flat_map(|region| {
            [Service::Production, Service::Staging].map(|service| region_endpoint(region, service))
        })
        .any(|known| known.origin == origin)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Why `text` is no publish server. It goes into URLs as it stands, so nothing
/// about it is repaired.
pub fn judge_server(text: &str) -> Result<(), &'static str> {
    let url = Url::parse(text).map_err(|_| "is not a URL")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("is not an http or https URL");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds credentials");
    }
    let (_, authority) = text.split_once("://").ok_or("is not a URL")?;
    let odd = |c: char| c.is_control() || c.is_whitespace() || "/?#\\".contains(c);
    if authority.is_empty() || authority.contains(odd) {
        return Err("has more than scheme and host");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::manifest::{Place, Step};
    use crate::provider::catalog;

    const GOOD: &str = "
        region: emea
        company: AcmeCorp
        publishServers: ['https://s7d1.scene7.com', 'http://media.acme.com:8080']
        imagePresets: [thumbnail, { name: large, revision: '2' }]
        credentials: { user: { env: IPS_USER }, password: { file: /run/secrets/ips } }
    ";

    fn decode(yaml: &str) -> catalog::Decoded {
        let block = serde_yaml::from_str(yaml).unwrap();
        catalog::decode("dynamicMedia", block, &|path: &[Step<'_>]| {
            Some(Place::file(format!("{path:?}")))
        })
    }

    /// A good block with one line more, or with a line in another's stead.
    fn changed(line: &str) -> String {
        let key = line.split(':').next().unwrap();
        let kept = GOOD.lines().filter(|line| !line.trim().starts_with(key));
        let lines: Vec<&str> = kept.map(str::trim).chain([line]).collect();
        lines.join("\n")
    }

    fn check(yaml: &str, expected: &[&str]) {
        let problems = decode(yaml).err().unwrap_or_default();
        let messages: Vec<&str> = problems.iter().map(|found| &*found.message).collect();
        assert_eq!(messages, expected, "{yaml}");
        let is_complete = |found: &super::Problem| found.place.is_some() && found.hint.is_some();
        assert!(problems.iter().all(is_complete), "{yaml}");
    }

    #[test]
    fn a_good_block_says_where_to_send_and_how_urls_look() {
        let provider = decode(GOOD).unwrap();
        assert_eq!(
            provider.target(),
            "dynamic-media https://s7sps3apissl.scene7.com company=AcmeCorp"
        );
        assert!(provider.is_known_endpoint());
        let addressing = provider.addressing().unwrap();
        assert_eq!(addressing.root.as_deref(), Some("AcmeCorp"));
        assert_eq!(addressing.presets[1].revision.as_deref(), Some("2"));
    }

    #[test]
    fn the_target_depends_on_endpoint_and_company_alone() {
        let target = |line: &str| decode(&changed(line)).unwrap().target().to_owned();
        let same = target("company: AcmeCorp");
        assert_eq!(target("apiNamespace: '2013-02-15'"), same);
        assert_eq!(target("companyHandle: c|6"), same);
        assert_eq!(target("rootId: '*'"), same);
        assert_ne!(target("company: Other"), same);
        assert_ne!(target("service: staging"), same);
    }

    #[test]
    fn the_root_may_differ_from_the_company_and_may_be_lifted() {
        let addressing = |line: &str| decode(&changed(line)).unwrap().addressing().cloned();
        let lifted = addressing("rootId: '*'").unwrap();
        assert_eq!(
            (lifted.company.as_str(), lifted.root.as_deref()),
            ("AcmeCorp", None)
        );
        let other = addressing("rootId: acme-prod").unwrap();
        assert_eq!(other.company, "acme-prod");
        check(
            &changed("company: Acme Corp"),
            &["a name here cannot hold ' '"],
        );
        check(&(changed("company: Acme Corp") + "\nrootId: acme"), &[]);
    }

    #[test]
    fn an_endpoint_is_https_unless_on_loopback_and_known_only_where_it_is_ours() {
        let endpoint = |url: &str| GOOD.replace("region: emea", &format!("endpoint: '{url}'"));
        let known = |url: &str| decode(&endpoint(url)).unwrap().is_known_endpoint();
        assert!(known("https://s7sps1apissl-staging.scene7.com/"));
        assert!(known("http://127.0.0.1:8080"));
        assert!(known("http://[::1]:8080/x"));
        assert!(!known("https://s7sps1apissl.scene7.com.evil.example"));
        assert!(!known("https://s7sps1apissl.scene7.com:8443"));
        check(
            &endpoint("http://relay.acme.com"),
            &[
                "endpoint `http://relay.acme.com` would carry credentials unencrypted; http is for loopback only",
            ],
        );
        check(
            &endpoint("https://joe:hunter2@relay.acme.com"),
            &[
                "endpoint `https://…@relay.acme.com` holds credentials, which belong under `credentials`",
            ],
        );
        check(&endpoint("relay"), &["endpoint `relay` is not a URL"]);
    }

    #[test]
    fn who_calls_is_said_in_one_way_of_two() {
        let credentials = |text: &str| changed(&format!("credentials: {{ {text} }}"));
        check(&credentials("user: { env: U }, password: { env: P }"), &[]);
        check(&credentials("accessToken: { env: T }"), &[]);
        check(
            &credentials("user: { env: U }, accessToken: { env: T }"),
            &[],
        );
        let unclear = |text: &str, fault: &str| {
            let message = format!("the credentials are not clear: they hold {fault}");
            check(&credentials(text), &[&message]);
        };
        unclear("password: { env: P }", "a `password`, and no `user`");
        unclear(
            "user: { env: U }",
            "neither a `password` nor an `accessToken`",
        );
        unclear(
            "user: { env: U }, password: { env: P }, accessToken: { env: T }",
            "both a `password` and an `accessToken`",
        );
    }

    #[test]
    fn presets_to_be_discovered_are_none_until_they_are() {
        let check = |line: &str, lists: bool, count: usize| {
            let provider = decode(&changed(line)).unwrap();
            assert_eq!(
                provider.as_library().unwrap().lists_presets(),
                lists,
                "{line}"
            );
            assert_eq!(
                provider.addressing().unwrap().presets.len(),
                count,
                "{line}"
            );
        };
        check("imagePresets: discover", true, 0);
        check("imagePresets: [a, b]", false, 2);
        check("imagePresets: []", false, 0);
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        check(
            "
            region: apac
            endpoint: https://x
            company: ''
            rootId: a/b
            apiNamespace: http://www.scene7.com/IpsApi/xsd/2014-04-03
            publishServers: [s7d1.scene7.com, 'https://x/is/image', 'ftp://x']
            imagePresets: [a, a, b$]
            credentials: { user: { env: A=B }, password: { file: '' } }
            ",
            &[
                "`region` and `endpoint` are both given",
                "a name here cannot hold '/'",
                "publish server `s7d1.scene7.com` is not a URL",
                "publish server `https://x/is/image` has more than scheme and host",
                "publish server `ftp://x` is not an http or https URL",
                "image preset `a` is listed twice",
                "a name here cannot hold '$'",
                "`user` must name an environment variable or a file",
                "`password` must name an environment variable or a file",
                "a name here cannot be empty",
                "`apiNamespace` is a version such as `2014-04-03`",
            ],
        );
        check(
            &GOOD.replace("region: emea", ""),
            &["neither `region` nor `endpoint` is given"],
        );
    }
}
