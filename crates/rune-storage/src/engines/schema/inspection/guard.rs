//! The look around as a part of every transaction of the store.

use std::{
    pin::Pin,
    sync::{Mutex, PoisonError},
};

use camino::Utf8Path;
use rusqlite::Connection;
use tokio_postgres::Client;

use super::{Inspection, Verb, look_around, look_around_file};
use crate::{
    SqliteError,
    port::{Guard, Reached, StoreError},
    retry_while_busy,
    schema::SchemaError,
};

/// Refuses what a verb cannot do, before each operation and in its transaction.
#[derive(Debug)]
pub struct SiteGuard {
    verb: Verb,
    allows_cascade: bool,
    seen: Mutex<Inspection>,
}

impl SiteGuard {
    /// For a verb.
    pub fn new(verb: Verb) -> Self {
        Self {
            verb,
            allows_cascade: false,
            seen: Mutex::default(),
        }
    }

    /// The same where what deletes reach by foreign keys, triggers and rules is allowed.
    pub fn allowing_cascades(verb: Verb) -> Self {
        Self {
            allows_cascade: true,
            ..Self::new(verb)
        }
    }

    /// What is done.
    pub const fn verb(&self) -> Verb {
        self.verb
    }

    /// What the last operation found.
    pub fn seen(&self) -> Inspection {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn decide(&self, site: Inspection) -> Result<Reached, StoreError> {
        let outcome = if self.allows_cascade {
            site.check_without_cascades(self.verb)
        } else {
            site.check(self.verb)
        };
        outcome.map_err(|obstacle| StoreError::Site(Box::new(obstacle)))?;
        let reached = site.reached.clone();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = site;
        Ok(reached)
    }
}

impl Guard for SiteGuard {
    fn check_file(&self, connection: &Connection, path: &Utf8Path) -> Result<Reached, StoreError> {
        // Nothing was read in the transaction yet: it can be tried again.
        let site = retry_while_busy(connection, || look_around_file(connection));
        self.decide(site.map_err(SqliteError::on(path))?)
    }

    fn check_server<'a>(
        &'a self,
        client: &'a Client,
    ) -> Pin<Box<dyn Future<Output = Result<Reached, StoreError>> + Send + 'a>> {
        Box::pin(async move {
            let site = look_around(client).await.map_err(|error| match error {
                SchemaError::Server(error) => StoreError::Server(error),
                error => StoreError::Site(Box::new(error)),
            });
            self.decide(site?)
        })
    }
}
