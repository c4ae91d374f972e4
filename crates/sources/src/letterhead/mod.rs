//! The letterhead: the HTML document in which every mail of every source travels.
//!
//! In: plain texts. Out: one complete document. Every text is escaped here, at the one place where text becomes HTML.
//! The layout is a table with inline styles, because that is what all mail programs (Outlook's Word engine among them)
//! understand; a style sheet adds dark colours and narrow screens for those that know it.

use model::Locale;

/// What stands on one letter. All of it is plain text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Letter<'a> {
    /// Language of the texts.
    pub locale: Locale,
    /// Who writes, above the heading.
    pub organization: &'a str,
    /// What a mail program shows beside the subject in its list.
    pub preview: &'a str,
    /// First line.
    pub heading: &'a str,
    /// The text; line breaks are kept.
    pub body: &'a str,
    /// Why the reader gets this, in small print.
    pub notice: &'a str,
}

/// Most characters of the preview that a mail program's list has room for.
const PREVIEW_CHARS: usize = 120;

/// The document. Placeholders are filled in one pass over the template, so a text that looks like a placeholder stays
/// what it is.
pub(crate) fn document(letter: &Letter<'_>) -> String {
    let preview: String = letter.preview.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(PREVIEW_CHARS).collect();
    let template = include_str!("letterhead.html");
    let mut page = String::with_capacity(template.len() + 2 * letter.body.len());
    let mut rest = template;
    while let Some((before, name, after)) = next_placeholder(rest) {
        page.push_str(before);
        match name {
            "language" => page.push_str(letter.locale.tag()),
            "organization" => page.push_str(&escape(letter.organization)),
            "preview" => page.push_str(&escape(&preview)),
            "heading" => page.push_str(&escape(letter.heading)),
            "body" => page.push_str(&escape(letter.body).replace('\n', "<br>\n")),
            "notice" => page.push_str(&escape(letter.notice)),
            unknown => unreachable!("the letterhead has no place for {unknown}; a test fills every place"),
        }
        rest = after;
    }
    page.push_str(rest);
    page
}

fn next_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("{{")?;
    let (name, after) = rest.split_once("}}")?;
    Some((before, name, after))
}

/// Makes text safe between tags and inside quoted attributes (HTML §13.1.2.3, §13.1.2.4).
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter<'a>() -> Letter<'a> {
        Letter { locale: Locale::Fr, organization: "Océane & Fils", preview: "p", heading: "h", body: "b", notice: "n" }
    }

    #[test]
    fn every_place_of_the_letterhead_is_filled() {
        let page = document(&letter());
        assert!(page.starts_with("<!DOCTYPE html>") && page.contains("<html lang=\"fr\""));
        assert!(!page.contains("{{") && !page.contains("}}"));
    }

    #[test]
    fn markup_in_a_text_stays_text() {
        let hostile = "<script>alert('x')</script> \"&\"";
        let page =
            document(&Letter { heading: hostile, body: hostile, organization: hostile, notice: hostile, preview: hostile, ..letter() });
        assert!(!page.contains("<script>"));
        assert_eq!(page.matches("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &quot;&amp;&quot;").count(), 6);
    }

    #[test]
    fn a_text_that_looks_like_a_placeholder_stays_what_it_is() {
        let page = document(&Letter { heading: "{{body}}", body: "only once", ..letter() });
        assert!(page.contains("{{body}}"));
        assert_eq!(page.matches("only once").count(), 1);
    }

    #[test]
    fn line_breaks_become_breaks_and_the_preview_is_one_short_line() {
        let page = document(&Letter { body: "a\nb\n\nc", preview: &format!("one\ntwo {}", "x".repeat(500)), ..letter() });
        assert!(page.contains("a<br>\nb<br>\n<br>\nc"));
        assert!(page.contains("one two xxx") && !page.contains(&"x".repeat(PREVIEW_CHARS)));
    }
}
