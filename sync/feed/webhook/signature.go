package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
)

const (
	// secretPrefix begins every secret of Standard Webhooks. A secret without it is refused: a receiver that takes the text
	// itself as the key computes another signature, and nothing in the failure says why.
	secretPrefix = "whsec_"

	// minSecret, maxSecret and newSecret are bytes of a decoded secret; the limits are those of Standard Webhooks.
	minSecret, maxSecret, newSecret = 24, 64, 32

	// maxSecrets is the new secret and the old one while receivers change over.
	maxSecrets = 2
)

// errSecret says nothing of the secret that it refuses.
var errSecret = errors.New(`must be "whsec_" and the base64 of 24 to 64 bytes; "ticketd feed secret" makes one`)

// NewSecret makes a random secret.
func NewSecret() string {
	key := make([]byte, newSecret)
	_, _ = rand.Read(key) // never fails
	return secretPrefix + base64.StdEncoding.EncodeToString(key)
}

// signer signs requests with one or two secrets.
type signer struct{ keys [][]byte }

func newSigner(secrets []string) (signer, error) {
	var s signer
	if len(secrets) == 0 || len(secrets) > maxSecrets {
		return s, errors.New("needs one secret, or two while receivers change over: the new one and the old one, a line each")
	}
	for _, secret := range secrets {
		text, ok := strings.CutPrefix(secret, secretPrefix)
		key, err := base64.StdEncoding.Strict().DecodeString(text)
		if !ok || err != nil || len(key) < minSecret || len(key) > maxSecret {
			return signer{}, errSecret
		}
		s.keys = append(s.keys, key)
	}
	return s, nil
}

// sign returns the value of webhook-signature: one signature per secret.
func (s signer) sign(id string, unix int64, body []byte) string {
	signatures := make([]string, len(s.keys))
	for i, key := range s.keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + strconv.FormatInt(unix, 10) + "."))
		mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, " ")
}
