//! The manual's list of cmdlets is what the declarations say: written by this test, and compared by it.

#[test]
fn the_manual_lists_every_cmdlet_as_it_is_declared() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/administrator/cmdlets.md");
    let fresh = super::catalogue().0.reference(model::Locale::En);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(path, &fresh).expect("the manual can be written");
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == fresh, "docs/src/administrator/cmdlets.md is not what is declared; UPDATE_SNAPSHOTS=1 writes it");
    for sign in ["Set-UMMailboxPolicy", "`-AllowMissedCallNotifications`", "no effect"] {
        assert!(fresh.contains(sign), "{sign}");
    }
}
