//! Cases of trunk matching.

use super::*;
use std::time::Duration;

fn config(text: &str) -> Config {
    toml::from_str(text).unwrap()
}

fn matched(table: &Table, source: &str) -> (Option<String>, Vec<Step>) {
    let mut steps = vec![];
    let trunk = table.matching(source.parse().unwrap(), &mut steps);
    (trunk.map(|trunk| trunk.config.name.clone()), steps)
}

fn three() -> Table {
    let config = config(THREE);
    let resolved = HashMap::from([(
        "pbx.example.com".to_owned(),
        vec!["192.0.2.7".parse().unwrap(), "10.20.0.10".parse().unwrap()],
    )]);
    assert_eq!(Table::names(&config).into_iter().collect::<Vec<_>>(), ["lost.example.com", "pbx.example.com"]);
    Table::new(&config, &resolved)
}

const THREE: &str = r#"
        [[trunk]]
        name = "named"
        peers = ["pbx.example.com", "lost.example.com"]
        [[trunk]]
        name = "wide"
        peers = ["10.0.0.0/8", "2001:db8::/32"]
        [[trunk]]
        name = "narrow"
        peers = ["10.20.0.0/16"]
        [[trunk]]
        name = "exact"
        peers = ["10.20.0.10", "2001:db8::5"]
        "#;

#[test]
fn an_exact_address_beats_the_longest_prefix_which_beats_names() {
    let table = three();
    for (source, trunk) in [
        ("10.20.0.10", Some("exact")),
        ("::ffff:10.20.0.10", Some("exact")),
        ("10.20.0.11", Some("narrow")),
        ("10.99.0.1", Some("wide")),
        ("192.0.2.7", Some("named")),
        ("2001:db8::5", Some("exact")),
        ("2001:db8::6", Some("wide")),
        ("198.51.100.1", None),
    ] {
        assert_eq!(matched(&table, source).0.as_deref(), trunk, "{source}");
    }
}

#[test]
fn every_trunk_that_was_looked_at_is_a_step_with_its_reason() {
    let (_, steps) = matched(&three(), "10.20.0.10");
    let told: Vec<(String, Option<String>)> = steps
        .into_iter()
        .map(|step| match step {
            Step::Trunk { trunk, failed, .. } => (trunk, failed),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told.len(), 4);
    assert_eq!(told[3], ("exact".to_owned(), None));
    assert_eq!(told[1].1.as_deref(), Some("10.20.0.10 is one of its peers, but `exact` names it as exactly or better"));

    let (_, steps) = matched(&three(), "198.51.100.1");
    let Step::Trunk { failed, .. } = &steps[2] else { panic!() };
    assert_eq!(failed.as_deref(), Some("198.51.100.1 is in none of its peers"));
    let Step::Trunk { failed, .. } = &steps[0] else { panic!() };
    let expected = "198.51.100.1 is in none of its peers; lost.example.com has no address at present";
    assert_eq!(failed.as_deref(), Some(expected));
}

#[test]
fn of_two_equal_trunks_the_first_of_the_file_wins() {
    let config = config(
        "[[trunk]]\nname = \"a\"\npeers = [\"10.0.0.0/8\"]\n[[trunk]]\nname = \"b\"\npeers = [\"10.0.0.0/8\"]\n",
    );
    assert_eq!(matched(&Table::new(&config, &HashMap::new()), "10.1.1.1").0.as_deref(), Some("a"));
}

#[test]
fn a_reload_keeps_open_calls_and_takes_new_limits() {
    let before =
        Table::new(&config("[[trunk]]\nname = \"a\"\npeers = [\"10.0.0.1\"]\nmax_calls = 1\n"), &HashMap::new());
    let now = crate::clock::now();
    let call = before.by_name("a").unwrap().admission.admit(now).unwrap();
    let after = Table::after(
        &before,
        &config("[[trunk]]\nname = \"a\"\npeers = [\"10.0.0.2\"]\nmax_calls = 2\n"),
        &HashMap::new(),
    );
    let admission = Arc::clone(&after.by_name("a").unwrap().admission);
    assert_eq!(admission.open(), 1);
    let _second = admission.admit(now).unwrap();
    assert!(admission.admit(now + Duration::from_secs(1)).is_err());
    drop(call);
    assert_eq!(admission.open(), 1);
}

#[test]
fn a_trunk_without_a_country_reads_numbers_as_the_whole_file_does() {
    let config = config(
        "[numbers]\ncountry = \"DE\"\n[[trunk]]\nname = \"a\"\npeers = [\"10.0.0.1\"]\n[[trunk]]\nname = \"b\"\npeers = [\"10.0.0.2\"]\ncountry = \"FR\"\n",
    );
    let table = Table::new(&config, &HashMap::new());
    assert_eq!(table.by_name("a").unwrap().region.id(), "DE");
    assert_eq!(table.by_name("b").unwrap().region.id(), "FR");
}

#[test]
fn trunks_of_one_country_share_its_plan_and_a_reload_keeps_it() {
    let config: Config = toml::from_str(
        "[numbers]\ncountry = \"DE\"\n[[trunk]]\nname = \"a\"\npeers = [\"10.0.0.1\"]\n[[trunk]]\nname = \"b\"\npeers = [\"10.0.0.2\"]\ncountry = \"DE\"\n",
    )
    .unwrap();
    let table = Table::new(&config, &HashMap::new());
    let reloaded = Table::after(&table, &config, &HashMap::new());
    let region = |table: &Table, name| Arc::clone(&table.by_name(name).unwrap().region);
    assert!(Arc::ptr_eq(&region(&table, "a"), &region(&table, "b")));
    assert!(Arc::ptr_eq(&region(&table, "a"), &region(&reloaded, "b")));
}
