package api

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"minipush/internal/web/auth"
)

type openAPIParameter struct {
	Ref  string `yaml:"$ref"`
	Name string `yaml:"name"`
	In   string `yaml:"in"`
}

type openAPIOperation struct {
	Role       string             `yaml:"x-role"`
	Parameters []openAPIParameter `yaml:"parameters"`
	Responses  map[string]any     `yaml:"responses"`
}

type openAPIPath struct {
	Parameters []openAPIParameter `yaml:"parameters"`
	Get        *openAPIOperation  `yaml:"get"`
	Post       *openAPIOperation  `yaml:"post"`
	Put        *openAPIOperation  `yaml:"put"`
	Patch      *openAPIOperation  `yaml:"patch"`
	Delete     *openAPIOperation  `yaml:"delete"`
}

func TestOpenAPI_DescribesTheRouteTable(t *testing.T) {
	t.Parallel()
	var doc struct {
		Paths      map[string]openAPIPath `yaml:"paths"`
		Components struct {
			Parameters map[string]openAPIParameter `yaml:"parameters"`
		} `yaml:"components"`
	}
	require.NoError(t, yaml.Unmarshal(openAPI, &doc))
	resolve := func(list []openAPIParameter, in string) []string {
		names := []string{}
		for _, p := range list {
			if ref, ok := strings.CutPrefix(p.Ref, "#/components/parameters/"); ok {
				p = doc.Components.Parameters[ref]
				require.NotEmpty(t, p.Name, ref)
			}
			if p.In == in {
				names = append(names, p.Name)
			}
		}
		slices.Sort(names)
		return names
	}

	described := map[string]bool{}
	for path, item := range doc.Paths {
		for method, op := range map[string]*openAPIOperation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "PATCH": item.Patch, "DELETE": item.Delete} {
			if op != nil {
				described[method+" "+path] = true
			}
		}
	}
	served := map[string]bool{}
	for _, route := range New(Config{}, nil, nil, nil, slog.New(slog.DiscardHandler)).Routes() {
		key := route.Method + " " + route.Pattern
		served[key] = true
		require.True(t, described[key], "%s is served, and not described", key)
		item := doc.Paths[route.Pattern]
		op := map[string]*openAPIOperation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "PATCH": item.Patch, "DELETE": item.Delete}[route.Method]
		role := op.Role
		if role == "" {
			role = auth.NoRole.String()
		}
		require.Equal(t, route.Role.String(), role, key)
		require.Equal(t, sorted(route.Query), resolve(op.Parameters, "query"), key)
		for _, name := range resolve(item.Parameters, "path") {
			require.Contains(t, route.Pattern, "{"+name+"}", key)
		}
		if route.Method == "POST" {
			require.Contains(t, resolve(op.Parameters, "header"), "Idempotency-Key", key)
		}
		if route.Role != auth.NoRole {
			require.Contains(t, op.Responses, "default", key)
		}
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(served)), slices.Collect(maps.Keys(described)))
}

func sorted(names []string) []string {
	names = append([]string{}, names...)
	slices.Sort(names)
	return names
}
