//! A real post office on loopback ports: Postfix takes mails in and hands them to Dovecot by LMTP, which keeps them; Python
//! reads them over IMAP, as a mail program does. Both have folders of their own and touch nothing of the machine's.

use crate::keeper::Keeper;
use crate::letter::Letter;
use crate::python::python;
use crate::{Folder, SOON, eventually, free_port};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::Command;

/// How much of each log a failed story shows, in lines.
const LOG_LINES: usize = 15;
/// Password of every mailbox.
const PASSWORD: &str = "of-the-story";

/// Postfix's processes, none of them in a changed root.
const SERVICES: &str = "pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp      unix  - - n - - smtp
relay     unix  - - n - - smtp
showq     unix  n - n - - showq
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
lmtp      unix  - - n - - lmtp
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
";

/// Reads a mailbox and prints its mails.
const READER: &str = r"
import base64, imaplib, json, sys
asked = json.load(sys.stdin)
box = imaplib.IMAP4('127.0.0.1', asked['port'])
box.login(asked['user'], asked['password'])
box.select('INBOX', readonly=True)
numbers = box.search(None, 'ALL')[1][0].split()
print(json.dumps([base64.b64encode(box.fetch(number, '(BODY.PEEK[])')[1][0][1]).decode() for number in numbers]))
box.logout()
";

/// A running post office.
#[derive(Debug)]
pub struct PostOffice {
    // In this order: servers end before their folder goes.
    _postfix: Keeper,
    _dovecot: Keeper,
    folder: Folder,
    smtp: u16,
    imap: u16,
}

impl PostOffice {
    /// Opens one; `None`, said aloud, where it cannot be had.
    ///
    /// # Panics
    /// When the servers are there and do not start.
    pub async fn open(what: &str) -> Option<PostOffice> {
        let there = |path: &str| Path::new(path).exists();
        if !(there("/usr/sbin/postfix") && there("/usr/lib/dovecot/lmtp") && there("/usr/lib/dovecot/imap")) {
            println!("SKIPPED: {what} (it takes the Debian packages postfix, dovecot-lmtpd and dovecot-imapd)");
            return None;
        }
        let folder = Folder::fresh();
        if folder.path().metadata().map(|about| about.uid()).ok() != Some(0) {
            println!("SKIPPED: {what} (Postfix is started by root alone)");
            return None;
        }
        let (smtp, lmtp, imap) = (free_port(), free_port(), free_port());
        let dovecot = dovecot(&folder, lmtp, imap);
        let postfix = postfix(&folder, smtp, lmtp);
        let office = PostOffice { _postfix: postfix, _dovecot: dovecot, folder, smtp, imap };
        for port in [smtp, lmtp, imap] {
            eventually("the post office to open", SOON, async || office.greets(port)).await;
        }
        Some(office)
    }

    /// Lets it hand mails for `voicemail.example.org` to a server's own LMTP port.
    ///
    /// # Panics
    /// When Postfix does not take it.
    pub fn hands_voice_mail_to(&self, port: u16) {
        let main = self.folder.path().join("postfix/main.cf");
        let before = std::fs::read_to_string(&main).expect("our own file");
        let more = format!(
            "relay_domains = voicemail.example.org\ntransport_maps = inline:{{voicemail.example.org=lmtp:inet:127.0.0.1:{port}}}\n"
        );
        std::fs::write(main, before + &more).expect("our own file");
        self.postfix(&["postfix", "-c"], &["reload"]);
    }

    /// Lets it try again what waits.
    ///
    /// # Panics
    /// When Postfix does not take it.
    pub fn tries_again(&self) {
        self.postfix(&["postqueue", "-c"], &["-f"]);
    }

    fn postfix(&self, before: &[&str], after: &[&str]) {
        let mut command = Command::new(before[0]);
        command.args(&before[1..]).arg(self.folder.path().join("postfix")).args(after);
        let done = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        assert!(done.status.success(), "{command:?}: {done:?}");
    }

    /// Where mails are taken in: without TLS, and without a password.
    pub fn port(&self) -> u16 {
        self.smtp
    }

    /// Sections for a server that sends its mails here; `more` are further lines of its mail section.
    pub fn sections(&self, more: &str) -> String {
        format!(
            "[server]\norganization = \"Example Org\"\n\n[channels.email]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n\
             from = \"Example Org <notifications@example.org>\"\n{more}\n",
            self.smtp
        )
    }

    fn greets(&self, port: u16) -> Option<()> {
        use std::io::Read;
        let mut socket = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
        socket.set_read_timeout(Some(SOON)).ok()?;
        (socket.read(&mut [0; 3]).ok()? > 0).then_some(())
    }

