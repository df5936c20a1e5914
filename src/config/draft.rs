//! A configuration before its account is provisioned: the secrets and the address that Daily hands out may be missing
//! yet, and it matters from where they will be read. Apart from `load`, which takes no file with holes.

use super::Config;
use super::load::{Examined, LoadError, examine_text};
use super::problem::Problem;
use super::surroundings::Surroundings;
use super::value::Secret;
use std::path::{Path, PathBuf};

/// Stands for a secret that is not there yet, while the rest is checked. Not secret, and never sent.
const NO_SECRET: &str = "bm90LXByb3Zpc2lvbmVkLXlldA==";
/// Stands for an address that is not there yet.
const NO_ADDRESS: &str = "sip:not-provisioned-yet@trunkline.invalid";

/// A checked configuration, in which what Daily hands out may be missing.
#[derive(Debug, Clone)]
pub struct Draft {
    /// With stand-ins where something is missing.
    pub config: Config,
    /// What is probably not meant.
    pub warnings: Vec<Problem>,
    /// Where `hmac` of `[daily]` is read.
    pub hmac: Vec<Place>,
    /// Where `events_hmac` of `[daily]` is read.
    pub events_hmac: Vec<Place>,
    /// Where `uri` of each `[[target]]` is read.
    pub uris: Vec<Place>,
}

/// Where a value is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its key, for people: `daily.hmac`.
    pub key: String,
    /// What stands there.
    pub origin: Origin,
    /// The value, if there is one.
    pub value: Option<Secret>,
}

/// What stands at a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The value itself, or text around a placeholder.
    Literal,
    /// `${env:NAME}`.
    Env(String),
    /// `${file:PATH}`, relative to the configuration.
    File(PathBuf),
}

/// The raw text of the three keys.
struct Raw {
    hmac: Vec<String>,
    events_hmac: Vec<String>,
    uris: Vec<(String, String)>,
}

/// Reads and checks a file; a value of the three keys that is a placeholder for nothing is no problem.
///
/// # Errors
/// Every other problem of the file.
pub fn draft(path: &Path) -> Result<Draft, LoadError> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let message = format!("cannot be read: {error}");
        let remedy = "name the configuration with --config FILE".to_owned();
        LoadError { file: file.clone(), problems: vec![Problem { line: 0, column: 0, message, remedy }] }
    })?;
    let directory = path.parent().unwrap_or(Path::new("."));
    draft_text(&file, &text, directory, &|name| std::env::var(name).ok())
}

