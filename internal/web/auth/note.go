package auth

import "context"

type noteKey struct{}

// WithNote prepares a context in which Note leaves the name of the caller for the access log.
func WithNote(ctx context.Context) (context.Context, *string) {
	name := new(string)
	return context.WithValue(ctx, noteKey{}, name), name
}

// Note leaves the name of the caller for the access log.
func Note(ctx context.Context, p Principal) {
	if name, ok := ctx.Value(noteKey{}).(*string); ok {
		*name = p.Name
	}
}
