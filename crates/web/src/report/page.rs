//! The report as one page that needs nothing else: no script, no picture, no font, its style within. It reads without colour
//! and prints on A4; tables have captions and headings, bars have their figures as text.

use super::words::{self as w, Both, number, percent, say};
use engine::report::{DifferenceView, ForecastView, ReportView};
use model::{ChannelKind, Locale, Reason, State, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// What stands between `<style>` and `</style>`.
pub const STYLE: &str = include_str!("../../assets/report.css");

/// Width of a bar in its own units.
const BAR: u64 = 1000;

/// The whole page.
pub(super) fn page(report: &ReportView, organization: &str, locale: Locale, now: Timestamp) -> String {
    let t = |both| say(locale, both);
    let name = report.title.as_deref().unwrap_or(t(w::ERASED));
    let mut out = String::with_capacity(16 << 10);
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"robots\" content=\"noindex\">\n<title>{}: {}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n",
        locale.tag(),
        t(w::TITLE),
        escape(name)
    );
    head(&mut out, report, organization, locale);
    glance(&mut out, report, locale);
    reach(&mut out, report, locale);
    differences(&mut out, report, locale);
    unreachable(&mut out, report, locale);
    evidence(&mut out, report, locale);
    everything(&mut out, report, locale);
    let _ = write!(
        out,
        "</main>\n<footer>\n<p>{}</p>\n<p>{} <time datetime=\"{now}\">{}</time> {}.</p>\n</footer>\n</body>\n</html>\n",
        t(w::NOTE),
        t(w::MADE),
        w::time(locale, now),
        t(w::BY)
    );
    with_roles(&out)
}

/// On a phone the style lays tables out as cards, and browsers then forget that they are tables; roles keep it (WAI-ARIA 1.2
/// §5.3). Text is escaped, so only markup of ours is met.
fn with_roles(page: &str) -> String {
    const ROLES: [(&str, &str); 8] = [
        ("<table ", "<table role=\"table\" "),
        ("<thead>", "<thead role=\"rowgroup\">"),
        ("<tbody>", "<tbody role=\"rowgroup\">"),
        ("<tfoot>", "<tfoot role=\"rowgroup\">"),
        ("<tr>", "<tr role=\"row\">"),
        ("<th scope=\"col\"", "<th role=\"columnheader\" scope=\"col\""),
        ("<th scope=\"row\"", "<th role=\"rowheader\" scope=\"row\""),
        ("<td ", "<td role=\"cell\" "),
    ];
    ROLES.iter().fold(page.to_owned(), |page, (plain, with)| page.replace(plain, with))
}

fn head(out: &mut String, report: &ReportView, organization: &str, locale: Locale) {
    let t = |both| say(locale, both);
    let _ = write!(out, "<header>\n<p class=\"kind\">{} <span>{}</span></p>\n", t(w::TITLE), escape(organization));
    match (&report.title, &report.body) {
        (Some(title), body) => {
            let _ = writeln!(out, "<h1>{}</h1>", escape(title));
            if let Some(body) = body {
                let _ = writeln!(out, "<blockquote>{}</blockquote>", escape(body).replace('\n', "<br>"));
            }
        }
        (None, _) => {
            let _ = writeln!(out, "<h1>{}</h1>\n<p class=\"soft\">{}</p>", t(w::ERASED), t(w::ERASED_WHY));
        }
    }
    let time = |at: Timestamp| format!("<time datetime=\"{at}\">{}</time>", w::time(locale, at));
    let state = t(w::event_state(report.state));
    let state = if report.private { format!("{state} · {}", t(w::PRIVATE)) } else { state.to_owned() };
    let mut facts = vec![(w::SENDER, escape(&report.sender)), (w::ACCEPTED_AT, time(report.created_at))];
    if report.due_at != report.created_at {
        facts.push((w::DUE_AT, time(report.due_at)));
    }
    facts.extend(report.done_at.map(|at| (w::DONE_AT, time(at))));
    facts.push((w::STATE, state));
    facts.push((w::URGENCY, t(w::urgency(report.urgency)).to_owned()));
    facts.push((w::ID, format!("<code>{}</code>", report.id)));
    out.push_str("<dl class=\"facts\">\n");
    for (name, value) in facts {
        let _ = writeln!(out, "<div><dt>{}</dt><dd>{value}</dd></div>", t(name));
    }
    out.push_str("</dl>\n</header>\n");
}

