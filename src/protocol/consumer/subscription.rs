//! A group's filter of a topic (Java's `SubscriptionData` and `FilterAPI`).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::message::string_hash;
use crate::protocol::ProtocolError;
use crate::protocol::fastjson::{list, null_as_default};

/// A subscription by tags.
pub const TAG: &str = "TAG";
/// A subscription by a condition on properties.
pub const SQL92: &str = "SQL92";
/// All messages, as an expression of tags.
pub const ALL: &str = "*";

/// A group's subscription of one topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    /// Filtering by a class at the server; obsolete.
    #[serde(default)]
    pub class_filter_mode: bool,
    /// The hash codes of the tags: brokers compare only these.
    #[serde(default, deserialize_with = "list")]
    pub code_set: BTreeSet<i32>,
    /// [`TAG`] or [`SQL92`].
    #[serde(default = "tag")]
    pub expression_type: String,
    /// The expression as the user wrote it.
    #[serde(default, deserialize_with = "null_as_default")]
    pub sub_string: String,
    /// The version, in epoch milliseconds: of two subscriptions the higher one counts.
    #[serde(default)]
    pub sub_version: i64,
    /// The tags; empty means all, or SQL.
    #[serde(default, deserialize_with = "list")]
    pub tags_set: BTreeSet<String>,
    /// The topic.
    pub topic: String,
}

fn tag() -> String {
    TAG.to_owned()
}

impl Subscription {
    /// By tags: `created || paid`, or `*` for all.
    ///
    /// # Errors
    /// An expression of nothing but separators.
    pub fn tags(
        topic: impl Into<String>,
        expression: &str,
        version: i64,
    ) -> Result<Subscription, ProtocolError> {
        let all = expression.is_empty() || expression == ALL;
        let tags: BTreeSet<String> = match all {
            true => BTreeSet::new(),
            // Java's `trim`: everything up to the space.
            false => expression
                .split("||")
                .map(|tag| tag.trim_matches(|c| c <= ' '))
                .filter(|tag| !tag.is_empty())
                .map(str::to_owned)
                .collect(),
        };
        if tags.is_empty() && !all {
            return Err(ProtocolError::new("the expression has no tag"));
        }
        Ok(Subscription {
            class_filter_mode: false,
            code_set: tags.iter().map(|tag| string_hash(tag)).collect(),
            expression_type: tag(),
            sub_string: if all { ALL } else { expression }.to_owned(),
            sub_version: version,
            tags_set: tags,
            topic: topic.into(),
        })
    }

    /// By a condition on properties, which the broker evaluates.
    ///
    /// # Errors
    /// The condition is empty.
    pub fn sql(
        topic: impl Into<String>,
        condition: &str,
        version: i64,
    ) -> Result<Subscription, ProtocolError> {
        if condition.trim().is_empty() {
            return Err(ProtocolError::new("the SQL condition is empty"));
        }
        Ok(Subscription {
            class_filter_mode: false,
            code_set: BTreeSet::new(),
            expression_type: SQL92.to_owned(),
            sub_string: condition.to_owned(),
            sub_version: version,
            tags_set: BTreeSet::new(),
            topic: topic.into(),
        })
    }

    /// Whether it is by tags, and so can be checked by the client.
    pub fn is_by_tags(&self) -> bool {
        self.expression_type == TAG
    }

    /// Whether a message with this tag matches. (A broker compares hash codes, which can collide.)
    /// Only the broker evaluates SQL: then every message matches.
    pub fn wants(&self, tag: Option<&str>) -> bool {
        self.tags_set.is_empty()
            || self.class_filter_mode
            || tag.is_some_and(|tag| self.tags_set.contains(tag))
    }

    /// Whether a broker hands out a message with this tag: it compares hash codes (0 without a tag).
    pub fn matches_hash(&self, tag: Option<&str>) -> bool {
        let code = tag.map_or(0, string_hash);
        self.sub_string == ALL || !self.is_by_tags() || self.code_set.contains(&code)
    }

    /// Whether both select the same messages; versions are not compared.
    pub fn is_same_filter(&self, other: &Subscription) -> bool {
        let versionless = |subscription: &Subscription| Subscription {
            sub_version: 0,
            ..subscription.clone()
        };
        versionless(self) == versionless(other)
    }
}
