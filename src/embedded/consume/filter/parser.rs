//! Parses a condition on properties: the SQL92 of brokers, which have no LIKE and no arithmetic.

use super::expression::{Comparison, Expression, Invalid, TextTest, Value, constants_in_order};

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// A keyword or the name of a property.
    Word(String),
    Text(String),
    Number(String),
    Symbol(&'static str),
}

const SYMBOLS: [&str; 11] = ["<>", "<=", ">=", "<", ">", "=", "(", ")", ",", "+", "-"];

/// Keywords, which cannot be names of properties.
const KEYWORDS: [&str; 12] = [
    "NOT",
    "AND",
    "OR",
    "BETWEEN",
    "IN",
    "TRUE",
    "FALSE",
    "NULL",
    "IS",
    "CONTAINS",
    "STARTSWITH",
    "ENDSWITH",
];

/// The deepest nesting.
const DEEPEST: usize = 200;

/// Parses a condition. Like brokers, it ignores text after a whole condition.
pub(in crate::embedded::consume) fn parse(condition: &str) -> Result<Expression, Invalid> {
    let mut parser = Parser {
        tokens: tokens(condition)?,
        at: 0,
        depth: 0,
    };
    let expression = parser.or()?;
    truth(expression)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn or(&mut self) -> Result<Expression, Invalid> {
        let mut left = self.and()?;
        while self.keyword("OR") {
            let right = truth(self.and()?)?;
            left = Expression::Or(Box::new(truth(left)?), Box::new(right));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expression, Invalid> {
        let mut left = self.equality()?;
        while self.keyword("AND") {
            let right = truth(self.equality()?)?;
            left = Expression::And(Box::new(truth(left)?), Box::new(right));
        }
        Ok(left)
    }

    fn equality(&mut self) -> Result<Expression, Invalid> {
        let mut left = self.comparison()?;
        loop {
            left = if self.symbol("=") {
                equal(left, self.comparison()?)?
            } else if self.symbol("<>") {
                not(equal(left, self.comparison()?)?)
            } else if self.keyword("IS") {
                let negated = self.keyword("NOT");
                self.expect_keyword("NULL")?;
                let null = Box::new(Expression::Constant(Value::Null));
                let is = Expression::Compare(Comparison::Equal, Box::new(left), null);
                negate_if(negated, is)
            } else {
                return Ok(left);
            };
        }
    }

    fn comparison(&mut self) -> Result<Expression, Invalid> {
        const ORDERS: [(&str, Comparison); 4] = [
            (">", Comparison::Greater),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            ("<=", Comparison::LessOrEqual),
        ];
        const TESTS: [(&str, TextTest); 3] = [
            ("CONTAINS", TextTest::Contains),
            ("STARTSWITH", TextTest::StartsWith),
            ("ENDSWITH", TextTest::EndsWith),
        ];
        let mut left = self.unary()?;
        'next: loop {
            for (symbol, comparison) in ORDERS {
                if self.symbol(symbol) {
                    left = ordered(comparison, left, self.unary()?)?;
                    continue 'next;
                }
            }
            let negated = self.keyword("NOT");
            for (keyword, test) in TESTS {
                if self.keyword(keyword) {
                    left = Expression::Text {
                        test,
                        negated,
                        of: Box::new(left),
                        text: self.text()?,
                    };
                    continue 'next;
                }
            }
            if self.keyword("BETWEEN") {
                left = self.between(left, negated)?;
            } else if self.keyword("IN") {
                let Expression::Property(property) = left else {
                    return Err(invalid("IN asks about a property"));
                };
                left = Expression::In {
                    property,
                    negated,
                    texts: self.texts()?,
                };
            } else if negated {
                return Err(invalid("NOT stands where nothing can be negated"));
            } else {
                return Ok(left);
            }
        }
    }

    fn between(&mut self, value: Expression, negated: bool) -> Result<Expression, Invalid> {
        let low = self.unary()?;
        self.expect_keyword("AND")?;
        let high = self.unary()?;
        if let (Expression::Constant(low), Expression::Constant(high)) = (&low, &high) {
            if !negated && !constants_in_order(low, high) {
                return Err(invalid("BETWEEN has its limits in the wrong order"));
            }
        }
        let other = Box::new(value.clone());
        Ok(match negated {
            false => Expression::And(
                Box::new(ordered(Comparison::GreaterOrEqual, value, low)?),
                Box::new(ordered(Comparison::LessOrEqual, *other, high)?),
            ),
            true => Expression::Or(
                Box::new(ordered(Comparison::Less, value, low)?),
                Box::new(ordered(Comparison::Greater, *other, high)?),
            ),
        })
    }

    fn unary(&mut self) -> Result<Expression, Invalid> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(invalid("nested too deeply"));
        }
        let read = if self.symbol("+") {
            self.unary()
        } else if self.symbol("-") {
            self.unary().map(|of| Expression::Negate(Box::new(of)))
        } else if self.keyword("NOT") {
            self.unary().and_then(truth).map(not)
        } else {
            self.primary()
        };
        self.depth -= 1;
        read
    }

    fn primary(&mut self) -> Result<Expression, Invalid> {
        if self.symbol("(") {
            let inside = self.or()?;
            return match self.symbol(")") {
                true => Ok(inside),
                false => Err(invalid("a parenthesis is not closed")),
            };
        }
        for (keyword, value) in [
            ("TRUE", Value::Truth(true)),
            ("FALSE", Value::Truth(false)),
            ("NULL", Value::Null),
        ] {
            if self.keyword(keyword) {
                return Ok(Expression::Constant(value));
            }
        }
        match self.next() {
            Some(Token::Text(text)) => Ok(Expression::Constant(Value::Text(text))),
            Some(Token::Number(digits)) => number(&digits).map(Expression::Constant),
            Some(Token::Word(name)) if !is_keyword(&name) => Ok(Expression::Property(name)),
            other => Err(missing("a value", other.as_ref())),
        }
    }

    fn texts(&mut self) -> Result<Vec<String>, Invalid> {
        if !self.symbol("(") {
            return Err(invalid("IN has no list"));
        }
        let mut texts = vec![self.text()?];
        while self.symbol(",") {
            texts.push(self.text()?);
        }
        match self.symbol(")") {
            true => Ok(texts),
            false => Err(invalid("a list is not closed")),
        }
    }

    fn text(&mut self) -> Result<String, Invalid> {
        match self.next() {
            Some(Token::Text(text)) => Ok(text),
            other => Err(missing("a text", other.as_ref())),
        }
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn take_if(&mut self, is: impl Fn(&Token) -> bool) -> bool {
        let there = self.tokens.get(self.at).is_some_and(is);
        self.at += usize::from(there);
        there
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        self.take_if(|token| *token == Token::Symbol(known(symbol)))
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        self.take_if(
            |token| matches!(token, Token::Word(word) if word.eq_ignore_ascii_case(keyword)),
        )
    }

    fn expect_keyword(&mut self, keyword: &str) -> Result<(), Invalid> {
        match self.keyword(keyword) {
            true => Ok(()),
            false => Err(invalid(&format!("{keyword} is missing"))),
        }
    }
}

