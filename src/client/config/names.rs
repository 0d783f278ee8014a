//! Names of topics and groups: what a namespace makes of them.

use std::borrow::Cow;
use std::sync::Arc;

use crate::protocol::namespace;

/// Topics and groups have two names: the users' own, and the one on the wire, which has the
/// namespace (of the first kind) in front.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names(Option<Arc<str>>);

impl Names {
    /// An empty namespace is none.
    pub(super) fn in_namespace(namespace: Option<Arc<str>>) -> Names {
        Names(namespace.filter(|name| !name.is_empty()))
    }

    pub(crate) fn namespace(&self) -> Option<&str> {
        self.0.as_deref()
    }

    pub(crate) fn on_wire(&self, name: &Arc<str>) -> Arc<str> {
        self.map(namespace::add, name)
    }

    pub(crate) fn for_users(&self, name: &Arc<str>) -> Arc<str> {
        self.map(namespace::strip, name)
    }

    fn map(&self, map: for<'a> fn(&str, &'a str) -> Cow<'a, str>, name: &Arc<str>) -> Arc<str> {
        match &self.0 {
            Some(namespace) => map(namespace, name).into(),
            None => name.clone(),
        }
    }
}
