//! The `dynamicMedia` block of a Cdn manifest.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::manifest::wire::{PresetWire, SecretWire, Short, Text};

/// Adobe Dynamic Media, through the IPS web service.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Block {
    /// Region of the account; picks Adobe's host. Either this or `endpoint`.
    pub region: Option<Region>,
    /// URL of an IPS service other than Adobe's own hosts. Credentials go there
    /// only with `--allow-endpoint`, or if it is on loopback.
    pub endpoint: Option<Text>,
    /// Adobe's production or staging service of the region.
    #[serde(default)]
    pub service: Service,
    /// Version of the IPS API, as in its XML namespace.
    #[serde(default = "newest_namespace")]
    pub api_namespace: Text,
    /// Name of the company; its handle is looked up by it.
    pub company: Text,
    /// Handle of the company, such as `c|6`: spares the look-up.
    pub company_handle: Option<Text>,
    /// Root id in URLs, after `/is/image/`. Default: the company. `"*"` lifts
    /// the rule that every URL must lie under it.
    pub root_id: Option<Text>,
    /// Scheme and host of each publish server: what `<SERVER>` stands for.
    #[serde(default)]
    pub publish_servers: Vec<Text>,
    /// Image presets of the account.
    #[serde(default)]
    pub image_presets: ImagePresets,
    /// Smart crops of all assets that declare none of their own.
    #[serde(default)]
    pub smart_crops: Vec<Text>,
    /// An account with the role `IpsCompanyAdmin` or `IpsAdmin`.
    pub credentials: CredentialsBlock,
}

fn newest_namespace() -> Text {
    Text("2014-04-03".to_owned())
}

/// Where the account lives.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Region {
    /// North America.
    NorthAmerica,
    /// Europe, Middle East, Africa.
    Emea,
    /// Japan, Asia Pacific.
    Apac,
}

/// Which of Adobe's two services.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Service {
    /// What visitors see.
    #[default]
    Production,
    /// Adobe's staging service.
    Staging,
}

/// `imagePresets`: declared, or to be asked for.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ImagePresets {
    /// By name.
    Declared(Vec<Short<PresetWire>>),
    /// All that the account has; a preset that is defined anew there is sent again.
    Discovered(Discover),
}

impl Default for ImagePresets {
    fn default() -> Self {
        Self::Declared(Vec::new())
    }
}

/// The word `discover`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Discover {
    /// The account is asked for its presets, every five minutes.
    Discover,
}

/// Who calls the service: `user` and `password`, or an `accessToken`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CredentialsBlock {
    /// The account's email address; may be left out beside an `accessToken`.
    #[serde(default)]
    pub user: Option<SecretWire>,
    /// Its password.
    #[serde(default)]
    pub password: Option<SecretWire>,
    /// A token in the place of the password.
    #[serde(default)]
    pub access_token: Option<SecretWire>,
}
