//! The admin API over its real socket and a real store, spoken to as the commands do.

use std::path::Path;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::UnixStream;

use super::*;
use crate::clock::SystemClock;
use crate::egress::Exit;
use crate::events::{EventsOptions, samples};
use crate::intake::{IntakeLimits, IntakeParts};
use crate::mail::{Facts, Failure, Mailbox, Message};
use crate::queue::{
    self as queue_words, BoxFuture, Courier, Leases, Notices, Partners, Permit, Permits,
    QueueOptions, Records, Route, Told,
};
use crate::store::vault::Vault;
use crate::store::{Change, RealDisk, StoreOptions};
use crate::supervise;
use crate::token;

/// Nothing moves: the queue of these tests is never run.
struct Nobody;

impl Courier for Nobody {
    fn route(&self, _: Domain, _: u16) -> BoxFuture<'static, Result<Arc<Route>, Failure>> {
        Box::pin(std::future::pending())
    }
    fn connect(&self, _: Arc<Route>, _: Exit, _: Leases) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

impl Notices for Nobody {
    fn notice(&self, _: &Told<'_>) -> Option<Arc<Message>> {
        None
    }
}

impl queue_words::Suppression for Nobody {
    fn suppressed(&self, _: &Facts, _: &Mailbox) -> Option<&'static str> {
        None
    }
    fn bounced(&self, _: &Facts, _: u32, _: &Failure, put: &mut dyn FnMut(Records)) {
        put(Records::new());
    }
}

impl Permits for Nobody {
    fn permits(&self, _: u16, _: &str) -> Vec<Permit> {
        Vec::new()
    }
    fn weight(&self, _: u16) -> u32 {
        1
    }
}

/// A server in a folder of its own.
struct Server {
    dir: tempfile::TempDir,
    store: Store,
    stop: watch::Sender<bool>,
    ended: tokio::task::JoinHandle<Option<()>>,
}

impl Server {
    fn start() -> Server {
        let dir = tempfile::tempdir().unwrap();
        let clock = SystemClock::start();
        let options = StoreOptions { segment_bytes: 4 << 20, ..StoreOptions::new(dir.path()) };
        let (store, _) = Store::open(options, clock.clone(), RealDisk::shared()).unwrap();
        let events = Events::open(&store, clock.clone(), EventsOptions::default()).unwrap();
        let keys = dir.path().join("keys");
        std::fs::create_dir(&keys).unwrap();
        let vault = Vault::create(&keys).unwrap();
        let hostname = Domain::parse("mail.example.org").unwrap();
        let bounce = Domain::parse("bounce.example.org").unwrap();
        let identities =
            Identities::open(store.clone(), vault.clone(), clock.clone(), bounce).unwrap();
        let readiness = Arc::new(Readiness::default());
        readiness.listening();
        let identities = Arc::new(identities);
        let access = Access::open(store.clone(), vault.clone(), clock.clone()).unwrap();
        let access = Arc::new(access);
        let suppression = Suppression::open(store.clone()).unwrap();
        let pools = Pools::one(&[[192, 0, 2, 9].into()], &hostname);
        let intake = Intake::new(IntakeParts {
            store: store.clone(),
            access: Arc::clone(&access),
            identities: Arc::clone(&identities),
            pools: pools.clone(),
            suppression: suppression.clone(),
            return_paths: token::Keys::new(&[(1, vault.derive("return path"))]).unwrap(),
            hostname: hostname.clone(),
            clock: clock.clone(),
            limits: IntakeLimits::default(),
        });
        let partners = Partners {
            courier: Arc::new(Nobody),
            notices: Arc::new(Nobody),
            suppression: Arc::new(Nobody),
            permits: Arc::new(Nobody),
        };
        let options = QueueOptions::default();
        let queue = Queue::open(store.clone(), clock.clone(), partners, options).unwrap();
        let routes = Routes::open(store.clone(), Vec::new()).unwrap();
        let state = AdminState {
            queue,
            routes,
            access,
            suppression,
            identities,
            intake,
            pools,
            clock,
            hostname,
            readiness,
            store: store.clone(),
            events,
        };
        let listener = bind(&dir.path().join("control.sock")).unwrap();
        let (stop, stopped) = watch::channel(false);
        let ended = supervise::spawn("test admin", serve(listener, state, stopped));
        Server { dir, store, stop, ended }
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let response = send(self.dir.path(), method, path, body).await;
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.ask(Method::GET, path, Value::Null).await
    }

    async fn write(&self, events: Vec<crate::mail::Event>) {
        self.store.commit(Change { events, ..Change::default() }).await.unwrap();
    }

