//! The viewer of the API's description: one page, made from the OpenAPI document, that needs no script and loads nothing
//! but its own style. Headings, lists and tables carry the structure, so it can be read with a keyboard or a screen reader.

use serde_json::{Map, Value};
use std::fmt::Write;

/// The page's style.
pub const STYLE: &str = include_str!("../assets/docs.css");

/// How deep examples follow objects into objects.
const DEPTH: u8 = 4;

/// The page for a document.
pub fn page(document: &Value) -> String {
    let mut out = String::with_capacity(1 << 18);
    let title = text(&document["info"]["title"]);
    head(&mut out, title);
    out.push_str("<a class=\"skip\" href=\"#main\">Skip to the description</a>\n");
    let _ = write!(
        out,
        "<header class=\"top\"><a class=\"name\" href=\"#main\">{}</a> <span class=\"version\">API {}</span> \
         <a class=\"raw\" href=\"/openapi.json\">openapi.json</a></header>\n<div class=\"frame\">\n",
        escape(title),
        escape(text(&document["info"]["version"]))
    );
    navigation(&mut out, document);
    out.push_str("<main id=\"main\" tabindex=\"-1\">\n");
    introduction(&mut out, document);
    for tag in array(&document["tags"]) {
        section(&mut out, document, tag);
    }
    components(&mut out, document);
    out.push_str("</main>\n</div>\n</body>\n</html>\n");
    out
}

fn head(out: &mut String, title: &str) {
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{} API</title>\n<link rel=\"icon\" href=\"data:,\">\n\
         <link rel=\"stylesheet\" href=\"/docs/style.css\">\n</head>\n<body>\n",
        escape(title)
    );
}

/// Every operation: path, method, description.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let mut all = Vec::new();
    for (path, item) in object(&document["paths"]) {
        for method in ["get", "post", "put", "patch", "delete"] {
            if let Some(operation) = item.get(method) {
                all.push((path.as_str(), method, operation));
            }
        }
    }
    all
}

fn of_tag<'a>(document: &'a Value, tag: &str) -> Vec<(&'a str, &'a str, &'a Value)> {
    operations(document).into_iter().filter(|(_, _, operation)| text(&operation["tags"][0]) == tag).collect()
}

fn navigation(out: &mut String, document: &Value) {
    out.push_str("<nav aria-label=\"Operations\"><details class=\"menu\"><summary>Contents</summary>\n");
    for tag in array(&document["tags"]) {
        let name = text(&tag["name"]);
        let _ = writeln!(out, "<h2><a href=\"#{0}\">{0}</a></h2>\n<ul>", escape(name));
        for (_, method, operation) in of_tag(document, name) {
            let _ = writeln!(
                out,
                "<li><a href=\"#{}\"><span class=\"verb {method}\">{}</span> {}</a></li>",
                escape(text(&operation["operationId"])),
                method.to_uppercase(),
                escape(text(&operation["summary"]))
            );
        }
        out.push_str("</ul>\n");
    }
    out.push_str("<h2><a href=\"#objects\">Objects</a></h2>\n</details></nav>\n");
}

fn introduction(out: &mut String, document: &Value) {
    let _ = writeln!(out, "<h1>{} API</h1>", escape(text(&document["info"]["title"])));
    for paragraph in text(&document["info"]["description"]).split("\n\n") {
        out.push_str("<p class=\"lead\">");
        prose(out, paragraph);
        out.push_str("</p>\n");
    }
    let server = server(document);
    let _ = write!(
        out,
        "<h2 id=\"begin\">How to begin</h2>\n<p>Send your token with every request:</p>\n\
         <pre tabindex=\"0\"><code>curl -H \"Authorization: Bearer $CARILLON_TOKEN\" {}/api/v1/me</code></pre>\n",
        escape(server)
    );
}

fn server(document: &Value) -> &str {
    match text(&document["servers"][0]["url"]) {
        "" | "/" => "http://127.0.0.1:8080",
        url => url,
    }
}

fn section(out: &mut String, document: &Value, tag: &Value) {
    let name = text(&tag["name"]);
    let _ = write!(
        out,
        "<section aria-labelledby=\"{0}\">\n<h2 id=\"{0}\">{0}</h2>\n<p class=\"lead\">{1}</p>\n",
        escape(name),
        escape(text(&tag["description"]))
    );
    for (path, method, operation) in of_tag(document, name) {
        article(out, document, path, method, operation);
    }
    out.push_str("</section>\n");
}

