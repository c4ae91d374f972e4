//! Which call a path means. Graph reads the names in a path without case and the ids with it, takes a key in parentheses
//! (OData 4.01 URL conventions §4.3.1) as well as behind a slash, and an action with its namespace before it.

use super::error::Error;
use percent_encoding::percent_decode_str;

/// A call of Graph's that Carillon knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `deviceManagement/sendCustomNotificationToCompanyPortal`
    ToGroups,
    /// `deviceManagement/managedDevices/{id}/sendCustomNotificationToCompanyPortal`
    ToDevice(String),
    /// `deviceManagement/managedDevices/executeAction`
    ToDevices,
}

const MANAGEMENT: &str = "deviceManagement";
/// Devices of Intune alone, and those that Configuration Manager manages too: the same to us.
const COLLECTIONS: [&str; 2] = ["managedDevices", "comanagedDevices"];
const SEND: &str = "sendCustomNotificationToCompanyPortal";
const EXECUTE: &str = "executeAction";

/// Longest segment that is repeated in an error.
const SHOWN_CHARS: usize = 80;

/// Reads the path of a request, its version included.
///
/// # Errors
/// Graph's word for a segment that leads nowhere, and for a version that does not have these calls.
pub(super) fn read(path: &str) -> Result<Call, Error> {
    let mut segments: Vec<String> = Vec::new();
    for raw in path.split('/').filter(|raw| !raw.is_empty()) {
        let text = percent_decode_str(raw).decode_utf8().map_err(|_| Error::malformed("malformed_path", "the path is not UTF-8"))?;
        match keyed(&text) {
            Some((name, key)) => segments.extend([name.to_owned(), key]),
            None => segments.push(text.into_owned()),
        }
    }
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (version, rest) = segments.split_first().unwrap_or((&"", &[]));
    let call = match rest {
        [m, action] if is(m, MANAGEMENT) && is_action(action, SEND) => Ok(Call::ToGroups),
        [m, devices, action] if is(m, MANAGEMENT) && is_devices(devices) && is_action(action, EXECUTE) => Ok(Call::ToDevices),
        [m, devices, id, action] if is(m, MANAGEMENT) && is_devices(devices) && is_action(action, SEND) => {
            Ok(Call::ToDevice((*id).to_owned()))
        }
        _ => Err(nowhere(rest)),
    }?;
    if is(version, "beta") {
        return Ok(call);
    }
    Err(Error::malformed(
        "unknown_path",
        format!("Resource not found for the segment {:?} here; Carillon has it below /beta", rest.last().unwrap_or(&"")),
    ))
}

/// A name and the key behind it: `managedDevices('x')`, `managedDevices(x)`. A quote in a key is doubled.
fn keyed(segment: &str) -> Option<(&str, String)> {
    let (name, rest) = segment.split_once('(')?;
    let inner = rest.strip_suffix(')')?;
    if !is_devices(name) || inner.is_empty() {
        return None;
    }
    let quoted = inner.strip_prefix('\'').and_then(|key| key.strip_suffix('\'')).map(|key| key.replace("''", "'"));
    Some((name, quoted.unwrap_or_else(|| inner.to_owned())))
}

fn is(segment: &str, name: &str) -> bool {
    segment.eq_ignore_ascii_case(name)
}

fn is_devices(segment: &str) -> bool {
    COLLECTIONS.iter().any(|name| is(segment, name))
}

fn is_action(segment: &str, name: &str) -> bool {
    let bare = segment.strip_suffix("()").unwrap_or(segment);
    is(bare, name) || bare.rsplit_once('.').is_some_and(|(space, last)| is(space, "microsoft.graph") && is(last, name))
}

/// The first segment at which the path goes astray.
fn nowhere(rest: &[&str]) -> Error {
    let astray = match rest {
        [m, devices, _, action, ..] if is(m, MANAGEMENT) && is_devices(devices) => action,
        [m, devices] if is(m, MANAGEMENT) && is_devices(devices) => devices,
        [m, devices, one] if is(m, MANAGEMENT) && is_devices(devices) => one,
        [m, next, ..] if is(m, MANAGEMENT) => next,
        [first, ..] => first,
        [] => "",
    };
    let shown: String = astray.chars().take(SHOWN_CHARS).collect();
    Error::malformed(
        "unknown_path",
        format!("Resource not found for the segment {shown:?}; Carillon has Graph's calls for custom notifications and no others"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_without_case_and_ids_with_it() {
        let one = |id: &str| Ok(Call::ToDevice(id.to_owned()));
        for (path, expected) in [
            ("/beta/deviceManagement/sendCustomNotificationToCompanyPortal", Ok(Call::ToGroups)),
            ("/beta/DEVICEmanagement/SENDcustomnotificationtocompanyportal", Ok(Call::ToGroups)),
            ("/beta/deviceManagement/microsoft.graph.sendCustomNotificationToCompanyPortal", Ok(Call::ToGroups)),
            ("/beta//deviceManagement/sendCustomNotificationToCompanyPortal/", Ok(Call::ToGroups)),
            ("/beta/deviceManagement/managedDevices/Ab-1/sendCustomNotificationToCompanyPortal", one("Ab-1")),
            ("/beta/deviceManagement/manageddevices('Ab-1')/sendCustomNotificationToCompanyPortal", one("Ab-1")),
            ("/beta/deviceManagement/managedDevices('o''neill%20%281%29')/sendCustomNotificationToCompanyPortal", one("o'neill (1)")),
            ("/beta/deviceManagement/managedDevices(Ab-1)/microsoft.graph.sendCustomNotificationToCompanyPortal()", one("Ab-1")),
            ("/beta/deviceManagement/comanagedDevices/a%2Fb/sendCustomNotificationToCompanyPortal", one("a/b")),
            // An id that looks like an action is an id.
            ("/beta/deviceManagement/managedDevices/executeAction/sendCustomNotificationToCompanyPortal", one("executeAction")),
            ("/beta/deviceManagement/managedDevices/executeAction", Ok(Call::ToDevices)),
            ("/beta/deviceManagement/managedDevices/MICROSOFT.GRAPH.executeaction", Ok(Call::ToDevices)),
        ] {
            assert_eq!(read(path).map_err(|e| e.message().to_owned()), expected, "{path}");
        }
    }

    #[test]
    fn what_is_not_there_names_the_segment() {
        for (path, segment) in [
            ("/beta", "\"\""),
            ("/beta/users", "\"users\""),
            ("/beta/deviceManagement", "\"deviceManagement\""),
            ("/beta/deviceManagement/deviceCategories", "\"deviceCategories\""),
            ("/beta/deviceManagement/managedDevices", "\"managedDevices\""),
            ("/beta/deviceManagement/managedDevices/x", "\"x\""),
            ("/beta/deviceManagement/managedDevices/x/wipe", "\"wipe\""),
            ("/beta/deviceManagement/managedDevices('x')/wipe", "\"wipe\""),
            ("/v1.0/deviceManagement/sendCustomNotificationToCompanyPortal", "below /beta"),
        ] {
            let error = read(path).expect_err(path);
            assert_eq!(error.status(), http::StatusCode::BAD_REQUEST);
            assert!(error.message().contains(segment), "{path}: {}", error.message());
        }
        assert!(read("/beta/%ff").is_err());
    }
}
