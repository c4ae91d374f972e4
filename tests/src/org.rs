//! Sample organizations, as the CSV files of the contract. Objects are known by short names: the person `ada` has the
//! external id `p-ada`, the UPN `ada@example.org` and the mailbox `ada@mail.example.org`; the device `ada-phone` has the
//! external id `d-ada-phone`; the group `lyon` has the external id `g-lyon`.

use crate::api::{Api, Reply};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::Value;

const PEOPLE: &str = "external_id,upn,display_name,email,locale,timezone,licenses,manager_upn,phones,active";
const GROUPS: &str = "external_id,name,description";
const MEMBERS: &str = "group,member_type,member";
const DEVICES: &str =
    "external_id,name,owner_upn,platform,ownership,enrolled,app_installed,notification_permission,play_services,enrolled_by_upn";
const REGISTRATIONS: &str = "device,service,app,environment,token,endpoint,p256dh,auth";

/// The token under which a device of this name is registered with the fake Apple: hexadecimal, 64 digits or more.
pub fn token_of(device: &str) -> String {
    let hex: String = device.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{hex:0<64}")
}

/// The token under which a device of this name is registered with the fake Google.
pub fn google_token_of(device: &str) -> String {
    format!("{device:0<22}:APA91b{}", token_of(device))
}

/// The channel URL of a device of this name at Microsoft.
pub fn channel_of(device: &str) -> String {
    format!("https://db5p.notify.windows.com/?token={}", token_of(device))
}

/// A row of people.csv.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct PersonRow {
    pub display_name: String,
    pub email: String,
    pub locale: String,
    pub timezone: String,
    pub phones: String,
    pub active: bool,
}

/// A row of devices.csv; one that can get a push unless it is changed.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct DeviceRow {
    pub platform: String,
    pub ownership: String,
    pub enrolled: bool,
    pub app_installed: bool,
    pub permission: String,
    pub play_services: bool,
    /// Who enrolled it, when that was not its owner: the short name of a person.
    pub enrolled_by: String,
}

/// The five files.
#[derive(Clone, Debug, Default)]
pub struct Org {
    people: Vec<String>,
    groups: Vec<String>,
    members: Vec<String>,
    devices: Vec<String>,
    registrations: Vec<String>,
}

