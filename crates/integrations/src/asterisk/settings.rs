//! What has to be known of one Asterisk before it can be listened to.

use std::path::PathBuf;

/// Port of the manager interface.
pub const PORT: u16 = 5038;
/// Port of the manager interface over TLS.
pub const TLS_PORT: u16 = 5039;
/// Most characters of an integration's name: it stands before each call's id.
pub const NAME_CHARS: usize = 40;

/// One Asterisk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name of this integration, which tells the calls of several Asterisks apart.
    pub name: String,
    /// Dial plan of its extensions, by name or id.
    pub dial_plan: String,
    /// Name or address of its host.
    pub host: String,
    /// Port of its manager interface.
    pub port: u16,
    /// Account in its `manager.conf`.
    pub username: String,
    /// File whose first line is the account's secret. It is read at each login, so that a new one needs no restart.
    pub secret_file: PathBuf,
    /// Whether the connection is protected by TLS.
    pub tls: bool,
    /// Certificates (PEM) to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Folder in which its voice mail keeps messages, as it is seen from here.
    pub spool_dir: Option<PathBuf>,
    /// Its call records as `cdr_csv` writes them, with `loguniqueid`: they are read when it was not heard for a while.
    pub cdr_file: Option<PathBuf>,
}

/// Whether a text can name an integration: letters, digits, `-`, `_` and `.`.
///
/// # Errors
/// The rule.
pub fn check_name(name: &str) -> Result<(), String> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    let short = (1..=NAME_CHARS).contains(&name.chars().count());
    if plain && short { Ok(()) } else { Err(format!("{name:?} is not a name of 1 to {NAME_CHARS} letters, digits, - _ or .")) }
}
