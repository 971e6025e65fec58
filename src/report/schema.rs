//! The JSON Schemas of what is written with `-o json`.

use schemars::{JsonSchema, Schema, generate::SchemaSettings};

use super::{
    alert, answer, api, doctor, explain, history, import, plan, reconcile, set, status, urls,
    validate,
};

/// By file name under `schemas/`, without its ending.
pub fn all() -> Vec<(&'static str, Schema)> {
    vec![
        ("alert", of::<alert::AlertDocument>()),
        ("answer", of::<answer::AnswerDocument>()),
        ("asked", of::<api::Asked>()),
        ("doctor", of::<doctor::DoctorDocument>()),
        ("error", of::<api::ErrorDocument>()),
        ("expand", of::<urls::Expanded>()),
        ("explain", of::<explain::Explained>()),
        ("health", of::<api::HealthDocument>()),
        ("history", of::<history::HistoryDocument>()),
        ("import", of::<import::ImportDocument>()),
        ("plan", of::<plan::PlanDocument>()),
        ("reconcile", of::<reconcile::Reconciled>()),
        ("request", of::<api::RequestDocument>()),
        ("set", of::<set::OneSet>()),
        ("status", of::<status::StatusDocument>()),
        ("validate", of::<validate::Validation>()),
    ]
}

fn of<T: JsonSchema>() -> Schema {
    SchemaSettings::draft07()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<T>()
}
