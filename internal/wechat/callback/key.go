package callback

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	keyBytes    = 32
	keyChars    = 43 // its base64 without the "="
	padBlock    = 32 // the platform pads to the length of the key, not to the block of AES
	randomBytes = 16
	headBytes   = randomBytes + 4
)

var errBadKey = errors.New("an EncodingAESKey is 43 characters of base64")

// key encrypts and decrypts the messages of one app. It is safe for concurrent use.
type key struct {
	block cipher.Block
	iv    []byte
	appID string
}

// newKey reads an EncodingAESKey. Its last character may carry two bits too many, as in the platform's own samples.
func newKey(encodingAESKey, appID string) (*key, error) {
	raw, err := base64.StdEncoding.DecodeString(encodingAESKey + "=")
	if err != nil || len(encodingAESKey) != keyChars || len(raw) != keyBytes {
		return nil, errBadKey // the decoder's error would say where it is wrong
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, fmt.Errorf("set up cipher: %w", err)
	}
	return &key{block: block, iv: raw[:aes.BlockSize], appID: appID}, nil
}

// newRandom is what goes before a message, so that equal messages do not look equal: letters and digits, as the platform's.
func newRandom() []byte { return []byte(rand.Text()[:randomBytes]) }

// seal encrypts a message into what stands in Encrypt.
func (k *key) seal(random, message []byte) string {
	sealed := append([]byte(nil), random...)
	sealed = binary.BigEndian.AppendUint32(sealed, uint32(len(message))) //nolint:gosec // a message is far below 4 GiB
	sealed = append(sealed, message...)
	sealed = append(sealed, k.appID...)
	pad := padBlock - len(sealed)%padBlock
	sealed = append(sealed, bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(k.block, k.iv).CryptBlocks(sealed, sealed)
	return base64.StdEncoding.EncodeToString(sealed)
}

// open decrypts what stands in Encrypt; its signature was checked before. The errors are [ErrDamaged] and [ErrAppID].
func (k *key) open(encrypt string) (random, message []byte, err error) {
	plain, err := base64.StdEncoding.DecodeString(encrypt)
	if err != nil || len(plain) == 0 || len(plain)%padBlock != 0 {
		return nil, nil, ErrDamaged
	}
	cipher.NewCBCDecrypter(k.block, k.iv).CryptBlocks(plain, plain)
	pad := plain[len(plain)-1]
	end := len(plain) - int(pad)
	if pad == 0 || pad > padBlock || end < headBytes || bytes.Count(plain[end:], []byte{pad}) != int(pad) {
		return nil, nil, ErrDamaged
	}
	random, rest := plain[:randomBytes], plain[headBytes:end]
	size := binary.BigEndian.Uint32(plain[randomBytes:])
	if uint64(size) > uint64(len(rest)) {
		return nil, nil, ErrDamaged
	}
	if !same(string(rest[size:]), k.appID) {
		return nil, nil, ErrAppID
	}
	return random, rest[:size], nil
}