fn section(out: &mut String, id: &str, title: &str) {
    let _ = write!(out, "<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{title}</h2>\n");
}

fn glance(out: &mut String, report: &ReportView, locale: Locale) {
    section(out, "glance", say(locale, w::AT_A_GLANCE));
    out.push_str("<dl class=\"figures\">\n");
    let lost: u64 = report.differences.iter().map(|d| d.deliveries).sum();
    let waiting = report.counts.scheduled + report.counts.held;
    let mut figures = vec![(report.counts.recipients, w::RECIPIENTS)];
    figures.extend(report.forecast.as_ref().map(|forecast| (forecast.deliveries, w::FORECAST_DELIVERIES)));
    figures.push((report.counts.accepted, w::ACCEPTED));
    if waiting > 0 {
        figures.push((waiting, w::WAITING));
    }
    figures.extend([(lost, w::LESS), (report.counts.opened, w::OPENED_BY)]);
    for (figure, name) in figures {
        // The figure is written first and its name below it; the list is read the other way round.
        let _ = writeln!(out, "<div><dt>{}</dt><dd>{}</dd></div>", say(locale, name), number(locale, figure));
    }
    out.push_str("</dl>\n</section>\n");
}

/// Figures of one channel.
#[derive(Clone, Copy, Default)]
struct Line {
    people: u64,
    forecast: u64,
    accepted: u64,
    waiting: u64,
    lost: u64,
}

fn reach_lines(report: &ReportView, forecast: &ForecastView) -> BTreeMap<ChannelKind, Line> {
    let mut lines: BTreeMap<ChannelKind, Line> = BTreeMap::new();
    for (channel, reach) in &forecast.by_channel {
        let line = lines.entry(*channel).or_default();
        (line.people, line.forecast) = (reach.people, reach.deliveries);
    }
    for (channel, states) in &report.by_channel {
        let of = |state| states.get(&state).copied().unwrap_or(0);
        let (accepted, waiting) = (of(State::Accepted), of(State::Scheduled) + of(State::Held));
        if accepted + waiting > 0 || lines.contains_key(channel) {
            let line = lines.entry(*channel).or_default();
            (line.accepted, line.waiting) = (accepted, waiting);
        }
    }
    for difference in &report.differences {
        lines.entry(difference.channel).or_default().lost += difference.deliveries;
    }
    lines
}

fn reach(out: &mut String, report: &ReportView, locale: Locale) {
    let t = |both| say(locale, both);
    section(out, "reach", t(w::REACH));
    let Some(forecast) = &report.forecast else {
        let _ = writeln!(out, "<p>{}</p>\n</section>", t(w::NO_FORECAST));
        return;
    };
    let lines = reach_lines(report, forecast);
    if lines.is_empty() {
        let _ = writeln!(out, "<p>{}</p>", t(if forecast.people == 0 { w::NOTHING_YET } else { w::NOBODY_UNREACHABLE }));
    } else {
        table(
            out,
            t(w::REACH_CAPTION),
            "reach",
            &[w::CHANNEL, w::PEOPLE, w::FORECAST, w::OUTCOME_ACCEPTED, w::OUTCOME_WAITING, w::OUTCOME_LOST, w::SHARE],
            locale,
        );
        let mut all = Line::default();
        for (channel, line) in &lines {
            all.forecast += line.forecast;
            all.accepted += line.accepted;
            all.waiting += line.waiting;
            all.lost += line.lost;
            reach_line(out, t(w::channel(*channel)), Some(line.people), *line, locale);
        }
        out.push_str("</tbody>\n<tfoot>\n");
        reach_line(out, t(w::TOTAL), None, all, locale);
        out.push_str("</tfoot>\n</table>\n");
    }
    let people = format!("{} / {}", number(locale, forecast.reached), number(locale, forecast.people));
    let _ = writeln!(out, "<p>{people} {} {}.</p>\n</section>", t(w::PEOPLE_LINE), number(locale, forecast.inbox_only));
}

