use super::expression::Expression;
use super::parser::parse;

#[track_caller]
fn check(condition: &str, properties: &[(&str, &str)], matches: bool) {
    let expression: Expression =
        parse(condition).unwrap_or_else(|why| panic!("{condition}: {why:?}"));
    let property = |name: &str| {
        let found = properties.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value)
    };
    assert_eq!(
        expression.matches(property),
        matches,
        "{condition} of {properties:?}"
    );
}

#[test]
fn conditions_compare_properties_as_brokers_do() {
    let five: &[(&str, &str)] = &[("a", "5"), ("b", "x"), ("c", "it's")];
    for (condition, matches) in [
        ("a = 5", true),
        ("a = '5'", true),
        ("a <> 5", false),
        ("a > 4 AND a < 6", true),
        ("a >= 5 and a <= 5", true),
        ("5 < a", false),
        ("a > 4.5", true),
        ("a = 5L", true),
        ("a > -1", true),
        ("a BETWEEN 1 AND 5", true),
        ("a BETWEEN 6 AND 7", false),
        ("a NOT BETWEEN 6 AND 7", true),
        ("b = 'x'", true),
        ("b IN ('x', 'y')", true),
        ("b NOT IN ('x', 'y')", false),
        ("b IN ('y')", false),
        ("c = 'it''s'", true),
        (
            "c CONTAINS 't''' AND c STARTSWITH 'it' AND c NOT ENDSWITH 't'",
            true,
        ),
        ("NOT (a = 5 OR b = 'y')", false),
        ("a = 4 OR a = 5 AND b = 'y'", false),
        ("(a = 4 OR a = 5) AND b = 'x'", true),
        ("TRUE", true),
        ("FALSE OR a = 5", true),
        ("a = 5 -- and so on", true),
        ("/* first */ a = 5", true),
        ("a IS NOT NULL", true),
        ("a IS NULL", false),
        // A property is a text, not a truth value.
        ("a", false),
        // Text after a whole condition is ignored.
        ("a = 5 b", true),
        // These cannot be compared, which fails the whole condition.
        ("b > 5 OR a = 5", false),
        ("a = 5 OR b > 5", true),
        ("b = 5", false),
        ("a > b", false),
    ] {
        check(condition, five, matches);
    }
}

#[test]
fn a_missing_property_makes_a_condition_unknown_and_not_true() {
    for (condition, matches) in [
        ("a = 5", false),
        ("a <> 5", false),
        ("NOT (a = 5)", false),
        ("a > 5 OR TRUE", true),
        ("a > 5 AND FALSE", false),
        ("NOT (a > 5 AND FALSE)", true),
        ("a IN ('x')", false),
        ("a NOT IN ('x')", false),
        ("a IS NULL", true),
        ("a IS NOT NULL", false),
        ("a NOT CONTAINS 'x'", false),
        ("a = b", true),
    ] {
        check(condition, &[], matches);
    }
}

#[test]
fn a_text_that_is_no_condition_is_refused() {
    for condition in [
        "",
        "5",
        "'x'",
        "a >",
        "a = ",
        "a = NULL",
        "a > 'x'",
        "a > TRUE",
        "a BETWEEN 5 AND 1",
        "a IN (1, 2)",
        "a IN ()",
        "5 IN ('x')",
        "a NOT 5",
        "a IS 5",
        "(a = 5",
        "a = 'x",
        "a = 5 ?",
        "a # b",
        "a = 0.0",
        "a = 99999999999999999999",
        "AND",
        "a LIKE 'x'",
        "a + 1 = 2",
    ] {
        // Some of these begin with a whole condition: only the error counts.
        let read = parse(condition).map(|expression| expression.matches(|_| Some("x")));
        assert!(!matches!(read, Ok(true)), "{condition}");
        let partly = ["a LIKE 'x'", "a + 1 = 2"].contains(&condition);
        assert_eq!(read.is_err(), !partly, "{condition}");
    }
    assert!(parse(&"(".repeat(100_000)).is_err());
    assert!(parse(&"NOT ".repeat(100_000)).is_err());
}

#[test]
fn what_is_missing_is_named_with_its_place() {
    for (condition, says) in [
        ("a >", "a value is missing at the end"),
        ("a > AND b", "a value is missing before AND"),
        ("a IN ()", "a text is missing before )"),
        ("a IN (5)", "a text is missing before 5"),
    ] {
        assert_eq!(parse(condition).unwrap_err().0, says, "{condition}");
    }
}
