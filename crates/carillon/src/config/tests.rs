//! Proofs about the configuration: the default file is complete and true, wrong values get exact messages.

use super::*;
use std::collections::BTreeSet;

fn load(text: &str) -> Result<Config, Faults> {
    load_with(text, &[])
}

fn load_with(text: &str, environment: &[(&str, &str)]) -> Result<Config, Faults> {
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    let values = read::layers(Some((Path::new("c.toml"), text)), environment, &Overrides::default());
    build::config(values)
}

/// The default file with every setting switched on: a `#` before a letter or a bracket is taken away.
fn uncommented() -> String {
    let on = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => rest.to_owned(),
        _ => line.to_owned(),
    };
    DEFAULT_TEXT.lines().map(on).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_default_file_says_what_the_code_does() {
    let nothing = Config::load(None, [], &Overrides::default()).expect("no file is a configuration");
    assert_eq!(load(DEFAULT_TEXT), Ok(nothing.clone()));
    assert_eq!(nothing.server.listen.to_string(), "127.0.0.1:8480");
    assert_eq!(nothing.database.to_string(), "sqlite:./carillon-data/carillon.db");
    assert_eq!(nothing.keys.at_rest_file, Path::new("./carillon-data/keys/at-rest.key"));
    assert_eq!(nothing.channels, Channels::default());
    assert_eq!(nothing.server.limits, web::Limits::default());
}

#[test]
fn what_strangers_may_take_comes_from_the_file() {
    let text = "[server]\nconnections = 99\nconnections_per_address = 0\nhead_seconds = 2\nbody_seconds = 3\n\
                requests_per_second = 4\nfailures_per_minute = 5\ntrusted_proxies = '10.0.0.0/8, 192.0.2.1'";
    let limits = load(text).expect("a configuration").server.limits;
    assert_eq!((limits.connections, limits.connections_per_address), (99, 0));
    assert_eq!((limits.head.as_secs(), limits.body.as_secs()), (2, 3));
    assert_eq!((limits.requests_per_second, limits.failures_per_minute), (4, 5));
    assert_eq!(limits.trusted, ["10.0.0.0/8", "192.0.2.1"].map(|text| text.parse().expect("a network")));
    assert_eq!(load("[server]\ntrusted_proxies = 'none'").expect("a configuration").server.limits.trusted, []);
}

#[test]
fn the_older_place_of_the_logs_level_is_read_and_the_newer_one_wins() {
    let level = |text: &str| load(text).expect("a configuration").log.level;
    assert_eq!(level(""), "info");
    assert_eq!(level("[server]\nlog='warn'"), "warn");
    assert_eq!(level("[server]\nlog='warn'\n[log]\nlevel='store=trace'"), "store=trace");
    let told = Overrides { log_level: Some("error".into()), log_format: Some(LogFormat::Json), ..Overrides::default() };
    let config = Config::load(None, [("CARILLON__LOG__LEVEL".to_owned(), "debug".to_owned())], &told).expect("a configuration");
    assert_eq!(config.log, Log { level: "error".into(), format: Some(LogFormat::Json) });
}