fn article(out: &mut String, document: &Value, path: &str, method: &str, operation: &Value) {
    let id = text(&operation["operationId"]);
    let _ = write!(
        out,
        "<article aria-labelledby=\"{id}\">\n<h3 id=\"{id}\">{summary} <a class=\"here\" href=\"#{id}\" aria-label=\"Link to {summary}\">#</a></h3>\n\
         <p class=\"route\"><span class=\"verb {method}\">{verb}</span> <code>{path}</code></p>\n<p>",
        id = escape(id),
        summary = escape(text(&operation["summary"])),
        verb = method.to_uppercase(),
        path = path_words(path)
    );
    prose(out, text(&operation["description"]));
    out.push_str("</p>\n");
    parameters(out, operation);
    body(out, document, operation);
    example(out, document, path, method, operation);
    answers(out, document, operation);
    out.push_str("</article>\n");
}

/// A path whose parts may be broken at slashes on narrow screens.
fn path_words(path: &str) -> String {
    escape(path).replace('/', "/<wbr>").replace('{', "<var>{").replace('}', "}</var>")
}

fn parameters(out: &mut String, operation: &Value) {
    let all = array(&operation["parameters"]);
    if all.is_empty() {
        return;
    }
    out.push_str("<h4>Parameters</h4>\n<table class=\"fields\"><thead><tr><th scope=\"col\">Name</th><th scope=\"col\">Kind</th><th scope=\"col\">Meaning</th></tr></thead><tbody>\n");
    for parameter in all {
        let _ = write!(
            out,
            "<tr><th scope=\"row\"><code>{}</code> <span class=\"place\">{}</span></th><td>{}</td><td>",
            escape(text(&parameter["name"])),
            escape(text(&parameter["in"])),
            kind(&parameter["schema"])
        );
        prose(out, text(&parameter["description"]));
        out.push_str("</td></tr>\n");
    }
    out.push_str("</tbody></table>\n");
}

fn body(out: &mut String, document: &Value, operation: &Value) {
    let Some(content) = operation["requestBody"]["content"].as_object() else { return };
    let optional = if operation["requestBody"]["required"] == true { "" } else { ", may be left out" };
    for (media, kind_of) in content {
        let _ = writeln!(out, "<h4>Body <span class=\"media\">{}{optional}</span></h4>", escape(media));
        let (schema, name) = resolved(document, &kind_of["schema"]);
        if let Some(name) = name {
            let _ = writeln!(out, "<p>{}</p>", object_link(name));
        }
        fields(out, schema);
    }
}

/// A schema and the name of its component, when it is one.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> (&'a Value, Option<&'a str>) {
    match schema["$ref"].as_str().and_then(|to| to.rsplit('/').next()) {
        Some(name) => (&document["components"]["schemas"][name], Some(name)),
        None => (schema, None),
    }
}

fn object_link(name: &str) -> String {
    format!("<a href=\"#object-{0}\">{0}</a>", escape(name))
}

fn fields(out: &mut String, schema: &Value) {
    let Some(properties) = schema["properties"].as_object() else { return };
    let needed = array(&schema["required"]);
    let closed = schema["additionalProperties"] == false;
    out.push_str("<table class=\"fields\"><thead><tr><th scope=\"col\">Field</th><th scope=\"col\">Kind</th><th scope=\"col\">Meaning</th></tr></thead><tbody>\n");
    // Of what is sent, the needed fields first; otherwise by name.
    let mut all: Vec<(&String, &Value, bool)> =
        properties.iter().map(|(name, field)| (name, field, needed.iter().any(|n| n == name))).collect();
    all.sort_by_key(|(_, _, must)| closed && !must);
    for (name, field, must) in all {
        let mark = match (closed, must) {
            (true, true) => " <span class=\"must\">needed</span>",
            (false, false) => " <span class=\"place\">sometimes</span>",
            _ => "",
        };
        let _ = write!(out, "<tr><th scope=\"row\"><code>{}</code>{mark}</th><td>{}</td><td>", escape(name), kind(field));
        prose(out, text(&field["description"]));
        if let Some(example) = field["examples"].get(0) {
            let _ = write!(out, " <span class=\"eg\">such as <code>{}</code></span>", escape(&example.to_string()));
        }
        out.push_str("</td></tr>\n");
    }
    out.push_str("</tbody></table>\n");
}

