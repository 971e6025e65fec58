//! What is known of a URL or an asset.

mod absent;
mod obstacle;
mod past;
mod removed;
mod search;
mod wanted;

use super::Moment;
use crate::declare::Declared;
use crate::report::Report;
use crate::report::explain::{Asked, Explained, Found, State, UrlDocument, report};
use crate::state::{Holder, Records, StateError};
use past::Past;
use search::{expanded, near, search, written};
pub use wanted::{Wanted, wanted};

/// What is known, and whether that is all there is to know.
#[derive(Debug)]
pub struct Explanation {
    /// What is known.
    pub report: Report<Explained>,
    /// A set could not be expanded, and may yield it.
    pub is_incomplete: bool,
}

/// Looks for the URL, else for its path, else for an asset of that id.
pub fn explain(
    declared: &Declared,
    records: Option<&Records>,
    subject: &str,
    moment: &Moment,
) -> Result<Explanation, StateError> {
    let subject = written(subject);
    let subject = subject.as_str();
    let (expanded, failed) = expanded(declared);
    let (found_as, matches) = search(declared, &expanded, subject);
    let names = matches.keys().map(|at| expanded[*at].0.name.as_str());
    let past = Past::read(declared, records, names, moment.now_ms)?;
    let mut urls = Vec::new();
    for (at, found) in &matches {
        let (set, expansion) = &expanded[*at];
        urls.extend(past.explain(set, expansion, found)?);
    }
    if let Some(holder) = &moment.holder {
        leave_to(holder, &mut urls);
    }
    let (obstacles, sent) = match found_as {
        None | Some(Found::Path) => {
            let now_ms = moment.now_ms;
            let mut obstacles = absent::obstacles(declared, &failed, records, subject, now_ms)?;
            // Why it is not yielded is said; that it was once is no news then.
            if obstacles.is_empty() {
                obstacles = removed::obstacles(declared, records, subject, now_ms)?;
            }
            (obstacles, past.sent_on_request(subject)?)
        }
        _ => Default::default(),
    };
    let asked = Asked {
        subject,
        is_sendable: declared.cdns.values().any(|cdn| cdn.covers(subject)),
        near: match found_as {
            None => near(&expanded, subject),
            Some(_) => None,
        },
    };
    Ok(Explanation {
        report: report((asked, found_as), urls, obstacles, sent),
        is_incomplete: !failed.is_empty(),
    })
}

/// What nothing stands in the way of is sent by whoever reconciles.
fn leave_to(holder: &Holder, urls: &mut [UrlDocument]) {
    let waits = |url: &&mut UrlDocument| {
        (url.state.is_pending() || url.state == State::UnderWay) && url.obstacles.is_empty()
    };
    for url in urls.iter_mut().filter(waits) {
        url.obstacles.push(obstacle::in_hand(holder));
    }
}
