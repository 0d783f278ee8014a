//! Stands for `discovery` in builds without that feature: a type of which there are no values.

use std::sync::Arc;

use crate::error::Result;
use crate::transport::Deadline;

pub(super) enum Discovery {}

impl Discovery {
    pub(super) fn fetch(&self, _: Deadline, _: impl FnOnce(Vec<Arc<str>>)) -> Result<()> {
        match *self {}
    }
}
