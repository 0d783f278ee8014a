//! Filters and subscriptions: which messages of a topic a consumer gets.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};

/// Which messages of a topic are consumed. A text as a filter means [`tags`](Filter::tags).
///
/// Creating a filter cannot fail: the start of the consumer checks it, and the broker checks SQL. All
/// members of a group must subscribe to the same topics with the same filters: a broker keeps only the
/// latest set of a group.
///
/// ```ignore
/// PushConsumer::builder("billing")
///     .subscribe("Orders", "created || paid")
///     .subscribe("Refunds", Filter::sql("amount > 100 AND region = 'north'"))
///     .subscribe("Audits", Filter::all())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
#[doc(alias = "MessageSelector")]
#[doc(alias = "subExpression")]
#[must_use]
pub struct Filter(Kind);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Kind {
    All,
    /// The given text, and the tags in it.
    Tags(Arc<str>, Arc<[Arc<str>]>),
    Sql(Arc<str>),
}

impl Filter {
    /// All messages of the topic, including those without a tag.
    #[doc(alias = "SUB_ALL")]
    pub fn all() -> Filter {
        Filter(Kind::All)
    }

    /// Messages with one of these tags: `paid`, or `created || paid || shipped`. Spaces around a tag
    /// do not count. An empty text and `*` alone are [`all`](Filter::all).
    ///
    /// The broker compares hashes of the tags, and the consumer then compares the texts, so that no
    /// message with another tag reaches the handler.
    #[doc(alias = "byTag")]
    pub fn tags(expression: impl AsRef<str>) -> Filter {
        let text = expression.as_ref();
        if text.is_empty() || text == "*" {
            return Filter::all();
        }
        let mut tags: Vec<Arc<str>> = Vec::new();
        for tag in text.split("||").map(str::trim) {
            if !tag.is_empty() && !tags.iter().any(|known| **known == *tag) {
                tags.push(tag.into());
            }
        }
        Filter(Kind::Tags(text.into(), tags.into()))
    }

    /// Messages whose properties fulfil a condition in the SQL92 subset of brokers:
    /// `amount > 100 AND region = 'north'`, with `>`, `>=`, `<`, `<=`, `=`, `<>`, `BETWEEN`, `IN`,
    /// `IS [NOT] NULL`, `AND`, `OR`, `NOT`. The tag is the property `TAGS`. Only the broker
    /// evaluates it, which must allow it (`enablePropertyFilter=true`, off by default).
    #[doc(alias = "bySql")]
    #[doc(alias = "SQL92")]
    pub fn sql(expression: impl AsRef<str>) -> Filter {
        Filter(Kind::Sql(expression.as_ref().into()))
    }

    /// The expression as brokers get it: `*` for all.
    pub fn expression(&self) -> &str {
        match &self.0 {
            Kind::All => "*",
            Kind::Tags(text, _) | Kind::Sql(text) => text,
        }
    }

    /// `TAG` or `SQL92`.
    pub(crate) fn expression_type(&self) -> &'static str {
        match self.0 {
            Kind::Sql(_) => "SQL92",
            _ => "TAG",
        }
    }

    /// The tags, each once; none if the filter is another one.
    #[allow(dead_code, reason = "models and tests look at it")]
    pub(crate) fn tag_set(&self) -> &[Arc<str>] {
        match &self.0 {
            Kind::Tags(_, tags) => tags,
            _ => &[],
        }
    }

    /// Whether a message with this tag may be handed out. (The broker applies SQL.)
    pub(crate) fn matches(&self, tag: Option<&str>) -> bool {
        match &self.0 {
            Kind::Tags(_, tags) => tag.is_some_and(|tag| tags.iter().any(|known| **known == *tag)),
            Kind::All | Kind::Sql(_) => true,
        }
    }

    /// Checks the filter.
    ///
    /// # Errors
    /// `Config`: tags that are separators only, or an empty SQL expression.
    pub(crate) fn check(&self) -> Result<()> {
        let text = match &self.0 {
            Kind::Tags(text, tags) if tags.is_empty() => {
                format!("the filter {text:?} has separators and no tag")
            }
            Kind::Sql(text) if text.trim().is_empty() => {
                "the SQL expression of a filter is empty".to_owned()
            }
            _ => return Ok(()),
        };
        Err(Error::new(ErrorKind::Config, text))
    }

    /// Both filters together, when a topic is subscribed twice.
    fn or(&self, other: &Filter) -> Result<Filter> {
        match (&self.0, &other.0) {
            (a, b) if a == b => Ok(self.clone()),
            (Kind::Tags(..), Kind::Tags(..)) => {
                let (a, b) = (self.expression(), other.expression());
                Ok(Filter::tags(format!("{a} || {b}")))
            }
            (Kind::Sql(_), _) | (_, Kind::Sql(_)) => {
                let text = format!("{self:?} and {other:?} cannot be combined");
                Err(Error::new(ErrorKind::Config, text))
            }
            (Kind::All, _) | (_, Kind::All) => Ok(Filter::all()),
        }
    }
}

impl Default for Filter {
    fn default() -> Filter {
        Filter::all()
    }
}

impl From<&str> for Filter {
    fn from(tags: &str) -> Filter {
        Filter::tags(tags)
    }
}

impl From<String> for Filter {
    fn from(tags: String) -> Filter {
        Filter::tags(tags)
    }
}

impl From<&String> for Filter {
    fn from(tags: &String) -> Filter {
        Filter::tags(tags)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::All => f.write_str("all"),
            Kind::Tags(text, _) => write!(f, "tags {text:?}"),
            Kind::Sql(text) => write!(f, "sql {text:?}"),
        }
    }
}

/// The topics of a consumer, each with its filter, in the order of subscribing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Subscriptions(Vec<(Arc<str>, Filter)>);