fn reach_line(out: &mut String, name: &str, people: Option<u64>, line: Line, locale: Locale) {
    let people = people.map_or_else(|| "–".to_owned(), |people| number(locale, people));
    let _ = write!(out, "<tr><th scope=\"row\">{name}</th>");
    let names = [w::PEOPLE, w::FORECAST, w::OUTCOME_ACCEPTED, w::OUTCOME_WAITING, w::OUTCOME_LOST];
    let figures =
        [people, number(locale, line.forecast), number(locale, line.accepted), number(locale, line.waiting), number(locale, line.lost)];
    for (name, figure) in names.into_iter().zip(figures) {
        let _ = write!(out, "<td class=\"n\" data-name=\"{}\">{figure}</td>", say(locale, name));
    }
    // The bar repeats the figure beside it, so it is left out for those who listen.
    let width = (line.accepted.min(line.forecast) * BAR).checked_div(line.forecast).unwrap_or(0);
    let _ = writeln!(
        out,
        "<td class=\"share\" data-name=\"{}\"><span class=\"n\">{}</span><svg viewBox=\"0 0 {BAR} 100\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect class=\"whole\" width=\"{BAR}\" height=\"100\"/><rect class=\"part\" width=\"{width}\" height=\"100\"/></svg></td></tr>",
        say(locale, w::SHARE),
        percent(locale, line.accepted, line.forecast)
    );
}

fn table(out: &mut String, caption: &str, class: &str, columns: &[Both], locale: Locale) {
    let _ = write!(out, "<table class=\"{class}\">\n<caption>{caption}</caption>\n<thead><tr>");
    let numeric = [w::PEOPLE, w::FORECAST, w::OUTCOME_ACCEPTED, w::OUTCOME_WAITING, w::OUTCOME_LOST, w::DELIVERIES, w::NOW, w::PEOPLE_NOW];
    for column in columns {
        let class = if numeric.contains(column) { " class=\"n\"" } else { "" };
        let _ = write!(out, "<th scope=\"col\"{class}>{}</th>", say(locale, *column));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
}

/// A reason in words, with its code.
fn reason(reason: Option<Reason>, locale: Locale) -> String {
    match reason {
        None => "–".to_owned(),
        Some(reason) => format!("{} <code>{}</code>", escape(&capital(reason.sentence(locale))), reason.word()),
    }
}

fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn differences(out: &mut String, report: &ReportView, locale: Locale) {
    let t = |both| say(locale, both);
    if report.forecast.is_none() {
        return;
    }
    section(out, "difference", t(w::DIFFERENCE));
    if report.differences.is_empty() {
        let _ = writeln!(out, "<p>{}</p>\n</section>", t(w::NO_DIFFERENCE));
        return;
    }
    table(out, t(w::DIFFERENCE_CAPTION), "why", &[w::REASON, w::CHANNEL, w::STATE, w::DELIVERIES], locale);
    let mut lines: Vec<&DifferenceView> = report.differences.iter().collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.deliveries));
    for line in lines {
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td data-name=\"{}\">{}</td><td data-name=\"{}\">{}</td><td class=\"n\" data-name=\"{}\">{}</td></tr>",
            reason(line.reason_code, locale),
            t(w::CHANNEL),
            t(w::channel(line.channel)),
            t(w::STATE),
            t(w::state(line.state)),
            t(w::DELIVERIES),
            number(locale, line.deliveries)
        );
    }
    out.push_str("</tbody>\n</table>\n</section>\n");
}

fn unreachable(out: &mut String, report: &ReportView, locale: Locale) {
    let t = |both| say(locale, both);
    section(out, "unreachable", t(w::UNREACHABLE));
    let empty = BTreeMap::new();
    let forecast = report.forecast.as_ref().map_or(&empty, |forecast| &forecast.unreachable);
    let reasons: BTreeSet<Reason> = forecast.keys().chain(report.unreachable.keys()).copied().collect();
    if reasons.is_empty() {
        let _ = writeln!(out, "<p>{}</p>\n</section>", t(w::NOBODY_UNREACHABLE));
        return;
    }
    table(out, t(w::UNREACHABLE_CAPTION), "why", &[w::REASON, w::FORECAST, w::NOW], locale);
    let of = |counts: &BTreeMap<Reason, u64>, reason| counts.get(reason).copied().unwrap_or(0);
    let mut lines: Vec<&Reason> = reasons.iter().collect();
    lines.sort_by_key(|reason| std::cmp::Reverse(of(&report.unreachable, reason)));
    for code in lines {
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td class=\"n\" data-name=\"{}\">{}</td><td class=\"n\" data-name=\"{}\">{}</td></tr>",
            reason(Some(*code), locale),
            t(w::FORECAST),
            number(locale, of(forecast, code)),
            t(w::NOW),
            number(locale, of(&report.unreachable, code))
        );
    }
    out.push_str("</tbody>\n</table>\n</section>\n");
}