#[test]
fn the_default_file_names_every_key_and_its_channel_defaults_are_the_codes() {
    let text = uncommented();
    let table: toml::Table = text.parse().expect("the default file, switched on, is TOML");
    for section in schema::SECTIONS {
        let mut at = &table;
        for part in section.name.split('.').filter(|p| !p.is_empty()) {
            at = at[part].as_table().expect("a section");
        }
        let nested = |value: &toml::Value| value.is_table() || value.as_array().is_some_and(|all| all.iter().any(toml::Value::is_table));
        let written: BTreeSet<&str> = at.iter().filter(|(_, v)| !nested(v)).map(|(k, _)| k.as_str()).collect();
        assert_eq!(written, section.keys.iter().map(|k| k.name).collect(), "{}", section.name);
    }
    for section in schema::LISTS {
        let (family, name) = section.name.split_once('.').expect("a member of a family");
        let written: Vec<&toml::Table> = table[family][name].as_array().expect("a list").iter().filter_map(toml::Value::as_table).collect();
        let [written] = written.as_slice() else { panic!("one example of {}", section.name) };
        let written: BTreeSet<&str> = written.keys().map(String::as_str).collect();
        assert_eq!(written, section.keys.iter().map(|k| k.name).collect(), "{}", section.name);
    }
    let all = load(&text).expect("the default file, switched on, is a configuration");
    assert_eq!(all.warnings, Vec::<String>::new());
    let least = load(
        "[channels.apns]\nkey_file='k'\nkey_id='K'\nteam_id='T'\ntopic='t'\n[channels.email]\nhost='h'\nfrom='a@example.org'\n\
         [channels.fcm]\nservice_account_file='s'\n[channels.wns]\ntoken_endpoint='https://l/t'\nclient_id='c'\nsecret_file='s'",
    )
    .expect("the least that a channel needs");
    let (all, least) = (all.channels, least.channels);
    let (a, b) = (all.apns.expect("apns"), least.apns.expect("apns"));
    assert_eq!((a.endpoint, a.sandbox_endpoint, a.connections, a.streams), (b.endpoint, b.sandbox_endpoint, b.connections, b.streams));
    let (a, b) = (all.fcm.expect("fcm"), least.fcm.expect("fcm"));
    assert_eq!((a.endpoint, a.connections, a.streams), (b.endpoint, b.connections, b.streams));
    assert_eq!(all.wns.expect("wns").connections, least.wns.expect("wns").connections);
    let (a, b) = (all.email.expect("email"), least.email.expect("email"));
    assert_eq!((a.port, a.tls, a.connections, a.per_second), (b.port, b.tls, b.connections, b.per_second));
}

