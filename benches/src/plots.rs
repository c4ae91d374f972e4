//! The plots of docs/performance.md: SVG written by hand, from the same figures as the table.
//!
//! In: measures, of which some say where they are drawn. Out: one picture for each plot, always all of them, so that links to
//! them hold; one without figures says so. Each has a title and a description in words with every figure, axes with names,
//! and colours for light and dark surroundings; shapes and words tell series apart, not colours alone. They are laid out for
//! columns of 350 to 800 pixels: in a narrow one letters are drawn larger.

use crate::measures::{Found, Measure, number};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// Where a figure is drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Drawn {
    /// A bar of deliveries a second: of what, and by which program.
    Rate { of: String, by: String },
    /// Time for a delivery in a campaign of so many devices.
    Time { devices: u32 },
    /// Processor time for a thousand deliveries in a campaign of so many devices.
    Cpu { devices: u32 },
    /// Single notifications: the line's name, and the milliseconds by percentile, 100 being the slowest of all.
    Latency { when: String, percentiles: Vec<(u32, f64)> },
    /// Rates with a provider far away: which of the three lines, and what connections and streams allow there.
    Far { line: Line, connections: u32, allowed: f64 },
}

/// The lines of the plot of a provider far away, besides what the streams allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Line {
    /// The same campaign with a provider that answers at once.
    Near,
    /// The provider far away.
    Found,
}

/// Percentiles that are drawn.
pub const PERCENTILES: [u32; 6] = [50, 75, 90, 95, 99, 100];

/// Names of the plots' files, without their ending.
pub const NAMES: [&str; 4] = ["performance-rates", "performance-growth", "performance-latency", "performance-network"];

/// Width of every picture, in its own units.
const WIDTH: f64 = 600.0;
/// Between the edge and what is drawn.
const EDGE: f64 = 20.0;
/// Left end of an axis that runs from left to right, right of the labels of the one that runs upward.
const LEFT: f64 = 78.0;
/// Right end of it.
const RIGHT: f64 = WIDTH - 42.0;

const STYLE: &str = "\
text{font:14px system-ui,'Segoe UI',Roboto,'DejaVu Sans',Arial,sans-serif;fill:#1b2536}\
.title{font-size:17px;font-weight:600}.soft{fill:#4c5a72}.card{fill:#ffffff;stroke:#cfd7e3}\
.grid{stroke:#dfe5ee}.axis{stroke:#6b7890}.whisker{stroke:#1b2536;stroke-width:1.5}\
.one{fill:#2b5fd9}.two{fill:#c2620a}.three{fill:#6b7890}path.one,path.two,path.three{fill:none;stroke-width:2.5}\
path.one{stroke:#2b5fd9}path.two{stroke:#c2620a;stroke-dasharray:2 5;stroke-linecap:round}path.three{stroke:#6b7890;stroke-dasharray:9 5}\
@media (prefers-color-scheme:dark){text{fill:#e8edf6}.soft{fill:#aab6ca}.card{fill:#151b26;stroke:#364155}\
.grid{stroke:#2b3445}.axis{stroke:#8a97ae}.whisker{stroke:#e8edf6}.one{fill:#7ba4ff}.two{fill:#f2a65a}.three{fill:#9aa7bd}\
path.one,path.two,path.three{fill:none}path.one{stroke:#7ba4ff}path.two{stroke:#f2a65a}path.three{stroke:#9aa7bd}}\
@media (max-width:430px){text{font-size:17px}.title{font-size:19px}}";

/// All plots: the name of the file without its ending, and the picture.
pub fn plots(measures: &[Measure]) -> Vec<(&'static str, String)> {
    let pictures = [rates(measures), growth(measures), latency(measures), network(measures)];
    NAMES.into_iter().zip(pictures).collect()
}

/// A figure with the least and the most of its samples.
#[derive(Clone, Copy)]
struct Mark {
    figure: f64,
    least: f64,
    most: f64,
}

impl Mark {
    fn of(measure: &Measure) -> Option<Mark> {
        match measure.found {
            Found::Figure { figure, least, most } => Some(Mark { figure, least, most }),
            Found::Skipped(_) | Found::Failed(_) => None,
        }
    }

    fn said(&self) -> String {
        let Mark { figure, least, most } = *self;
        if least == most { number(figure) } else { format!("{} ({} to {})", number(figure), number(least), number(most)) }
    }
}

