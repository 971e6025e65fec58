//! Texts with a form of their own: durations, rates, times, shares, names.
//!
//! Each is checked by its parser, so that what passes the check converts.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::spec::Bucket;
use super::wire::Text;

/// What a text should have been: completes "expected ...".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected(pub &'static str);

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.0)
    }
}

/// A text with a form of its own.
pub trait Form: Sized {
    /// What schemas call it.
    const FORMAT: Format;

    /// For editors, which do not know our formats.
    const PATTERN: Option<&str>;

    /// Reads `text`, or says what was expected.
    fn parse(text: &str) -> Result<Self, Expected>;
}

/// A field of a wire struct that is written in form `F`.
#[derive(Clone, Copy, Debug)]
pub struct Formed<F>(pub F);

impl<F: Form> JsonSchema for Formed<F> {
    fn schema_name() -> Cow<'static, str> {
        F::FORMAT.name().into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Text::json_schema(generator);
        schema.insert("format".to_owned(), F::FORMAT.name().into());
        if let Some(pattern) = F::PATTERN {
            schema.insert("pattern".to_owned(), pattern.into());
        }
        schema
    }
}

impl<'de, F: Form> Deserialize<'de> for Formed<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?;
        F::parse(&text.0).map(Self).map_err(D::Error::custom)
    }
}

/// The forms that a schema may name under `format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// [`Duration`].
    Duration,
    /// [`Server`].
    Server,
    /// [`Rate`].
    Rate,
    /// [`Time`].
    Time,
    /// [`Share`].
    Share,
    /// [`Name`].
    Name,
    /// [`Poll`].
    Poll,
    /// [`Host`].
    Host,
}

impl Format {
    const ALL: [Self; 8] = [
        Self::Duration,
        Self::Server,
        Self::Rate,
        Self::Time,
        Self::Share,
        Self::Name,
        Self::Poll,
        Self::Host,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Duration => "freshen-duration",
            Self::Server => "freshen-server",
            Self::Rate => "freshen-rate",
            Self::Time => "freshen-time",
            Self::Share => "freshen-share",
            Self::Name => "freshen-name",
            Self::Poll => "freshen-poll",
            Self::Host => "freshen-host",
        }
    }

    /// The form that a schema calls `name`.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Whether `text` has this form.
    pub(super) fn check(self, text: &str) -> Result<(), Expected> {
        match self {
            Self::Duration => Duration::parse(text).map(drop),
            Self::Server => Server::parse(text).map(drop),
            Self::Rate => Rate::parse(text).map(drop),
            Self::Time => Time::parse(text).map(drop),
            Self::Share => Share::parse(text).map(drop),
            Self::Name => Name::parse(text).map(drop),
            Self::Poll => Poll::parse(text).map(drop),
            Self::Host => Host::parse(text).map(drop),
        }
    }
}

/// A length of time, such as `500ms`, `5s`, `10m`, `1h` or `30d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duration {
    /// Milliseconds.
    pub ms: u64,
}

impl Duration {
    const EXPECTED: Expected = Expected("a duration such as 500ms, 5s, 10m, 1h or 30d");
}

impl Form for Duration {
    const FORMAT: Format = Format::Duration;
    const PATTERN: Option<&str> = Some("^[0-9]+(ms|s|m|h|d)$");

    fn parse(text: &str) -> Result<Self, Expected> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit_ms: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(Self::EXPECTED),
        };
        let number: u64 = number.parse().map_err(|_| Self::EXPECTED)?;
        let ms = number.checked_mul(unit_ms).ok_or(Self::EXPECTED)?;
        // Beyond this, adding it to a time could overflow.
        if ms > 10 * 366 * 86_400_000 {
            return Err(Expected("a duration of at most 10 years"));
        }
        Ok(Self { ms })
    }
}

/// Scheme, host and port of a server, such as `https://origin.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// As written, without a slash at its end.
    pub url: String,
}

