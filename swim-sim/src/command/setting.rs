//! Settings of the protocol by name, as `--set` and `--vary` take them.

use swim_proto::Config;
use swim_settings::{SETTINGS, Setting};

/// One setting with a value.
#[derive(Clone, Debug)]
pub(crate) struct Set {
    key: &'static str,
    value: String,
}

/// `KEY=VALUE`.
pub(crate) fn setting(text: &str) -> Result<Set, String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not KEY=VALUE"))?;
    Set::new(find(key)?, value)
}

/// The setting of this name.
pub(crate) fn find(key: &str) -> Result<&'static Setting, String> {
    let all = || SETTINGS.iter().map(|setting| setting.key).collect::<Vec<_>>().join(", ");
    swim_settings::find(key.trim()).ok_or_else(|| format!("{key:?} is no setting; {} are", all()))
}

impl Set {
    /// Refused if the value has not the form of the setting's kind.
    pub(crate) fn new(setting: &'static Setting, value: &str) -> Result<Set, String> {
        let set = Set { key: setting.key, value: value.trim().to_owned() };
        set.apply(&mut Config::lan()).map(|()| set)
    }

    /// Sets it.
    pub(crate) fn apply(&self, config: &mut Config) -> Result<(), String> {
        let Set { key, value } = self;
        find(key)?.set(config, value).map_err(|form| format!("{key} is {value:?}; it must be {form}"))
    }
}
