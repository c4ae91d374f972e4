# Phrases of calls and voice mail, in English. fr.ftl has the same phrases with the same variables.

# A caller who withheld the number: in a subject, and at the beginning of a sentence.
anonymous = an anonymous caller
anonymous-start = An anonymous caller

# What a lock screen shows, and the heading of the mail.
missed-title = Missed call
voicemail-title = New voice message
push-body = { $caller }, { $when }

# Subjects.
missed-subject = Missed call from { $caller }
voicemail-subject = Voice message from { $caller }

# First sentence of the mail.
missed-body = { $caller } called you on { $when }.
voicemail-body = { $caller } left you a voice message on { $when }.

# How a missed call ended.
ending-no-answer = You did not answer, and no voice message was left.
ending-busy = Your line was busy, and no voice message was left.
ending-cancelled = The caller hung up before anybody answered and left no voice message.
ending-unreachable = Your telephone could not be reached, and no voice message was left.

# Facts below that, each on a line of its own.
number = Number: { $number }
called = Called extension: { $extension }
call-back = Call back: { $link }

# The audio.
with-audio = The message is attached to this mail ({ $file }).
without-audio = The recording could not be had, so it is not attached. You can listen to it in your voice mailbox.

# When pushes and mails may carry no content.
private-missed-body = Open the app to see who called.
private-voicemail-body = Open the app to see who left it.

# Small print of the mail.
notice-missed = You receive this mail because { $organization } tells you about calls that you missed. Your administrator can turn these mails off.
notice-voicemail = You receive this mail because somebody left a voice message in your mailbox at { $organization }.

# What turned the mail of a missed call off: behind "a policy turns this off" or "the person turned it off".
off-by-policy = the mailbox policy { $policy } has AllowMissedCallNotifications off
off-by-some-policy = the mailbox policy has AllowMissedCallNotifications off
off-by-mailbox = the mailbox has MissedCallNotificationEnabled off
