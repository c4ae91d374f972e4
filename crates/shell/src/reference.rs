//! Every cmdlet as a page of the manual, in Markdown.

use crate::catalogue::{Catalogue, Cmdlet, Does, Parameter, said};
use crate::help;
use model::Locale;

const HEAD: &str = "# The cmdlets\n\n\
    This page is written from the declarations of the sources, as `Get-Help` is, and a test holds it to them. `-WhatIf`, `-Confirm` and \
    `-Force` stand only here: every cmdlet that changes something takes them. The cmdlets for pipelines are in \
    [The admin shell](shell.md).\n";

impl Catalogue {
    /// The declared cmdlets in Markdown.
    pub fn reference(&self, locale: Locale) -> String {
        let own = |cmdlet: &&Cmdlet| !matches!(cmdlet.does, Does::BuiltIn(_));
        let chapters: Vec<String> = self.cmdlets().iter().filter(own).map(|cmdlet| chapter(cmdlet, locale)).collect();
        format!("{HEAD}\n{}", chapters.join("\n"))
    }
}

fn chapter(cmdlet: &Cmdlet, locale: Locale) -> String {
    let mut text = format!("## {}\n\n{}", cmdlet.name, said(cmdlet.help, locale));
    if cmdlet.asks {
        text.push_str(" Asks first, unless `-Confirm:$false` is given.");
    }
    text.push('\n');
    if !cmdlet.aliases.is_empty() {
        text.push_str(&format!("Also: {}.\n", cmdlet.aliases.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")));
    }
    let shown: Vec<&Parameter> = cmdlet.parameters.iter().filter(|parameter| !parameter.is_common()).collect();
    if !shown.is_empty() {
        text.push_str("\n| Parameter | Takes | Default | |\n|---|---|---|---|\n");
        shown.iter().for_each(|parameter| text.push_str(&row(parameter, locale)));
    }
    if !cmdlet.examples.is_empty() {
        text.push_str(&format!("\n```powershell\n{}\n```\n", cmdlet.examples.join("\n")));
    }
    text
}

fn row(parameter: &Parameter, locale: Locale) -> String {
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    let names: Vec<String> = parameter.spellings().map(|name| format!("`-{name}`")).collect();
    let must = if parameter.must { " **Required.**" } else { "" };
    let idle = if !parameter.works && !parameter.help(locale).contains("effect") { " It has no effect." } else { "" };
    let default = if parameter.default.is_empty() { String::new() } else { format!("`{}`", cell(parameter.default)) };
    format!(
        "| {} | {} | {default} | {}{must}{idle} |\n",
        names.join(", "),
        cell(&help::takes(parameter, locale)),
        cell(parameter.help(locale))
    )
}
