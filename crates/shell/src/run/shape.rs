//! Stages that choose, sort, count and show what is in the pipeline.

use super::{Active, Running, Stop};
use crate::catalogue::BuiltIn;
use crate::compare::{like, number, order};
use crate::item::{Item, Object, text};
use crate::plan::Planned;
use crate::view;
use crate::wrong::Mishap;
use serde_json::{Value, json};
use std::cmp::Ordering;
use std::collections::HashSet;

/// One step of such a stage.
pub(super) async fn advance(
    running: &mut Running<'_>,
    own: BuiltIn,
    call: &Planned<'_>,
    stage: &mut Active<'_>,
    before: &mut [Active<'_>],
) -> Result<(), Stop> {
    let here = stage.here;
    if own == BuiltIn::Select && call.own_count("Last", here).is_none() && !call.own_flag("Unique", here) {
        return stream(running, call, stage, before).await;
    }
    stage.ended = true;
    let mut all = running.gather(call.cmdlet, before).await?;
    let names = call.own_names("Property", here);
    stage.ready = match own {
        BuiltIn::Select => {
            let skip = usize::try_from(call.own_count("Skip", here).unwrap_or(0)).unwrap_or(usize::MAX);
            let all = all.split_off(skip.min(all.len()));
            let mut chosen = Vec::with_capacity(all.len());
            for item in all {
                chosen.extend(select(running, call, item, here)?);
            }
            if call.own_flag("Unique", here) {
                chosen = unique(chosen, &[]);
            }
            let (first, last) = (call.own_count("First", here), call.own_count("Last", here));
            let bounded = |most: Option<u64>| most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
            if last.is_some() {
                chosen = chosen.split_off(chosen.len().saturating_sub(bounded(last)));
            }
            chosen.truncate(bounded(first));
            chosen.into()
        }
        BuiltIn::Sort => sort(call, all, &names, here).into(),
        BuiltIn::Measure => measure(running, call, &all, names.first().map(String::as_str), here)?.into(),
        BuiltIn::FormatTable | BuiltIn::FormatList if running.json => {
            all.into_iter().map(|item| if names.is_empty() { item } else { narrowed(&item, &names) }).collect::<Vec<_>>().into()
        }
        BuiltIn::FormatTable => vec![Item::Plain(view::table(&all, &names, running.width).into())].into(),
        BuiltIn::FormatList => vec![Item::Plain(view::list(&all, &names).into())].into(),
        _ if running.json => all.into(),
        _ => vec![Item::Plain(view::json(&all, call.own_flag("Compress", here)).into())].into(),
    };
    stage.ready.retain(|item| !matches!(item, Item::Plain(Value::String(text)) if text.is_empty() && own != BuiltIn::Select));
    Ok(())
}

/// `Select-Object` without a look at the end: it stops to pull when it has enough.
async fn stream(running: &mut Running<'_>, call: &Planned<'_>, stage: &mut Active<'_>, before: &mut [Active<'_>]) -> Result<(), Stop> {
    let here = stage.here;
    let (first, skip) = (call.own_count("First", here), call.own_count("Skip", here).unwrap_or(0));
    if first.is_some_and(|first| stage.count >= first.saturating_add(skip)) {
        stage.ended = true;
        return Ok(());
    }
    match running.next(before).await? {
        Some(item) => {
            stage.count += 1;
            if stage.count > skip {
                let chosen = select(running, call, item, here)?;
                stage.ready.extend(chosen);
            }
        }
        None => stage.ended = true,
    }
    Ok(())
}

/// What `Select-Object` makes of one object.
fn select(running: &mut Running<'_>, call: &Planned<'_>, item: Item, here: Option<&Item>) -> Result<Vec<Item>, Stop> {
    let names = call.own_names("Property", here);
    if let Some(name) = call.own_text("ExpandProperty", here) {
        let found = match &item {
            Item::Object(object) => object.get(&name).cloned().ok_or_else(|| object.names()),
            Item::Plain(_) => Err(Vec::new()),
        };
        return match found {
            Ok(value) => Ok(super::plain(value).into()),
            Err(there) => {
                running.report(call.cmdlet.name, "", Mishap::NoProperty { name, there });
                Err(Stop)
            }
        };
    }
    Ok(vec![if names.is_empty() { item } else { narrowed(&item, &names) }])
}

