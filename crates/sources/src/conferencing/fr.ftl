# Phrases de l’audioconférence, en français. en.ftl a les mêmes phrases et les mêmes variables.
# Au-dessus des lignes du code PIN et de l’identifiant ne figurent ni « PIN » ni « code » : ni dans l’objet ni dans le titre.

enabled-heading = Vous pouvez désormais tenir des réunions par téléphone
changed-heading = Vos informations de conférence ont changé
reset-heading = Vos nouvelles informations de conférence
disabled-heading = Les réunions par téléphone ont pris fin pour vous
info-heading = Vos informations de conférence

# Une ligne : un nom et une valeur.
line = { $name } : { $value }
name-pin = Code PIN
name-conference-id = Identifiant de conférence
name-number = Numéro de téléphone
number-missing = pas encore défini

enabled-text = { $organization } a activé l’audioconférence pour vous : on peut rejoindre vos réunions par téléphone avec l’identifiant de conférence ci-dessus.
changed-text = Un administrateur de { $organization } a modifié votre audioconférence. Les informations ci-dessus valent à partir de maintenant.
reset-text = Un administrateur de { $organization } vous a donné un nouveau code PIN. L’ancien ne vaut plus.
disabled-text = { $organization } a désactivé l’audioconférence pour vous. Plus personne ne peut rejoindre vos réunions par téléphone, et votre identifiant de conférence ne vaut plus.
info-text = Un administrateur de { $organization } vous envoie ces informations.

# Parties ajoutées quand elles sont vraies.
number-missing-text = Il n’y a pas encore de numéro de téléphone pour vos conférences. Tant que votre administrateur n’en a pas défini, personne ne peut appeler.
old-id-text = Votre ancien identifiant de conférence ne vaut plus.
keep-text = Gardez le code PIN pour vous : il fait de vous l’animateur de vos réunions quand vous appelez.
update-text = Les réunions que vous avez déjà planifiées montrent encore ce qui y figurait. Ouvrez chacune des prochaines dans votre agenda, mettez-y le numéro de téléphone et l’identifiant de conférence de ce courriel, puis envoyez la mise à jour à toutes les personnes invitées.
remove-text = Les réunions que vous avez déjà planifiées montrent encore un numéro de téléphone et un identifiant de conférence. Ouvrez chacune des prochaines dans votre agenda, retirez les deux, puis envoyez la mise à jour à toutes les personnes invitées.

preview = Votre audioconférence chez { $organization }.
notice = Vous recevez ce courriel parce que { $organization } gère votre audioconférence.

# Ce qui a arrêté un courriel : après « une stratégie désactive cet envoi ».
off-by-setting = AutomaticallySendEmailsToUsers est désactivé (paramètre { $setting })
off-when-it-happened = AutomaticallySendEmailsToUsers était désactivé à ce moment-là (paramètre { $setting })
