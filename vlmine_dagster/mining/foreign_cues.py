"""Phrases in which models of other languages than English fail: no picture came, a refusal, an error, an echo, a thought.

Each is a pattern of one way to say it, with gaps where words vary. Quoted text is taken out before they are looked for, so
that a sign or a screen in the picture may say any of them.
"""

import regex

_NOT_IN = r"(?:(?!\b(?:na|no|nas|nos|en|in|nell\w*|nella|nel|sull\w*|em|op|auf|dans|sur|на|у|в|во|w|we|al|de la|da|do|della|del)\b).)"
"""Anything but a place: `there is no image`, but `there is nobody in the image`."""

# What a picture is called, in any case and number.
_DE, _FR, _ES = (
    r"(?:bild|foto|grafik|abbildung|aufnahme|datei|anhang|anhäng)\w*",
    r"(?:image|photo|photographie|illustration|cliché|fichier|pièce jointe|pièces jointe)s?",
    r"(?:imagen|imágenes|foto|fotos|fotograf\w+|archivo\w*|adjunto\w*)",
)
_PT, _IT, _NL = (
    r"(?:imagem|imagens|foto|fotos|fotograf\w+|figura|arquivo\w*|ficheiro\w*|anexo\w*)",
    r"(?:immagin\w+|foto|fotograf\w+|file|allegat\w+)",
    r"(?:afbeelding\w*|foto\w*|plaatje\w*|beeld\w*|bestand\w*|bijlage\w*)",
)
_PL, _RU, _UK = (
    r"(?:obraz\w*|zdję\w+|zdjęć|fotografi\w+|grafik\w+|ilustracj\w+|plik\w*|załącznik\w*)",
    r"(?:изображени\w*|картин\w*|фото\w*|рисун\w*|снимк\w*|снимок|файл\w*|вложени\w*)",
    r"(?:зображен\w*|картин\w*|фото\w*|світлин\w*|знімк\w*|знімок|файл\w*|вкладен\w*)",
)
_TR, _VI, _ID = (
    r"(?:görsel\w*|resim\w*|resm\w*|fotoğraf\w*|görüntü\w*|dosya\w*)",
    r"(?:hình ảnh|hình|ảnh|bức ảnh|tệp\w*|tập tin)",
    r"(?:gambar\w*|foto\w*|citra|berkas\w*|lampiran\w*)",
)
_KO, _JA, _ZH = (
    r"(?:이미지|사진|그림|파일)",
    r"(?:画像|写真|イメージ|図|ファイル)",
    r"(?:图片|圖片|图像|圖像|照片|影像|圖檔|图|檔案|附件)",
)
_HE, _AR, _HI = (
    r"(?:ה?תמונה|ה?תמונות|צילום|ה?קובץ)",
    r"(?:ال)?(?:صورة|صور|الصور|ملف|مرفق)",
    r"(?:तस्वीर\w*|चित्र\w*|छवि\w*|फ़ोटो|फोटो|इमेज|फ़ाइल|फाइल)",
)
_SV, _CS = r"(?:bild\w*|foto\w*)", r"(?:obráz\w+|fotk\w+|fotografi\w+|snímek|snímk\w+)"

