# Phrases of conferencing, in English. fr.ftl has the same phrases with the same variables.
# Above the lines with the PIN and the conference ID stands neither "PIN" nor "code": subject and heading are without both.

enabled-heading = You can now hold meetings by phone
changed-heading = Your conference details have changed
reset-heading = Your new conference details
disabled-heading = Meetings by phone have ended for you
info-heading = Your conference details

# One line: a name and a value.
line = { $name }: { $value }
name-pin = PIN
name-conference-id = Conference ID
name-number = Phone number
number-missing = not set yet

enabled-text = { $organization } has turned on audio conferencing for you: people can join your meetings by phone with the conference ID above.
changed-text = An administrator of { $organization } has changed your audio conferencing. The details above hold from now on.
reset-text = An administrator of { $organization } has given you a new PIN. The old one no longer works.
disabled-text = { $organization } has turned off audio conferencing for you. Nobody can join your meetings by phone any more, and your conference ID no longer works.
info-text = An administrator of { $organization } sends you these details.

# Parts that are added where they hold.
number-missing-text = There is no phone number for your conferences yet. Until your administrator sets one, nobody can call in.
old-id-text = Your old conference ID no longer works.
keep-text = Keep the PIN to yourself: with it you are the leader of your meetings when you call in.
update-text = Meetings that you have scheduled already still show what was in them. Open each coming one in your calendar, put in the phone number and the conference ID from this mail, and send the update to everybody you invited.
remove-text = Meetings that you have scheduled already still show a phone number and a conference ID. Open each coming one in your calendar, take both out, and send the update to everybody you invited.

preview = Your audio conferencing at { $organization }.
notice = You receive this mail because { $organization } manages your audio conferencing.

# What stopped a mail: behind "a policy turns this off".
off-by-setting = AutomaticallySendEmailsToUsers is off (setting { $setting })
off-when-it-happened = AutomaticallySendEmailsToUsers was off when it happened (setting { $setting })
