//! The arguments, as a person reads them in `--help`.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::digest::Digest;
use crate::import;
use crate::report::Format;
use crate::submit::origin::Origin;

/// Keep CDN caches true to what a git repository declares.
///
/// Manifests say which URLs exist and at which revision their content is;
/// freshen works out which of them a CDN has not been told about yet, tells it
/// in as few batches as its rules allow, and records what happened.
#[derive(Debug, Parser)]
#[command(name = "freshen", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub(super) struct Arguments {
    /// Where to look, what to keep, how to answer.
    #[command(flatten)]
    pub(super) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
}

const EXIT_CODES: &str = "\
Every flag can be given as an environment variable too: --max-time as
FRESHEN_MAX_TIME, but for those of suspend and resume. FRESHEN_MANIFESTS holds
several folders as PATH does; an empty variable counts as unset.

Exit codes, the first that holds:
  64  the command line is wrong
   5  another process holds the state
 130  told twice to stop
   1  nothing could be judged or done
   4  something is invalid, failed, refused, held or unfinished
   3  something is blocked: it waits for an approval, or for manifests that are gone
   2  there are changes (plan --detailed-exitcode only)
   0  all is well";

/// Flags of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of every command")]
pub(super) struct Global {
    /// Folder of manifests; may be given several times: their union counts
    #[arg(long, global = true, value_name = "DIR", default_value = "./manifests")]
    pub(super) manifests: Vec<PathBuf>,
    /// The state file
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        default_value = "./freshen.db"
    )]
    pub(super) state: PathBuf,
    /// How the result is written
    #[arg(short, long, global = true, value_enum, default_value_t = OutputFormat::Text)]
    pub(super) output: OutputFormat,
    /// The most URLs a set may expand to
    #[arg(
        long,
        global = true,
        value_name = "URLS",
        default_value_t = 20_000_000,
        hide_short_help = true
    )]
    pub(super) max_expansion: u64,
}

/// How the result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputFormat {
    Text,
    Json,
    Jsonl,
    Markdown,
    Github,
    Sarif,
}

impl From<OutputFormat> for Format {
    fn from(format: OutputFormat) -> Self {
        match format {
            OutputFormat::Text => Self::Text,
            OutputFormat::Json => Self::Json,
            OutputFormat::Jsonl => Self::Jsonl,
            OutputFormat::Markdown => Self::Markdown,
            OutputFormat::Github => Self::Github,
            OutputFormat::Sarif => Self::Sarif,
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write a commented first set of manifests
    Init(Init),
    /// Write manifests that yield exactly the URLs of a list
    ImportUrls(super::import::Arguments),
    /// Check every manifest; needs no network
    Validate,
    /// Print the URLs that the manifests yield, one a line, sorted
    Expand(Expand),
    /// Show what would be sent, and why; offline, writes nothing
    Plan(Plan),
    /// Send what the CDNs have not been told yet, and record it
    Reconcile(Reconcile),
    /// Reconcile whenever the manifests change, until asked to end
    Run(super::run::Arguments),
    /// Show what is recorded of each set
    Status(OneSet),
    /// Show the batches that were sent
    History(History),
    /// Tell which manifests yield a URL or asset, and when it was last sent
    Explain(Explain),
    /// Send again, whatever is recorded
    Invalidate(Invalidate),
    /// Let a blocked plan through, exactly as it was shown
    Approve(Approve),
    /// Send nothing for a set, a Cdn or at all, until resumed
    Suspend(Scope),
    /// Take a suspension back
    Resume(Scope),
    /// Check Cdns, credentials, clock, state and watcher; invalidates nothing
    Doctor(super::doctor::Arguments),
    /// Look into the state file, or mend it
    #[command(subcommand)]
    State(super::state::Arguments),
    /// Print a JSON Schema: of a manifest, or of a command's JSON
    Schema(Schema),
    /// Print completions for a shell
    Completions(Completions),
    /// Print the manual page
    Man,
    /// See it work against a CDN inside this program
    Demo,
    /// Serve that CDN on loopback, for trying things out
    Sandbox(Sandbox),
}

/// `init`.
#[derive(Args, Debug)]
pub(super) struct Init {
    /// Folder to write into; created if need be, nothing is overwritten
    #[arg(value_name = "DIR", default_value = "./manifests")]
    pub(super) folder: PathBuf,
    /// Declare the lines of Adobe's template screen, saved in FILE (`-`: standard input)
    #[arg(long, value_name = "FILE", requires_all = ["publish_server", "company"])]
    pub(super) from_template: Option<PathBuf>,
    /// What `<SERVER>` stands for in them; may be given several times
    #[arg(long, value_name = "URL", value_parser = import::server, requires = "from_template")]
    pub(super) publish_server: Vec<String>,
    /// What `<COMPANY>` stands for in them
    #[arg(long, value_name = "NAME", value_parser = import::company, requires = "from_template")]
    pub(super) company: Option<String>,
}

/// `expand`.
#[derive(Args, Debug)]
pub(super) struct Expand {
    /// Only this set
    pub(super) set: Option<String>,
}

/// `plan`.
#[derive(Args, Debug)]
pub(super) struct Plan {
    /// Write the plan's identity to a file for `reconcile --plan`
    #[arg(long, value_name = "FILE")]
    pub(super) save: Option<PathBuf>,
    /// Exit with 2 where there are changes
    #[arg(long)]
    pub(super) detailed_exitcode: bool,
    /// List URLs: 20 of each line, given twice 100,000
    #[arg(short, long, action = ArgAction::Count)]
    pub(super) verbose: u8,
    /// Compare with the manifests at this commit instead of with a state
    #[arg(long, value_name = "REF")]
    pub(super) since: Option<String>,
}

/// `reconcile`.
#[derive(Args, Debug)]
pub(super) struct Reconcile {
    /// Send only what this saved plan said
    #[arg(long, value_name = "FILE")]
    pub(super) plan: Option<PathBuf>,
    /// Only this set
    #[arg(long)]
    pub(super) set: Option<String>,
    /// Let this blocked plan through; may be given several times
    #[arg(long, value_name = "PLAN", value_parser = plan_id)]
    pub(super) approve: Vec<String>,
    /// Begin nothing after this long, such as 90s, 30m or 2h
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = super::duration::parse_ms)]
    pub(super) max_time: u64,
    /// What a state without a past means
    #[arg(long, value_enum, value_name = "CHOICE")]
    pub(super) bootstrap: Option<Bootstrap>,
    /// A host besides the provider's own that may be sent credentials
    #[arg(long, value_name = "ORIGIN")]
    pub(super) allow_endpoint: Vec<Origin>,
    /// Write the metrics of this run to a file, for a collector of text files
    #[arg(long, value_name = "FILE")]
    pub(super) metrics_file: Option<PathBuf>,
    /// Send what differs from the manifests at this commit; keeps no state
    #[arg(long, value_name = "REF", conflicts_with = "plan")]
    pub(super) since: Option<String>,
}