_BY_LANGUAGE: dict[str, tuple[str, ...]] = {
    "de": (
        r"\b(?:kann|könnte|darf|werde|möchte|will) ich\b.{0,60}\b(?:nicht|kein\w*)\b|\bich (?:kann|darf|werde|möchte|will|sehe|habe|erkenne)\b.{0,80}\b(?:nicht|kein\w*)\b.{0,60}(?:helfen|beschreib\w*|ansehen|sehen|anzeigen|kommentier\w*|beantwort\w*|erhalten|bekommen|öffnen|laden|identifizier\w*|zugreifen|analysier\w*|erfüllen|bild|foto|anhang|datei)",
        rf"\b(?:kein\w*) (?:{_DE}|anhang|datei)\b.{{0,60}}\b(?:angehängt|beigefügt|erhalten|gesendet|hochgeladen|angekommen|vorhanden|vorliegt|mitgeschickt|übermittelt|empfangen|nachricht)|(?:nachricht|anfrage|gespräch|chat)\b.{{0,40}}\bkein\w* {_DE}|\b(?:mir|hier|uns)\b.{{0,20}}\bkein\w* {_DE}|^\W*kein\w* {_DE}\W*\w*\W*$|\bliegt\b.{{0,20}}\bkein\w* {_DE}|\bohne (?:ein |das )?{_DE}\b.{{0,40}}\b(?:kann|nicht|kein)"
        rf"|\b{_DE}\b.{{0,50}}\b(?:fehlt|nicht (?:angehängt|beigefügt|angekommen|geladen|übertragen|verfügbar|lesbar|hochgeladen|mitgeschickt|dabei)|konnte nicht|wurde nicht|ist nicht|war nicht|lässt sich nicht|ließ sich nicht|sehe ich nicht)",
        r"\b(?:bitte|kannst du|könnten sie|können sie|könntest du)\b.{0,60}\b(?:hochladen|hochzuladen|hoch\b|senden|schick\w*|anhängen|lade|teile\w*|versuchen|versuche|einfügen)|\bversuche?n? (?:sie )?es (?:bitte )?(?:später|erneut|noch einmal)",
        r"\bals (?:ein )?(?:ki|sprachmodell|reines? \w*modell|text\w+)\b|\bich bin (?:nur |leider )?ein (?:reines )?(?:sprachmodell|textmodell|textbasiert\w*|ki)",
        r"\b(?:richtlinien|sicherheits\w+|datenschutz\w*|urheberrecht\w*|nutzungsbedingungen)\b.{0,80}\b(?:nicht|verbiet\w*|untersag\w*|kein\w*|verstoß\w*|verstöß\w*|ablehn\w*)|\bverst(?:oß|ößt)\w* gegen\b|\b(?:dabei|damit|darauf|hierbei) kann ich\b|\blehne\b.{0,40}\bab\b|\bkeine (?:angaben|auskunft|beschreibung|aussage)|\bdas geht nicht\b|\bnicht (?:äußern|identifizieren|kommentieren|bewerten)\b",
        r"\b(?:interner )?(?:server|dienst|netzwerk|verbindungs|laufzeit|zeitüberschreitungs?)[- ]?fehler|\bfehler(?:code)?\b.{0,20}(?:\d{3}|:|aufgetreten)|\bist ein (?:\w+ )?fehler aufgetreten|\bzeitüberschreitung|\b(?:dienst|server|modell)\b.{0,40}\b(?:nicht (?:erreichbar|verfügbar)|überlastet)|\b(?:anfrage|kontingent|limit)\w*\b.{0,40}\b(?:überschritten|erschöpft|fehlgeschlagen)|\bzu viele anfragen",
        rf"^\W*(?:beschreib\w*|erkläre?n?|erstelle?n?|fasse)\b.{{0,60}}\b{_DE}\b|^\W*(?:hier )?(?:steht |folgt |kommt )?(?:die |eine )?(?:bild)?beschreibung(?: hier| einfügen| folgt| fehlt)?\W*$|\b(?:platzhalter|noch auszufüllen|wird (?:noch )?(?:ergänzt|nachgereicht)|keine beschreibung)\b",
        r"\b(?:der|die) (?:nutzer|benutzer|anwender|user)\w*\b.{0,40}\b(?:möchte|will|bittet|fragt|verlangt|wünscht)|^\W*(?:okay|also|gut|hm+|na gut|moment)\b.{0,40}\b(?:ich (?:muss|soll\w*)|mal (?:sehen|schauen)|schauen wir|sehen wir|überlegen|zuerst)|\b(?:muss|sollte|soll) ich\b.{0,60}\b(?:herausfinden|überlegen|beschreib\w*|formulier\w*|schreiben|antworten|entscheiden|achten)|\b(?:zuerst|zunächst) (?:muss|sollte|soll|überlege|schaue) ich",
        rf"^\W*(?:welches|was für ein|welche) {_DE}",
        r"^\W*(?:(?:es )?tut (?:mir|uns) (?:sehr )?leid|entschuldig\w+|verzeih\w*|sorry,? (?:aber|ich|das|dabei|da)\b|ich (?:bitte um entschuldigung|bedauere))",
    ),
    "fr": (
        r"\bje (?:ne |n['’])(?:\w+ ){0,2}?(?:peux|puis|suis|vois|parviens|dispose|reçois|souhaite|ferai|décrirai|commenterai)\b.{0,30}\b(?:pas|aucun\w*|rien|plus)\b|\bje (?:n['’]ai|ne dispose)\b.{0,80}\b(?:image|photo|pièce jointe|fichier|capacité|possibilité|reçu|accès|droit)|\bil m['’]est (?:impossible|interdit)|\bje refuse|\bje préfère (?:ne pas|m['’]abstenir)|\bje dois (?:refuser|décliner)|\bje me (?:vois|dois)\b.{0,40}\b(?:refuser|décliner)|\bimpossible (?:de|d['’])\b.{0,40}\b(?:aider|répondre|décrire|charger|afficher|traiter|voir|lire|ouvrir)",
        rf"\b(?:aucune|pas d['’]|pas de|sans) ?{_FR}\b.{{0,60}}\b(?:joint\w*|reçu\w*|fourni\w*|envoyé\w*|attaché\w*|transmis\w*|disponible|message|requête|conversation|décrire|trouvée?)|\b{_FR}\b.{{0,60}}\b(?:n['’]a (?:pas|pu)|n['’]ont (?:pas|pu)|n['’]est pas|manque|absente|ne s['’]est pas|n['’]apparaît pas|n['’]est jamais|introuvable)\b",
        r"\b(?:veuillez|merci de|pouvez-vous|pourriez-vous|peux-tu|pourrais-tu|s['’]il (?:vous|te) plaît)\b.{0,60}\b(?:envoyer|renvoyer|joindre|télécharger|téléverser|partager|réessayer|fournir|charger|transmettre|importer|ajouter)|\bréessaye[zr]|\bn['’]hésitez pas",
        r"\ben tant qu['’](?:ia|assistant|intelligence|modèle)|\bje suis (?:un|une) (?:modèle|ia|assistant|intelligence)\b|\bmodèle (?:de langage|textuel|linguistique)\b",
        r"\b(?:règles|politique|consignes|directives|raisons de (?:sécurité|confidentialité)|droit d['’]auteur|conditions d['’]utilisation)\b.{0,80}\b(?:interdi\w*|empêche\w*|ne permet\w*|contraire|enfrein\w*|viol\w*|refus\w*|pas)\b|\b(?:contraire\w*|contrevien\w*|enfrein\w*|viol(?:e|ent|er))\b.{0,40}\b(?:règles|politique\w*|directives|conditions|consignes|droits?|vie privée)|\bje ne suis pas (?:autorisé|en mesure|capable|à l.aise)|\bpour des raisons de (?:sécurité|confidentialité|vie privée)",
        r"\berreur (?:interne|du serveur|de (?:serveur|connexion|réseau|traitement|délai))|\b(?:une |l['’])erreur\b.{0,20}\b(?:s['’]est produite|est survenue|inattendue)|^\W*erreur\b|\bdélai\b.{0,30}\b(?:dépassé|expiré)|\b(?:service|serveur|modèle)\b.{0,40}\b(?:indisponible|injoignable|surchargé|ne répond pas)|\b(?:quota|limite)\b.{0,40}\b(?:dépassée?|atteinte?|épuisée?)|\btrop de (?:requêtes|demandes)",
        rf"^\W*(?:décri(?:s|vez|re)|explique[zr]?|résume[zr]?)\b.{{0,60}}\b{_FR}\b|^\W*(?:insére[zr] |ajoute[zr] )?(?:la |une )?(?:description|légende)(?: ici| à (?:compléter|venir|insérer))?\W*$|^\W*(?:à (?:compléter|remplir|venir|définir)|texte alternatif|sans description|aucune description)\b",
        r"\bl['’]utilisa(?:teur|trice)\b.{0,40}\b(?:demande|veut|souhaite|attend)|^\W*(?:voyons|bon|alors|d['’]accord|ok|okay|hm+)\b.{0,80}\b(?:je dois|il faut|je vais|commençons|d['’]abord|réfléchi\w*)|\bil faut (?:donc )?que je\b|\bje dois (?:d['’]abord|donc|écrire|décrire|rédiger|réfléchir|déterminer)|\bd['’]abord,? je (?:dois|vais)",
        rf"^\W*(?:quelle|de quelle) {_FR}",
        r"^\W*(?:(?:je suis )?(?:vraiment )?désolée?|pardon|excuse[zr]?|je m['’]excuse|navrée?|toutes mes excuses)",
    ),
    "es": (
        r"\b(?:no|tampoco) (?:puedo|podré|podría|veo|me es posible|soy capaz|tengo|he recibido|recibí|me está permitido|estoy autorizad\w|describiré|voy a|consigo|logro|dispongo|debo|me siento)\b.{0,80}(?:imagen\w*|imágenes|foto\w*|ayudar\w*|describir\w*|ver\w*|archivo\w*|adjunt\w*|acceso|atender|responder|cumplir|procesar|identificar|analizar|comentar|visualizar|hacer|capacidad|solicitud|contenido|eso)|\bno me (?:siento cómod\w|está permitid\w|es posible|corresponde)\b|\bme niego|\bdebo (?:rechazar|declinar|negarme)|\bprefiero no\b|\bimposible (?:ayudar|describir|procesar|ver|cargar)",
        rf"\b(?:no (?:hay|se|has|ha|veo|encuentro)|ninguna|sin|falta)\b{_NOT_IN}{{0,50}}\b{_ES}\b.{{0,40}}(?:adjunt\w*|recib\w*|enviad\w*|envi\w*|cargad\w*|proporcionad\w*|mensaje|conversación|describir|incluid\w*|subid\w*)|^\W*no (?:hay|veo|se (?:ha )?(?:adjunt|recib|encontr|proporcion|carg)\w*)\b{_NOT_IN}{{0,30}}\b{_ES}|\b{_ES}\b.{{0,40}}\bno (?:se (?:ha|pudo|adjunt\w*|carg\w*|recib\w*|envi\w*)|está|ha (?:llegado|sido|podido)|llegó|aparece)\b",
        r"\b(?:por favor|puedes|podrías|podría|puede|me la)\b.{0,50}\b(?:env[ií]\w*|sub\w*|adjunt\w*|compart\w*|cargar\w*|mandar\w*|inténta\w*|intente\w*|reintent\w*|proporcion\w*)|\b(?:inténtalo|inténtelo|vuelv[ae]|espere|espera)\b.{0,40}\b(?:intentar\w*|más tarde|nuevo|otra vez|minuto)",
        r"\bcomo (?:una? )?(?:modelo|ia\b|inteligencia|asistente)|\bsoy (?:solo |sólo |solamente )?una? (?:modelo|ia\b|inteligencia|asistente)|\bmodelo de (?:lenguaje|texto)\b",
        r"\b(?:políticas?|normas|directrices|reglas|privacidad|derechos de autor|seguridad)\b.{0,80}\b(?:no (?:me )?permit\w*|impid\w*|prohíb\w*|infring\w*|viol\w*|incumpl\w*|no (?:puedo|voy|describir\w*|es posible))|\b(?:infringe|viola|incumple)\b.{0,40}\b(?:políticas?|normas|directrices)|\bpor (?:motivos|razones) de (?:seguridad|privacidad|política)",
        r"\berror (?:interno|del? (?:servidor|sistema|conexión|red)|inesperado|\d{3})|\b(?:ha ocurrido|se (?:ha )?produ\w+|ocurrió|hubo)\b.{0,20}\berror|^\W*error\b|\btiempo de espera\b|\b(?:servicio|servidor|modelo)\b.{0,40}\b(?:no (?:está )?disponible|sobrecargad\w|no responde)|\b(?:límite|cuota)\b.{0,50}\b(?:superad\w|excedid\w|alcanzad\w|agotad\w|solicitudes)|\bdemasiadas solicitudes|\berror del? servidor|\bse ha (?:superado|excedido)\b",
        rf"^\W*(?:describ\w*|explica\w*|resum\w*)\b.{{0,60}}\b{_ES}\b|^\W*(?:inserta\w* |añad\w* )?(?:la )?descripción(?: aquí| pendiente)?\W*$|^\W*(?:pendiente|por completar|texto alternativo|sin descripción)\b",
        r"\b(?:el|la) usuari[oa]\b.{0,40}\b(?:quiere|pide|solicita|desea|me)\b|^\W*(?:bien|vale|veamos|a ver|bueno|okay|hm+|de acuerdo)\b.{0,80}\b(?:tengo que|debo|primero|necesito|voy a|hay que)|\b(?:tengo que|debo|necesito) (?:primero |escribir|describir|pensar|determinar|averiguar|redactar)|\bprimero,? (?:tengo|debo|voy|necesito)",
        rf"^\W*¿?(?:qué|cuál|a qué) {_ES}",
        r"^\W*(?:lo (?:siento|lamento)|perdón|perdon[ae]|disculp\w+|mis disculpas)",
    ),
    "pt": (
        r"\bnão (?:consigo|posso|poderei|vejo|recebi|tenho|sou capaz|estou autorizad\w|me é|vou|é possível|irei|devo|encontrei)\b.{0,80}(?:image\w*|foto\w*|ajud\w*|descrev\w*|ver\b|visualiz\w*|vê-l\w|arquivo\w*|anex\w*|acess\w*|atend\w*|respond\w*|process\w*|identific\w*|analis\w*|coment\w*|capacidade|pedido|isso|conteúdo)|\brecuso|\bprefiro não\b|\bdevo recusar|\bimpossível (?:ajudar|descrever|processar|ver|carregar)",
        rf"\b(?:não (?:há|foi|recebi|vejo|veio|existe)|nenhuma|sem|falta)\b{_NOT_IN}{{0,50}}\b{_PT}\b.{{0,40}}(?:anexad\w*|recebid\w*|enviad\w*|carregad\w*|fornecid\w*|mensagem|conversa|descrever)|^\W*(?:não (?:há|recebi|vejo|encontrei)|nenhuma)\b{_NOT_IN}{{0,20}}\b{_PT}|\b{_PT}\b.{{0,40}}\bnão (?:foi|está|chegou|carregou|aparece|pôde|veio)\b",
        r"\b(?:por favor|poderia|você pode|pode|pode-me|envie|reenvie|anexe)\b.{0,50}\b(?:envi\w*|reenvi\w*|anex\w*|carreg\w*|compartilh\w*|partilh\w*|fornec\w*|tent\w*|novo|de novo|novamente)|\btente (?:novamente|de novo|mais tarde)",
        r"\bcomo (?:um |uma )?(?:modelo|ia\b|inteligência|assistente)|\bsou (?:apenas |só |somente )?uma? (?:modelo|ia\b|inteligência|assistente)|\bmodelo de (?:linguagem|texto)\b",
        r"\b(?:políticas?|normas|diretrizes|regras|privacidade|direitos autorais|segurança)\b.{0,80}\b(?:não (?:me )?permit\w*|imped\w*|proíb\w*|viol\w*|infring\w*|não (?:posso|vou))|\b(?:viola|infringe)\b.{0,40}\b(?:políticas?|normas|diretrizes)|\bpor (?:motivos|razões) de (?:segurança|privacidade|política)",
        r"\berro (?:interno|d[eo] (?:servidor|sistema|conexão|rede)|inesperado|\d{3})|\b(?:ocorreu|houve|aconteceu)\b.{0,20}\berro|^\W*erro\b|\btempo (?:limite|de espera|esgotado)\b|\b(?:serviço|servidor|modelo)\b.{0,40}\b(?:indisponível|sobrecarregad\w|não (?:está|responde))|\b(?:limite|cota|quota)\b.{0,50}\b(?:excedid\w|atingid\w|esgotad\w)",
        rf"^\W*(?:descrev\w*|expli\w*|resum\w*)\b.{{0,60}}\b{_PT}\b|^\W*(?:insira |inserir |adicione )?(?:a )?(?:descrição|legenda)(?: aqui| pendente)?\W*$|^\W*(?:a (?:preencher|definir|completar)|pendente|texto alternativo|sem descrição)\b",
        r"\b[oa] (?:usuári[oa]|utilizador\w*)\b.{0,40}\b(?:quer|pede|pediu|solicit\w*|deseja)\b|^\W*(?:bem|certo|vejamos|vamos ver|ok|okay|hm+|então|tudo bem)\b.{0,80}\b(?:preciso|tenho que|devo|primeiro|vou)|\b(?:preciso|tenho de|tenho que|devo) (?:primeiro |escrever|descrever|pensar|determinar|descobrir|redigir|identificar)|\bprimeiro,? (?:preciso|devo|vou|tenho)",
        rf"^\W*(?:qual|que) {_PT}",
        r"^\W*(?:desculp\w+|(?:eu )?lamento|sinto muito|perdão|peço desculpa\w*)",
    ),
    "it": (
        r"\bnon (?:posso|riesco|potrò|vedo|ho|sono (?:in grado|autorizzat\w|capace)|mi è|è (?:possibile|stata)|intendo|voglio|devo|sono riuscit\w|trovo|commento|descriverò)\b.{0,80}(?:immagin\w*|foto\w*|aiutar\w*|descriver\w*|veder\w*|visualizzar\w*|file|allegat\w*|access\w*|risponder\w*|elabor\w*|identific\w*|analizz\w*|comment\w*|capacità|richiesta|contenut\w*|farlo|questo)|\bmi rifiuto|\bpreferisco non\b|\bdevo (?:rifiutare|declinare)|\bimpossibile (?:aiutare|descrivere|elaborare|vedere|caricare)",
        rf"\b(?:non (?:c['’]è|vedo|è|ho|risulta)|nessun\w*|senza|manca)\b{_NOT_IN}{{0,50}}\b{_IT}\b.{{0,40}}(?:allegat\w*|ricevut\w*|inviat\w*|caricat\w*|fornit\w*|messaggio|conversazione|descrivere|presente)|^\W*(?:non (?:c['’]è|ho ricevuto|vedo)|nessun\w*|manca)\b{_NOT_IN}{{0,20}}\b{_IT}|\b{_IT}\b.{{0,40}}\b(?:non (?:è|sembra|risulta|si è|mi è)|manca)\b.{{0,40}}(?:allegat\w*|caricat\w*|arrivat\w*|ricevut\w*|disponibil\w*|present\w*|aprir\w*)?",
        r"\b(?:per favore|per piacere|ti prego|puoi|potresti|può|potrebbe|si prega|prego)\b.{0,50}\b(?:invi\w*|manda\w*|alleg\w*|caric\w*|condivid\w*|forni\w*|riprov\w*|ricaric\w*|di nuovo)|\b(?:riprova|riprovare|riprovi)\b",
        r"\b(?:come|in quanto|essendo) (?:un |una )?(?:modello|ia\b|intelligenza|assistente)|\bsono (?:solo |soltanto |solamente )?(?:un|una) (?:modello|ia\b|intelligenza|assistente)|\bmodello (?:linguistico|testuale|di testo)\b|\blavoro (?:solo|soltanto) con il testo",
        r"\b(?:norme|regole|politic\w+|linee guida|privacy|riservatezza|diritt\w+ d['’]autore|sicurezza)\b.{0,80}\b(?:non (?:mi )?(?:permett\w*|consent\w*)|impedi\w*|viet\w*|viol\w*|non posso)|\b(?:viola\w*|violare|contrari\w+)\b.{0,40}\b(?:norme|regole|linee guida|politic\w+|riservatezza|privacy)|\bper (?:motivi|ragioni) di (?:sicurezza|privacy|riservatezza)",
        r"\berrore (?:interno|del server|di (?:sistema|connessione|rete|server)|imprevisto|\d{3})|\b(?:si è verificat\w|c['’]è stato)\b.{0,20}\berrore|^\W*errore\b|\btempo (?:scaduto|limite)|\btimeout\b|\b(?:servizio|server|modello)\b.{0,40}\b(?:non (?:è )?(?:disponibile|raggiungibile)|sovraccaric\w)|\b(?:limite|quota)\b.{0,50}\b(?:superat\w|raggiunt\w|esaurit\w)",
        rf"^\W*(?:descriv\w*|spieg\w*|riassum\w*)\b.{{0,60}}\b{_IT}\b|^\W*(?:inserire |inserisci |aggiungere )?(?:la |qui la )?(?:descrizione|didascalia)(?: qui| da inserire)?\W*$|^\W*(?:da (?:completare|compilare|definire|inserire)|testo alternativo|senza descrizione|nessuna descrizione)\b",
        r"\bl['’]utente\b.{0,40}\b(?:vuole|chiede|desidera|richiede)\b|^\W*(?:allora|bene|vediamo|ok|okay|dunque|hm+|va bene)\b.{0,80}\b(?:devo|prima|bisogna|dovrei|conviene|occorre)|\b(?:devo|dovrei) (?:prima |scrivere|descrivere|pensare|capire|determinare)|\bprima (?:di tutto|devo)",
        rf"^\W*(?:quale|che) {_IT}",
        r"^\W*(?:mi (?:dispiace|spiace)|scusa\w*|spiacente|chiedo scusa|siamo spiacenti)",
    ),
    "nl": (
        r"\b(?:ik )?(?:kan|mag|zal|wil|zie|heb|ga|doe)\b (?:ik )?.{0,50}\b(?:niet|geen)\b.{0,80}(?:help\w*|beschrijv\w*|bekijk\w*|zien|zie|openen|laden|afbeelding\w*|foto\w*|bijlage\w*|bestand\w*|ontvangen|uitspra\w*|beantwoord\w*|verwerk\w*|identificer\w*|analyser\w*|verzoek|voldoen|inhoud|mening)|\bik weiger|\bniet (?:toegestaan|mogelijk) om\b|\bliever niet\b",
        rf"\bgeen {_NL}\b.{{0,60}}\b(?:bijgevoegd|ontvangen|meegestuurd|verzonden|geüpload|toegevoegd|gevonden|bericht|gesprek|gestuurd|beschikbaar|zien|om te)|\b{_NL}\b.{{0,50}}\b(?:ontbreekt|niet (?:bijgevoegd|ontvangen|geladen|doorgekomen|meegestuurd|meegekomen|beschikbaar|geüpload|goed))",
        r"\b(?:alstublieft|alsjeblieft|kunt u|kun je|wilt u|wil je|gelieve|graag)\b.{0,60}\b(?:upload\w*|stur\w*|stuur|toevoeg\w*|bijvoeg\w*|delen|deel|plaats\w*|probe\w*|opnieuw)|\bprobeer het\b|\b(?:upload|stuur) (?:de|het|een|hem|haar) ",
        r"\bals (?:een )?(?:ai\b|taalmodel|tekst\w+|kunstmatige)|\bik ben (?:maar |slechts |alleen )?een (?:\w+ )?(?:taalmodel|tekstmodel|ai\b|assistent)|\btaalmodel\b",
        r"\b(?:beleid|richtlijnen|regels|privacy|auteursrecht\w*|veiligheid\w*)\b.{0,80}\b(?:niet|verbied\w*|staan\b|geen|strijd\w*|schend\w*)|\b(?:in strijd met|schendt)\b|\bvanwege (?:privacy|veiligheid|het beleid)|\braadpleeg een (?:arts|dokter|specialist|professional)",
        r"\b(?:interne )?(?:server|netwerk|verbindings|systeem)fout|\bfout(?:code)?\b.{0,20}(?:\d{3}|:|opgetreden)|\ber is (?:een |iets )?(?:fout|mis)|\btime-?out\b|\btijdslimiet\b|\b(?:dienst|server|service|model)\b.{0,40}\b(?:niet (?:bereikbaar|beschikbaar)|overbelast)|\b(?:limiet|quotum)\b.{0,50}\b(?:overschreden|bereikt)|\bte veel (?:verzoeken|aanvragen)",
        rf"^\W*(?:beschrijf|omschrijf|leg uit|vat)\b.{{0,60}}\b{_NL}\b|^\W*(?:hier (?:komt )?|voeg )?(?:de )?beschrijving(?: hier| volgt| invoegen| toevoegen)?\W*$|^\W*(?:nog in te vullen|volgt nog|alternatieve tekst|geen beschrijving)\b",
        r"\bde gebruiker\b.{0,40}\b(?:wil|vraagt|verzoekt|wenst)\b|^\W*(?:oké|ok|goed|even|laat me|eens|hm+|nou)\b.{0,80}\b(?:ik moet|eerst|kijken|denken|nadenken|moet ik)|\bmoet ik (?:eerst |dus )?(?:\w+ ){0,4}(?:beschrijven|bedenken|bepalen|schrijven|kijken|nagaan|letten)|\beerst moet ik",
        rf"^\W*welke? {_NL}",
        r"^\W*(?:sorry,? (?:ik|maar|daar|dat|dit|hier|kan)\b|het spijt (?:me|ons)|excuses|mijn excuses|neem me niet kwalijk)",
    ),
    "pl": (
        r"\bnie (?:mogę|jestem w stanie|potrafię|widzę|mam|otrzymał\w*|dostał\w*|będę|wolno mi|chcę|powinien\w*|umiem|opiszę|zamierzam|dołączon\w*|znalazł\w*)\b.{0,80}(?:obraz\w*|zdję\w*|grafik\w*|pomóc|pomagać|opis\w*|zobaczyć|wyświetl\w*|plik\w*|załącznik\w*|dostęp\w*|odpowied\w*|spełnić|przetwarz\w*|identyfik\w*|analiz\w*|koment\w*|możliwości|prośb\w*|treści|tego|ogląda\w*|przegląda\w*)|\bodmawiam|\bmuszę odmówić|\bwolę nie\b|\bprzykro mi\b",
        rf"\b(?:brak|nie ma|bez|żadn\w+)\b{_NOT_IN}{{0,30}}\b{_PL}\b.{{0,50}}(?:załącz\w*|dołącz\w*|wiadomości|rozmowie|przesłan\w*|opis\w*|wysłan\w*)|^\W*(?:brak|nie ma|nie widzę)\b{_NOT_IN}{{0,20}}\b{_PL}|\b{_PL}\b.{{0,50}}\bnie (?:został\w*|zostało|jest|dotar\w*|załadowa\w*|widać|dołącz\w*|udało)",
        r"\b(?:proszę|prosimy|czy możesz|czy mógłbyś|czy może\w*|prześlij|wyślij|dołącz|załącz|udostępnij)\b.{0,60}\b(?:przesła\w*|przesł\w*|prześl\w*|wysła\w*|wyśl\w*|dołącz\w*|załącz\w*|udostępni\w*|ponownie|jeszcze raz|spróbu\w*|je\b)|\bspróbuj\w*\b.{0,30}\b(?:ponownie|później|jeszcze)",
        r"\bjako (?:model|ai\b|sztuczna|asystent)|\bjestem (?:tylko |jedynie )?(?:modelem|ai\b|sztuczną|asystentem)|\bmodel(?:em)? (?:językow\w+|tekstow\w+)\b",
        r"\b(?:zasady|zasad\w*|polityk\w*|wytyczn\w*|regulamin\w*|prywatnoś\w*|praw\w* autorsk\w*|bezpieczeństw\w*)\b.{0,80}\b(?:nie (?:pozwal\w*|mogę|zezwal\w*|będę)|zabrani\w*|zakazuj\w*|narusz\w*)|\bnarusza\w*\b.{0,40}\b(?:zasady|regulamin|polityk\w*|prywatność)|\bze względ\w+ (?:na )?(?:bezpieczeństw\w*|prywatnoś\w*)",
        r"\bbłąd (?:wewnętrzny|serwera|połączenia|sieci|systemu|\d{3})|\b(?:wystąpił|pojawił się)\b.{0,20}\bbłąd|^\W*(?:błąd|wewnętrzny błąd)\b|\b(?:przekroczono|upłynął)\b.{0,30}\b(?:limit|czas\w*)|\b(?:usługa|serwer|model)\b.{0,40}\b(?:niedostępn\w*|przeciążon\w*|nie odpowiada)|\b(?:limit|kwot\w*)\b.{0,50}\b(?:przekroczon\w*|wyczerpan\w*)",
        rf"^\W*(?:opisz\w*|wyjaśnij|streść)\b.{{0,60}}\b{_PL}\b|^\W*(?:wstaw |tutaj |tu |dodaj )?opis(?: tutaj| obrazu| zdjęcia| zostanie dodany)?\W*$|^\W*(?:do (?:uzupełnienia|wypełnienia)|tekst alternatywny|brak opisu)\b",
        r"\bużytkownik\w*\b.{0,40}\b(?:chce|prosi|pyta|oczekuje|życzy)\b|^\W*(?:okej|ok|dobrze|zobaczmy|hm+|no dobrze|więc)\b.{0,80}\b(?:muszę|powinienem|najpierw|trzeba|spójrz\w*)|\b(?:muszę|powinienem|powinnam) (?:najpierw |opisać|napisać|ustalić|zastanowić|sformułować|się)|\bnajpierw (?:muszę|powinienem|ustal\w*)",
        rf"^\W*(?:jakie|które|jaki|który) {_PL}",
        r"^\W*(?:(?:bardzo )?(?:mi )?przykro(?: mi)?|przeprasza\w+|wybacz\w*)",
    ),
    "ru": (
        r"\bне (?:могу|смогу|вижу|умею|получил\w*|буду|имею|способ\w*|в состоянии|удалось|вправе|стану|хочу|должен|должна|нахожу|поддержива\w*|обнаруж\w*)\b.{0,80}(?:изображени\w*|картин\w*|фото\w*|помоч\w*|помога\w*|опис\w*|увид\w*|видеть|просм\w*|смотреть|файл\w*|влож\w*|доступ\w*|ответ\w*|выполн\w*|обраб\w*|анализ\w*|коммент\w*|возможност\w*|запрос\w*|просьб\w*|эт\w+|открыт\w*|загруз\w*|распозна\w*|определ\w*|содержим\w*)|\bотказываюсь|\bвынужден\w* отказ|\bпредпоч\w+ не\b|\bне позволя\w+\b|\bневозможно (?:помочь|описать|обработать|загрузить|открыть)|\bне имею (?:возможности|права)",
        rf"\b(?:нет|отсутств\w+|без|ни одного|не (?:приложен\w*|прикреп\w*|прикрепл\w*|загруж\w*|получен\w*|предоставл\w*|обнаружен\w*|отправл\w*|поступил\w*))\b{_NOT_IN}{{0,30}}\b{_RU}\b.{{0,50}}(?:сообщени\w*|запрос\w*|чат\w*|бесед\w*|вложен\w*|опис\w*|прикреп\w*|прилож\w*)?$|\b(?:сообщени\w*|запрос\w*|чат\w*|диалог\w*)\b.{{0,30}}\b(?:нет|не (?:вижу|содерж\w*|наш\w*)|отсутств\w+)\b{_NOT_IN}{{0,30}}\b{_RU}|^\W*(?:нет|отсутству\w+|не (?:вижу|приложен\w*|прикреп\w*|получен\w*))\b{_NOT_IN}{{0,20}}\b{_RU}|\b{_RU}\b.{{0,40}}\bне (?:был\w*|загру\w*|дош\w*|прилож\w*|прикреп\w*|получ\w*|отобраз\w*|удалось|видно мне|отправ\w*|пришл\w*)|\bне (?:приложен|прикрепл|загружен|получен)\w*\b{_NOT_IN}{{0,30}}\b{_RU}",
        r"\b(?:пожалуйста|не могли бы|можете|можешь|прошу)\b.{0,60}\b(?:загруз\w*|пришл\w*|отправ\w*|прикреп\w*|прилож\w*|подел\w*|предостав\w*|попроб\w*|повтор\w*|ещё раз|снова)|\b(?:пришлите|отправьте|загрузите|прикрепите|приложите|попробуйте|повторите)\b",
        r"\b(?:как|будучи) (?:языков\w+|текстов\w+|искусственн\w+|ии\b|модел\w+)|\bя (?:всего лишь |только |лишь |просто )?(?:текстов\w+|языков\w+|искусственн\w+|ии\b|модель|нейросеть|ассистент)|\bязыковая модель",
        r"\b(?:правил\w*|политик\w*|рекомендаци\w*|конфиденциальност\w*|авторск\w+ прав\w*|безопасност\w*|условия\w*)\b.{0,80}\b(?:не (?:позволя\w*|могу|разреша\w*|допуска\w*|буду)|запреща\w*|наруш\w*|отказ\w*)|\bнаруша\w*\b.{0,40}\b(?:правил\w*|политик\w*|прав\w*)|\bв целях (?:безопасности|конфиденциальности)|\bпо соображениям",
        r"\b(?:внутренняя )?ошибка (?:сервера|сети|соединения|подключения|системы|\d{3})|\b(?:произошла|возникла|случилась)\b.{0,20}\bошибк|^\W*(?:ошибка|внутренняя ошибка)\b|\b(?:истекло|превышен\w*)\b.{0,30}\b(?:врем\w*|лимит\w*|ожидан\w*|квот\w*|числ\w*)|\b(?:сервис|сервер|модель)\b.{0,40}\b(?:недоступ\w*|перегруж\w*|не отвечает)|\b(?:лимит|квота)\b.{0,50}\b(?:превышен\w*|исчерпан\w*)|\bслишком много запросов",
        rf"^\W*(?:опиши\w*|опишите|объясни\w*|расскажи\w*)\b.{{0,60}}\b{_RU}|^\W*(?:вставьте |здесь (?:будет )?|добавьте )?описание(?: здесь| изображения| будет добавлено| отсутствует)?\W*$|^\W*(?:заполнить|будет дополнено|альтернативный текст|нет описания|без описания)\b",
        r"\bпользовател\w*\b.{0,40}\b(?:хочет|просит|спрашивает|ожидает|попросил\w*)\b|^\W*(?:хорошо|так|итак|ладно|окей|хм+|ну|посмотрим|давай\w*)\b.{0,80}\b(?:мне нужно|нужно|сначала|надо|я должен|следует)|\b(?:мне (?:нужно|надо|следует)|я должен|я должна) (?:сначала |описать|написать|понять|определить|сформулировать|подумать)|\bсначала (?:нужно|надо|мне|я)\b",
        rf"^\W*(?:какое|какую|какая|какой) {_RU}",
        r"^\W*(?:извините|простите|прошу прощения|приношу извинения|сожалею|мне (?:очень )?жаль)",
    ),
    "uk": (
        r"\bне (?:можу|зможу|бачу|вмію|отримав\w*|отримала|буду|маю|здатн\w*|в змозі|вдалося|хочу|знаходжу|підтриму\w*)\b.{0,80}(?:зображен\w*|картин\w*|фото\w*|світлин\w*|допомог\w*|опис\w*|побач\w*|бачити|перегля\w*|файл\w*|вкладен\w*|доступ\w*|відпові\w*|викон\w*|оброб\w*|аналіз\w*|комент\w*|можливост\w*|запит\w*|прохан\w*|ц\w+|відкри\w*|завантаж\w*|розпізна\w*|вміст\w*)|\bвідмовляюс|\bзмушен\w* відмов|\bволію не\b|\bне дозволя\w+\b|\bнеможливо (?:допомогти|описати|обробити|завантажити|відкрити)",
        rf"\b(?:повідомленн\w*|запит\w*|чат\w*|розмов\w*)\b.{{0,30}}\b(?:немає|не (?:бачу|містить)|відсутн\w+)\b{_NOT_IN}{{0,30}}\b{_UK}|^\W*(?:немає|відсутн\w+|не (?:бачу|додано|прикріплен\w*|отриман\w*))\b{_NOT_IN}{{0,20}}\b{_UK}|\b{_UK}\b.{{0,40}}\bне (?:бул\w*|заванта\w*|дійш\w*|дода\w*|прикріп\w*|отрим\w*|відобра\w*|вдалося|надійш\w*)|\bне (?:додано|прикріплено|завантажено|отримано|надано)\b{_NOT_IN}{{0,30}}\b{_UK}",
        r"\b(?:будь ласка|чи не могли|чи можете|можете|прошу)\b.{0,60}\b(?:заванта\w*|надішл\w*|надісла\w*|прикріп\w*|дода\w*|поділ\w*|нада\w*|спроб\w*|повтор\w*|ще раз|знову|зроблю)|\b(?:надішліть|завантажте|прикріпіть|додайте|спробуйте|повторіть)\b",
        r"\b(?:як|будучи) (?:мовн\w+|текстов\w+|штучн\w+|ші\b|модел\w+)|\bя (?:лише |тільки |просто )?(?:текстов\w+|мовн\w+|штучн\w+|ші\b|модель|асистент)|\bмовна модель",
        r"\b(?:правил\w*|політик\w*|рекомендаці\w*|конфіденційн\w*|авторськ\w+ прав\w*|безпек\w*|умов\w*)\b.{0,80}\b(?:не (?:дозволя\w*|можу|допуска\w*|буду)|заборон\w*|поруш\w*|відмов\w*)|\bпоруш\w*\b.{0,40}\b(?:правил\w*|політик\w*|прав\w*)|\bз міркувань",
        r"\b(?:внутрішня )?помилка (?:сервера|мережі|з.єднання|підключення|системи|\d{3})|\b(?:сталася|виникла|трапилася)\b.{0,20}\bпомилк|^\W*(?:помилка|внутрішня помилка)\b|\b(?:вичерпано|перевищен\w*|минув)\b.{0,30}\b(?:час\w*|ліміт\w*|квот\w*)|\b(?:сервіс|сервер|модель)\b.{0,40}\b(?:недоступ\w*|перевантаж\w*|не відповідає)|\b(?:ліміт|квот\w*)\b.{0,50}\b(?:перевищен\w*|вичерпан\w*)",
        rf"^\W*(?:опиш\w*|поясн\w*|розкаж\w*)\b.{{0,60}}\b{_UK}|^\W*(?:вставте |тут (?:буде )?|додайте )?опис(?: тут| зображення| буде додано| відсутній)?\W*$|^\W*(?:заповнити|буде доповнено|альтернативний текст|немає опису)\b",
        r"\bкористувач\w*\b.{0,40}\b(?:хоче|просить|питає|очікує)\b|^\W*(?:добре|так|отже|гаразд|хм+|ну|подивимось|давай\w*)\b.{0,80}\b(?:мені (?:треба|потрібно)|треба|спочатку|потрібно|я маю|слід)|\b(?:мені (?:треба|потрібно|слід)|я маю|я повин\w+) (?:спочатку |описати|написати|зрозуміти|визначити|сформулювати)|\bспочатку (?:треба|потрібно|мені|я)\b",
        rf"^\W*(?:яке|яку|яка|який) {_UK}",
        r"^\W*(?:вибачте|пробачте|перепрошую|прошу вибачення|мені (?:дуже )?шкода)",
    ),
    "tr": (
        r"(?:\w*(?:amam|emem|amıyorum|emiyorum|amıyor|emiyor|amayacağım|emeyeceğim|amayız|emeyiz)\b)|\b\w+m[ıiuü]yorum\b|\b(?:göremedim|alamadım|bulamadım|açamadım|yapamam|istemem|etmem|reddediyorum|reddetmek|yardımcı olam\w+|tercih etm\w+|uygun değil\w*|mümkün değil\w*|izin (?:verilm\w*|verm\w*|yok)|yetkim yok)",
        rf"\b(?:görsel|resim|fotoğraf|görüntü|dosya)(?:i|ı|ler|lar|iniz|ınız)?\b.{{0,20}}\byok\b|\b{_TR}\b.{{0,50}}\b(?:ekli değil|eklenmemiş|eklenmedi|yüklenmedi|yüklenmemiş|gelmedi|ulaşmadı|alınmadı|alınamadı|bulunmuyor|bulunamadı|görünmüyor|gönderilmedi|gönderilmemiş|eksik|açılmadı|yüklenemedi)|\bherhangi bir {_TR}\b.{{0,30}}\b(?:yok|göre\w+|bul\w+|gel\w+|al\w+)",
        r"\b(?:lütfen|misiniz|mısınız|misin|mısın|musunuz)\b.{0,60}\b(?:yükle\w*|gönder\w*|ekle\w*|paylaş\w*|dene\w*|tekrar)|\b(?:tekrar|yeniden) (?:yükle\w*|gönder\w*|dene\w*|ekle\w*)|\b(?:yükler|gönderir|paylaşır|ekler|dener) (?:misin\w*|mısın\w*)",
        r"\b(?:bir )?(?:dil|metin|yapay zek[aâ]) (?:model\w*|asistan\w*|olarak|olduğum)|\byapay zek[aâ]\w*\b.{0,30}\b(?:olarak|olduğum)",
        r"\b(?:politika\w*|kural\w*|ilke\w*|gizlilik|telif|güvenlik)\b.{0,80}\b(?:izin verm\w*|aykırı|ihlal\w*|yasak\w*|engel\w*|nedeniyle|gereği|gereğince|açıklay\w*)|\b(?:aykırı|ihlal)\b",
        r"\b(?:sunucu|bağlantı|ağ|sistem|dahili) (?:hatası|hata)\b|\b(?:bir )?hata\w* (?:oluştu|meydana|kodu)|^\W*hata\b|\bzaman aşımı\w*|\bsüre\w*\b.{0,20}\b(?:aşıldı|doldu)|\b(?:hizmet|sunucu|servis|model)\b.{0,40}\b(?:kullanılam\w*|ulaşılam\w*|yanıt verm\w*|yoğun\w*|meşgul)|\b(?:istek|kota|limit|sınır)\w*\b.{0,40}\b(?:aşıldı|aştınız|doldu|fazla)|\bçok fazla (?:istek|talep)",
        rf"^\W*(?:bu |şu )?{_TR}\b.{{0,60}}\b(?:açıkla|açıklayın|betimle\w*|tanımla|tanımlayın|anlat|anlatın)\W*$|^\W*(?:buraya )?(?:açıklama|tanım|betimleme)(?:yı|sı)?(?: buraya| eklenecek| girin| ekleyin| yok| gelecek)*\W*$|\b(?:doldurulacak|alternatif metin)\b",
        r"\bkullanıcı\w*\b.{0,60}\b(?:istiyor|istedi|soruyor|bekliyor|rica)|^\W*(?:tamam|peki|bakalım|hm+|evet|şimdi|önce|öncelikle)\b.{0,80}\b(?:gerek\w*|lazım|bakmalı\w*|düşün\w*|anlamalı\w*|belirlemeli\w*|yazmalı\w*|malıyım|meliyim)|\b\w+(?:malıyım|meliyim|mam gerek\w*|mem gerek\w*)\b",
        rf"^\W*hangi {_TR}",
        r"^\W*(?:üzgün\w+|özür\w*|kusura bakma\w*|affedersin\w*|pardon)",
    ),
    "vi": (
        r"\b(?:tôi|mình|em|chúng tôi)\b.{0,40}\b(?:không|chưa) (?:thể|có|nhận|thấy|được|hỗ trợ|nhìn|xem|xử lý|muốn|mô tả|tìm)\b|\bkhông thể (?:giúp|hỗ trợ|mô tả|xem|xử lý|đáp ứng|thực hiện|tải|mở|trả lời|cung cấp|nhận diện|xác định|bình luận)|\btừ chối (?:mô tả|trả lời|thực hiện|yêu cầu)|\bxin (?:phép )?(?:từ chối|không)\b",
        rf"\b(?:không|chưa) (?:có|thấy|nhận được|tìm thấy|đính kèm|kèm)\b.{{0,30}}\b{_VI}\b.{{0,40}}(?:đính kèm|tin nhắn|gửi|nào|cuộc trò chuyện|để mô tả|tải lên|trong yêu cầu)|\b{_VI}\b.{{0,40}}\b(?:chưa được|không được|bị thiếu|chưa (?:gửi|tải|hiển thị)|không (?:tải|hiển thị|mở|đính kèm))",
        r"\b(?:vui lòng|xin hãy|hãy|bạn có thể|xin vui lòng|làm ơn)\b.{0,50}\b(?:tải|gửi|đính kèm|chia sẻ|cung cấp|thử lại|đăng)\b|\bthử lại\b",
        r"\b(?:là|với tư cách)\b.{0,20}\b(?:mô hình|trí tuệ nhân tạo|ai\b|trợ lý)|\bmô hình ngôn ngữ\b|\bchỉ (?:xử lý|làm việc|hiểu)\b.{0,20}\bvăn bản\b",
        r"\b(?:chính sách|quy định|nguyên tắc|quyền riêng tư|bản quyền|an toàn|tiêu chuẩn)\b.{0,80}\b(?:không|vi phạm|cấm|từ chối|trái)\b|\bvi phạm\b.{0,40}\b(?:chính sách|quy định|nguyên tắc|quyền)|\bvì lý do (?:an toàn|bảo mật|riêng tư)",
        r"\blỗi (?:máy chủ|hệ thống|kết nối|mạng|nội bộ|không xác định|\d{3})|\b(?:đã xảy ra|có|gặp|phát sinh) (?:một )?lỗi\b|^\W*lỗi\b|\bhết thời gian\b|\bquá thời gian\b|\b(?:dịch vụ|máy chủ|mô hình)\b.{0,40}\b(?:không khả dụng|quá tải|không phản hồi|tạm ngưng)|\b(?:vượt quá|hết)\b.{0,30}\b(?:giới hạn|hạn mức|quota)|\bquá nhiều yêu cầu",
        rf"^\W*(?:hãy )?(?:mô tả|miêu tả|giải thích|tóm tắt)\b.{{0,40}}\b{_VI}\b.{{0,40}}(?:này|trên|sau|câu)|^\W*(?:thêm |chèn |nhập )?mô tả(?: ở đây| tại đây| sau| hình ảnh)?\W*$|\b(?:sẽ (?:được )?(?:bổ sung|cập nhật)|văn bản thay thế|chưa có mô tả)\b",
        r"\bngười dùng\b.{0,40}\b(?:muốn|yêu cầu|hỏi|cần|đưa)\b|^\W*(?:được rồi|ok|okay|hm+|để xem|vậy|trước hết|đầu tiên)\b.{0,60}\b(?:tôi|mình|cần|phải|hãy)\b|\b(?:tôi|mình) (?:cần|phải|nên) (?:\w+ ){0,3}(?:mô tả|xem|viết|xác định|suy nghĩ|trả lời)",
        rf"^\W*{_VI} nào\b|^\W*bạn (?:muốn nói|nói) đến {_VI}",
        r"^\W*(?:(?:tôi )?(?:rất |thành thật )?xin lỗi|rất tiếc|rất lấy làm tiếc|thành thật xin lỗi)",
    ),
    "id": (
        r"\b(?:saya|aku|kami)\b.{0,40}\b(?:tidak|belum|tak) (?:bisa|dapat|melihat|menerima|mampu|memiliki|punya|akan|diizinkan|diperbolehkan|menemukan|bersedia|mendukung)\b|\b(?:tidak|belum) (?:bisa|dapat|mampu) (?:\w+ )?(?:membantu|melihat|menjelaskan|mendeskripsikan|memproses|memenuhi|membuka|menjawab|mengidentifikasi|menganalisis|melakukan|memberikan|menggambarkan)|\bsaya menolak|\bsaya harus menolak|\bsaya (?:lebih )?memilih (?:untuk )?tidak",
        rf"\b(?:tidak ada|belum ada|tanpa|tak ada)\b.{{0,20}}\b{_ID}\b.{{0,40}}(?:terlampir|dilampirkan|diterima|dikirim|diunggah|pesan|percakapan|untuk|yang)|\b{_ID}\b.{{0,40}}\b(?:belum|tidak|gagal) (?:terlampir|dilampirkan|terkirim|terunggah|dimuat|terbaca|diterima|sampai|ada|muncul|tersedia|terlihat|bisa dibuka|dapat)",
        r"\b(?:silakan|mohon|tolong|harap|bisakah|bisa tolong|dapatkah)\b.{0,50}\b(?:unggah\w*|mengunggah|kirim\w*|mengirim\w*|lampirkan|melampirkan|bagikan|coba|ulang\w*|sertakan)|\bcoba lagi\b|\bsilakan (?:coba|ulangi)",
        r"\b(?:sebagai|saya (?:hanya|hanyalah|adalah)?)\b.{0,20}\b(?:model (?:bahasa|teks)|kecerdasan buatan|ai\b|asisten)|\bmodel (?:bahasa|teks)\b",
        r"\b(?:kebijakan|aturan|pedoman|privasi|hak cipta|keamanan|ketentuan)\b.{0,80}\b(?:tidak|melanggar|melarang|dilarang|menolak|bertentangan)\b|\bmelanggar\b.{0,40}\b(?:kebijakan|aturan|pedoman|privasi|ketentuan)|\bdemi (?:keamanan|privasi)|\balasan (?:keamanan|privasi)",
        r"\b(?:kesalahan|galat|eror|error) (?:server|peladen|jaringan|koneksi|internal|sistem|\d{3})|\bterjadi (?:\w+ )?(?:kesalahan|galat|eror|error)\b|^\W*(?:kesalahan|galat|kode galat)\b|\bwaktu (?:habis|tunggu)\b|\b(?:layanan|server|peladen|model)\b.{0,40}\b(?:tidak tersedia|kelebihan|sibuk|tidak merespons)|\b(?:batas|kuota)\b.{0,40}\b(?:terlampaui|habis|tercapai|permintaan)|\bterlalu banyak permintaan",
        rf"^\W*(?:jelaskan|deskripsikan|gambarkan|uraikan)\b.{{0,40}}\b{_ID}\b|^\W*(?:masukkan |tulis |tambahkan )?(?:deskripsi|keterangan)(?: di sini| gambar| akan ditambahkan| menyusul)?\W*$|^\W*(?:akan dilengkapi|teks alternatif|belum ada deskripsi|tidak ada deskripsi)\b",
        r"\bpengguna\b.{0,40}\b(?:ingin|meminta|bertanya|mau|menginginkan)\b|^\W*(?:baik|oke|ok|hm+|mari|nah|jadi|pertama)\b.{0,80}\b(?:saya (?:perlu|harus)|aku (?:perlu|harus)|perlu|harus|kita lihat)|\b(?:saya|aku) (?:perlu|harus) (?:\w+ ){0,3}(?:menjelaskan|menulis|menentukan|memikirkan|melihat|menjawab)",
        rf"^\W*{_ID} (?:yang )?mana\b|^\W*(?:yang )?mana {_ID}",
        r"^\W*(?:(?:mohon )?maaf(?:kan)?|saya (?:mohon|minta) maaf)",
    ),
    "sv": (
        r"\bjag (?:kan|får|ser|har|vill|tänker|kommer)\b.{0,30}\b(?:inte|ingen|inget|tyvärr inte)\b.{0,80}(?:hjälp\w*|beskriv\w*|se\b|bild\w*|foto\w*|fil\w*|bifog\w*|svara|öppna|ta emot|fått|identifi\w*)|\bingen bild\b.{0,40}\b(?:bifog\w*|mottag\w*|skick\w*|bif\w*)|\bbild\w*\b.{0,40}\b(?:saknas|kom inte|laddades inte)",
        r"\b(?:vänligen|kan du|snälla|var god)\b.{0,50}\b(?:ladda upp|skicka|bifoga|dela|försök)|\bsom (?:en )?(?:ai|språkmodell)\b|\banvändaren (?:vill|ber|frågar)\b|\bett fel (?:har )?(?:uppstått|inträff\w*)|\bserverfel\b",
        r"^\W*(?:(?:jag är )?ledsen|förlåt|tyvärr kan jag|beklagar)",
    ),
    "cs": (
        r"\bne(?:mohu|můžu|vidím|umím|dokážu|mám|obdržel\w*|dostal\w*|budu|smím)\b.{0,80}(?:obráz\w*|foto\w*|pomoc\w*|popis\w*|popsat|vidět|soubor\w*|přílo\w*|zobrazit|odpověd\w*|splnit|otevřít)|\bžádný obrázek\b|\bobráz\w*\b.{0,40}\b(?:chybí|nebyl\w*|není přilo\w*)",
        r"\b(?:prosím|můžete|mohl\w* byste)\b.{0,50}\b(?:nahr\w*|poslat|pošlete|přilož\w*|sdíl\w*|zkus\w*)|\bjako (?:jazykový model|ai)\b|\buživatel\w*\b.{0,30}\b(?:chce|žádá|ptá)\b|\bchyba serveru\b|\bdošlo k chybě\b",
        r"^\W*(?:(?:je mi )?líto|omlouv\w+|promiňte|bohužel ne\w+)",
    ),
    "ko": (
        r"(?:도와드릴 수 없|도움을 드릴 수 없|설명할 수 없|설명해 드릴 수 없|설명드릴 수 없|묘사할 수 없|답변할 수 없|답변드릴 수 없|처리할 수 없|수행할 수 없|제공할 수 없|드릴 수 없|분석할 수 없|식별할 수 없|해 드릴 수 없|수 없습니다|응할 수 없|거절|거부합니|삼가|어렵습니다|않겠습니다|못합니다)",
        rf"{_KO}.{{0,40}}(?:보이지 않|볼 수 없|확인할 수 없|없습니다|없네요|없어요|없는 것|첨부되지|첨부되어 있지|첨부해 주시지|전달되지|받지 못|수신되지|업로드되지|열 수 없|불러올 수 없|누락|표시되지|로드되지|인식할 수 없)",
        r"(?:업로드|첨부|전송|공유|제공|보내|올려|다시 시도|재시도).{0,20}(?:주세요|주시|주십시오|부탁|바랍니다|하세요|하십시오|겠어요|주실)",
        r"(?:언어 모델|텍스트 모델|텍스트 기반|인공지능|AI 모델|AI로서|AI이기|텍스트만)",
        r"(?:정책|지침|규정|가이드라인|개인정보|사생활|저작권|안전).{0,40}(?:위반|따라|때문|이유|의해|상\b|수 없|않)",
        r"(?:서버|네트워크|연결|시스템|내부).{0,8}(?:오류|에러)|오류(?:가)? (?:발생|코드)|오류 코드|^\W*(?:오류|에러)|시간(?:이)? ?초과|(?:서비스|서버|모델).{0,20}(?:사용할 수 없|이용할 수 없|과부하|응답하지)|(?:한도|할당량|요청).{0,20}(?:초과|너무 많)",
        rf"^\W*(?:이 |다음 )?{_KO}.{{0,40}}(?:설명|묘사|요약)(?:해|하세요|하십시오|해 주세요|해주세요|하시오)\W*\S{{0,6}}$|^\W*(?:여기에 )?(?:설명|캡션)(?:을|이)?\s?(?:입력|추가|작성|삽입|들어갈|없음|예정|여기).{{0,12}}$|(?:대체 텍스트|추후 작성|작성 예정)",
        r"사용자.{0,20}(?:원한다|원하|요청|요구|물어|부탁)|^\W*(?:좋아|음|자,|그럼|먼저|우선|알겠).{0,60}(?:해야|봐야|하자|생각|파악|살펴)|(?:설명|묘사|작성|파악|결정|확인)해야 (?:한다|하는|할|해|겠|하니)",
        rf"^\W*(?:어떤|어느|무슨) {_KO}",
        r"^\W*(?:(?:정말|대단히|매우) ?)?(?:죄송|미안|유감스럽)",
    ),
    "ja": (
        r"(?:お手伝い|お答え|対応|回答|説明|お応え|応じる|描写|提供|ご案内|コメント|識別|特定|処理|記述)(?:すること|する)?(?:は|が|に)?(?:でき(?:ない|ません|かね)|いたしかね|しかね|致しかね|差し控え|控えさせ|お断り|遠慮)|(?:控えさせて|お断り|遠慮させて|ご遠慮|ご要望に|お応えでき|ご希望に沿|差し控え|致しかね|いたしかね|応じられ|応じかね|できかね)",
        rf"{_JA}.{{0,40}}(?:添付され(?:てい)?(?:ない|ません|て(?:い)?ない)|添付が(?:ない|ありません|見当たり)|届いて(?:い)?(?:ない|ません)|見(?:ること|る事)?(?:が)?でき(?:ない|ません)|見られません|見えません|見当たりません|見つかりません|ありません|ないようです|受け取れ|受信でき|確認でき(?:ない|ません)|表示でき|開けません|読み込め|読み込みでき|アップロードされて(?:い)?(?:ない|ません)|処理でき|認識でき(?:ない|ません)|解析でき|閲覧でき|拝見でき|含まれて(?:い)?(?:ない|ません))",
        r"(?:アップロード|添付|送信|共有|再送|お送り|送って|試し|お試し|再試行|ご提供|貼り付け|教えて|やり直).{0,20}(?:ください|いただけ|お願い|頂け|くださいませ|もらえ)|(?:もう一度|再度|後で|後ほど|しばらく).{0,30}(?:ください|いただけ|お願い|お試し)",
        r"(?:言語モデル|テキスト専用|テキストベース|テキストのみ|人工知能|AI(?:モデル|アシスタント|な|として|です|ので)|文章しか)",
        r"(?:ポリシー|規約|ガイドライン|プライバシー|著作権|安全|規定|方針|ルール).{0,40}(?:違反|により|ため|上の|反する|触れ|でき(?:ない|ません)|禁|控え|理由)",
        r"(?:サーバー|サーバ|ネットワーク|接続|内部|システム|通信)(?:の)?(?:内部)?エラー(?:が発生|コード|です|により|[:：]|\W*$)|エラーが(?:発生|起き)|^\W*エラー|エラーコード|タイムアウト|時間切れ|(?:サービス|サーバー?|モデル).{0,20}(?:利用でき|混雑|混み合|過負荷|応答(?:が|し))|(?:上限|制限|クォータ|割り当て|リクエスト).{0,20}(?:超え|超過|達し|多すぎ)",
        rf"^\W*(?:この|次の|以下の)?{_JA}.{{0,40}}(?:説明|描写|要約|記述|述べ)(?:して|せよ|しなさい|てください|してください|下さい).{{0,8}}$|^\W*(?:ここに)?(?:説明|キャプション|代替テキスト)(?:文)?(?:を)?(?:入力|記入|追加|挿入|入る|ここ|なし|は後).{{0,12}}$|^\W*(?:未記入|未入力|記入予定|代替テキスト|準備中|後日追加)",
        r"ユーザー(?:は|が|の).{0,40}(?:求め|望|依頼|欲し|聞|要求|指示)|^\W*(?:まず|さて|よし|うーん|えーと|では|なるほど|わかりました).{0,60}(?:整理|考え|確認し|必要が|べき|見てみ|決め|把握|しよう)|(?:説明|記述|描写|考慮|判断|決定|確認)(?:する|しなければ|すべき)(?:必要|べき|なら)",
        rf"^\W*(?:どの|どちらの|何の){_JA}",
        r"^\W*(?:大変|誠に|まことに)?(?:申し訳|すみません|すいません|ごめん|恐れ入り|恐縮)",
    ),
    "zh": (
        r"(?:我|本模型|抱歉|对不起|對不起|很抱歉|很遗憾|很遺憾|恕我|不好意思).{0,30}(?:无法|無法|不能|不会|不會|不可以|不便|不方便|无权|無權|没法|沒法|拒绝|拒絕|不予|难以|難以|没有办法|沒有辦法|不适合|不適合)|(?:无法|無法|不能|不便)(?:为您|為您|为你|為你|协助|協助|帮助|幫助|回答|提供|满足|滿足|处理|處理|完成|描述|对此|對此|就此|回应|回應|评论|評論)|不予(?:描述|回答|处理|處理|置评|置評)|恕(?:难|難|不)|拒绝(?:回答|描述)|拒絕(?:回答|描述)",
        rf"(?:没有|沒有|未|没|沒|并未|並未|尚未).{{0,12}}(?:看到|收到|附上|附加|附带|附帶|上传|上傳|提供|接收到|找到|检测到|偵測到|包含|添加|发送|發送|显示|顯示|附).{{0,12}}{_ZH}|{_ZH}.{{0,20}}(?:没有|沒有|未能|未|没|沒|无法|無法|不能|似乎没|似乎沒).{{0,8}}(?:附上|上传|上傳|加载|載入|显示|顯示|收到|成功|提供|打开|打開|读取|讀取|查看|识别|識別|传|傳|附)|{_ZH}.{{0,12}}(?:失败|失敗|错误|錯誤|损坏|損壞|丢失|遺失|为空|為空|缺失)|(?:看不到|看不见|看不見|无法看到|無法看到|无法查看|無法查看|不能看|无法直接|無法直接|没法看|沒法看|无法访问|無法存取|無法檢視|无法打开|無法開啟|不能直接查看|无法读取|無法讀取|无法浏览|無法瀏覽|没有任何|沒有任何|缺少).{{0,12}}{_ZH}",
        r"(?:请|請|麻烦|麻煩|能否|可否|可以|能不能|烦请|煩請).{0,16}(?:重新|再次|再|先|稍后|稍後|把|将|將)?.{0,8}(?:上传|上傳|发送|發送|提供|附上|传|傳|分享|重试|重試|再试|再試|发给我|發給我|贴上|貼上|刷新)|(?:重新上传|重新上傳|稍后再试|稍後再試|请重试|請重試|稍后重试)",
        r"(?:作为|作為|我是|我只是|身为|身為).{0,12}(?:语言模型|語言模型|人工智能|人工智慧|AI|文本模型|文字模型|纯文本|純文字|助手|模型)|(?:纯文本|純文字|语言模型|語言模型|只能处理文字|只能處理文字|文本模型|只能处理文本)",
        r"(?:政策|规定|規定|准则|準則|隐私|隱私|版权|版權|安全|法律|法规|法規|规范|規範|条款|條款|敏感).{0,30}(?:不能|无法|無法|不予|违反|違反|禁止|不允许|不允許|拒绝|拒絕|考量|原因|不便|不会|不會)|(?:违反|違反|涉及|包含|可能包含|含有).{0,16}(?:政策|规定|規定|准则|準則|隐私|隱私|敏感|违规|違規|不当|不當)",
        r"(?:服务器|伺服器|服务|服務|网络|網路|系统|系統|内部|內部|连接|連線|未知)(?:内部|內部)?(?:错误|錯誤|异常|異常|繁忙|忙碌|超时|逾時)|(?:发生|發生|出现|出現|遇到).{0,8}(?:错误|錯誤|异常|異常)|^\W*(?:错误|錯誤)(?:代码|代碼|码|碼)?|(?:请求|請求).{0,12}(?:超时|逾時|频繁|頻繁|失败|失敗|过多|過多)|(?:配额|配額|额度|額度|余额|餘額).{0,12}(?:用尽|用盡|不足|超出|耗尽|耗盡)|限流|(?:过多|過多|太多).{0,4}(?:请求|請求)",
        rf"^\W*(?:请|請)?(?:用|以)?.{{0,12}}(?:描述|说明|說明|概括|解释|解釋).{{0,10}}(?:这|這|此|下|以下|上).{{0,6}}{_ZH}|^\W*(?:请|請)?(?:在此|此处|此處|在这里|在這裡).{{0,8}}(?:描述|说明|說明|填写|填寫|输入|輸入)|^\W*(?:图片|圖片|图像|圖像)?(?:描述|说明|說明)(?:待补|待補|待填|略|暂无|暫無|在此|:|：)?\W*$|^\W*(?:待补|待補|待填|待定|暂无|暫無|无描述|無描述|替代文本|替代文字|示例文本|略)",
        r"(?:用户|用戶|使用者).{0,12}(?:想|要|让|讓|希望|请求|請求|要求|问|問|需要)|^\W*(?:好的|好|嗯|让我|讓我|首先|那么|那麼|现在|現在).{0,30}(?:我需要|我要|我应该|我應該|我得|需要|应该|應該|想想|思考|分析|看看|观察|觀察)|(?:我需要|我应该|我應該|我得|我必须|我必須).{0,20}(?:描述|观察|觀察|思考|确定|確定|判断|判斷|注意|分析|写|寫|考虑|考慮)",
        rf"^\W*(?:哪张|哪張|什么|什麼|哪幅){_ZH}",
        r"^\W*(?:非常|很|十分|实在|實在)?(?:抱歉|对不起|對不起|不好意思)",
    ),
    "he": (
        r"(?:איני|אינני|אני לא|לא ניתן|לא אוכל|אין לי|איני יכול\w*|אין ביכולתי|אין באפשרותי|לא הצלחתי|אני מסרב\w*|נאלצ\w*).{0,60}(?:תמונ\w*|לעזור|לסייע|לתאר|לראות|לצפות|קובץ|לענות|לעבד|לזהות|לנתח|לפתוח|לבצע|לכך|בכך|בבקש\w*|אפשרות|יכולת|גישה)|לא (?:אוכל|ניתן|יכול\w*) (?:לעזור|לסייע|לתאר|לעבד|לענות)",
        rf"(?:לא (?:צורפה|התקבלה|נשלחה|הועלתה|נמצאה|הגיעה|קיבלתי|מופיעה|נטענה)|אין|חסרה|ללא|לא רוא\w*).{{0,20}}(?<!ב){_HE}.{{0,40}}(?:הודע\w*|שיח\w*|מצורפ\w*|בבקש\w*|לתאר|שלך)?|{_HE}.{{0,30}}(?:לא (?:צורפה|התקבלה|נשלחה|הועלתה|נטענה|הגיעה|נפתחת)|חסרה)",
        r"(?:בבקשה|אנא|האם תוכל\w*|תוכל\w*|נא|אפשר).{0,30}(?:להעלות|העל\w*|לשלוח|שלח\w*|לצרף|צרפ\w*|לשתף|שתפ\w*|נסה|נסו|לנסות|שוב)|(?:נסה|נסו|העלה|העלו|שלח|שלחו|צרף|צרפו).{0,20}(?:שוב|מחדש|תמונה|אותה)|אשמח לתאר",
        r"(?:כמודל|מודל (?:שפה|טקסט)|בינה מלאכותית|מבוסס\w* טקסט|אני רק מודל)",
        r"(?:מדיניות|כללי\w*|הנחיות|פרטיות|זכויות יוצרים|בטיחות).{0,50}(?:לא|אוסר\w*|מונע\w*|מפר\w*|אינ\w*)|מפר\w* את|מטעמי (?:פרטיות|בטיחות)",
        r"שגיא(?:ה|ת) (?:פנימית|שרת|רשת|חיבור|מערכת|בשרת|\d{3})|(?:אירעה|התרחשה|קרתה) שגיאה|^\W*שגיאה|קוד שגיאה|פג (?:הזמן|תוקף)|הזמן (?:הקצוב )?(?:תם|עבר)|(?:השירות|השרת|המודל).{0,20}(?:אינו זמין|לא זמין|עמוס|אינו מגיב)|חריגה|(?:מגבל\w*|מכס\w*).{0,20}(?:נוצל\w*|הסתיי\w*|חרג\w*)|יותר מדי בקשות",
        rf"^\W*(?:תאר\w*|תיאור|הסבר\w*|סכם)(?:י|ו)?.{{0,30}}{_HE}|^\W*(?:כאן )?(?:יבוא |הכנס |הוסף )?(?:ה?תיאור)(?: כאן| יתווסף| חסר)?\W*$|(?:יושלם|טקסט חלופי|אין תיאור)",
        r"המשתמש\w*.{0,30}(?:רוצה|מבקש\w*|שואל\w*)|^\W*(?:טוב|אוקיי|בסדר|נראה|בוא\w*|קודם|ראשית|הממ).{0,50}(?:אני צריך|צריך|עליי|נתחיל|לחשוב)|(?:אני צריך\w*|עליי) (?:קודם |לתאר|לכתוב|להבין|לקבוע|לחשוב)",
        rf"^\W*(?:איזו|איזה) {_HE}",
        r"^\W*(?:(?:אני )?(?:מאוד )?מצטער\w*|סליחה|אני מתנצל\w*|עם הסליחה|מתנצל\w*)",
    ),
    "ar": (
        r"(?:لا (?:أستطيع|يمكنني|أرى|أملك|يسعني|أقدر|يُسمح لي|يسمح لي|أرغب|أود)|لن (?:أتمكن|أصف|أقوم|أستطيع)|لم (?:أتمكن|أستلم|أتلق|أجد|أستطع)|ليس (?:لدي|بإمكاني|بوسعي)|لست (?:قادر\w*|مخول\w*)|غير قادر\w*|يتعذر|تعذر|أعتذر عن|أرفض|أمتنع|أفضل (?:ألا|عدم)).{0,60}(?:صور\w*|الصور\w*|مساعد\w*|وصف\w*|رؤي\w*|عرض\w*|ملف\w*|الرد|الإجابة|معالج\w*|تحديد|تحليل|طلب\w*|هذا|ذلك|المحتوى|الاطلاع|مشاهد\w*|القيام|تحميل|فتح|القدرة|إمكاني\w*)|(?:عذر\w*|آسف|أعتذر|للأسف|معذرة)\W.{0,40}(?:لا|لم|لن|ليس|ليست|غير)\b",
        r"(?:لم (?:يتم|تصل\w*|يصل\w*|تُرفق|ترفق|يرفق|أستلم|أتلق)|لا (?:توجد|يوجد|أرى)|دون|بدون|لا تحتوي|لا يحتوي|ليست هناك|ليس هناك)(?:(?!في|داخل).){0,30}(?:صورة|صور|الصورة|مرفق\w*)|(?:الصورة|صورة).{0,30}(?:لم (?:تُرفق|ترفق|تصل|تُحمّل|تحمل|تظهر|يتم)|غير (?:مرفقة|متوفرة|موجودة|ظاهرة)|مفقودة|ناقصة)",
        r"(?:يرجى|من فضلك|هل يمكنك|رجاءً|الرجاء|أرجو|لو سمحت|تفضل).{0,40}(?:رفع|تحميل|إرسال|إرفاق|مشاركة|المحاولة|إعادة|أرسل\w*|ارفع\w*|أرفق\w*|تزويد\w*|تقديم|مرة أخرى)|(?:حاول|أعد المحاولة|أعد إرسال|يرجى المحاولة|أرسلها|ارفعها)",
        r"(?:بصفتي|باعتباري|كوني|أنا مجرد|أنا|لأنني|لأني).{0,15}(?:نموذج\w*|ذكاء|مساعد|نموذجًا)|نموذج (?:لغوي|لغة|نصي)",
        r"(?:سياس\w*|إرشادات|قواعد|خصوصية|الخصوصية|حقوق|سلامة|السلامة|شروط|تعليمات).{0,50}(?:لا|تمنع\w*|يمنع\w*|تحظر|انتهاك|تنتهك|مخالف\w*|يخالف|تخالف)|(?:ينتهك|تنتهك|يخالف|يتعارض).{0,40}(?:سياس\w*|قواعد|إرشادات|خصوصية)|لأسباب (?:تتعلق|أمنية)",
        r"خطأ (?:داخلي|في (?:الخادم|الاتصال|الشبكة|النظام)|غير متوقع|رقم|\d{3})|(?:حدث|وقع) خطأ|^\W*خطأ|رمز الخطأ|انتهت (?:مهلة|المهلة|صلاحية)|(?:الخدمة|الخادم|النموذج).{0,30}(?:غير متاح\w*|مشغول|لا يستجيب|محمل)|(?:تجاوز\w*|استنفد\w*|نفد\w*).{0,30}(?:الحد|الحصة|عدد|رصيد)|طلبات كثيرة",
        r"^\W*(?:صف|صِف|اشرح|وصف|لخص)\s.{0,20}(?:الصورة|صورة)|^\W*(?:أدخل |أضف |ضع )?(?:ال)?وصف(?: هنا| الصورة| لاحقًا)?\W*$|(?:سيضاف لاحقًا|نص بديل|لا يوجد وصف)",
        r"(?:المستخدم|يطلب المستخدم|طلب المستخدم).{0,30}(?:يريد|يطلب|يسأل|طلب|مني|وصف)|^\W*(?:حسنًا|حسنا|إذن|دعني|أولًا|أولا|لنر|طيب).{0,60}(?:أحتاج|يجب|علي|عليّ|أفكر|ينبغي|سأبدأ|أنظر)|(?:يجب أن|علي أن|عليّ أن|ينبغي أن|أحتاج (?:إلى )?أن) (?:أصف|أكتب|أحدد|أفهم|أفكر|أنظر|أبدأ)",
        r"^\W*(?:أي|أية|ما) (?:صورة|الصورة)",
        r"^\W*(?:عذر\w*|(?:أنا )?آسف\w*|(?:أ|نـ?)عتذر\w*|نعتذر|معذرة|المعذرة)",
    ),
    "hi": (
        r"(?:मैं|मुझे|हम|मेरे|मुझसे).{0,60}(?:नहीं|असमर्थ|अक्षम|इनकार|मना|न कर)|(?:मदद|सहायता|वर्णन|विवरण|उत्तर|जवाब|पूरा|बता|देख).{0,20}(?:नहीं (?:कर|दे|सक|हो|किया)|कर(?:ने|ना) (?:में )?असमर्थ|नहीं सकत\w*)|क्षमा करें|माफ़ (?:करें|कीजिए)|माफ (?:करें|कीजिए)",
        rf"{_HI}(?! में).{{0,40}}(?:नहीं (?:मिल\w*|है|दिख\w*|भेज\w*|जुड़\w*|पहुँच\w*|पहुंच\w*|खुल\w*|लोड|हो)|संलग्न नहीं|अपलोड नहीं|उपलब्ध नहीं|गायब)|(?:कोई|बिना|बग़ैर).{{0,10}}{_HI}.{{0,30}}(?:नहीं|के)",
        r"(?:कृपया|क्या आप|आप).{0,40}(?:अपलोड|भेज\w*|संलग्न|साझा|दोबारा|फिर से|पुनः|प्रदान|कोशिश|प्रयास)|(?:दोबारा|फिर से|पुनः|बाद में).{0,20}(?:अपलोड|भेज\w*|कोशिश|प्रयास)",
        r"(?:भाषा मॉडल|टेक्स्ट मॉडल|पाठ[- ]?आधारित|कृत्रिम बुद्धिमत्ता|एआई|AI).{0,30}(?:हूँ|हूं|होने|के रूप|नाते|मॉडल|केवल)",
        r"(?:नीति\w*|नियम\w*|दिशानिर्देश\w*|दिशा-निर्देश\w*|गोपनीयता|कॉपीराइट|सुरक्षा).{0,50}(?:नहीं|उल्लंघन|विरुद्ध|ख़िलाफ़|खिलाफ|कारण|अनुमति|मना)|उल्लंघन कर",
        r"(?:सर्वर|नेटवर्क|कनेक्शन|आंतरिक|सिस्टम).{0,8}(?:त्रुटि|एरर|गड़बड़ी)(?:\W*$|.{0,30}(?:हुई|आई|कोड|कृपया))|(?:त्रुटि|गड़बड़ी|समस्या).{0,8}(?:हुई|आई|हो गई|कोड)|^\W*त्रुटि|समय (?:सीमा )?समाप्त|टाइमआउट|(?:सेवा|सर्वर|मॉडल).{0,30}(?:उपलब्ध नहीं|व्यस्त|अतिभारित|जवाब नहीं)|(?:सीमा|कोटा).{0,20}(?:पार|समाप्त|अधिक)|बहुत (?:अधिक|ज़्यादा) अनुरोध",
        rf"^\W*(?:इस|इन|नीचे).{{0,10}}{_HI}.{{0,50}}(?:वर्णन|विवरण|व्याख्या|बताएँ|बताइए|बताओ|बताएं|समझाएँ|लिखें|करें|कीजिए|दें)\W*.{{0,6}}$|^\W*(?:यहाँ |यहां )?(?:विवरण|वर्णन)(?: लिखें| डालें| जोड़ें| यहाँ| यहां| बाद में)*\W*$|(?:वैकल्पिक पाठ|बाद में जोड़ा)",
        r"(?:उपयोगकर्ता|यूज़र|यूजर).{0,40}(?:चाहत\w*|चाहता|पूछ\w*|माँग\w*|मांग\w*|कह\w*|ने)|^\W*(?:ठीक है|अच्छा|तो|चलिए|हम्म|पहले|सबसे पहले).{0,60}(?:मुझे|चाहिए|देखना|सोच\w*|करना होगा|समझना)|मुझे.{0,30}(?:करना (?:है|होगा|चाहिए)|लिखना|देखना (?:है|होगा|चाहिए)|समझना|तय)",
        rf"^\W*(?:कौन[- ]?सी|कौन[- ]?सा|किस) {_HI}",
        r"^\W*(?:(?:मुझे )?(?:क्षमा|माफ़\w*|माफ\w*|खेद)|मुझे अफ़सोस|मुझे अफसोस)",
    ),
}