/// The marks of the measures that `place` finds a place for.
fn marks<T>(measures: &[Measure], place: impl Fn(&Drawn) -> Option<T>) -> Vec<(T, Mark)> {
    measures.iter().filter_map(|measure| Some((place(measure.drawn.as_ref()?)?, Mark::of(measure)?))).collect()
}

/// Bars of deliveries a second, each channel beside its limit program.
fn rates(measures: &[Measure]) -> String {
    let bars = marks(measures, |drawn| match drawn {
        Drawn::Rate { of, by } => Some((of.clone(), by.clone())),
        _ => None,
    });
    let mut groups: Vec<(String, Vec<(String, Mark)>)> = Vec::new();
    for ((of, by), mark) in bars {
        match groups.iter_mut().find(|(name, _)| *name == of) {
            Some((_, bars)) => bars.push((by, mark)),
            None => groups.push((of, vec![(by, mark)])),
        }
    }
    // Carillon first, whichever was measured first.
    groups.iter_mut().for_each(|(_, bars)| bars.sort_by_key(|(by, _)| by != OURS));
    let mut picture = Picture::new("Deliveries a second, by channel");
    if groups.is_empty() {
        return picture.without_figures();
    }
    let most = groups.iter().flat_map(|(_, bars)| bars).map(|(_, mark)| mark.most).fold(0.0, f64::max);
    let scale = Scale::linear(most, EDGE, WIDTH - 46.0);
    picture.y += 8.0;
    let (top, mut words) = (picture.y, Vec::new());
    let tall: f64 = groups.iter().map(|(_, bars)| 32.0 + 40.0 * bars.len() as f64).sum();
    picture.upright_grid(&scale, top, top + tall, "deliveries a second; the thin line is from the slowest to the fastest round");
    let foot = picture.y;
    picture.y = top;
    for (of, bars) in &groups {
        picture.y += 22.0;
        picture.text(EDGE + 6.0, picture.y, "start", "title", of);
        for (by, mark) in bars {
            let class = if by == OURS { "one" } else { "three" };
            picture.text(EDGE + 6.0, picture.y + 20.0, "start", "", &format!("{by}: {}", mark.said()));
            let y = picture.y + 27.0;
            picture.rect(EDGE, y, scale.at(mark.figure) - EDGE, 11.0, class);
            picture.level_whisker(scale.at(mark.least), scale.at(mark.most), y + 5.5);
            words.push(format!("{of}, {by}: {}", mark.said()));
            picture.y += 40.0;
        }
        picture.y += 10.0;
    }
    picture.y = foot;
    picture.finish(&format!("Bars of deliveries a second, median of the rounds, and least and most in brackets. {}.", words.join("; ")))
}

/// The name of our own bars.
pub const OURS: &str = "Carillon";

/// Time and processor time for a delivery by the size of the campaign.
fn growth(measures: &[Measure]) -> String {
    let mut picture = Picture::new("Cost of a delivery, by size of the campaign");
    let time = marks(measures, |drawn| if let Drawn::Time { devices } = drawn { Some(*devices) } else { None });
    let cpu = marks(measures, |drawn| if let Drawn::Cpu { devices } = drawn { Some(*devices) } else { None });
    if time.is_empty() && cpu.is_empty() {
        return picture.without_figures();
    }
    let mut words = Vec::new();
    for (name, unit, class, mut points) in
        [("Time", "µs for a delivery", "one", time), ("CPU of the server", "ms for 1,000 deliveries", "two", cpu)]
    {
        if points.is_empty() {
            continue;
        }
        points.sort_by_key(|(devices, _)| *devices);
        let said: Vec<String> =
            points.iter().map(|(devices, mark)| format!("{} devices {}", number(f64::from(*devices)), mark.said())).collect();
        words.push(format!("{name}, {unit}: {}", said.join(", ")));
        let names: Vec<String> = points.iter().map(|(devices, _)| number(f64::from(*devices))).collect();
        let most = points.iter().map(|(_, mark)| mark.most).fold(0.0, f64::max);
        let panel = picture.panel(&format!("{name}: {unit}"), Scale::linear(most * 1.2, 0.0, 0.0), 150.0);
        picture.level_names(&names, "devices of the campaign");
        let line: Vec<(f64, Mark)> = points.iter().enumerate().map(|(place, (_, mark))| (spread(place, names.len()), *mark)).collect();
        picture.line(&panel, class, &line);
        for (x, mark) in &line {
            picture.text(*x + 10.0, panel.at(mark.figure) - 8.0, "start", "", &number(mark.figure));
        }
        picture.y += 12.0;
    }
    picture.finish(&format!("Two panels, medians with least and most in brackets. {}.", words.join(". ")))
}

