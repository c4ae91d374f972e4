//! What conditions mean: how values are compared, and the two kinds of patterns.
//!
//! Texts are compared without regard to case, as in PowerShell. Unlike there, `-gt` and its like compare two texts as numbers
//! when both are numbers, because everything that `Import-Csv` reads is text.

use crate::grammar::{Expr, Form, Operator, Piece};
use crate::item::{Item, text};
use crate::pattern::Pattern;
use crate::wrong::Misfit;
use serde_json::Value;
use std::cmp::Ordering;

/// What an expression comes to, for the object in the pipeline.
///
/// # Errors
/// A pattern that is none.
pub(crate) fn worth(expr: &Expr, item: Option<&Item>) -> Result<Value, Misfit> {
    let at = |path: &[String]| item.map(|item| item.at(path)).unwrap_or_default();
    Ok(match &expr.form {
        Form::Bare(word) | Form::Text(word) => word.clone().into(),
        Form::Mixed(pieces) => {
            let piece = |piece: &Piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Item(path) => match item {
                    Some(Item::Object(object)) if path.is_empty() => object.label(),
                    _ => text(&at(path)),
                },
            };
            pieces.iter().map(piece).collect::<String>().into()
        }
        Form::Flag(flag) => (*flag).into(),
        Form::Null | Form::Block(_) => Value::Null,
        Form::Item(path) => at(path),
        Form::List(items) => {
            let mut list = Vec::with_capacity(items.len());
            for one in items {
                match worth(one, item)? {
                    Value::Array(several) => list.extend(several),
                    single => list.push(single),
                }
            }
            list.into()
        }
        Form::Table(entries) => {
            let entry = |(name, value): &(String, Expr)| Ok((name.clone(), worth(value, item)?));
            entries.iter().map(entry).collect::<Result<serde_json::Map<_, _>, Misfit>>()?.into()
        }
        Form::Group(inner) => worth(inner, item)?,
        Form::Not(inner) => (!truth(&worth(inner, item)?)).into(),
        Form::Compare(left, operator, right) => {
            let left = worth(left, item)?;
            match operator {
                Operator::And => (truth(&left) && truth(&worth(right, item)?)).into(),
                Operator::Or => (truth(&left) || truth(&worth(right, item)?)).into(),
                other => compare(&left, *other, &worth(right, item)?)?.into(),
            }
        }
    })
}

/// Whether a value counts as true: everything but `$null`, `$false`, zero, empty text and empty lists.
pub(crate) fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(_) => true,
    }
}

/// A list on the left is compared value by value, and holds when one of them does.
fn compare(left: &Value, operator: Operator, right: &Value) -> Result<bool, Misfit> {
    let within = |list: &Value, one: &Value| match list {
        Value::Array(items) => items.iter().any(|item| equal(item, one)),
        single => equal(single, one),
    };
    let any = |holds: &dyn Fn(&Value) -> bool| match left {
        Value::Array(items) => items.iter().any(holds),
        single => holds(single),
    };
    let ordered = |wanted: &[Ordering]| any(&|value| order(value, right).is_some_and(|found| wanted.contains(&found)));
    Ok(match operator {
        Operator::Eq => any(&|value| equal(value, right)),
        Operator::Ne => any(&|value| !equal(value, right)),
        Operator::Gt => ordered(&[Ordering::Greater]),
        Operator::Ge => ordered(&[Ordering::Greater, Ordering::Equal]),
        Operator::Lt => ordered(&[Ordering::Less]),
        Operator::Le => ordered(&[Ordering::Less, Ordering::Equal]),
        Operator::Like => any(&|value| like(&text(right), &text(value))),
        Operator::NotLike => any(&|value| !like(&text(right), &text(value))),
        Operator::Match | Operator::NotMatch => {
            let pattern = Pattern::new(&text(right))?;
            let wanted = operator == Operator::Match;
            any(&|value| pattern.is_in(&text(value)) == wanted)
        }
        Operator::Contains => within(left, right),
        Operator::NotContains => !within(left, right),
        Operator::In => within(right, left),
        Operator::NotIn => !within(right, left),
        Operator::And => truth(left) && truth(right),
        Operator::Or => truth(left) || truth(right),
    })
}

/// A number, also when it is written as text.
pub(crate) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether two values are the same: flags with flags and their words, numbers with numbers, everything else as text.
pub(crate) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Null, other) | (other, Value::Null) => other.is_null(),
        (Value::Number(_), _) | (_, Value::Number(_)) => match (number(left), number(right)) {
            (Some(left), Some(right)) => left.total_cmp(&right).is_eq(),
            _ => false,
        },
        _ => text(left).to_lowercase() == text(right).to_lowercase(),
    }
}

/// Which of two values comes first; nothing when one of them is not there.
pub(crate) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    if left.is_null() || right.is_null() {
        return None;
    }
    Some(match (number(left), number(right)) {
        (Some(left), Some(right)) => left.total_cmp(&right),
        _ => text(left).to_lowercase().cmp(&text(right).to_lowercase()),
    })
}

/// Whether a text fits a pattern of `*` (anything) and `?` (one character), without regard to case. Takes time in proportion
/// to the product of both lengths, whatever the pattern.
pub(crate) fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.to_lowercase().chars().collect(), text.to_lowercase().chars().collect());
    let (mut p, mut t, mut back) = (0, 0, None);
    while t < text.len() {
        if pattern.get(p) == Some(&'*') {
            back = Some((p, t));
            p += 1;
        } else if pattern.get(p).is_some_and(|c| *c == '?' || *c == text[t]) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((star, from)) = back {
            (p, t, back) = (star + 1, from + 1, Some((star, from + 1)));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn patterns_of_stars_fit_from_end_to_end() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("lyon*", "Lyon Default", true),
            ("*é?", "été", false),
            ("*t?", "ÉTÉ", true),
            ("a*b*c", "aXbYbZc", true),
            ("a", "ab", false),
        ] {
            assert_eq!(like(pattern, text), fits, "{pattern} {text}");
        }
        assert!(!like(&"*a".repeat(50), &"b".repeat(5_000)));
    }

    #[test]
    fn texts_are_the_same_in_any_case_and_numbers_in_any_spelling() {
        assert!(equal(&json!("Paris"), &json!("PARIS")) && !equal(&json!("007"), &json!("7")));
        assert!(equal(&json!(7), &json!("7.0")) && equal(&json!(true), &json!("true")) && !equal(&json!(null), &json!("")));
        assert_eq!(order(&json!("10"), &json!("9")), Some(Ordering::Greater));
        assert_eq!(order(&json!("b"), &json!("A")), Some(Ordering::Greater));
        assert_eq!(order(&json!(null), &json!(1)), None);
    }
}
