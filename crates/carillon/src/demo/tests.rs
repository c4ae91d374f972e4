//! Proofs about the sample organization: the files parse, refer to each other, hold a cycle and a case for each reason.

use super::organization::{
    APP, BAD_TOKEN, BUSY_ANDROID, CAMILLE, FILES, GONE_ANDROID, GONE_BROWSER, GONE_TOKEN, GONE_WINDOWS, RETIRED_TOKEN,
};
use model::directory::{Platform, Service, check_email, check_locale, check_name, check_phone, check_time_zone, check_token, check_upn};
use std::collections::{BTreeMap, BTreeSet};

type Row = BTreeMap<String, String>;

fn rows(name: &str) -> Vec<Row> {
    let text = FILES.iter().find(|(file, _)| *file == name).expect("a sample file").1;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(|row| row.expect("a well-formed row")).collect()
}

fn platform(device: &Row) -> Platform {
    Platform::from_word(&device["platform"]).expect("a known platform")
}

#[test]
fn people_speak_two_languages_and_every_field_is_valid() {
    let people = rows("people.csv");
    assert_eq!(people.len(), 60);
    let upns: BTreeSet<&str> = people.iter().map(|p| p["upn"].as_str()).collect();
    assert_eq!(upns.len(), 60);
    assert!(upns.contains(CAMILLE));
    for p in &people {
        assert_eq!((check_upn(&p["upn"]), check_name(&p["display_name"])), (Ok(()), Ok(())), "{p:?}");
        assert_eq!((check_locale(&p["locale"]), check_time_zone(&p["timezone"])), (Ok(()), Ok(())), "{p:?}");
        assert!(p["email"].is_empty() || check_email(&p["email"]).is_ok(), "{p:?}");
        assert!(p["phones"].is_empty() || check_phone(&p["phones"]).is_ok(), "{p:?}");
        assert!(p["manager_upn"].is_empty() || (upns.contains(p["manager_upn"].as_str()) && p["manager_upn"] != p["upn"]), "{p:?}");
    }
    for language in ["fr", "en"] {
        assert!(people.iter().filter(|p| p["locale"].starts_with(language)).count() > 20, "{language}");
    }
}

/// Members of each group that are groups.
fn nested() -> BTreeMap<String, Vec<String>> {
    let mut nested: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for m in rows("members.csv").iter().filter(|m| m["member_type"] == "group") {
        nested.entry(m["group"].clone()).or_default().push(m["member"].clone());
    }
    nested
}

/// Every group inside a group, at any depth.
fn inside(group: &str) -> BTreeSet<String> {
    let nested = nested();
    let mut found = BTreeSet::new();
    let mut waiting = vec![group.to_owned()];
    while let Some(group) = waiting.pop() {
        for member in nested.get(&group).into_iter().flatten() {
            if found.insert(member.clone()) {
                waiting.push(member.clone());
            }
        }
    }
    found
}

#[test]
fn groups_are_nested_with_a_cycle_and_all_staff_holds_everybody() {
    let ids: BTreeSet<String> = rows("groups.csv").iter().map(|g| g["external_id"].clone()).collect();
    let people: BTreeSet<String> = rows("people.csv").iter().map(|p| p["external_id"].clone()).collect();
    let devices: BTreeSet<String> = rows("devices.csv").iter().map(|d| d["external_id"].clone()).collect();
    let members = rows("members.csv");
    for m in &members {
        let known = match m["member_type"].as_str() {
            "user" => people.contains(&m["member"]),
            "group" => ids.contains(&m["member"]),
            "device" => devices.contains(&m["member"]),
            _ => false,
        };
        assert!(ids.contains(&m["group"]) && known, "{m:?}");
    }
    assert!(inside("g-eng").contains("g-eng"), "Engineering holds itself, through Platform and On call");
    let all = inside("g-all");
    assert!(all.len() >= 10 && members.iter().any(|m| m["member_type"] == "device"));
    let reached: BTreeSet<String> =
        members.iter().filter(|m| m["member_type"] == "user" && all.contains(&m["group"])).map(|m| m["member"].clone()).collect();
    assert_eq!(reached, people);
}

