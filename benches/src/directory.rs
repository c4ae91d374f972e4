//! The made-up organization: N people with one iPhone and one registration each, and a group `everyone` that reaches them
//! all; large ones through ten thousand nested groups. Written as the CSV files that an administrator would import.

use crate::sink::account::TOPIC;
use crate::sink::{browser, google};
use crate::tokens::{self, next};
use anyhow::Result;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// External id of the group that reaches everybody.
pub const EVERYONE: &str = "everyone";
/// People of one of the nested groups, on average.
const PEOPLE_A_GROUP: u32 = 100;
/// Children of a group: with 22, ten thousand groups lie four deep.
const CHILDREN: u32 = 22;
/// Memberships of a nested directory for each thousand people (1,496,000 of a million).
const MEMBERSHIPS_PER_1000: u64 = 1_496;
/// Links across the tree for each thousand groups.
const CROSS_LINKS_PER_1000: u64 = 400;

/// By what everybody is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reached {
    /// An iPhone.
    #[default]
    Apple,
    /// An Android phone.
    Google,
    /// A browser, at the push service on this port.
    Browser {
        /// The sink's.
        port: u16,
    },
    /// Mail only: people without a device.
    Mail,
}

/// Sizes of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// People, devices and registrations.
    pub people: u32,
    /// Whether `everyone` reaches them through nested groups.
    pub nested: bool,
    /// By what.
    pub by: Reached,
}

impl Shape {
    /// Devices, and registrations.
    pub fn devices(self) -> u32 {
        match self.by {
            Reached::Apple | Reached::Google | Reached::Browser { .. } => self.people,
            Reached::Mail => 0,
        }
    }

    /// Nested groups, `everyone` included.
    pub fn groups(self) -> u32 {
        if self.nested { (self.people / PEOPLE_A_GROUP).max(2) } else { 1 }
    }

    /// Memberships in all.
    pub fn memberships(self) -> u64 {
        if self.nested { u64::from(self.people) * MEMBERSHIPS_PER_1000 / 1000 } else { u64::from(self.people) }
    }
}

/// The user principal name of a person.
pub fn upn(index: u32) -> String {
    format!("p{index}@bench.example.org")
}

/// Writes the five files and answers their paths.
///
/// # Errors
/// When the disk does not take them.
pub fn write(shape: Shape, folder: &Path) -> Result<Vec<PathBuf>> {
    type Writer = fn(Shape, &mut dyn Write) -> std::io::Result<()>;
    let files: [(&str, Writer); 5] = [
        ("people.csv", people),
        ("groups.csv", groups),
        ("members.csv", members),
        ("devices.csv", devices),
        ("registrations.csv", registrations),
    ];
    std::fs::create_dir_all(folder)?;
    let mut paths = Vec::new();
    for (name, write) in files {
        let path = folder.join(name);
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        write(shape, &mut out)?;
        out.flush()?;
        paths.push(path);
    }
    Ok(paths)
}

fn people(shape: Shape, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "external_id,upn,display_name,email,locale,timezone,licenses,manager_upn,phones,active")?;
    for i in 0..shape.people {
        let locale = if i % 2 == 0 { "en" } else { "fr" };
        writeln!(out, "p{i},{0},Person {i},{0},{locale},Europe/Paris,,,,true", upn(i))?;
    }
    Ok(())
}

fn groups(shape: Shape, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "external_id,name,description")?;
    (0..shape.groups()).try_for_each(|group| writeln!(out, "{},Group {group},", group_id(group)))
}

fn group_id(group: u32) -> String {
    if group == 0 { EVERYONE.to_owned() } else { format!("g{group}") }
}

