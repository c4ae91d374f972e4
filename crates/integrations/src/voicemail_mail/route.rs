//! `POST /integrations/voicemail?dialPlan=NAME`: one voice-mail mail as it stands, for `carillon mailcmd` and whatever else can
//! post a file.

use super::MAIL_BYTES;
use super::whose::Letter;
use crate::door::{Asked, Door, media_type, other_media};
use crate::intake::Intake;
use axum::Router;
use axum::extract::{Request, State};
use axum::routing;
use engine::Engine;
use http::HeaderMap;
use model::Refusal;
use model::calls::PLAN_CHARS;
use serde_json::{Value, json};
use std::sync::Arc;
use web::problem::Problem;

/// Where it is.
pub const PATH: &str = "/integrations/voicemail";
/// The media type of a mail.
pub const MEDIA_TYPE: &str = "message/rfc822";
/// The one parameter.
const DIAL_PLAN: &str = "dialPlan";

/// The route over an engine, which knows who asks, and an intake.
pub fn router(engine: Engine, intake: Arc<dyn Intake>) -> Router {
    let door = Door { engine, intake, operation: "integrations.voicemail", most_bytes: MAIL_BYTES, media };
    let answer = |State(door): State<Arc<Door>>, request: Request| async move { door.answer(request, take).await };
    Router::new().route(PATH, routing::post(answer)).with_state(Arc::new(door))
}

fn media(headers: &HeaderMap) -> Result<(), Problem> {
    let media = media_type(headers);
    if media == MEDIA_TYPE { Ok(()) } else { Err(other_media(&media, &format!("a mail with Content-Type: {MEDIA_TYPE}"))) }
}

async fn take(intake: Arc<dyn Intake>, asked: Asked) -> Result<Value, Problem> {
    let dial_plan = dial_plan(&asked.query)?;
    let letter = Letter::read(&asked.body)?;
    let mailbox = letter.whose(intake.as_ref(), dial_plan.as_deref()).await?;
    let leg = letter.leg(&mailbox, asked.received)?;
    intake.take(vec![leg]).await?;
    Ok(json!({ "accepted": 1, "dialPlan": mailbox.dial_plan, "extension": mailbox.extension }))
}

fn dial_plan(query: &str) -> Result<Option<String>, Problem> {
    let mut plan = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name != DIAL_PLAN {
            let shown: String = name.chars().take(PLAN_CHARS).collect();
            let detail = format!("there is no parameter {shown:?} here; the one there is, is {DIAL_PLAN}");
            return Err(Problem::malformed("unknown_parameter", detail));
        }
        let value = value.trim();
        if value.is_empty() || value.chars().count() > PLAN_CHARS || value.chars().any(char::is_control) {
            return Err(Refusal::field(DIAL_PLAN, format!("takes one line of 1 to {PLAN_CHARS} characters")).into());
        }
        plan = Some(value.to_owned());
    }
    Ok(plan)
}
