//! Every section and key of this build, in the order of the default file. Reading, checking and the messages about
//! unknown keys all come from this one table.

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any text.
    Text,
    /// A path; relative ones count from the file's folder.
    Path,
    /// A store, such as `sqlite:carillon.db`.
    Store,
    /// A whole number between two bounds, both allowed.
    Number {
        /// Smallest.
        least: i64,
        /// Largest.
        most: i64,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub name: &'static str,
    pub kind: Kind,
    /// Whether its section is incomplete without it.
    pub required: bool,
    /// A value for messages.
    pub example: &'static str,
}

/// One section; the top level has the empty name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section {
    pub name: &'static str,
    pub keys: &'static [Key],
}

const fn key(name: &'static str, kind: Kind, example: &'static str) -> Key {
    Key { name, kind, required: false, example }
}

const fn needed(name: &'static str, kind: Kind, example: &'static str) -> Key {
    Key { name, kind, required: true, example }
}

/// More connections than this to one provider earn a ban, not speed.
const CONNECTIONS: Kind = Kind::Number { least: 1, most: 256 };

pub(super) const SECTIONS: &[Section] = &[
    Section { name: "", keys: &[key("database", Kind::Store, "sqlite:carillon.db")] },
    Section {
        name: "server",
        keys: &[
            key("listen", Kind::Text, "127.0.0.1:8480"),
            key("data", Kind::Path, "./carillon-data"),
            key("organization", Kind::Text, "Example Org"),
            key("log", Kind::Text, "info"),
            key("public_url", Kind::Text, "https://carillon.example.org"),
            key("connections", Kind::Number { least: 16, most: 1_000_000 }, "60000"),
            key("connections_per_address", Kind::Number { least: 0, most: 1_000_000 }, "1000"),
            key("head_seconds", Kind::Number { least: 1, most: 300 }, "30"),
            // Below the time in which every request is answered.
            key("body_seconds", Kind::Number { least: 1, most: 25 }, "20"),
            key("requests_per_second", Kind::Number { least: 0, most: 1_000_000 }, "1000"),
            key("failures_per_minute", Kind::Number { least: 0, most: 1_000_000 }, "60"),
            key("trusted_proxies", Kind::Text, "127.0.0.0/8, ::1"),
        ],
    },
    Section {
        name: "server.tls",
        keys: &[
            needed("cert_file", Kind::Path, "/etc/carillon/tls/fullchain.pem"),
            needed("key_file", Kind::Path, "/etc/carillon/tls/privkey.pem"),
        ],
    },
    Section { name: "log", keys: &[key("level", Kind::Text, "info"), key("format", Kind::Choice(&["text", "json"]), "text")] },
    Section {
        name: "keys",
        keys: &[
            key("at_rest_file", Kind::Path, "/etc/carillon/at-rest.key"),
            key("vapid_file", Kind::Path, "/etc/carillon/vapid.pem"),
            key("audit_file", Kind::Path, "/etc/carillon/audit.pem"),
        ],
    },
    Section { name: "audit", keys: &[key("syslog", Kind::Text, "tcp://127.0.0.1:601")] },
    Section {
        name: "channels.apns",
        keys: &[
            key("endpoint", Kind::Text, super::build::APPLE),
            key("sandbox_endpoint", Kind::Text, super::build::APPLE_SANDBOX),
            needed("key_file", Kind::Path, "AuthKey_ABC123DEFG.p8"),
            needed("key_id", Kind::Text, "ABC123DEFG"),
            needed("team_id", Kind::Text, "DEF123GHIJ"),
            needed("topic", Kind::Text, "org.example.app"),
            key("ca_file", Kind::Path, "provider-ca.pem"),
            key("connections", CONNECTIONS, "4"),
            key("streams", Kind::Number { least: 1, most: 10_000 }, "1000"),
        ],
    },
    Section {
        name: "channels.webpush",
        keys: &[
            needed("subject", Kind::Text, "mailto:operations@example.org"),
            key("allow_private_endpoints", Kind::Flag, "false"),
            key("ca_file", Kind::Path, "push-ca.pem"),
        ],
    },
    Section {
        name: "channels.fcm",
        keys: &[
            key("endpoint", Kind::Text, super::build::GOOGLE),
            needed("service_account_file", Kind::Path, "service-account.json"),
            key("ca_file", Kind::Path, "provider-ca.pem"),
            key("connections", CONNECTIONS, "2"),
            key("streams", Kind::Number { least: 1, most: 10_000 }, "1000"),
        ],
    },
    Section {
        name: "channels.wns",
        keys: &[
            key("endpoint_override", Kind::Text, "https://wns-gateway.example.org"),
            needed("token_endpoint", Kind::Text, "https://login.microsoftonline.com/TENANT/oauth2/v2.0/token"),
            needed("client_id", Kind::Text, "00000000-0000-0000-0000-000000000000"),
            needed("secret_file", Kind::Path, "wns-secret"),
            key("ca_file", Kind::Path, "provider-ca.pem"),
            key("connections", CONNECTIONS, "32"),
        ],
    },
    Section {
        name: "channels.email",
        keys: &[
            needed("host", Kind::Text, "relay.example.org"),
            key("port", Kind::Number { least: 1, most: 65_535 }, "587"),
            key("tls", Kind::Choice(&["none", "starttls", "implicit"]), "starttls"),
            key("username", Kind::Text, "carillon"),
            key("password_file", Kind::Path, "relay-password"),
            needed("from", Kind::Text, "Example Org <notifications@example.org>"),
            key("ca_file", Kind::Path, "relay-ca.pem"),
            key("connections", CONNECTIONS, "4"),
            key("per_second", Kind::Number { least: 0, most: 1_000_000 }, "0"),
            key("dkim_domain", Kind::Text, "example.org"),
            key("dkim_selector", Kind::Text, "carillon1"),
            key("dkim_key_file", Kind::Path, "dkim.pem"),
        ],
    },
    Section { name: "integrations.graph", keys: &[key("enabled", Kind::Flag, "true")] },
    Section {
        name: "integrations.smtp_in",
        keys: &[
            needed("listen", Kind::Text, "127.0.0.1:2525"),
            key("protocol", Kind::Choice(&["smtp", "lmtp"]), "smtp"),
            key("dial_plan", Kind::Text, "Lyon"),
            key("allowed_networks", Kind::Text, "127.0.0.0/8, ::1"),
            key("max_bytes", Kind::Number { least: 65_536, most: 134_217_728 }, "33554432"),
        ],
    },
];

