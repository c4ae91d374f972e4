//! Figures with their bounds, and the one table that they are shown in.

use crate::plots::Drawn;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Letters of a failure's reason that the table shows.
const LONGEST_REASON: usize = 120;

/// What a figure has to be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Bound {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
    /// Nothing is asked; it is told for information.
    Free,
}

impl Bound {
    fn holds(self, figure: f64) -> bool {
        match self {
            Bound::AtLeast(least) => figure >= least,
            Bound::AtMost(most) => figure <= most,
            Bound::Free => true,
        }
    }

    fn shown(self, unit: &str) -> String {
        match self {
            Bound::AtLeast(least) => format!("≥ {}", with_unit(least, unit)),
            Bound::AtMost(most) => format!("≤ {}", with_unit(most, unit)),
            Bound::Free => "–".to_owned(),
        }
    }
}

/// What became of a measure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Found {
    /// The figure (a median or a percentile), and the least and the most of its samples.
    Figure { figure: f64, least: f64, most: f64 },
    /// It could not be measured here.
    Skipped(String),
    /// It was tried and failed.
    Failed(String),
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// The row of the goals, or a word.
    pub row: Cow<'static, str>,
    /// What is measured.
    pub what: String,
    /// Its unit; empty for a ratio.
    pub unit: Cow<'static, str>,
    /// What a release has to meet.
    pub must: Bound,
    /// What is wanted.
    pub goal: Bound,
    /// What was found.
    pub found: Found,
    /// Where it is drawn, when it is.
    pub drawn: Option<Drawn>,
}

/// Which line a figure belongs to and what is asked of it.
#[derive(Clone, Debug)]
pub struct Asked {
    row: &'static str,
    what: String,
    unit: &'static str,
    must: Bound,
    goal: Bound,
}

/// A line of the table, to be filled.
pub fn ask(row: &'static str, what: impl Into<String>, unit: &'static str) -> Asked {
    Asked { row, what: what.into(), unit, must: Bound::Free, goal: Bound::Free }
}

impl Asked {
    /// At least this must, and that should, be reached.
    #[must_use]
    pub fn at_least(self, must: f64, goal: f64) -> Asked {
        Asked { must: Bound::AtLeast(must), goal: Bound::AtLeast(goal), ..self }
    }

    /// At most this must, and that should, be taken.
    #[must_use]
    pub fn at_most(self, must: f64, goal: f64) -> Asked {
        Asked { must: Bound::AtMost(must), goal: Bound::AtMost(goal), ..self }
    }

    /// The median of the samples.
    pub fn median(self, samples: &[f64]) -> Measure {
        self.percentile(samples, 50)
    }

    /// A percentile of the samples, the nearest rank.
    pub fn percentile(self, samples: &[f64], percent: usize) -> Measure {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let found = match (sorted.first(), sorted.last()) {
            (Some(least), Some(most)) => {
                let figure = if percent == 50 { median(&sorted) } else { sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1] };
                Found::Figure { figure, least: *least, most: *most }
            }
            _ => Found::Failed("there are no samples".to_owned()),
        };
        self.found(found)
    }

    /// A single figure.
    pub fn single(self, figure: f64) -> Measure {
        self.median(&[figure])
    }

    /// Not measured here.
    pub fn skipped(self, why: impl Into<String>) -> Measure {
        self.found(Found::Skipped(why.into()))
    }

    /// Tried in vain.
    pub fn failed(self, why: impl Into<String>) -> Measure {
        self.found(Found::Failed(why.into()))
    }

    fn found(self, found: Found) -> Measure {
        let Asked { row, what, unit, must, goal } = self;
        Measure { row: row.into(), what, unit: unit.into(), must, goal, found, drawn: None }
    }
}

/// The middle of sorted samples; of an even number the mean of the middle two.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { f64::midpoint(sorted[middle - 1], sorted[middle]) } else { sorted[middle] }
}

/// The median of samples in any order; 0 of none.
pub fn middle(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    if sorted.is_empty() { 0.0 } else { median(&sorted) }
}

/// What so many percent of the samples do not exceed: the nearest rank, of which the hundredth is the most.
pub fn percentiles<const N: usize>(samples: &[f64], percents: [u32; N]) -> Vec<(u32, f64)> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    if sorted.is_empty() {
        return Vec::new();
    }
    percents.iter().map(|percent| (*percent, sorted[(sorted.len() * *percent as usize).div_ceil(100).max(1) - 1])).collect()
}

