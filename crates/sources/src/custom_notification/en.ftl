# Phrases of custom notifications, in English. fr.ftl has the same phrases with the same variables.

# Shown instead of the author's words when the message is private.
private-title = You have a private message
private-body = Open the app to read it.
private-subject = { $organization }: you have a private message

# Small print of the mail.
notice = You receive this mail because { $organization } sent this message to you or to a group you belong to. The message is also in your inbox in the app.
notice-private = You receive this mail because { $organization } sent this message to you or to a group you belong to. The message itself is shown only in the app, in your inbox.

# For looking at the mail: the author’s words.
sample-title = Water is off from 2 to 4
sample-body = This is a sample. The water in the building is off today from 2 to 4 in the afternoon.
