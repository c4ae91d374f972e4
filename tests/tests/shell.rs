//! The admin shell: the documented lines run to the letter through the real program against a real server, and the wrong
//! ones are refused with the mend.

use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use stories::{Org, Said, Stage, at_terminal};

/// An organization in which the documented people, plans and bridges are.
async fn open() -> Stage {
    let stage = Stage::open().await;
    let mut org = Org::new();
    org.person("ada").person("lin").person("amos.marble").person("zoe").import(&stage.api).await;
    for line in [
        "New-UMDialPlan -Name Lyon -NumberOfDigitsInExtension 3 -CountryOrRegionCode 33",
        "New-CsOnlineDialInConferencingBridge -Name Paris",
        "Set-CsOnlineDialInConferencingBridge Paris -ServiceNumbers @{Number=\"+33155501234\"; PrimaryLanguage=\"fr-FR\"}, @{Number=\"+33800123456\"; TollFree=$true} -DefaultServiceNumber +33155501234",
    ] {
        run(&stage, line).ended(0);
    }
    stage
}

fn run(stage: &Stage, line: &str) -> Said {
    stage.server.cli(&["shell", "-c", line])
}

/// The objects that a line gives.
#[track_caller]
fn objects(stage: &Stage, line: &str) -> Vec<Value> {
    let said = stage.server.cli(&["shell", "--json", "-c", line]).ended(0);
    said.json().as_array().cloned().unwrap_or_else(|| panic!("{line}: no array: {}", said.out))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_lines_of_settings_run_to_the_letter() {
    let stage = open().await;
    let settings = "Get-CsOnlineDialInConferencingTenantSettings";
    let shown = |name: &str| objects(&stage, settings)[0][name].clone();
    assert_eq!(shown("AutomaticallySendEmailsToUsers"), json!(true));
    let said = run(&stage, "Set-CsOnlineDialInConferencingTenantSetting -AutomaticallySendEmailsToUsers $false").ended(0);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("", ""));
    assert_eq!(shown("AutomaticallySendEmailsToUsers"), json!(false));
    run(&stage, "Set-CsOnlineDialInConferencingTenantSettings -PinLength 8").ended(0);
    // Another sender needs both of its parts: together they are taken, alone they are not, and then nothing is.
    let alone = run(&stage, "Set-CsOnlineDialInConferencingTenantSettings -SendEmailFromOverride $true -PinLength 9").ended(1);
    assert!(alone.err.contains("-SendEmailFromAddress") && shown("PinLength") == 8, "{}", alone.err);
    let line = "Set-CsOnlineDialInConferencingTenantSetting -SendEmailOverride $true -SendEmailFromAddress amos.marble@contoso.com -SendEmailFromDisplayName \"Amos Marble\"";
    run(&stage, line).ended(0);
    assert_eq!((shown("SendEmailFromOverride"), shown("SendEmailFromAddress")), (json!(true), json!("amos.marble@contoso.com")));
    let idle =
        run(&stage, "Set-CsOnlineDialInConferencingTenantSettings -Identity global -Tenant 7 -Force -EnableNameRecording $false").ended(0);
    assert!(idle.err.contains("-EnableNameRecording is kept and has no effect here") && idle.err.contains("-Tenant"), "{}", idle.err);
    let asks = run(&stage, "Remove-CsOnlineDialInConferencingTenantSettings -Confirm").ended(1);
    assert!(asks.err.contains("-Confirm:$false") && shown("PinLength") == 8, "{}", asks.err);
    run(&stage, "Remove-CsOnlineDialInConferencingTenantSettings -WhatIf").ended(0);
    assert_eq!(shown("PinLength"), 8);
    run(&stage, "Remove-CsOnlineDialInConferencingTenantSettings").ended(0);
    assert_eq!((shown("PinLength"), shown("AutomaticallySendEmailsToUsers")), (json!(5), json!(true)));
    run(&stage, "Supprimer-CsOnlineDialInConferencingTenantSettings -Confirm:$false").ended(0);
    assert_eq!(objects(&stage, "Get-CsOnlineDialinConferencingTenantConfiguration")[0]["Status"], "Enabled");
    let push =
        "Set-CsPushNotificationConfiguration -EnableApplePushNotificationService $false -EnableMicrosoftPushNotificationService $False";
    run(&stage, push).ended(0);
    let push = objects(&stage, "get-cspushnotificationconfiguration").remove(0);
    assert_eq!((&push["EnableApplePushNotificationService"], &push["EnableGooglePushNotificationService"]), (&json!(false), &json!(true)));
    assert_eq!(stage.api.get("settings/push.apns.enabled").await["value"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plans_policies_and_mailboxes_are_made_shown_changed_and_taken_away() {
    let stage = open().await;
    let plan = stage.server.cli(&["shell", "--json", "-c", "New-UMDialplan -Name MyUMDialPlan -NumberofDigits 4"]).ended(0);
    assert_eq!(plan.json()[0]["NumberOfDigitsInExtension"], 4);
    assert!(plan.err.contains("MyUMDialPlan Default Policy"), "{}", plan.err);
    run(&stage, "New-UMMailboxPolicy -Name MyUMMailboxPolicy -UMDialPlan MyUMDialPlan").ended(0);
    run(&stage, "Set-UMMailboxPolicy -identity MyUMMailboxPolicy -AllowMissedCallNotifications $false").ended(0);
    let silent = objects(&stage, "Get-UMMailboxPolicy | where AllowMissedCallNotifications -eq $false | select Name, UMDialPlan");
    assert_eq!(silent, [json!({"Name": "MyUMMailboxPolicy", "UMDialPlan": "MyUMDialPlan"})]);
    assert_eq!(objects(&stage, "Get-UMMailboxPolicy -UMDialPlan myumdialplan").len(), 2);
    stage.server.folder().write("new-hires.csv", "UPN,Ext\nada@example.org,101\nlin@example.org,102\nnobody@example.org,103\n");
    let hires = "Import-Csv new-hires.csv | ForEach-Object { Enable-UMMailbox -Identity $_.UPN -UMMailboxPolicy \"Lyon Default Policy\" -Extensions $_.Ext }";
    let tried = stage.server.cli(&["shell", "--json", "-c", &format!("{} -WhatIf }}", hires.trim_end_matches([' ', '}']))]).ended(1);
    assert!(tried.json() == json!([]) && tried.err.contains("What if: Enable-UMMailbox \"ada@example.org\""), "{}", tried.err);
    assert_eq!(objects(&stage, "Get-UMMailbox").len(), 0);
    let said = run(&stage, hires).ended(1);
    assert!(said.err.contains("nobody@example.org") && said.err.lines().count() == 1, "{}", said.err);
    let again = run(&stage, hires).ended(1);
    assert!(again.err.contains("ada@example.org has a mailbox already"), "{}", again.err);
    let boxes = objects(&stage, "Get-UMMailbox -UMMailboxPolicy \"lyon default policy\" | Sort-Object UserPrincipalName");
    let names: Vec<&str> = boxes.iter().filter_map(|one| one["UserPrincipalName"].as_str()).collect();
    assert_eq!((names, boxes[0]["Extensions"].clone()), (vec!["ada@example.org", "lin@example.org"], json!(["101"])));
    assert_eq!(boxes[0]["UMMailboxPolicy"], "Lyon Default Policy");
    // A list is changed, an object comes through the pipeline.
    run(&stage, "Get-UMMailbox ada@example.org | Set-UMMailbox -Extensions @{Add=\"110\"; Remove=\"101\"}").ended(0);
    assert_eq!(objects(&stage, "Get-UMMailbox p-ada")[0]["Extensions"], json!(["110"]));
    let used = run(&stage, "Remove-UMMailboxPolicy \"Lyon Default Policy\" -Confirm:$false").ended(1);
    assert!(used.err.starts_with("error: Remove-UMMailboxPolicy: "), "{}", used.err);
    run(&stage, "\"ada@example.org\", \"lin@example.org\" | Disable-UMMailbox -Confirm:$false").ended(0);
    run(&stage, "Remove-UMMailboxPolicy \"Lyon Default Policy\" -Confirm:$false; Remove-UMDialPlan Lyon -Confirm:$false").ended(0);
    assert_eq!(objects(&stage, "Get-UMDialPlan | select -ExpandProperty Name"), [json!("MyUMDialPlan")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conferencing_people_are_enabled_and_their_pins_reset_all_at_once() {
    let stage = open().await;
    run(&stage, "Set-CsOnlineDialInConferencingTenantSetting -AutomaticallySendEmailsToUsers $false").ended(0);
    let enable = |who: &str, more: &str| format!("Enable-CsOnlineDialInConferencingUser -Identity {who}@example.org {more}");
    let ada = objects(&stage, &enable("ada", "-BridgeName Paris -ConferenceId 123456789")).remove(0);
    assert_eq!((ada["ConferenceId"].as_str(), ada["ServiceNumber"].as_str()), (Some("123456789"), Some("+33155501234")));
    for line in [enable("lin", "-BridgeName Paris"), enable("amos.marble", ""), enable("zoe", "")] {
        run(&stage, &line).ended(0);
    }
    let line = "Get-CsOnlineDialInConferencingUser | Where-Object { $_.BridgeName -eq \"Paris\" } | Set-CsOnlineDialInConferencingUser -ResetLeaderPin";
    let tried = run(&stage, &format!("{line} -WhatIf")).ended(0);
    assert!(tried.out.contains("What if: Set-CsOnlineDialInConferencingUser \"ada@example.org\" (ResetLeaderPin = True)"), "{}", tried.out);
    let reset = objects(&stage, line);
    let mut pins: Vec<(&str, &str)> = reset.iter().filter_map(|one| Some((one["Identity"].as_str()?, one["Pin"].as_str()?))).collect();
    pins.sort_unstable();
    let who: Vec<&str> = pins.iter().map(|(who, _)| *who).collect();
    assert_eq!(who, ["ada@example.org", "lin@example.org"], "{reset:?}");
    assert!(pins.iter().all(|(_, pin)| pin.len() == 5 && pin.bytes().all(|b| b.is_ascii_digit())), "a PIN that no mail carries is shown");
    let masked = objects(&stage, "Get-CsOnlineDialInConferencingUser ada@example.org").remove(0);
    assert!(masked["Pin"].as_str().is_some_and(|pin| pin.bytes().all(|b| b == b'*')), "{masked}");
    let (_, pin) = pins[0];
    for (path, bytes) in
        stage.server.bytes_at_rest().iter().filter(|(path, _)| path.ends_with("server.log") || path.ends_with("server.out"))
    {
        assert!(!String::from_utf8_lossy(bytes).contains(&format!("\"{pin}\"")), "{}", path.display());
    }
    run(&stage, "Set-CsOnlineDialInConferencingUser -id amos.marble@example.org -SendEmail").ended(0);
    run(&stage, "Set-CsOnlineDialInConferencingUser -Identity zoe@example.org -BridgeName Paris -ServiceNumber tel:+33155501234").ended(0);
    assert_eq!(objects(&stage, "Get-CsOnlineDialInConferencingUser -BridgeName Paris").len(), 3);
    for number in ["33155501234", "+33155501234"] {
        run(&stage, &format!("Set-CsOnlineDialInConferencingUser -Identity zoe@example.org -ServiceNumber {number}")).ended(0);
        assert_eq!(objects(&stage, &format!("Get-CsOnlineDialInConferencingUser -ServiceNumber {number}")).len(), 3);
    }
    run(&stage, "Set-CsOnlineDialInConferencingBridge Paris -DefaultServiceNumber 33155501234").ended(0);
    run(&stage, "Disable-CsOnlineDialInConferencingUser -Identity lin@example.org").ended(0);
    assert_eq!(objects(&stage, "Get-CsOnlineDialInConferencingUser -BridgeName Paris").len(), 2);
    assert_eq!(objects(&stage, "Get-CsOnlineDialInConferencingUser -ResultSize 1").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_are_found_in_every_documented_form_and_two_of_a_name_are_never_one() {
    let stage = open().await;
    let mut org = Org::new();
    org.person_with("ida", |row| row.display_name = "Ida Test".into());
    org.person_with("tom", |row| row.display_name = "Tom Twin".into());
    org.person_with("tim", |row| row.display_name = "tom twin".into());
    org.import(&stage.api).await;
    let forms = [
        "sip:ida@example.org",
        "sip:ida@mail.example.org",
        "IDA@mail.example.org",
        "'ida test'",
        "EXAMPLE\\ida",
        "'CN=Ida Test,OU=People'",
    ];
    for form in forms {
        run(&stage, &format!("Enable-CsOnlineDialInConferencingUser -Identity {form} -BridgeName Paris")).ended(0);
        let shown = objects(&stage, &format!("Get-CsOnlineDialInConferencingUser {form}")).remove(0);
        assert_eq!(shown["UserPrincipalName"], "ida@example.org", "{form}");
        run(&stage, &format!("Set-CsOnlineDialInConferencingUser -id {form} -SendEmail")).ended(0);
        run(&stage, &format!("Disable-CsOnlineDialInConferencingUser {form}")).ended(0);
    }
    let twins = run(&stage, "Enable-CsOnlineDialInConferencingUser 'Tom Twin'").ended(1);
    assert!(["may mean several", "tom@example.org", "tim@example.org"].iter().all(|part| twins.err.contains(part)), "{}", twins.err);
    assert_eq!(objects(&stage, "Get-CsOnlineDialInConferencingUser").len(), 0);
    let nobody = run(&stage, "Get-CsOnlineDialInConferencingUser 'Nobody At All'").ended(1);
    assert!(nobody.err.contains("there is no user \"Nobody At All\""), "{}", nobody.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_help_desk_sends_details_by_the_documented_line_and_changes_nothing() {
    let stage = open().await;
    run(&stage, "Enable-CsOnlineDialInConferencingUser amos.marble@example.org -BridgeName Paris").ended(0);
    let desk = stage.api.token("help-desk").await;
    let as_desk = |line: &str| stage.server.cli_as(&desk, &["shell", "-c", line]);
    as_desk("Set-CsOnlineDialInConferencingUser -id amos.marble@example.org -SendEmail").ended(0);
    as_desk("Set-CsOnlineDialInConferencingUser -id amos.marble@example.org -SendEmail -SendEmailToAddress amos@example.com").ended(0);
    as_desk("Send-CsOnlineDialInConferencingUserInfo amos.marble@example.org").ended(0);
    for more in
        ["-ResetLeaderPin", "-SendEmail -ResetConferenceId", "-SendEmail -SendEmailFromAddress a@example.org -SendEmailFromDisplayName A"]
    {
        let refused = as_desk(&format!("Set-CsOnlineDialInConferencingUser -id amos.marble@example.org {more}")).ended(1);
        assert!(refused.err.contains("Conferencing/Manage"), "{}", refused.err);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_name_parameters_and_not_fields_of_the_api() {
    let stage = open().await;
    run(&stage, "Enable-CsOnlineDialInConferencingUser ada@example.org -BridgeName Paris").ended(0);
    run(&stage, "Enable-CsOnlineDialInConferencingUser lin@example.org; Set-CsOnlineDialInConferencingUser lin@example.org -Provider Acme")
        .ended(0);
    let table = [
        (
            "Set-CsOnlineDialInConferencingUser ada@example.org -ConferenceId 123456789 -ResetConferenceId",
            "together with -ResetConferenceId",
        ),
        ("Set-CsOnlineDialInConferencingUser ada@example.org -SendEmailToAddress a@example.org", "-SendEmailToAddress needs -SendEmail;"),
        ("Set-CsOnlineDialInConferencingUser lin@example.org -ResetLeaderPin", "is Acme; enable them with -ReplaceProvider first"),
        (
            "Set-CsOnlineDialInConferencingTenantSettings -SendEmailFromOverride $true",
            "-SendEmailFromAddress: -SendEmailFromOverride needs -SendEmailFromAddress and -SendEmailFromDisplayName; set -SendEmailFromAddress",
        ),
        ("Set-CsOnlineDialInConferencingBridge Paris -DefaultServiceNumber +331", "the bridge's -ServiceNumbers;"),
    ];
    for (line, expected) in table {
        let said = run(&stage, line).ended(1);
        assert!(said.err.contains(expected), "{line}\n{}", said.err);
    }
    let taken = run(&stage, "Set-CsOnlineDialInConferencingBridge Paris -SetDefault").ended(0);
    assert!(taken.err.contains("-SetDefault was taken"), "{}", taken.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_lines_are_refused_with_the_mend_and_nothing_of_them_is_done() {
    let stage = open().await;
    let table = [
        ("Set-CsOnlineDialInConferencingUser -Identity ada@example.org -ResetLeaderPIN 8271964", "8271964"),
        ("Set-CsOnlineDialInConferencingUser -amos.marble -SendEmail", "-amos"),
        ("$users = Get-UMMailbox", "not a general PowerShell"),
        ("Set-UMMailboxPolicy Lyon* -AllowMissedCallNotifications $false", "Where-Object"),
        ("Set-UMMailboxPolicy -AllowMissedCallNotifications $false", "-Identity"),
        ("Get-UMMailboxPolicy Nowhere", "Nowhere"),
        ("Get-UMMailboxPolicy -UMDialPlan Nowhere", "Nowhere"),
        ("Set-UMMailboxPolcy x -AllowFax $true", "did you mean Set-UMMailboxPolicy"),
        ("Set-CsOnlineDialInConferencingTenantSettings -PinLength 20", "4"),
        ("Set-CsOnlineDialInConferencingTenantSettings -SendEmailFrom x", "-SendEmailFromAddress"),
        ("Import-Csv nowhere.csv | % { Disable-UMMailbox $_.UPN -Confirm:$false }", "nowhere.csv"),
        ("Enable-CsOnlineDialInConferencingUser ada@example.org -ConferenceId 12345", "9 digits"),
        ("New-UMDialPlan Kyoto -NumberOfDigitsInExtension 3; Get-UMDialPlan -Colour red", "-Colour"),
    ];
    for (line, mend) in table {
        let said = run(&stage, line).ended(1);
        assert!(said.err.contains(mend) && said.out.is_empty(), "{line}\n{}{}", said.out, said.err);
    }
    assert_eq!(objects(&stage, "Get-UMDialPlan").len(), 1, "a text with a mistake in it is refused as a whole");
    let french =
        stage.server.cli_command(&stage.server.token(), &["shell", "-c", "Get-UMMailbox nobody"]).env("CARILLON_LANG", "fr").output();
    let french = french.expect("the program can be started");
    assert!(String::from_utf8_lossy(&french.stderr).starts_with("erreur : Get-UMMailbox :"), "{french:?}");
    let french = |line: &str| {
        let output = stage.server.cli_command(&stage.server.token(), &["shell", "-c", line]).env("CARILLON_LANG", "fr").output();
        let output = output.expect("the program can be started");
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    let rule = french("Set-CsOnlineDialInConferencingTenantSettings -PinLength 20");
    assert!(rule.contains("-PinLength prend un nombre entier de 4 à 12, pas 20"), "{rule}");
    let help = french("Get-Help Enable-UMMailbox -Full; Get-Help Set-CsOnlineDialInConferencingUser -Full");
    assert!(help.contains("stratégie de boîte vocale, par nom ou identifiant") && help.contains("pont de conférence, par"), "{help}");
    assert!(!help.contains("conservé, mais sans effet"), "{help}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_ends_with_its_number_and_the_shell_has_no_rights_of_its_own() {
    let stage = open().await;
    let script = "\u{feff}# Makes two plans\nNew-UMDialPlan One -NumberOfDigitsInExtension 3 |\n  Out-Nowhere\n";
    stage.server.folder().write("wrong.ps1", script);
    let wrong = stage.server.cli(&["shell", "-f", "wrong.ps1"]).ended(1);
    assert!(wrong.err.contains("line 3: ") && wrong.err.contains("Out-Nowhere"), "{}", wrong.err);
    stage.server.folder().write(
        "right.ps1",
        "New-UMDialPlan One `\n  -NumberOfDigitsInExtension 3\nGet-UMDialPlan |\n  where Name -eq One | ft Name\nexit 7\n",
    );
    let right = stage.server.cli(&["shell", "-f", "right.ps1"]).ended(7);
    assert!(right.out.ends_with("Name\nOne\n"), "{}", right.out);
    let mut piped = stage.server.cli_command(&stage.server.token(), &["shell", "--json", "-f", "-"]);
    let mut child = piped.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().expect("a start");
    std::io::Write::write_all(child.stdin.as_mut().expect("a pipe"), b"Get-UMDialPlan One; 'a', 2\n").expect("written");
    let output = child.wait_with_output().expect("an end");
    let given: Value = serde_json::from_slice(&output.stdout).expect("one array");
    assert_eq!((output.status.code(), given[0]["Name"].as_str(), &given[1]), (Some(0), Some("One"), &json!("a")));
    assert_eq!(stage.server.cli(&["shell", "-f", "nowhere.ps1"]).code, 2);
    let reader = stage.api.token("reader").await;
    let as_reader = |line: &str| stage.server.cli_as(&reader, &["shell", "-c", line]);
    as_reader("Get-UMDialPlan").ended(0);
    let refused = as_reader("Remove-UMDialPlan One -Confirm:$false").ended(1);
    assert!(refused.err.starts_with("error: Remove-UMDialPlan: "), "{}", refused.err);
    let refused = as_reader("Set-CsPushNotificationConfiguration -EnableApplePushNotificationService $false").ended(1);
    assert!(refused.err.starts_with("error: Set-CsPushNotificationConfiguration: "), "{}", refused.err);
    assert_eq!(stage.api.get("settings/push.apns.enabled").await["value"], true);
    assert_eq!(stage.server.cli_as("car_wrong", &["shell", "-c", "Get-UMDialPlan"]).code, 1);
    let ends = |url: &str, token: &str| {
        let mut command = stage.server.cli_command(token, &["shell", "-c", "Get-UMDialPlan"]);
        let output = command.env("CARILLON_URL", url).output().expect("the program can be started");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let nowhere = format!("http://127.0.0.1:{}", stories::free_port());
    for (url, token) in [(stage.server.url().to_owned(), ""), (nowhere, "car_wrong"), ("not a URL".to_owned(), "car_wrong")] {
        let (code, said) = ends(&url, token);
        assert!(code == Some(1) && !said.is_empty(), "{url}: {code:?} {said}");
    }
    let help = run(&stage, "Get-Help Set-UMMailboxPolicy -Full").ended(0);
    assert!(help.out.contains("-AllowMissedCallNotifications") && help.out.contains("EXAMPLES"), "{}", help.out);
    assert!(objects(&stage, "Get-Command *UM*").len() >= 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_a_terminal_there_are_completion_history_questions_and_help() {
    const PROMPT: &str = "PS carillon> ";
    let stage = open().await;
    let home = stage.server.folder().path().join("home");
    let shell = |language: &str, steps: &[(&str, &str)]| {
        let mut command = stage.server.cli_command(&stage.server.token(), &["shell"]);
        command.env("HOME", &home).env("XDG_STATE_HOME", home.join("state")).env("CARILLON_LANG", language).env("TERM", "xterm");
        at_terminal(&command, steps)
    };
    let first = shell(
        "en",
        &[
            (PROMPT, "get-umd\t"),
            ("Get-UMDialPlan", "| Format-List Name, NumberOfDigitsInExtension\r"),
            ("NumberOfDigitsInExtension : 3", "Set-CsOnlineDialInConferencingUser ada -Pin 73914\r"),
            (PROMPT, "Remove-UMDialPlan Lyon\r"),
            ("[Y] Yes", "n\r"),
            (PROMPT, "Get-Help Remove-UMDialPlan\r"),
            ("SYNTAX", "Remove-UMDialPlan Lyon -Wh\t\r"),
            ("What if: ", "Get-UMDialPlan Lyo\r"),
            ("error: ", "if ($true) {}\r"),
            ("error: ", "exit 3\r"),
        ],
    );
    assert_eq!(first.code, 3, "{}", first.screen);
    run(&stage, "Get-UMDialPlan Lyon").ended(0);
    // The next one remembers, but for what nobody may read later.
    let second = shell(
        "fr",
        &[(PROMPT, "\u{1b}[A\u{1b}[A\u{1b}[A\u{1b}[A"), ("Remove-UMDialPlan Lyon -WhatIf", "\r"), ("Si on le faisait", "exit\r")],
    );
    assert_eq!(second.code, 0, "{}", second.screen);
    let history = std::fs::read_to_string(home.join("state/carillon/shell-history")).expect("a history");
    assert!(history.contains("Remove-UMDialPlan Lyon") && !history.contains("73914"), "{history}");
    let mode = std::fs::metadata(home.join("state/carillon/shell-history")).map(|about| about.permissions().mode() & 0o777);
    assert_eq!(mode.ok(), Some(0o600));
}