    /// The mails that a person has, by their short name.
    ///
    /// # Panics
    /// When the mailbox cannot be read.
    pub fn mails(&self, person: &str) -> Vec<Letter> {
        let asked = json!({"port": self.imap, "user": person, "password": PASSWORD});
        let said = python(READER, &asked);
        let raws = said.as_array().cloned().unwrap_or_default();
        Letter::read(raws.iter().map(|raw| STANDARD.decode(raw.as_str().unwrap_or_default()).expect("Base64")).collect())
    }

    /// Waits until a person has so many mails, and answers them, oldest first.
    ///
    /// # Panics
    /// When they do not come.
    pub async fn has(&self, person: &str, count: usize) -> Vec<Letter> {
        eventually(&format!("{count} mails of {person}"), SOON, async || {
            let mails = self.mails(person);
            (mails.len() >= count).then_some(mails)
        })
        .await
    }

    /// What Postfix wrote of its work.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("mail.log")).unwrap_or_default()
    }
}

impl Drop for PostOffice {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in ["mail.log", "dovecot.log", "keeper.log"] {
                let log = std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                eprintln!("--- {name}, its end\n{}", lines[lines.len().saturating_sub(LOG_LINES)..].join("\n"));
            }
        }
    }
}

/// Number of a user or group of the machine.
fn number(of: &str, name: &str) -> u32 {
    let output = Command::new("id").args([of, name]).output().expect("id can be run");
    String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or_else(|_| panic!("{name} has no number"))
}

fn folder_of(folder: &Folder, name: &str, owner: Option<&str>) -> String {
    let path = folder.path().join(name);
    std::fs::create_dir_all(&path).expect("a folder can be made");
    if let Some(owner) = owner {
        chown(&path, Some(number("-u", owner)), Some(number("-g", owner))).expect("root may hand it over");
    }
    path.display().to_string()
}

fn dovecot(folder: &Folder, lmtp: u16, imap: u16) -> Keeper {
    let mail = folder_of(folder, "mail", Some("mail"));
    let place = folder.path().display();
    let text = format!(
        "base_dir = {place}/dovecot\nstate_dir = {place}/dovecot-state\nlog_path = {place}/dovecot.log\nprotocols = lmtp imap\nssl = no\n\
         disable_plaintext_auth = no\nauth_username_format = %Ln\nmail_location = maildir:{mail}/%Ln\nfirst_valid_uid = 1\n\
         first_valid_gid = 1\nlisten = 127.0.0.1\n\
         passdb {{\n driver = static\n args = password={PASSWORD}\n}}\n\
         userdb {{\n driver = static\n args = uid=mail gid=mail home={mail}/%Ln allow_all_users=yes\n}}\n\
         service lmtp {{\n inet_listener lmtp {{\n  address = 127.0.0.1\n  port = {lmtp}\n }}\n}}\n\
         service imap-login {{\n inet_listener imap {{\n  address = 127.0.0.1\n  port = {imap}\n }}\n inet_listener imaps {{\n  port = 0\n }}\n}}\n"
    );
    let file = folder.write("dovecot.conf", &text);
    Keeper::run(folder.path(), &format!("dovecot -F -c '{}'", file.display()), "kill $server")
}

fn postfix(folder: &Folder, smtp: u16, lmtp: u16) -> Keeper {
    let settings = folder_of(folder, "postfix", None);
    let queue = folder_of(folder, "queue", None);
    let state = folder_of(folder, "postfix-state", Some("postfix"));
    let place = folder.path().display();
    let main = format!(
        "compatibility_level = 3.6\nqueue_directory = {queue}\ndata_directory = {state}\ncommand_directory = /usr/sbin\n\
         daemon_directory = /usr/lib/postfix/sbin\nmail_owner = postfix\nsetgid_group = postdrop\ninet_interfaces = 127.0.0.1\n\
         inet_protocols = ipv4\nmyhostname = post.example.org\nmydestination =\nalias_maps =\nalias_database =\n\
         mynetworks = 127.0.0.0/8\nsmtpd_relay_restrictions = permit_mynetworks, reject\nsmtpd_peername_lookup = no\n\
         disable_dns_lookups = yes\nvirtual_mailbox_domains = mail.example.org\nvirtual_mailbox_maps = static:all\n\
         virtual_transport = lmtp:inet:127.0.0.1:{lmtp}\nmaillog_file = {place}/mail.log\nmaillog_file_prefixes = {place}\n"
    );
    folder.write("postfix/main.cf", &main);
    folder.write("postfix/master.cf", &format!("127.0.0.1:{smtp} inet n - n - - smtpd\n{SERVICES}"));
    Keeper::run(folder.path(), &format!("postfix -c '{settings}' start-fg"), &format!("postfix -c '{settings}' stop"))
}
