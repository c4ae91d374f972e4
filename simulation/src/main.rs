//! `simulation --seed N --hours H`: one run, told aloud where asked. `--seeds A..B`: many. `--planted`: with each planted
//! bug, until an invariant notices it. `--named`: the seeds that once found something.

use simulation::planted::Plant;
use simulation::run::{Order, Report, run};
use simulation::seeds::NAMED;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const USAGE: &str = "\
Usage: cargo xtask simulate [--seed N | --seeds A..B | --named | --planted] [--hours H] [--plant NAME] [--aloud] [--threads T]

  --seed N       one run
  --seeds A..B   the runs from A up to, and without, B
  --named        the runs that once found something
  --planted      plants each bug in turn and runs seeds until an invariant notices it
  --plant NAME   plants one bug in the runs that are asked for
  --hours H      virtual hours of faults and errands in each run, 0.05 by default; then everything comes to rest
  --aloud        tells everything that happens
  --threads T    runs side by side, as many as there are processors by default

Exit code: 0 when every invariant held (or every planted bug was noticed), 1 when not, 2 for wrong use.
";

/// A planted bug that so many seeds do not show is not noticed.
const PATIENCE: u64 = 150;

#[derive(Clone, Copy)]
struct Asked {
    seeds: (u64, u64),
    hours: f64,
    plant: Option<Plant>,
    aloud: bool,
    named: bool,
    planted: bool,
    threads: usize,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|a| a == "--help" || a == "-h") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let asked = match parse(&arguments) {
        Ok(asked) => asked,
        Err(why) => {
            eprint!("{why}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let well = match asked {
        Asked { planted: true, .. } => planted(&asked),
        Asked { named: true, .. } => named(),
        _ => many(&asked),
    };
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(arguments: &[String]) -> Result<Asked, String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut asked = Asked { seeds: (1, 2), hours: 0.05, plant: None, aloud: false, named: false, planted: false, threads };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        let wrong = |text: &str| format!("{text:?} is no value of {word}");
        match word.as_str() {
            "--seed" => {
                let text = value()?;
                let seed: u64 = text.parse().map_err(|_| wrong(text))?;
                asked.seeds = (seed, seed + 1);
            }
            "--seeds" => {
                let text = value()?;
                let (from, to) = text.split_once("..").ok_or_else(|| wrong(text))?;
                asked.seeds = (from.parse().map_err(|_| wrong(text))?, to.parse().map_err(|_| wrong(text))?);
            }
            "--hours" => {
                let text = value()?;
                asked.hours = text.parse().ok().filter(|h| *h > 0.0 && *h <= 1_000.0).ok_or_else(|| wrong(text))?;
            }
            "--threads" => {
                let text = value()?;
                asked.threads = text.parse().ok().filter(|t| *t > 0).ok_or_else(|| wrong(text))?;
            }
            "--plant" => {
                let text = value()?;
                let found = Plant::ALL.iter().find(|(plant, _)| plant.name() == *text);
                asked.plant = Some(found.ok_or_else(|| wrong(text))?.0);
            }
            "--aloud" => asked.aloud = true,
            "--named" => asked.named = true,
            "--planted" => asked.planted = true,
            _ => return Err(format!("{word:?} is not known")),
        }
    }
    Ok(asked)
}

fn order(asked: &Asked, seed: u64) -> Order {
    Order { seed, hours: asked.hours, plant: asked.plant, aloud: asked.aloud }
}

/// Runs every seed; several at once.
fn many(asked: &Asked) -> bool {
    let began = Instant::now();
    let (from, to) = asked.seeds;
    let next = AtomicU64::new(from);
    let sums: Vec<Sum> = std::thread::scope(|scope| {
        let work = || {
            let mut sum = Sum::default();
            loop {
                let seed = next.fetch_add(1, Ordering::SeqCst);
                if seed >= to {
                    return sum;
                }
                sum.add(&tell(order(asked, seed), run(order(asked, seed))));
            }
        };
        let threads: Vec<_> = (0..asked.threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(Sum { broken: 1, ..Sum::default() })).collect()
    });
    let sum = sums.into_iter().fold(Sum::default(), Sum::and);
    println!("{sum:?} in {:.1} s", began.elapsed().as_secs_f64());
    sum.broken == 0
}

