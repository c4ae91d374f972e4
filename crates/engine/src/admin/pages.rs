//! Pages of lists: how many, and where to go on. A cursor is opaque to callers; it names its list, so that a cursor of
//! another list is refused instead of giving wrong pages.

use crate::Engine;
use crate::notifications::Page;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::Refusal;

/// The cursor of a place in a list.
pub(crate) fn cursor(list: &str, place: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{list}:{place}"))
}

/// The place behind a cursor; `None` without one.
///
/// # Errors
/// A fault of `cursor` for one that this list did not give.
pub(crate) fn place<T>(list: &str, cursor: Option<&str>, parse: impl Fn(&str) -> Option<T>) -> crate::Result<Option<T>> {
    let Some(cursor) = cursor else { return Ok(None) };
    let text = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let place = text.as_deref().and_then(|text| text.strip_prefix(list)?.strip_prefix(':'));
    match place.and_then(parse) {
        Some(place) => Ok(Some(place)),
        None => Err(Refusal::field("cursor", "it is not one that this list gave out; leave it out to begin anew")),
    }
}

/// How many to give: the usual number unless the caller says, 1 to the most.
///
/// # Errors
/// A fault of `limit`.
pub(crate) fn limit(asked: Option<u32>) -> crate::Result<u32> {
    let most = Engine::PAGE_MOST;
    match asked {
        None => Ok(Engine::PAGE_USUAL),
        Some(n) if (1..=most).contains(&n) => Ok(n),
        Some(n) => Err(Refusal::field("limit", format!("{n} is not a number from 1 to {most}"))),
    }
}

/// A page from rows of which one more than `limit` was asked for: the surplus says that there is more.
pub(crate) fn page<R, V>(list: &str, limit: u32, mut rows: Vec<R>, key: impl Fn(&R) -> String, view: impl Fn(R) -> V) -> Page<V> {
    let limit = limit as usize;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| more).map(|last| cursor(list, &key(last)));
    Page { items: rows.into_iter().map(view).collect(), next_cursor }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_place() {
        let there = cursor("users", "42");
        assert_eq!(place("users", Some(&there), |s| s.parse::<u32>().ok()), Ok(Some(42)));
        assert_eq!(place("users", None, |s| s.parse::<u32>().ok()), Ok(None));
    }

    #[test]
    fn a_cursor_of_another_list_or_of_nobody_is_refused() {
        for wrong in [cursor("groups", "42"), cursor("users", "x"), "%%%".into(), String::new()] {
            let refusal = place("users", Some(&wrong), |s| s.parse::<u32>().ok()).expect_err("a wrong cursor");
            assert_eq!((refusal.code, refusal.faults[0].field.as_str()), ("invalid_field", "cursor"));
        }
    }

    #[test]
    fn the_surplus_row_is_not_shown_but_makes_a_cursor() {
        let full = page("n", 2, vec![1, 2, 3], |n| n.to_string(), |n| n);
        assert_eq!((full.items, full.next_cursor), (vec![1, 2], Some(cursor("n", "2"))));
        let last = page("n", 2, vec![3], |n| n.to_string(), |n| n);
        assert_eq!((last.items, last.next_cursor), (vec![3], None));
    }

    #[test]
    fn limits_out_of_bounds_name_the_bounds() {
        assert_eq!(limit(None), Ok(50));
        for wrong in [0, 501] {
            assert!(limit(Some(wrong)).expect_err("out of bounds").detail.contains("1 to 500"));
        }
    }
}
