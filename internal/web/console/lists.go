package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/web/auth"
)

// savedListsPage is the saved lists of an app, which many tasks use.
type savedListsPage struct {
	// Apps are those to choose from, where none has been chosen yet.
	Apps  []push.App
	App   string
	Lists []push.SavedList
	Pager pager
	// CanChange: the account may upload and delete.
	CanChange bool
	Form      uploadView
}

// listsPerPage is how many saved lists a page shows.
const listsPerPage = 20

func (k *Console) savedListRoutes(t *table) {
	t.page("/console/lists", auth.Viewer, k.showLists)
	t.stream(http.MethodPost, "/console/lists/{app}/upload", auth.Author, k.uploadList)
	t.change("/console/lists/{app}/delete", auth.Author, "list.delete", k.deleteList)
	t.stream(http.MethodGet, "/console/lists/{app}/rejects.csv", auth.Viewer, k.downloadListRejects)
}

func (k *Console) showLists(ctx context.Context, c *call) (reply, error) {
	app, ok, err := c.appOf()
	if err != nil {
		return reply{}, err
	}
	if !ok {
		return page("lists", savedListsPage{Apps: c.apps}), nil
	}
	p, err := k.newListsPage(ctx, c, app)
	return page("lists", p), err
}

func listsPath(app push.App) string { return "/console/lists?app=" + url.QueryEscape(app.Key) }

func (k *Console) newListsPage(ctx context.Context, c *call, app push.App) (savedListsPage, error) {
	p := savedListsPage{App: app.Key, CanChange: c.may(auth.Author)}
	p.Form = uploadView{
		Action: "/console/lists/" + url.PathEscape(app.Key) + "/upload",
		Name:   field{Name: "name", Label: "lists.name", Hint: "lists.name_hint", Type: "text", Max: push.MaxListName, Required: true},
	}
	after := ""
	if c.r.Method == http.MethodGet {
		after = c.value("before")
	}
	lists, err := k.store.SavedLists(ctx, app.ID, after, listsPerPage+1)
	if err != nil {
		return p, err
	}
	p.Lists = lists[:min(len(lists), listsPerPage)]
	p.Pager = k.pageLinks(c, len(lists) > listsPerPage, func() string { return lists[listsPerPage-1].Name })
	return p, nil
}

// uploadList streams a file into a new version of a saved list.
func (k *Console) uploadList(w http.ResponseWriter, r *http.Request, c *call) error {
	form, err := k.readUpload(w, r)
	if err != nil {
		return err
	}
	defer form.finish()
	up, err := form.upload()
	if err == nil {
		up.Done = k.audited(c, store.AuditEntry{Action: "list.upload"})
		_, err = k.d.UploadList(r.Context(), c.actor(), c.app.Key, form.Get("name"), up)
	}
	form.finish()
	if err == nil {
		k.answer(w, r, c, redirect(listsPath(c.app)).saying("lists.flash_uploaded", form.Get("name")))
		return nil
	}
	p, perr := k.newListsPage(r.Context(), c, c.app)
	if perr != nil {
		return perr
	}
	p.Form.Name.Value = form.Get("name")
	if !p.Form.refuse(err) {
		return err
	}
	out := page("lists", p)
	out.status = http.StatusUnprocessableEntity
	k.answer(w, r, c, out)
	return nil
}

func (k *Console) deleteList(ctx context.Context, c *call) (reply, error) {
	name := c.value("name")
	c.audit.Detail = map[string]any{"list": name}
	return redirect(listsPath(c.app)).saying("lists.flash_deleted", name), k.d.DeleteList(ctx, c.app.Key, name)
}

// downloadListRejects streams the refused rows of the newest version of a saved list.
func (k *Console) downloadListRejects(w http.ResponseWriter, r *http.Request, c *call) error {
	list, err := k.store.SavedList(r.Context(), c.app.ID, c.value("name"))
	if err == nil && list.Newest == nil {
		err = fmt.Errorf("list: %w", push.ErrNotFound)
	}
	if err != nil {
		return err
	}
	return k.streamRejects(w, r, c, list.Newest.ID, fmt.Sprintf("list-%d-version-%d-rejects.csv", list.ID, list.Newest.Version))
}
