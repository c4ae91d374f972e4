# Phrases des notifications personnalisées, en français. en.ftl a les mêmes phrases et les mêmes variables.

# À la place du texte de l’auteur quand le message est privé.
private-title = Vous avez un message privé
private-body = Ouvrez l’application pour le lire.
private-subject = { $organization } : vous avez un message privé

# Petits caractères du courriel.
notice = Vous recevez ce courriel parce que { $organization } vous a adressé ce message, directement ou par un groupe dont vous faites partie. Le message se trouve aussi dans votre boîte de réception, dans l’application.
notice-private = Vous recevez ce courriel parce que { $organization } vous a adressé ce message, directement ou par un groupe dont vous faites partie. Le message lui-même n’est affiché que dans l’application, dans votre boîte de réception.

# Pour voir le courriel : les mots de l’auteur.
sample-title = Eau coupée de 14 h à 16 h
sample-body = Ceci est un exemple. L’eau est coupée aujourd’hui dans le bâtiment de 14 h à 16 h.
