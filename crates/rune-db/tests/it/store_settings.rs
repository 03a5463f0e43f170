//! What the port does with settings.

use rune_core::failure::FailureKind::Input;

use crate::store_support::{Bench, Case};

fn keys(bench: &Bench, prefix: &str) -> Vec<String> {
    bench
        .store
        .list_settings(prefix)
        .unwrap()
        .into_iter()
        .map(|setting| setting.key)
        .collect()
}

fn set_all(bench: &Bench, keys: &[&str]) {
    for key in keys {
        bench.store.set_setting(key, "{}").unwrap();
    }
}

fn value(bench: &Bench, key: &str) -> Option<String> {
    bench
        .store
        .get_setting(key)
        .unwrap()
        .map(|setting| setting.value_json)
}

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "an_unknown_setting_is_none",
        run: |bench| bench.sees(bench.store.get_setting("k").unwrap(), None),
    },
    Case {
        name: "a_setting_comes_back_as_it_went_in",
        run: |bench| {
            bench
                .store
                .set_setting("k", "{\"b\": NaN,\"a\":\"\\u00e9é\"}")
                .unwrap();
            let setting = bench.store.get_setting("k").unwrap().unwrap();
            bench.sees(
                (setting.value_json.as_str(), setting.updated_at),
                ("{\"b\": NaN,\"a\":\"\\u00e9é\"}", 1000.5),
            );
        },
    },
    Case {
        name: "setting_it_again_replaces_it",
        run: |bench| {
            bench.store.set_setting("k", "{\"a\": 1}").unwrap();
            bench
                .at(2000.0)
                .store
                .set_setting("k", "{\"b\": 2}")
                .unwrap();
            let setting = bench.store.get_setting("k").unwrap().unwrap();
            bench.sees(
                (
                    setting.value_json.as_str(),
                    setting.updated_at,
                    keys(bench, "").len(),
                ),
                ("{\"b\": 2}", 2000.0, 1),
            );
        },
    },
    Case {
        name: "a_value_that_is_no_json_is_refused",
        run: |bench| {
            bench.fails(
                bench.store.set_setting("k", "{"),
                Input,
                "`value_json` is not JSON from byte 1 on",
            );
        },
    },
    Case {
        name: "a_value_that_is_no_object_is_refused",
        run: |bench| {
            bench.fails(
                bench.store.set_setting("k", "3"),
                Input,
                "`value_json` is not a JSON object",
            );
        },
    },
    Case {
        name: "an_empty_key_is_refused",
        run: |bench| bench.fails(bench.store.set_setting("", "{}"), Input, "`key` is empty"),
    },
    Case {
        name: "s09_a_key_with_nul_is_refused",
        run: |bench| bench.fails(bench.store.set_setting("a\0", "{}"), Input, "U+0000"),
    },
    Case {
        name: "looking_for_a_key_with_nul_is_refused",
        run: |bench| bench.fails(bench.store.get_setting("a\0"), Input, "U+0000"),
    },
    Case {
        name: "a_key_of_255_wide_letters_is_taken",
        run: |bench| {
            let key = "😀".repeat(255);
            set_all(bench, &[&key]);
            bench.sees(value(bench, &key).as_deref(), Some("{}"));
        },
    },
    Case {
        name: "a_key_of_256_letters_is_refused",
        run: |bench| {
            bench.fails(
                bench.store.set_setting(&"x".repeat(256), "{}"),
                Input,
                "`key` has more than 255 characters",
            );
        },
    },
    Case {
        name: "a_deleted_setting_is_none",
        run: |bench| {
            set_all(bench, &["k"]);
            bench.sees(
                (bench.store.delete_setting("k").unwrap(), value(bench, "k")),
                (true, None),
            );
        },
    },
    Case {
        name: "deleting_what_is_not_there_does_nothing",
        run: |bench| bench.sees(bench.store.delete_setting("k").unwrap(), false),
    },
    Case {
        name: "deleting_takes_one_key_only",
        run: |bench| {
            set_all(bench, &["k", "K", "k1"]);
            bench.store.delete_setting("k").unwrap();
            bench.sees(keys(bench, ""), vec!["K", "k1"]);
        },
    },
    Case {
        name: "settings_are_listed_by_code_point",
        run: |bench| {
            set_all(bench, &["b", "a", "B", "é", "_", "\u{ffff}", "😀"]);
            bench.sees(
                keys(bench, ""),
                vec!["B", "_", "a", "b", "é", "\u{ffff}", "😀"],
            );
        },
    },
    Case {
        name: "s08_an_underscore_in_a_prefix_is_a_letter",
        run: |bench| {
            set_all(bench, &["a_b", "aXb"]);
            bench.sees(keys(bench, "a_"), vec!["a_b"]);
        },
    },
    Case {
        name: "s08_a_percent_in_a_prefix_is_a_letter",
        run: |bench| {
            set_all(bench, &["a%b", "axb"]);
            bench.sees(
                (keys(bench, "a%"), keys(bench, "%")),
                (vec!["a%b".to_owned()], vec![]),
            );
        },
    },
    Case {
        name: "s08_a_backslash_in_a_prefix_is_a_letter",
        run: |bench| {
            set_all(bench, &["a\\b", "a_b"]);
            bench.sees(keys(bench, "a\\"), vec!["a\\b"]);
        },
    },
    Case {
        name: "s08_a_prefix_knows_capitals",
        run: |bench| {
            set_all(bench, &["a_b2", "A_b2"]);
            bench.sees(keys(bench, "A_"), vec!["A_b2"]);
        },
    },
    Case {
        name: "a_prefix_may_be_the_whole_key",
        run: |bench| {
            set_all(bench, &["ab", "abc"]);
            bench.sees(
                (keys(bench, "ab"), keys(bench, "abcd")),
                (vec!["ab".to_owned(), "abc".to_owned()], vec![]),
            );
        },
    },
    Case {
        name: "a_prefix_of_wide_letters_counts_letters",
        run: |bench| {
            set_all(bench, &["😀é1", "😀e1"]);
            bench.sees(keys(bench, "😀é"), vec!["😀é1"]);
        },
    },
    Case {
        name: "s11_an_update_sees_what_is_there",
        run: |bench| {
            bench.store.set_setting("k", "{\"a\": 1}").unwrap();
            let mut seen = None;
            let mut change = |value: Option<&str>| {
                seen = value.map(str::to_owned);
                Some("{\"a\": 2}".to_owned())
            };
            bench.store.update_setting("k", &mut change).unwrap();
            bench.sees(
                (seen.as_deref(), value(bench, "k").as_deref()),
                (Some("{\"a\": 1}"), Some("{\"a\": 2}")),
            );
        },
    },
    Case {
        name: "s11_an_update_of_nothing_sees_nothing",
        run: |bench| {
            let mut seen = Some("something".to_owned());
            let mut change = |value: Option<&str>| {
                seen = value.map(str::to_owned);
                Some("{\"a\": 2}".to_owned())
            };
            bench.store.update_setting("k", &mut change).unwrap();
            bench.sees(
                (seen, value(bench, "k").as_deref()),
                (None, Some("{\"a\": 2}")),
            );
        },
    },
    Case {
        name: "an_update_that_makes_nothing_takes_the_key_away",
        run: |bench| {
            set_all(bench, &["a", "b"]);
            bench.store.update_setting("a", &mut |_| None).unwrap();
            bench.store.update_setting("c", &mut |_| None).unwrap();
            bench.sees(keys(bench, ""), vec!["b"]);
        },
    },
    Case {
        name: "a_refused_update_leaves_what_was_there",
        run: |bench| {
            bench.store.set_setting("k", "{\"a\": 1}").unwrap();
            bench.fails(
                bench
                    .store
                    .update_setting("k", &mut |_| Some("no".to_owned())),
                Input,
                "`value_json`",
            );
            bench.fails(
                bench
                    .store
                    .update_setting("l", &mut |_| Some("no".to_owned())),
                Input,
                "`value_json`",
            );
            bench.sees(
                (value(bench, "k").as_deref(), keys(bench, "").len()),
                (Some("{\"a\": 1}"), 1),
            );
        },
    },
];
