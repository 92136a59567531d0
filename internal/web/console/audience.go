package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/web/auth"
)

// rowsShown is how many rows of a list are shown, savedListsShown how many saved lists one can choose from.
const (
	rowsShown       = 5
	savedListsShown = 200
)

// audiencePage is whom a task goes to.
type audiencePage struct {
	push.Task
	Path string
	// CanChange: the task is a draft, and the account may write on it.
	CanChange bool
	// Ready: there is somebody to send to, and it can be sent.
	Ready bool
	// List is the list in force; nil where there is none. Rows are its first ones.
	List *push.Audience
	Rows []push.Recipient
	// Source is the saved list that the start copies, where no list is in force yet; nil where there is none.
	Source *push.ListVersion
	Name   string
	Form   uploadView
	// Saved are the saved lists to choose from; SavedChoice is that choice, with its own narrowing.
	Saved                    []push.SavedList
	SavedChoice              field
	SavedExclude, SavedLimit field
	// SavedEmpty: nobody is left of the saved list that was chosen.
	SavedEmpty bool
	// GoToAll asks before the list goes.
	GoToAll sure
	Reach   *reachPlace
}

// reachPlace is where the panel of the reach is fetched from: the dot of the partial reach_place.
type reachPlace struct{ Path string }

func (k *Console) audienceRoutes(t *table) {
	path := "/console/tasks/{id}/audience"
	t.page(path, auth.Viewer, k.showAudience)
	t.stream(http.MethodPost, path, auth.Author, k.uploadAudience)
	t.stream(http.MethodPost, path+"/list", auth.Author, k.takeList)
	t.change(path+"/kind", auth.Author, "task.change", k.changeKind)
	t.stream(http.MethodGet, "/console/tasks/{id}/rejects.csv", auth.Viewer, k.downloadRejects)
}

func (k *Console) showAudience(ctx context.Context, c *call) (reply, error) {
	p, err := k.newAudiencePage(ctx, c)
	return audienceReply(c, p, http.StatusOK), err
}

func audienceReply(c *call, p audiencePage, status int) reply {
	out := page("audience", p, c.task.ID).under(taskCrumbs(c)...)
	out.status = status
	return out
}

func (k *Console) newAudiencePage(ctx context.Context, c *call) (audiencePage, error) {
	p := audiencePage{Task: c.task, Path: taskPath(c.task.ID) + "/audience", CanChange: c.may(auth.Author) && c.task.State == push.TaskDraft}
	p.Form = uploadView{Action: p.Path, Exclude: excludeField(""), Limit: limitField("")}
	p.SavedExclude, p.SavedLimit = excludeField("list_"), limitField("list_")
	p.GoToAll = sure{Action: p.Path + "/kind", Field: "audience", Value: string(push.AudienceAll), Button: "state.audience_all", Question: "audience.all_sure", Yes: "audience.all_yes", Danger: true}
	list, err := k.store.Audience(ctx, c.task.ID)
	if err != nil && !errors.Is(err, push.ErrNotFound) {
		return p, err
	}
	if err == nil {
		p.List = &list
		if p.Rows, err = k.store.Recipients(ctx, c.task.ID, store.RecipientFilter{After: -1, Limit: rowsShown}); err != nil {
			return p, err
		}
	}
	if p.List == nil && c.task.Audience == push.AudienceList && c.task.SourceID != 0 {
		v, name, err := k.store.ListVersion(ctx, c.task.SourceID)
		if err == nil {
			p.Source, p.Name = &v, name
		} else if !errors.Is(err, push.ErrNotFound) {
			return p, err
		}
	}
	if p.List != nil || p.Source != nil || c.task.Audience == push.AudienceAll {
		p.Reach = &reachPlace{taskPath(c.task.ID) + "/reach"}
	}
	t := c.task
	p.Ready = p.Reach != nil && c.may(auth.Author) && (t.State == push.TaskDraft || t.State == push.TaskMissed || t.State == push.TaskScheduled)
	if !p.CanChange || c.task.Audience != push.AudienceList {
		return p, nil
	}
	if p.Saved, err = k.store.SavedLists(ctx, c.task.AppID, "", savedListsShown); err != nil {
		return p, err
	}
	p.SavedChoice = field{Name: "list", Label: "audience.saved_list", Hint: "audience.saved_hint"}
	for _, l := range p.Saved {
		p.SavedChoice.Options = append(p.SavedChoice.Options, option{Value: l.Name, Text: fmt.Sprintf("%s (%d)", l.Name, l.Newest.Accepted)})
	}
	return p, nil
}

// excludeField and limitField narrow a list. Two forms of the page have them: id tells their inputs apart.
func excludeField(id string) field {
	return field{Name: id + "exclude_task", Label: "audience.exclude", Hint: "audience.exclude_hint", Type: "number"}
}

func limitField(id string) field {
	return field{Name: id + "limit", Label: "audience.limit", Hint: "audience.limit_hint", Type: "number"}
}