/// An object with some of its properties; one that it does not have is there, and empty.
pub(crate) fn narrowed(item: &Item, names: &[String]) -> Item {
    let Item::Object(object) = item else { return item.clone() };
    let mut properties: Vec<(String, Value)> = Vec::new();
    for name in names {
        if name.contains(['*', '?']) {
            properties.extend(object.properties.iter().filter(|(known, _)| like(name, known)).cloned());
        } else {
            let known = object.properties.iter().find(|(known, _)| crate::item::same(known, name)).map(|(known, _)| known.clone());
            properties.push((known.unwrap_or_else(|| name.clone()), object.get(name).cloned().unwrap_or_default()));
        }
    }
    Item::Object(Object { kind: object.kind, properties })
}

/// What an object is compared by.
fn keys(item: &Item, names: &[String]) -> Vec<Value> {
    match (item, names) {
        (Item::Object(object), []) => object.properties.iter().map(|(_, value)| value.clone()).collect(),
        (Item::Object(object), names) => names.iter().map(|name| object.get(name).cloned().unwrap_or_default()).collect(),
        (Item::Plain(value), _) => vec![value.clone()],
    }
}

fn unique(items: Vec<Item>, names: &[String]) -> Vec<Item> {
    let mut seen = HashSet::new();
    items.into_iter().filter(|item| seen.insert(format!("{:?}", keys(item, names)).to_lowercase())).collect()
}

fn sort(call: &Planned<'_>, items: Vec<Item>, names: &[String], here: Option<&Item>) -> Vec<Item> {
    let mut keyed: Vec<(Vec<Value>, Item)> = items.into_iter().map(|item| (keys(&item, names), item)).collect();
    // What is not there comes first, as in PowerShell. Numbers stand before texts, so that there is one order among all.
    let rank = |value: &Value| if value.is_null() { 0 } else { 1 + u8::from(number(value).is_none()) };
    let one = |left: &Value, right: &Value| rank(left).cmp(&rank(right)).then_with(|| order(left, right).unwrap_or(Ordering::Equal));
    let descending = call.own_flag("Descending", here);
    keyed.sort_by(|(left, _), (right, _)| {
        let first = left.iter().zip(right).map(|(left, right)| one(left, right)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal);
        if descending { first.reverse() } else { first }
    });
    let sorted = keyed.into_iter().map(|(_, item)| item).collect();
    if call.own_flag("Unique", here) { unique(sorted, names) } else { sorted }
}

fn measure(
    running: &mut Running<'_>,
    call: &Planned<'_>,
    items: &[Item],
    name: Option<&str>,
    here: Option<&Item>,
) -> Result<Vec<Item>, Stop> {
    let mut properties = vec![("Count".to_owned(), json!(items.len()))];
    let wanted: Vec<&'static str> = ["Sum", "Average", "Minimum", "Maximum"].into_iter().filter(|flag| call.own_flag(flag, here)).collect();
    if !wanted.is_empty() {
        let values = items.iter().map(|item| item.at(&name.map(|name| vec![name.to_owned()]).unwrap_or_default()));
        let mut numbers = Vec::new();
        for value in values.filter(|value| !value.is_null()) {
            match number(&value) {
                Some(number) => numbers.push(number),
                None => {
                    let property = name.unwrap_or("$_").to_owned();
                    running.report(call.cmdlet.name, "", Mishap::NotANumber { property, value: text(&value) });
                    return Err(Stop);
                }
            }
        }
        let sum: f64 = numbers.iter().sum();
        for flag in wanted {
            let result = match flag {
                "Sum" => Some(sum),
                "Average" => (!numbers.is_empty()).then(|| sum / numbers.len() as f64),
                "Minimum" => numbers.iter().copied().reduce(f64::min),
                _ => numbers.iter().copied().reduce(f64::max),
            };
            properties.push((flag.to_owned(), result.map_or(Value::Null, written)));
        }
        properties.extend(name.map(|name| ("Property".to_owned(), name.into())));
    }
    Ok(vec![Item::Object(Object::from_pairs(properties))])
}

/// A number without a fraction that it does not have.
fn written(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 1e15 { json!(number as i64) } else { json!(number) }
}
