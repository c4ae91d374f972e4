//! How the C library keeps the memory of a server. Left alone, glibc gives each of many threads a heap of its own and, after
//! the first large block, stops mapping large ones apart: a campaign's pages then stay behind in every heap, and a server
//! at work keeps a fifth more than it uses. glibc reads its settings when a program starts, so the server starts itself
//! once more with them.

use std::ffi::OsString;

/// The variables that glibc reads (mallopt(3)).
const HEAPS: &str = "MALLOC_ARENA_MAX";
const APART: &str = "MALLOC_MMAP_THRESHOLD_";
const GIVEN_BACK: &str = "MALLOC_TRIM_THRESHOLD_";
/// The newer way to say the same (glibc manual, "Tunables").
const TUNABLES: &str = "GLIBC_TUNABLES";
/// From how many bytes a block is mapped apart and given back as soon as it is free; glibc's own first value. As much may
/// lie free at the end of a heap.
const APART_BYTES: usize = 128 * 1024;
/// The fewest heaps that threads share.
const FEWEST_HEAPS: usize = 2;

/// Starts this program again with settings for memory, unless it was started with some. Where that is impossible it goes
/// on as it is: it works the same, with more memory.
pub fn settle() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use std::os::unix::process::CommandExt;
        if is_settled(|name| std::env::var_os(name)) {
            return;
        }
        let heaps = std::thread::available_parallelism().map_or(FEWEST_HEAPS, usize::from).max(FEWEST_HEAPS);
        let Ok(program) = std::env::current_exe() else { return };
        let mut again = std::process::Command::new(program);
        again.args(std::env::args_os().skip(1)).env(HEAPS, heaps.to_string());
        again.env(APART, APART_BYTES.to_string()).env(GIVEN_BACK, APART_BYTES.to_string());
        // It returns only when it failed. The command line is read again.
        let _ = again.exec();
    }
}

/// Whether somebody spoke of memory already: the operator, or this program.
fn is_settled(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let tuned = |tunables: OsString| tunables.to_string_lossy().contains("glibc.malloc.");
    [HEAPS, APART, GIVEN_BACK].iter().any(|name| variable(name).is_some()) || variable(TUNABLES).is_some_and(tuned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_operator_set_stands_and_the_program_starts_itself_once() {
        let with = |name: &'static str, value: &'static str| move |asked: &str| (asked == name).then(|| OsString::from(value));
        assert!(!is_settled(|_| None));
        assert!(!is_settled(with(TUNABLES, "glibc.rtld.nns=2")));
        assert!(is_settled(with(TUNABLES, "glibc.rtld.nns=2:glibc.malloc.arena_max=1")));
        assert!(is_settled(with(APART, "1048576")) && is_settled(with(HEAPS, "8")));
    }
}
