//! The facts of a page of people, devices and registrations: what decisions are made from. On the hot path of dispatch
//! and deliver, so people, devices and registrations are asked for in one round, and only the columns that are needed.
//!
//! People with keys in a row are read by range scans in the order of the tables' keys; others by their keys.

use super::args::Arg;
use super::directory::versions::generation;
use super::link::{Connection, Row};
use crate::sqlite::columns::word;
use crate::{AddressAt, Addresses, DeviceFacts, FactsDepth, FactsPage, PersonFacts, RegistrationAddress, RegistrationFacts, Result};
use model::directory::{Environment, NotificationPermission, Platform, RegistrationState, Service};
use model::{DeviceKey, Locale, PersonKey, RegistrationKey, TenantKey, Timestamp};

/// A question by a range of keys ($3 and $4), and the same by a list of them ($3).
type Both = [&'static str; 2];

macro_rules! both {
    ($columns:literal of $table:literal by $key:literal then $order:literal) => {
        [
            concat!(
                "SELECT ",
                $columns,
                " FROM ",
                $table,
                " WHERE tenant = $1 AND ",
                $key,
                " BETWEEN $3 AND $4 AND since <= $2 AND until > $2 ORDER BY ",
                $order
            ),
            concat!(
                "SELECT ",
                $columns,
                " FROM ",
                $table,
                " WHERE tenant = $1 AND ",
                $key,
                " = ANY ($3::bigint[]) AND since <= $2 AND until > $2 ORDER BY ",
                $order
            ),
        ]
    };
}

/// The zone of those who have quiet hours of their own.
const PEOPLE: Both = both!("key, active, locale, email IS NOT NULL, quiet_hours, CASE WHEN quiet_hours IS NOT NULL THEN timezone END" of "person" by "key" then "key");
const PEOPLE_ZONES: Both = both!("key, active, locale, email IS NOT NULL, quiet_hours, timezone" of "person" by "key" then "key");
const PEOPLE_MAILBOXES: Both =
    both!("key, active, locale, email IS NOT NULL, quiet_hours, timezone, email, display_name" of "person" by "key" then "key");
const DEVICES: Both = both!(
    "owner, key, platform, enrolled, enrolled_by, app_installed, permission, play_services, push_enabled" of "device" by "owner" then "owner, key"
);
const REGISTRATIONS: Both =
    both!("owner, device, key, service, state, version, registered_at" of "registration" by "owner" then "owner, device, key");
const ADDRESSES: Both = both!(
    "owner, device, key, service, state, version, registered_at, environment, app, token, endpoint, p256dh, auth" of "registration" by "owner"
    then "owner, device, key"
);

/// Facts of some people, whose keys are sorted and not repeated.
pub(crate) fn page(c: &Connection, tenant: TenantKey, people: &[PersonKey], depth: FactsDepth) -> Result<FactsPage> {
    let (Some(first), Some(last)) = (people.first(), people.last()) else { return Ok(FactsPage::default()) };
    let span = u64::from(last.0) - u64::from(first.0) + 1;
    if span == people.len() as u64 {
        return range(c, tenant, *first, *last, depth);
    }
    let keys: Vec<i64> = people.iter().map(|person| person.0.into()).collect();
    // Key 0 stands for nobody: its devices are no person's.
    let owners: Vec<i64> = keys.iter().copied().filter(|key| *key > 0).collect();
    let values = |of: &[i64]| vec![Arg::Ints(of.to_vec().into())];
    read(c, tenant, people.len(), depth, 1, [values(&keys), values(&owners)])
}

/// Facts of everybody with a key in the range, both ends included.
pub(crate) fn range(c: &Connection, tenant: TenantKey, from: PersonKey, to: PersonKey, depth: FactsDepth) -> Result<FactsPage> {
    let expected = u64::from(to.0).saturating_sub(u64::from(from.0)).saturating_add(1).min(4096);
    let values = |from: u32| vec![Arg::Int(from.into()), Arg::Int(to.0.into())];
    read(c, tenant, expected as usize, depth, 0, [values(from.0), values(from.0.max(1))])
}

/// Asks for all three at once. `which` of two questions is asked with these values, for people and for what they own.
fn read(
    c: &Connection,
    tenant: TenantKey,
    expected: usize,
    depth: FactsDepth,
    which: usize,
    [people, owners]: [Vec<Arg<'static>>; 2],
) -> Result<FactsPage> {
    let generation = generation(c, tenant)?;
    let ask = |sql: Both, values: &[Arg<'static>]| {
        let mut all = vec![Arg::Int(tenant.0.into()), Arg::Int(generation)];
        all.extend(values.iter().cloned());
        (sql[which], all)
    };
    let people_sql = match (depth.mailboxes, depth.timezones) {
        (true, _) => PEOPLE_MAILBOXES,
        (false, true) => PEOPLE_ZONES,
        (false, false) => PEOPLE,
    };
    let registrations_sql = if depth.addresses == Addresses::None { REGISTRATIONS } else { ADDRESSES };
    let answers = c.round(&[ask(people_sql, &people), ask(DEVICES, &owners), ask(registrations_sql, &owners)])?;
    let mut page = FactsPage::with_capacity(expected);
    let mut answers = answers.iter();
    for row in answers.next().into_iter().flatten() {
        page.people.push(person(row, depth)?);
    }
    for row in answers.next().into_iter().flatten() {
        page.devices.push(device(row)?);
    }
    for row in answers.next().into_iter().flatten() {
        let registration = registration(row, depth, &mut page)?;
        page.registrations.push(registration);
    }
    Ok(page)
}

fn person(row: &Row, depth: FactsDepth) -> Result<PersonFacts> {
    let quiet_hours = boxed(row, 4)?;
    let wanted = depth.timezones || quiet_hours.is_some();
    let has_email = row.get(3)?;
    let mailbox = if depth.mailboxes && has_email { Some(Box::new((row.get(6)?, row.get(7)?))) } else { None };
    Ok(PersonFacts {
        key: PersonKey(row.get(0)?),
        active: row.get(1)?,
        has_email,
        locale: Locale::from_tag(row.get(2)?),
        timezone: if wanted { boxed(row, 5)? } else { None },
        quiet_hours,
        mailbox,
    })
}

fn device(row: &Row) -> Result<DeviceFacts> {
    let owner: u32 = row.get(0)?;
    let enrolled_by: Option<u32> = row.get(4)?;
    Ok(DeviceFacts {
        owner: PersonKey(owner),
        key: DeviceKey(row.get(1)?),
        platform: word(Platform::from_number, row.get(2)?, "platform")?,
        enrolled: row.get(3)?,
        enrolled_by_other: enrolled_by.is_some_and(|by| by != owner),
        app_installed: row.get(5)?,
        permission: word(NotificationPermission::from_number, row.get(6)?, "permission")?,
        play_services: row.get(7)?,
        push_enabled: row.get(8)?,
    })
}

fn registration(row: &Row, depth: FactsDepth, page: &mut FactsPage) -> Result<RegistrationFacts> {
    let service = word(Service::from_number, row.get(3)?, "service")?;
    let address = if depth.addresses.include(service) { Some(address(row, page)?) } else { None };
    Ok(RegistrationFacts {
        owner: PersonKey(row.get(0)?),
        device: DeviceKey(row.get(1)?),
        key: RegistrationKey(row.get(2)?),
        version: row.get(5)?,
        service,
        state: word(RegistrationState::from_number, row.get(4)?, "state of a registration")?,
        registered_at: Timestamp(row.get(6)?),
        address,
    })
}

fn boxed(row: &Row, column: usize) -> Result<Option<Box<str>>> {
    Ok(row.get::<Option<&str>>(column)?.map(Box::from))
}

fn address(row: &Row, page: &mut FactsPage) -> Result<AddressAt> {
    Ok(page.keep_address(RegistrationAddress {
        environment: word(Environment::from_number, row.get(7)?, "environment")?,
        app: row.get(8)?,
        token: row.get(9)?,
        endpoint: row.get(10)?,
        p256dh: row.get(11)?,
        auth: row.get(12)?,
    }))
}

/// Every statement, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    [PEOPLE, PEOPLE_ZONES, PEOPLE_MAILBOXES, DEVICES, REGISTRATIONS, ADDRESSES].concat()
}
