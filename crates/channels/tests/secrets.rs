//! No address, token, key, password or text is ever in a log line, at any level, in any mishap.

mod stands;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fakes::Mode;
use stands::{Fake, PASSWORD, Says, TITLE, code, eventually, every};
use std::io::Write;
use std::sync::{Arc, Mutex};
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panics while writing").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Lines;

    fn make_writer(&'a self) -> Lines {
        self.clone()
    }
}

#[tokio::test]
async fn a_secret_is_never_in_a_log_line() {
    let lines = Lines::default();
    tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false).with_writer(lines.clone()).init();
    let mut secrets: Vec<String> = vec![TITLE.into(), PASSWORD.into(), STANDARD.encode(PASSWORD)];
    secrets.push(STANDARD.encode(format!("\0carillon\0{PASSWORD}")));
    for stand in every().await {
        for (n, says) in [(1, None), (2, Some(Says::Busy)), (3, Some(Says::Refused)), (4, Some(Says::Gone)), (5, Some(Says::OurFault))] {
            if let Some(says) = says {
                stand.says(n, says);
            }
            stand.tell(n).await;
            secrets.push(stand.address(n));
        }
        let authorization = match &stand.fake {
            Fake::Apple(fake) => Some(fake.arrivals(1)[0].headers["authorization"].clone()),
            Fake::Google(fake) => {
                let account: serde_json::Value = serde_json::from_str(&fake.service_account()).expect("a service account");
                secrets.push(account["private_key"].as_str().expect("a key").lines().nth(1).expect("a line").to_owned());
                Some(fake.arrivals(1)[0].headers["authorization"].clone())
            }
            Fake::Microsoft(fake) => Some(fake.arrivals(1)[0].headers["authorization"].clone()),
            Fake::Push(fake) => {
                let browser = fake.browser.as_ref().expect("these fakes play one");
                secrets.extend([browser.p256dh(), browser.auth()]);
                Some(fake.arrivals(1)[0].headers["authorization"].replace("vapid t=", ""))
            }
            _ => None,
        };
        secrets.extend(authorization.map(|value| value.replace("Bearer ", "").replace("bearer ", "")));
        for mode in [Mode::Reset, Mode::Stall, Mode::Goaway { after: 1, abrupt: true }, Mode::Closed] {
            stand.set_mode(mode);
            stand.tell(6).await;
        }
        eventually(stand.name, async || code(&stand.tell(6).await) == "connection_refused").await;
        secrets.push(stand.address(6));
    }
    let said = String::from_utf8(lines.0.lock().expect("nobody panics while writing").clone()).expect("UTF-8");
    assert!(said.contains("no connection to the provider") && said.contains("no session with the relay"), "failures are said");
    for secret in secrets {
        assert!(secret.len() > 5);
        let found = said.lines().find(|line| line.contains(&secret));
        assert!(found.is_none(), "{secret} is in {found:?}");
    }
}
