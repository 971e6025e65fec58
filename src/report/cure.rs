//! What lets a blocked plan through.

/// How what is blocked is let through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cure {
    /// By what the state records.
    #[default]
    Approve,
    /// Against this commit no state remembers an approval: it is given with
    /// the run itself.
    Since(String),
}

impl Cure {
    /// The command that lets `plan` through.
    pub fn command(&self, plan: &str) -> String {
        match self {
            Self::Approve => format!("freshen approve {plan}"),
            Self::Since(reference) => {
                format!("freshen reconcile --since {reference} --approve {plan}")
            }
        }
    }
}