#[derive(Debug, Default)]
#[allow(dead_code)]
struct Sum {
    runs: u64,
    broken: u64,
    accepted: u64,
    rows: u64,
    letters: u64,
    repeats: u64,
    lives: u64,
    virtual_hours: f64,
}

impl Sum {
    fn add(&mut self, report: &Report) {
        let one = Sum {
            runs: 1,
            broken: u64::from(report.breach.is_some()),
            accepted: report.accepted as u64,
            rows: report.rows,
            letters: report.letters,
            repeats: report.repeats,
            lives: report.lives as u64,
            virtual_hours: report.seconds as f64 / 3_600.0,
        };
        *self = std::mem::take(self).and(one);
    }

    fn and(self, other: Sum) -> Sum {
        Sum {
            runs: self.runs + other.runs,
            broken: self.broken + other.broken,
            accepted: self.accepted + other.accepted,
            rows: self.rows + other.rows,
            letters: self.letters + other.letters,
            repeats: self.repeats + other.repeats,
            lives: self.lives + other.lives,
            virtual_hours: self.virtual_hours + other.virtual_hours,
        }
    }
}

/// Says what broke, and how to see it again.
fn tell(order: Order, report: Report) -> Report {
    if let Some(breach) = &report.breach {
        let plant = order.plant.map(|plant| format!(" --plant {}", plant.name())).unwrap_or_default();
        let mut text =
            format!("BROKEN {:?} in seed {} at {:.3} s: {}\n", breach.invariant, order.seed, breach.at_ms as f64 / 1_000.0, breach.what);
        text.push_str("  what happened before:\n");
        breach.before.iter().for_each(|line| text.push_str(&format!("    {line}\n")));
        text.push_str(&format!("  again: cargo xtask simulate --seed {} --hours {}{plant} --aloud\n", order.seed, order.hours));
        print!("{text}");
    }
    report
}

fn named() -> bool {
    let mut well = true;
    for named in NAMED {
        let order = Order { seed: named.seed, hours: named.hours, plant: None, aloud: false };
        let report = tell(order, run(order));
        println!("seed {:>6}  {}  {}", named.seed, if report.breach.is_none() { "holds" } else { "BROKEN" }, named.found);
        well &= report.breach.is_none();
    }
    well
}

/// Plants each bug until it is noticed.
fn planted(asked: &Asked) -> bool {
    let next = AtomicU64::new(0);
    let lines = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..asked.threads {
            scope.spawn(|| {
                while let Some((plant, by)) = Plant::ALL.get(next.fetch_add(1, Ordering::SeqCst) as usize) {
                    let line = notice(asked, *plant, by);
                    lines.lock().expect("no thread panicked").push((*plant, line));
                }
            });
        }
    });
    let mut lines = lines.into_inner().expect("no thread panicked");
    lines.sort_by_key(|(plant, _)| *plant);
    lines.iter().for_each(|(plant, (_, text))| println!("{:<32} {text}", plant.name()));
    let missed = lines.iter().filter(|(_, (noticed, _))| !noticed).count();
    println!("{} bugs planted, {missed} not noticed", lines.len());
    missed == 0
}

fn notice(asked: &Asked, plant: Plant, by: &[simulation::invariant::Invariant]) -> (bool, String) {
    for seed in 1..=PATIENCE {
        let report = run(Order { seed, hours: asked.hours, plant: Some(plant), aloud: false });
        if let Some(breach) = report.breach {
            let right = by.contains(&breach.invariant);
            let note = if right { "noticed" } else { "noticed by another invariant than expected" };
            return (right, format!("{note}: {:?}, seed {seed}: {}", breach.invariant, breach.what));
        }
    }
    (false, format!("NOT NOTICED in {PATIENCE} seeds"))
}
