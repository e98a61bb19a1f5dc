package docs

import (
	"encoding/json"
	"path"
	"strings"

	"github.com/slipway-dev/slipway/platform/serve/internal/access"
)

// scheme names the security scheme in the document.
const scheme = "oauth2"

// WithScopes adds to an OpenAPI 2 document which scopes each operation asks for,
// as the generator of the document does not know our option. A document without
// operations is returned as it is.
func WithScopes(document []byte, methods access.Methods, issuer string) []byte {
	var root map[string]any
	if json.Unmarshal(document, &root) != nil {
		return document
	}
	paths, ok := root["paths"].(map[string]any)
	if !ok {
		return document
	}
	rules := make(map[string]*access.Method, len(methods))
	for _, m := range methods {
		service, name := path.Split(strings.TrimPrefix(m.Name, "/"))
		service = strings.TrimSuffix(service, "/")
		rules[service[strings.LastIndex(service, ".")+1:]+"_"+name] = m
	}
	for _, item := range paths {
		verbs, _ := item.(map[string]any)
		for _, v := range verbs {
			if operation, ok := v.(map[string]any); ok {
				secure(operation, rules)
			}
		}
	}
	scopes := make(map[string]string)
	for _, s := range methods.Scopes() {
		scopes[s] = s
	}
	root["securityDefinitions"] = map[string]any{scheme: map[string]any{
		"type": "oauth2", "flow": "application", "tokenUrl": issuer, "scopes": scopes,
	}}
	full, err := json.Marshal(root)
	if err != nil {
		return document
	}
	return full
}

// secure adds the operation's scopes. Additional bindings of a method carry its
// name with a number behind it.
func secure(operation map[string]any, rules map[string]*access.Method) {
	id, _ := operation["operationId"].(string)
	m, ok := rules[id]
	if !ok {
		m, ok = rules[strings.TrimRight(id, "0123456789")]
	}
	if !ok {
		return
	}
	operation["security"] = []any{}
	if !m.Open() {
		operation["security"] = []any{map[string]any{scheme: m.Scopes}}
	}
}
