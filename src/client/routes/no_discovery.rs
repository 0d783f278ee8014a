//! Stands for `discovery` in builds without that feature: a type of which there are no values.

use std::sync::Arc;

use crate::client::config::ClientConfig;
use crate::error::Result;
use crate::transport::Deadline;

pub(in crate::client) enum Discovery {}

impl Discovery {
    pub(in crate::client) fn from_config(_: &ClientConfig) -> Result<Option<Discovery>> {
        Ok(None)
    }

    pub(super) fn fetch(&self, _: Deadline, _: impl FnOnce(Vec<Arc<str>>)) -> Result<()> {
        match *self {}
    }
}
