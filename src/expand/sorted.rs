//! The URLs of many sets in order, each once, without holding them all.

use rayon::prelude::*;

use super::Expansion;

/// What a text costs besides its bytes, roughly.
const OVERHEAD: usize = 32;

/// Calls `take` with every URL of `expansions`, sorted and each once, until
/// there are no more or it fails.
///
/// Memory is bounded by twice `at_once` bytes: the expansions are run through
/// again for every `at_once` bytes of URLs, since making a URL costs less than
/// writing it to a disk and reading it back.
pub fn for_each_sorted<E>(
    expansions: &[Expansion],
    at_once: usize,
    mut take: impl FnMut(&str) -> Result<(), E>,
) -> Result<(), E> {
    let mut last: Option<Box<str>> = None;
    loop {
        let mut next = Next {
            after: last.as_deref(),
            before: None,
            urls: Vec::new(),
            bytes: 0,
            at_once,
        };
        for expansion in expansions {
            expansion.for_each(|url, _| next.offer(url));
        }
        next.cut();
        let is_last = next.before.is_none();
        let mut urls = next.urls;
        for url in &urls {
            take(url)?;
        }
        if is_last {
            return Ok(());
        }
        last = urls.pop();
    }
}

/// The first URLs after some URL, as many as there is room for.
struct Next<'a> {
    after: Option<&'a str>,
    /// This one and those behind it have to wait.
    before: Option<Box<str>>,
    urls: Vec<Box<str>>,
    bytes: usize,
    at_once: usize,
}

impl Next<'_> {
    fn offer(&mut self, url: &str) {
        let is_done = self.after.is_some_and(|after| url <= after);
        let is_late = self.before.as_deref().is_some_and(|before| url >= before);
        if is_done || is_late {
            return;
        }
        self.urls.push(url.into());
        self.bytes += url.len() + OVERHEAD;
        if self.bytes >= 2 * self.at_once {
            self.cut();
        }
    }

    /// Leaves the first of them, sorted, each once.
    fn cut(&mut self) {
        self.urls.par_sort_unstable();
        self.urls.dedup();
        let mut kept = 0;
        self.bytes = 0;
        for url in &self.urls {
            let bytes = self.bytes + url.len() + OVERHEAD;
            if bytes > self.at_once && kept > 0 {
                break;
            }
            self.bytes = bytes;
            kept += 1;
        }
        let late = self.urls.drain(kept..);
        self.before = late.into_iter().next().or_else(|| self.before.take());
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::expand::fixtures;

    fn of(ids: &[&str]) -> Expansion {
        fixtures::expansion(&fixtures::set_of(ids), &[])
    }

    #[test]
    fn whatever_the_room_all_urls_come_in_order_and_once() {
        let sets = [
            of(&["c", "a", "b", "a", "a-longer-one"]),
            of(&["b", "z", "a"]),
            of(&["m"]),
        ];
        let mut expected: Vec<String> = Vec::new();
        for set in &sets {
            set.for_each(|url, _| expected.push(url.to_owned()));
        }
        expected.sort_unstable();
        expected.dedup();
        assert_eq!(expected.len(), 6);
        for at_once in [0, 1, 100, 200, 1 << 20] {
            let mut found = Vec::new();
            let all = for_each_sorted(&sets, at_once, |url| {
                found.push(url.to_owned());
                Ok::<(), Infallible>(())
            });
            all.unwrap();
            assert_eq!(found, expected, "{at_once}");
        }
    }

    #[test]
    fn no_more_is_held_than_twice_what_is_said() {
        let mut next = Next {
            after: None,
            before: None,
            urls: Vec::new(),
            bytes: 0,
            at_once: 1000,
        };
        for number in (0..10_000).rev() {
            next.offer(&format!("https://a.example/{number:05}"));
            assert!(next.bytes <= 2000 + 100, "{}", next.bytes);
        }
        next.cut();
        assert_eq!(&*next.urls[0], "https://a.example/00000");
        assert!(next.before.is_some());
    }

    #[test]
    fn whoever_has_seen_enough_ends_it() {
        let mut seen = 0;
        let ended = for_each_sorted(&[of(&["a", "b", "c"])], 1, |_| {
            seen += 1;
            if seen == 2 { Err("enough") } else { Ok(()) }
        });
        assert_eq!((ended, seen), (Err("enough"), 2));
    }
}
