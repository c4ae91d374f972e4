//! The letterhead: the HTML document in which every mail of every source travels.
//!
//! In: plain texts, and the organization's colour and logo. Out: one complete document. The layout is written in MJML
//! (`letterhead.mjml`) and made into tables with inline styles once, when the first mail is written, because those are what
//! all mail programs (Outlook's Word engine among them) understand; a style sheet adds dark colours for those that know it.
//! Places are filled afterwards, and every text is escaped here, at the one place where text becomes HTML.

use model::Locale;
use model::source::Branding;
use std::sync::LazyLock;

/// What stands on one letter. All of it is plain text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Letter<'a> {
    /// Language of the texts.
    pub locale: Locale,
    /// Who writes, above the heading.
    pub organization: &'a str,
    /// Their colour and logo.
    pub branding: Branding<'a>,
    /// What a mail program shows beside the subject in its list.
    pub preview: &'a str,
    /// First line.
    pub heading: &'a str,
    /// What has a name and a value, such as a number to call; shown as a table under the heading. Often empty.
    pub lines: &'a [(String, String)],
    /// The text; line breaks are kept.
    pub body: &'a str,
    /// Why the reader gets this, in small print.
    pub notice: &'a str,
}

/// Most characters of the preview that a mail program's list has room for.
const PREVIEW_CHARS: usize = 120;
/// The bar above the letter, for organizations without a colour of their own.
const COLOUR: &str = "#2b5fd9";

/// The layout with room for a logo, as HTML with its places still open.
static WITH_LOGO: LazyLock<String> = LazyLock::new(|| rendered(include_str!("letterhead.mjml")));
/// The layout without one.
static WITHOUT_LOGO: LazyLock<String> = LazyLock::new(|| {
    let lines = include_str!("letterhead.mjml").lines().filter(|line| !line.contains("{{logo}}"));
    rendered(&lines.collect::<Vec<_>>().join("\n"))
});

fn rendered(template: &str) -> String {
    let layout = mrml::parse(template).expect("the letterhead is well-formed MJML; a test renders it");
    let options = mrml::prelude::render::RenderOptions { fonts: std::collections::HashMap::new(), ..Default::default() };
    layout.element.render(&options).expect("the letterhead has only elements that can be rendered; a test renders it")
}

/// The document. Places are filled in one pass over the layout, so a text that looks like a place stays what it is.
pub(crate) fn document(letter: &Letter<'_>) -> String {
    let preview: String = letter.preview.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(PREVIEW_CHARS).collect();
    let logo = Some(letter.branding.logo_url).filter(|url| url.starts_with("https://"));
    let layout: &str = if logo.is_some() { &WITH_LOGO } else { &WITHOUT_LOGO };
    let mut page = String::with_capacity(layout.len() + 2 * letter.body.len());
    let mut rest = layout;
    while let Some((before, name, after)) = next_place(rest) {
        page.push_str(before);
        match name {
            "language" => page.push_str(letter.locale.tag()),
            "colour" if letter.branding.colour.is_empty() => page.push_str(COLOUR),
            "colour" => page.push_str(&escape(letter.branding.colour)),
            "logo" => page.push_str(&escape(logo.unwrap_or_default())),
            "organization" => page.push_str(&escape(letter.organization)),
            "preview" => page.push_str(&escape(&preview)),
            "heading" => page.push_str(&escape(letter.heading)),
            "lines" => page.push_str(&table(letter.lines)),
            "body" => page.push_str(&escape(letter.body).replace('\n', "<br>\n")),
            "notice" => page.push_str(&escape(letter.notice)),
            unknown => unreachable!("the letterhead has no place for {unknown}; a test fills every place"),
        }
        rest = after;
    }
    page.push_str(rest);
    page
}

fn next_place(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("{{")?;
    let (name, after) = rest.split_once("}}")?;
    Some((before, name, after))
}