#[test]
fn every_wrong_value_has_its_message() {
    let store = "use \"sqlite:PATH\" or \"postgres://user:password@host/database\", or leave the key out for a file in the data folder";
    let apns = "key_file='k'\nkey_id='K'\nteam_id='T'\ntopic='t'\n";
    let table: Vec<(String, String)> = vec![
        ("listen = 1".into(), "c.toml: there is no key or section \"listen\". At the top level stand: database, [server], [server.tls], [log], [keys], [audit], [channels.apns], [channels.webpush], [channels.fcm], [channels.wns], [channels.email], [integrations.graph], [integrations.smtp_in], [[integrations.asterisk]]".into()),
        ("[sever]".into(), "c.toml: there is no key or section \"sever\"; did you mean server? At the top level stand: database, [server], [server.tls], [log], [keys], [audit], [channels.apns], [channels.webpush], [channels.fcm], [channels.wns], [channels.email], [integrations.graph], [integrations.smtp_in], [[integrations.asterisk]]".into()),
        ("[server]\nlisten = 'here'".into(), "c.toml: [server] listen: \"here\" is not an address and port such as 127.0.0.1:8480".into()),
        ("[server]\nlisten = 8480".into(), "c.toml: [server] listen: takes text such as \"127.0.0.1:8480\", not 8480".into()),
        ("[server]\nlissten = ''".into(), "c.toml: [server] has no key \"lissten\"; did you mean listen? It knows: listen, data, organization, log, public_url, connections, connections_per_address, head_seconds, body_seconds, requests_per_second, failures_per_minute, trusted_proxies".into()),
        ("[server]\ncolour = 'red'".into(), "c.toml: [server] has no key \"colour\". It knows: listen, data, organization, log, public_url, connections, connections_per_address, head_seconds, body_seconds, requests_per_second, failures_per_minute, trusted_proxies".into()),
        ("[server]\npublic_url = 'carillon.example.org'".into(), "c.toml: [server] public_url: \"carillon.example.org\" is not a URL such as https://carillon.example.org".into()),
        ("[server]\norganization = ' '".into(), "c.toml: [server] organization: takes text such as \"Example Org\", not \" \"".into()),
        ("[server]\nconnections = 5".into(), "c.toml: [server] connections: takes a whole number from 16 to 1000000, not 5".into()),
        ("[server]\ntrusted_proxies = 'nginx'".into(), "c.toml: [server] trusted_proxies: \"nginx\" is not an address such as 192.0.2.1, or a network such as 10.0.0.0/8; separate several with commas, or write none".into()),
        ("database = 'postgres://u:secret@h:x/d'".into(), "c.toml: database: the address of PostgreSQL cannot be read: invalid value for option `port`; write postgres://user:password@host:5432/database".into()),
        ("database = 'postgres://u:secret@h/d?sslmode=allow'".into(), "c.toml: database: sslmode=allow is not one of disable, require, verify-full".into()),
        ("database = 'mysql:x'".into(), format!("c.toml: database: \"mysql\" is not a store; {store}")),
        ("database = 'sqlite:'".into(), format!("c.toml: database: \"sqlite\" is not a store; {store}")),
        (
            "[audit]\nsyslog = 'tls://logs:6514'".into(),
            "c.toml: [audit] syslog: \"tls://logs:6514\" is not tcp:// or udp:// with a host and a port, such as tcp://127.0.0.1:601".into(),
        ),
        ("[keys]\nat_rest = 'x'".into(), "c.toml: [keys] has no key \"at_rest\". It knows: at_rest_file, vapid_file, audit_file".into()),
        (format!("[channels.apns]\n{apns}endpoint = 'ftp://x'"), "c.toml: [channels.apns] endpoint: \"ftp://x\" is not a URL such as https://api.push.apple.com".into()),
        (format!("[channels.apns]\n{apns}endpoint = 'http://apple.example.org'"), "c.toml: [channels.apns] endpoint: \"http://apple.example.org\" would send tokens in clear; use https (http is for this machine only)".into()),
        ("[channels.email]\nhost='h'\nfrom='a@b.org'\ntls='none'\nusername='u'\npassword_file='p'".into(), "c.toml: [channels.email] tls = \"none\" would send the password readable to everybody on the way; use starttls or implicit".into()),
        (format!("[channels.apns]\n{apns}streams = 0"), "c.toml: [channels.apns] streams: takes a whole number from 1 to 10000, not 0".into()),
        ("[channels.apns]\nkey_file='k'\nkey_id='K'\ntopic='t'".into(), "c.toml: [channels.apns] team_id is missing; add team_id = \"DEF123GHIJ\"".into()),
        ("[channels.apns]\nkey_file='k'\nkey_id='K-1'\nteam_id='T'\ntopic='t'".into(), "c.toml: [channels.apns] key_id: \"K-1\" is not an id of letters and digits, as Apple's developer account shows it".into()),
        ("[channels.apns]\nkey_file='k'\nkey_id='K'\nteam_id='T'\ntopic='t t'".into(), "c.toml: [channels.apns] topic: \"t t\" is not a bundle id such as org.example.app".into()),
        ("[channels.webpush]\nca_file='c'".into(), "c.toml: [channels.webpush] subject is missing; add subject = \"mailto:operations@example.org\"".into()),
        ("[channels.webpush]\nsubject='ops@example.org'".into(), "c.toml: [channels.webpush] subject: \"ops@example.org\" is not a contact such as mailto:operations@example.org or https://example.org/contact".into()),
        ("[channels.webpush]\nsubject='mailto:a@b.org'\nallow_private_endpoints='yes'".into(), "c.toml: [channels.webpush] allow_private_endpoints: takes true or false, not \"yes\"".into()),
        ("[channels.email]\nhost='h'".into(), "c.toml: [channels.email] from is missing; add from = \"Example Org <notifications@example.org>\"".into()),
        ("[channels.email]\nhost='h'\nfrom='me'".into(), "c.toml: [channels.email] from: \"me\" is not a sender such as notifications@example.org or Example Org <notifications@example.org>".into()),
        ("[channels.email]\nhost='h'\nfrom='a@b.org'\ntls='ssl'".into(), "c.toml: [channels.email] tls: takes one of none, starttls, implicit, not \"ssl\"".into()),
        ("[channels.email]\nhost='h'\nfrom='a@b.org'\nport=70000".into(), "c.toml: [channels.email] port: takes a whole number from 1 to 65535, not 70000".into()),
        ("[channels.email]\nhost='h'\nfrom='a@b.org'\nusername='u'".into(), "c.toml: [channels.email] password_file is missing; username and password_file go together".into()),
        ("[channels.email]\nhost='h'\nfrom='a@b.org'\ndkim_domain='b.org'\ndkim_key_file='k'".into(), "c.toml: [channels.email] dkim_selector is missing; dkim_domain, dkim_selector and dkim_key_file go together".into()),
        ("[channels.email]\nhost='h'\nfrom='a@b.org'\ndkim_domain='b'\ndkim_selector='s'\ndkim_key_file='k'".into(), "c.toml: [channels.email] dkim_domain: \"b\" is no domain; write the domain behind the sender's @, such as example.org".into()),
        ("[channels.email]\nhost='h'\nfrom='a@b.org'\ndkim_domain='b.org'\ndkim_selector='s 1'\ndkim_key_file='k'".into(), "c.toml: [channels.email] dkim_selector: \"s 1\" is no name that DNS takes; write letters, digits and hyphens, such as carillon1".into()),
        ("[channels.fcm]".into(), "c.toml: [channels.fcm] service_account_file is missing; add service_account_file = \"service-account.json\"".into()),
        ("[channels.fcm]\nservice_account_file='s'\nendpoint='http://fcm.example.org'".into(), "c.toml: [channels.fcm] endpoint: \"http://fcm.example.org\" would send tokens in clear; use https (http is for this machine only)".into()),
        ("[channels.wns]\ntoken_endpoint='https://login.microsoftonline.com/t/oauth2/v2.0/token'\nclient_id='c'".into(), "c.toml: [channels.wns] secret_file is missing; add secret_file = \"wns-secret\"".into()),
        ("[channels.wns]\ntoken_endpoint='login'\nclient_id='c'\nsecret_file='s'".into(), "c.toml: [channels.wns] token_endpoint: \"login\" is not a URL such as https://login.microsoftonline.com/TENANT/oauth2/v2.0/token".into()),
        ("channels.sms = 1".into(), "c.toml: channels.sms is not a section; write [channels.sms] and its keys below".into()),
        ("[[channels.apns]]\n".into(), "c.toml: channels.apns is one section; write [channels.apns] and its keys below".into()),
        ("[server.tls]\ncert_file='c'".into(), "c.toml: [server.tls] key_file is missing; add key_file = \"/etc/carillon/tls/privkey.pem\"".into()),
        ("[server.tls]\ncert_file='c'\nkey_file='k'\nca='x'".into(), "c.toml: [server.tls] has no key \"ca\". It knows: cert_file, key_file".into()),
        ("[log]\nformat='xml'".into(), "c.toml: [log] format: takes one of text, json, not \"xml\"".into()),
        ("[server\n".into(), "c.toml, line 1: not TOML: ".into()),
    ];
    for (text, message) in table {
        let Faults(faults) = load(&text).expect_err(&text);
        assert_eq!(faults.len(), 1, "{text}: {faults:?}");
        let exact = faults[0] == message || (message.ends_with("TOML: ") && faults[0].starts_with(&message));
        assert!(exact, "{text}\n  says     {}\n  expected {message}", faults[0]);
    }
}