/// Percentiles of single notifications.
fn latency(measures: &[Measure]) -> String {
    let mut picture = Picture::new("How soon a single notification is at the provider");
    let lines = marks(measures, |drawn| match drawn {
        Drawn::Latency { when, percentiles } => Some((when.clone(), percentiles.clone())),
        _ => None,
    });
    let all = || lines.iter().flat_map(|((_, percentiles), _)| percentiles).map(|(_, ms)| *ms);
    if all().next().is_none() {
        return picture.without_figures();
    }
    let (least, most) = (all().fold(f64::MAX, f64::min), all().fold(0.0, f64::max));
    let mut words = Vec::new();
    for (((when, _), _), class) in lines.iter().zip(["one", "two"]) {
        picture.legend(class, when);
    }
    let panel =
        picture.panel("ms from the written request to its arrival (each line is ten times the one below)", Scale::tens(least, most), 240.0);
    let names = PERCENTILES.map(|percent| if percent == 100 { "slowest".to_owned() } else { format!("{percent} %") });
    picture.level_names(&names, "of the notifications were there at the latest then");
    for (((when, percentiles), _), class) in lines.iter().zip(["one", "two"]) {
        let place = |percent: u32| PERCENTILES.iter().position(|p| *p == percent).map(|place| spread(place, PERCENTILES.len()));
        let line: Vec<(f64, Mark)> =
            percentiles.iter().filter_map(|(percent, ms)| Some((place(*percent)?, Mark { figure: *ms, least: *ms, most: *ms }))).collect();
        picture.line(&panel, class, &line);
        for (x, mark) in &line {
            // The upper line's figures stand above it, the lower one's below, where there is room above the names.
            let is_low = panel.from - panel.at(mark.figure) < 30.0;
            let side = if class == "one" && !is_low { 24.0 } else { -12.0 };
            picture.text(*x, panel.at(mark.figure) + side, "middle", "", &number(mark.figure));
        }
        let said: Vec<String> = percentiles.iter().map(|(percent, ms)| format!("{percent} % {}", number(*ms))).collect();
        words.push(format!("{when}: {}", said.join(", ")));
    }
    picture.finish(&format!("Milliseconds within which a share of the notifications arrived; 100 % is the slowest. {}.", words.join(". ")))
}

/// Rates with a provider far away, against what connections and streams allow and against the rate without the distance.
fn network(measures: &[Measure]) -> String {
    let mut picture = Picture::new("A provider 50 ms away");
    let points = marks(measures, |drawn| match drawn {
        Drawn::Far { line, connections, allowed } => Some((*line, *connections, *allowed)),
        _ => None,
    });
    if points.is_empty() {
        return picture.without_figures();
    }
    let mut steps: Vec<(u32, f64)> = points.iter().map(|((_, connections, allowed), _)| (*connections, *allowed)).collect();
    steps.sort_by_key(|(connections, _)| *connections);
    steps.dedup_by_key(|(connections, _)| *connections);
    let most = steps.iter().map(|(_, allowed)| *allowed).chain(points.iter().map(|(_, mark)| mark.most)).fold(0.0, f64::max);
    picture.legend("three", "what the streams allow: connections × streams ÷ latency");
    picture.legend("two", "the same campaign, a provider that answers at once");
    picture.legend("one", "the provider 50 ms away");
    let panel = picture.panel("deliveries a second", Scale::linear(most * 1.05, 0.0, 0.0), 240.0);
    let names: Vec<String> = steps.iter().map(|(connections, _)| format!("{connections}")).collect();
    picture.level_names(&names, "connections, each with as many streams as the provider allows");
    let place = |connections: u32| steps.iter().position(|(c, _)| *c == connections).map_or(LEFT, |place| spread(place, steps.len()));
    let exact = |figure: f64| Mark { figure, least: figure, most: figure };
    let allowed: Vec<(f64, Mark)> = steps.iter().map(|(connections, allowed)| (place(*connections), exact(*allowed))).collect();
    picture.line(&panel, "three", &allowed);
    let mut words: Vec<String> = steps.iter().map(|(c, allowed)| format!("{c} connections allow {}", number(*allowed))).collect();
    for (which, class, name) in [(Line::Near, "two", "answered at once"), (Line::Found, "one", "50 ms away")] {
        let mut line: Vec<(u32, Mark)> =
            points.iter().filter(|((line, ..), _)| *line == which).map(|((_, c, _), mark)| (*c, *mark)).collect();
        line.sort_by_key(|(connections, _)| *connections);
        words.extend(line.iter().map(|(c, mark)| format!("{c} connections, {name}: {}", mark.said())));
        let line: Vec<(f64, Mark)> = line.into_iter().map(|(connections, mark)| (place(connections), mark)).collect();
        picture.line(&panel, class, &line);
        if which == Line::Found {
            for (x, mark) in &line {
                let is_low = panel.from - panel.at(mark.figure) < 30.0;
                let side = if is_low { -12.0 } else { 20.0 };
                picture.text(*x + 10.0, panel.at(mark.figure) + side, "start", "", &number(mark.figure));
            }
        }
    }
    picture.finish(&format!("Deliveries a second by number of connections, medians with least and most in brackets. {}.", words.join("; ")))
}