/// What a value looks like, in a few words.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|to| to.rsplit('/').next()) {
        return object_link(name);
    }
    if let Some(either) = schema["oneOf"].as_array() {
        let parts: Vec<String> = either.iter().map(kind).collect();
        return parts.join(" or ");
    }
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<String> =
            words.iter().map(|w| w.as_str().map_or("null".into(), |w| format!("<code>{}</code>", escape(w)))).collect();
        return words.join(" · ");
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    let words: Vec<String> = types.iter().map(|one| typed(schema, one)).collect();
    if words.is_empty() { "any value".into() } else { words.join(" or ") }
}

fn typed(schema: &Value, one: &str) -> String {
    let bounds = |least: &Value, most: &Value, unit: &str| match (least.as_i64(), most.as_i64()) {
        (Some(least), Some(most)) => format!(", {least}–{most}{unit}"),
        (None, Some(most)) => format!(", at most {most}{unit}"),
        _ => String::new(),
    };
    match one {
        "string" => {
            let format = match text(&schema["format"]) {
                "uuid" => "id".to_owned(),
                "date-time" => "time".to_owned(),
                "" => "text".to_owned(),
                other => escape(other),
            };
            format + &bounds(&schema["minLength"], &schema["maxLength"], " characters")
        }
        "integer" => format!("number{}", bounds(&schema["minimum"], &schema["maximum"], "")),
        "boolean" => "true or false".into(),
        "array" => format!("list of {}{}", kind(&schema["items"]), bounds(&Value::Null, &schema["maxItems"], "")),
        "object" => match &schema["additionalProperties"] {
            inner @ Value::Object(_) => format!("{} by word", kind(inner)),
            _ => "object".into(),
        },
        other => escape(other),
    }
}

fn example(out: &mut String, document: &Value, path: &str, method: &str, operation: &Value) {
    let needs_token = operation.get("security").is_some();
    let mut lines = vec![format!("curl -X {} {}{}", method.to_uppercase(), server(document), path)];
    if needs_token {
        lines.push("  -H \"Authorization: Bearer $CARILLON_TOKEN\"".into());
    }
    let json = &operation["requestBody"]["content"]["application/json"]["schema"];
    if !json.is_null() {
        lines.push("  -H \"Content-Type: application/json\"".into());
        let body = serde_json::to_string_pretty(&sample(document, json, DEPTH, true)).unwrap_or_default();
        lines.push(format!("  -d '{body}'"));
    } else if operation["requestBody"]["content"].get("multipart/form-data").is_some() {
        lines.push("  -F people=@people.csv -F devices=@devices.csv".into());
    }
    let _ = writeln!(
        out,
        "<details class=\"try\"><summary>Example request</summary>\n<pre tabindex=\"0\"><code>{}</code></pre></details>",
        escape(&lines.join(" \\\n"))
    );
}

/// A value as it may be; of what is sent, only the needed fields and those with an example.
fn sample(document: &Value, schema: &Value, depth: u8, sending: bool) -> Value {
    let (schema, _) = resolved(document, schema);
    if let Some(example) = schema["examples"].get(0) {
        return example.clone();
    }
    if let Some(word) = schema["enum"].get(0) {
        return word.clone();
    }
    if let Some(first) = schema["oneOf"].get(0) {
        return if depth == 0 { Value::Null } else { sample(document, first, depth - 1, sending) };
    }
    let one = match &schema["type"] {
        Value::Array(types) => types.first().and_then(Value::as_str).unwrap_or(""),
        one => text(one),
    };
    match one {
        "object" if depth > 0 => {
            let mut made = Map::new();
            let needed = array(&schema["required"]);
            for (name, field) in object(&schema["properties"]) {
                if !sending || needed.iter().any(|n| n == name) || field["examples"].get(0).is_some() {
                    made.insert(name.clone(), sample(document, field, depth - 1, sending));
                }
            }
            Value::Object(made)
        }
        "object" => Value::Object(Map::new()),
        "array" if depth > 0 => Value::Array(vec![sample(document, &schema["items"], depth - 1, sending)]),
        "array" => Value::Array(Vec::new()),
        "string" => Value::from("…"),
        "integer" => Value::from(1),
        "boolean" => Value::from(true),
        _ => Value::Null,
    }
}

