//! Bad input, through the real program: each case gives one clear error that
//! names place and cure, sends nothing for what is broken, lets other sets go
//! on, and loses nothing.
//!
//! Names and labels carry the number of the scenario. Golden files under
//! `tests/manifests/invalid` pin the exact words of errors of shape; here stand
//! exit codes, what goes out, and what is left in the state.
//!
//! Errors of the manifests' contract, each with a case below:
//! - documents: other `apiVersion`, unknown fields and kinds, duplicate keys
//!   and names, merge keys, custom tags, null and empty scalars, files named
//!   outside the root, missing Template or Cdn, two provider blocks;
//! - tokens: server or root without a `dynamicMedia` Cdn (or with `rootId: "*"`),
//!   unknown `<TOKEN>`, `<PRESET>` without presets, `<CROP>` without crops, crops
//!   without `<CROP>`;
//! - assets: unsupported types, file endings, ids that no URL can hold, an asset
//!   without URL, a set without URL (nothing listed, all excluded);
//! - URLs: not absolute, credentials, fragment, too long, outside the root;
//! - files: bad rows (partial, and strict), a column that is not there;
//! - size: `--max-expansion`, budgets of the parser;
//! - secrets: inline, unset, unreadable, a host that is not allowed;
//! - look-ups: see `lookups`.
//!
//! Two cannot be provoked while `dynamicMedia` is the only provider, and have
//! their cases beside the code: a Cdn without servers and root (`expand`), and
//! two known provider blocks (`provider-blocks.yaml`).

#![expect(
    clippy::too_many_lines,
    reason = "the cases of a rule read as one table"
)]

use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use freshen::sandbox::{Options, Sandbox};
use tempfile::TempDir;

use crate::aloud::say;
use crate::program::{Run, command, run};

const BASE: &str = "https://m.acme.com/is/image/AcmeCorp/";

/// A folder of manifests, a state beside it, and a CDN.
pub(crate) struct World {
    home: TempDir,
    pub(crate) sandbox: Sandbox,
    /// Calls that were looked at already.
    seen: usize,
}

impl World {
    /// With a Cdn and the sets `good` and `bad`, whose assets are `keep` and
    /// `lost`; nothing is sent yet.
    fn new() -> Self {
        let world = Self {
            home: tempfile::tempdir().unwrap(),
            sandbox: Sandbox::start(Options::default()).unwrap(),
            seen: 0,
        };
        fs::create_dir(world.path("")).unwrap();
        world.write("cdn.yaml", world.cdn("dm"));
        world.write("good.yaml", set("good", "  assets: [keep]\n"));
        world.write("bad.yaml", set("bad", "  assets: [lost]\n"));
        world
    }

    /// The same, after everything was sent.
    pub(crate) fn settled() -> Self {
        let mut world = Self::new();
        let first = world.freshen(&["reconcile"]);
        assert_eq!(first.code, 0, "{}{}", first.stdout, first.stderr);
        assert_eq!(world.sent(), [url("keep"), url("lost")]);
        world
    }

    pub(crate) fn cdn(&self, name: &str) -> String {
        cdn_at(name, &self.sandbox.endpoint())
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.home.path().join("manifests").join(file)
    }

    pub(crate) fn write(&self, file: &str, text: impl AsRef<[u8]>) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(self.home.path());
        command
            .env("IPS_USER", Options::default().user)
            .env("IPS_PASSWORD", Options::default().password)
            .args(arguments);
        command
    }

    pub(crate) fn freshen(&self, arguments: &[&str]) -> Run {
        run(&mut self.command(arguments))
    }

    /// URLs that reached the CDN since the last look, sorted.
    pub(crate) fn sent(&mut self) -> Vec<String> {
        let calls = self.sandbox.calls();
        let fresh = &calls[self.seen..];
        let mut urls: Vec<String> = fresh.iter().flat_map(|call| call.urls.clone()).collect();
        self.seen = calls.len();
        urls.sort();
        urls
    }

    /// Runs with what is broken: every command exits with 4 and says `says`,
    /// the good set goes on, and nothing of the broken one is sent.
    pub(crate) fn check_broken(&mut self, label: &str, says: &[&str]) {
        for arguments in [&["validate"][..], &["plan"], &["reconcile"]] {
            self.write(
                "good.yaml",
                set("good", "  revision: '2'\n  assets: [keep]\n"),
            );
            let broken = self.freshen(arguments);
            check_says(label, arguments, &broken, 4, says);
        }
        assert_eq!(self.sent(), [url("keep")], "{label}: only the good set");
    }

    /// Cures what is broken: as it was, nothing is sent; with a new revision,
    /// exactly its URL.
    pub(crate) fn check_nothing_lost(&mut self, label: &str) {
        self.write("bad.yaml", set("bad", "  assets: [lost]\n"));
        let cured = self.freshen(&["reconcile"]);
        assert_eq!(cured.code, 0, "{label}: {}{}", cured.stdout, cured.stderr);
        assert_eq!(self.sent(), [""; 0], "{label}: as it was before");
        self.write(
            "bad.yaml",
            set("bad", "  revision: '2'\n  assets: [lost]\n"),
        );
        let bumped = self.freshen(&["reconcile"]);
        assert_eq!(
            bumped.code, 0,
            "{label}: {}{}",
            bumped.stdout, bumped.stderr
        );
        assert_eq!(self.sent(), [url("lost")], "{label}: exactly what is new");
    }
}

pub(crate) fn url(asset: &str) -> String {
    format!("{BASE}{asset}")
}

