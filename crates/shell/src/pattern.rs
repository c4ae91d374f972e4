//! Regular expressions for `-match`: letters, `.`, `[…]`, `\d \w \s` and their opposites, `* + ?`, `|`, brackets, `^` and `$`.
//! Without regard to case. Every pattern takes time in proportion to the product of both lengths, because all ways through it
//! are walked at once.

use crate::wrong::Misfit;

/// Most characters of a pattern.
const PATTERN_MOST: usize = 200;
/// Deepest nesting of its brackets.
const NESTED_MOST: usize = 20;

/// One step of a compiled pattern.
#[derive(Clone, Debug)]
enum Step {
    /// One character of a class.
    One(Class),
    /// Goes on at both places.
    Fork(usize, usize),
    /// Goes on elsewhere.
    Jump(usize),
    /// Only at the beginning.
    Begin,
    /// Only at the end.
    End,
    /// It fits.
    Fits,
}

/// Which characters.
#[derive(Clone, Debug)]
struct Class {
    not: bool,
    ranges: Vec<(char, char)>,
    kinds: Vec<char>,
}

impl Class {
    fn any() -> Class {
        Class { not: true, ranges: vec![('\n', '\n')], kinds: Vec::new() }
    }

    fn has(&self, c: char) -> bool {
        let ranged = |c: char| self.ranges.iter().any(|(from, to)| (*from..=*to).contains(&c));
        let of = |kind: &char| match kind {
            'd' => c.is_numeric(),
            'D' => !c.is_numeric(),
            'w' => c.is_alphanumeric() || c == '_',
            'W' => !(c.is_alphanumeric() || c == '_'),
            's' => c.is_whitespace(),
            _ => !c.is_whitespace(),
        };
        let cases = ranged(c) || c.to_lowercase().any(ranged) || c.to_uppercase().any(ranged);
        (cases || self.kinds.iter().any(of)) != self.not
    }
}

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    steps: Vec<Step>,
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn new(pattern: &str) -> Result<Pattern, Misfit> {
        let letters: Vec<char> = pattern.chars().collect();
        if letters.len() > PATTERN_MOST {
            return Err(Misfit::TooComplex { pattern: pattern.to_owned() });
        }
        let mut reading = Reading { letters, at: 0, depth: 0 };
        let bad = |why: &str| Misfit::BadPattern { pattern: pattern.to_owned(), why: why.to_owned() };
        let mut steps = reading.either().map_err(bad)?;
        if reading.at < reading.letters.len() {
            return Err(bad(")"));
        }
        steps.push(Step::Fits);
        Ok(Pattern { steps })
    }

    /// Whether some part of a text fits.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        let mut here = Vec::new();
        let letters: Vec<char> = text.chars().collect();
        for at in 0..=letters.len() {
            let (begin, end) = (at == 0, at == letters.len());
            let mut seen = vec![false; self.steps.len()];
            let mut reached = Vec::new();
            for start in here.drain(..).chain([0]) {
                self.walk(start, begin, end, &mut seen, &mut reached);
            }
            for step in reached {
                match &self.steps[step] {
                    Step::Fits => return true,
                    Step::One(class) if !end && class.has(letters[at]) => here.push(step + 1),
                    Step::One(_) | Step::Fork(..) | Step::Jump(_) | Step::Begin | Step::End => {}
                }
            }
        }
        false
    }

    /// Every step that is reached from one without a character.
    fn walk(&self, start: usize, begin: bool, end: bool, seen: &mut [bool], reached: &mut Vec<usize>) {
        let mut open = vec![start];
        while let Some(step) = open.pop() {
            if std::mem::replace(&mut seen[step], true) {
                continue;
            }
            match self.steps[step] {
                Step::Fork(one, other) => open.extend([one, other]),
                Step::Jump(to) => open.push(to),
                Step::Begin if begin => open.push(step + 1),
                Step::End if end => open.push(step + 1),
                Step::Begin | Step::End => {}
                Step::One(_) | Step::Fits => reached.push(step),
            }
        }
    }
}

/// A place in a pattern.
struct Reading {
    letters: Vec<char>,
    at: usize,
    depth: usize,
}

/// Moves the targets of steps that are put behind others.
fn moved(steps: Vec<Step>, by: usize) -> impl Iterator<Item = Step> {
    steps.into_iter().map(move |step| match step {
        Step::Fork(one, other) => Step::Fork(one + by, other + by),
        Step::Jump(to) => Step::Jump(to + by),
        still => still,
    })
}

impl Reading {
    fn next(&mut self) -> Option<char> {
        let next = self.letters.get(self.at).copied();
        self.at += usize::from(next.is_some());
        next
    }

