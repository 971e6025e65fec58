//! Puts pages of an answer together, until all rows were had.

use std::collections::HashSet;

use super::Query;
use super::table::{self, Cells};

/// Beginnings of a reading, at most: what changes faster cannot be read.
const MAX_BEGINNINGS: u32 = 5;

/// Rows of one answer, at most.
const MAX_ROWS: u64 = 20_000_000;

/// A part of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Rows of the whole answer, where it tells.
    pub total: Option<u64>,
    /// Whether there can be a page after a full one like this.
    pub is_full: bool,
    /// In the order of the answer.
    pub rows: Vec<Row>,
}

/// One row of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Tells it from every other row; empty where the account has no such name.
    pub key: String,
    /// What is kept.
    pub cells: Cells,
}

/// What is to be done after a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask for this page, counted from 1.
    Ask(u32),
    /// The whole table.
    Done(Vec<u8>),
    /// No table came of it, in words.
    Failed(String),
}

/// An answer as far as it is read.
#[derive(Debug)]
pub struct Gathering {
    may_be_empty: bool,
    page: u32,
    beginnings: u32,
    total: Option<u64>,
    keys: HashSet<String>,
    rows: Vec<Cells>,
}

impl Default for Gathering {
    fn default() -> Self {
        Self {
            may_be_empty: false,
            page: 1,
            beginnings: 1,
            total: None,
            keys: HashSet::new(),
            rows: Vec::new(),
        }
    }
}

impl Gathering {
    /// A reading of the answer to `query`.
    pub fn of(query: &Query) -> Self {
        Self {
            may_be_empty: query.is_check(),
            ..Self::default()
        }
    }

    /// Takes the page that was asked for. Pages that cannot be parts of one
    /// answer, since something changed between them, begin the reading anew.
    pub fn take(&mut self, page: Page) -> Next {
        let is_first = self.page == 1;
        if !is_first && page.total != self.total {
            return self.restart();
        }
        self.total = page.total;
        if self.total.is_some_and(|total| total > MAX_ROWS) {
            return Next::Failed(format!("it counts more than {MAX_ROWS} rows"));
        }
        let had = page.rows.len();
        for row in page.rows {
            if !row.key.is_empty() && !self.keys.insert(row.key) {
                return self.restart();
            }
            self.rows.push(row.cells);
        }
        let rows = self.rows.len() as u64;
        match self.total {
            Some(total) if rows > total => self.restart(),
            Some(total) if rows == total => self.done(),
            Some(_) if had == 0 && is_first => {
                Next::Failed("it counts rows and holds none".to_owned())
            }
            Some(_) if had == 0 => self.restart(),
            None if !page.is_full => self.done(),
            Some(_) | None => {
                self.page += 1;
                Next::Ask(self.page)
            }
        }
    }

    fn done(&mut self) -> Next {
        if self.rows.is_empty() && !self.may_be_empty {
            return Next::Failed("the answer is empty".to_owned());
        }
        Next::Done(table::write(std::mem::take(&mut self.rows)))
    }

    fn restart(&mut self) -> Next {
        if self.beginnings == MAX_BEGINNINGS {
            return Next::Failed("it changes faster than it can be read".to_owned());
        }
        *self = Self {
            beginnings: self.beginnings + 1,
            may_be_empty: self.may_be_empty,
            ..Self::default()
        };
        Next::Ask(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(total: Option<u64>, ids: &[&str]) -> Page {
        Page {
            total,
            is_full: ids.len() == 2,
            rows: ids
                .iter()
                .map(|id| Row {
                    key: format!("a|{id}"),
                    cells: vec![(*id).to_owned()],
                })
                .collect(),
        }
    }

    fn check(pages: &[Page], expected: &[&Next]) {
        let mut gathering = Gathering::default();
        let found: Vec<Next> = pages
            .iter()
            .map(|page| gathering.take(page.clone()))
            .collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{pages:?}");
    }

    fn done(ids: &[&str]) -> Next {
        let rows = ids.iter().map(|id| vec![(*id).to_owned()]);
        Next::Done(table::write(rows.collect()))
    }

    #[test]
    fn pages_are_asked_for_until_all_rows_were_had() {
        check(&[page(Some(2), &["a", "b"])], &[&done(&["a", "b"])]);
        let pages = [page(Some(3), &["b", "c"]), page(Some(3), &["a"])];
        check(&pages, &[&Next::Ask(2), &done(&["a", "b", "c"])]);
        // A short page is no end as long as rows are missing.
        let pages = [page(Some(2), &["b"]), page(Some(2), &["a"])];
        check(&pages, &[&Next::Ask(2), &done(&["a", "b"])]);
    }

    #[test]
    fn without_a_total_a_page_that_is_not_full_is_the_last() {
        let pages = [page(None, &["a", "b"]), page(None, &["c"])];
        check(&pages, &[&Next::Ask(2), &done(&["a", "b", "c"])]);
        let pages = [page(None, &["a", "b"]), page(None, &[])];
        check(&pages, &[&Next::Ask(2), &done(&["a", "b"])]);
    }

    #[test]
    fn a_total_that_changes_between_pages_begins_the_reading_anew() {
        let pages = [
            page(Some(3), &["a", "b"]),
            page(Some(4), &["c"]),
            page(Some(2), &["c", "d"]),
        ];
        check(&pages, &[&Next::Ask(2), &Next::Ask(1), &done(&["c", "d"])]);
    }

    #[test]
    fn a_row_twice_or_missing_begins_the_reading_anew() {
        let pages = [page(Some(3), &["a", "b"]), page(Some(3), &["b"])];
        check(&pages, &[&Next::Ask(2), &Next::Ask(1)]);
        let pages = [page(Some(3), &["a", "b"]), page(Some(3), &[])];
        check(&pages, &[&Next::Ask(2), &Next::Ask(1)]);
    }

    #[test]
    fn what_never_settles_and_what_is_empty_have_failed() {
        let mut gathering = Gathering::default();
        let mut last = Next::Ask(1);
        for total in 0..10 {
            last = gathering.take(page(Some(10 + total), &["a", "b"]));
            if matches!(last, Next::Failed(_)) {
                break;
            }
        }
        let failed = |text: &str| Next::Failed(text.to_owned());
        assert_eq!(last, failed("it changes faster than it can be read"));
        check(&[page(Some(0), &[])], &[&failed("the answer is empty")]);
        check(&[page(None, &[])], &[&failed("the answer is empty")]);
        let counted = failed("it counts rows and holds none");
        check(&[page(Some(4), &[])], &[&counted]);
    }
}