fn cell(text: &str) -> String {
    if text.contains([',', '"', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

fn row(cells: &[&str]) -> String {
    cells.iter().map(|text| cell(text)).collect::<Vec<_>>().join(",")
}

impl Org {
    /// Nobody.
    pub fn new() -> Org {
        Org::default()
    }

    /// A person with a mailbox, active.
    pub fn person(&mut self, name: &str) -> &mut Org {
        self.person_with(name, |_| {})
    }

    /// A person with something special.
    pub fn person_with(&mut self, name: &str, edit: impl FnOnce(&mut PersonRow)) -> &mut Org {
        let mut person = PersonRow {
            display_name: format!("Name of {name}"),
            email: format!("{name}@mail.example.org"),
            locale: "en".into(),
            timezone: "UTC".into(),
            phones: String::new(),
            active: true,
        };
        edit(&mut person);
        let (external, upn) = (format!("p-{name}"), format!("{name}@example.org"));
        let active = person.active.to_string();
        let cells =
            [&external, &upn, &person.display_name, &person.email, &person.locale, &person.timezone, "", "", &person.phones, &active];
        self.people.push(row(&cells));
        self
    }

    /// A group of members, each as `user:ada`, `group:lyon` or `device:ada-phone`. One name may be given again with more.
    pub fn group(&mut self, name: &str, members: &[&str]) -> &mut Org {
        let external = format!("g-{name}");
        let line = row(&[&external, name, ""]);
        if !self.groups.contains(&line) {
            self.groups.push(line);
        }
        for member in members {
            let (kind, member) = member.split_once(':').expect("a member is written as kind:name");
            let prefix = &kind.replace("user", "person")[..1];
            self.members.push(row(&[&external, kind, &format!("{prefix}-{member}")]));
        }
        self
    }

    /// A device without a registration.
    pub fn device(&mut self, name: &str, owner: &str, edit: impl FnOnce(&mut DeviceRow)) -> &mut Org {
        let mut device = DeviceRow {
            platform: "ios".into(),
            ownership: "corporate".into(),
            enrolled: true,
            app_installed: true,
            permission: "granted".into(),
            play_services: true,
            enrolled_by: String::new(),
        };
        edit(&mut device);
        let upn = |name: &str| if name.is_empty() { String::new() } else { format!("{name}@example.org") };
        let (enrolled, app, play) = (device.enrolled.to_string(), device.app_installed.to_string(), device.play_services.to_string());
        let cells = [
            &format!("d-{name}"),
            name,
            &upn(owner),
            &device.platform,
            &device.ownership,
            &enrolled,
            &app,
            &device.permission,
            &play,
            &upn(&device.enrolled_by),
        ];
        self.devices.push(row(&cells));
        self
    }

    /// A registration of a device with a service.
    pub fn registration(&mut self, device: &str, service: &str, token: &str) -> &mut Org {
        self.registrations.push(row(&[&format!("d-{device}"), service, "", "", token, "", "", ""]));
        self
    }

    /// A registration of a device with the sandbox of Apple's service; the fake stands for that too.
    pub fn sandbox_registration(&mut self, device: &str, token: &str) -> &mut Org {
        self.registrations.push(row(&[&format!("d-{device}"), "apns", "", "sandbox", token, "", "", ""]));
        self
    }

    /// A Web Push subscription of a device, with the keys of RFC 8291 §5.
    pub fn subscription(&mut self, device: &str) -> &mut Org {
        let endpoint = format!("https://push.example.net/{device}");
        let key = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
        self.registrations.push(row(&[&format!("d-{device}"), "webpush", "", "", "", &endpoint, key, "BTBZMqHH6r4Tts7J_aSIgg"]));
        self
    }

    /// A browser that can get a push: a device with a subscription of these words (endpoint, p256dh, auth).
    pub fn browser(&mut self, name: &str, owner: &str, subscription: [&str; 3]) -> &mut Org {
        self.device(name, owner, |device| device.platform = "browser".into());
        let [endpoint, p256dh, auth] = subscription;
        self.registrations.push(row(&[&format!("d-{name}"), "webpush", "", "", "", endpoint, p256dh, auth]));
        self
    }

    /// An Android phone that can get a push under [`google_token_of`] its name.
    pub fn android(&mut self, name: &str, owner: &str) -> &mut Org {
        self.device(name, owner, |device| device.platform = "android".into()).registration(name, "fcm", &google_token_of(name))
    }

    /// A Windows PC that can get a push at [`channel_of`] its name.
    pub fn windows(&mut self, name: &str, owner: &str) -> &mut Org {
        self.device(name, owner, |device| device.platform = "windows".into());
        self.registrations.push(row(&[&format!("d-{name}"), "wns", "", "", "", &channel_of(name), "", ""]));
        self
    }

    /// An iPhone that can get a push under [`token_of`] its name.
    pub fn iphone(&mut self, name: &str, owner: &str) -> &mut Org {
        self.device(name, owner, |_| {}).registration(name, "apns", &token_of(name))
    }

    /// So many people, `NAME-0` and so on, each with one iPhone `NAME-0-phone`, in the group `NAME`.
    pub fn crowd(&mut self, name: &str, people: usize) -> &mut Org {
        self.group(name, &[]);
        for n in 0..people {
            let person = format!("{name}-{n}");
            self.person(&person).iphone(&format!("{person}-phone"), &person).group(name, &[&format!("user:{person}")]);
        }
        self
    }

    /// The files that are not empty: name and text.
    pub fn files(&self) -> Vec<(&'static str, String)> {
        let files = [
            ("people.csv", PEOPLE, &self.people),
            ("groups.csv", GROUPS, &self.groups),
            ("members.csv", MEMBERS, &self.members),
            ("devices.csv", DEVICES, &self.devices),
            ("registrations.csv", REGISTRATIONS, &self.registrations),
        ];
        let filled = files.into_iter().filter(|(_, _, rows)| !rows.is_empty());
        filled.map(|(name, header, rows)| (name, format!("{header}\n{}\n", rows.join("\n")))).collect()
    }

    /// Imports it, whatever the answer.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn try_import(&self, api: &Api, query: &str) -> Reply {
        let form = self.files().into_iter().fold(Form::new(), |form, (name, text)| form.part("file", Part::text(text).file_name(name)));
        let request = api.request(Method::POST, &format!("directory/import{query}")).multipart(form);
        Reply::of("POST directory/import".into(), request).await.expect("the server answers")
    }

    /// Imports it; answers the report.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn import(&self, api: &Api) -> Value {
        let report = self.try_import(api, "").await.with(200);
        assert_eq!(report["applied"], true, "{report}");
        report
    }
}