// narrow reads what narrows a list: whom it leaves out, and how many it takes.
func narrow(up *dispatch.Upload, form url.Values) error {
	number := func(name string, most int64) (int64, error) {
		text := form.Get(name)
		if text == "" {
			return 0, nil
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 1 || n > most {
			return 0, &push.InvalidError{Field: name, Rule: "out_of_range", Message: "must be a whole number from 1"}
		}
		return n, nil
	}
	exclude, err := number("exclude_task", math.MaxInt64)
	limit, lerr := number("limit", math.MaxInt32)
	up.ExcludeTask, up.Limit = exclude, int(limit)
	return errors.Join(err, lerr)
}

// uploadAudience streams a file into the list of a draft.
func (k *Console) uploadAudience(w http.ResponseWriter, r *http.Request, c *call) error {
	form, err := k.readUpload(w, r)
	if err != nil {
		return err
	}
	defer form.finish()
	up, err := form.upload()
	if err == nil {
		up.Done = k.audited(c, store.AuditEntry{Action: "task.audience"})
		_, err = k.d.UploadAudience(r.Context(), c.actor(), c.task.ID, up)
	}
	form.finish()
	return k.audienceTaken(w, r, c, err, func(p *audiencePage) bool {
		p.Form.Exclude.Value, p.Form.Limit.Value = form.Get("exclude_task"), form.Get("limit")
		return p.Form.refuse(err)
	})
}

// audienceTaken answers for a list that was taken, or refused: refuse puts what is wrong into the form that was sent, and is false if it is
// none of a person's.
func (k *Console) audienceTaken(w http.ResponseWriter, r *http.Request, c *call, err error, refuse func(*audiencePage) bool) error {
	if err == nil {
		k.answer(w, r, c, redirect(taskPath(c.task.ID)+"/audience").saying("audience.flash_taken"))
		return nil
	}
	p, perr := k.newAudiencePage(r.Context(), c)
	if perr != nil {
		return perr
	}
	if !refuse(&p) {
		return err
	}
	k.answer(w, r, c, audienceReply(c, p, http.StatusUnprocessableEntity))
	return nil
}

// audited is the entry of an upload in the audit log, which belongs into the transaction that puts the list in force. Of the list of a task it
// names the one that it takes the place of, as it was when the upload began.
func (k *Console) audited(c *call, e store.AuditEntry) func(context.Context, push.Audience) error {
	return func(ctx context.Context, a push.Audience) error {
		e.Detail = a.Figures()
		switch {
		case c.task.ID != 0:
			e.Detail["before"] = map[string]any{"audience_id": c.task.AudienceID, "total": c.task.Counts.Total}
			e.Detail["after"] = map[string]any{"audience_id": a.ID, "total": a.Accepted}
			e.AboutTask(c.task)
		case c.app.ID != 0:
			e.AboutApp(c.app)
		}
		return k.store.InsertAuditEntry(ctx, e)
	}
}

// takeList copies a saved list into the list of a draft. A long one takes its time: it is a stream of its own transactions.
func (k *Console) takeList(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := k.readForm(w, r, c); err != nil {
		return err
	}
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(time.Time{}) // a connection without deadlines is a test's
	_ = conn.SetWriteDeadline(time.Now().Add(time.Hour))
	form := url.Values{"exclude_task": {c.value("list_exclude_task")}, "limit": {c.value("list_limit")}}
	up := dispatch.Upload{Done: k.audited(c, store.AuditEntry{Action: "task.audience"})}
	err := narrow(&up, form)
	if err == nil {
		_, err = k.d.TakeList(r.Context(), c.actor(), c.task.ID, c.value("list"), up)
	}
	return k.audienceTaken(w, r, c, err, func(p *audiencePage) bool { return p.refuseSaved(c, err) })
}

// refuseSaved puts what is wrong into the form that takes a saved list, as it was sent.
func (p *audiencePage) refuseSaved(c *call, err error) bool {
	c.fill([]*field{&p.SavedChoice, &p.SavedExclude, &p.SavedLimit})
	if refusal, ok := errors.AsType[*push.Refusal](err); ok && refusal.Code == push.RefusedEmptyAudience {
		p.SavedEmpty = true
		return true
	}
	wrong, ok := push.InvalidFields(err)
	for _, w := range wrong {
		switch w.Field {
		case "exclude_task":
			p.SavedExclude.Rules = append(p.SavedExclude.Rules, w.Rule)
		case "limit":
			p.SavedLimit.Rules = append(p.SavedLimit.Rules, w.Rule)
		case "list":
			p.SavedChoice.Rules = append(p.SavedChoice.Rules, w.Rule)
		default:
			return false
		}
	}
	return ok
}

// changeKind makes a draft go to a list, or to all who can be reached. Of a draft that comes to go to all the list goes.
func (k *Console) changeKind(ctx context.Context, c *call) (reply, error) {
	kind := push.AudienceKind(c.value("audience"))
	var was push.AudienceKind
	_, err := k.d.ChangeTask(ctx, c.actor(), c.task.ID, func(s *push.TaskSpec) error { was, s.Audience = s.Audience, kind; return nil })
	c.audit.Detail = store.Changed(map[string]any{"audience": was}, map[string]any{"audience": kind})
	return redirect(taskPath(c.task.ID) + "/audience").saying("audience.flash_kind"), err
}

// downloadRejects streams the refused rows of the list in force: the line, what stood there, the code and its text.
func (k *Console) downloadRejects(w http.ResponseWriter, r *http.Request, c *call) error {
	list, err := k.store.Audience(r.Context(), c.task.ID)
	if err != nil {
		return err
	}
	return k.streamRejects(w, r, c, list.ID, fmt.Sprintf("task-%d-rejects.csv", c.task.ID))
}

// streamRejects writes the refused rows of a version of a list as a file.
func (k *Console) streamRejects(w http.ResponseWriter, r *http.Request, c *call, listID int64, name string) error {
	return k.download(w, r, "text/csv; charset=utf-8", name, func(out io.Writer) error {
		return k.d.WriteRejects(r.Context(), out, listID, c.mask)
	})
}
