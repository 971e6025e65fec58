//! What two copies of a URL tell of the invalidation between them.

use crate::submit::fetch::Fetched;

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The second is a fresh one.
    Fresh(String),
    /// It is the same one still.
    Stale(String),
    /// The edge does not tell.
    Untold(String),
}

/// Compares the copies from `before` and `after`.
pub fn compare(before: &Fetched, after: &Fetched) -> Seen {
    let is_other = before.digest != after.digest || before.validator != after.validator;
    let bytes = match (before.digest == after.digest, is_other) {
        (false, _) => "new bytes",
        (true, true) => "the same bytes with another validator",
        (true, false) => "the same bytes",
    };
    let between_s = after.at.duration_since(before.at).as_secs();
    let (age, is_dropped) = match (before.age_s, after.age_s) {
        // A second of leeway, since ages are whole ones.
        (Some(old), Some(new)) if new + 1 < old + between_s => {
            (format!("`Age` fell from {old} to {new}"), Some(true))
        }
        (Some(old), Some(new)) => (format!("`Age` goes on from {old} to {new}"), Some(false)),
        (Some(old), None) => (format!("`Age` of {old} is gone"), Some(true)),
        (None, _) => ("no `Age` to compare".to_owned(), None),
    };
    let told = format!("{bytes}, {age}");
    match (is_other, is_dropped) {
        (true, _) | (_, Some(true)) => Seen::Fresh(told),
        (false, Some(false)) => Seen::Stale(told),
        (false, None) => Seen::Untold(told),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::digest::Digest;

    fn check(before: (&str, Option<u64>), after: (&str, Option<u64>), expected: &Seen) {
        let at = Instant::now();
        let copy = |(bytes, age_s): (&str, Option<u64>), at| Fetched {
            status: 200,
            age_s,
            validator: None,
            digest: Digest::of(bytes.as_bytes()),
            at,
        };
        let later = at + Duration::from_secs(4);
        let seen = compare(&copy(before, at), &copy(after, later));
        assert_eq!(seen, *expected);
    }

    #[test]
    fn a_copy_is_fresh_by_its_bytes_or_by_its_age() {
        let fresh = |told: &str| Seen::Fresh(told.to_owned());
        let check_fresh = |before, after, told: &str| check(before, after, &fresh(told));
        check_fresh(
            ("a", Some(99)),
            ("b", Some(0)),
            "new bytes, `Age` fell from 99 to 0",
        );
        check_fresh(
            ("a", Some(99)),
            ("a", Some(0)),
            "the same bytes, `Age` fell from 99 to 0",
        );
        check_fresh(
            ("a", Some(0)),
            ("a", Some(2)),
            "the same bytes, `Age` fell from 0 to 2",
        );
        check_fresh(
            ("a", Some(99)),
            ("a", None),
            "the same bytes, `Age` of 99 is gone",
        );
        check_fresh(("a", None), ("b", None), "new bytes, no `Age` to compare");
    }

    #[test]
    fn a_copy_that_grows_older_is_the_same_one() {
        let stale = |told: &str| Seen::Stale(told.to_owned());
        let told = "the same bytes, `Age` goes on from 99 to 103";
        check(("a", Some(99)), ("a", Some(103)), &stale(told));
        let told = "the same bytes, `Age` goes on from 0 to 3";
        check(("a", Some(0)), ("a", Some(3)), &stale(told));
    }

    #[test]
    fn an_edge_without_ages_tells_nothing_of_the_same_bytes() {
        let told = "the same bytes, no `Age` to compare".to_owned();
        check(("a", None), ("a", Some(0)), &Seen::Untold(told));
    }
}
