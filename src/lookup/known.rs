//! What accounts last answered, for whoever declares sets.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::digest::Digest;

/// What is recorded of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Identity of the target that was asked.
    pub target: String,
    /// Of the query.
    pub query: Digest,
    /// What it asks for, for people.
    pub about: String,
    /// The last good answer, which stays in force until the next one.
    pub good: Option<Good>,
    /// When it was last asked, milliseconds since the epoch.
    pub asked_ms: i64,
    /// What went wrong then, where something did.
    pub failure: Option<Failure>,
}

/// A good answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Good {
    /// The table.
    pub bytes: Arc<[u8]>,
    /// Of these bytes.
    pub digest: Digest,
    /// Its rows.
    pub rows: u64,
    /// When it was had, milliseconds since the epoch.
    pub answered_ms: i64,
}

/// Why there was no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// In words, without secrets.
    pub message: String,
    /// Whether it is worth asking again before the next regular time.
    pub may_pass: bool,
}

/// What a set comes to whose look-up has no answer yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// It is left out, and named.
    #[default]
    LeavesOut,
    /// It has failed, and keeps its last good state.
    Fails,
}

type Key = (String, Digest);
type All = BTreeMap<Key, Recorded>;
type Source = dyn Fn() -> Vec<Recorded> + Send + Sync;

/// The answers that are known.
#[derive(Default)]
pub struct Known {
    source: Option<Box<Source>>,
    missing: Missing,
    all: Mutex<Option<Arc<All>>>,
}

impl Known {
    /// What `source` knows, once anybody asks.
    pub fn new(
        missing: Missing,
        source: impl Fn() -> Vec<Recorded> + Send + Sync + 'static,
    ) -> Self {
        Self {
            source: Some(Box::new(source)),
            missing,
            all: Mutex::default(),
        }
    }

    /// What a set comes to whose look-up has no answer yet.
    pub fn missing(&self) -> Missing {
        self.missing
    }

    /// What is known at one moment, which is when it is first looked into.
    pub fn view(&self) -> View<'_> {
        View {
            known: self,
            taken: OnceLock::new(),
        }
    }

    /// Takes down what has come of a query.
    pub fn update(&self, recorded: Recorded) {
        let mut all = self.all();
        Arc::make_mut(&mut all).insert((recorded.target.clone(), recorded.query), recorded);
        *self.lock() = Some(all);
    }

    /// Asks the source again, next time.
    pub fn refresh(&self) {
        *self.lock() = None;
    }

    fn all(&self) -> Arc<All> {
        let mut all = self.lock();
        let read = || {
            let recorded = self
                .source
                .as_ref()
                .map_or_else(Vec::new, |source| source());
            let by_key = recorded
                .into_iter()
                .map(|recorded| ((recorded.target.clone(), recorded.query), recorded));
            Arc::new(by_key.collect())
        };
        Arc::clone(all.get_or_insert_with(read))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<All>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").finish_non_exhaustive()
    }
}

/// What is known at one moment.
#[derive(Debug)]
pub struct View<'a> {
    known: &'a Known,
    taken: OnceLock<Arc<All>>,
}

impl View<'_> {
    /// What is recorded of a query at a target.
    pub fn find(&self, target: &str, query: Digest) -> Option<&Recorded> {
        let all = self.taken.get_or_init(|| self.known.all());
        all.get(&(target.to_owned(), query))
    }

    /// What a set comes to whose look-up has no answer yet.
    pub fn missing(&self) -> Missing {
        self.known.missing
    }
}

impl Recorded {
    /// Changes with the answer and with what went wrong, and not with time.
    pub fn digest(&self) -> Digest {
        let answer = self.good.as_ref().map(|good| good.digest.0);
        let failure = self.failure.as_ref().map(|failure| &failure.message);
        Digest::of_parts([
            answer.as_ref().map_or(&[][..], |digest| digest),
            failure.map_or(&[][..], |message| message.as_bytes()),
        ])
    }
}
