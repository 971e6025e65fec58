//! The daemon's log, on standard error: one line an event, whatever is in it.
//!
//! Names, URLs and answers come from others. Everything but the line's own
//! beginning is escaped after it was formatted, so that no field and no message
//! can start a line, move the cursor or colour anything.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal as _};

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, MakeWriter, format};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;

use crate::report::escape;

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// Which events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// Writes every event from now on to standard error.
pub(super) fn init(format: LogFormat, level: LogLevel) {
    let choice = anstream::AutoStream::choice(&io::stderr());
    let is_coloured = choice != anstream::ColorChoice::Never && io::stderr().is_terminal();
    let subscriber = subscriber(format, level, is_coloured, io::stderr);
    tracing::subscriber::set_global_default(subscriber).expect("the log is set up once");
}

fn subscriber<W>(
    format: LogFormat,
    level: LogLevel,
    is_coloured: bool,
    writer: W,
) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let level = LevelFilter::from(level);
    // What libraries say in detail is of no use here, and may hold secrets.
    let theirs = level.min(LevelFilter::INFO);
    let filter = filter_fn(move |metadata| {
        let most = if is_ours(metadata.target()) {
            level
        } else {
            theirs
        };
        *metadata.level() <= most
    });
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        // Nobody can be told where standard error is gone.
        .log_internal_errors(false);
    let layer = match format {
        LogFormat::Text => layer.event_format(Text { is_coloured }).boxed(),
        LogFormat::Json => {
            let json = format::format()
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false);
            layer.json().event_format(Json(json)).boxed()
        }
    };
    tracing_subscriber::registry().with(layer.with_filter(filter.with_max_level_hint(level)))
}

/// `2026-11-25T03:37:00.000000Z INFO message key=value`.
struct Text {
    is_coloured: bool,
}

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        SystemTime.format_time(&mut writer)?;
        let level = *event.metadata().level();
        if self.is_coloured {
            let style = style(level);
            write!(writer, " {style}{level:>5}{style:#} ")?;
        } else {
            write!(writer, " {level:>5} ")?;
        }
        let mut text = String::new();
        let target = event.metadata().target();
        if !is_ours(target) {
            write!(text, "{target}: ")?;
        }
        context
            .field_format()
            .format_fields(Writer::new(&mut text), event)?;
        writeln!(writer, "{}", escape::terminal(&text))
    }
}

fn style(level: Level) -> anstyle::Style {
    let colour = match level {
        Level::ERROR => anstyle::AnsiColor::Red,
        Level::WARN => anstyle::AnsiColor::Yellow,
        Level::INFO => anstyle::AnsiColor::Green,
        _ => anstyle::AnsiColor::BrightBlack,
    };
    colour.on_default()
}

fn is_ours(target: &str) -> bool {
    target.split("::").next() == Some(env!("CARGO_CRATE_NAME"))
}

/// JSON as the library writes it, with what a terminal would act on escaped as
/// well: JSON itself lets most of that through.
struct Json(format::Format<format::Json>);

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0
            .format_event(context, Writer::new(&mut line), event)?;
        writeln!(writer, "{}", escape::json(line.trim_end_matches('\n')))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What is written, for a look afterwards.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that `events` write.
    fn lines(
        format: LogFormat,
        level: LogLevel,
        is_coloured: bool,
        events: impl FnOnce(),
    ) -> Vec<String> {
        let page = Page::default();
        let writer = page.clone();
        let subscriber = subscriber(format, level, is_coloured, move || writer.clone());
        tracing::subscriber::with_default(subscriber, events);
        let bytes = page.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
        text.split_terminator('\n').map(str::to_owned).collect()
    }

    /// A line without its time, which has to be RFC 3339 in UTC.
    fn timeless(line: &str) -> &str {
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.ends_with('Z'), "{time}");
        time.parse::<jiff::Timestamp>().unwrap();
        rest
    }

    const HOSTILE: &str = "a\n::error::b\r\u{1b}[31mc\u{9b}2J\u{202e}d\u{85}\u{2028}e\u{7f}";

    fn hostile_events() {
        let error = io::Error::other(HOSTILE);
        tracing::warn!(text = HOSTILE, shown = %HOSTILE, debugged = ?HOSTILE, "{HOSTILE}");
        tracing::error!(error = &error as &dyn std::error::Error, "failed");
        tracing::info!(target: "other\ncrate", "x");
    }

    fn check_harmless(line: &str) {
        let is_harmless = |character: char| {
            !character.is_control() && !matches!(character, '\u{2028}' | '\u{202e}')
        };
        assert!(line.chars().all(is_harmless), "{line:?}");
    }

    #[test]
    fn an_event_is_one_line_of_text_whatever_is_in_it() {
        let lines = lines(LogFormat::Text, LogLevel::Info, false, hostile_events);
        assert_eq!(lines.len(), 3, "{lines:#?}");
        for line in &lines {
            check_harmless(line);
        }
        assert!(timeless(&lines[0]).starts_with(" WARN a\\u{a}::error::b"));
        assert!(timeless(&lines[2]).starts_with(" INFO other\\u{a}crate: x"));
    }

    #[test]
    fn an_event_is_one_object_of_json_that_says_what_was_said() {
        let lines = lines(LogFormat::Json, LogLevel::Info, true, hostile_events);
        assert_eq!(lines.len(), 3, "{lines:#?}");
        for line in &lines {
            check_harmless(line);
        }
        let value: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(value["text"], HOSTILE);
        assert_eq!(value["shown"], HOSTILE);
        assert_eq!(value["level"], "WARN");
        let time = value["timestamp"].as_str().unwrap();
        assert!(time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok());
    }

    #[test]
    fn only_our_own_level_is_coloured() {
        let lines = lines(LogFormat::Text, LogLevel::Info, true, hostile_events);
        assert_eq!(lines.len(), 3, "{lines:#?}");
        for line in &lines {
            assert_eq!(line.matches('\u{1b}').count(), 2, "{line:?}");
        }
        assert!(
            lines[0].contains("\u{1b}[33m WARN\u{1b}[0m a\\u{a}"),
            "{:?}",
            lines[0]
        );
    }

    #[test]
    fn fields_follow_the_message() {
        let lines = lines(LogFormat::Text, LogLevel::Info, false, || {
            tracing::info!(sets = 3, set = "spring", "pass");
        });
        assert_eq!(timeless(&lines[0]), " INFO pass sets=3 set=\"spring\"");
    }

    #[test]
    fn only_our_own_details_are_told() {
        let shown = |level| {
            let lines = lines(LogFormat::Text, level, false, || {
                tracing::info!("ours");
                tracing::debug!("ours");
                tracing::trace!("ours");
                tracing::info!(target: "hyper", "theirs");
                tracing::debug!(target: "hyper", "theirs");
                tracing::debug!(target: "freshenness", "theirs");
            });
            let words = lines.iter().map(|line| timeless(line).trim().to_owned());
            words.collect::<Vec<_>>().join(", ")
        };
        assert_eq!(shown(LogLevel::Error), "");
        assert_eq!(shown(LogLevel::Info), "INFO ours, INFO hyper: theirs");
        assert_eq!(
            shown(LogLevel::Trace),
            "INFO ours, DEBUG ours, TRACE ours, INFO hyper: theirs"
        );
    }
}
