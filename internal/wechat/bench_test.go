package wechat_test

import (
	"io"
	"net/http"
	"testing"

	"minipush/internal/wechat"
)

// BenchmarkSendTemplate is the hot path against a local server that answers a constant. Allocations include the server's.
func BenchmarkSendTemplate(b *testing.B) {
	answer := []byte(`{"errcode":0,"errmsg":"ok"}`)
	url := serving(b, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(answer)
	})
	c := newClient(b, url, oneToken())
	m := message()
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if res := c.SendTemplate(b.Context(), m); res.Class != wechat.ClassOK {
				b.Error(res.Err)
			}
		}
	})
}

func BenchmarkAppendTemplateBody(b *testing.B) {
	m := message()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = wechat.AppendTemplateBody(buf[:0], m)
	}
	b.SetBytes(int64(len(buf)))
}
