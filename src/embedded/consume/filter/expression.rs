//! A condition on properties, and its evaluation. A missing value makes it *unknown*, as in SQL; only a
//! condition that is true matches.

use std::cmp::Ordering;

/// Part of a condition. The parser checks which parts fit together.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::embedded::consume) enum Expression {
    Constant(Value),
    Property(String),
    Negate(Box<Expression>),
    /// A property in place of a truth value. A property is a text, so it is never true.
    Truth(Box<Expression>),
    Not(Box<Expression>),
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    Compare(Comparison, Box<Expression>, Box<Expression>),
    Text {
        test: TextTest,
        negated: bool,
        of: Box<Expression>,
        text: String,
    },
    In {
        property: String,
        negated: bool,
        texts: Vec<String>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::embedded::consume) enum Value {
    Null,
    Truth(bool),
    Integer(i64),
    Float(f64),
    Text(String),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::embedded::consume) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::embedded::consume) enum TextTest {
    Contains,
    StartsWith,
    EndsWith,
}

/// Why a condition cannot be compiled.
#[derive(Debug)]
pub(in crate::embedded::consume) struct Invalid(pub(in crate::embedded::consume) String);

/// The values cannot be compared: an exception in Java, so the message does not match.
struct Incomparable;

type Evaluated = Result<Value, Incomparable>;

impl Expression {
    pub(in crate::embedded::consume) fn matches<'a>(
        &self,
        property: impl Fn(&str) -> Option<&'a str>,
    ) -> bool {
        matches!(self.evaluate(&property), Ok(Value::Truth(true)))
    }

    fn evaluate<'a>(&self, property: &impl Fn(&str) -> Option<&'a str>) -> Evaluated {
        let value_of =
            |name: &str| property(name).map_or(Value::Null, |text| Value::Text(text.to_owned()));
        Ok(match self {
            Expression::Constant(value) => value.clone(),
            Expression::Property(name) => value_of(name),
            Expression::Negate(of) => match of.evaluate(property)? {
                Value::Integer(number) => Value::Integer(number.wrapping_neg()),
                Value::Float(number) => Value::Float(-number),
                _ => Value::Null,
            },
            Expression::Truth(of) => match of.evaluate(property)? {
                Value::Null => Value::Null,
                Value::Truth(truth) => Value::Truth(truth),
                _ => Value::Truth(false),
            },
            Expression::Not(of) => match of.evaluate(property)? {
                Value::Truth(truth) => Value::Truth(!truth),
                _ => Value::Null,
            },
            Expression::And(left, right) => both(left, right, property, false)?,
            Expression::Or(left, right) => both(left, right, property, true)?,
            Expression::Compare(comparison, left, right) => compare(
                *comparison,
                left.evaluate(property)?,
                right.evaluate(property)?,
            )?,
            Expression::Text {
                test,
                negated,
                of,
                text,
            } => match of.evaluate(property)? {
                Value::Text(value) if !text.is_empty() => {
                    let is = match test {
                        TextTest::Contains => value.contains(text),
                        TextTest::StartsWith => value.starts_with(text),
                        TextTest::EndsWith => value.ends_with(text),
                    };
                    Value::Truth(is != *negated)
                }
                _ => Value::Truth(false),
            },
            Expression::In {
                property: name,
                negated,
                texts,
            } => match value_of(name) {
                Value::Text(value) => Value::Truth(texts.contains(&value) != *negated),
                _ => Value::Null,
            },
        })
    }
}

/// And, or or: `decides` is the value that decides alone.
fn both<'a>(
    left: &Expression,
    right: &Expression,
    property: &impl Fn(&str) -> Option<&'a str>,
    decides: bool,
) -> Evaluated {
    let decided = Value::Truth(decides);
    let left = left.evaluate(property)?;
    if left == decided {
        return Ok(decided);
    }
    let right = right.evaluate(property)?;
    Ok(match (left, right) {
        (_, right) if right == decided => decided,
        (Value::Null, _) | (_, Value::Null) => Value::Null,
        _ => Value::Truth(!decides),
    })
}

fn compare(comparison: Comparison, left: Value, right: Value) -> Evaluated {
    let equal = comparison == Comparison::Equal;
    match (&left, &right) {
        (Value::Null, Value::Null) if equal => return Ok(Value::Truth(true)),
        (_, Value::Null) if equal => return Ok(Value::Truth(false)),
        (Value::Null, _) | (_, Value::Null) => return Ok(Value::Null),
        _ => {}
    }
    let order = match (left, right) {
        // Texts are compared for equality only; texts that are numbers are ordered as numbers.
        (Value::Text(left), Value::Text(right)) if equal => left.cmp(&right),
        (Value::Text(left), Value::Text(right)) => order(number(&left)?, number(&right)?),
        (left, right) => mixed(&left, &right)?,
    };
    Ok(Value::Truth(match comparison {
        Comparison::Equal => order == Ordering::Equal,
        Comparison::Less => order == Ordering::Less,
        Comparison::LessOrEqual => order != Ordering::Greater,
        Comparison::Greater => order == Ordering::Greater,
        Comparison::GreaterOrEqual => order != Ordering::Less,
    }))
}

/// Converts a text to the type of the other operand.
fn mixed(left: &Value, right: &Value) -> Result<Ordering, Incomparable> {
    use Value::{Float, Integer, Text, Truth};
    Ok(match (left, right) {
        (Truth(left), Truth(right)) => left.cmp(right),
        (Text(text), Truth(right)) => text.eq_ignore_ascii_case("true").cmp(right),
        (Integer(left), Integer(right)) => left.cmp(right),
        (Text(text), Integer(right)) => integer(text)?.cmp(right),
        (Integer(left), Text(text)) => left.cmp(&integer(text)?),
        #[expect(clippy::cast_precision_loss, reason = "as Java does")]
        (Integer(left), Float(right)) => order(*left as f64, *right),
        #[expect(clippy::cast_precision_loss, reason = "as Java does")]
        (Float(left), Integer(right)) => order(*left, *right as f64),
        (Float(left), Float(right)) => order(*left, *right),
        (Text(text), Float(right)) => order(number(text)?, *right),
        (Float(left), Text(text)) => order(*left, number(text)?),
        (Truth(_), Text(_)) => return Err(Incomparable),
        _ => Ordering::Less,
    })
}

/// As the parser orders two constants.
pub(in crate::embedded::consume) fn constants_in_order(low: &Value, high: &Value) -> bool {
    mixed(low, high).is_ok_and(|order| order != Ordering::Greater)
}

fn order(left: f64, right: f64) -> Ordering {
    left.partial_cmp(&right).unwrap_or(Ordering::Less)
}

fn integer(text: &str) -> Result<i64, Incomparable> {
    text.parse().map_err(|_| Incomparable)
}

fn number(text: &str) -> Result<f64, Incomparable> {
    text.trim().parse().map_err(|_| Incomparable)
}
