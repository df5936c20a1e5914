//! What a PBX family does unless somebody changed it: the keys of a trunk that its profile fills in where the file says
//! nothing. One file per family, so that what depends on a vendor is in one place with its reason.

mod asterisk;
mod avaya_aura;
mod avaya_ipo;
mod cisco_cucm;
mod freeswitch;
mod generic;
mod genesys;
mod teams;

/// A PBX family.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// What `profile` calls it.
    pub name: &'static str,
    /// The keys that it fills in.
    pub presets: &'static [Preset],
}

/// One key of `[[trunk]]`.
#[derive(Debug, Clone, Copy)]
pub struct Preset {
    /// The key.
    pub key: &'static str,
    /// Its value, as the file would have it.
    pub value: &'static str,
    /// What the PBX does that makes it so.
    pub why: &'static str,
    /// A key without which it means nothing: it is filled in only where the trunk has that.
    pub with: Option<&'static str>,
}

/// All of them.
pub const FAMILIES: [&Family; 8] = [
    &generic::FAMILY,
    &avaya_aura::FAMILY,
    &avaya_ipo::FAMILY,
    &cisco_cucm::FAMILY,
    &asterisk::FAMILY,
    &freeswitch::FAMILY,
    &teams::FAMILY,
    &genesys::FAMILY,
];

/// The family of this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Family> {
    FAMILIES.into_iter().find(|family| family.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::trunk::{Profile, Trunk};

    #[test]
    fn every_profile_has_its_family_and_every_family_its_profile() {
        for family in FAMILIES {
            let text = format!("name = \"x\"\nprofile = \"{}\"\n", family.name);
            assert!(toml::from_str::<Trunk>(&text).is_ok(), "{}", family.name);
        }
        for profile in [
            Profile::Generic,
            Profile::AvayaAura,
            Profile::AvayaIpo,
            Profile::CiscoCucm,
            Profile::Asterisk,
            Profile::Freeswitch,
            Profile::Teams,
            Profile::Genesys,
        ] {
            let name = serde_json::to_value(profile).unwrap();
            assert!(named(name.as_str().unwrap()).is_some(), "{name}");
        }
    }

    #[test]
    fn every_preset_is_a_key_with_a_value_that_a_trunk_can_have_and_a_reason() {
        for family in FAMILIES {
            for preset in family.presets {
                let text = format!("name = \"x\"\n{} = {}\n", preset.key, preset.value);
                let read = toml::from_str::<Trunk>(&text);
                assert!(read.is_ok(), "{}: {}: {}", family.name, preset.key, read.unwrap_err());
                assert!(!preset.why.is_empty(), "{}: {}", family.name, preset.key);
            }
        }
    }

    #[test]
    fn no_family_says_something_twice_or_names_a_peer_for_somebody() {
        for family in FAMILIES {
            for (at, preset) in family.presets.iter().enumerate() {
                assert!(family.presets[..at].iter().all(|other| other.key != preset.key), "{}", family.name);
                assert!(
                    !["name", "profile", "peers", "address", "auth", "trust"].contains(&preset.key),
                    "{}",
                    family.name
                );
            }
        }
        assert!(generic::FAMILY.presets.is_empty());
    }
}
