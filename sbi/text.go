package sbi

import (
	"errors"
	"strconv"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/message/catalog"

	"sbid/capture"
)

// texts are what clients show to people, by code. Two are never translated,
// because clients and the compliance toolkit compare them letter by letter.
var texts = map[Code]struct{ english, french string }{
	Success:              {"Success", "Success"},
	NotRegistered:        {"This scanner is not registered yet.", "Ce lecteur n'est pas encore enregistré."},
	NotDetected:          {"Nothing was placed on the scanner in time.", "Rien n'a été posé sur le lecteur à temps."},
	ExtractionFailed:     {"The picture could not be used. Capture again.", "Image inutilisable. Refaire la capture."},
	Tampered:             {"The scanner reports that it was opened. Stop using it.", "Le lecteur signale une ouverture. Ne plus l'utiliser."},
	NoManagementServer:   {"The management server cannot be reached.", "Le serveur de gestion est injoignable."},
	WrongOrientation:     {"The hand or face is turned. Straighten it.", "Main ou visage tourné. Redresser."},
	NotFound:             {"That scanner is not on this machine.", "Ce lecteur n'est pas sur ce poste."},
	KeyExpired:           {"The scanner's certificate has run out.", "Le certificat du lecteur est expiré."},
	NoDomainKey:          {"The MOSIP certificate is missing.", "Le certificat MOSIP manque."},
	CountNotSupported:    {"Requested number of biometric (Finger/IRIS) not supported", "Requested number of biometric (Finger/IRIS) not supported"},
	NotReady:             {"The scanner is not ready.", "Le lecteur n'est pas prêt."},
	Busy:                 {"The scanner is in use by another capture or program.", "Le lecteur est pris par une autre capture ou un autre programme."},
	InvalidTransactionID: {"Invalid Transaction ID", "Le numéro de transaction n'est pas valable."},
	NoDevice:             {"No scanner is connected.", "Aucun lecteur n'est branché."},
	InvalidRequest:       {"The program sent a request that is not valid.", "Le logiciel a envoyé une demande non valable."},
	Unplugged:            {"The scanner was unplugged during the capture.", "Le lecteur a été débranché pendant la capture."},
	Stopped:              {"The capture was stopped.", "La capture a été arrêtée."},
	NoSigningKey:         {"The signing key cannot be reached.", "La clé de signature est inaccessible."},
	Internal:             {"Something went wrong here. The service's log says what.", "Un incident s'est produit. Le journal du service dit lequel."},
}

// hints are the lines under a preview.
var hints = map[capture.Hint]struct{ english, french string }{
	capture.PlaceFingers:  {"Place the fingers on the glass.", "Poser les doigts sur la vitre."},
	capture.SpreadFingers: {"Spread the fingers a little.", "Écarter un peu les doigts."},
	capture.LiftOthers:    {"Lift the other fingers.", "Lever les autres doigts."},
	capture.MoveToMiddle:  {"Move the hand towards the middle.", "Ramener la main vers le milieu."},
	capture.Straighten:    {"Turn the hand upright.", "Redresser la main."},
	capture.OtherHand:     {"This looks like the other hand.", "Cela semble être l'autre main."},
	capture.LookHere:      {"Look into the camera, eyes wide open.", "Regarder la caméra, les yeux grands ouverts."},
	capture.OneFace:       {"Only one face in the picture.", "Un seul visage dans l'image."},
	capture.MoveUp:        {"Move up a little.", "Remonter un peu."},
	capture.MoveDown:      {"Move down a little.", "Descendre un peu."},
	capture.MoveLeft:      {"Move to the left a little.", "Aller un peu vers la gauche."},
	capture.MoveRight:     {"Move to the right a little.", "Aller un peu vers la droite."},
	capture.ComeCloser:    {"Come a little closer.", "Se rapprocher un peu."},
	capture.StepBack:      {"Move back a little.", "Reculer un peu."},
	capture.PressFirmly:   {"Press a little harder.", "Appuyer un peu plus."},
	capture.PressLightly:  {"Press more lightly.", "Appuyer moins fort."},
	capture.LeaveLonger:   {"Leave the finger on the glass a little longer.", "Laisser le doigt un peu plus longtemps."},
	capture.KeepStill:     {"Keep still.", "Ne pas bouger."},
	capture.CleanGlass:    {"Clean the glass.", "Nettoyer la vitre."},
	capture.DryFinger:     {"Dry the finger.", "Sécher le doigt."},
	capture.MoistenFinger: {"The finger is too dry. Breathe on it.", "Le doigt est trop sec. Souffler dessus."},
	capture.LiftFinger:    {"Lift the finger.", "Lever le doigt."},

	capture.PlaceRightThumb:  {"Place the right thumb.", "Poser le pouce droit."},
	capture.PlaceRightIndex:  {"Place the right index finger.", "Poser l'index droit."},
	capture.PlaceRightMiddle: {"Place the right middle finger.", "Poser le majeur droit."},
	capture.PlaceRightRing:   {"Place the right ring finger.", "Poser l'annulaire droit."},
	capture.PlaceRightLittle: {"Place the right little finger.", "Poser l'auriculaire droit."},
	capture.PlaceLeftThumb:   {"Place the left thumb.", "Poser le pouce gauche."},
	capture.PlaceLeftIndex:   {"Place the left index finger.", "Poser l'index gauche."},
	capture.PlaceLeftMiddle:  {"Place the left middle finger.", "Poser le majeur gauche."},
	capture.PlaceLeftRing:    {"Place the left ring finger.", "Poser l'annulaire gauche."},
	capture.PlaceLeftLittle:  {"Place the left little finger.", "Poser l'auriculaire gauche."},
}

var (
	textCatalog = newCatalog()
	languages   = language.NewMatcher([]language.Tag{language.English, language.French})
)

func hintKey(h capture.Hint) string { return "hint " + strconv.Itoa(int(h)) }

func newCatalog() catalog.Catalog {
	b := catalog.NewBuilder(catalog.Fallback(language.English))
	set := func(key, english, french string) {
		if err := errors.Join(b.SetString(language.English, key, english), b.SetString(language.French, key, french)); err != nil {
			panic("sbi: text " + key + ": " + err.Error())
		}
	}
	for code, t := range texts {
		set(code.String(), t.english, t.french)
	}
	for hint, t := range hints {
		set(hintKey(hint), t.english, t.french)
	}
	return b
}

// Text returns what people read for a code, in the best language we have for
// an Accept-Language header.
func (c Code) Text(acceptLanguage string) string {
	if acceptLanguage == "" { // as most clients have it, in every probe
		return texts[c].english
	}
	return translate(acceptLanguage, c.String())
}

// hintText returns the line under a preview, "" for none.
func hintText(acceptLanguage string, h capture.Hint) string {
	if h == capture.NoHint {
		return ""
	}
	return translate(acceptLanguage, hintKey(h))
}

func translate(acceptLanguage, key string) string {
	tag, _ := language.MatchStrings(languages, acceptLanguage)
	return message.NewPrinter(tag, message.Catalog(textCatalog)).Sprintf(key)
}