pub(crate) fn cdn_at(name: &str, endpoint: &str) -> String {
    format!(
        "apiVersion: freshen/v1
kind: Cdn
metadata: {{ name: {name} }}
spec:
  rateLimit: {{ requests: 1000/1m }}
  dynamicMedia:
    endpoint: {endpoint}
    company: AcmeCorp
    companyHandle: c|6
    publishServers: [\"https://m.acme.com\"]
    credentials:
      user: {{ env: IPS_USER }}
      password: {{ env: IPS_PASSWORD }}
"
    )
}

/// A set; its first own line is line 6.
pub(crate) fn set(name: &str, rest: &str) -> String {
    format!(
        "apiVersion: freshen/v1\nkind: AssetSet\nmetadata: {{ name: {name} }}\nspec:\n  cdns: [dm]\n{rest}"
    )
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.flat_map(|line| [line, "\n".to_owned()]).collect()
}

/// A template `t` with these entries, from line 6 on.
pub(crate) fn template(entries: &[&str]) -> String {
    let entries = lines(entries.iter().map(|entry| format!("    - {entry}")));
    format!(
        "apiVersion: freshen/v1\nkind: Template\nmetadata: {{ name: t }}\nspec:\n  urls:\n{entries}"
    )
}

pub(crate) fn check_says(label: &str, arguments: &[&str], run: &Run, code: i32, says: &[&str]) {
    let told = format!("{}{}", run.stdout, run.stderr);
    assert_eq!(run.code, code, "{label}: {arguments:?}: {told}");
    for text in says {
        assert!(
            told.contains(text),
            "{label}: {arguments:?}: no {text:?} in\n{told}"
        );
    }
    assert!(!told.contains("panicked"), "{label}: {told}");
    assert!(
        !told.contains("hunter2"),
        "{label}: a secret is shown: {told}"
    );
}

/// What a case writes over the sound manifests, and what must be said of it.
pub(crate) struct Case {
    pub(crate) label: &'static str,
    pub(crate) files: Vec<(&'static str, String)>,
    pub(crate) says: &'static [&'static str],
}

pub(crate) fn case(label: &'static str, rest: &str, says: &'static [&'static str]) -> Case {
    Case {
        label,
        files: vec![("bad.yaml", set("bad", rest))],
        says,
    }
}

impl Case {
    pub(crate) fn and(mut self, file: &'static str, text: impl Into<String>) -> Self {
        self.files.push((file, text.into()));
        self
    }

    pub(crate) fn check(&self) {
        let mut world = World::settled();
        for (file, text) in &self.files {
            world.write(file, text);
        }
        world.check_broken(self.label, self.says);
        for (file, _) in &self.files {
            fs::remove_file(world.path(file)).unwrap();
        }
        world.check_nothing_lost(self.label);
    }
}

pub(crate) fn check_all(cases: &[Case]) {
    for case in cases {
        case.check();
    }
}

#[test]
fn s2_errors_of_tokens_and_crops_name_line_and_cure() {
    let assets = "  templates: [t]\n  assets: [lost]\n";
    check_all(&[
        case(
            "s2_unknown_token_names_the_nearest",
            assets,
            &[
                "there is no token <PRESSET>",
                "manifests/t.yaml:6:7",
                "did you mean <PRESET>?",
            ],
        )
        .and("t.yaml", template(&["\"<ID>?$<PRESSET>$\""])),
        case(
            "s2_half_a_token",
            assets,
            &[
                "Some URLs are not defined correctly",
                "it holds '<'",
                "manifests/t.yaml:6:7",
                "tokens such as <ID>",
            ],
        )
        .and("t.yaml", template(&["<SERVER>/is/image/AcmeCorp/<ID"])),
        case(
            "s2_preset_without_presets",
            assets,
            &[
                "Failed to retrieve URL(s) for selected asset(s): image presets are asked for",
                "manifests/t.yaml:6:7",
                "list them under imagePresets",
            ],
        )
        .and("t.yaml", template(&["<ID>?$<PRESET>$"])),
        case(
            "s2_crop_without_crops",
            assets,
            &[
                "<CROP> is used here, and no asset of the set has smart crops",
                "manifests/t.yaml:6:7",
                "declare smartCrops",
            ],
        )
        .and("t.yaml", template(&["<ID>:<CROP>"])),
        case(
            "s2_crops_of_the_set_without_crop",
            "  smartCrops: [Banner]\n  assets: [lost]\n",
            &[
                "no template entry of this set uses its smart crops",
                "manifests/bad.yaml:6:15",
                "add an entry such as <ID>:<CROP>",
            ],
        ),
        case(
            "s2_crops_of_an_asset_without_crop",
            "  assets: [{ id: lost, smartCrops: [Banner] }]\n",
            &[
                "asset \"lost\" declares smart crops that no template entry uses",
                "manifests/bad.yaml:6:12",
                "add an entry such as <ID>:<CROP>",
            ],
        ),
    ]);
}

#[test]
fn s2_errors_of_assets_name_line_and_cure() {
    check_all(&[
        case(
            "s2_unsupported_type",
            "  assets: [{ id: lost, type: Word }]\n",
            &[
                "assets of type Word cannot be invalidated in the CDN",
                "manifests/bad.yaml:6:30",
                "take it out",
            ],
        ),
        case(
            "s2_unsupported_type_of_an_entry",
            "  templates: [t]\n  assets: [lost]\n",
            &[
                "assets of type Excel cannot be invalidated in the CDN",
                "manifests/t.yaml:6:14",
                "take it out",
            ],
        )
        .and("t.yaml", template(&["{ url: <ID>, types: [Excel] }"])),
        case(
            "s2_file_ending",
            "  assets: [lost.jpg]\n",
            &[
                "asset id \"lost.jpg\" ends in \".jpg\"",
                "manifests/bad.yaml:6:12",
                "drop the ending",
            ],
        ),
        case(
            "s2_bad_ids",
            "  assets: [\"a?b\", \"a#b\", \"a\\tb\"]\n",
            &[
                "an asset id cannot hold '?'",
                "manifests/bad.yaml:6:12",
                "an asset id cannot hold '#'",
                "manifests/bad.yaml:6:19",
                "an asset id cannot hold '\\t'",
                "manifests/bad.yaml:6:26",
                "give the id alone",
            ],
        ),
        case(
            "s2_empty_id",
            "  assets: [\"\"]\n",
            &[
                "an item of `assets` must not be empty",
                "manifests/bad.yaml:6:12",
                "give it a text, or remove it",
            ],
        ),
        case(
            "s2_asset_without_url",
            "  assets: [{ id: lost, type: Video }]\n",
            &[
                "Failed to retrieve URL(s) for selected asset(s): \"lost\" of type Video yields none",
                "manifests/bad.yaml:6:12",
                "give it a template entry",
            ],
        ),
        case(
            "s2_set_without_urls",
            "  assets: []\n",
            &[
                "No URL(s) entered to be invalidated: the set expands to nothing",
                "manifests/bad.yaml:5:3",
                "give it assets, assetsFrom or urls",
            ],
        ),
        case(
            "s2_all_assets_excluded",
            "  assets: [lost]\n  excludeAssets: [\"l*\"]\n",
            &[
                "No URL(s) entered to be invalidated: excludeAssets takes out the only asset",
                "manifests/bad.yaml:7:18",
                "loosen it, or remove the set",
            ],
        ),
        case(
            "s2_all_urls_excluded",
            "  assets: [lost, other]\n  exclude: [\"*lost\", \"*oth*\"]\n",
            &[
                "No URL(s) entered to be invalidated: exclude takes out all 2 URLs",
                "manifests/bad.yaml:7:12",
                "loosen it, or remove the set",
            ],
        ),
    ]);
}

#[test]
fn s2_credentials_in_urls_are_shown_in_no_form() {
    let check = |label: &str, file: &str, text: String| {
        let world = World::new();
        world.write(file, text);
        world.write(
            "uses.yaml",
            set("uses", "  templates: [t]\n  assets: [x]\n"),
        );
        if file != "template.yaml" {
            world.write("template.yaml", template(&["<ID>"]));
        }
        for form in ["text", "json", "jsonl", "markdown", "github", "sarif"] {
            let run = world.freshen(&["validate", "-o", form]);
            check_says(label, &["validate", form], &run, 4, &[file]);
        }
        let run = world.freshen(&["expand"]);
        check_says(label, &["expand"], &run, 4, &[file]);
    };
    let in_set = |label: &str, url: &str| {
        let list = format!("  urls: [\"{url}\"]\n");
        check(label, "bad.yaml", set("bad", &list));
        let block = template(&[&format!("\"{url}\"")]);
        check(label, "template.yaml", block);
        let text = format!("  urls: [\"{url}\n");
        check(label, "bad.yaml", set("bad", &text));
    };
    in_set(
        "credentials",
        "https://bob:hunter2@m.acme.com/is/image/<ID>",
    );
    in_set("a blank", "https://bob:hunter2@m.acme.com/is image/<ID>");
    in_set("a blank in it", "https://bob:hunter2 x@m.acme.com/is/<ID>");
    in_set("a fragment", "https://bob:hunter2@m.acme.com/is#top<ID>");
    in_set("a slash in it", "https://bob:x/hunter2@m.acme.com/is/<ID>");
    in_set("no scheme", "bob:hunter2@m.acme.com/is/image/<ID>");
    let cdn = cdn_at("other", "https://bob:hunter2@ips.acme.com");
    check("endpoint", "other.yaml", cdn);
    let cdn = cdn_at("other", "bob:hunter2@ips.acme.com");
    check("endpoint without a scheme", "other.yaml", cdn);
    let cdn = cdn_at("other", "https://ips.acme.com");
    let server = cdn.replace("https://m.acme.com", "https://bob:hunter2@m.acme.com");
    check("publish server", "other.yaml", server);
    let cut_off = cdn.replace("\"https://m.acme.com\"", "\"https://bob:hunter2@m.acme.com");
    check("publish server cut off", "other.yaml", cut_off);
}

#[test]
fn s2_errors_of_urls_name_line_and_cure() {
    let long = format!("  urls: [\"{BASE}{}\"]\n", "x".repeat(4100));
    let long_id = format!("  assets: [{}]\n", "x".repeat(4096));
    check_all(&[
        case(
            "s2_not_absolute",
            "  urls: [is/image/AcmeCorp/lost]\n",
            &[
                "Some URLs are not defined correctly: \"is/image/AcmeCorp/lost\": it is not an absolute http or https URL",
                "manifests/bad.yaml:6:10",
                "write it out from https:// on",
            ],
        ),
        case(
            "s2_credentials_in_a_url",
            "  urls: [\"https://u:p@m.acme.com/is/image/AcmeCorp/lost\"]\n",
            &[
                "Some URLs are not defined correctly",
                "it carries credentials",
                "manifests/bad.yaml:6:10",
                "remove what stands before the @",
            ],
        ),
        case(
            "s2_fragment",
            "  urls: [\"https://m.acme.com/is/image/AcmeCorp/lost#top\"]\n",
            &[
                "Some URLs are not defined correctly",
                "it has a fragment",
                "manifests/bad.yaml:6:10",
                "remove # and what follows",
            ],
        ),
        case(
            "s2_longer_than_4096_bytes",
            &long,
            &[
                "Some URLs are not defined correctly",
                "it is longer than 4096 bytes",
                "manifests/bad.yaml:6:10",
                "shorten its query",
            ],
        ),
        case(
            "s2_longer_than_4096_bytes_with_its_id",
            &long_id,
            &[
                "Some URLs are not defined correctly: this asset's are longer than 4096 bytes",
                "manifests/bad.yaml:6:12",
                "shorten its id",
            ],
        ),
        case(
            "s2_outside_the_root",
            "  urls: [\"https://m.acme.com/is/image/Other/lost\"]\n",
            &[
                "Some URLs are not defined correctly",
                "it is not under /is/image/AcmeCorp/ or /is/content/AcmeCorp/",
                "manifests/bad.yaml:6:10",
                "rootId: \"*\" on the Cdn lifts this rule",
            ],
        ),
        case(
            "s2_token_in_a_url",
            "  urls: [\"<SERVER>/is/image/<COMPANY>/lost\"]\n",
            &[
                "Some URLs are not defined correctly",
                "manifests/bad.yaml:6:10",
                "tokens such as <ID> belong into the `urls` of a Template",
            ],
        ),
    ]);
}

#[test]
fn s2_errors_of_shape_name_line_and_cure() {
    check_all(&[
        case(
            "s2_empty_scalar",
            "  revision:\n  assets: [lost]\n",
            &[
                "`revision` has no value",
                "manifests/bad.yaml:6:3",
                "give it one, or remove it",
            ],
        ),
        case(
            "s2_null_scalars",
            "  assets: [~, null]\n",
            &[
                "an item of `assets` has no value",
                "manifests/bad.yaml:6:12",
                "manifests/bad.yaml:6:15",
                "a text that reads as nothing needs quotes",
            ],
        ),
        case(
            "s2_merge_key",
            "  <<: { assets: [lost] }\n",
            &[
                "merge keys are not supported",
                "manifests/bad.yaml:6:3",
                "write the fields out",
            ],
        ),
        case(
            "s2_custom_tag",
            "  assets: [!Ref lost]\n",
            &[
                "tag `!Ref` is not supported",
                "manifests/bad.yaml:6:12",
                "remove it",
            ],
        ),
        case(
            "s2_asset_source_revision",
            "  assetsFrom: [{ dynamicMedia: { folder: a, revision: lastPublishd } }]\n",
            &[
                "`revision` must be `lastModified` or `lastPublished`",
                "manifests/bad.yaml:6:55",
                "did you mean `lastPublished`?",
            ],
        ),
        case(
            "s2_set_twice",
            "  assets: [lost]\n",
            &[
                "AssetSet `bad` is declared 2 times, also at ./manifests/again.yaml:3:19",
                "manifests/bad.yaml:3:19",
                "none of them is used until one is renamed or removed",
            ],
        )
        .and("again.yaml", set("bad", "  assets: [other]\n")),
        case(
            "s2_missing_template",
            "  templates: [tt]\n  assets: [lost]\n",
            &[
                "Template `tt` is not declared",
                "manifests/bad.yaml:6:15",
                "did you mean `t`?",
            ],
        )
        .and("t.yaml", template(&["<ID>"])),
        Case {
            label: "s2_other_api_version",
            files: vec![(
                "bad.yaml",
                set("bad", "  assets: [lost]\n").replace("freshen/v1", "freshen/v2"),
            )],
            says: &[
                "this version does not read apiVersion `freshen/v2`",
                "manifests/bad.yaml:1:13",
                "it reads `freshen/v1`",
            ],
        },
        Case {
            label: "s2_unknown_kind",
            files: vec![(
                "bad.yaml",
                set("bad", "  assets: [lost]\n").replace("AssetSet", "AssetSett"),
            )],
            says: &[
                "unknown kind `AssetSett`",
                "manifests/bad.yaml:2:7",
                "did you mean `AssetSet`?",
            ],
        },
        Case {
            label: "s2_missing_cdn",
            files: vec![(
                "bad.yaml",
                set("bad", "  assets: [lost]\n").replace("[dm]", "[md]"),
            )],
            says: &[
                "Cdn `md` is not declared",
                "manifests/bad.yaml:5:10",
                "did you mean `dm`?",
            ],
        },
        Case {
            label: "s2_several_cdns_and_none_named",
            files: vec![
                (
                    "bad.yaml",
                    set("bad", "  assets: [lost]\n").replace("  cdns: [dm]\n", ""),
                ),
                ("other.yaml", cdn_at("other", "http://127.0.0.1:9/")),
            ],
            says: &[
                "the set names no Cdn, and several are declared",
                "manifests/bad.yaml:4:1",
                "name those meant: `cdns: [dm, other]`",
            ],
        },
        Case {
            label: "s2_one_account_twice",
            files: vec![(
                "bad.yaml",
                set("bad", "  assets: [lost]\n").replace("[dm]", "[dm, dm]"),
            )],
            says: &[
                "Cdn `dm` is named twice",
                "manifests/bad.yaml:5:14",
                "remove one of the two",
            ],
        },
    ]);
}

#[test]
fn s2_errors_of_a_cdn_stop_its_own_sets_alone() {
    let other = cdn_at("other", "http://127.0.0.1:9/");
    let check = |label, cdn: String, says: &'static [&'static str]| {
        let bad = set("bad", "  assets: [lost]\n").replace("[dm]", "[other]");
        let files = vec![("bad.yaml", bad), ("other.yaml", cdn)];
        Case { label, files, says }.check();
    };
    check(
        "s2_two_provider_blocks",
        format!("{other}  akamai: {{}}\n"),
        &[
            "unknown field `akamai` in `spec`",
            "manifests/other.yaml:14:3",
            "known here:",
        ],
    );
    check(
        "s2_no_provider_block",
        "apiVersion: freshen/v1\nkind: Cdn\nmetadata: { name: other }\nspec: { concurrency: 2 }\n"
            .to_owned(),
        &[
            "the Cdn has no provider block",
            "manifests/other.yaml:4:1",
            "add one of: dynamicMedia",
        ],
    );
    check(
        "s2_inline_secret",
        other.replace("{ env: IPS_PASSWORD }", "hunter2"),
        &[
            "`password`: expected a mapping, found a text",
            "manifests/other.yaml:13:17",
            "`{ env: NAME }` or `{ file: PATH }`",
        ],
    );
    check(
        "s2_inline_secret_under_a_misspelt_key",
        other.replace("password: { env: IPS_PASSWORD }", "passwd: hunter2"),
        &[
            "unknown field `passwd` in `credentials`",
            "manifests/other.yaml:13:7",
            "did you mean `password`?",
        ],
    );
    check(
        "s2_inline_secret_in_a_file_cut_off",
        other.replace("{ env: IPS_PASSWORD }", "\"hunter2"),
        &[
            "not valid YAML",
            "manifests/other.yaml:13:17",
            "look at brackets",
        ],
    );
    check(
        "s2_secret_in_two_places",
        other.replace("{ env: IPS_PASSWORD }", "{ env: A, file: b }"),
        &[
            "`password` may have only one of `env` and `file`",
            "manifests/other.yaml:13:7",
            "remove the others",
        ],
    );
    check(
        "s2_unknown_region",
        other.replace("endpoint: http://127.0.0.1:9/", "region: mars"),
        &[
            // What is wrong and what to write instead are one sentence here.
            "`region` must be `northAmerica`, `emea` or `apac`",
            "manifests/other.yaml:7:13",
            "set `bad` keeps its last good state: Cdn `other` has errors",
        ],
    );
    check(
        "s2_neither_region_nor_endpoint",
        other.replace("    endpoint: http://127.0.0.1:9/\n", ""),
        &[
            "neither `region` nor `endpoint` is given",
            "manifests/other.yaml:7:5",
            "add `region: northAmerica`",
        ],
    );
}

#[test]
fn s2_a_bare_id_needs_a_root() {
    let world = World::new();
    world.write(
        "cdn.yaml",
        format!("{}    rootId: \"*\"\n", world.cdn("dm")),
    );
    let says = [
        "Failed to retrieve URL(s) for selected asset(s): a root is needed, and the Cdn's rootId is \"*\"",
        "manifests/bad.yaml:6:11",
        "or give the Cdn a rootId",
    ];
    for arguments in [&["validate"][..], &["plan"], &["reconcile"]] {
        check_says(
            "s2_bare_id_without_root",
            arguments,
            &world.freshen(arguments),
            4,
            &says,
        );
    }
    assert_eq!(world.sandbox.calls().len(), 0);
}

#[test]
fn s2_errors_of_named_files_name_line_and_cure() {
    check_all(&[
        case(
            "s2_file_outside_the_root",
            "  assetsFrom: [{ file: ../../etc/passwd }]\n",
            &[
                "cannot read `../../etc/passwd`: it lies outside the manifest root",
                "manifests/bad.yaml:6:24",
                "stay inside its root",
            ],
        ),
        case(
            "s2_file_by_absolute_path",
            "  assetsFrom: [{ file: /etc/passwd }]\n",
            &[
                "cannot read `/etc/passwd`: it lies outside the manifest root",
                "manifests/bad.yaml:6:24",
                "files are named from the manifest's folder on, and stay inside its root",
            ],
        ),
        case(
            "s2_file_that_is_missing",
            "  assetsFrom: [{ file: ids.txt }]\n",
            &[
                "cannot read `ids.txt`: it does not exist",
                "manifests/bad.yaml:6:24",
                "files are named from the manifest's folder on, and stay inside its root",
            ],
        ),
        case(
            "s2_file_that_is_a_folder",
            "  assetsFrom: [{ file: . }]\n",
            &[
                "cannot read `.`: it is not a regular file",
                "manifests/bad.yaml:6:24",
                "files are named from the manifest's folder on, and stay inside its root",
            ],
        ),
        case(
            "s2_file_that_is_empty",
            "  assetsFrom: [{ file: ids.txt }]\n",
            &[
                "No URL(s) entered to be invalidated: the set expands to nothing",
                "manifests/bad.yaml:5:3",
                "give it assets, assetsFrom or urls",
            ],
        )
        .and("ids.txt", "# none yet\n\n"),
        case(
            "s2_csv_without_the_column",
            "  assetsFrom: [{ csv: c.csv, id: sku }]\n",
            &[
                "manifests/c.csv has no column \"sku\"",
                "manifests/bad.yaml:6:34",
                "its columns are id, rev",
            ],
        )
        .and("c.csv", "id,rev\nlost,1\n"),
        case(
            "s2_csv_without_rows",
            "  assetsFrom: [{ csv: c.csv, id: sku }]\n",
            &[
                "manifests/c.csv has no header row",
                "manifests/bad.yaml:6:23",
                "the first row names the columns",
            ],
        )
        .and("c.csv", ""),
        case(
            "s2_bad_row_under_strict",
            "  strict: true\n  assetsFrom: [{ file: ids.txt }]\n",
            &[
                "error: an asset id cannot hold '?'",
                "manifests/ids.txt:2:1",
                "give the id alone",
            ],
        )
        .and("ids.txt", "lost\na?b\n"),
    ]);
}

#[test]
fn s2_bad_rows_are_named_and_counted_and_the_others_go_out() {
    let mut world = World::settled();
    let rows = lines((0..30).map(|n| format!("r{n}?x")));
    world.write("ids.txt", format!("lost\nnew\ndoc.pdf\n{rows}"));
    world.write(
        "bad.yaml",
        set("bad", "  assetsFrom: [{ file: ids.txt }]\n"),
    );
    let says = [
        "warning: asset id \"doc.pdf\" ends in \".pdf\"",
        "manifests/ids.txt:3:1",
        "manifests/ids.txt:22:1",
        "11 more bad rows",
    ];
    check_says(
        "s2_bad_rows",
        &["validate"],
        &world.freshen(&["validate"]),
        4,
        &says,
    );
    for arguments in [&["plan"][..], &["reconcile"]] {
        check_says(
            "s2_bad_rows",
            arguments,
            &world.freshen(arguments),
            4,
            &says,
        );
    }
    assert_eq!(world.sent(), [url("new")], "what is sound is sent");
    world.write("ids.txt", "lost\nnew\ndoc\n");
    let cured = world.freshen(&["reconcile"]);
    assert_eq!(cured.code, 0, "{}", cured.stdout);
    assert_eq!(world.sent(), [url("doc")]);
}

#[test]
fn s2_a_set_larger_than_allowed_is_not_expanded() {
    let mut world = World::settled();
    world.write("bad.yaml", set("bad", "  assets: [lost, b, c, d]\n"));
    let says = [
        "the set expands to 4 URLs, more than the 3 allowed",
        "manifests/bad.yaml:5:3",
        "raise --max-expansion",
    ];
    for arguments in [
        ["--max-expansion", "3", "validate"],
        ["--max-expansion", "3", "plan"],
        ["--max-expansion", "3", "reconcile"],
    ] {
        check_says(
            "s2_max_expansion",
            &arguments,
            &world.freshen(&arguments),
            4,
            &says,
        );
    }
    assert_eq!(world.sent(), [""; 0]);
    world.check_nothing_lost("s2_max_expansion");
}

#[test]
fn s2_secrets_that_cannot_be_had_stop_the_cdn_and_nothing_else() {
    let missing = "secret file `/nonexistent/pw` cannot be read: No such file or directory \
                   (os error 2) (let the user that runs freshen read it, or correct `credentials` of the Cdn)";
    for (label, from, to, says) in [
        (
            "s2_secret_unset",
            "IPS_PASSWORD",
            "NO_SUCH",
            "environment variable `NO_SUCH` is not set (set it where freshen runs",
        ),
        (
            "s2_secret_file_missing",
            "env: IPS_PASSWORD",
            "file: /nonexistent/pw",
            missing,
        ),
        (
            "s2_secret_file_is_a_folder",
            "env: IPS_PASSWORD",
            "file: /",
            "secret file `/` is not a regular file (name a file",
        ),
    ] {
        let mut world = World::settled();
        let sound = world.cdn("dm");
        world.write("cdn.yaml", sound.replace(from, to));
        world.write("bad.yaml", set("bad", "  assets: [lost, new]\n"));
        for arguments in [&["validate"][..], &["plan"]] {
            check_says(label, arguments, &world.freshen(arguments), 0, &[]);
        }
        let told = ["Failed to invalidate CDN cache", says];
        check_says(
            label,
            &["reconcile"],
            &world.freshen(&["reconcile"]),
            4,
            &told,
        );
        assert_eq!(world.sent(), [""; 0], "{label}");
        world.write("cdn.yaml", sound);
        assert_eq!(world.freshen(&["reconcile"]).code, 0, "{label}");
        assert_eq!(world.sent(), [url("new")], "{label}");
    }
}

#[test]
fn s2_credentials_go_to_no_host_that_is_not_allowed() {
    let mut world = World::settled();
    let other = cdn_at("other", "https://ips.invalid/ips");
    world.write("other.yaml", other);
    let bad = set("bad", "  assets: [lost]\n").replace("[dm]", "[other]");
    world.write("bad.yaml", bad);
    let label = "s2_host_not_allowed";
    for arguments in [&["validate"][..], &["plan"]] {
        check_says(label, arguments, &world.freshen(arguments), 0, &[]);
    }
    let says = [
        "Failed to invalidate CDN cache",
        "`https://ips.invalid` is not one of the provider's own hosts",
        "--allow-endpoint https://ips.invalid",
    ];
    check_says(
        label,
        &["reconcile"],
        &world.freshen(&["reconcile"]),
        4,
        &says,
    );
    assert_eq!(world.sent(), [""; 0]);
    for form in [
        "https://ips.invalid/",
        "https://IPS.invalid:443",
        "https://ips.invalid/ips",
    ] {
        let arguments = ["reconcile", "--max-time", "1s", "--allow-endpoint", form];
        let run = world.freshen(&arguments);
        check_says(label, &arguments, &run, 4, &[]);
        assert!(
            !run.stdout.contains("not one of the provider's own"),
            "{form}: {}",
            run.stdout
        );
    }
    fs::remove_file(world.path("other.yaml")).unwrap();
    world.check_nothing_lost(label);
}

#[test]
fn a_bad_line_of_a_shared_template_is_told_once() {
    let world = World::new();
    world.write("t.yaml", template(&["<ID>/<X>"]));
    for name in ["good", "bad"] {
        world.write(
            &format!("{name}.yaml"),
            set(name, "  templates: [t]\n  assets: [a]\n"),
        );
    }
    for command in ["validate", "plan", "reconcile", "expand"] {
        let run = world.freshen(&[command]);
        let told = format!("{}{}", run.stdout, run.stderr);
        assert_eq!(run.code, 4, "{command}: {told}");
        assert_eq!(
            told.matches("there is no token <X>").count(),
            1,
            "{command}: {told}"
        );
    }
    let json = world.freshen(&["validate", "-o", "json"]);
    let found: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(found["errors"], 1, "{}", json.stdout);
}

#[test]
fn c1_01_a_file_cut_in_two_keeps_its_last_good_state() {
    let whole = set("bad", "  assets: [ lost, other ]\n");
    Case {
        label: "c1_01",
        files: vec![("bad.yaml", whole[..whole.len() - 4].to_owned())],
        says: &[
            "not valid YAML",
            "manifests/bad.yaml:7:1",
            "look at brackets, quotes and indentation",
        ],
    }
    .check();
}

#[test]
fn c1_03_a_file_truncated_before_it_is_written_sends_nothing() {
    let mut world = World::settled();
    world.write("bad.yaml", "");
    let empty = world.freshen(&["reconcile"]);
    assert_eq!(empty.code, 0, "{}", empty.stdout);
    assert_eq!(world.sent(), [""; 0]);
    world.check_nothing_lost("c1_03");
}

#[test]
fn c1_05_what_editors_leave_behind_is_not_read() {
    let mut world = World::settled();
    let debris = set("debris", "  assets: [other]\n");
    for name in [
        "bad.yaml~",
        ".bad.yaml.swp",
        "4913",
        "#bad.yaml#",
        ".goutputstream-X",
        "bad.yaml.tmp",
        "..data_tmp",
        "bad.yaml.bak",
    ] {
        world.write(name, &debris);
    }
    symlink("nowhere", world.path(".#bad.yaml")).unwrap();
    let read = world.freshen(&["reconcile"]);
    check_says("c1_05", &["reconcile"], &read, 0, &[]);
    assert_eq!(world.sent(), [""; 0]);
    world.check_nothing_lost("c1_05");
}

#[test]
fn c1_20_a_touched_file_sends_nothing() {
    let mut world = World::settled();
    let touched = Command::new("touch").arg(world.path("bad.yaml")).status();
    assert!(touched.unwrap().success());
    let mode = Command::new("chmod")
        .arg("600")
        .arg(world.path("bad.yaml"))
        .status();
    assert!(mode.unwrap().success());
    assert_eq!(world.freshen(&["reconcile"]).code, 0);
    assert_eq!(world.sent(), [""; 0]);
}

#[test]
fn c1_23_a_name_in_two_files_refuses_both() {
    case(
        "c1_23",
        "  assets: [lost]\n",
        &[
            "AssetSet `bad` is declared 2 times, also at ./manifests/sub/again.yml:3:19",
            "AssetSet `bad` is declared 2 times, also at ./manifests/bad.yaml:3:19",
            "none of them is used until one is renamed or removed",
        ],
    )
    .and("sub/again.yml", set("bad", "  assets: [other]\n"))
    .check();
}

#[test]
fn c1_24_a_url_of_two_sets_goes_once() {
    let mut world = World::settled();
    for name in ["one", "two"] {
        world.write(&format!("{name}.yaml"), set(name, "  assets: [shared]\n"));
    }
    let says = [
        "the set `two` declares `https://",
        "/shared`, as the set `one` does at ./manifests/one.yaml:3",
        "manifests/two.yaml:3",
        "declare it in one of them",
    ];
    let validated = world.freshen(&["validate"]);
    check_says("c1_24", &["validate"], &validated, 0, &says);
    for quiet in ["plan", "reconcile"] {
        let run = world.freshen(&[quiet]);
        assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
        assert!(
            !run.stdout.contains("as the set `one` does"),
            "{}",
            run.stdout
        );
    }
    assert_eq!(world.sent(), [url("shared")]);
}

#[test]
fn c1_25_duplicate_keys_are_refused_with_both_lines() {
    case(
        "c1_25",
        "  assets: [lost]\n  assets: [other]\n",
        &[
            "duplicate key `assets`, first at 6:3",
            "manifests/bad.yaml:7:3",
            "keep one of the two",
        ],
    )
    .check();
}

#[test]
fn c1_26_an_unknown_field_is_refused_with_its_nearest() {
    case(
        "c1_26",
        "  asets: [lost]\n",
        &[
            "unknown field `asets` in `spec`",
            "manifests/bad.yaml:6:3",
            "did you mean `assets`?",
        ],
    )
    .check();
}

#[test]
fn c1_27_every_document_of_a_file_counts() {
    let mut world = World::settled();
    let two = [
        set("bad", "  assets: [lost]\n"),
        set("second", "  assets: [new]\n"),
    ];
    world.write("bad.yaml", two.join("---\n"));
    assert_eq!(world.freshen(&["reconcile"]).code, 0);
    assert_eq!(world.sent(), [url("new")]);
}

#[test]
fn c1_28_an_empty_file_or_one_of_comments_is_no_error() {
    let mut world = World::settled();
    world.write("empty.yaml", "");
    world.write("comments.yaml", "# nothing\n\n# yet\n");
    world.write("dashes.yaml", "---\n---\n");
    let read = world.freshen(&["validate"]);
    check_says("c1_28", &["validate"], &read, 0, &["no problems"]);
    assert_eq!(world.freshen(&["reconcile"]).code, 0);
    assert_eq!(world.sent(), [""; 0]);
}

#[test]
fn c1_29_conflict_markers_are_named() {
    case(
        "c1_29",
        "<<<<<<< HEAD\n  assets: [lost]\n=======\n  assets: [other]\n>>>>>>> topic\n",
        &[
            "the file holds conflict markers of an unfinished merge",
            "manifests/bad.yaml:6:1",
            "finish the merge",
        ],
    )
    .check();
}

#[test]
fn c1_30_bom_and_line_ends_change_nothing() {
    let mut world = World::settled();
    let text = set("bad", "  assets: [lost]\n").replace('\n', "\r\n");
    world.write("bad.yaml", format!("\u{feff}{text}"));
    assert_eq!(world.freshen(&["reconcile"]).code, 0);
    assert_eq!(world.sent(), [""; 0]);
}

#[test]
fn c1_31_other_encodings_are_an_error_of_their_file_alone() {
    let sound = set("bad", "  assets: [lost]\n");
    let utf16: Vec<u8> = [0xfeff]
        .into_iter()
        .chain(sound.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    let latin = [sound.as_bytes(), b"# gr\xfcn\n"].concat();
    for (label, bytes, says) in [
        (
            "c1_31_utf_16",
            utf16,
            [
                "the file is UTF-16",
                "manifests/bad.yaml",
                "save it as UTF-8",
            ],
        ),
        (
            "c1_31_not_utf_8",
            latin,
            [
                "the file is not valid UTF-8",
                "manifests/bad.yaml:7:5",
                "save it as UTF-8",
            ],
        ),
    ] {
        let mut world = World::settled();
        world.write("bad.yaml", bytes);
        world.check_broken(label, &says);
        world.check_nothing_lost(label);
    }
}

#[test]
fn c1_32_bombs_are_refused_and_a_long_list_is_not() {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let aliases = format!("*a{}, ", n - 1).repeat(10);
        writeln!(laughs, "a{n}: &a{n} [{aliases}]").unwrap();
    }
    let deep = format!("spec: {}{}\n", "[".repeat(100_000), "]".repeat(100_000));
    for (label, text, says) in [
        (
            "c1_32_billion_laughs",
            laughs,
            [
                "aliases add too much to this file",
                "manifests/bad.yaml:4:45",
                "write the values out, or move them into a file of ids",
            ],
        ),
        (
            "c1_32_deep_nesting",
            deep,
            [
                "nested deeper than 32 levels",
                "manifests/bad.yaml:1:",
                "check its brackets and its indentation",
            ],
        ),
    ] {
        let mut world = World::settled();
        world.write("bad.yaml", text);
        world.check_broken(label, &says);
        world.check_nothing_lost(label);
    }
    let world = World::new();
    let ids = lines((0..300_000).map(|n| format!("    - a{n}")));
    world.write("bad.yaml", set("bad", &format!("  assets:\n{ids}")));
    check_says(
        "c1_32_long_list",
        &["validate"],
        &world.freshen(&["validate"]),
        0,
        &["300,001 URLs"],
    );
}

#[test]
fn c1_33_scalars_keep_their_text() {
    let world = World::new();
    let ids = [
        "no",
        "010",
        "12:30:45",
        "1.10",
        "0x1F",
        "1e3",
        "true",
        "2026-11-22",
    ];
    world.write(
        "bad.yaml",
        set("bad", &format!("  assets: [{}]\n", ids.join(", "))),
    );
    let expanded = world.freshen(&["expand", "bad"]);
    let mut expected = ids.map(url);
    expected.sort();
    assert_eq!(
        expanded.stdout.lines().collect::<Vec<_>>(),
        expected,
        "{}",
        expanded.stderr
    );
}

#[test]
fn c1_34_an_expansion_bomb_is_counted_before_it_goes_off() {
    let list = |letter: char| {
        (0..100)
            .map(|n| format!("{letter}{n}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let tokens = "<ID>:<CROP>?$<PRESET>$";
    let entries: Vec<String> = (0..30).map(|n| format!("{tokens}&n={n}")).collect();
    let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
    let rest = format!(
        "  templates: [t]\n  imagePresets: [{}]\n  smartCrops: [{}]\n  assets: [{}]\n",
        list('p'),
        list('c'),
        list('i'),
    );
    case(
        "c1_34",
        &rest,
        &[
            "the set expands to 30010100 URLs, more than the 20000000 allowed",
            "manifests/bad.yaml:5:3",
            "split the set",
        ],
    )
    .and("t.yaml", template(&entries))
    .check();
}

#[test]
fn c1_35_a_link_out_of_the_root_is_an_error() {
    let mut world = World::settled();
    let outside = world.home.path().join("outside.yaml");
    fs::write(&outside, set("bad", "  assets: [other]\n")).unwrap();
    fs::remove_file(world.path("bad.yaml")).unwrap();
    symlink(&outside, world.path("bad.yaml")).unwrap();
    world.check_broken(
        "c1_35",
        &[
            "it lies outside the manifest root",
            "manifests/bad.yaml",
            "links must stay inside",
        ],
    );
    fs::remove_file(world.path("bad.yaml")).unwrap();
    world.check_nothing_lost("c1_35");
}

#[test]
fn a_link_that_leads_nowhere_is_an_error_of_that_file_alone() {
    let mut world = World::settled();
    fs::remove_file(world.path("bad.yaml")).unwrap();
    symlink("nowhere.yaml", world.path("bad.yaml")).unwrap();
    world.check_broken(
        "dangling",
        &[
            "cannot be read: it does not exist",
            "manifests/bad.yaml",
            "remove the link, or restore what it leads to",
        ],
    );
    fs::remove_file(world.path("bad.yaml")).unwrap();
    world.check_nothing_lost("dangling");
}

#[test]
fn c1_36_links_in_a_circle_end_and_read_each_file_once() {
    let mut world = World::settled();
    fs::create_dir(world.path("sub")).unwrap();
    symlink("..", world.path("sub/up")).unwrap();
    symlink("loop", world.path("loop")).unwrap();
    symlink("sub", world.path("alias")).unwrap();
    let read = world.freshen(&["reconcile"]);
    check_says("c1_36", &["reconcile"], &read, 0, &[]);
    assert_eq!(world.sent(), [""; 0]);
}

#[test]
fn c1_37_a_link_that_turns_outwards_while_it_is_read_never_leads_out() {
    let world = World::settled();
    let outside = world.home.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("x.yaml"), set("stolen", "  assets: [other]\n")).unwrap();
    fs::create_dir(world.path("inside")).unwrap();
    let [link, fresh] = ["link", ".fresh"].map(|name| world.path(name));
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                for target in [Path::new("inside"), &outside] {
                    symlink(target, &fresh).unwrap();
                    fs::rename(&fresh, &link).unwrap();
                }
            }
        });
        // Some scans meet no turn: at least one of them must come to its end.
        let mut has_read = false;
        for run in 0..400 {
            let read = world.freshen(&["expand"]);
            assert!(!read.stdout.contains("other"), "{}", read.stdout);
            has_read |= read.code == 0 && read.stdout.contains("keep");
            if has_read && run >= 20 {
                break;
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(has_read, "no run came to an end between two turns");
    });
}

