package sim_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"minipush/internal/sim"
)

// A simulator embedded in a test: mint a formId as a phone would, send with it over the platform's protocol, and look at
// what the user received.
func ExampleSim() {
	s, err := sim.New(sim.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	call := func(path, body string) string {
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, httptest.NewRequestWithContext(context.Background(), http.MethodPost, path, strings.NewReader(body)))
		answer, _ := io.ReadAll(rec.Body)
		return string(answer)
	}
	grant := call("/cgi-bin/stable_token", `{"grant_type":"client_credential","appid":"wx1","secret":"s"}`)
	token := strings.Split(grant, `"`)[3]
	permit := s.Mint("wx1", []string{"o1"}, 1, 0)[0]

	fmt.Println(call("/cgi-bin/message/wxopen/template/send?access_token="+token,
		`{"touser":"o1","template_id":"T1","form_id":"`+permit.FormID+`","data":{"keyword1":{"value":"250海贝"}}}`))
	for m := range s.Ledger(sim.Filter{OpenID: "o1"}) {
		fmt.Println(m.Seq, m.TemplateID, m.Data[0].Key, m.Data[0].Value)
	}
	// Output:
	// {"errcode":0,"errmsg":"ok"}
	// 1 T1 keyword1 250海贝
}
