# Phrases des appels et de la messagerie vocale, en français. en.ftl a les mêmes phrases et les mêmes variables.

# Un correspondant qui masque son numéro : dans un objet, et en début de phrase.
anonymous = correspondant anonyme
anonymous-start = Un correspondant anonyme

# Ce que montre un écran verrouillé, et le titre du courriel.
missed-title = Appel manqué
voicemail-title = Nouveau message vocal
push-body = { $caller }, { $when }

# Objets.
missed-subject = Appel manqué : { $caller }
voicemail-subject = Message vocal : { $caller }

# Première phrase du courriel.
missed-body = { $caller } a cherché à vous joindre le { $when }.
voicemail-body = { $caller } vous a laissé un message vocal le { $when }.

# Comment un appel manqué a pris fin.
ending-no-answer = L’appel est resté sans réponse et aucun message vocal n’a été laissé.
ending-busy = Votre ligne était occupée et aucun message vocal n’a été laissé.
ending-cancelled = L’appel a été abandonné avant toute réponse et aucun message vocal n’a été laissé.
ending-unreachable = Votre téléphone était injoignable et aucun message vocal n’a été laissé.

# Les faits, chacun sur sa ligne.
number = Numéro : { $number }
called = Poste appelé : { $extension }
call-back = Rappeler : { $link }

# L’enregistrement.
with-audio = Le message est joint à ce courriel ({ $file }).
without-audio = L’enregistrement n’a pas pu être obtenu ; il n’est donc pas joint. Vous pouvez l’écouter dans votre boîte vocale.

# Quand ni notification poussée ni courriel ne doivent rien révéler.
private-missed-body = Ouvrez l’application pour voir qui a appelé.
private-voicemail-body = Ouvrez l’application pour voir qui l’a laissé.

# Petits caractères du courriel.
notice-missed = Vous recevez ce courriel parce que { $organization } vous signale les appels que vous avez manqués. Votre administrateur peut désactiver ces courriels.
notice-voicemail = Vous recevez ce courriel parce qu’un message vocal a été laissé dans votre boîte vocale chez { $organization }.

# Ce qui a désactivé le courriel d’un appel manqué : après « une stratégie désactive cet envoi » ou « la personne l’a désactivé ».
off-by-policy = la stratégie de boîte vocale { $policy } désactive AllowMissedCallNotifications
off-by-some-policy = la stratégie de boîte vocale désactive AllowMissedCallNotifications
off-by-mailbox = la boîte vocale désactive MissedCallNotificationEnabled