fn known(symbol: &str) -> &'static str {
    SYMBOLS
        .iter()
        .find(|known| **known == symbol)
        .copied()
        .unwrap_or("")
}

fn invalid(why: &str) -> Invalid {
    Invalid(why.to_owned())
}

/// What should be where this token, or the end, is.
fn missing(what: &str, found: Option<&Token>) -> Invalid {
    let place = match found {
        Some(Token::Word(text) | Token::Number(text)) => format!("before {text}"),
        Some(Token::Text(text)) => format!("before '{text}'"),
        Some(Token::Symbol(symbol)) => format!("before {symbol}"),
        None => "at the end".to_owned(),
    };
    invalid(&format!("{what} is missing {place}"))
}

fn is_keyword(word: &str) -> bool {
    KEYWORDS
        .iter()
        .any(|keyword| keyword.eq_ignore_ascii_case(word))
}

fn not(of: Expression) -> Expression {
    Expression::Not(Box::new(of))
}

fn negate_if(negated: bool, of: Expression) -> Expression {
    if negated { not(of) } else { of }
}

/// Whether an expression has a truth value by itself.
fn is_truth(expression: &Expression) -> bool {
    use Expression::{Constant, Negate, Property};
    match expression {
        Constant(value) => matches!(value, Value::Null | Value::Truth(_)),
        Property(_) | Negate(_) => false,
        _ => true,
    }
}

