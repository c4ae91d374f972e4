//! Names, import and export.

use crate::App;
use crate::answer::{Reply, json, ok};
use crate::ask::{Asker, Ids, Query, Word};
use crate::openapi::shape;
use crate::problem::Problem;
use crate::routes::{Access, Doc, Route, delete, get, post};
use axum::body::Body;
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::response::Response;
use axum::routing;
use bytes::Bytes;
use engine::admin::transfer::{EXPORT_FILES, ImportEnd, ImportJob, ImportPlace, ImportQuery};
use engine::notifications::Page;
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use model::roles::Permission;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncWriteExt, BufWriter};
use tokio_util::io::ReaderStream;

const READ: Access = Access::Admin(Permission::DirectoryRead);
const WRITE: Access = Access::Admin(Permission::DirectoryWrite);
const IMPORTS: &str = "/api/v1/directory/imports";
const IMPORT: &str = "/api/v1/directory/imports/{id}";
/// Longest pause inside an upload.
const PAUSE: Duration = Duration::from_secs(60);
/// Bytes gathered before they are written: fewer trips to the disk.
const GATHER: usize = 1 << 18;

fn doc(id: &'static str, summary: &'static str, access: Access) -> Doc {
    Doc::new("Directory", id, summary, access)
}

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    let mut routes = vec![
        get(
            "/api/v1/resolve",
            routing::get(resolve),
            doc("resolve", "Find objects by name", READ)
                .detail("Everything that a name may mean: none, one or several objects; by id, else external id, else UPN or name.")
                .needed_query("kind", "Of which kind.", shape::words(vec!["user", "group", "device"]))
                .needed_query("name", "An id, an external id, a UPN or a name.", shape::text_of(1, 256))
                .gives(200, "What the name may mean; at most ten.", "NamedPage"),
        ),
        get(
            "/api/v1/directory/export/{file}",
            routing::get(export),
            doc("exportFile", "Export the directory", READ)
                .detail(
                    "One of five CSV files that import back without change. Asked for one after another they are of one moment. \
                     registrations.csv holds tokens and needs Directory/Write.",
                )
                .word("file", "Which file.", shape::words(EXPORT_FILES.to_vec()))
                .gives_text(200, "The file.", "text/csv"),
        ),
    ];
    routes.extend(imports());
    routes
}

fn imports() -> Vec<Route> {
    let files = shape::map(shape::text().about("A CSV file, as a part with a file name.")).about("Up to 20 files of 4 GiB together.");
    vec![
        post(
            "/api/v1/directory/import",
            routing::post(import),
            doc("importDirectory", "Import CSV files", WRITE)
                .detail(
                    "Files are told apart by their header line: people, groups, members, devices, registrations. All or nothing; the same files \
                     again change nothing. Prefer: respond-async answers at once with a job to follow.",
                )
                .query("mode", "upsert (usual), or replace, which removes what the files do not name.", shape::words(vec!["upsert", "replace"]))
                .query("dryRun", "Check and report only.", shape::flag())
                .query("allowManyRemovals", "Let a replace remove more than 5 %.", shape::flag())
                .query("name", "The file's name in reports, when the body is the file.", shape::text())
                .header("Prefer", "respond-async", shape::text())
                .sends_files(vec![("multipart/form-data", files), ("text/csv", shape::text())])
                .gives(200, "What was done, or would be.", "ImportReport")
                .gives(202, "The job that was started.", "ImportJob")
                .refuses(403, "beyond_own_rights")
                .refuses(409, "import_in_progress")
                .refuses(413, "too_many_files")
                .refuses(415, "unsupported_media_type")
                .refuses(422, "import_invalid"),
        ),
        get(
            IMPORT,
            routing::get(follow),
            doc("getImport", "Follow an import", WRITE).id("id", "The import's id.").gives(200, "How far it is.", "ImportJob"),
        ),
        delete(
            IMPORT,
            routing::delete(stop),
            doc("stopImport", "Give a running import up", WRITE)
                .detail("Nothing of it is applied, unless it was just becoming visible: the answer says which.")
                .id("id", "The import's id.")
                .gives(200, "How it ended.", "ImportJob"),
        ),
    ]
}

/// What is looked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResolveQuery {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    name: String,
}

async fn resolve(State(app): State<App>, asker: Asker, Query(query): Query<ResolveQuery>) -> Reply {
    let items = app.engine.lookup(&asker.actor, &query.kind, &query.name).await?;
    ok(&Page { items, next_cursor: None })
}

