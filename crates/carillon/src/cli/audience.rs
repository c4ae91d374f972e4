//! What `send` and `reach` share: whom a notification names, what it says and how it travels. Names are resolved and
//! every rule is checked by the server.

use super::trouble::{Result, Trouble};
use serde_json::{Map, Value, json};
use std::io::Read;

/// Whom a notification names.
#[derive(Clone, Debug, clap::Args)]
#[group(id = "addressed", required = true, multiple = true)]
pub struct Addressed {
    /// A group: id, external id or unique name; repeatable
    #[arg(short, long = "group", value_name = "GROUP")]
    pub groups: Vec<String>,
    /// A person: id, external id or UPN; repeatable
    #[arg(short, long = "user", value_name = "PERSON")]
    pub users: Vec<String>,
    /// A device: id, external id or unique name; repeatable
    #[arg(short, long = "device", value_name = "DEVICE")]
    pub devices: Vec<String>,
}

/// How a notification travels.
#[derive(Clone, Debug, clap::Args)]
pub struct Manner {
    /// How soon it matters; high passes quiet hours
    #[arg(long, value_parser = ["very-low", "low", "normal", "high"], value_name = "URGENCY")]
    pub urgency: Option<String>,
    /// Send it then, not now, such as 2026-11-20T08:30:00+01:00
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// Not worth delivering after so long, such as 2h, 3d or 90m
    #[arg(long, value_name = "SPAN", conflicts_with = "expires_at")]
    pub expires_in: Option<String>,
    /// Not worth delivering after this time
    #[arg(long, value_name = "TIME")]
    pub expires_at: Option<String>,
    /// Push and mail carry no content; the app fetches it
    #[arg(long)]
    pub private: bool,
    /// frozen: the members at acceptance; live: and still members at each attempt
    #[arg(long, value_parser = ["frozen", "live"], value_name = "MODE")]
    pub audience: Option<String>,
}

/// The body of a request to send or to reckon the reach.
///
/// # Errors
/// When standard input, named by `-`, cannot be read.
pub fn request(addressed: &Addressed, manner: &Manner, title: Option<&str>, body: Option<&str>) -> Result<Value> {
    let mut request = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            request.insert(name.to_owned(), value);
        }
    };
    let list = |names: &[String]| (!names.is_empty()).then(|| json!(names));
    let word = |word: &Option<String>| word.as_ref().map(|w| json!(w));
    put("title", title.map(|t| json!(t)));
    put("body", body.map(read_body).transpose()?.map(|b| json!(b)));
    put("groups", list(&addressed.groups));
    put("users", list(&addressed.users));
    put("devices", list(&addressed.devices));
    put("urgency", word(&manner.urgency));
    put("at", word(&manner.at));
    put("expiresIn", word(&manner.expires_in));
    put("expiresAt", word(&manner.expires_at));
    put("private", manner.private.then_some(json!(true)));
    put("audience", word(&manner.audience));
    Ok(Value::Object(request))
}

/// `-` reads standard input, without the line break at its end.
fn read_body(body: &str) -> Result<String> {
    if body != "-" {
        return Ok(body.to_owned());
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|e| Trouble::usage(format!("--body -: standard input cannot be read ({e})")))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_said_is_in_the_request() {
        let addressed = Addressed { groups: vec!["Lyon".into(), "Paris".into()], users: vec![], devices: vec![] };
        let manner = Manner { urgency: None, at: None, expires_in: Some("2h".into()), expires_at: None, private: true, audience: None };
        let body = request(&addressed, &manner, Some("T"), Some("B")).expect("a request");
        assert_eq!(body, json!({"title": "T", "body": "B", "groups": ["Lyon", "Paris"], "expiresIn": "2h", "private": true}));
    }
}
