//! Sifting items by what they are wanted as.

use crate::digest::Key;

/// Items that are looked for together.
const GROUP: usize = 256;

/// Finds which of many items are wanted, a group at a time.
///
/// Looking for a key among millions is waiting for memory. Where nothing else is
/// done between one key and the next, the machine waits for many of them at once.
pub(super) struct Sieve<'w, W> {
    wanted: &'w (dyn Fn(Key) -> Option<W> + Sync),
    /// Items that are yet to be looked for, one after the other.
    text: String,
    /// Their keys, and where in it each ends.
    ends: Vec<(Key, usize)>,
    kept: Vec<(W, Box<str>)>,
}

impl<'w, W> Sieve<'w, W> {
    pub(super) fn new(wanted: &'w (dyn Fn(Key) -> Option<W> + Sync)) -> Self {
        Self {
            wanted,
            text: String::new(),
            ends: Vec::with_capacity(GROUP),
            kept: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, key: Key, item: &str) {
        self.text.push_str(item);
        self.ends.push((key, self.text.len()));
        if self.ends.len() == GROUP {
            self.sift();
        }
    }

    /// What is kept, in the order in which it was pushed.
    pub(super) fn finish(mut self) -> Vec<(W, Box<str>)> {
        self.sift();
        self.kept
    }

    fn sift(&mut self) {
        let keys = self.ends.iter().map(|(key, _)| *key);
        let found: Vec<Option<W>> = keys.map(self.wanted).collect();
        let mut start = 0;
        for (found, (_, end)) in found.into_iter().zip(self.ends.drain(..)) {
            let item = start..end;
            start = end;
            let kept = found.map(|wanted| (wanted, Box::from(&self.text[item])));
            self.kept.extend(kept);
        }
        self.text.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::ItemKind;

    #[test]
    fn what_is_wanted_is_kept_in_order_however_much_there_is() {
        for count in [0, 1, GROUP, 2 * GROUP + 1] {
            let items: Vec<String> = (0..count).map(|n| "é".repeat(n % 7)).collect();
            let is_wanted = |item: &&String| item.len() % 4 == 2;
            let wanted = |key| {
                let mut items = items.iter().filter(is_wanted);
                let item = items.find(|item| Key::of(ItemKind::Url, item.as_bytes()) == key)?;
                Some(item.len())
            };
            let mut sieve = Sieve::new(&wanted);
            for item in &items {
                sieve.push(Key::of(ItemKind::Url, item.as_bytes()), item);
            }
            let kept = items.iter().filter(is_wanted);
            let kept: Vec<_> = kept
                .map(|item| (item.len(), item.as_str().into()))
                .collect();
            assert_eq!(sieve.finish(), kept);
        }
    }
}