fn draft_text(
    file: &str,
    text: &str,
    directory: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Draft, LoadError> {
    let raw = Raw::of(text);
    let secrets: Vec<Origin> =
        raw.hmac.iter().chain(&raw.events_hmac).map(|text| Origin::of(text, directory)).collect();
    let addresses: Vec<Origin> = raw.uris.iter().map(|(_, text)| Origin::of(text, directory)).collect();
    let stand_in = |origin: &Origin| {
        let secret = secrets.contains(origin).then_some(NO_SECRET);
        secret.or_else(|| addresses.contains(origin).then_some(NO_ADDRESS)).map(str::to_owned)
    };
    let filled = |value: &String| !value.trim().is_empty();
    let env = |name: &str| env(name).filter(filled).or_else(|| stand_in(&Origin::Env(name.to_owned())));
    let read = |path: &Path| match std::fs::read_to_string(path) {
        Ok(content) if filled(&content) => Ok(content),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        other => stand_in(&Origin::File(path.to_owned())).map_or(other, Ok),
    };
    // Nothing is called here, so no name has to have an address yet.
    let surroundings = Surroundings { directory, env: &env, read: &read, resolves: &|_| true };
    let Examined { config, warnings, .. } = examine_text(file, text, &surroundings)?;
    let daily = config.daily.as_ref();
    let secrets = |key: &str, raw: &[String], read: Option<&[Secret]>| -> Vec<Place> {
        let read = read.unwrap_or_default().iter().map(Secret::expose);
        raw.iter().zip(read).map(|(text, value)| place(key.to_owned(), text, value, directory)).collect()
    };
    let hmac = secrets("daily.hmac", &raw.hmac, daily.map(|daily| daily.hmac.0.as_slice()));
    let events = daily.and_then(|daily| daily.events_hmac.as_ref()).map(|keys| keys.0.as_slice());
    let events_hmac = secrets("daily.events_hmac", &raw.events_hmac, events);
    let targets = raw.uris.iter().zip(&config.targets);
    let uris = targets
        .map(|((name, text), target)| place(format!("target.{name}.uri"), text, &target.uri, directory))
        .collect();
    Ok(Draft { config, warnings, hmac, events_hmac, uris })
}

fn place(key: String, raw: &str, value: &str, directory: &Path) -> Place {
    let missing = [NO_SECRET, NO_ADDRESS].contains(&value);
    Place { key, origin: Origin::of(raw, directory), value: (!missing).then(|| Secret::new(value)) }
}

// === impl Raw ===

impl Raw {
    /// What cannot be read is nothing here: the loader says what is wrong with it.
    fn of(text: &str) -> Self {
        let root: toml::Table = toml::from_str(text).unwrap_or_default();
        let key = |key: &str| root.get("daily").and_then(|daily| daily.get(key)).map(strings).unwrap_or_default();
        let targets = root.get("target").and_then(toml::Value::as_array).into_iter().flatten();
        let field = |target: &toml::Value, key: &str| {
            target.get(key).and_then(toml::Value::as_str).unwrap_or_default().to_owned()
        };
        let uris = targets.map(|target| (field(target, "name"), field(target, "uri"))).collect();
        Self { hmac: key("hmac"), events_hmac: key("events_hmac"), uris }
    }
}

fn strings(value: &toml::Value) -> Vec<String> {
    match value {
        toml::Value::String(one) => vec![one.clone()],
        toml::Value::Array(many) => many.iter().filter_map(toml::Value::as_str).map(str::to_owned).collect(),
        _ => vec![],
    }
}

// === impl Origin ===

impl Origin {
    fn of(raw: &str, directory: &Path) -> Self {
        let inner = |kind: &str| {
            let inner = raw.strip_prefix("${")?.strip_prefix(kind)?.strip_suffix('}')?;
            (!inner.contains('}')).then_some(inner)
        };
        match (inner("env:"), inner("file:")) {
            (Some(name), _) => Self::Env(name.to_owned()),
            (_, Some(path)) => Self::File(directory.join(path)),
            _ => Self::Literal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
[sip]
listen = ["udp:127.0.0.1:0"]
[[trunk]]
name = "pbx"
peers = ["192.0.2.1"]
[[target]]
name = "daily"
kind = "daily"
uri = "${file:sip-uri}"
[[route]]
targets = ["daily"]
[daily]
api_key = "key"
hmac = "${env:HMAC}"
events_hmac = ["${file:events}", "bGl0ZXJhbA=="]
[[room]]
"#;

    fn draft_in(folder: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Draft, LoadError> {
        draft_text("t.toml", TEXT, folder, env)
    }

    #[test]
    fn what_daily_hands_out_may_be_missing_and_says_where_it_will_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let draft = draft_in(folder.path(), &|_| None).unwrap();
        let hmac = Place { key: "daily.hmac".into(), origin: Origin::Env("HMAC".into()), value: None };
        assert_eq!(draft.hmac, [hmac]);
        assert_eq!(draft.events_hmac[0].origin, Origin::File(folder.path().join("events")));
        assert_eq!(draft.events_hmac[0].value, None);
        assert_eq!(draft.events_hmac[1].origin, Origin::Literal);
        assert_eq!(draft.events_hmac[1].value, Some(Secret::new("bGl0ZXJhbA==")));
        assert_eq!((draft.uris[0].key.as_str(), &draft.uris[0].value), ("target.daily.uri", &None));
    }

    #[test]
    fn what_is_there_is_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("sip-uri"), "sip:a@example.com\n").unwrap();
        std::fs::write(folder.path().join("events"), "\n").unwrap();
        let draft = draft_in(folder.path(), &|_| Some("c2VjcmV0".to_owned())).unwrap();
        assert_eq!(draft.uris[0].value, Some(Secret::new("sip:a@example.com")));
        assert_eq!(draft.hmac[0].value, Some(Secret::new("c2VjcmV0")));
        assert_eq!(draft.events_hmac[0].value, None, "an empty file holds nothing");
    }

    #[test]
    fn everything_else_has_to_be_there() {
        let text = TEXT.replace("api_key = \"key\"", "api_key = \"${env:KEY}\"");
        let error = draft_text("t.toml", &text, Path::new("."), &|_| None).unwrap_err();
        assert!(error.to_string().contains("environment variable `KEY` is not set"), "{error}");
    }

    #[test]
    fn text_around_a_placeholder_is_a_literal() {
        for raw in ["sip:${file:x}", "${file:x}${file:y}", "${file:x", "plain"] {
            assert_eq!(Origin::of(raw, Path::new(".")), Origin::Literal, "{raw}");
        }
    }
}