NOTHING = regex.compile(
    r"^\W*(?:nein|non|нет|ні|hayır|không|tidak|아니요|아니오|いいえ|不|不行|לא|لا|नहीं|nie|nee|não|nej|ne"
    r"|k\.? ?a|keine angaben?|nicht verfügbar|unbekannt|platzhalter|leer|non disponible|inconnue?|vide|aucune?|néant|no disponible|ningun[oa]|vacío"
    r"|sin datos|não disponível|nenhum[a]?|vazio|desconhecid[oa]|non disponibile|nessun[oa]|vuoto|niet beschikbaar|geen|leeg|onbekend|niedostępn\w+"
    r"|brak|puste|nieznan\w+|недоступно|нет данных|пусто|неизвестно|немає даних|недоступний|невідомо|mevcut değil|yok|boş|bilinmiyor|không có|trống"
    r"|không xác định|tidak tersedia|kosong|tidak ada|없음|해당 없음|알 수 없음|なし|該当なし|不明|空|无|無|不适用|不適用|未知|空白|אין|לא זמין|ריק|לא ידוע"
    r"|beispieltext|texte d['’]exemple|voorbeeldtekst|onderschrift|bildunterschrift|légende|didascalia|leyenda|legenda|podpis|подпись|підпис"
    r"|غير متوفرة?|لا شيء|فارغ|غير معروف|उपलब्ध नहीं|कोई नहीं|खाली|अज्ञात)\W*$",
    regex.IGNORECASE,
)
"""Whole answers that say no, or nothing."""

