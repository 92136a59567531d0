package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"net/http"
	"strings"

	"minipush/internal/store"
)

// maxKey bounds an Idempotency-Key, in bytes.
const maxKey = 255

// once runs a call. A POST that carries an Idempotency-Key runs in one transaction with the record of its answer:
// the same request with the same key gets that answer again and changes nothing, also when both arrive at the same moment (the
// second waits for the first). An answer that is an error is not kept, for nothing was done: the key may be used again.
func (a *API) once(ctx context.Context, w http.ResponseWriter, r *http.Request, c *call, run func(context.Context) (answer, error)) (answer, error) {
	keys := r.Header.Values("Idempotency-Key")
	if r.Method != http.MethodPost || len(keys) == 0 {
		return run(ctx)
	}
	key := keys[0]
	if len(keys) > 1 || key == "" || len(key) > maxKey || strings.ContainsFunc(key, func(c rune) bool { return c < 0x20 || c > 0x7e }) {
		return answer{}, problem(http.StatusBadRequest, "bad_idempotency_key", "the Idempotency-Key must be 1 to %d printable ASCII characters, once", maxKey)
	}
	hash := requestHash(r, c.body)
	var out answer
	var replayed bool
	err := a.store.InTx(ctx, func(ctx context.Context) error {
		found, err := a.store.ReserveIdempotencyKey(ctx, c.principal.ID, key, hash)
		if err != nil {
			return err
		}
		if found != nil {
			replayed = true
			out = answer{status: found.Status, contentType: found.ContentType, body: found.Body}
			if !bytes.Equal(found.RequestHash, hash) {
				return problem(http.StatusUnprocessableEntity, "idempotency_key_reused", "the Idempotency-Key was used before, for another request")
			}
			return nil
		}
		if out, err = run(ctx); err != nil {
			return err
		}
		return a.store.StoreAnswer(ctx, c.principal.ID, key, store.StoredAnswer{
			RequestHash: hash, Status: out.status, ContentType: out.contentType, Body: out.body,
		})
	})
	if err == nil && replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	return out, err
}

// requestHash tells requests apart: path, parameters and body.
func requestHash(r *http.Request, body []byte) []byte {
	h := sha256.New()
	for _, part := range []string{r.Method, r.URL.Path, r.URL.Query().Encode()} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	h.Write(body)
	return h.Sum(nil)
}
