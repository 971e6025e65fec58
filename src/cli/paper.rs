//! `schema`, `completions` and `man`: what can be printed without looking at anything.

use clap_mangen::Man;

use super::args::{Completions, Schema, command};
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

/// Prints the manual page.
pub(super) fn manual() -> Result<Exit, Failure> {
    let mut text = Vec::new();
    Man::new(command()).render(&mut text)?;
    output::text(&String::from_utf8_lossy(&text))?;
    Ok(Exit::Fine)
}