QUESTION = regex.compile(
    rf"\b(?:{_DE}|{_FR}|{_ES}|{_PT}|{_IT}|{_NL}|{_PL}|{_RU}|{_UK}|{_TR}|{_VI}|{_ID}|{_SV}|{_CS})\b[^?]{{0,80}}\?\W*$"
    rf"|(?:{_KO}|{_JA}|{_ZH}|{_HE}|{_AR}|{_HI})[^?？؟]{{0,60}}[?？؟]\W*$",
    regex.IGNORECASE,
)
"""A question about the picture is an echo of the prompt, or asks for another one."""

KINDS = (
    "refused", "not_seen", "not_seen", "not_seen", "refused", "unparseable", "empty", "unparseable", "not_seen", "refused",
)  # fmt: skip
"""The outcome of each way, in the order in which every language lists them."""

_FEW_KINDS = dict.fromkeys(("sv", "cs"), ("refused", "not_seen", "refused"))
"""Likewise of languages that list only three."""

CUES: dict[str, tuple[tuple[str, "regex.Pattern[str]"], ...]] = {
    language: tuple(
        (kind, regex.compile(way, regex.IGNORECASE | regex.DOTALL))
        for kind, way in zip(_FEW_KINDS.get(language, KINDS), ways, strict=True)
    )
    for language, ways in _BY_LANGUAGE.items()
}
"""By language: the outcome of each way to say it, and its pattern."""
