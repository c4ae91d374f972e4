//! The exit codes of every command, in one table. The manual shows the same.

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// It failed: a delivery failed with `--exit-status`, a check of `doctor` or of `audit verify`, the server or this machine.
    Failed = 1,
    /// Wrong use: an option, a field or a configuration that is not acceptable.
    Use = 2,
    /// Not signed in, or not allowed.
    NotAllowed = 3,
    /// There is no such thing.
    NotFound = 4,
    /// It contradicts the present state, or that changed meanwhile.
    Conflict = 5,
    /// Over a limit; worth trying later.
    OverLimit = 6,
    /// The server is not reachable or not available; worth trying later.
    Unavailable = 7,
    /// `mailcmd` could not hand in a mail now: the word of mailers for *later* (`EX_TEMPFAIL`).
    TryAgain = 75,
    /// Interrupted with Ctrl-C.
    Interrupted = 130,
}

impl Exit {
    /// Every code with its meaning, for the help text and the manual.
    pub const TABLE: &'static [(Exit, &'static str)] = &[
        (Exit::Done, "done"),
        (Exit::Failed, "failed: a delivery (with --exit-status), a check of doctor or audit verify, the server or this machine"),
        (Exit::Use, "wrong use: an option, a field or the configuration is not acceptable"),
        (Exit::NotAllowed, "not signed in, or not allowed"),
        (Exit::NotFound, "there is no such thing"),
        (Exit::Conflict, "it contradicts the present state, or was changed meanwhile"),
        (Exit::OverLimit, "over a limit; try later"),
        (Exit::Unavailable, "the server is not reachable or not available; try later"),
        (Exit::TryAgain, "mailcmd could not hand in the mail now; try later"),
        (Exit::Interrupted, "interrupted with Ctrl-C"),
    ];

    /// The code that a refused request leads to.
    pub fn of_status(status: u16) -> Exit {
        match status {
            400 | 413 | 415 | 422 | 428 => Exit::Use,
            401 | 403 => Exit::NotAllowed,
            404 | 410 => Exit::NotFound,
            409 | 412 => Exit::Conflict,
            429 => Exit::OverLimit,
            502..=504 => Exit::Unavailable,
            _ => Exit::Failed,
        }
    }

    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        std::process::ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_leads_to_its_code() {
        let table =
            [(400, 2), (401, 3), (403, 3), (404, 4), (409, 5), (412, 5), (413, 2), (422, 2), (428, 2), (429, 6), (500, 1), (503, 7)];
        for (status, code) in table {
            assert_eq!(Exit::of_status(status).code(), code, "{status}");
        }
    }

    #[test]
    fn the_table_holds_each_code_once_in_order() {
        let codes: Vec<u8> = Exit::TABLE.iter().map(|(exit, _)| exit.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 75, 130]);
    }
}
