//! Which URLs of a batch a fault's words name.

use std::collections::BTreeSet;

/// May follow a URL in a sentence without being part of it.
const AFTER: &[char] = &[
    '"', '\'', '<', '>', ')', ']', '}', ',', ';', '.', ':', '!', '|',
];
/// May stand right before a URL.
const BEFORE: &[char] = &['"', '\'', '<', '>', '(', '[', ',', ';', ':', '|'];

/// Positions of the URLs that `reason` names exactly.
///
/// A URL that is merely the start of what is named is not meant, and where two
/// readings are possible neither is taken: bisecting finds the culprit anyway,
/// while a wrong blame would leave a good URL unsent.
pub(super) fn culprits(urls: &[&str], reason: &str) -> Vec<usize> {
    let mut found = BTreeSet::new();
    let mut from = 0;
    while let Some(start) = reason[from..].find("http").map(|at| from + at) {
        from = start + "http".len();
        if !is_start(&reason[..start]) {
            continue;
        }
        let named: Vec<usize> = (0..urls.len())
            .filter(|&index| names(urls[index], &reason[start..]))
            .collect();
        if let Some(&first) = named.first() {
            from = start + urls[first].len();
            if named.iter().all(|&index| urls[index] == urls[first]) {
                found.extend(named);
            }
        }
    }
    found.into_iter().collect()
}

fn is_start(before: &str) -> bool {
    before
        .chars()
        .next_back()
        .is_none_or(|c| c.is_whitespace() || BEFORE.contains(&c))
}

/// Whether `text` starts with `url`, and the URL ends there.
fn names(url: &str, text: &str) -> bool {
    let Some(after) = text.strip_prefix(url) else {
        return false;
    };
    let token = after.split(char::is_whitespace).next().unwrap_or_default();
    let rest = token.trim_start_matches(AFTER);
    rest.is_empty()
        || rest.len() < token.len() && (rest.starts_with("http://") || rest.starts_with("https://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URLS: [&str; 5] = [
        "https://x/is/image/a/one",
        "https://x/is/image/a/one?wid=1",
        "https://x/is/image/a/one?wid=1,2",
        "https://x/is/image/a/two",
        "https://x/is/image/a/two.",
    ];

    fn check(reason: &str, expected: &[usize]) {
        assert_eq!(culprits(&URLS, reason), expected, "{reason}");
    }

    #[test]
    fn a_url_is_named_however_the_sentence_goes_on() {
        check("Invalid URL: https://x/is/image/a/one", &[0]);
        check("https://x/is/image/a/one is not valid", &[0]);
        check("(https://x/is/image/a/one).", &[0]);
        check("url:'https://x/is/image/a/one?wid=1'", &[1]);
        check(
            "bad: https://x/is/image/a/one,https://x/is/image/a/one?wid=1",
            &[0, 1],
        );
        check(
            "bad: [https://x/is/image/a/one, https://x/is/image/a/two]",
            &[0, 3],
        );
    }

    #[test]
    fn a_prefix_of_what_is_named_is_not_blamed() {
        check("Invalid URL: https://x/is/image/a/one?wid=1,2", &[2]);
        check("Invalid URL: https://x/is/image/a/one?wid=12", &[]);
        check("Invalid URL: https://x/is/image/a/one/deep", &[]);
        check("Invalid URL: xhttps://x/is/image/a/one", &[]);
    }

    #[test]
    fn where_two_readings_are_possible_nobody_is_blamed() {
        check("Invalid URL: https://x/is/image/a/two.", &[]);
        check("Invalid URL: https://x/is/image/a/two!", &[3]);
    }

    #[test]
    fn words_without_a_url_blame_nobody() {
        check("One of the URLs is not valid", &[]);
        check("see http://", &[]);
    }
}
