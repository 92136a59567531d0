// Package web is the HTTP edge of a daemon: it opens the addresses, holds the route table, and wraps every request in the same
// few layers.
//
//	deadlines → request id → recover → access log and metrics → route table → guard of the route → handler
//
// The API is package api, the pages for people are package console, and tokens, accounts, sessions and roles are package auth; here is what
// is left: health, metrics, and River's job pages.
//
// What holds: a request is logged once, with its route pattern and the name of its caller, never with its query, its headers
// or its body. Where a browser sends a login by itself (the job pages), a request from another site is refused. Each answer
// that is not a success is a problem of package api, or below /console/ a page, also for a path or a method that does not exist.
package web
