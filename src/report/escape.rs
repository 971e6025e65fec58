//! Text of others, made harmless for the place where it is shown.

use std::borrow::Cow;
use std::fmt::Write as _;

/// For a terminal or a log: nothing moves the cursor, starts a line, colours,
/// or turns the reading direction.
pub fn terminal(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_unsafe(character) {
            write!(safe, "\\u{{{:x}}}", u32::from(character)).expect("a string takes any text");
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

/// For JSON that a terminal may show: what JSON leaves alone in a string, but a
/// terminal acts on, becomes an escape of JSON.
pub fn json(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_unsafe(character) {
            let code = u32::from(character);
            write!(safe, "\\u{code:04x}").expect("a string takes any text");
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

/// For the message of a workflow command (`::error::here`).
pub fn github_message(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
        .replace("##[", "## [")
}

/// For a property of a workflow command (`::error file=here::`).
pub fn github_property(text: &str) -> String {
    github_message(text).replace(':', "%3A").replace(',', "%2C")
}

/// For running Markdown: no markup, no HTML, no mention.
pub fn markdown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 8);
    for character in terminal(text).chars() {
        match character {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '@' => safe.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' => {
                safe.push('\\');
                safe.push(character);
            }
            _ => safe.push(character),
        }
    }
    safe
}

/// A code span for Markdown, in a table too.
pub fn code_span(text: &str) -> String {
    let text = terminal(text).replace('|', "\\|");
    let ticks = "`".repeat(longest_run(&text) + 1);
    if text.starts_with('`') || text.ends_with('`') {
        format!("{ticks} {text} {ticks}")
    } else {
        format!("{ticks}{text}{ticks}")
    }
}

/// The fence that none of `lines` can close.
pub fn fence<'a>(lines: impl IntoIterator<Item = &'a str>) -> String {
    let longest = lines.into_iter().map(longest_run).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

fn longest_run(text: &str) -> usize {
    text.split(|character| character != '`')
        .map(str::len)
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_a_terminal_that_could_act_there() {
        let check = |text: &str, expected: &str| assert_eq!(terminal(text), expected);
        check(
            "https://a.example/is/image/A/b?$c$",
            "https://a.example/is/image/A/b?$c$",
        );
        check("a\x1b[31mred", "a\\u{1b}[31mred");
        check("a\n::error::b", "a\\u{a}::error::b");
        check("a\u{202e}b", "a\\u{202e}b");
    }

    #[test]
    fn json_says_the_same_once_it_is_safe() {
        let text = "a\u{9b}31m\u{7f}\u{2028}\u{202e}b";
        let safe = json(&serde_json::to_string(text).unwrap()).into_owned();
        assert!(safe.is_ascii(), "{safe}");
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
    }

    #[test]
    fn a_workflow_command_holds_only_what_we_put_there() {
        assert_eq!(github_message("a%\n::error::b\r"), "a%25%0A::error::b%0D");
        assert_eq!(github_property("a,line=3::b"), "a%2Cline=3%3A%3Ab");
        assert_eq!(github_message("##[error]x"), "## [error]x");
    }

    #[test]
    fn markdown_neither_closes_a_block_nor_calls_anybody() {
        assert_eq!(
            markdown("</details>@team *x*"),
            "&lt;/details&gt;&#64;team \\*x\\*"
        );
        assert_eq!(code_span("a`b"), "``a`b``");
        assert_eq!(code_span("`"), "`` ` ``");
        assert_eq!(code_span("a|b"), "`a\\|b`");
        assert_eq!(fence(["a", "b ```` c"]), "`````");
        assert_eq!(fence(["a"]), "```");
    }
}
