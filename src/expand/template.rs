//! Template lines: from text to parts, and from parts to bound patterns.

use std::fmt;

/// What stands between angle brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Id,
    Server,
    Company,
    Crop,
    Preset,
}

impl Token {
    const ALL: [Self; 5] = [
        Self::Id,
        Self::Server,
        Self::Company,
        Self::Crop,
        Self::Preset,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Id => "ID",
            Self::Server => "SERVER",
            Self::Company => "COMPANY",
            Self::Crop => "CROP",
            Self::Preset => "PRESET",
        }
    }

    fn nearest(name: &str) -> Self {
        let name = name.to_uppercase();
        Self::ALL
            .into_iter()
            .min_by_key(|token| strsim::damerau_levenshtein(&name, token.name()))
            .expect("there are tokens")
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.name())
    }
}

/// A token that there is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no token <{found}>")]
pub(super) struct UnknownToken {
    found: String,
    pub(super) nearest: Token,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Token(Token),
}

/// A line of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    parts: Vec<Part>,
    /// Whether it began with `<ID>`, and so was completed.
    pub(super) is_bare: bool,
}

impl Template {
    /// Reads a line, or names every token in it that there is not.
    pub(super) fn parse(line: &str) -> Result<Self, Vec<UnknownToken>> {
        let mut parts = Vec::new();
        let mut faults = Vec::new();
        let mut rest = line;
        while let Some((text, inside, after)) = next_token(rest) {
            push_text(&mut parts, text);
            match Token::ALL.into_iter().find(|token| token.name() == inside) {
                Some(token) => parts.push(Part::Token(token)),
                None => faults.push(UnknownToken {
                    found: inside.to_owned(),
                    nearest: Token::nearest(inside),
                }),
            }
            rest = after;
        }
        push_text(&mut parts, rest);
        if !faults.is_empty() {
            return Err(faults);
        }
        let is_bare = parts.first() == Some(&Part::Token(Token::Id));
        if is_bare {
            let base = [
                Part::Token(Token::Server),
                Part::Text("/is/image/".to_owned()),
                Part::Token(Token::Company),
                Part::Text("/".to_owned()),
            ];
            parts.splice(..0, base);
        }
        Ok(Self { parts, is_bare })
    }

    /// The base URL of an asset, with `?$preset$` behind it or not.
    pub(super) fn base(with_preset: bool) -> Self {
        let line = if with_preset {
            "<ID>?$<PRESET>$"
        } else {
            "<ID>"
        };
        Self::parse(line).expect("its tokens are known")
    }

    /// Whether `token` occurs in it.
    pub(super) fn uses(&self, token: Token) -> bool {
        self.parts.contains(&Part::Token(token))
    }

    /// Puts in everything but id and crop.
    pub(super) fn bind(&self, server: &str, company: &str, preset: &str) -> Pattern {
        let mut pattern = Pattern::default();
        for part in &self.parts {
            match part {
                Part::Text(text) => pattern.text.push_str(text),
                Part::Token(Token::Server) => pattern.text.push_str(server),
                Part::Token(Token::Company) => pattern.text.push_str(company),
                Part::Token(Token::Preset) => pattern.text.push_str(preset),
                Part::Token(Token::Id) => pattern.slots.push((pattern.text.len(), Slot::Id)),
                Part::Token(Token::Crop) => pattern.slots.push((pattern.text.len(), Slot::Crop)),
            }
        }
        pattern
    }
}

/// Cuts at the next `<...>`: text before, inside, text after.
fn next_token(text: &str) -> Option<(&str, &str, &str)> {
    let end = text.find('>')?;
    let start = text[..end].rfind('<')?;
    Some((&text[..start], &text[start + 1..end], &text[end + 1..]))
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
}

/// What is put in for each URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Id,
    Crop,
}

/// A URL with gaps for id and crop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pattern {
    pub(super) text: String,
    /// Where in the text what goes in, in order.
    pub(super) slots: Vec<(usize, Slot)>,
}

impl Pattern {
    /// A URL without gaps.
    pub(super) fn of_url(url: &str) -> Self {
        Self {
            text: url.to_owned(),
            slots: Vec::new(),
        }
    }

    /// The text before the first gap.
    pub(super) fn prefix(&self) -> &str {
        match self.slots.first() {
            Some((at, _)) => &self.text[..*at],
            None => &self.text,
        }
    }

    pub(super) fn count(&self, slot: Slot) -> usize {
        self.slots.iter().filter(|(_, kind)| *kind == slot).count()
    }

    /// Writes the URL into `url`, over what it held.
    pub(super) fn write(&self, url: &mut String, id: &str, crop: &str) {
        url.clear();
        let mut from = 0;
        for (at, slot) in &self.slots {
            url.push_str(&self.text[from..*at]);
            url.push_str(match slot {
                Slot::Id => id,
                Slot::Crop => crop,
            });
            from = *at;
        }
        url.push_str(&self.text[from..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        let pattern =
            Template::parse(line)
                .expect("tokens are known")
                .bind("https://s", "Acme", "large");
        let mut url = String::new();
        pattern.write(&mut url, "bag", "Banner");
        assert_eq!(url, expected);
    }

    #[test]
    fn lines_that_start_with_an_id_are_completed() {
        check("<ID>", "https://s/is/image/Acme/bag");
        check("<ID>?$product$", "https://s/is/image/Acme/bag?$product$");
        check("<ID>:<CROP>/", "https://s/is/image/Acme/bag:Banner/");
    }

    #[test]
    fn other_lines_stay_as_they_are() {
        check(
            "<SERVER>/is/image/<COMPANY>/<ID>:<CROP>?$<PRESET>$&a=<ID>",
            "https://s/is/image/Acme/bag:Banner?$large$&a=bag",
        );
        check("https://a/is/content/b?", "https://a/is/content/b?");
    }

    #[test]
    fn every_unknown_token_is_named_with_its_nearest() {
        let faults = Template::parse("<id>/<PRESETS>/<CROP>").expect_err("two are unknown");
        let nearest: Vec<_> = faults.iter().map(|fault| fault.nearest).collect();
        assert_eq!(nearest, [Token::Id, Token::Preset]);
        assert_eq!(faults[0].to_string(), "there is no token <id>");
    }
}