#[test]
fn everything_wrong_is_said_at_once() {
    let Faults(faults) = load("[server]\nlisten='x'\nlog='='\n[channels.apns]\n[channels.email]\nport=0").expect_err("much is wrong");
    assert_eq!(faults.len(), 2 + 4 + 3, "{faults:#?}");
}

#[test]
fn sections_that_this_build_lacks_are_warned_about_by_name() {
    let config =
        load("[channels.sms]\nkey_file='x'\n[integrations.ntfy]\n[[integrations.freeswitch]]\nhost='a'\n[[integrations.freeswitch]]");
    let warnings = config.expect("accepted").warnings;
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings.contains(&"c.toml: [channels.sms] is accepted, but this build has no channels.sms; it does nothing".to_owned()));
    let environment = [("CARILLON__CHANNELS__SMS__SECRET", "x"), ("CARILLON__CHANNELS__SMS__ID", "y")];
    assert_eq!(load_with("", &environment).expect("accepted").warnings.len(), 1);
}

#[test]
fn an_integration_is_on_until_it_is_turned_off() {
    let graph = |text: &str| load(text).expect("a configuration").integrations.graph;
    assert!(graph("") && graph("[integrations.graph]"));
    assert!(!graph("[integrations.graph]\nenabled = false"));
    let off = load_with("", &[("CARILLON__INTEGRATIONS__GRAPH__ENABLED", "false")]);
    assert!(!off.expect("a configuration").integrations.graph);
}