    async fn close(self) {
        self.stop.send_replace(true);
        assert_eq!(self.ended.await.unwrap(), Some(()));
    }
}

async fn send(
    dir: &Path,
    method: Method,
    path: &str,
    body: Value,
) -> hyper::Response<hyper::body::Incoming> {
    let stream = UnixStream::connect(dir.join("control.sock")).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    drop(supervise::spawn("test client", connection));
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/api/v1/{path}") };
    let request = Request::builder().method(method).uri(path).header("host", "control");
    sender.send_request(request.body(Full::new(body)).unwrap()).await.unwrap()
}

#[tokio::test]
async fn the_status_says_whether_mail_is_taken() {
    let server = Server::start();
    let (code, status) = server.get("status").await;
    assert_eq!(code, StatusCode::OK);
    assert_eq!((&status["ready"], &status["hostname"]), (&json!(true), &json!("mail.example.org")));
    server.close().await;
}

#[tokio::test]
async fn the_life_of_a_message_is_shown_as_soon_as_it_is_durable() {
    let server = Server::start();
    server.write(vec![samples::send(1), samples::attempt(1)]).await;
    server.write(vec![samples::send(2), samples::delivery(1)]).await;
    let (code, trace) = server.get(&format!("messages/{}", samples::message(1))).await;
    assert_eq!(code, StatusCode::OK, "{trace}");
    assert_eq!(trace["recipients"][0]["state"], "delivered");
    assert_eq!(trace["events"].as_array().unwrap().len(), 3);
    assert_eq!(trace["events"][2]["mail"]["source"], "ann@example.org");

    let (_, page) = server.get("events?limit=1&type=Send").await;
    assert_eq!(page["items"][0]["mail"]["messageId"], samples::message(2).to_string());
    let next = page["next"].as_str().unwrap();
    let (_, page) = server.get(&format!("events?limit=5&type=Send&cursor={next}")).await;
    assert_eq!(page["items"][0]["mail"]["messageId"], samples::message(1).to_string());
    assert_eq!(page.get("next"), None);
    server.close().await;
}

#[tokio::test]
async fn a_follower_hears_of_new_events_and_only_of_those_it_asked_for() {
    let server = Server::start();
    server.write(vec![samples::send(1)]).await;
    let path = "events?follow=true&type=Delivery,Send";
    let mut stream = send(server.dir.path(), Method::GET, path, Value::Null).await.into_body();
    server.write(vec![samples::attempt(1), samples::delivery(1)]).await;
    let frame = stream.frame().await.unwrap().unwrap().into_data().unwrap();
    let event: Value = serde_json::from_slice(&frame).unwrap();
    assert_eq!(event["eventType"], "Delivery");
    drop(stream);
    server.close().await;
}

#[tokio::test]
async fn a_bad_request_is_told_what_is_wrong_and_what_to_do() {
    let server = Server::start();
    let large = json!({ "name": "x".repeat(extract::BODY_OCTETS_MAX) });
    for (method, path, body, code, word) in [
        (Method::GET, "/nothing", Value::Null, StatusCode::NOT_FOUND, "not_found"),
        (Method::GET, "nothing", Value::Null, StatusCode::NOT_FOUND, "not_found"),
        (Method::PUT, "status", Value::Null, StatusCode::BAD_REQUEST, "invalid"),
        (Method::GET, "events?type=Opened", Value::Null, StatusCode::BAD_REQUEST, "type"),
        (Method::GET, "events?colour=red", Value::Null, StatusCode::BAD_REQUEST, "colour"),
        (Method::GET, "events?cursor=7", Value::Null, StatusCode::BAD_REQUEST, "cursor"),
        (Method::GET, "events?since=late", Value::Null, StatusCode::BAD_REQUEST, "15m"),
        (Method::GET, "messages/x", Value::Null, StatusCode::BAD_REQUEST, "26 characters"),
        (Method::POST, "credentials", json!({"nom": 1}), StatusCode::BAD_REQUEST, "nom"),
        (Method::POST, "credentials", large, StatusCode::PAYLOAD_TOO_LARGE, "octets"),
        (Method::DELETE, "credentials/app", Value::Null, StatusCode::NOT_FOUND, "app"),
        (Method::POST, "suppressions", json!({"address": "a"}), StatusCode::BAD_REQUEST, "address"),
    ] {
        let (got, answer) = server.ask(method, path, body).await;
        assert_eq!(got, code, "{path}: {answer}");
        assert!(answer["error"].to_string().contains(word), "{path}: {answer}");
    }
    server.close().await;
}