fn evidence(out: &mut String, report: &ReportView, locale: Locale) {
    section(out, "evidence", say(locale, w::EVIDENCE));
    table(out, say(locale, w::EVIDENCE_CAPTION), "few", &[w::RECEIPT, w::PEOPLE_NOW], locale);
    let counts = &report.counts;
    let lines = [(w::RECEIVED, counts.received), (w::SHOWN, counts.shown), (w::OPENED, counts.opened), (w::DISMISSED, counts.dismissed)];
    for (name, people) in lines {
        let (name, column) = (capital(say(locale, name)), say(locale, w::PEOPLE_NOW));
        let _ =
            writeln!(out, "<tr><th scope=\"row\">{name}</th><td class=\"n\" data-name=\"{column}\">{}</td></tr>", number(locale, people));
    }
    out.push_str("</tbody>\n</table>\n</section>\n");
}

fn everything(out: &mut String, report: &ReportView, locale: Locale) {
    let t = |both| say(locale, both);
    section(out, "everything", t(w::EVERYTHING));
    if report.lines.is_empty() {
        let _ = writeln!(out, "<p>{}</p>\n</section>", t(w::NOTHING_YET));
        return;
    }
    table(out, t(w::EVERYTHING_CAPTION), "all", &[w::CHANNEL, w::STATE, w::REASON, w::FORECAST, w::NOW], locale);
    for line in &report.lines {
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td data-name=\"{}\">{}</td><td data-name=\"{}\"><span>{}</span></td><td class=\"n\" data-name=\"{}\">{}</td>\
             <td class=\"n\" data-name=\"{}\">{}</td></tr>",
            t(w::channel(line.channel)),
            t(w::STATE),
            t(w::state(line.state)),
            t(w::REASON),
            reason(line.reason_code, locale),
            t(w::FORECAST),
            number(locale, line.forecast),
            t(w::NOW),
            number(locale, line.deliveries)
        );
    }
    out.push_str("</tbody>\n</table>\n</section>\n");
}

