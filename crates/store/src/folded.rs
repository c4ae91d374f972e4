//! Mail that is not needed because a push goes: nearly everybody in a campaign has such a row, and it says the same of all
//! of them. It is not stored by itself but folded into the row before it, as the upper half of that row's facts. Whoever
//! reads deliveries finds both.

use crate::{DeliveryFilter, DeliveryRecord, PlannedRow};
use model::{ChannelKind, DeliveryId, Facts, Reason, State, Timestamp};

/// A stored row whose facts are at least this has another one folded into it.
pub(crate) const FOLD: i64 = 1 << 32;

const CHANNEL: ChannelKind = ChannelKind::Email;
const STATE: State = State::Suppressed;
const REASON: Reason = Reason::EmailNotNeeded;

/// The rows of a page of plan, each with its facts as they are stored; `None` for one that is folded into the row before.
pub(crate) fn fold(rows: &[PlannedRow]) -> impl Iterator<Item = (&PlannedRow, Option<i64>)> {
    rows.iter().enumerate().map(|(at, row)| {
        let folded = at.checked_sub(1).is_some_and(|before| folds(&rows[before], row));
        let next = rows.get(at + 1).filter(|next| folds(row, next));
        let facts = i64::from(row.facts.0) | next.map_or(0, |next| i64::from(next.facts.0) << 32);
        (row, (!folded).then_some(facts))
    })
}

fn folds(before: &PlannedRow, row: &PlannedRow) -> bool {
    (row.channel, row.state, row.reason) == (CHANNEL, STATE, REASON)
        && row.facts.has(Facts::PUSH_GOES)
        && (row.device, row.registration) == (None, None)
        && before.channel != CHANNEL
        && before.person == row.person
        && before.seq.checked_add(1) == Some(row.seq)
}

/// A row's own facts, of what is stored.
pub(crate) fn own_facts(stored: i64) -> Facts {
    Facts(u32::try_from(stored & (FOLD - 1)).expect("32 bits"))
}

/// The row that is folded into a stored one.
pub(crate) fn unfold(record: &DeliveryRecord, stored: i64) -> Option<DeliveryRecord> {
    let facts = u32::try_from(stored >> 32).ok().filter(|facts| *facts != 0)?;
    Some(DeliveryRecord {
        id: DeliveryId { seq: record.id.seq + 1, ..record.id },
        channel: CHANNEL,
        device: None,
        registration: None,
        state: STATE,
        reason: REASON,
        facts: Facts(facts),
        due: Timestamp(0),
        policy_version: record.policy_version,
        attempts: Vec::new(),
    })
}

/// Whether a filter lets folded rows through.
pub(crate) fn wanted(filter: DeliveryFilter) -> bool {
    let DeliveryFilter { state, channel, reason } = filter;
    state.is_none_or(|one| one == STATE) && channel.is_none_or(|one| one == CHANNEL) && reason.is_none_or(|one| one == REASON)
}

/// Whether a filter lets a row through.
pub(crate) fn lets_through(filter: DeliveryFilter, record: &DeliveryRecord) -> bool {
    let DeliveryFilter { state, channel, reason } = filter;
    state.is_none_or(|one| one == record.state)
        && channel.is_none_or(|one| one == record.channel)
        && reason.is_none_or(|one| one == record.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The statements that unfold rows name these by number.
    #[test]
    fn the_numbers_in_the_statements_are_right() {
        assert_eq!((CHANNEL.number(), STATE.number(), REASON.number()), (5, 4, 12));
    }
}
