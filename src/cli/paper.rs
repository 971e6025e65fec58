//! `schema`, `completions` and `man`: what can be printed without looking at anything.

use std::io::Write as _;

use clap_mangen::Man;

use super::args::{Completions, Schema};
use super::environment::command;
use super::exit::{Exit, Failure};
use super::output;
use crate::provider::catalog;
use crate::{manifest, report, web};

/// Prints the schema of that name, or all names.
pub(super) fn schema(arguments: &Schema) -> Result<Exit, Failure> {
    let schemas = schemas();
    let Some(name) = &arguments.name else {
        let names: Vec<&str> = schemas.iter().map(|(name, _)| *name).collect();
        output::text(&(names.join("\n") + "\n"))?;
        return Ok(Exit::Fine);
    };
    let Some((_, text)) = schemas.iter().find(|(other, _)| other == name) else {
        let hint = "`freshen schema` prints the names";
        return Err(Failure::usage(format!("there is no schema `{name}`")).hint(hint));
    };
    output::text(text)?;
    Ok(Exit::Fine)
}

/// The schema of manifests, as a document.
pub(super) fn manifest_schema() -> String {
    let providers = catalog::schemas().into_iter().collect();
    report::json::document(&manifest::manifest_schema(&providers))
}

/// Every schema by its file name under `schemas/`, without its ending.
pub(super) fn schemas() -> Vec<(&'static str, String)> {
    let mut schemas = vec![("manifest", manifest_schema())];
    let outputs = report::schema::all().into_iter();
    schemas.extend(outputs.map(|(name, schema)| (name, report::json::document(&schema))));
    schemas.push(("openapi", report::json::document(&web::openapi())));
    schemas
}

/// Prints completions for a shell.
pub(super) fn completions(arguments: &Completions) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut command(), "freshen", &mut text);
    output::text(&String::from_utf8_lossy(&text))?;
    Ok(Exit::Fine)
}

/// Prints the manual page: one, with every command in it.
pub(super) fn manual() -> Result<Exit, Failure> {
    let mut whole = command();
    whole.build();
    let page = Man::new(whole.clone());
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    text.extend(b".SH COMMANDS\n");
    command_sections(&whole, &mut text)?;
    page.render_extra_section(&mut text)?;
    output::text(&String::from_utf8_lossy(&text))?;
    Ok(Exit::Fine)
}

/// A section for every command below `parent`, without what all have in common.
fn command_sections(parent: &clap::Command, text: &mut Vec<u8>) -> Result<(), Failure> {
    for below in parent.get_subcommands() {
        if below.get_name() == "help" {
            continue;
        }
        let own = below.clone().mut_args(|arg| {
            let is_own = !arg.is_global_set() && arg.get_id() != "help";
            arg.hide(!is_own)
        });
        let page = Man::new(own);
        let mut parts = Vec::new();
        page.render_synopsis_section(&mut parts)?;
        page.render_description_section(&mut parts)?;
        if below.get_arguments().any(|arg| !arg.is_global_set()) {
            page.render_options_section(&mut parts)?;
        }
        let name = below.get_bin_name().unwrap_or_else(|| below.get_name());
        writeln!(text, ".SS {name}")?;
        let parts = String::from_utf8_lossy(&parts).into_owned();
        let body = parts.lines().filter(|line| !line.starts_with(".SH "));
        for line in body {
            writeln!(text, "{line}")?;
        }
        command_sections(below, text)?;
    }
    Ok(())
}