/// Sections of which there may be several, each written as `[[name]]`. Variables of the environment cannot say which one they
/// mean, and set nothing in them.
pub(super) const LISTS: &[Section] = &[Section {
    name: "integrations.asterisk",
    keys: &[
        needed("name", Kind::Text, "lyon"),
        needed("dial_plan", Kind::Text, "Lyon"),
        needed("host", Kind::Text, "pbx.example.org"),
        key("port", Kind::Number { least: 1, most: 65_535 }, "5039"),
        needed("username", Kind::Text, "carillon"),
        needed("secret_file", Kind::Path, "asterisk-secret"),
        key("tls", Kind::Flag, "true"),
        key("ca_file", Kind::Path, "asterisk-ca.pem"),
        key("spool_dir", Kind::Path, "/var/spool/asterisk/voicemail"),
        key("cdr_file", Kind::Path, "/var/log/asterisk/cdr-csv/Master.csv"),
    ],
}];

/// Families of sections of which a build has some; those that it lacks are accepted with a warning.
pub(super) const FAMILIES: &[&str] = &["channels", "integrations"];

pub(super) fn section(name: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|s| s.name == name)
}

/// The section of which there may be several with this name.
pub(super) fn list(name: &str) -> Option<&'static Section> {
    LISTS.iter().find(|s| s.name == name)
}

/// `[name]` or `[[name]]`, or words for the top level.
pub(super) fn title(section: &str) -> String {
    match section {
        "" => "the top level".into(),
        several if list(several).is_some() => format!("[[{several}]]"),
        one => format!("[{one}]"),
    }
}

/// Names of what may stand at the top level.
pub(super) fn top_level() -> Vec<String> {
    let keys = SECTIONS[0].keys.iter().map(|k| k.name.to_owned());
    let sections = SECTIONS.iter().skip(1).chain(LISTS).map(|s| title(s.name));
    keys.chain(sections).collect()
}

/// The candidate nearest to `word`, when it is near enough to be a slip: at most a third of the letters differ.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let measured = candidates.into_iter().map(|c| (distance(&word.to_lowercase(), c), c));
    measured.min_by_key(|(d, _)| *d).filter(|(d, c)| *d <= c.chars().count().max(3) / 3).map(|(_, c)| c)
}

/// Levenshtein's distance: letters to insert, remove or replace.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