async fn export(State(app): State<App>, asker: Asker, Word(file): Word) -> Reply {
    let ready = app.engine.export_file(&asker.actor, &file).await?;
    let mut response = Response::new(Body::from_stream(ReaderStream::with_capacity(ready.file, GATHER)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(ready.bytes));
    if let Ok(name) = HeaderValue::try_from(format!("attachment; filename=\"{file}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

async fn import(State(app): State<App>, asker: Asker, Query(query): Query<ImportQuery>, request: Request) -> Reply {
    let later = wants_later(request.headers());
    let media = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("").to_ascii_lowercase();
    let mut place = app.engine.begin_import(&asker.actor, &query).await?;
    if media.starts_with("multipart/form-data") {
        let parts = Multipart::from_request(request, &app).await.map_err(|e| Problem::malformed("malformed_multipart", e.body_text()))?;
        receive_parts(&mut place, parts).await?;
    } else if media.starts_with("text/csv") || media.starts_with("application/csv") {
        let name = query.name.clone().unwrap_or_default();
        receive(&mut place, &name, request.into_body().into_data_stream()).await?;
    } else {
        let detail = "send CSV files as multipart/form-data, or one file as text/csv";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
    }
    let job = app.engine.import(place, query)?;
    if later {
        return Ok(accepted(&job));
    }
    match &*job.finished().await {
        ImportEnd::Done(report) => {
            let mut body = serde_json::to_value(report).expect("a report has only names as keys");
            body["id"] = json!(job.id());
            ok(&body)
        }
        ImportEnd::Failed(refusal, count) => Err(failed(refusal, *count)),
    }
}

fn wants_later(headers: &HeaderMap) -> bool {
    let all = headers.get_all("prefer").into_iter().filter_map(|v| v.to_str().ok());
    all.flat_map(|text| text.split(',')).any(|one| one.trim().eq_ignore_ascii_case("respond-async"))
}

async fn receive_parts(place: &mut ImportPlace, mut parts: Multipart) -> Result<(), Problem> {
    loop {
        let next = tokio::time::timeout(PAUSE, parts.next_field()).await.map_err(|_| stalled())?;
        let Some(part) = next.map_err(|e| Problem::malformed("malformed_multipart", e.body_text()))? else { return Ok(()) };
        let name = part.file_name().or(part.name()).unwrap_or("").to_owned();
        receive(place, &name, part).await?;
    }
}

async fn receive<E>(place: &mut ImportPlace, name: &str, chunks: impl Stream<Item = Result<Bytes, E>>) -> Result<(), Problem> {
    let mut file = BufWriter::with_capacity(GATHER, place.open(name).await?);
    let mut chunks = std::pin::pin!(chunks);
    while let Some(chunk) = tokio::time::timeout(PAUSE, chunks.next()).await.map_err(|_| stalled())? {
        let chunk = chunk.map_err(|_| Problem::malformed("incomplete_body", "the body ended early; send it again"))?;
        place.take(chunk.len())?;
        file.write_all(&chunk).await.map_err(|e| place.failed(&e))?;
    }
    file.flush().await.map_err(|e| place.failed(&e).into())
}

fn stalled() -> Problem {
    Problem::malformed("incomplete_body", format!("nothing came for {} s; send the files again", PAUSE.as_secs()))
}

fn failed(refusal: &model::Refusal, count: u64) -> Problem {
    let problem = Problem::from(refusal.clone());
    if count > 0 { problem.with_fault_count(count) } else { problem }
}

fn accepted(job: &ImportJob) -> Response {
    let mut response = json(StatusCode::ACCEPTED, &job.view());
    if let Ok(place) = HeaderValue::try_from(format!("{IMPORTS}/{}", job.id())) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response.headers_mut().insert(HeaderName::from_static("preference-applied"), HeaderValue::from_static("respond-async"));
    response
}

/// How far a job is, with its report or its problem at the end.
fn standing(job: &ImportJob) -> Value {
    let mut body = serde_json::to_value(job.view()).expect("a view has only names as keys");
    match job.end().as_deref() {
        None => {}
        Some(ImportEnd::Done(report)) => body["report"] = json!(report),
        Some(ImportEnd::Failed(refusal, count)) => body["problem"] = failed(refusal, *count).document(),
    }
    body
}

async fn follow(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>) -> Reply {
    ok(&standing(&*app.engine.import_job(&asker.actor, id)?))
}

async fn stop(State(app): State<App>, asker: Asker, Ids([id]): Ids<1>) -> Reply {
    ok(&standing(&*app.engine.stop_import(&asker.actor, id).await?))
}
