use std::fmt;

use super::config::ClientOptions;
use super::core::Client;
use crate::error::{Error, ErrorKind, Result};

/// The client of a producer's or consumer's builder: a given one, or its own with these settings.
#[derive(Clone, Default)]
pub(crate) struct ClientSource {
    given: Option<Client>,
    /// None if nothing was set.
    options: Option<ClientOptions>,
}

impl ClientSource {
    /// Uses this client.
    pub(crate) fn give(&mut self, client: &Client) {
        self.given = Some(client.clone());
    }

    /// Adds settings of the builder's own client; earlier values stay unless they are set again.
    pub(crate) fn set(&mut self, later: ClientOptions) {
        self.options = Some(self.options.take().unwrap_or_default().merged(later));
    }

    /// The client, and whether it is the caller's own, to be closed with it.
    ///
    /// # Errors
    /// `Invalid` if both a client and settings of one were given, else those of [`Client::start`].
    pub(crate) fn client(self) -> Result<(Client, bool)> {
        match (self.given, self.options) {
            (Some(_), Some(_)) => Err(Error::new(
                ErrorKind::Invalid,
                "with a given client the client's own settings count: set them where it is started",
            )),
            (Some(client), None) => Ok((client, false)),
            (None, options) => {
                let client = Client::start(options.unwrap_or_default())?;
                Ok((client, true))
            }
        }
    }
}

impl fmt::Debug for ClientSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.given {
            Some(client) => client.fmt(f),
            None => self.options.clone().unwrap_or_default().fmt(f),
        }
    }
}
