//! How far a long pipeline is: a line on the standard error of a terminal, once it takes longer than a moment.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use model::Locale;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What is done sooner needs no line.
const MOMENT: Duration = Duration::from_secs(2);

/// Counts what was done.
#[derive(Default)]
pub struct Pace {
    running: Mutex<Option<Running>>,
    locale: Option<Locale>,
}

struct Running {
    began: Instant,
    done: u64,
    bar: Option<ProgressBar>,
}

impl Pace {
    /// One that shows itself, in a language.
    pub fn shown(locale: Locale) -> Pace {
        Pace { locale: Some(locale), ..Pace::default() }
    }

    /// A text begins.
    pub fn begin(&self) {
        *self.lock() = Some(Running { began: Instant::now(), done: 0, bar: None });
    }

    /// Another one is done.
    pub fn count(&self) {
        let mut running = self.lock();
        let (Some(running), Some(locale)) = (running.as_mut(), self.locale) else { return };
        running.done += 1;
        if running.began.elapsed() < MOMENT {
            return;
        }
        let bar = running.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_elapsed(running.began.elapsed());
            let template = match locale {
                Locale::En => "{spinner} {pos} done in {elapsed}; Ctrl-C stops behind the one that is being done",
                Locale::Fr => "{spinner} {pos} traités en {elapsed} ; Ctrl-C arrête après celui en cours",
            };
            bar.set_style(ProgressStyle::with_template(template).expect("the template is well formed"));
            bar
        });
        bar.set_position(running.done);
    }

    /// The text is at its end.
    pub fn end(&self) {
        if let Some(bar) = self.lock().take().and_then(|running| running.bar) {
            bar.finish_and_clear();
        }
    }

    /// Prints something while the line is out of the way.
    pub fn beside(&self, print: impl FnOnce()) {
        let bar = self.lock().as_ref().and_then(|running| running.bar.clone());
        match bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Running>> {
        self.running.lock().expect("nobody panics while they count")
    }
}