fn answers(out: &mut String, document: &Value, operation: &Value) {
    out.push_str("<h4>Answers</h4>\n<table class=\"answers\"><thead><tr><th scope=\"col\">Status</th><th scope=\"col\">Meaning</th></tr></thead><tbody>\n");
    for (status, response) in object(&operation["responses"]) {
        let class = if status.starts_with('2') { "good" } else { "bad" };
        let _ = write!(out, "<tr class=\"{class}\"><th scope=\"row\">{}</th><td>", escape(status));
        answer_words(out, text(&response["description"]));
        let good = status.starts_with('2').then(|| object(&response["content"])).into_iter().flatten();
        for (media, content) in good {
            match resolved(document, &content["schema"]).1 {
                Some(name) => {
                    let _ = write!(out, " {}", object_link(name));
                }
                None => {
                    let _ = write!(out, " <span class=\"media\">{}</span>", escape(media));
                }
            }
        }
        for (name, _) in object(&response["headers"]) {
            let _ = write!(out, " <span class=\"place\">{}</span>", escape(name));
        }
        out.push_str("</td></tr>\n");
    }
    out.push_str("</tbody></table>\n");
}

/// A description whose `Codes: a, b.` become code words.
fn answer_words(out: &mut String, words: &str) {
    let Some((before, codes)) = words.split_once(" Codes: ") else { return prose(out, words) };
    prose(out, before);
    for code in codes.trim_end_matches('.').split(", ") {
        let _ = write!(out, " <code>{}</code>", escape(code));
    }
}

fn components(out: &mut String, document: &Value) {
    out.push_str(
        "<section aria-labelledby=\"objects\">\n<h2 id=\"objects\">Objects</h2>\n<p class=\"lead\">What is sent and received.</p>\n",
    );
    for (name, schema) in object(&document["components"]["schemas"]) {
        let _ = writeln!(out, "<article aria-labelledby=\"object-{0}\">\n<h3 id=\"object-{0}\">{0}</h3>", escape(name));
        fields(out, schema);
        let sending = schema["additionalProperties"] == false;
        let sample = serde_json::to_string_pretty(&sample(document, schema, DEPTH, sending)).unwrap_or_default();
        let _ = writeln!(
            out,
            "<details class=\"try\"><summary>Example</summary>\n<pre tabindex=\"0\"><code>{}</code></pre></details>\n</article>",
            escape(&sample)
        );
    }
    out.push_str("</section>\n");
}

/// Text with `words` in backticks set as code.
fn prose(out: &mut String, words: &str) {
    for (place, part) in words.split('`').enumerate() {
        if place % 2 == 1 {
            let _ = write!(out, "<code>{}</code>", escape(part));
        } else {
            out.push_str(&escape(part));
        }
    }
}

fn escape(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for c in words.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{openapi, routes};

    fn shown() -> (Value, String) {
        let sources = sources::all();
        let declared: Vec<_> = sources.iter().flat_map(|source| source.declaration().objects).collect();
        let document = openapi::document(&routes::all(&declared), &declared, "1", "");
        let document = serde_json::to_value(document).expect("a document");
        let page = page(&document);
        (document, page)
    }

    #[test]
    fn every_operation_and_object_has_a_place_and_every_link_leads_to_one() {
        let (document, page) = shown();
        for (_, _, operation) in operations(&document) {
            assert!(page.contains(&format!("<h3 id=\"{}\">", text(&operation["operationId"]))), "{operation}");
        }
        for link in page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(page.contains(&format!("id=\"{link}\"")), "nothing is at #{link}");
        }
    }

    #[test]
    fn the_page_needs_no_script_and_loads_nothing_from_elsewhere() {
        let (_, page) = shown();
        assert!(!page.contains("<script") && !page.contains(" onclick") && !page.contains("style=\""));
        assert!(!page.contains("src=\"http") && !page.contains("href=\"http"));
        assert!(!STYLE.contains("@import") && !STYLE.contains("http"));
    }

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escape("<b a=\"1\">&'"), "&lt;b a=&quot;1&quot;&gt;&amp;&#39;");
    }
}
