//! A private PostgreSQL for tests: a cluster of its own in a temporary folder, reached by a socket and by a loopback port,
//! with a database for each test. It ends with the process that started it, however that ends.
//!
//! `initdb` refuses to run as root; root's tests run it as the user `postgres` or `nobody`.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long the server may take to start.
const START: Duration = Duration::from_secs(30);

/// Lowest version that is good enough.
const LOWEST: u32 = 15;

/// A running cluster.
#[derive(Debug)]
pub struct PrivatePostgres {
    binaries: PathBuf,
    folder: PathBuf,
    port: u16,
    user: Option<(u32, u32)>,
    keeper: Child,
    databases: AtomicU32,
}

impl PrivatePostgres {
    /// The cluster of this process, started when it is asked for first; `None` where PostgreSQL is not installed.
    ///
    /// # Panics
    /// When it is installed and does not start.
    pub fn shared() -> Option<&'static PrivatePostgres> {
        static SHARED: OnceLock<Option<PrivatePostgres>> = OnceLock::new();
        SHARED.get_or_init(|| PrivatePostgres::start(false)).as_ref()
    }

    /// A cluster of one's own, for tests that stop it or measure it. `durable` ones wait for the disk.
    ///
    /// # Panics
    /// As [`PrivatePostgres::shared`].
    pub fn start(durable: bool) -> Option<PrivatePostgres> {
        let binaries = binaries()?;
        let user = if uid() == 0 { Some(unprivileged()) } else { None };
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("carillon-postgres-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder for the cluster");
        if let Some((uid, gid)) = user {
            std::os::unix::fs::chown(&folder, Some(uid), Some(gid)).expect("the folder is handed over");
        }
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port();
        let mut init = as_user(user, &binaries.join("initdb"));
        init.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"]).arg(folder.join("data"));
        let made = init.current_dir(&folder).output().expect("initdb can be run");
        assert!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        let keeper = keeper(&binaries, &folder, port, user, durable);
        let cluster = PrivatePostgres { binaries, folder, port, user, keeper, databases: AtomicU32::new(0) };
        cluster.wait();
        Some(cluster)
    }

    /// The address of a new, empty database.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn database(&self) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::SeqCst));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.address(&name)
    }

    /// The address of a database, by the socket.
    pub fn address(&self, database: &str) -> String {
        let folder = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{folder}:{}/{database}", self.port)
    }

    /// The same by the loopback port.
    pub fn tcp_address(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes a tablespace of this name in a new folder below `place`, which everybody may enter.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn tablespace(&self, place: &Path, name: &str) {
        let folder = place.join(name);
        std::fs::create_dir_all(&folder).expect("a folder for the tablespace");
        if let Some((uid, gid)) = self.user {
            std::os::unix::fs::chown(&folder, Some(uid), Some(gid)).expect("the folder is handed over");
        }
        self.sql("postgres", &format!("CREATE TABLESPACE {name} LOCATION '{}'", folder.display()));
    }

    /// Where everything lies that it keeps: its data, its log of writes, and what it said.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs SQL in a database; answers what it prints.
    ///
    /// # Panics
    /// When it fails.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let said = self.psql(database, sql);
        assert!(said.status.success(), "{sql}: {}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8_lossy(&said.stdout).trim().to_owned()
    }

    fn psql(&self, database: &str, sql: &str) -> std::process::Output {
        let mut psql = Command::new(self.binaries.join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-c", sql, "-h"]);
        psql.arg(&self.folder).args(["-p", &self.port.to_string()]);
        psql.output().expect("psql can be run")
    }

    /// Brings the planner's statistics up to date in every database, as the server does by itself after a while.
    ///
    /// # Panics
    /// When it fails.
    pub fn analyse(&self) {
        let databases = self.sql("postgres", "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate");
        databases.lines().map(str::trim).filter(|name| !name.is_empty()).for_each(|name| drop(self.sql(name, "VACUUM ANALYZE")));
    }

    /// Stops the server at once, as a crash would, and leaves its data.
    ///
    /// # Panics
    /// When it cannot be stopped.
    pub fn crash(&self) {
        self.ctl(&["stop", "-m", "immediate", "-w"]);
    }

    /// Starts it again after [`PrivatePostgres::crash`].
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&self) {
        let log = self.folder.join("log.again").display().to_string();
        let options = format!("-p {} -k {} -c listen_addresses=127.0.0.1 -c max_connections=300", self.port, self.folder.display());
        self.ctl(&["start", "-w", "-l", &log, "-o", &options]);
        self.wait();
    }

    /// Sends a signal (`STOP`, `CONT`) to the server and every process of it.
    ///
    /// # Panics
    /// When there is no server.
    pub fn signal(&self, signal: &str) {
        let pid = self.pid().expect("the server runs");
        let children = Command::new("ps").args(["-o", "pid=", "--ppid", &pid.to_string()]).output().expect("ps can be run");
        let mut kill = Command::new("kill");
        kill.arg(format!("-{signal}")).arg(pid.to_string());
        kill.args(String::from_utf8_lossy(&children.stdout).split_whitespace());
        // A process that ended meanwhile is no fault.
        let _ = kill.status().expect("kill can be run");
    }

    fn ctl(&self, args: &[&str]) {
        let mut ctl = as_user(self.user, &self.binaries.join("pg_ctl"));
        let done = ctl.arg("-D").arg(self.folder.join("data")).args(args).current_dir(&self.folder).stdout(Stdio::null()).status();
        assert!(done.expect("pg_ctl can be run").success(), "pg_ctl {args:?} failed");
    }

    fn pid(&self) -> Option<u32> {
        let file = std::fs::File::open(self.folder.join("data/postmaster.pid")).ok()?;
        BufReader::new(file).lines().next()?.ok()?.trim().parse().ok()
    }

    fn wait(&self) {
        let began = Instant::now();
        while !self.psql("postgres", "SELECT 1").status.success() {
            let log = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(began.elapsed() < START, "PostgreSQL does not start: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // The keeper removes the folder and ends.
        let _ = self.keeper.wait();
    }
}

/// Starts the server under a shell that waits for the end of our pipe, and then stops it and removes the folder: so it ends
/// also with a process that is killed.
fn keeper(binaries: &Path, folder: &Path, port: u16, user: Option<(u32, u32)>, durable: bool) -> Child {
    let quick = if durable { "" } else { "-c fsync=off -c full_page_writes=off" };
    let script = format!(
        "'{bin}/postgres' -D '{folder}/data' -p {port} -k '{folder}' -c listen_addresses=127.0.0.1 -c max_connections=300 \
         -c shared_buffers=128MB -c max_wal_size=2GB -c checkpoint_timeout=15min {quick} >'{folder}/log' 2>&1 </dev/null & \
         read -r _; '{bin}/pg_ctl' -D '{folder}/data' stop -m immediate >/dev/null 2>&1; wait; rm -rf '{folder}'",
        bin = binaries.display(),
        folder = folder.display(),
    );
    let mut shell = as_user(user, Path::new("/bin/sh"));
    shell.args(["-c", &script]).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.spawn().expect("a shell can be started")
}

fn as_user(user: Option<(u32, u32)>, program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

fn uid() -> u32 {
    std::fs::metadata("/proc/self").map_or(0, |meta| meta.uid())
}

/// The user (and group) that root runs the server as.
fn unprivileged() -> (u32, u32) {
    let users = std::fs::read_to_string("/etc/passwd").expect("the list of users can be read");
    let of = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    of("postgres").or_else(|| of("nobody")).expect("there is a user postgres or nobody")
}

/// Where PostgreSQL's programs are: Debian's folder of the newest version, or PATH.
fn binaries() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok().map(|version| (version, entry.path().join("bin"))))
        .filter(|(version, folder)| *version >= LOWEST && folder.join("initdb").exists())
        .max();
    if let Some((_, folder)) = newest {
        return Some(folder);
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}