/// Names and values as rows. A table with headers of rows, so that a screen reader says which value is which; on narrow screens
/// each value stands below its name. A value is never divided: it is read off and typed.
fn table(lines: &[(String, String)]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let mut rows = String::from("<table class=\"facts\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" style=\"margin:0 0 18px;\">\n");
    for (name, value) in lines {
        rows.push_str(&format!(
            "<tr><th scope=\"row\" align=\"left\" style=\"padding:3px 18px 3px 0;font-size:14px;line-height:24px;font-weight:600;\
             vertical-align:baseline;\">{}</th><td style=\"padding:3px 0;font-size:18px;line-height:24px;vertical-align:baseline;\
             word-break:normal;overflow-wrap:normal;\"><bdi>{}</bdi></td></tr>\n",
            escape(name),
            shown(value)
        ));
    }
    rows.push_str("</table>\n");
    rows
}

/// A value: an international telephone number (E.164) can be called from the mail. The link has the colour of the text around
/// it: a mail program's own blue cannot be read on dark ground.
fn shown(value: &str) -> String {
    let digits = value.strip_prefix('+').unwrap_or_default();
    if !(7..=15).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return escape(value);
    }
    format!("<a href=\"tel:{value}\" style=\"color:inherit;text-decoration:underline;\">{value}</a>")
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
        Letter {
            locale: Locale::Fr,
            organization: "Océane & Fils",
            branding: Branding::default(),
            preview: "p",
            heading: "h",
            lines: &[],
            body: "b",
            notice: "n",
        }
    }

    const LOGO: Branding<'_> = Branding { colour: "#aa3300", logo_url: "https://example.org/logo.png?a=1&b=2" };

    #[test]
    fn every_place_of_the_letterhead_is_filled() {
        for branding in [Branding::default(), LOGO] {
            let page = document(&Letter { branding, ..letter() });
            assert!(page.starts_with("<!doctype html>") && page.contains("<html lang=\"fr\""));
            assert!(!page.contains("{{") && !page.contains("}}"));
            assert!(!page.contains("fonts.googleapis") && !page.contains("<mj"), "nothing is fetched, and no MJML is left");
        }
    }

    #[test]
    fn markup_in_a_text_stays_text() {
        let hostile = "<script>alert('x')</script> \"&\"";
        let branding = Branding { colour: hostile, logo_url: &format!("https://{hostile}") };
        let lines = [(hostile.to_owned(), hostile.to_owned())];
        let page = document(&Letter {
            heading: hostile,
            body: hostile,
            organization: hostile,
            notice: hostile,
            preview: hostile,
            lines: &lines,
            branding,
            ..letter()
        });
        assert!(!page.contains("<script>"));
        let safe = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &quot;&amp;&quot;";
        let places = WITH_LOGO.matches("{{").count() - WITH_LOGO.matches("{{language}}").count() - WITH_LOGO.matches("{{lines}}").count();
        assert_eq!(page.matches(safe).count(), places + 2);
    }

    #[test]
    fn a_text_that_looks_like_a_place_stays_what_it_is() {
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

    #[test]
    fn the_organizations_colour_and_logo_are_shown_and_a_logo_that_is_not_https_is_not() {
        let plain = document(&letter());
        assert!(plain.contains(COLOUR) && !plain.contains("<img"));
        let branded = document(&Letter { branding: LOGO, ..letter() });
        assert!(branded.contains("#aa3300") && !branded.contains(COLOUR));
        assert!(
            branded.contains("src=\"https://example.org/logo.png?a=1&amp;b=2\"") && branded.contains("alt=\"\""),
            "the name stands below it"
        );
        let other = document(&Letter { branding: Branding { logo_url: "javascript:alert(1)", ..LOGO }, ..letter() });
        assert!(!other.contains("<img") && !other.contains("javascript"));
    }

    #[test]
    fn an_international_number_can_be_called_and_other_values_are_texts() {
        let link = "<a href=\"tel:+33199001234\" style=\"color:inherit;text-decoration:underline;\">+33199001234</a>";
        assert_eq!(shown("+33199001234"), link);
        for other in ["583920174", "48205", "+1", "+33 <b>", "pas encore défini"] {
            assert_eq!(shown(other), escape(other));
        }
    }

    #[test]
    fn names_and_values_stand_in_a_table() {
        let lines = [("Conference ID".to_owned(), "123456789".to_owned())];
        let page = document(&Letter { lines: &lines, ..letter() });
        assert!(page.contains(">Conference ID</th>") && page.contains("<bdi>123456789</bdi>"));
    }
}
