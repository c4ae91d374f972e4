//! Mobile alerts: one switch for each push service, for the whole organization.
//!
//! The switches are the engine's own settings (`push.*`), because they hold for every kind of event. What stands here is the
//! documented names by which the admin shell reaches them: whoever adds a service's switch to the shell adds it here. No event
//! type is declared: which events are pushed is said by the sources of those events.

use model::cmdlets::{CmdletDeclaration, Reaches, SettingParameter};
use model::source::{Declaration, Mail, Source, Telling, Words};

const fn switch(name: &'static str, key: &'static str) -> SettingParameter {
    SettingParameter { name, aliases: &[], key, works: true }
}

/// The switches under the names of the documented cmdlet, and Carillon's own two.
const SWITCHES: &[SettingParameter] = &[
    switch("EnableApplePushNotificationService", "push.apns.enabled"),
    switch("EnableMicrosoftPushNotificationService", "push.wns.enabled"),
    switch("EnableGooglePushNotificationService", "push.fcm.enabled"),
    switch("EnableWebPushNotificationService", "push.webpush.enabled"),
];

static DECLARATION: Declaration = Declaration {
    name: "mobile_alert",
    event_types: &[],
    settings: &[],
    objects: &[],
    cmdlets: &[
        CmdletDeclaration {
            name: "Get-CsPushNotificationConfiguration",
            aliases: &[],
            reaches: Reaches::ShowSettings(SWITCHES),
            asks: false,
            help_en: "Shows which push services are on for the organization.",
            help_fr: "Affiche les services de notifications poussées activés pour l’organisation.",
            examples: &["Get-CsPushNotificationConfiguration"],
        },
        CmdletDeclaration {
            name: "Set-CsPushNotificationConfiguration",
            aliases: &[],
            reaches: Reaches::ChangeSettings(SWITCHES),
            asks: false,
            help_en: "Turns push services on or off for the organization. Off holds at once, for everybody; the inbox still has everything.",
            help_fr: "Active ou désactive des services de notifications poussées pour l’organisation. L’arrêt est immédiat et vaut pour tous ; la boîte de réception garde tout.",
            examples: &["Set-CsPushNotificationConfiguration -EnableApplePushNotificationService $false"],
        },
    ],
};

/// The source.
#[derive(Clone, Copy, Debug, Default)]
pub struct MobileAlert;

impl Source for MobileAlert {
    fn declaration(&self) -> &'static Declaration {
        &DECLARATION
    }

    /// Never asked: there is no event of this source. The answer says nothing.
    fn words(&self, telling: &Telling<'_>) -> Words {
        Words {
            event: telling.event,
            kind: "",
            locale: telling.locale,
            private: telling.private,
            title: String::new(),
            body: String::new(),
            mail: Mail::default(),
        }
    }
}