/// The place of one of several names along an axis, as many steps apart as there are names.
fn spread(place: usize, names: usize) -> f64 {
    let step = (RIGHT - LEFT) / names.max(1) as f64;
    LEFT + step * (place as f64 + 0.5)
}

/// From figures to places along an axis.
#[derive(Clone, Debug)]
struct Scale {
    ticks: Vec<f64>,
    from: f64,
    to: f64,
    tens: bool,
}

impl Scale {
    /// From 0 to at least `most`, in four to eight round steps.
    fn linear(most: f64, from: f64, to: f64) -> Scale {
        let rough = (most / 5.0).max(1e-9);
        let ten = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * ten).into_iter().find(|step| *step >= rough).unwrap_or(rough);
        let count = (most / step).ceil().clamp(1.0, 10.0) as u32;
        Scale { ticks: (0..=count).map(|n| f64::from(n) * step).collect(), from, to, tens: false }
    }

    /// Powers of ten around both.
    fn tens(least: f64, most: f64) -> Scale {
        let (first, last) = (least.max(1e-3).log10().floor() as i32, most.max(1e-3).log10().ceil() as i32);
        Scale { ticks: (first..=last.max(first + 1)).map(|power| 10_f64.powi(power)).collect(), from: 0.0, to: 0.0, tens: true }
    }

    fn at(&self, figure: f64) -> f64 {
        let along = |value: f64| if self.tens { value.max(1e-6).log10() } else { value };
        let (low, high) = (along(self.ticks.first().copied().unwrap_or(0.0)), along(self.ticks.last().copied().unwrap_or(1.0)));
        self.from + (self.to - self.from) * (along(figure) - low) / (high - low).max(1e-9)
    }
}

/// A tick's label: round figures.
fn tick(figure: f64) -> String {
    match figure {
        f if f >= 1e6 => format!("{}M", f / 1e6),
        f if f >= 1e3 => format!("{}k", f / 1e3),
        f => format!("{}", (f * 1e6).round() / 1e6),
    }
}

/// A picture that grows downward.
struct Picture {
    title: &'static str,
    body: String,
    /// Where the next thing begins.
    y: f64,
}

impl Picture {
    fn new(title: &'static str) -> Picture {
        let mut picture = Picture { title, body: String::new(), y: EDGE + 14.0 };
        picture.text(EDGE, picture.y, "start", "title", title);
        picture.y += 12.0;
        picture
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, class: &str, text: &str) {
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        let _ = writeln!(self.body, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{class}>{}</text>", escaped(text));
    }

    fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, class: &str) {
        let width = width.max(1.0);
        let _ = writeln!(self.body, "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" class=\"{class}\"/>");
    }

    fn stroke(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ = writeln!(self.body, "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" class=\"{class}\"/>");
    }

    /// From the least to the most, left to right.
    fn level_whisker(&mut self, least: f64, most: f64, y: f64) {
        if most - least >= 0.5 {
            self.stroke((least, y), (most, y), "whisker");
            self.stroke((least, y - 4.0), (least, y + 4.0), "whisker");
            self.stroke((most, y - 4.0), (most, y + 4.0), "whisker");
        }
    }

    /// Upright lines with their figures below, and the axis's name.
    fn upright_grid(&mut self, scale: &Scale, top: f64, bottom: f64, name: &str) {
        for figure in &scale.ticks {
            let x = scale.at(*figure);
            self.stroke((x, top), (x, bottom), if *figure == 0.0 { "axis" } else { "grid" });
        }
        // Every second figure where they are many: large letters would touch.
        for figure in scale.ticks.iter().step_by(if scale.ticks.len() > 6 { 2 } else { 1 }) {
            self.text(scale.at(*figure), bottom + 20.0, if *figure == 0.0 { "start" } else { "middle" }, "soft", &tick(*figure));
        }
        self.y = bottom + 20.0;
        self.name(name);
    }

