package callback

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/url"
	"slices"
	"strconv"
)

// Challenge is the query of the GET by which the platform verifies the address: signed now, the echo readable in any mode.
func (e *Endpoint) Challenge(echo string) url.Values {
	query := e.stamp()
	query.Set("echostr", echo)
	return query
}

// Compose makes of a message, in XML or JSON, the request that the platform would send in the endpoint's mode: stamped now,
// signed and, where the mode says so, encrypted. The error is [ErrMalformed].
func (e *Endpoint) Compose(message []byte) (query url.Values, body []byte, err error) {
	message = bytes.TrimSpace(message)
	var v envelope
	if err := decode(message, &v); err != nil {
		return nil, nil, err
	}
	if v.ToUserName == "" {
		return nil, nil, malformed("no account")
	}
	query = e.stamp()
	if e.cfg.Mode == ModePlain {
		return query, message, nil
	}
	v.Encrypt = e.key.seal(newRandom(), message)
	query.Set("encrypt_type", "aes")
	query.Set("msg_signature", Sign(e.cfg.Token, query.Get("timestamp"), query.Get("nonce"), v.Encrypt))
	switch {
	case e.cfg.Mode == ModeCompat:
		body = withEncrypt(message, v.Encrypt)
	case isXML(message):
		body, err = xml.Marshal(v)
	default:
		body, err = json.Marshal(v)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("compose callback: %w", err)
	}
	return query, body, nil
}

func (e *Endpoint) stamp() url.Values {
	stamp, nonce := strconv.FormatInt(e.cfg.Now().Unix(), 10), rand.Text()
	return url.Values{"timestamp": {stamp}, "nonce": {nonce}, "signature": {Sign(e.cfg.Token, stamp, nonce)}}
}

// withEncrypt puts Encrypt before the members of a message, of which there is at least one.
func withEncrypt(message []byte, encrypt string) []byte {
	at, member := int64(1), `"Encrypt":"`+encrypt+`",`
	if isXML(message) {
		decoder := xml.NewDecoder(bytes.NewReader(message))
		for {
			token, err := decoder.Token()
			if _, root := token.(xml.StartElement); root || err != nil {
				break
			}
		}
		at, member = decoder.InputOffset(), "<Encrypt><![CDATA["+encrypt+"]]></Encrypt>"
	}
	return slices.Concat(message[:at], []byte(member), message[at:])
}
