//! The facts of a page of people, devices and registrations: what decisions are made from. On the hot path of dispatch
//! and deliver, so only the columns that are needed are decoded, and they stand first in the rows.
//!
//! People with dense keys are read by three range scans in the order in which the rows are clustered, and the wanted
//! ones are picked by a merge; people with sparse keys by point questions.

use super::columns::word;
use super::directory::versions::generation;
use crate::{
    AddressAt, Addresses, DeviceFacts, FactsDepth, FactsPage, PersonFacts, RegistrationAddress, RegistrationFacts, Result, StoreError,
};
use model::directory::{Environment, NotificationPermission, Platform, RegistrationState, Service};
use model::{DeviceKey, Locale, PersonKey, RegistrationKey, TenantKey, Timestamp};
use rusqlite::{Connection, Row, params};

/// Up to how many keys per wanted person a range scan is cheaper than point questions: a step costs about an eighth of a
/// descent of the tree.
const SPARSE: u64 = 8;

const PEOPLE: &str = "SELECT key, active, locale, email IS NOT NULL, quiet_hours FROM person \
    WHERE tenant = ?1 AND key BETWEEN ?2 AND ?3 AND since <= ?4 AND until > ?4 ORDER BY key";
const PEOPLE_ZONES: &str = "SELECT key, active, locale, email IS NOT NULL, quiet_hours, timezone FROM person \
    WHERE tenant = ?1 AND key BETWEEN ?2 AND ?3 AND since <= ?4 AND until > ?4 ORDER BY key";
const PEOPLE_MAILBOXES: &str = "SELECT key, active, locale, email IS NOT NULL, quiet_hours, timezone, email, display_name FROM person \
    WHERE tenant = ?1 AND key BETWEEN ?2 AND ?3 AND since <= ?4 AND until > ?4 ORDER BY key";
const ZONE: &str = "SELECT timezone FROM person WHERE tenant = ?1 AND key = ?2 AND since <= ?3 AND until > ?3";
const DEVICES: &str = "SELECT owner, key, platform, enrolled, enrolled_by, app_installed, permission, play_services, push_enabled FROM device \
    WHERE tenant = ?1 AND owner BETWEEN ?2 AND ?3 AND since <= ?4 AND until > ?4 ORDER BY owner, key";
const REGISTRATIONS: &str = "SELECT owner, device, key, service, state, version, registered_at FROM registration \
    WHERE tenant = ?1 AND owner BETWEEN ?2 AND ?3 AND since <= ?4 AND until > ?4 ORDER BY owner, device, key";
const ADDRESSES: &str = "SELECT owner, device, key, service, state, version, registered_at, environment, app, token, endpoint, p256dh, auth \
    FROM registration WHERE tenant = ?1 AND owner BETWEEN ?2 AND ?3 AND since <= ?4 AND until > ?4 ORDER BY owner, device, key";

/// Facts of some people, whose keys are sorted and not repeated.
pub(crate) fn page(c: &Connection, tenant: TenantKey, people: &[PersonKey], depth: FactsDepth) -> Result<FactsPage> {
    let (Some(first), Some(last)) = (people.first(), people.last()) else { return Ok(FactsPage::default()) };
    let mut scan = Scan::new(c, tenant, people.len(), depth)?;
    let span = u64::from(last.0) - u64::from(first.0) + 1;
    if span == people.len() as u64 {
        scan.read(*first, *last, &mut Everybody)?;
    } else if span <= SPARSE * people.len() as u64 {
        scan.read(*first, *last, &mut Among { people, at: 0 })?;
    } else {
        for key in people {
            scan.read(*key, *key, &mut Everybody)?;
        }
    }
    Ok(scan.page)
}

/// Facts of everybody with a key in the range, both ends included.
pub(crate) fn range(c: &Connection, tenant: TenantKey, from: PersonKey, to: PersonKey, depth: FactsDepth) -> Result<FactsPage> {
    let expected = u64::from(to.0).saturating_sub(u64::from(from.0)).saturating_add(1).min(4096);
    let mut scan = Scan::new(c, tenant, expected as usize, depth)?;
    scan.read(from, to, &mut Everybody)?;
    Ok(scan.page)
}

/// Who of a scanned range is wanted. Keys are asked for in order; `restart` begins anew.
trait Wanted {
    fn restart(&mut self);
    fn has(&mut self, key: u32) -> bool;
}

struct Everybody;

impl Wanted for Everybody {
    fn restart(&mut self) {}

    fn has(&mut self, _: u32) -> bool {
        true
    }
}

struct Among<'a> {
    people: &'a [PersonKey],
    at: usize,
}

impl Wanted for Among<'_> {
    fn restart(&mut self) {
        self.at = 0;
    }

    fn has(&mut self, key: u32) -> bool {
        while self.people.get(self.at).is_some_and(|person| person.0 < key) {
            self.at += 1;
        }
        self.people.get(self.at).is_some_and(|person| person.0 == key)
    }
}

struct Scan<'c> {
    c: &'c Connection,
    tenant: u32,
    generation: i64,
    depth: FactsDepth,
    page: FactsPage,
}

