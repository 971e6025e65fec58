//! Names for what is written: short, telling, each given once.

use std::collections::HashSet;

/// Leaves room for a number within the 63 characters of a name.
const MAX_SLUG: usize = 40;

/// The names of one kind that are given already.
#[derive(Debug, Default)]
pub(super) struct Names(HashSet<String>);

impl Names {
    /// A name made of `words`, numbered where it is given already.
    pub(super) fn give(&mut self, words: &str) -> String {
        let slug = slug(words);
        let mut name = slug.clone();
        let mut number: usize = 1;
        while !self.0.insert(name.clone()) {
            number += 1;
            name = format!("{slug}-{number}");
        }
        name
    }
}

/// Lowercase letters and digits, with a hyphen for whatever stands between.
fn slug(words: &str) -> String {
    let mut slug = String::new();
    for character in words.chars() {
        if slug.len() == MAX_SLUG {
            break;
        }
        if character.is_ascii_alphanumeric() {
            slug.push(character.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    match slug.trim_end_matches('-') {
        // Nothing, to readers of YAML too.
        "" | "null" => "x".to_owned(),
        slug => slug.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_label_and_given_once() {
        let mut names = Names::default();
        let mut check = |words: &str, expected: &str| assert_eq!(names.give(words), expected);
        check("Acme ?$Large$&wid=8", "acme-large-wid-8");
        check("acme/large/wid=8/", "acme-large-wid-8-2");
        check("--", "x");
        check("NULL", "x-2");
        check(&"a-".repeat(40), &format!("{}a", "a-".repeat(19)));
        check(&"b".repeat(80), &"b".repeat(40));
    }
}