#[tokio::test]
async fn a_credential_is_made_listed_and_revoked_and_its_secret_shown_once() {
    let server = Server::start();
    let new = json!({ "name": "app", "identities": ["example.org"], "sources": ["10.0.0.0/8"] });
    let (code, made) = server.ask(Method::POST, "credentials", new.clone()).await;
    assert_eq!(code, StatusCode::OK, "{made}");
    let password = made["password"].as_str().unwrap().to_owned();
    assert_eq!(password.len(), 32);
    assert_eq!(server.ask(Method::POST, "credentials", new).await.0, StatusCode::CONFLICT);
    let (_, list) = server.get("credentials").await;
    assert_eq!(list["items"][0]["sources"], json!(["10.0.0.0/8"]));
    assert!(!list.to_string().contains(&password));
    assert_eq!(server.ask(Method::DELETE, "credentials/app", Value::Null).await.0, StatusCode::OK);
    assert_eq!(server.get("credentials").await.1["items"], json!([]));
    server.close().await;
}

#[tokio::test]
async fn a_domain_is_added_with_the_records_it_needs() {
    let server = Server::start();
    let (code, made) = server.ask(Method::POST, "domains", json!({"name": "Example.org"})).await;
    assert_eq!(code, StatusCode::OK, "{made}");
    assert_eq!(
        (&made["name"], &made["bounce_domain"]),
        (&json!("example.org"), &json!("bounce.example.org"))
    );
    assert_eq!(made["selectors"].as_array().unwrap().len(), 2);
    let (_, records) = server.get("domains/example.org/records").await;
    let text = records.to_string();
    for word in ["v=DKIM1; k=rsa", "v=DKIM1; k=ed25519", "v=spf1", "192.0.2.9", "v=DMARC1"] {
        assert!(text.contains(word), "no {word} in {text}");
    }
    assert_eq!(
        server.ask(Method::DELETE, "domains/example.org", Value::Null).await.0,
        StatusCode::OK
    );
    assert_eq!(server.get("domains/example.org").await.0, StatusCode::NOT_FOUND);
    server.close().await;
}

#[tokio::test]
async fn a_configuration_set_says_what_it_was_told_and_keeps_the_rest() {
    let server = Server::start();
    let new = json!({ "name": "letters", "options": { "class": "bulk", "tags": { "a": "b" } } });
    assert_eq!(server.ask(Method::POST, "config-sets", new).await.0, StatusCode::OK);
    let edit = json!({ "tls": "verify", "max_age_seconds": 3600 });
    let (code, set) = server.ask(Method::PATCH, "config-sets/letters", edit).await;
    assert_eq!(code, StatusCode::OK, "{set}");
    for (key, want) in [
        ("class", json!("bulk")),
        ("tls", json!("verify")),
        ("max_age_seconds", json!(3600)),
        ("tags", json!({ "a": "b" })),
        ("sending", json!(true)),
        ("pool", json!("default")),
    ] {
        assert_eq!(set[key], want, "{key}");
    }
    for (edit, field) in [
        (json!({ "tls": "maybe" }), "tls"),
        (json!({ "class": "low" }), "class"),
        (json!({ "pool": "fast" }), "pool"),
        (json!({ "max_age_seconds": 1 }), "max_age_seconds"),
        (json!({ "tags": { "a b": "" } }), "tags"),
    ] {
        let (code, answer) = server.ask(Method::PATCH, "config-sets/letters", edit).await;
        assert_eq!((code, &answer["error"]["field"]), (StatusCode::BAD_REQUEST, &json!(field)));
    }
    assert_eq!(server.get("events?config_set=letters").await.0, StatusCode::OK);
    assert_eq!(server.get("events?config_set=none").await.0, StatusCode::BAD_REQUEST);
    server.close().await;
}

#[tokio::test]
async fn an_address_is_suppressed_shown_and_released() {
    let server = Server::start();
    for address in ["a@example.net", "b@example.net", "\"a b\"@example.net"] {
        let new = json!({ "address": address });
        assert_eq!(server.ask(Method::POST, "suppressions", new).await.0, StatusCode::OK);
    }
    let (_, one) = server.get("suppressions/a@example.net").await;
    assert_eq!(one["reason"], "MANUAL");
    let mut seen = 0;
    let mut path = "suppressions?limit=2".to_owned();
    loop {
        let (code, page) = server.get(&path).await;
        assert_eq!(code, StatusCode::OK, "{page}");
        seen += page["items"].as_array().unwrap().len();
        let Some(next) = page["next"].as_str() else { break };
        path =
            format!("suppressions?limit=2&cursor={}", next.replace('"', "%22").replace(' ', "+"));
    }
    assert_eq!(seen, 3);
    let gone = "suppressions/a@example.net";
    assert_eq!(server.ask(Method::DELETE, gone, Value::Null).await.0, StatusCode::OK);
    assert_eq!(server.ask(Method::DELETE, gone, Value::Null).await.0, StatusCode::NOT_FOUND);
    server.close().await;
}

