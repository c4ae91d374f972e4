//! A server under a service manager: it says when it is ready, that it lives, and that it stops (sd_notify(3)), and SIGTERM
//! lets what is under way come to its end.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;
use stories::Server;

/// The next word that is told.
fn told(manager: &UnixDatagram) -> String {
    let mut words = [0; 4096];
    let length = manager.recv(&mut words).expect("something is told in time");
    String::from_utf8_lossy(&words[..length]).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_manager_is_told_what_happens() {
    let mut server = Server::prepare("");
    let path = server.folder().path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
    server.set_variable("NOTIFY_SOCKET", &path.display().to_string());
    server.set_variable("WATCHDOG_USEC", "600000");
    server.restart().await;
    assert!(told(&manager).contains("READY=1"));
    for _ in 0..3 {
        assert!(told(&manager).contains("WATCHDOG=1"), "a third of the patience passed");
    }
    server.signal("TERM");
    let mut said = told(&manager);
    while said.contains("WATCHDOG=1") {
        said = told(&manager);
    }
    assert!(said.contains("STOPPING=1"), "{said}");
    assert!(server.ended(Duration::from_secs(40)).success());
}