impl<'c> Scan<'c> {
    fn new(c: &'c Connection, tenant: TenantKey, expected: usize, depth: FactsDepth) -> Result<Scan<'c>> {
        let page = FactsPage::with_capacity(expected);
        Ok(Scan { c, tenant: tenant.0, generation: generation(c, tenant)?, depth, page })
    }

    fn read(&mut self, from: PersonKey, to: PersonKey, wanted: &mut impl Wanted) -> Result<()> {
        self.people(from, to, wanted)?;
        wanted.restart();
        // Key 0 stands for nobody: its devices are no person's.
        let from = PersonKey(from.0.max(1));
        self.devices(from, to, wanted)?;
        wanted.restart();
        self.registrations(from, to, wanted)
    }

    fn people(&mut self, from: PersonKey, to: PersonKey, wanted: &mut impl Wanted) -> Result<()> {
        let sql = match (self.depth.mailboxes, self.depth.timezones) {
            (true, _) => PEOPLE_MAILBOXES,
            (false, true) => PEOPLE_ZONES,
            (false, false) => PEOPLE,
        };
        let mut statement = self.c.prepare_cached(sql)?;
        let mut rows = statement.query(params![self.tenant, from.0, to.0, self.generation])?;
        while let Some(row) = rows.next()? {
            let key: u32 = row.get(0)?;
            if !wanted.has(key) {
                continue;
            }
            let quiet_hours = boxed(row, 4)?;
            let timezone = match (self.depth.timezones, self.depth.mailboxes, quiet_hours.is_some()) {
                (true, _, _) | (false, true, true) => boxed(row, 5)?,
                // Few people have own quiet hours: their zones are asked for one by one.
                (false, false, true) => self.zone(key)?,
                (false, _, false) => None,
            };
            let has_email = row.get(3)?;
            let mailbox = match self.depth.mailboxes && has_email {
                true => Some(Box::new((row.get(6)?, row.get(7)?))),
                false => None,
            };
            let locale = Locale::from_tag(row.get_ref(2)?.as_str().unwrap_or(""));
            self.page.people.push(PersonFacts {
                key: PersonKey(key),
                active: row.get(1)?,
                has_email,
                locale,
                quiet_hours,
                timezone,
                mailbox,
            });
        }
        Ok(())
    }

    fn zone(&self, key: u32) -> Result<Option<Box<str>>> {
        let mut statement = self.c.prepare_cached(ZONE)?;
        let mut rows = statement.query(params![self.tenant, key, self.generation])?;
        rows.next()?.map_or(Ok(None), |row| boxed(row, 0))
    }

    fn devices(&mut self, from: PersonKey, to: PersonKey, wanted: &mut impl Wanted) -> Result<()> {
        let mut statement = self.c.prepare_cached(DEVICES)?;
        let mut rows = statement.query(params![self.tenant, from.0, to.0, self.generation])?;
        while let Some(row) = rows.next()? {
            let owner: u32 = row.get(0)?;
            if !wanted.has(owner) {
                continue;
            }
            let enrolled_by: Option<u32> = row.get(4)?;
            self.page.devices.push(DeviceFacts {
                owner: PersonKey(owner),
                key: DeviceKey(row.get(1)?),
                platform: word(Platform::from_number, row.get(2)?, "platform")?,
                enrolled: row.get(3)?,
                enrolled_by_other: enrolled_by.is_some_and(|by| by != owner),
                app_installed: row.get(5)?,
                permission: word(NotificationPermission::from_number, row.get(6)?, "permission")?,
                play_services: row.get(7)?,
                push_enabled: row.get(8)?,
            });
        }
        Ok(())
    }

    fn registrations(&mut self, from: PersonKey, to: PersonKey, wanted: &mut impl Wanted) -> Result<()> {
        let asked = self.depth.addresses;
        let mut statement = self.c.prepare_cached(if asked == Addresses::None { REGISTRATIONS } else { ADDRESSES })?;
        let mut rows = statement.query(params![self.tenant, from.0, to.0, self.generation])?;
        while let Some(row) = rows.next()? {
            let owner: u32 = row.get(0)?;
            if !wanted.has(owner) {
                continue;
            }
            let service = word(Service::from_number, row.get(3)?, "service")?;
            let address = if asked.include(service) { Some(address(row, &mut self.page)?) } else { None };
            self.page.registrations.push(RegistrationFacts {
                owner: PersonKey(owner),
                device: DeviceKey(row.get(1)?),
                key: RegistrationKey(row.get(2)?),
                version: row.get(5)?,
                service,
                state: word(RegistrationState::from_number, row.get(4)?, "state of a registration")?,
                registered_at: Timestamp(row.get(6)?),
                address,
            });
        }
        Ok(())
    }
}

fn boxed(row: &Row<'_>, column: usize) -> Result<Option<Box<str>>> {
    Ok(row.get_ref(column)?.as_str_or_null().unwrap_or(None).map(Box::from))
}

fn address(row: &Row<'_>, page: &mut FactsPage) -> Result<AddressAt> {
    let text = |column| row.get_ref(column)?.as_str().map_err(|_| StoreError::Broken("an address is not text".into()));
    Ok(page.keep_address(RegistrationAddress {
        environment: word(Environment::from_number, row.get(7)?, "environment")?,
        app: text(8)?,
        token: text(9)?,
        endpoint: text(10)?,
        p256dh: text(11)?,
        auth: row.get_ref(12)?.as_blob().unwrap_or_default(),
    }))
}