/// The least that an Asterisk needs, with these lines more.
fn asterisk(name: &str, more: &str) -> String {
    format!("[[integrations.asterisk]]\nname='{name}'\ndial_plan='Lyon'\nhost='pbx'\nusername='carillon'\nsecret_file='s'\n{more}\n")
}

#[test]
fn there_may_be_several_asterisks_each_with_a_name() {
    let text = asterisk("lyon", "") + &asterisk("paris", "tls=true\nca_file='ca.pem'\nspool_dir='/spool'") + &asterisk("lab", "port=7");
    let values = read::layers(Some((Path::new("/etc/carillon/c.toml"), text.as_str())), [], &Overrides::default());
    let found = build::config(values).expect("a configuration").integrations.asterisk;
    let [lyon, paris, lab] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((lyon.name.as_str(), lyon.port, lyon.tls, &lyon.spool_dir), ("lyon", 5038, false, &None));
    assert_eq!(lyon.secret_file, Path::new("/etc/carillon/s"), "paths count from the folder of the file");
    assert_eq!((paris.port, paris.tls, paris.ca_file.as_deref()), (5039, true, Some(Path::new("/etc/carillon/ca.pem"))));
    assert_eq!((paris.spool_dir.as_deref(), lab.port), (Some(Path::new("/spool")), 7));
    assert_eq!(load("").expect("a configuration").integrations.asterisk, []);
}

#[test]
fn what_is_wrong_with_one_of_several_names_which_one() {
    let one = "[[integrations.asterisk]] number 1";
    let table = [
        (
            asterisk("lyon", "usernam=1"),
            format!(
                "c.toml: {one} has no key \"usernam\"; did you mean username? It knows: name, dial_plan, host, port, username, secret_file, tls, ca_file, spool_dir, cdr_file"
            ),
        ),
        (asterisk("lyon", "port=0"), format!("c.toml: {one} port: takes a whole number from 1 to 65535, not 0")),
        (asterisk("lyon", "tls='yes'"), format!("c.toml: {one} tls: takes true or false, not \"yes\"")),
        (
            asterisk("lyon", "ca_file='ca.pem'"),
            format!("c.toml: {one} ca_file: says whom TLS trusts, but there is no TLS; add tls = true, or leave it out"),
        ),
        (asterisk("in Lyon", ""), format!("c.toml: {one} name: \"in Lyon\" is not a name of 1 to 40 letters, digits, - _ or .")),
        (asterisk("lyon", "").replace("dial_plan='Lyon'\n", ""), format!("c.toml: {one} dial_plan is missing; add dial_plan = \"Lyon\"")),
        (
            asterisk("lyon", "").replace("'pbx'", "'pbx:5038'"),
            format!(
                "c.toml: {one} host: \"pbx:5038\" is not a host name or an address such as pbx.example.org or 192.0.2.7; port has a key of its own"
            ),
        ),
        (asterisk("lyon", "").replace("'pbx'", "7"), format!("c.toml: {one} host: takes text such as \"pbx.example.org\", not 7")),
        (
            asterisk("lyon", "") + &asterisk("Lyon", ""),
            "c.toml: [[integrations.asterisk]] number 2 name: \"Lyon\" is the name of number 1, too; give each a name of its own"
                .to_owned(),
        ),
        (
            asterisk("lyon", "").replace("[[", "[").replace("]]", "]"),
            "c.toml: there may be several of integrations.asterisk; write [[integrations.asterisk]] above the keys of each".to_owned(),
        ),
    ];
    for (text, message) in table {
        let Faults(faults) = load(&text).expect_err(&text);
        assert_eq!(faults, [message], "{text}");
    }
    let Faults(faults) = load_with("", &[("CARILLON__INTEGRATIONS__ASTERISK__HOST", "pbx")]).expect_err("a fault");
    let message = "CARILLON__INTEGRATIONS__ASTERISK__HOST: there may be several of [[integrations.asterisk]], and a variable cannot say which; write it in the file";
    assert_eq!(faults, [message]);
}

