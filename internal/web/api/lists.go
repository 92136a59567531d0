package api

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"

	"minipush/internal/dispatch"
	"minipush/internal/push"
)

type listList struct {
	Lists      []push.SavedList `json:"lists"`
	NextCursor *string          `json:"next_cursor"`
}

func (a *API) listLists(ctx context.Context, c *call, _ *none) (*listList, error) {
	limit, after := c.limit(), c.after("lists")
	if err := c.err(); err != nil {
		return nil, err
	}
	rows, err := a.store.SavedLists(ctx, c.app.ID, after, limit+1)
	if err != nil {
		return nil, err
	}
	lists, next := cut(rows, limit, "lists", func(l push.SavedList) string { return l.Name })
	return &listList{Lists: lists, NextCursor: next}, nil
}

// listAnswer is a saved list with the versions that are kept, the newest first, and where the refused rows of the newest are found.
type listAnswer struct {
	push.SavedList
	Versions   []push.ListVersion `json:"versions"`
	RejectsURL string             `json:"rejects_url"`
}

// savedList finds what {name} names; one whose first upload has not ended is not there yet.
func (a *API) savedList(ctx context.Context, c *call) (push.SavedList, error) {
	list, err := a.store.SavedList(ctx, c.app.ID, c.path("name"))
	if err == nil && list.Newest == nil {
		err = fmt.Errorf("list %q: %w", c.path("name"), push.ErrNotFound)
	}
	return list, err
}

func (a *API) showList(ctx context.Context, c *call, _ *none) (*listAnswer, error) {
	list, err := a.savedList(ctx, c)
	if err != nil {
		return nil, err
	}
	return a.withVersions(ctx, list)
}

func (a *API) withVersions(ctx context.Context, list push.SavedList) (*listAnswer, error) {
	versions, err := a.store.ListVersions(ctx, list.ID)
	if err != nil {
		return nil, err
	}
	return &listAnswer{
		SavedList: list, Versions: versions,
		RejectsURL: fmt.Sprintf("/api/v1/apps/%s/lists/%s/rejects.csv", url.PathEscape(list.App), url.PathEscape(list.Name)),
	}, nil
}

// uploadList streams the body into a new version of a saved list.
func (a *API) uploadList(w http.ResponseWriter, r *http.Request, c *call) error {
	up := dispatch.Upload{
		Filename: c.text("filename"), ContentType: r.Header.Get("Content-Type"), IDColumn: c.text("user_id_column"),
		Limit: int(c.number("limit", 0, 1, math.MaxInt32)),
	}
	if err := errors.Join(c.err(), push.CheckText("filename", up.Filename, 255)); err != nil {
		return err
	}
	body, err := a.openUpload(w, r)
	if err != nil {
		return err
	}
	up.Body, up.Done = body, a.noteList(c)
	list, err := a.d.UploadList(r.Context(), c.principal.Name, c.app.Key, c.path("name"), up)
	body.Done()
	if err != nil {
		return err
	}
	answer, err := a.withVersions(r.Context(), list)
	if err != nil {
		return err
	}
	out, err := encode(a, http.StatusOK, answer)
	if err != nil {
		return err
	}
	out.write(w)
	return nil
}

func (a *API) deleteList(ctx context.Context, c *call, _ *none) (*none, error) {
	c.audit.Detail = map[string]any{"list": c.path("name")}
	return &none{}, a.d.DeleteList(ctx, c.app.Key, c.path("name"))
}

// downloadListRejects streams the refused rows of a version of a saved list, the newest if none is named.
func (a *API) downloadListRejects(w http.ResponseWriter, r *http.Request, c *call) error {
	list, err := a.savedList(r.Context(), c)
	if err != nil {
		return err
	}
	wanted := int(c.number("version", int64(list.Newest.Version), 1, math.MaxInt32))
	if err := c.err(); err != nil {
		return err
	}
	versions, err := a.store.ListVersions(r.Context(), list.ID)
	if err != nil {
		return err
	}
	for _, v := range versions {
		if v.Version == wanted {
			return a.streamRejects(w, r, c, v.ID, fmt.Sprintf("list-%d-version-%d-rejects.csv", list.ID, v.Version))
		}
	}
	return fmt.Errorf("version %d of list %q: %w", wanted, list.Name, push.ErrNotFound)
}