impl Subscriptions {
    /// Subscribes to a topic. A second filter widens the first one: tags add up, `all` stays all. SQL cannot
    /// be combined with another filter.
    ///
    /// # Errors
    /// `Config`: the filter is not legal, or cannot be combined with the previous one.
    pub(crate) fn add(&mut self, topic: impl Into<Arc<str>>, filter: Filter) -> Result<()> {
        let topic = topic.into();
        filter.check().map_err(|error| error.on_topic(&topic))?;
        match self.0.iter_mut().find(|(known, _)| *known == topic) {
            None => self.0.push((topic, filter)),
            Some((_, known)) => {
                *known = known.or(&filter).map_err(|error| error.on_topic(&topic))?;
            }
        }
        Ok(())
    }

    /// Returns whether the topic was subscribed.
    #[allow(dead_code, reason = "models and tests look at it")]
    pub(crate) fn remove(&mut self, topic: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|(known, _)| **known != *topic);
        self.0.len() < before
    }

    #[allow(dead_code, reason = "models and tests look at it")]
    pub(crate) fn get(&self, topic: &str) -> Option<&Filter> {
        let found = self.0.iter().find(|(known, _)| **known == *topic);
        found.map(|(_, filter)| filter)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Filter)> {
        self.0.iter().map(|(topic, filter)| (topic, filter))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn tags_are_read_as_java_reads_them() {
        for (text, expression, tags) in [
            ("", "*", &[][..]),
            ("*", "*", &[]),
            ("TagA", "TagA", &["TagA"]),
            ("TagA||TagB", "TagA||TagB", &["TagA", "TagB"]),
            (" TagA || TagB ", " TagA || TagB ", &["TagA", "TagB"]),
            ("a || || a||b", "a || || a||b", &["a", "b"]),
            ("a|||b", "a|||b", &["a", "|b"]),
            ("a | b", "a | b", &["a | b"]),
            // `*` means all only if it stands alone.
            (" * ", " * ", &["*"]),
            ("a || *", "a || *", &["a", "*"]),
            ("标签", "标签", &["标签"]),
        ] {
            let filter = Filter::from(text);
            let got: Vec<&str> = filter.tag_set().iter().map(|tag| &**tag).collect();
            assert_eq!((filter.expression(), &*got), (expression, tags), "{text:?}");
            assert_eq!(filter.expression_type(), "TAG");
            assert!(filter.check().is_ok(), "{text:?}");
        }
    }

    #[test]
    fn a_message_is_compared_by_the_text_of_its_tag() {
        let tags = Filter::tags("Aa || b");
        for (tag, expected) in [
            (Some("Aa"), true),
            (Some("b"), true),
            // The same hash as "Aa" in Java.
            (Some("BB"), false),
            (Some("aa"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(tags.matches(tag), expected, "{tag:?}");
            assert!(Filter::all().matches(tag) && Filter::sql("a > 5").matches(tag));
        }
    }

    #[test]
    fn filters_without_content_are_refused() {
        let error = |filter: Filter| filter.check().map_err(|e| (e.kind(), e.to_string()));
        let config = |text: &str| Err((ErrorKind::Config, text.to_owned()));
        for text in [" || ", "||", "  "] {
            let expected = format!("the filter {text:?} has separators and no tag");
            assert_eq!(error(Filter::tags(text)), config(&expected));
        }
        for text in ["", "  "] {
            assert_eq!(
                error(Filter::sql(text)),
                config("the SQL expression of a filter is empty")
            );
        }
        assert_eq!(error(Filter::sql("a IS NULL")), Ok(()));
    }

    #[test]
    fn a_topic_that_is_subscribed_twice_gets_both_filters() {
        let both = |a: Filter, b: Filter| {
            let mut topics = Subscriptions::default();
            topics.add("T", a).expect("legal");
            topics.add("T", b).map(|()| {
                assert_eq!(topics.iter().count(), 1);
                topics.get("T").expect("subscribed").clone()
            })
        };
        let tags = Filter::tags;
        assert_eq!(
            both(tags("a"), tags("b||a")).expect("fine"),
            tags("a || b||a")
        );
        assert_eq!(
            both(tags("a"), tags("b||a")).expect("fine").tag_set().len(),
            2
        );
        assert_eq!(both(tags("a"), tags("a")).expect("fine"), tags("a"));
        assert_eq!(both(Filter::all(), tags("a")).expect("fine"), Filter::all());
        assert_eq!(both(tags("a"), Filter::all()).expect("fine"), Filter::all());
        let sql = Filter::sql;
        assert_eq!(
            both(sql("a > 1"), sql("a > 1")).expect("fine"),
            sql("a > 1")
        );
        for (a, b) in [
            (sql("a > 1"), sql("a > 2")),
            (sql("a > 1"), tags("a")),
            (tags("a"), sql("a > 1")),
            (Filter::all(), sql("a > 1")),
        ] {
            assert_eq!(both(a, b).expect_err("no").kind(), ErrorKind::Config);
        }
        let error = both(tags("a"), sql("b > 1")).expect_err("no").to_string();
        assert_eq!(error, "T: tags \"a\" and sql \"b > 1\" cannot be combined");
    }

    #[test]
    fn topics_come_and_go() {
        let mut topics = Subscriptions::default();
        topics.add("T", Filter::default()).expect("legal");
        topics.add("U", "a".into()).expect("legal");
        assert!(topics.add("V", Filter::sql("")).is_err());
        assert_eq!(
            topics.iter().map(|(t, _)| &**t).collect::<Vec<_>>(),
            ["T", "U"]
        );
        assert!(topics.remove("T") && !topics.remove("T"));
        assert!(topics.get("T").is_none() && !topics.is_empty());
    }
}