impl Server {
    const EXPECTED: Expected = Expected("a server such as https://origin.example.com");
}

impl Form for Server {
    const FORMAT: Format = Format::Server;
    const PATTERN: Option<&str> = Some("^https?://[^/?#@]+/?$");

    fn parse(text: &str) -> Result<Self, Expected> {
        let url = text.strip_suffix('/').unwrap_or(text);
        let parsed = url::Url::parse(url).map_err(|_| Self::EXPECTED)?;
        let rest = url.split_once("://").map_or("", |(_, rest)| rest);
        let is_bare = !rest.is_empty() && !rest.contains(['/', '?', '#', '@']);
        if !matches!(parsed.scheme(), "http" | "https") || !is_bare {
            return Err(Self::EXPECTED);
        }
        Ok(Self {
            url: url.to_owned(),
        })
    }
}

/// A host, with or without a port: whatever else a URL holds would match none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// As written.
    pub name: String,
}

impl Form for Host {
    const FORMAT: Format = Format::Host;
    const PATTERN: Option<&str> = Some("^[^\\s/?#@*]+$");

    fn parse(text: &str) -> Result<Self, Expected> {
        let is_part_of_none = |c: char| c.is_whitespace() || "/?#@*".contains(c);
        if text.contains(is_part_of_none) {
            return Err(Expected("a host such as media.acme.com, by its whole name"));
        }
        Ok(Self {
            name: text.to_owned(),
        })
    }
}

/// How often somebody is asked: a [`Duration`] of a second at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Poll {
    /// Milliseconds.
    pub ms: u64,
}

impl Form for Poll {
    const FORMAT: Format = Format::Poll;
    const PATTERN: Option<&str> = Duration::PATTERN;

    fn parse(text: &str) -> Result<Self, Expected> {
        match Duration::parse(text)?.ms {
            ms @ 1_000.. => Ok(Self { ms }),
            _ => Err(Expected("a duration of at least 1s, such as 5m")),
        }
    }
}

/// A rate `N/D`: a bucket of N, refilled with N in each D, such as `6/1m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The bucket.
    pub bucket: Bucket,
}

impl Rate {
    const EXPECTED: Expected = Expected("a rate such as 6/1m or 20000/1h");
}

impl Form for Rate {
    const FORMAT: Format = Format::Rate;
    const PATTERN: Option<&str> = Some("^[1-9][0-9]*/[0-9]+(ms|s|m|h|d)$");

    fn parse(text: &str) -> Result<Self, Expected> {
        let (number, period) = text.split_once('/').ok_or(Self::EXPECTED)?;
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        let burst = number.parse().ok().filter(|_| is_number);
        let period_ms = Duration::parse(period).map_err(|_| Self::EXPECTED)?.ms;
        match burst {
            Some(burst) if burst > 0 && period_ms > 0 => Ok(Self {
                bucket: Bucket { burst, period_ms },
            }),
            _ => Err(Self::EXPECTED),
        }
    }
}

/// A point in time with its offset, such as `2026-11-27T00:00:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// Milliseconds since the epoch.
    pub ms: i64,
}

impl Form for Time {
    const FORMAT: Format = Format::Time;
    const PATTERN: Option<&str> = None;

    fn parse(text: &str) -> Result<Self, Expected> {
        let expected = Expected("a time with its offset, such as 2026-11-27T00:00:00Z");
        // The parser also takes forms that RFC 3339 lacks, such as week dates.
        let has_shape = text.len() >= 20
            && text.is_ascii()
            && text.as_bytes()[4] == b'-'
            && text.as_bytes()[7] == b'-'
            && matches!(text.as_bytes()[10], b'T' | b't' | b' ')
            && !text.contains('[');
        let parsed: Option<Timestamp> = text.parse().ok().filter(|_| has_shape);
        parsed
            .map(|time| Self {
                ms: time.as_millisecond(),
            })
            .ok_or(expected)
    }
}