impl Measure {
    /// The same, shown in a plot too.
    #[must_use]
    pub fn drawn(self, drawn: Drawn) -> Measure {
        Measure { drawn: Some(drawn), ..self }
    }

    /// Whether a release may not go out like this.
    pub fn is_missed(&self) -> bool {
        match &self.found {
            Found::Figure { figure, .. } => !self.must.holds(*figure),
            Found::Failed(_) => true,
            Found::Skipped(_) => false,
        }
    }

    fn verdict(&self) -> String {
        match &self.found {
            Found::Skipped(why) => format!("skipped: {why}"),
            // A table's cell says what failed; the whole story was told on standard error.
            Found::Failed(why) => format!("FAILED: {}", why.chars().take(LONGEST_REASON).collect::<String>().replace(['\n', '|'], " ")),
            Found::Figure { .. } if self.must == Bound::Free && self.goal == Bound::Free => "–".to_owned(),
            Found::Figure { .. } if self.is_missed() => "MUST MISSED".to_owned(),
            Found::Figure { figure, .. } if self.goal.holds(*figure) => "goal met".to_owned(),
            Found::Figure { .. } => "must met".to_owned(),
        }
    }

    fn cells(&self) -> [String; 7] {
        let (figure, range) = match &self.found {
            Found::Figure { figure, least, most } => {
                let range = if least == most { String::new() } else { format!("{}..{}", number(*least), number(*most)) };
                (with_unit(*figure, &self.unit), range)
            }
            Found::Skipped(_) | Found::Failed(_) => (String::new(), String::new()),
        };
        let (must, goal) = (self.must.shown(&self.unit), self.goal.shown(&self.unit));
        [self.row.to_string(), self.what.clone(), must, goal, figure, range, self.verdict()]
    }
}

fn with_unit(figure: f64, unit: &str) -> String {
    if unit.is_empty() { number(figure) } else { format!("{} {unit}", number(figure)) }
}

/// Three significant figures, thousands parted.
pub fn number(figure: f64) -> String {
    let places = match figure.abs() {
        f if f >= 100.0 || f == 0.0 => 0,
        f if f >= 10.0 => 1,
        f if f >= 0.1 => 2,
        _ => 3,
    };
    let text = format!("{figure:.places$}");
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), String::new()), |(w, r)| (w, format!(".{r}")));
    let mut parted = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) && digit != '-' {
            parted.push(',');
        }
        parted.push(digit);
    }
    parted + &rest
}

/// The table, in Markdown that is also aligned for the eye.
pub fn table(measures: &[Measure]) -> String {
    let head = ["#", "measure", "must", "goal", "median", "min..max", "verdict"].map(str::to_owned);
    let rows: Vec<[String; 7]> = std::iter::once(head).chain(measures.iter().map(Measure::cells)).collect();
    let mut widths = [3; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for (place, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
        if place == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            text.push_str(&format!("| {} |\n", rules.join(" | ")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles_are_those_of_the_sorted_samples() {
        let samples: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        let figure = |measure: Measure| match measure.found {
            Found::Figure { figure, .. } => figure,
            other => panic!("{other:?}"),
        };
        assert_eq!(figure(ask("1", "x", "").median(&samples)), 100.5);
        assert_eq!(figure(ask("1", "x", "").percentile(&samples, 99)), 198.0);
        assert_eq!(figure(ask("1", "x", "").median(&[3.0, 1.0, 2.0])), 2.0);
        assert!(ask("1", "x", "").median(&[]).is_missed(), "no samples are a failure");
    }

    #[test]
    fn a_verdict_says_must_and_goal() {
        let verdict = |figure| ask("1", "x", "").at_least(0.45, 0.75).single(figure).verdict();
        assert_eq!([verdict(0.4), verdict(0.5), verdict(0.75)], ["MUST MISSED", "must met", "goal met"]);
        let verdict = |figure| ask("6", "x", "ms").at_most(3.0, 1.0).single(figure).verdict();
        assert_eq!([verdict(3.1), verdict(3.0), verdict(0.9)], ["MUST MISSED", "must met", "goal met"]);
        assert_eq!(ask("x", "x", "").single(1.0).verdict(), "–");
        assert!(!ask("x", "x", "").skipped("no h2load").is_missed());
    }

    #[test]
    fn numbers_keep_three_figures() {
        assert_eq!([0.0, 0.0123, 0.456, 12.34, 158_400.4, 1_000_000.0].map(number), ["0", "0.012", "0.46", "12.3", "158,400", "1,000,000"]);
    }
}