    /// An axis's name, in as many lines as large letters take.
    fn name(&mut self, name: &str) {
        for part in name.split("; ") {
            self.y += 21.0;
            self.text(WIDTH / 2.0, self.y, "middle", "soft", part);
        }
    }

    /// A line of the key: a mark and its name.
    fn legend(&mut self, class: &str, name: &str) {
        self.y += 22.0;
        let y = self.y - 5.0;
        let _ = writeln!(self.body, "<path d=\"M{EDGE} {y:.1}h34\" class=\"{class}\"/>");
        self.shape(EDGE + 17.0, y, class);
        self.text(EDGE + 44.0, self.y, "start", "", name);
    }

    /// A panel with level lines; its scale answers heights.
    fn panel(&mut self, name: &str, scale: Scale, height: f64) -> Scale {
        self.y += 24.0;
        for part in name.split(" (") {
            let part = if name.ends_with(')') && name.ends_with(part) { format!("({part}") } else { part.to_owned() };
            self.text(EDGE, self.y, "start", "soft", &part);
            self.y += 20.0;
        }
        let scale = Scale { from: self.y + height, to: self.y, ..scale };
        for (place, figure) in scale.ticks.iter().enumerate() {
            let y = scale.at(*figure);
            self.stroke((LEFT, y), (RIGHT, y), if place == 0 { "axis" } else { "grid" });
            self.text(LEFT - 10.0, y + 5.0, "end", "soft", &tick(*figure));
        }
        self.y += height;
        scale
    }

    /// The names below a panel.
    fn level_names(&mut self, names: &[String], axis: &str) {
        self.y += 22.0;
        for (place, name) in names.iter().enumerate() {
            self.text(spread(place, names.len()), self.y, "middle", "", name);
        }
        self.name(axis);
    }

    /// Points with their spans, joined.
    fn line(&mut self, panel: &Scale, class: &str, points: &[(f64, Mark)]) {
        let way: Vec<String> = points.iter().map(|(x, mark)| format!("{x:.1} {:.1}", panel.at(mark.figure))).collect();
        if !way.is_empty() {
            let _ = writeln!(self.body, "<path d=\"M{}\" class=\"{class}\"/>", way.join("L"));
        }
        for (x, mark) in points {
            let (low, high) = (panel.at(mark.least), panel.at(mark.most));
            if low - high >= 0.5 {
                self.stroke((*x, low), (*x, high), "whisker");
                self.stroke((x - 4.0, low), (x + 4.0, low), "whisker");
                self.stroke((x - 4.0, high), (x + 4.0, high), "whisker");
            }
            self.shape(*x, panel.at(mark.figure), class);
        }
    }

    /// Each series has a shape of its own.
    fn shape(&mut self, x: f64, y: f64, class: &str) {
        let _ = match class {
            "one" => writeln!(self.body, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" class=\"one\"/>"),
            "two" => writeln!(self.body, "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"9\" height=\"9\" class=\"two\"/>", x - 4.5, y - 4.5),
            _ => Ok(()),
        };
    }

    fn without_figures(mut self) -> String {
        self.y += 30.0;
        self.text(EDGE, self.y, "start", "soft", "Not measured yet.");
        self.finish("There are no figures for this plot yet.")
    }

