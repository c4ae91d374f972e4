//! What machine this is, as its kernel says, so that a table of figures can be read elsewhere.

use std::path::Path;
use std::process::Command;

/// Facts of the machine, in the order in which they are shown.
pub fn facts(stores: &Path, server: &Path) -> Vec<(&'static str, String)> {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let processor = field("/proc/cpuinfo", "model name", ':').unwrap_or_else(|| "unknown".into());
    let memory = field("/proc/meminfo", "MemTotal", ':').and_then(|m| m.strip_suffix("kB")?.trim().parse::<f64>().ok());
    vec![
        ("Processor", format!("{processor}, {cores} cores")),
        ("Memory", memory.map_or_else(|| "unknown".into(), |kib| format!("{:.1} GiB", kib / 1024.0 / 1024.0))),
        ("System", field("/etc/os-release", "PRETTY_NAME", '=').map_or_else(|| "unknown".into(), |name| name.trim_matches('"').to_owned())),
        ("Kernel", read("/proc/sys/kernel/osrelease").trim().to_owned()),
        ("File system of the stores", file_system(&read("/proc/mounts"), stores)),
        ("Limit program", said(Path::new("h2load"))),
        ("Server", said(server)),
        ("Load average before", load()),
    ]
}

/// Load average of the last minute.
fn load() -> String {
    read("/proc/loadavg").split(' ').next().unwrap_or("unknown").to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn field(path: &str, name: &str, separator: char) -> Option<String> {
    let text = read(path);
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(separator)?.1.trim().to_owned())
}

/// The kind of file system that holds a path: that of the longest mount point above it.
fn file_system(mounts: &str, path: &Path) -> String {
    let mounted = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let above = mounted.filter(|(point, _)| path.starts_with(point)).max_by_key(|(point, _)| point.len());
    above.map_or_else(|| "unknown".into(), |(_, kind)| kind.to_owned())
}

/// What a program says to `--version`.
fn said(program: &Path) -> String {
    let output = Command::new(program).arg("--version").output();
    let text = output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default();
    if text.is_empty() { "not there".to_owned() } else { text.lines().next().unwrap_or_default().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_point_says_the_file_system() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n";
        assert_eq!(file_system(mounts, Path::new("/tmp/x")), "tmpfs");
        assert_eq!(file_system(mounts, Path::new("/tmpx")), "ext4");
        assert_eq!(file_system("", Path::new("/x")), "unknown");
    }
}
