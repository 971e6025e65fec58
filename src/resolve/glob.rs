//! Globs in which only `*` is special; it crosses `/`.

/// Whether `pattern` matches all of `text`.
///
/// Remembers only the last `*`, which is enough for patterns of this sort and
/// keeps the time within pattern times text whatever they hold.
pub fn is_match(pattern: &[u8], text: &[u8]) -> bool {
    let (mut in_pattern, mut in_text) = (0, 0);
    let mut last_star = None;
    while in_text < text.len() {
        match pattern.get(in_pattern) {
            Some(b'*') => {
                in_pattern += 1;
                last_star = Some((in_pattern, in_text));
            }
            Some(byte) if *byte == text[in_text] => {
                in_pattern += 1;
                in_text += 1;
            }
            _ => {
                let Some((after_star, from)) = last_star else {
                    return false;
                };
                last_star = Some((after_star, from + 1));
                in_pattern = after_star;
                in_text = from + 1;
            }
        }
    }
    pattern[in_pattern..].iter().all(|byte| *byte == b'*')
}

/// Whether any of `patterns` matches.
pub fn matches_any(patterns: &[String], text: &str) -> bool {
    patterns
        .iter()
        .any(|pattern| is_match(pattern.as_bytes(), text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        for text in matching {
            assert!(
                is_match(pattern.as_bytes(), text.as_bytes()),
                "{pattern} {text}"
            );
        }
        for text in others {
            assert!(
                !is_match(pattern.as_bytes(), text.as_bytes()),
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn only_a_star_is_special_and_it_crosses_slashes() {
        check(
            "*?$large$",
            &["https://a/b?$large$", "?$large$"],
            &["https://a/b?$larger$"],
        );
        check("test-*", &["test-", "test-a/b"], &["a-test-1", "test"]);
        check(
            "a*b*c",
            &["abc", "a/b/c", "abbcc", "aXbXbc"],
            &["ab", "acb", "abcd"],
        );
        check("[a].{b}", &["[a].{b}"], &["a.b"]);
        check("", &[""], &["a"]);
        check("**", &["", "a"], &[]);
    }

    #[test]
    fn a_hostile_pattern_takes_no_exponential_time() {
        let pattern = "*a".repeat(200);
        let text = "a".repeat(20_000);
        assert!(!is_match(format!("{pattern}b").as_bytes(), text.as_bytes()));
    }
}
