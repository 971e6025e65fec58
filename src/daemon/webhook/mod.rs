//! Notifications: alerts by POST to one URL (edge: network, clock).
//!
//! The daemon hands alerts over and goes on. They wait in a queue that holds
//! the newest hundred, are sent in order, each a few times if need be, and are
//! lost where the sink does not take them: the state of things is in
//! `freshen status`, whatever becomes of a notification.

mod queue;
mod sink;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tracing::warn;

use super::alert::Alert;
use crate::metrics::{Metrics, NotificationResult};
use crate::report::alert::AlertDocument;
use crate::submit::transport::SetUpError;
use queue::Queue;
pub use sink::{BadSink, Sink};
use sink::{Post, Sender};

/// How patiently a notification is sent.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// For one try as a whole.
    timeout: Duration,
    /// Tries, at most.
    tries: u32,
    /// The wait after the first try; each later one is twice as long.
    first_wait: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            tries: 5,
            first_wait: Duration::from_secs(1),
        }
    }
}

/// Sends alerts while it lives.
#[derive(Debug)]
pub struct Webhook {
    queue: Arc<Queue>,
    metrics: Arc<Metrics>,
    origin: String,
    courier: JoinHandle<()>,
}

impl Webhook {
    /// Starts sending to `sink`; within a runtime.
    pub fn start(sink: Sink, metrics: Arc<Metrics>) -> Result<Self, SetUpError> {
        Self::start_at(sink, metrics, Pace::default())
    }

    fn start_at(sink: Sink, metrics: Arc<Metrics>, pace: Pace) -> Result<Self, SetUpError> {
        let queue = Arc::new(Queue::default());
        let origin = sink.origin().to_owned();
        let courier = Courier {
            queue: Arc::clone(&queue),
            metrics: Arc::clone(&metrics),
            sender: Sender::new(sink, pace.timeout)?,
            pace,
        };
        Ok(Self {
            queue,
            metrics,
            origin,
            courier: tokio::spawn(courier.run()),
        })
    }

    /// Hands alerts over; never waits for anything.
    pub fn send(&self, alerts: &[Alert]) {
        let dropped: u64 = alerts
            .iter()
            .map(|alert| u64::from(self.queue.push(alert.document())))
            .sum();
        self.drop(dropped, "newer ones took their place");
    }

    /// Sends what still waits, for as long as `grace`, and ends.
    pub async fn stop(mut self, grace: Duration) {
        self.queue.close();
        if tokio::time::timeout(grace, &mut self.courier)
            .await
            .is_err()
        {
            self.courier.abort();
            self.drop(self.queue.left(), "freshen stopped first");
        }
    }

    fn drop(&self, count: u64, why: &str) {
        if count > 0 {
            self.metrics.notified(NotificationResult::Dropped, count);
            warn!(sink = self.origin, count, why, "notifications dropped");
        }
    }
}

/// Takes notifications from the queue to the sink.
struct Courier {
    queue: Arc<Queue>,
    metrics: Arc<Metrics>,
    sender: Sender,
    pace: Pace,
}

impl Courier {
    async fn run(self) {
        while let Some(document) = self.queue.first().await {
            self.deliver(&document).await;
            self.queue.done();
        }
    }

    async fn deliver(&self, document: &AlertDocument) {
        let result = match self.persist(document).await {
            Ok(()) => NotificationResult::Delivered,
            Err(why) => {
                let sink = self.sender.origin();
                let message = &document.message;
                warn!(sink, why, message, "notification not delivered");
                NotificationResult::Failed
            }
        };
        self.metrics.notified(result, 1);
    }

    /// Tries until it is taken, or why it was not.
    async fn persist(&self, document: &AlertDocument) -> Result<(), String> {
        let body = serde_json::to_vec(document).expect("a wire value has only text keys");
        let mut wait = self.pace.first_wait;
        let mut tried = 1;
        loop {
            match self.sender.post(&body).await {
                Post::Taken => return Ok(()),
                Post::Refused(why) => return Err(why),
                Post::Failed(why) if tried >= self.pace.tries => return Err(why),
                Post::Failed(_) => tokio::time::sleep(wait).await,
            }
            tried += 1;
            wait *= 2;
        }
    }
}

#[cfg(test)]
mod tests;
