//! Where the shell's words go: output to the standard output, everything else beside it, questions to whoever sits there.

use super::pace::Pace;
use model::Locale;
use reedline::{Prompt, PromptEditMode, PromptHistorySearch, Reedline, Signal};
use shell::{Answer, Terminal};
use std::borrow::Cow;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Largest file that `Import-Csv` reads.
const FILE_BYTES: u64 = 256 << 20;

/// The screen of one shell.
pub struct Screen {
    /// In which language it asks.
    pub locale: Locale,
    /// Whether somebody is there to answer.
    pub somebody: bool,
    /// Whether warnings and errors have their colours.
    pub colour: bool,
    /// The line about progress, which makes room for others.
    pub pace: Arc<Pace>,
    /// Set when somebody wants it to stop.
    pub stop: Arc<AtomicBool>,
}

impl Screen {
    fn beside(&self, code: &str, text: &str) {
        let text: String = text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect();
        self.pace.beside(|| match self.colour {
            true => eprintln!("\x1b[{code}m{text}\x1b[0m"),
            false => eprintln!("{text}"),
        });
    }
}

impl Terminal for Screen {
    /// A reader that went away ends the program quietly, as it does for other tools.
    fn out(&mut self, text: &str) {
        self.pace.beside(|| {
            let mut stdout = std::io::stdout().lock();
            if stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_err() {
                std::process::exit(i32::from(crate::exit::Exit::Done.code()));
            }
        });
    }

    fn warn(&mut self, text: &str) {
        let word = if self.locale == Locale::Fr { "avertissement :" } else { "warning:" };
        self.beside("33", &format!("{word} {text}"));
    }

    fn error(&mut self, text: &str) {
        let word = if self.locale == Locale::Fr { "erreur :" } else { "error:" };
        self.beside("31", &format!("{word} {text}"));
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn ask(&mut self, question: &str) -> Answer {
        if !self.somebody {
            return Answer::Nobody;
        }
        let mut answer = Answer::NoToAll;
        let (locale, stop) = (self.locale, &self.stop);
        self.pace.beside(|| {
            let plain: String = question.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
            eprintln!("{plain}");
            let mut editor = Reedline::create();
            answer = loop {
                match editor.read_line(&Choices(locale)) {
                    Ok(Signal::Success(word)) => match answered(locale, &word) {
                        Some(answer) => break answer,
                        None => continue,
                    },
                    Ok(_) => {
                        stop.store(true, Ordering::Relaxed);
                        break Answer::NoToAll;
                    }
                    Err(_) => break Answer::Nobody,
                }
            };
        });
        answer
    }

    fn read(&mut self, path: &str) -> Result<Vec<u8>, String> {
        let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
        let mut content = Vec::new();
        file.take(FILE_BYTES + 1).read_to_end(&mut content).map_err(|e| e.to_string())?;
        match (content.len() as u64 > FILE_BYTES, self.locale) {
            (false, _) => Ok(content),
            (true, Locale::En) => Err(format!("it is larger than {FILE_BYTES} bytes")),
            (true, Locale::Fr) => Err(format!("il dépasse {FILE_BYTES} octets")),
        }
    }

    fn write(&mut self, path: &str, content: &[u8]) -> Result<(), String> {
        std::fs::write(path, content).map_err(|e| e.to_string())
    }
}

/// What somebody means by a word; a line without one changes nothing.
fn answered(locale: Locale, word: &str) -> Option<Answer> {
    let word = word.trim().to_lowercase();
    let of = |words: &[&str]| words.contains(&word.as_str());
    match locale {
        _ if word.is_empty() => Some(Answer::No),
        Locale::En if of(&["y", "yes"]) => Some(Answer::Yes),
        Locale::En if of(&["a", "all", "yes to all"]) => Some(Answer::YesToAll),
        Locale::En if of(&["n", "no"]) => Some(Answer::No),
        Locale::En if of(&["l", "none", "no to all"]) => Some(Answer::NoToAll),
        Locale::Fr if of(&["o", "oui"]) => Some(Answer::Yes),
        Locale::Fr if of(&["t", "tout", "oui pour tout"]) => Some(Answer::YesToAll),
        Locale::Fr if of(&["n", "non"]) => Some(Answer::No),
        Locale::Fr if of(&["u", "aucun", "non pour tout"]) => Some(Answer::NoToAll),
        Locale::En | Locale::Fr => None,
    }
}

/// What can be answered.
struct Choices(Locale);

impl Prompt for Choices {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        match self.0 {
            Locale::En => "[Y] Yes  [A] Yes to all  [N] No (Enter)  [L] No to all: ".into(),
            Locale::Fr => "[O] Oui  [T] Oui pour tout  [N] Non (Entrée)  [U] Non pour tout : ".into(),
        }
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        "".into()
    }

    fn render_prompt_indicator(&self, _: PromptEditMode) -> Cow<'_, str> {
        "".into()
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        "".into()
    }

    fn render_prompt_history_search_indicator(&self, _: PromptHistorySearch) -> Cow<'_, str> {
        "".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_answered_in_its_language_and_silence_changes_nothing() {
        let table = [
            (Locale::En, "Y", Some(Answer::Yes)),
            (Locale::En, "a", Some(Answer::YesToAll)),
            (Locale::En, "", Some(Answer::No)),
            (Locale::En, "l", Some(Answer::NoToAll)),
            (Locale::En, "o", None),
            (Locale::Fr, "oui", Some(Answer::Yes)),
            (Locale::Fr, "t", Some(Answer::YesToAll)),
            (Locale::Fr, "y", None),
            (Locale::Fr, "", Some(Answer::No)),
        ];
        for (locale, word, meant) in table {
            assert_eq!(answered(locale, word), meant, "{word}");
        }
    }
}