#[tokio::test]
async fn a_message_handed_in_is_durable_traced_and_in_the_queue() {
    let server = Server::start();
    let message = "From: ann@example.org\nTo: bob@example.net\nSubject: hello\n\nhello\n";
    let mut mail = json!({ "from": "ann@example.org", "to": ["bob@example.net", "bob@example.net"], "message": message });
    let (code, answer) = server.ask(Method::POST, "send", mail.clone()).await;
    assert_eq!((code, &answer["error"]["field"]), (StatusCode::BAD_REQUEST, &json!("credential")));
    server.ask(Method::POST, "credentials", json!({ "name": "app" })).await;
    let (code, answer) = server.ask(Method::POST, "send", mail.clone()).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY, "no identity yet: {answer}");
    server.ask(Method::POST, "domains", json!({ "name": "example.org" })).await;
    let (code, sent) = server.ask(Method::POST, "send", mail.clone()).await;
    assert_eq!(code, StatusCode::OK, "{sent}");
    let id = sent["message_id"].as_str().unwrap();

    let (_, trace) = server.get(&format!("messages/{id}")).await;
    assert_eq!(trace["events"][0]["eventType"], "Send");
    assert_eq!(trace["events"][0]["mail"]["commonHeaders"]["subject"], "hello");
    assert_eq!(trace["recipients"][0]["state"], "waiting");
    let (_, queue) = server.get("queue?domain=example.NET").await;
    assert_eq!(queue["items"].as_array().unwrap().len(), 1, "one mailbox is one recipient");
    assert_eq!(queue["items"][0]["recipient"], "bob@example.net");
    assert_eq!(server.get("queue?domain=example.com").await.1["items"], json!([]));
    assert_eq!(server.get(&format!("queue/{id}")).await.1["items"][0]["message_id"], id);

    mail["to"] = json!(["eve@example.net", "bad"]);
    let (code, answer) = server.ask(Method::POST, "send", mail).await;
    assert_eq!((code, &answer["error"]["field"]), (StatusCode::BAD_REQUEST, &json!("to")));
    server.close().await;
}

/// Needs root, to become somebody else; otherwise the rule's own test stands alone.
#[tokio::test]
async fn another_user_is_cut_off_even_where_the_file_lets_it_in() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let server = Server::start();
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(server.dir.path(), 0o755);
    let socket = server.dir.path().join("control.sock");
    open(&socket, 0o666);
    let ask = |uid: u32| {
        let mut command = std::process::Command::new("python3");
        command.arg("-c").arg(
            "import socket,sys\ns=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n\
             try: s.sendall(b'GET /api/v1/status HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n'); print(len(s.recv(9)))\n\
             except OSError: print(0)",
        );
        command.arg(&socket).uid(uid);
        move || String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let (nobody, root) = (ask(65534), ask(0));
    assert_eq!(supervise::blocking("test", nobody).await.unwrap().trim(), "0");
    assert_eq!(supervise::blocking("test", root).await.unwrap().trim(), "9");
    server.close().await;
}

#[tokio::test]
async fn a_route_is_added_listed_and_removed() {
    let server = Server::start();
    let route = json!({ "pattern": "*", "host": "127.0.0.1", "port": 1025 });
    let (status, made) = server.ask(Method::POST, "/api/v1/routes", route).await;
    assert_eq!((status, made["tls"].as_str()), (StatusCode::OK, Some("opportunistic")));
    assert_eq!(server.get("/api/v1/routes").await.1["items"][0]["port"], 1025);
    let (status, _) = server.ask(Method::DELETE, "/api/v1/routes/%2A", Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    let (status, _) = server.ask(Method::DELETE, "/api/v1/routes/%2A", Value::Null).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let wrong = json!({ "pattern": "a b", "host": "127.0.0.1", "port": 1025 });
    let (status, told) = server.ask(Method::POST, "/api/v1/routes", wrong).await;
    assert_eq!(
        (status, told["error"]["field"].as_str()),
        (StatusCode::BAD_REQUEST, Some("pattern"))
    );
    server.close().await;
}

#[tokio::test]
async fn the_whole_queue_is_meant_only_where_it_is_said() {
    let server = Server::start();
    let (status, _) = server.ask(Method::POST, "/api/v1/queue/bounce", json!({})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let all = json!({ "all": true });
    let (status, acted) = server.ask(Method::POST, "/api/v1/queue/bounce", all).await;
    assert_eq!((status, acted["recipients"].as_u64()), (StatusCode::OK, Some(0)));
    server.close().await;
}