#[test]
fn c1_38_pipes_and_devices_are_skipped_with_a_warning() {
    let mut world = World::settled();
    let made = Command::new("mkfifo").arg(world.path("pipe.yaml")).status();
    assert!(made.unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(world.path("socket.yaml")).unwrap();
    let says = [
        "warning: it is skipped: not a regular file",
        "manifests/pipe.yaml",
        "manifests/socket.yaml",
    ];
    check_says(
        "c1_38",
        &["validate"],
        &world.freshen(&["validate"]),
        0,
        &says,
    );
    check_says(
        "c1_38",
        &["reconcile"],
        &world.freshen(&["reconcile"]),
        0,
        &says,
    );
    assert_eq!(world.sent(), [""; 0]);
    for name in ["pipe.yaml", "socket.yaml"] {
        fs::remove_file(world.path(name)).unwrap();
    }
    symlink("/dev/zero", world.path("zero.yaml")).unwrap();
    world.check_broken(
        "c1_38_device",
        &[
            "it lies outside the manifest root",
            "manifests/zero.yaml",
            "links must stay inside",
        ],
    );
    fs::remove_file(world.path("zero.yaml")).unwrap();
    world.check_nothing_lost("c1_38");
}

#[test]
fn c1_39_a_file_that_may_not_be_read_keeps_its_last_good_state() {
    let mut world = World::settled();
    let label = "c1_39";
    // The superuser is denied nothing, so a plain user runs the program.
    let Some(user) = plain_user(&world) else {
        return;
    };
    let denied = Command::new("chmod")
        .arg("000")
        .arg(world.path("bad.yaml"))
        .status();
    assert!(denied.unwrap().success());
    let says = [
        "cannot be read: permission denied",
        "manifests/bad.yaml",
        "let the user that runs freshen read it",
    ];
    for arguments in [&["validate"][..], &["plan"], &["reconcile"]] {
        world.write(
            "good.yaml",
            set("good", "  revision: '2'\n  assets: [keep]\n"),
        );
        let broken = run(&mut as_user(&world, user, arguments));
        check_says(label, arguments, &broken, 4, &says);
    }
    assert_eq!(world.sent(), [url("keep")]);
    fs::remove_file(world.path("bad.yaml")).unwrap();
    world.check_nothing_lost(label);
}

/// A user without rights of its own who can run the program here; says why
/// not, where there is none.
fn plain_user(world: &World) -> Option<u32> {
    const NOBODY: u32 = 65534;
    let owned = Command::new("chown")
        .arg("-R")
        .arg(NOBODY.to_string())
        .arg(world.home.path())
        .status();
    let probe = as_user(world, NOBODY, &["--version"]).output();
    if owned.is_ok_and(|status| status.success()) && probe.is_ok_and(|run| run.status.success()) {
        return Some(NOBODY);
    }
    say("SKIPPED c1_39: needs root and setpriv, to run freshen as a plain user");
    None
}

/// The program, run by `user`, from a copy that anyone may execute.
fn as_user(world: &World, user: u32, arguments: &[&str]) -> Command {
    let program = world.home.path().join("freshen");
    if !program.exists() {
        fs::copy(env!("CARGO_BIN_EXE_freshen"), &program).unwrap();
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", &user.to_string(), "--clear-groups"])
        .arg(program)
        .args(arguments)
        .current_dir(world.home.path())
        .env("IPS_USER", Options::default().user)
        .env("IPS_PASSWORD", Options::default().password);
    command
}

#[test]
fn c1_40_a_name_that_is_no_text_is_an_error_of_its_file_alone() {
    let mut world = World::settled();
    let odd = std::ffi::OsStr::from_bytes(b"o\xffdd.yaml");
    fs::write(world.path("").join(odd), set("odd", "  assets: [other]\n")).unwrap();
    world.write("new\nline.yaml", set("line", "  assets: [other]\n"));
    world.check_broken(
        "c1_40",
        &[
            "its name is not plain UTF-8 text, so it is not read",
            "o\\xffdd.yaml",
            "new\\nline.yaml",
            "rename it",
        ],
    );
    fs::remove_file(world.path("").join(odd)).unwrap();
    fs::remove_file(world.path("new\nline.yaml")).unwrap();
    world.check_nothing_lost("c1_40");
}

#[test]
fn c1_41_a_manifest_deleted_and_restored_sends_nothing() {
    let mut world = World::settled();
    fs::remove_file(world.path("bad.yaml")).unwrap();
    assert_eq!(world.freshen(&["reconcile"]).code, 0);
    assert_eq!(world.sent(), [""; 0]);
    world.check_nothing_lost("c1_41");
}

#[test]
fn c1_42_a_manifest_moved_elsewhere_sends_nothing() {
    let mut world = World::settled();
    fs::create_dir(world.path("sub")).unwrap();
    fs::rename(world.path("bad.yaml"), world.path("sub/moved.yml")).unwrap();
    assert_eq!(world.freshen(&["reconcile"]).code, 0);
    assert_eq!(world.sent(), [""; 0]);
}

#[test]
fn c1_43_order_and_comments_send_nothing() {
    let mut world = World::settled();
    world.write("bad.yaml", set("bad", "  assets: [lost, a, b]\n"));
    assert_eq!(world.freshen(&["reconcile"]).code, 0);
    assert_eq!(world.sent(), [url("a"), url("b")]);
    let turned = "# Turned.\nspec:\n  assets: # three\n    - b\n    - lost\n    - a\n  cdns:\n    - dm\nmetadata:\n  name: bad\nkind: AssetSet\napiVersion: freshen/v1\n";
    world.write("bad.yaml", turned);
    assert_eq!(world.freshen(&["reconcile"]).code, 0);
    assert_eq!(world.sent(), [""; 0]);
}

/// The state file.
fn state(world: &World) -> PathBuf {
    world.home.path().join("freshen.db")
}

/// A change that a good run sends as `new`, and nothing else.
fn declare_new(world: &World) {
    world.write("bad.yaml", set("bad", "  assets: [lost, new]\n"));
}

/// `reconcile` cannot start: it exits with 1, says `says`, and sends nothing.
fn check_no_start(world: &mut World, label: &str, says: &[&str]) {
    declare_new(world);
    let run = world.freshen(&["reconcile"]);
    check_says(label, &["reconcile"], &run, 1, says);
    assert_eq!(world.sent(), [""; 0], "{label}");
}

/// With its state back, a good run sends exactly what is new.
fn check_goes_on(world: &mut World, label: &str) {
    let run = world.freshen(&["reconcile"]);
    assert_eq!(run.code, 0, "{label}: {}{}", run.stdout, run.stderr);
    assert_eq!(world.sent(), [url("new")], "{label}");
}

#[test]
fn c2_45_a_full_disk_stops_before_anything_is_sent() {
    let mut world = World::settled();
    declare_new(&world);
    let script = "mkdir small && mount -t tmpfs -o size=512k tmpfs small || exit 77
cp freshen.db freshen.db.lock small/ && head -c 1m /dev/zero > small/fill 2> /dev/null
truncate -s -48k small/fill
\"$0\" --state small/freshen.db reconcile; code=$?
rm small/fill; \"$0\" --state small/freshen.db state check || exit 78
cp small/freshen.db after.db; exit $code";
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-c", script, env!("CARGO_BIN_EXE_freshen")])
        .current_dir(world.home.path())
        .env("IPS_USER", Options::default().user)
        .env("IPS_PASSWORD", Options::default().password);
    let Ok(output) = command.output() else {
        return say("SKIPPED c2_45: there is no `unshare` to mount a small disk with");
    };
    let told = String::from_utf8_lossy(&output.stderr).to_lowercase();
    if output.status.code() == Some(77) || told.starts_with("unshare") {
        return say(&format!(
            "SKIPPED c2_45: no small disk could be mounted: {told}"
        ));
    }
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("no space left for the state `"), "{told}");
    assert!(told.contains("small/freshen.db"), "{told}");
    assert!(told.contains("hint: make room and run again"), "{told}");
    assert_eq!(world.sent(), [""; 0]);
    fs::rename(world.home.path().join("after.db"), state(&world)).unwrap();
    check_goes_on(&mut world, "c2_45");
}

/// A run that waits for an answer that never comes.
fn hanging(world: &World) -> std::process::Child {
    let before = world.sandbox.calls().len();
    world.sandbox.fail(freshen::sandbox::Failure::Hang, Some(1));
    let mut command = world.command(&["reconcile"]);
    let mut child = command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while world.sandbox.calls().len() == before {
        assert!(child.try_wait().unwrap().is_none(), "the run ended");
        std::thread::yield_now();
    }
    child
}

#[test]
fn c2_46_a_killed_run_leaves_a_sound_state_and_its_batch_is_sent_again() {
    let mut world = World::settled();
    declare_new(&world);
    let mut child = hanging(&world);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(world.freshen(&["state", "check"]).code, 0);
    assert_eq!(world.sent(), [url("new")], "it was under way");
    check_goes_on(&mut world, "c2_46");
    assert_eq!(world.freshen(&["reconcile"]).code, 0);
    assert_eq!(world.sent(), [""; 0]);
}

#[test]
fn c2_48_a_damaged_state_is_refused_and_left_alone() {
    let whole = {
        let world = World::settled();
        fs::read(state(&world)).unwrap()
    };
    let mut flipped = whole.clone();
    flipped[..16].fill(0x55);
    let damages = [
        ("c2_48_zero_length", Vec::new()),
        ("c2_48_truncated", whole[..whole.len() / 2].to_vec()),
        ("c2_48_corrupt", flipped),
    ];
    for (label, damaged) in damages {
        let mut world = World::settled();
        let sound = fs::read(state(&world)).unwrap();
        fs::write(state(&world), &damaged).unwrap();
        check_no_start(
            &mut world,
            label,
            &[
                "the state is damaged: `",
                "/freshen.db`: ",
                "`freshen state check` lists all damage",
            ],
        );
        for reader in ["plan", "status", "history"] {
            let says = ["the state is damaged: `", "/freshen.db`: "];
            check_says(label, &[reader], &world.freshen(&[reader]), 1, &says);
        }
        assert_eq!(
            fs::read(state(&world)).unwrap(),
            damaged,
            "{label}: left alone"
        );
        fs::write(state(&world), &sound).unwrap();
        check_goes_on(&mut world, label);
    }
}

#[test]
fn c2_49_c2_60_a_state_of_a_newer_format_is_refused_by_name() {
    let mut world = World::settled();
    let sound = fs::read(state(&world)).unwrap();
    let file = rusqlite::Connection::open(state(&world)).unwrap();
    file.execute_batch("PRAGMA user_version = 99; UPDATE meta SET written_by = '9.1.0'; PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    drop(file);
    let newer = fs::read(state(&world)).unwrap();
    let says = [
        "has format 99, written by freshen 9.1.0",
        "this freshen knows formats up to",
        "use freshen 9.1.0 or later",
    ];
    check_no_start(&mut world, "c2_49", &says);
    assert_eq!(fs::read(state(&world)).unwrap(), newer, "left untouched");
    fs::write(state(&world), sound).unwrap();
    check_goes_on(&mut world, "c2_60");
}

#[test]
fn damage_found_while_reading_names_the_file_too() {
    let world = World::settled();
    let file = rusqlite::Connection::open(state(&world)).unwrap();
    file.execute_batch("UPDATE bucket SET digest = zeroblob(32)")
        .unwrap();
    drop(file);
    declare_new(&world);
    let says = ["the state is damaged: `", "/freshen.db`: bucket ledger "];
    for command in ["plan", "reconcile"] {
        let run = world.freshen(&[command]);
        check_says("damage", &[command], &run, 1, &says);
    }
    let check = ["state", "check"];
    check_says("damage", &check, &world.freshen(&check), 4, &says);
}

#[test]
fn a_ledger_of_an_unknown_algorithm_is_refused_by_name_and_left_alone() {
    let mut world = World::settled();
    let sound = fs::read(state(&world)).unwrap();
    let file = rusqlite::Connection::open(state(&world)).unwrap();
    file.execute_batch(
        "UPDATE ledger SET algorithm = 'freshen-2'; UPDATE meta SET written_by = '9.1.0';
         PRAGMA wal_checkpoint(TRUNCATE)",
    )
    .unwrap();
    drop(file);
    let later = fs::read(state(&world)).unwrap();
    let says = [
        "by the algorithm `freshen-2`, written by freshen 9.1.0",
        "/freshen.db`",
        "this freshen knows `freshen-1`",
        "use freshen 9.1.0 or later",
    ];
    check_no_start(&mut world, "algorithm", &says);
    for reader in ["plan", "status"] {
        check_says("algorithm", &[reader], &world.freshen(&[reader]), 1, &says);
    }
    assert_eq!(fs::read(state(&world)).unwrap(), later, "left untouched");
    fs::write(state(&world), sound).unwrap();
    check_goes_on(&mut world, "algorithm");
}

#[test]
fn c2_50_a_state_of_another_environment_is_refused() {
    let mut world = World::settled();
    let other = World::settled();
    let export = other.home.path().join("export.db");
    let exported = other.freshen(&["state", "export", "./export.db"]);
    assert_eq!(exported.code, 0, "{}", exported.stderr);
    let import = ["state", "import", export.to_str().unwrap()];
    check_says(
        "c2_50",
        &import,
        &world.freshen(&import),
        1,
        &[
            "error: `",
            "export.db` belongs to another state",
            "hint: give `--force` if that is meant",
        ],
    );
    declare_new(&other);
    let saved = other.home.path().join("plan.json");
    assert_eq!(other.freshen(&["plan", "--save", "plan.json"]).code, 0);
    declare_new(&world);
    let foreign = ["reconcile", "--plan", saved.to_str().unwrap()];
    check_says(
        "c2_50",
        &foreign,
        &world.freshen(&foreign),
        1,
        &[
            "error: the saved plan was made against another state",
            "hint: nothing was sent; look at `freshen plan` and save it again",
        ],
    );
    assert_eq!(world.sent(), [""; 0]);
    check_goes_on(&mut world, "c2_50");
}

#[test]
fn c2_52_a_state_that_cannot_be_written_is_told_with_path_and_flag() {
    let mut world = World::settled();
    declare_new(&world);
    fs::create_dir(world.home.path().join("folder")).unwrap();
    for place in ["/proc/freshen.db", "missing/freshen.db", "folder"] {
        let arguments = ["--state", place, "reconcile"];
        let run = world.freshen(&arguments);
        check_says(
            "c2_52",
            &arguments,
            &run,
            1,
            &["error: ", place, "`--state`"],
        );
        assert_eq!(world.sent(), [""; 0], "{place}");
    }
    check_goes_on(&mut world, "c2_52");
}

#[test]
fn c2_53_a_second_run_is_told_who_holds_the_state_and_sends_nothing() {
    let mut world = World::settled();
    declare_new(&world);
    let mut child = hanging(&world);
    let holder = format!("process {}", child.id());
    let says = [
        "is held by",
        "`freshen reconcile`",
        holder.as_str(),
        "wait for it or end",
    ];
    let second = world.freshen(&["reconcile"]);
    check_says("c2_53", &["reconcile"], &second, 5, &says);
    assert_eq!(world.sent(), [url("new")], "of the first run alone");
    assert_eq!(world.freshen(&["plan"]).code, 0, "a plan needs no lock");
    child.kill().unwrap();
    child.wait().unwrap();
    check_goes_on(&mut world, "c2_53");
}

#[test]
fn c2_55_the_lock_of_a_killed_run_goes_with_it() {
    let mut world = World::settled();
    declare_new(&world);
    let mut child = hanging(&world);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(world.home.path().join("freshen.db.lock").exists());
    assert_eq!(world.sent(), [url("new")]);
    check_goes_on(&mut world, "c2_55");
}