/// What a state without a past means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Bootstrap {
    /// Send everything, under the limits of each set
    Invalidate,
    /// Record everything as already fresh
    Adopt,
    /// Send nothing
    Fail,
}

/// `status`.
#[derive(Args, Debug)]
pub(super) struct OneSet {
    /// Only this set
    pub(super) set: Option<String>,
}

/// `history`.
#[derive(Args, Debug)]
pub(super) struct History {
    /// Only batches with a share of this set
    pub(super) set: Option<String>,
    /// Only the latest so many
    #[arg(long, value_name = "BATCHES", default_value_t = 100)]
    pub(super) last: u32,
}

/// `explain`.
#[derive(Args, Debug)]
pub(super) struct Explain {
    /// A URL as a browser shows it, or an asset's id
    #[arg(value_name = "URL|ASSET")]
    pub(super) subject: String,
    /// Fetch it now, through the edge and from the Cdn's `origin`, and compare
    #[arg(long)]
    pub(super) fetch: bool,
}

/// `invalidate`.
#[derive(Args, Debug)]
pub(super) struct Invalidate {
    /// Only this set
    pub(super) set: Option<String>,
    /// Only URLs of this asset
    #[arg(long, value_name = "ID")]
    pub(super) asset: Option<String>,
    /// Only URLs that match, `*` standing for anything
    #[arg(long = "match", value_name = "GLOB")]
    pub(super) pattern: Option<String>,
    /// This URL, declared or not; may be given several times
    #[arg(long, value_name = "URL")]
    pub(super) url: Vec<String>,
    /// The URLs in this file, one a line
    #[arg(long, value_name = "FILE")]
    pub(super) urls_from: Option<PathBuf>,
    /// Only at this Cdn
    #[arg(long, value_name = "NAME")]
    pub(super) cdn: Option<String>,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
    /// A host besides the provider's own that may be sent credentials
    #[arg(long, value_name = "ORIGIN")]
    pub(super) allow_endpoint: Vec<Origin>,
    #[command(flatten)]
    pub(super) wait: Wait,
}

/// `--wait`, of whatever a process that holds the state may have to act on.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct Wait {
    /// Wait for whoever holds the state to do it, and for all that is sent to
    /// be accepted or refused; for 30m at most unless told otherwise
    #[arg(
        long,
        value_name = "DURATION",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "30m",
        value_parser = super::duration::parse_ms
    )]
    pub(super) wait: Option<u64>,
}

/// `approve`.
#[derive(Args, Debug)]
pub(super) struct Approve {
    /// The plan's id, or its first 12 digits
    #[arg(value_name = "PLAN")]
    pub(super) plan: String,
    #[command(flatten)]
    pub(super) wait: Wait,
}

/// `suspend` and `resume`.
#[derive(Args, Debug)]
pub(super) struct Scope {
    #[command(flatten)]
    pub(super) what: Suspended,
    #[command(flatten)]
    pub(super) wait: Wait,
}

/// What `suspend` and `resume` apply to.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(super) struct Suspended {
    /// This set
    #[arg(long, value_name = "NAME")]
    pub(super) set: Option<String>,
    /// This Cdn
    #[arg(long, value_name = "NAME")]
    pub(super) cdn: Option<String>,
    /// Everything
    #[arg(long)]
    pub(super) all: bool,
}

/// `schema`.
#[derive(Args, Debug)]
pub(super) struct Schema {
    /// Which one; without it, the names
    pub(super) name: Option<String>,
}

/// `completions`.
#[derive(Args, Debug)]
pub(super) struct Completions {
    /// For this shell
    pub(super) shell: clap_complete::Shell,
}

/// `sandbox`.
#[derive(Args, Debug)]
pub(super) struct Sandbox {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub(super) port: u16,
}

fn plan_id(text: &str) -> Result<String, String> {
    if Digest::is_named_by(text) {
        Ok(text.to_owned())
    } else {
        Err("a plan is named by at least 12 digits of its id".to_owned())
    }
}
