//! Which server a command speaks to, and with which token.

use super::client::Client;
use super::trouble::{Result, Trouble};
use crate::exit::Exit;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Where a server listens that was told nothing.
const DEFAULT_URL: &str = "http://127.0.0.1:8480";

/// The file in a data folder that holds the URL of the server running on it.
pub const ADDRESS_FILE: &str = "address";
/// The file in a data folder that holds the first owner's token.
pub const TOKEN_FILE: &str = "bootstrap-token";

/// Options of every command that speaks to a server.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Connection {
    /// URL of the server [default: CARILLON_URL, else http://127.0.0.1:8480]
    #[arg(long, global = true, value_name = "URL", help_heading = "Server")]
    pub url: Option<String>,
    /// Data folder of a server on this machine: its address and first token are read from there
    #[arg(long, global = true, value_name = "DIR", help_heading = "Server")]
    pub data: Option<PathBuf>,
}

impl Connection {
    /// A client with a token. `--url` and `--data` win over `CARILLON_URL` and `CARILLON_TOKEN`.
    ///
    /// # Errors
    /// When there is no token, or the folder's files cannot be read.
    pub fn client(&self) -> Result<Client> {
        let variable = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let (url, token) = self.resolve(variable("CARILLON_URL"), variable("CARILLON_TOKEN"))?;
        let here = self.data.as_deref().filter(|_| self.url.is_none()).and_then(place_on_this_machine);
        Client::at(&url, here, Some(token))
    }

    fn resolve(&self, url: Option<String>, token: Option<String>) -> Result<(String, String)> {
        if let Some(folder) = &self.data {
            let address = match &self.url {
                Some(url) => url.clone(),
                None => first_line(folder, ADDRESS_FILE, "is a server running on this folder?")?,
            };
            return Ok((address, first_line(folder, TOKEN_FILE, "set CARILLON_TOKEN and give --url instead")?));
        }
        let token = token.ok_or_else(|| {
            let mend = "set CARILLON_URL and CARILLON_TOKEN, or give --data DIR of a server on this machine";
            Trouble::new(Exit::NotAllowed, "not_signed_in", format!("not signed in: {mend}"))
        })?;
        Ok((self.url.clone().or(url).unwrap_or_else(|| DEFAULT_URL.into()), token))
    }
}

/// Where the server of a data folder is found on this machine, by the second line of its address file: the first one may name
/// a host as its certificate does.
pub fn place_on_this_machine(folder: &Path) -> Option<SocketAddr> {
    let text = std::fs::read_to_string(folder.join(ADDRESS_FILE)).ok()?;
    let mut place: SocketAddr = text.lines().nth(1)?.trim().parse().ok()?;
    if place.ip().is_unspecified() {
        place.set_ip(if place.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    text.starts_with("https://").then_some(place)
}

fn first_line(folder: &Path, name: &str, mend: &str) -> Result<String> {
    let path = folder.join(name);
    let text = std::fs::read_to_string(&path).map_err(|e| {
        let exit = if name == ADDRESS_FILE { Exit::Unavailable } else { Exit::NotAllowed };
        Trouble::new(exit, "no_server_in_folder", format!("{} cannot be read ({e}); {mend}", path.display()))
    })?;
    Ok(text.lines().next().unwrap_or("").trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn what_is_written_wins_over_the_environment() {
        let nothing = Connection::default();
        assert_eq!(nothing.resolve(None, some("t")), Ok((DEFAULT_URL.into(), "t".into())));
        assert_eq!(nothing.resolve(some("http://h"), some("t")), Ok(("http://h".into(), "t".into())));
        let refused = nothing.resolve(some("http://h"), None).expect_err("no token");
        assert_eq!((refused.exit, refused.code.as_str()), (Exit::NotAllowed, "not_signed_in"));
        let url = Connection { url: some("http://x"), data: None };
        assert_eq!(url.resolve(some("http://h"), some("t")), Ok(("http://x".into(), "t".into())));
    }

    #[test]
    fn a_data_folder_gives_address_and_token() {
        let folder = std::env::temp_dir().join(format!("carillon-connect-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let here = Connection { url: None, data: Some(folder.clone()) };
        assert_eq!(here.resolve(some("http://h"), some("t")).expect_err("no server").exit, Exit::Unavailable);
        std::fs::write(folder.join(ADDRESS_FILE), "http://127.0.0.1:1\n").expect("a file");
        assert_eq!(here.resolve(None, None).expect_err("no token").exit, Exit::NotAllowed);
        std::fs::write(folder.join(TOKEN_FILE), "secret\n").expect("a file");
        assert_eq!(here.resolve(some("http://h"), some("t")), Ok(("http://127.0.0.1:1".into(), "secret".into())));
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