/// A share of what a ledger holds, such as `30%`, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Whole percent, at most 100; `None` is `off`.
    pub percent: Option<u32>,
}

impl Form for Share {
    const FORMAT: Format = Format::Share;
    const PATTERN: Option<&str> = Some("^(off|(100|[1-9]?[0-9])%)$");

    fn parse(text: &str) -> Result<Self, Expected> {
        let expected = Expected("`off` or a percentage such as 30%");
        if text == "off" {
            return Ok(Self { percent: None });
        }
        let number = text.strip_suffix('%').ok_or(expected.clone())?;
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        let percent = number.parse().ok().filter(|_| is_number);
        match percent {
            Some(percent) if percent <= 100 => Ok(Self {
                percent: Some(percent),
            }),
            _ => Err(expected),
        }
    }
}

/// The name of a manifest: lowercase letters, digits and inner hyphens, at most 63.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// An RFC 1123 label.
    pub label: String,
}

impl Form for Name {
    const FORMAT: Format = Format::Name;
    const PATTERN: Option<&str> = Some("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$");

    fn parse(text: &str) -> Result<Self, Expected> {
        let expected = Expected("a name of at most 63 lowercase letters, digits and inner hyphens");
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = text.as_bytes();
        let is_label = bytes.len() <= 63
            && bytes.first().copied().is_some_and(is_plain)
            && bytes.last().copied().is_some_and(is_plain)
            && bytes.iter().all(|byte| is_plain(*byte) || *byte == b'-');
        if is_label {
            Ok(Self {
                label: text.to_owned(),
            })
        } else {
            Err(expected)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<F: Form, T: PartialEq + fmt::Debug>(
        read: impl Fn(F) -> T,
        good: &[(&str, T)],
        bad: &[&str],
    ) {
        for (text, expected) in good {
            let parsed = F::parse(text).map(&read);
            assert_eq!(parsed.as_ref(), Ok(expected), "{text}");
        }
        for text in bad {
            assert!(F::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_have_a_number_and_a_unit() {
        check(
            |it: Duration| it.ms,
            &[("500ms", 500), ("5s", 5_000), ("30d", 2_592_000_000)],
            &["", "5", "s", "-5s", "5 s", "1.5h", "5w", "99999999d"],
        );
    }

    #[test]
    fn nobody_is_asked_more_often_than_every_second() {
        check(
            |it: Poll| it.ms,
            &[("1s", 1_000), ("5m", 300_000)],
            &["0s", "999ms", "5"],
        );
    }

    #[test]
    fn rates_have_a_number_and_a_duration() {
        let bucket = |burst, period_ms| Bucket { burst, period_ms };
        check(
            |it: Rate| it.bucket,
            &[("6/1m", bucket(6, 60_000))],
            &["6", "0/1m", "6/m", "6/0s", "+6/1m", "/1m"],
        );
    }

    #[test]
    fn shares_are_off_or_a_percentage() {
        check(
            |it: Share| it.percent,
            &[("off", None), ("30%", Some(30)), ("100%", Some(100))],
            &["30", "101%", "-1%", "+1%", "1.5%", "%", "Off"],
        );
    }

    #[test]
    fn times_have_an_offset() {
        check(
            |it: Time| it.ms,
            &[
                ("1970-01-01T00:00:01Z", 1_000),
                ("1970-01-01T01:00:00+01:00", 0),
            ],
            &[
                "2026-11-27",
                "2026-11-27T00:00:00",
                "tomorrow",
                "2026-W47-5T00:00:00Z",
            ],
        );
    }

    #[test]
    fn names_are_dns_labels() {
        let longest = "a".repeat(63);
        check(
            |it: Name| it.label,
            &[
                ("a", "a".to_owned()),
                ("a-1", "a-1".to_owned()),
                (&longest, longest.clone()),
            ],
            &["", "-a", "a-", "A", "a_b", "a.b", "ä", &"a".repeat(64)],
        );
    }
}