#[test]
fn the_files_of_an_asterisk_are_looked_into() {
    let folder = std::env::temp_dir().join(format!("carillon-config-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("s"), "\n").expect("a file");
    std::fs::write(
        folder.join("c.toml"),
        asterisk("lyon", "") + &asterisk("paris", "tls=true\nca_file='none'\nspool_dir='s'\ncdr_file='.'"),
    )
    .expect("a file");
    let load = || Config::load(Some(&folder.join("c.toml")), [], &Overrides::default());
    let Faults(faults) = load().expect_err("five files are wrong");
    let ends = [
        "number 1 secret_file: DIR/s has an empty first line; write the secret there",
        "number 2 secret_file: DIR/s has an empty first line; write the secret there",
        "number 2 ca_file: DIR/none does not exist",
        "number 2 spool_dir: DIR/s is a file; name a folder",
        "number 2 cdr_file: DIR is a folder; name the file Master.csv in it",
    ];
    let ends = ends.map(|end| end.replace("DIR", &folder.display().to_string()));
    assert_eq!(faults.len(), ends.len(), "{faults:#?}");
    assert!(faults.iter().zip(&ends).all(|(fault, end)| fault.ends_with(end)), "{faults:#?}");
    std::fs::write(folder.join("s"), "secret\n").expect("a file");
    std::fs::write(folder.join("c.toml"), asterisk("lyon", "spool_dir='.'\ncdr_file='Master.csv'")).expect("a file");
    assert_eq!(load().expect("a configuration").integrations.asterisk.len(), 1);
    std::fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn the_environment_wins_over_the_file_and_options_win_over_both() {
    let file = "database='sqlite:a.db'\n[server]\nlisten='127.0.0.1:1'\n[channels.apns]\nkey_file='k'\nkey_id='K'\nteam_id='T'\ntopic='t'";
    let environment = [
        ("CARILLON__SERVER__LISTEN", "127.0.0.1:2"),
        ("CARILLON__DATABASE", "sqlite:/b.db"),
        ("CARILLON__CHANNELS__APNS__ENDPOINT", "https://localhost:7/"),
        ("CARILLON__CHANNELS__APNS__STREAMS", "7"),
        ("CARILLON__SERVER__LOG", ""),
        ("CARILLON__CHANNELS__WEBPUSH__SUBJECT", "mailto:ops@example.org"),
        ("CARILLON__CHANNELS__WEBPUSH__ALLOW_PRIVATE_ENDPOINTS", "true"),
        ("CARILLON_TOKEN", "not a setting"),
    ];
    let config = load_with(file, &environment).expect("a configuration");
    assert_eq!((config.server.listen.port(), config.database.to_string()), (2, "sqlite:/b.db".to_owned()));
    assert!(config.channels.webpush.expect("webpush").allow_private_endpoints);
    let apns = config.channels.apns.expect("apns");
    assert_eq!((apns.endpoint.as_str(), apns.streams), ("https://localhost:7", 7));
    assert_eq!(apns.sandbox_endpoint, "https://localhost:7", "sandbox tokens follow a changed endpoint");
    let overrides = Overrides { data: Some("/d".into()), listen: "127.0.0.1:3".parse().ok(), ..Overrides::default() };
    let environment = environment.map(|(k, v)| (k.to_owned(), v.to_owned()));
    let values = read::layers(Some((Path::new("c.toml"), file)), environment, &overrides);
    let config = build::config(values).expect("a configuration");
    assert_eq!((config.server.listen.port(), config.server.data.as_path()), (3, Path::new("/d")));
}

#[test]
fn wrong_variables_are_named_as_they_were_written() {
    let table = [
        (
            "CARILLON__SERVER__PORT",
            "1",
            "CARILLON__SERVER__PORT: [server] has no key \"port\". It knows: listen, data, organization, log, public_url, connections, connections_per_address, head_seconds, body_seconds, requests_per_second, failures_per_minute, trusted_proxies",
        ),
        ("CARILLON__CHANNELS__EMAIL__PORT", "smtp", "CARILLON__CHANNELS__EMAIL__PORT: takes a whole number from 1 to 65535, not \"smtp\""),
        (
            "CARILLON__CHANNELS__WEBPUSH__ALLOW_PRIVATE_ENDPOINTS",
            "1",
            "CARILLON__CHANNELS__WEBPUSH__ALLOW_PRIVATE_ENDPOINTS: takes true or false, not \"1\"",
        ),
        ("CARILLON__SERVER__LISTEN", "x", "CARILLON__SERVER__LISTEN: \"x\" is not an address and port such as 127.0.0.1:8480"),
        (
            "CARILLON__LISTEN",
            "x",
            "CARILLON__LISTEN: there is no key or section \"listen\". At the top level stand: database, [server], [server.tls], [log], [keys], [audit], [channels.apns], [channels.webpush], [channels.fcm], [channels.wns], [channels.email], [integrations.graph], [integrations.smtp_in], [[integrations.asterisk]]",
        ),
    ];
    for (name, value, message) in table {
        let Faults(faults) = load_with("", &[(name, value)]).expect_err(name);
        assert!(faults.contains(&message.to_owned()), "{name}: {faults:?}");
    }
}

#[test]
fn relative_paths_count_from_the_folder_of_the_file() {
    let text = "database='sqlite:x.db'\n[server]\ndata='./d'\n[keys]\nat_rest_file='/k'";
    let values = read::layers(Some((Path::new("/etc/carillon/c.toml"), text)), [], &Overrides::default());
    let config = build::config(values).expect("a configuration");
    assert_eq!(config.server.data, Path::new("/etc/carillon/d"));
    assert_eq!(
        (config.database.to_string(), config.keys.at_rest_file.as_path()),
        ("sqlite:/etc/carillon/x.db".to_owned(), Path::new("/k"))
    );
}

#[test]
fn files_that_are_named_are_looked_into() {
    let folder = std::env::temp_dir().join(format!("carillon-config-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("a file");
    write("ca.pem", "no certificate");
    write("password", "\n");
    write("k.p8", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    let text = "[channels.apns]\nkey_file='k.p8'\nkey_id='K'\nteam_id='T'\nca_file='none.pem'\n\
                [channels.email]\nhost='h'\nfrom='a@b.org'\nusername='u'\npassword_file='password'\nca_file='ca.pem'";
    write("c.toml", text);
    let load = || Config::load(Some(&folder.join("c.toml")), [], &Overrides::default());
    let Faults(faults) = load().expect_err("four files are wrong, and a key is missing");
    assert_eq!(faults.len(), 5, "{faults:#?}");
    assert!(
        faults[0].ends_with("k.p8 holds no P-256 key in PKCS #8; use the .p8 file that Apple's developer account gave"),
        "{}",
        faults[0]
    );
    assert!(faults[1].ends_with("none.pem does not exist"), "{}", faults[1]);
    let random = aws_lc_rs::rand::SystemRandom::new();
    let der = aws_lc_rs::signature::EcdsaKeyPair::generate_pkcs8(&aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING, &random);
    let der = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der.expect("a key").as_ref());
    write("k.p8", &format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n"));
    write("c.toml", "[channels.apns]\nkey_file='k.p8'\nkey_id='K'\nteam_id='T'\ntopic='t'");
    assert!(load().expect("a configuration").channels.apns.is_some());
    let signed = "[channels.email]\nhost='h'\nfrom='a@b.org'\ndkim_domain='b.org'\ndkim_selector='s'\ndkim_key_file='k.p8'";
    write("c.toml", signed);
    let Faults(faults) = load().expect_err("a key that cannot sign mail");
    assert!(faults.len() == 1 && faults[0].contains("k.p8 holds a key that is neither RSA of 2,048"), "{faults:?}");
    let der = aws_lc_rs::signature::Ed25519KeyPair::generate_pkcs8v1(&random).expect("a key");
    let der = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der.as_ref());
    write("k.p8", &format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n"));
    assert!(load().expect("a configuration").channels.email.expect("email").dkim.is_some());
    std::fs::remove_dir_all(&folder).expect("removed");
}
