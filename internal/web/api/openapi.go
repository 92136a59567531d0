package api

import (
	_ "embed"
	"net/http"
)

//go:embed openapi.yaml
var openAPI []byte //nolint:gochecknoglobals // go:embed needs a variable; nothing writes it

// serveOpenAPI serves the description of the API. A test compares it with the route table.
func serveOpenAPI(w http.ResponseWriter, _ *http.Request, _ *call) error {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(openAPI) // the client is gone
	return nil
}