    fn finish(self, description: &str) -> String {
        let height = (self.y + EDGE).ceil();
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"t d\">\n\
             <title id=\"t\">{}</title>\n<desc id=\"d\">{}</desc>\n<style>{STYLE}</style>\n\
             <rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"10\" class=\"card\"/>\n{}</svg>\n",
            escaped(self.title),
            escaped(description),
            WIDTH - 1.0,
            height - 1.0,
            self.body
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measures::ask;

    /// Reads a picture as XML (elements, attributes in double quotes, text with the five named entities), and answers the names of
    /// its elements in order.
    fn elements(mut xml: &str) -> Result<Vec<&str>, String> {
        let (mut names, mut open) = (Vec::new(), Vec::new());
        while let Some((text, rest)) = xml.split_once('<') {
            plain(text)?;
            let (tag, after) = rest.split_once('>').ok_or("a tag does not end")?;
            xml = after;
            if let Some(name) = tag.strip_prefix('/') {
                let opened: Option<&str> = open.pop();
                (opened == Some(name)).then_some(()).ok_or(format!("{name} ends {opened:?}"))?;
                continue;
            }
            let (tag, is_whole) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
            let (name, mut attributes) = tag.split_once(' ').unwrap_or((tag, ""));
            names.push(name);
            if !is_whole {
                open.push(name);
            }
            while !attributes.trim().is_empty() {
                let (key, rest) = attributes.split_once("=\"").ok_or(format!("{attributes:?} is no attribute"))?;
                let (value, rest) = rest.split_once('"').ok_or(format!("{key} does not end"))?;
                key.trim().chars().all(|c| c.is_ascii_alphanumeric() || c == '-').then_some(()).ok_or(format!("{key:?} is no name"))?;
                plain(value)?;
                attributes = rest;
            }
        }
        plain(xml)?;
        if open.is_empty() { Ok(names) } else { Err(format!("{open:?} do not end")) }
    }

    fn plain(text: &str) -> Result<(), String> {
        let known = ["amp;", "lt;", "gt;", "quot;", "apos;"];
        let loose = text.split('&').skip(1).any(|after| !known.iter().any(|name| after.starts_with(name)));
        if loose || text.contains('>') { Err(format!("{text:?} is no text")) } else { Ok(()) }
    }

    fn sample() -> Vec<Measure> {
        let rate = |by: &str| Drawn::Rate { of: "APNs, <100k> & more".to_owned(), by: by.to_owned() };
        let far = |line, connections: u32| Drawn::Far { line, connections, allowed: f64::from(connections) * 20_000.0 };
        vec![
            ask("1", "limit", "/s").median(&[150_000.0, 160_000.0, 155_000.0]).drawn(rate("h2load")),
            ask("1", "ours", "/s").median(&[70_000.0, 80_000.0, 75_000.0]).drawn(rate(OURS)),
            ask("11", "time", "µs").median(&[13.0, 14.0]).drawn(Drawn::Time { devices: 10_000 }),
            ask("2", "CPU", "ms").single(15.0).drawn(Drawn::Cpu { devices: 1_000_000 }),
            ask("6", "idle", "ms").single(1.2).drawn(Drawn::Latency { when: "idle".to_owned(), percentiles: vec![(50, 1.2), (100, 9.0)] }),
            ask("network", "near", "/s").single(70_000.0).drawn(far(Line::Near, 2)),
            ask("network", "far", "/s").median(&[38_000.0, 39_000.0]).drawn(far(Line::Found, 2)),
            ask("3", "nothing", "/s").skipped("no h2load").drawn(rate("nobody")),
        ]
    }

    #[test]
    fn every_plot_is_well_formed_and_says_in_words_what_it_shows() {
        for measures in [sample(), Vec::new()] {
            let plots = plots(&measures);
            assert_eq!(plots.len(), NAMES.len());
            for (name, picture) in &plots {
                let elements = elements(picture).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
                assert_eq!(elements[..3], ["svg", "title", "desc"], "{name}");
                assert!(!picture.contains("NaN") && !picture.contains("inf"), "{name}");
            }
        }
    }

    #[test]
    fn what_is_no_xml_is_found() {
        for wrong in ["<a>", "<a></b>", "<a b=c/>", "<a>&x;</a>", "<a b=\"&\"/>", "<a"] {
            assert!(elements(wrong).is_err(), "{wrong}");
        }
        assert_eq!(elements("<a b=\"&lt;\"><c/></a>"), Ok(vec!["a", "c"]));
    }

    #[test]
    fn figures_stand_in_the_picture_and_in_its_description() {
        let picture = &plots(&sample())[0].1;
        assert_eq!(picture.matches("75,000 (70,000 to 80,000)").count(), 2);
        assert!(picture.contains("APNs, &lt;100k&gt; &amp; more") && !picture.contains("nobody"));
        assert!(plots(&[])[3].1.contains("Not measured yet."));
    }

    #[test]
    fn an_axis_begins_at_nothing_and_reaches_the_most_in_round_steps() {
        let scale = Scale::linear(158_400.0, 0.0, 100.0);
        assert_eq!(scale.ticks, [0.0, 50_000.0, 100_000.0, 150_000.0, 200_000.0]);
        assert_eq!((scale.at(0.0), scale.at(100_000.0)), (0.0, 50.0));
        assert_eq!(Scale::tens(1.3, 42.0).ticks, [1.0, 10.0, 100.0]);
    }
}