/// Everybody is directly in one group; the further memberships are a tree of groups, links across it, and second groups.
fn members(shape: Shape, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "group,member_type,member")?;
    let groups = shape.groups();
    let mut left = shape.memberships();
    let mut chance = 7;
    for i in 0..shape.people {
        writeln!(out, "{},user,p{i}", group_id(i % groups))?;
        left -= 1;
    }
    for group in 1..groups {
        writeln!(out, "{},group,{}", group_id((group - 1) / CHILDREN), group_id(group))?;
        left = left.saturating_sub(1);
    }
    if shape.nested {
        // Some lead back to an earlier group, so there are cycles too. No group has two, and none repeats the tree.
        let links = u64::from(groups) * CROSS_LINKS_PER_1000 / 1000;
        for link in 0..u32::try_from(links.min(left)).unwrap_or(0) {
            let from = (link * 2 + 1) % groups;
            let to = (from + groups / 3) % groups;
            let to = if to.saturating_sub(1) / CHILDREN == from { (to + CHILDREN) % groups } else { to };
            writeln!(out, "{},group,{}", group_id(from), group_id(to))?;
            left -= 1;
        }
    }
    let mut person = 0;
    while left > 0 && person < shape.people {
        let home = person % groups;
        let other = (home + 1 + u32::try_from(next(&mut chance) % u64::from(groups - 1)).unwrap_or(0)) % groups;
        writeln!(out, "{},user,p{person}", group_id(other))?;
        (person, left) = (person + 1, left - 1);
    }
    Ok(())
}

fn devices(shape: Shape, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "external_id,name,owner_upn,platform,ownership,enrolled,app_installed,notification_permission,play_services")?;
    let (platform, play) = match shape.by {
        Reached::Google => ("android", "true"),
        Reached::Browser { .. } => ("browser", ""),
        Reached::Apple | Reached::Mail => ("ios", ""),
    };
    (0..shape.devices()).try_for_each(|i| writeln!(out, "d{i},Phone {i},{},{platform},corporate,true,true,granted,{play}", upn(i)))
}

fn registrations(shape: Shape, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "device,service,app,environment,token,endpoint,p256dh,auth")?;
    for i in 0..shape.devices() {
        match shape.by {
            Reached::Google => write!(out, "d{i},fcm,{TOPIC},production,{}", google::PREFIX)?,
            Reached::Browser { port } => write!(out, "d{i},webpush,,production,,https://127.0.0.1:{port}{}", browser::PATH)?,
            Reached::Apple | Reached::Mail => write!(out, "d{i},apns,{TOPIC},production,")?,
        }
        out.write_all(&tokens::token(i))?;
        match shape.by {
            Reached::Browser { .. } => writeln!(out, ",{},{}", browser::P256DH, browser::AUTH)?,
            Reached::Apple | Reached::Google | Reached::Mail => writeln!(out, ",,,")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    /// Who is reached from `everyone`, and how deep the tree is.
    fn reached(text: &str) -> (HashSet<&str>, usize) {
        let mut inside: HashMap<&str, Vec<(&str, &str)>> = HashMap::new();
        for line in text.lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            inside.entry(cells[0]).or_default().push((cells[1], cells[2]));
        }
        let (mut people, mut seen, mut depth) = (HashSet::new(), HashSet::from([EVERYONE]), 0);
        let mut level = vec![EVERYONE];
        while !level.is_empty() {
            depth += 1;
            let members: Vec<_> = level.iter().flat_map(|group| inside.get(group).into_iter().flatten()).collect();
            level = members.iter().filter(|(kind, group)| *kind == "group" && seen.insert(group)).map(|(_, group)| *group).collect();
            people.extend(members.iter().filter(|(kind, _)| *kind == "user").map(|(_, person)| *person));
        }
        (people, depth)
    }

    #[test]
    fn a_nested_directory_reaches_everybody_through_the_memberships_it_promises() {
        let shape = Shape { people: 100_000, nested: true, by: Reached::Apple };
        let mut text = Vec::new();
        members(shape, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(lines.len() as u64, shape.memberships());
        assert_eq!(lines.iter().collect::<HashSet<_>>().len(), lines.len(), "no membership twice");
        let (people, depth) = reached(&text);
        assert_eq!(people.len(), 100_000);
        assert!((3..=5).contains(&depth), "{depth}");
    }

    #[test]
    fn a_flat_directory_is_one_group() {
        let mut text = Vec::new();
        members(Shape { people: 10, nested: false, by: Reached::Apple }, &mut text).unwrap();
        assert_eq!(String::from_utf8(text).unwrap().lines().count(), 11);
    }
}