/// An expression in a place that needs a truth value.
fn truth(expression: Expression) -> Result<Expression, Invalid> {
    match expression {
        Expression::Property(_) => Ok(Expression::Truth(Box::new(expression))),
        _ if is_truth(&expression) => Ok(expression),
        _ => Err(invalid("a part of it is neither true nor false")),
    }
}

fn equal(left: Expression, right: Expression) -> Result<Expression, Invalid> {
    let null = Expression::Constant(Value::Null);
    if left == null || right == null {
        return Err(invalid("NULL cannot be compared"));
    }
    Ok(Expression::Compare(
        Comparison::Equal,
        Box::new(left),
        Box::new(right),
    ))
}

fn ordered(
    comparison: Comparison,
    left: Expression,
    right: Expression,
) -> Result<Expression, Invalid> {
    for side in [&left, &right] {
        let text = matches!(side, Expression::Constant(Value::Text(_)));
        if text || is_truth(side) {
            return Err(invalid("only numbers have an order"));
        }
    }
    Ok(Expression::Compare(
        comparison,
        Box::new(left),
        Box::new(right),
    ))
}

fn number(digits: &str) -> Result<Value, Invalid> {
    let whole = digits.trim_end_matches(['l', 'L']);
    if whole.bytes().all(|byte| byte.is_ascii_digit()) {
        let number = whole.parse().map(Value::Integer);
        return number.map_err(|_| invalid("a number is too large"));
    }
    match digits.parse() {
        // Like brokers, this refuses zero in this form.
        Ok(number) if number > 0.0 && number < f64::INFINITY => Ok(Value::Float(number)),
        _ => Err(invalid("a number is out of range")),
    }
}

fn tokens(condition: &str) -> Result<Vec<Token>, Invalid> {
    let mut tokens = Vec::new();
    let mut rest = condition.trim_start();
    while let Some(first) = rest.chars().next() {
        let len = if rest.starts_with("--") {
            rest.find(['\n', '\r']).unwrap_or(rest.len())
        } else if let Some(comment) = rest.strip_prefix("/*") {
            let end = comment.find("*/");
            4 + end.ok_or_else(|| invalid("a comment is not closed"))?
        } else if first == '\'' {
            let (text, len) = quoted(rest)?;
            tokens.push(Token::Text(text));
            len
        } else if first.is_ascii_digit() || first == '.' {
            let len = number_len(rest);
            tokens.push(Token::Number(rest[..len].to_owned()));
            len
        } else if first.is_ascii_alphabetic() || "_$".contains(first) {
            let word = |c: char| c.is_ascii_alphanumeric() || "_$".contains(c);
            let len = rest.find(|c| !word(c)).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..len].to_owned()));
            len
        } else {
            let symbol = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol));
            let symbol = symbol.ok_or_else(|| invalid(&format!("{first:?} has no meaning")))?;
            tokens.push(Token::Symbol(symbol));
            symbol.len()
        };
        rest = rest[len..].trim_start();
    }
    Ok(tokens)
}

/// A text in quotes, in which two quotes stand for one, and its length with the quotes.
fn quoted(rest: &str) -> Result<(String, usize), Invalid> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != '\'' {
            text.push(c);
        } else if chars.peek().is_some_and(|(_, next)| *next == '\'') {
            chars.next();
            text.push(c);
        } else {
            return Ok((text, at + 1));
        }
    }
    Err(invalid("a text is not closed"))
}

fn number_len(rest: &str) -> usize {
    let mut before = ' ';
    let part = |c: char| {
        let sign = "+-".contains(c) && "eE".contains(before);
        before = c;
        c.is_ascii_digit() || ".eElL".contains(c) || sign
    };
    let mut part = part;
    rest.find(|c| !part(c)).unwrap_or(rest.len())
}
