//! Filters of messages as brokers evaluate them: by hash codes of tags, or by a condition on properties.

mod expression;
mod parser;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use self::expression::{Expression, Invalid};
use crate::embedded::store::StoredMessage;
use crate::message::string_hash;
use crate::protocol::consumer::subscription::{ALL, Subscription};

/// Compiled from a [`Subscription`]. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) enum Filter {
    All,
    /// Brokers compare hash codes only: tags with the same code both match.
    Tags(Arc<BTreeSet<i32>>),
    Sql(Arc<Expression>),
}

impl Filter {
    pub(super) fn of(subscription: &Subscription) -> Result<Filter, Invalid> {
        if !subscription.is_by_tags() && !subscription.expression_type.is_empty() {
            let expression = parser::parse(&subscription.sub_string)?;
            return Ok(Filter::Sql(Arc::new(expression)));
        }
        Ok(match subscription.sub_string == ALL {
            true => Filter::All,
            false => Filter::Tags(Arc::new(subscription.code_set.clone())),
        })
    }

    pub(super) fn is_all(&self) -> bool {
        matches!(self, Filter::All)
    }

    pub(super) fn matches(&self, message: &StoredMessage) -> bool {
        match self {
            Filter::All => true,
            Filter::Tags(codes) => codes.contains(&message.tag().map_or(0, string_hash)),
            Filter::Sql(expression) => expression.matches(|name| message.property(name)),
        }
    }
}