#[test]
fn devices_of_every_platform_have_well_formed_and_unique_registrations() {
    let devices = rows("devices.csv");
    assert!((140..=160).contains(&devices.len()));
    let names: BTreeSet<&str> = devices.iter().map(|d| d["name"].as_str()).collect();
    assert_eq!(names.len(), devices.len(), "names are unique, so that a device can be named by it");
    let platforms: BTreeSet<Platform> = devices.iter().map(platform).collect();
    assert_eq!(platforms.len(), Platform::ALL.len());
    let ids: BTreeSet<&str> = devices.iter().map(|d| d["external_id"].as_str()).collect();
    let mut addresses = BTreeSet::new();
    for r in rows("registrations.csv") {
        let service = Service::from_word(&r["service"]).expect("a known service");
        assert!(ids.contains(r["device"].as_str()), "{r:?}");
        if service == Service::WebPush {
            assert!(r["endpoint"].starts_with("https://push.example.net/") && r["p256dh"].len() == 87 && r["auth"].len() == 22, "{r:?}");
        } else {
            assert_eq!(check_token(service, &r["token"]), Ok(()), "{r:?}");
        }
        if service == Service::Apns {
            assert!(r["token"].len() == 64 && r["app"] == APP, "{r:?}");
        }
        assert!(addresses.insert(format!("{}{}", r["token"], r["endpoint"])), "an address stands twice: {r:?}");
    }
}

#[test]
fn there_is_a_case_for_each_reason() {
    let (people, devices, registrations) = (rows("people.csv"), rows("devices.csv"), rows("registrations.csv"));
    let owner_of: BTreeMap<&str, &Row> = devices.iter().map(|d| (d["external_id"].as_str(), d)).collect();
    let services = |d: &Row| -> Vec<Service> {
        let of = registrations.iter().filter(|r| r["device"] == d["external_id"]);
        of.filter_map(|r| Service::from_word(&r["service"])).collect()
    };
    let fit = |d: &&Row| d["enrolled"] == "true" && d["app_installed"] == "true" && d["notification_permission"] == "granted";
    let has = |token: &str| {
        let r = registrations.iter().find(|r| r["token"] == token || r["endpoint"] == token);
        r.and_then(|r| owner_of.get(r["device"].as_str())).is_some_and(fit)
    };
    let device = |wanted: &dyn Fn(&Row) -> bool| devices.iter().any(wanted);
    let cases = [
        ("person_inactive", people.iter().any(|p| p["active"] == "false" && devices.iter().any(|d| d["owner_upn"] == p["upn"]))),
        ("no_device", people.iter().any(|p| devices.iter().all(|d| d["owner_upn"] != p["upn"]))),
        ("no_email", people.iter().any(|p| p["email"].is_empty() && devices.iter().all(|d| d["owner_upn"] != p["upn"]))),
        ("not_enrolled", device(&|d| d["enrolled"] == "false")),
        (
            "enrolled_by_other",
            device(&|d| d["enrolled"] == "true" && !d["enrolled_by_upn"].is_empty() && d["enrolled_by_upn"] != d["owner_upn"]),
        ),
        ("app_missing", device(&|d| d["enrolled"] == "true" && d["app_installed"] == "false")),
        ("permission_denied", device(&|d| d["notification_permission"] == "denied")),
        ("permission_denied, not asked", device(&|d| d["notification_permission"] == "default")),
        (
            "no_play_services",
            device(&|d| d["platform"] == "android" && d["play_services"] == "false" && services(d).contains(&Service::Fcm)),
        ),
        ("platform_unsupported", devices.iter().filter(fit).any(|d| services(d).iter().any(|s| !platform(d).is_served_by(*s)))),
        ("no_registration", devices.iter().filter(fit).any(|d| services(d).is_empty())),
        ("other_registration", devices.iter().filter(fit).any(|d| services(d).len() == 2)),
        ("org_switch_off", devices.iter().filter(fit).any(|d| services(d).contains(&Service::Wns))),
        (
            "accepted by a browser's service",
            devices.iter().filter(fit).any(|d| platform(d) == Platform::Browser && services(d).contains(&Service::WebPush)),
        ),
        ("provider_unavailable for a while: a quota that is used up", has(BUSY_ANDROID)),
        ("provider_gone at a browser's service", {
            let gone = registrations.iter().find(|r| r["endpoint"].ends_with(GONE_BROWSER));
            gone.and_then(|r| owner_of.get(r["device"].as_str())).is_some_and(fit)
        }),
        ("provider_gone at Google", has(GONE_ANDROID)),
        ("provider_gone at Microsoft", has(GONE_WINDOWS)),
        ("registration_retired", has(RETIRED_TOKEN)),
        ("provider_gone", has(GONE_TOKEN)),
        ("provider_rejected or gone: a token that never was one", has(BAD_TOKEN)),
    ];
    for (reason, present) in cases {
        assert!(present, "no case for {reason}");
    }
}
