//! A real Kamailio on a loopback port, with the very configuration that the manual gives.

use crate::keeper::Keeper;
use crate::{Folder, SOON, eventually, free_port, listens_to_udp, when};
use std::path::{Path, PathBuf};

/// What the manual takes for granted: where the modules are, where it listens, how loud it is.
const BEFORE: &str = "debug=2
log_stderror=yes
children=4
auto_aliases=no
disable_tcp=yes
user_agent_header=\"User-Agent: story\"
loadmodule \"tm.so\"
loadmodule \"tmx.so\"
loadmodule \"sl.so\"
loadmodule \"pv.so\"
loadmodule \"rr.so\"
loadmodule \"siputils.so\"
loadmodule \"textops.so\"
loadmodule \"xlog.so\"
";

/// A running Kamailio.
#[derive(Debug)]
pub struct Switchboard {
    _kamailio: Keeper,
    folder: Folder,
    port: u16,
}

impl Switchboard {
    /// Whether Kamailio is installed with what it takes to ask over HTTP.
    pub fn is_there() -> bool {
        modules().is_some()
    }

    /// Starts one with the configuration in a chapter of the manual, which tells the server at `url` of calls. Telephones ring
    /// for four seconds instead of twenty.
    ///
    /// # Panics
    /// When it does not start, or when the chapter is no longer what it was.
    pub async fn start(chapter: &str, url: &str, token: &str) -> Switchboard {
        let folder = Folder::fresh();
        let port = free_port();
        let modules = modules().expect("the caller has asked whether it is there");
        let after = chapter.split_once("## Kamailio").expect("the manual has the chapter").1;
        let text = after.split_once("```text\n").expect("it gives a configuration").1;
        let mut text = text.split_once("```").expect("which ends").0.to_owned();
        for (given, here) in [
            ("https://carillon.example.org/", format!("{url}/")),
            ("Bearer car_...", format!("Bearer {token}")),
            ("t_set_fr(20000, 5000)", "t_set_fr(4000, 3000)".to_owned()),
        ] {
            assert!(text.contains(given), "the manual no longer says {given:?}");
            text = text.replace(given, &here);
        }
        let before = format!("#!KAMAILIO\nmpath=\"{}\"\nlisten=udp:127.0.0.1:{port}\n{BEFORE}", modules.display());
        let file = folder.write("kamailio.cfg", &format!("{before}\n{text}"));
        let place = folder.path().display();
        let start = format!("kamailio -f '{}' -DD -E -Y '{place}' -w '{place}' -m 32 -M 8", file.display());
        let board = Switchboard { _kamailio: Keeper::run(folder.path(), &start, "kill $server"), folder, port };
        let began = std::time::Instant::now();
        eventually("Kamailio", SOON, async || {
            assert!(began.elapsed() < SOON / 2, "Kamailio does not start:\n{}", board.log());
            when(listens_to_udp(port))
        })
        .await;
        board
    }

    /// Where it takes calls.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("keeper.log")).unwrap_or_default()
    }
}

/// Kamailio's folder of modules, when the one for HTTP is there.
fn modules() -> Option<PathBuf> {
    let places = ["/usr/lib/x86_64-linux-gnu/kamailio/modules", "/usr/lib/aarch64-linux-gnu/kamailio/modules"];
    let found = places.iter().map(Path::new).find(|place| place.join("http_client.so").exists())?;
    Path::new("/usr/sbin/kamailio").exists().then(|| found.to_owned())
}
