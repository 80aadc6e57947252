//! A spool in the store's file.

use std::ops::Range;

use obs_store::{Durability, Overflow, Queue, QueueOptions, Store};

use super::{Spool, SpoolError, SpoolRecord};

/// A spool that is a queue of an [`obs_store::Store`].
///
/// Pushed records survive `kill -9` and a loss of power. Acknowledgments are on disk a little later, so after such an
/// end some of the last messages are sent again.
///
/// ```
/// # #[cfg(not(feature = "spool"))]
/// # fn main() {}
/// # #[cfg(feature = "spool")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use obs_delivery::{Delivery, DeliveryConfig, Message, Spooled, StoreSpool};
/// # use obs_delivery::{SendError, SendFuture, Transport};
/// use obs_store::{Store, StoreOptions};
/// use std::time::Duration;
/// # struct Away;
/// # impl Transport for Away {
/// #     fn send<'a>(&'a self, _: &'a Message) -> SendFuture<'a> {
/// #         Box::pin(async { Err(SendError::passing("away")) })
/// #     }
/// # }
/// # let folder = tempfile::tempdir()?;
///
/// let (store, _) = Store::open(folder.path().join("state.redb"), StoreOptions::default())?;
/// let delivery = Delivery::builder(DeliveryConfig::named("logs"))
///     .endpoint("away", Away)
///     .spool(StoreSpool::open(&store, "delivery/logs", 256 << 20)?)
///     .start()?;
/// assert_eq!(delivery.offer_spooled(Message::new("a line")).await, Spooled::Durably);
/// let report = delivery.shutdown(Duration::ZERO).await;
/// assert_eq!((report.delivered, report.undelivered, report.spooled), (0, 0, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct StoreSpool {
    queue: Queue,
}

impl StoreSpool {
    /// The spool of this name, with what it holds from before; of so many bytes, with what the store itself counts for
    /// each record. It should be at least [`SpoolConfig::max_bytes`](crate::SpoolConfig::max_bytes).
    ///
    /// # Errors
    ///
    /// The store's, such as for a name that is not valid.
    pub fn open(store: &Store, name: &str, max_bytes: u64) -> Result<Self, obs_store::Error> {
        // A queue that drops its oldest records would drop what somebody was told is safe.
        let options = QueueOptions { max_bytes, overflow: Overflow::Refuse };
        Ok(Self { queue: store.queue(name, options)? })
    }
}

impl Spool for StoreSpool {
    fn push(&self, records: &[&[u8]]) -> Result<Range<u64>, SpoolError> {
        Ok(self.queue.push(records, Durability::Immediate).map_err(explained)?.ids)
    }

    fn peek_from(
        &self,
        id: u64,
        max_items: usize,
        max_bytes: usize,
    ) -> Result<Vec<SpoolRecord>, SpoolError> {
        let items = self.queue.peek_from(id, max_items, max_bytes).map_err(explained)?;
        let record = |item: obs_store::Item| SpoolRecord { id: item.id, bytes: item.bytes.into() };
        Ok(items.into_iter().map(record).collect())
    }

    fn acknowledge_through(&self, id: u64) -> Result<(), SpoolError> {
        self.queue.acknowledge_through(id, Durability::Eventual).map_err(explained)?;
        Ok(())
    }

    fn len(&self) -> u64 {
        self.queue.len()
    }

    fn bytes(&self) -> u64 {
        self.queue.bytes()
    }
}

fn explained(error: obs_store::Error) -> SpoolError {
    let text = error.to_string();
    if error.is_full() { SpoolError::full(text) } else { SpoolError::new(text) }
}