    /// Ways with `|` between them.
    fn either(&mut self) -> Result<Vec<Step>, &'static str> {
        let first = self.row()?;
        if self.letters.get(self.at) != Some(&'|') {
            return Ok(first);
        }
        self.at += 1;
        let second = self.either_rest()?;
        let mut steps = vec![Step::Fork(1, first.len() + 2)];
        steps.extend(moved(first, 1));
        steps.push(Step::Jump(steps.len() + 1 + second.len()));
        let by = steps.len();
        steps.extend(moved(second, by));
        Ok(steps)
    }

    fn either_rest(&mut self) -> Result<Vec<Step>, &'static str> {
        self.depth += 1;
        if self.depth > PATTERN_MOST {
            return Err("|");
        }
        self.either()
    }

    /// Pieces one behind the other.
    fn row(&mut self) -> Result<Vec<Step>, &'static str> {
        let mut row: Vec<Step> = Vec::new();
        while let Some(letter) = self.letters.get(self.at).copied() {
            if matches!(letter, '|' | ')') {
                break;
            }
            let mut piece = self.piece()?;
            while let Some(times @ ('*' | '+' | '?')) = self.letters.get(self.at).copied() {
                self.at += 1;
                piece = repeated(piece, times);
                if piece.len() > PATTERN_MOST * 4 {
                    return Err("* + ?");
                }
            }
            let by = row.len();
            row.extend(moved(piece, by));
        }
        Ok(row)
    }

    fn piece(&mut self) -> Result<Vec<Step>, &'static str> {
        let one = |class: Class| Ok(vec![Step::One(class)]);
        match self.next() {
            Some('.') => one(Class::any()),
            Some('^') => Ok(vec![Step::Begin]),
            Some('$') => Ok(vec![Step::End]),
            Some('[') => one(self.class()?),
            Some('(') => {
                self.depth += 1;
                if self.depth > NESTED_MOST {
                    return Err("(");
                }
                let inner = self.either()?;
                if self.next() != Some(')') {
                    return Err("(");
                }
                self.depth = self.depth.saturating_sub(1);
                Ok(inner)
            }
            Some('\\') => {
                let mut class = Class { not: false, ranges: Vec::new(), kinds: Vec::new() };
                self.escaped(&mut class)?;
                one(class)
            }
            Some('*' | '+' | '?') => Err("* + ?"),
            Some('{') => Err("{"),
            Some(letter) => one(Class { not: false, ranges: vec![(letter, letter)], kinds: Vec::new() }),
            None => Ok(Vec::new()),
        }
    }

    fn escaped(&mut self, class: &mut Class) -> Result<(), &'static str> {
        match self.next() {
            Some(kind @ ('d' | 'D' | 'w' | 'W' | 's' | 'S')) => class.kinds.push(kind),
            Some(letter) if !letter.is_alphanumeric() => class.ranges.push((letter, letter)),
            _ => return Err("\\"),
        }
        Ok(())
    }

    fn class(&mut self) -> Result<Class, &'static str> {
        let mut class = Class { not: false, ranges: Vec::new(), kinds: Vec::new() };
        if self.letters.get(self.at) == Some(&'^') {
            self.at += 1;
            class.not = true;
        }
        loop {
            match self.next() {
                None => return Err("["),
                Some(']') => return Ok(class),
                Some('\\') => self.escaped(&mut class)?,
                Some(from) => match (self.letters.get(self.at), self.letters.get(self.at + 1)) {
                    (Some('-'), Some(to)) if *to != ']' => {
                        class.ranges.push((from, *to));
                        self.at += 2;
                    }
                    _ => class.ranges.push((from, from)),
                },
            }
        }
    }
}

/// A piece that may come several times, or not at all.
fn repeated(piece: Vec<Step>, times: char) -> Vec<Step> {
    let length = piece.len();
    let mut steps = Vec::with_capacity(length + 2);
    match times {
        '?' => {
            steps.push(Step::Fork(1, length + 1));
            steps.extend(moved(piece, 1));
        }
        '*' => {
            steps.push(Step::Fork(1, length + 2));
            steps.extend(moved(piece, 1));
            steps.push(Step::Jump(0));
        }
        _ => {
            steps.extend(piece);
            steps.push(Step::Fork(0, length + 1));
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_found_anywhere_and_in_any_case() {
        for (pattern, text, fits) in [
            ("lyon|paris", "Bridge Paris 2", true),
            ("^Paris$", "paris", true),
            ("^Paris$", "paris 2", false),
            ("^\\+33\\d+$", "+33155", true),
            ("[a-c]+x", "zzcabx", true),
            ("[^0-9]", "123", false),
            ("(ab)*c", "ababc", true),
            ("a.?c", "abbc", false),
            ("", "", true),
            ("^a|b|c$", "xxb", true),
            ("é", "ÉTÉ", true),
        ] {
            assert_eq!(Pattern::new(pattern).expect(pattern).is_in(text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_and_no_pattern_takes_long() {
        for bad in ["(", ")", "[", "*a", "a{2}", "\\", "\\b", "((((((((((((((((((((((a"] {
            assert!(Pattern::new(bad).is_err(), "{bad}");
        }
        assert!(Pattern::new(&"a".repeat(201)).is_err());
        let slow = Pattern::new(&format!("{}{}", "a?".repeat(60), "a".repeat(60))).expect("a pattern");
        assert!(slow.is_in(&"a".repeat(60)) && !slow.is_in(&"a".repeat(59)));
        assert!(Pattern::new("(a*)*b").is_ok_and(|p| !p.is_in(&"a".repeat(1_000))));
    }
}
