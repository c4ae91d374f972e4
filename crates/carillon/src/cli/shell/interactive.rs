//! The conversation at a terminal: lines with history and completion, one after the other, until somebody leaves.

use super::history::{self, Discreet};
use super::{Shell, wants_colour};
use crate::cli::trouble::{Result, Trouble};
use model::Locale;
use reedline::{
    ColumnarMenu, Completer, CompletionResult, EditCommand, Emacs, KeyCode, KeyModifiers, MenuBuilder, Prompt, PromptEditMode,
    PromptHistorySearch, Reedline, ReedlineEvent, ReedlineMenu, Signal, Span, Suggestion, ValidationResult, Validator,
    default_emacs_keybindings,
};
use serde_json::Value;
use shell::{Session, Went};
use std::borrow::Cow;
use std::sync::Arc;

const MENU: &str = "completion";

/// Reads and runs lines until somebody leaves; answers with which number.
pub async fn converse(mut shell: Shell) -> Result<i32> {
    greet(&shell).await?;
    let mut editor = editor(&shell);
    loop {
        shell.fit();
        match editor.read_line(&Line) {
            Ok(Signal::Success(line)) if line.trim().is_empty() => {}
            Ok(Signal::Success(line)) => {
                if let Went::Left(code) = shell.run(&line).await {
                    shell.session.finish(&mut shell.screen);
                    return Ok(code);
                }
            }
            Ok(Signal::CtrlD) => return Ok(0),
            Ok(_) => {}
            Err(error) => return Err(Trouble::local(format!("the terminal cannot be read: {error}"))),
        }
    }
}

/// Says who one is, and where.
async fn greet(shell: &Shell) -> Result<()> {
    let me = shell.client.get(&["me"], &[]).await?;
    let plain = |value: &Value| crate::cli::output::cell(value).replace('\n', " ");
    let (name, role, at) = (plain(&me["name"]), plain(&me["role"]), shell.client.base());
    let role = if role.is_empty() { String::new() } else { format!(" ({role})") };
    match shell.screen.locale {
        Locale::En => eprintln!("You are {name}{role} at {at}. Get-Command lists what there is, Get-Help tells about it, exit leaves."),
        Locale::Fr => {
            eprintln!("Vous êtes {name}{role} sur {at}. Get-Command liste ce qu’il y a, Get-Help l’explique, exit termine.");
        }
    }
    Ok(())
}

fn editor(shell: &Shell) -> Reedline {
    let mut keys = default_emacs_keybindings();
    let complete = ReedlineEvent::UntilFound(vec![ReedlineEvent::Menu(MENU.to_owned()), ReedlineEvent::MenuNext]);
    keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, complete);
    keys.add_binding(KeyModifiers::SHIFT, KeyCode::BackTab, ReedlineEvent::MenuPrevious);
    keys.add_binding(KeyModifiers::ALT, KeyCode::Enter, ReedlineEvent::Edit(vec![EditCommand::InsertNewline]));
    let editor = Reedline::create()
        .with_edit_mode(Box::new(Emacs::new(keys)))
        .with_completer(Box::new(Words(shell.another())))
        .with_validator(Box::new(Whole(shell.another())))
        .with_menu(ReedlineMenu::EngineCompleter(Box::new(ColumnarMenu::default().with_name(MENU))))
        .with_quick_completions(true)
        .with_partial_completions(true)
        .with_ansi_colors(wants_colour());
    let place = history::place(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    match Discreet::open(place.as_deref()) {
        Some(history) => editor.with_history(Box::new(history)),
        None => editor,
    }
}

/// What could stand at the cursor.
struct Words(Arc<Session>);

impl Completer for Words {
    fn complete(&mut self, line: &str, at: usize) -> CompletionResult {
        let suggestion = |candidate: shell::Candidate| Suggestion {
            append_whitespace: !candidate.text.ends_with(':'),
            value: candidate.text,
            description: Some(candidate.help).filter(|help| !help.is_empty()),
            span: Span::new(candidate.replaces.start, candidate.replaces.end),
            ..Suggestion::default()
        };
        CompletionResult::fresh(self.0.complete(line, at).into_iter().map(suggestion).collect::<Vec<_>>())
    }
}

/// Whether a line is whole, or goes on with the next.
struct Whole(Arc<Session>);

impl Validator for Whole {
    fn validate(&self, line: &str) -> ValidationResult {
        if self.0.unfinished(line) { ValidationResult::Incomplete } else { ValidationResult::Complete }
    }
}

/// What stands before a line.
struct Line;

impl Prompt for Line {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        "PS carillon> ".into()
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        "".into()
    }

    fn render_prompt_indicator(&self, _: PromptEditMode) -> Cow<'_, str> {
        "".into()
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        ">> ".into()
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        format!("({}) ", search.term).into()
    }
}