fn escape(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for c in words.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use engine::notifications::CountsView;
    use engine::reach::ChannelReach;
    use engine::report::LineView;
    use model::Urgency;
    use model::event::EventState;

    fn line(channel: ChannelKind, state: State, reason_code: Option<Reason>, forecast: u64, deliveries: u64) -> LineView {
        LineView { channel, state, reason_code, forecast, deliveries }
    }

    /// A campaign whose switch was turned off midway.
    pub(in crate::report) fn sample() -> ReportView {
        use ChannelKind::{Apns, Email};
        let at = |text: &str| Timestamp::parse(text).expect("a time");
        let difference = |channel, state, reason, deliveries| DifferenceView { channel, state, reason_code: Some(reason), deliveries };
        ReportView {
            id: uuid::Uuid::from_u128(0x0197_e1a2_5b1c_7d3e_9f40_6a7b_8c9d_0e1f),
            title: Some("Cafeteria closes at 2 pm <today>".into()),
            body: Some("Sandwiches are at the reception desk until 5 pm.\nBon appétit!".into()),
            private: false,
            urgency: Urgency::Normal,
            sender: "Front desk".into(),
            created_at: at("2026-11-20T08:30:00.000Z"),
            due_at: at("2026-11-20T08:30:00.000Z"),
            done_at: Some(at("2026-11-20T08:31:12.000Z")),
            state: EventState::Done,
            counts: CountsView {
                recipients: 2_400,
                planned: 2_400,
                deliveries: 4_800,
                accepted: 2_108,
                suppressed: 2_680,
                gone: 12,
                received: 1_320,
                shown: 1_305,
                opened: 911,
                dismissed: 640,
                ..CountsView::default()
            },
            by_channel: BTreeMap::from([
                (Apns, BTreeMap::from([(State::Accepted, 1_843), (State::Suppressed, 545), (State::Gone, 12)])),
                (Email, BTreeMap::from([(State::Accepted, 265), (State::Suppressed, 2_135)])),
            ]),
            by_reason: BTreeMap::new(),
            unreachable: BTreeMap::from([
                (Reason::OrgSwitchOff, 212),
                (Reason::NoDevice, 265),
                (Reason::PermissionDenied, 68),
                (Reason::NoEmail, 68),
                (Reason::ProviderGone, 12),
            ]),
            forecast: Some(ForecastView {
                people: 2_400,
                reached: 2_332,
                inbox_only: 68,
                devices: 2_067,
                deliveries: 2_332,
                by_channel: BTreeMap::from([
                    (Apns, ChannelReach { people: 2_067, deliveries: 2_067 }),
                    (Email, ChannelReach { people: 265, deliveries: 265 }),
                ]),
                unreachable: BTreeMap::from([(Reason::NoDevice, 265), (Reason::PermissionDenied, 68), (Reason::NoEmail, 68)]),
            }),
            differences: vec![
                difference(Apns, State::Suppressed, Reason::OrgSwitchOff, 212),
                difference(Apns, State::Gone, Reason::ProviderGone, 12),
            ],
            lines: vec![
                line(Apns, State::Scheduled, None, 2_067, 0),
                line(Apns, State::Accepted, None, 0, 1_843),
                line(Apns, State::Suppressed, Some(Reason::OrgSwitchOff), 0, 212),
                line(Apns, State::Suppressed, Some(Reason::NoDevice), 265, 265),
                line(Apns, State::Suppressed, Some(Reason::PermissionDenied), 68, 68),
                line(Apns, State::Gone, Some(Reason::ProviderGone), 0, 12),
                line(Email, State::Scheduled, None, 265, 0),
                line(Email, State::Accepted, None, 0, 265),
                line(Email, State::Suppressed, Some(Reason::EmailNotNeeded), 2_067, 2_067),
                line(Email, State::Suppressed, Some(Reason::NoEmail), 68, 68),
            ],
        }
    }

    fn shown(locale: Locale) -> String {
        page(&sample(), "Example Org", locale, Timestamp(1_795_000_000_000))
    }

    #[test]
    fn the_page_says_forecast_and_outcome_and_why_they_differ() {
        let page = shown(Locale::En);
        for part in ["2,332", "2,108", "212", "Forecast and outcome", "Why fewer were accepted", "<code>org_switch_off</code>", "90.3%"] {
            assert!(page.contains(part), "{part} is missing");
        }
        let french = shown(Locale::Fr);
        for part in
            ["lang=\"fr\"", "Prévision et résultat", "2\u{202f}332", "20\u{a0}novembre 2026, 08:30\u{a0}UTC", "L’organisation a désactivé"]
        {
            assert!(french.contains(part), "{part} is missing");
        }
    }

    #[test]
    fn every_table_has_a_caption_and_headings_and_every_section_its_title() {
        for locale in Locale::ALL {
            let page = shown(locale);
            let count = |part: &str| page.matches(part).count();
            assert_eq!(count("<table"), count("<caption>"));
            assert_eq!(count("<h1>"), 1);
            assert_eq!(count("<section aria-labelledby="), count("<h2 id="));
            assert_eq!(count("<tr role=\"row\">"), count("</tr>"));
            assert_eq!(count("<td role=\"cell\""), count("</td>"));
            assert!(count("scope=\"col\"") > 10 && count("scope=\"row\"") > 10);
        }
    }

    #[test]
    fn the_page_needs_no_script_loads_nothing_and_text_cannot_become_markup() {
        let page = shown(Locale::En);
        assert!(!page.contains("<script") && !page.contains("http:") && !page.contains("https:") && !page.contains(" style="));
        assert!(!STYLE.contains("@import") && !STYLE.contains("url(") && !STYLE.contains("</"));
        assert!(page.contains("&lt;today&gt;") && !page.contains("<today>"));
    }

    /// Writes the pages where `CARILLON_SHOW` says, to be looked at.
    #[test]
    fn the_pages_can_be_written_to_be_looked_at() {
        let Some(folder) = std::env::var_os("CARILLON_SHOW").map(std::path::PathBuf::from) else { return };
        for locale in Locale::ALL {
            std::fs::write(folder.join(format!("report-{locale}.html")), shown(locale)).expect("a page is written");
        }
    }

    #[test]
    fn a_report_without_text_or_forecast_says_so() {
        let bare = ReportView { title: None, body: None, forecast: None, differences: Vec::new(), lines: Vec::new(), ..sample() };
        let page = page(&bare, "Example Org", Locale::En, Timestamp(0));
        assert!(page.contains("Text not shown") && page.contains("kept no forecast") && page.contains("Nothing is planned yet."));
    }
}
