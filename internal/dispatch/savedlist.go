package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"minipush/internal/push"
	"minipush/internal/store"
)

// UploadList makes a new version of a saved list, and the list itself if there is none of that name. It is streamed like the list of a
// task; the list moves to the version when it is whole. Whatever goes wrong, the versions are as they were.
func (d *Dispatcher) UploadList(ctx context.Context, actor, app, name string, up Upload) (push.SavedList, error) {
	if err := push.RequireText("name", name, push.MaxListName); err != nil {
		return push.SavedList{}, err
	}
	a, err := d.st.App(ctx, app)
	if err != nil {
		return push.SavedList{}, err
	}
	reader, err := d.openList(up)
	if err != nil {
		return push.SavedList{}, err
	}
	defer func() { _ = reader.Close() }() // only temporary files
	version, err := d.st.BeginListVersion(ctx, a.ID, name, up.Filename, reader.Columns(), actor)
	if err != nil {
		return push.SavedList{}, err
	}
	l := &loader{d: d, appID: a.ID, up: up, reader: reader, a: push.Audience{ID: version}}
	if err = l.load(ctx, l.read); err == nil {
		err = d.st.InTx(ctx, func(ctx context.Context) error { return up.done(ctx, l.a, d.st.FlipList(ctx, l.a)) })
	}
	if err != nil {
		return push.SavedList{}, errors.Join(err, d.st.DropAudience(context.WithoutCancel(ctx), version))
	}
	list, err := d.st.SavedList(ctx, a.ID, name)
	if err == nil {
		d.log.InfoContext(ctx, "list uploaded", slog.Any("app", app), slog.Any("list", name), slog.Any("version", list.Newest.Version),
			slog.Any("accepted", l.a.Accepted), slog.Any("duplicate", l.a.Duplicate), slog.Any("rejected", l.a.Rejected))
	}
	return list, err
}

// TakeList replaces the list of a draft by a copy of the newest version of a saved list. ExcludeTask and Limit of up hold as for an
// upload; a later version changes nothing about the copy.
func (d *Dispatcher) TakeList(ctx context.Context, actor string, id int64, name string, up Upload) (push.Audience, error) {
	t, exclude, err := d.takesList(ctx, id, up)
	if err != nil {
		return push.Audience{}, err
	}
	list, err := d.st.SavedList(ctx, t.AppID, name)
	if errors.Is(err, push.ErrNotFound) || err == nil && list.Newest == nil {
		return push.Audience{}, &push.InvalidError{Field: "list", Rule: "unknown_list", Message: "is not a saved list of this app"}
	}
	if err != nil {
		return push.Audience{}, err
	}
	v := *list.Newest
	a, err := d.st.BeginAudience(ctx, id, sourceName(name, v), v.Columns, actor)
	if err != nil {
		return push.Audience{}, err
	}
	l := &loader{d: d, appID: t.AppID, up: up, exclude: exclude, a: a}
	if l.rows, err = newRowCheck(ctx, d.st, id, v.Columns); err != nil {
		return push.Audience{}, errors.Join(err, d.st.DropAudience(context.WithoutCancel(ctx), a.ID))
	}
	return d.putInForce(ctx, t, l, func(ctx context.Context) error { return l.copyVersion(ctx, v) })
}

// copyVersion takes the rows of a version of a saved list in. A saved list knows no template, so its rows are held against the task's here;
// the line of one that is refused is its place in the version, from 1.
func (l *loader) copyVersion(ctx context.Context, v push.ListVersion) error {
	for from := 0; from < v.Accepted && !l.full; from += l.d.cfg.BatchRows {
		batch, err := l.d.st.ListRows(ctx, v.ID, from, l.d.cfg.BatchRows)
		if err != nil {
			return err
		}
		if want := min(l.d.cfg.BatchRows, v.Accepted-from); len(batch) != want {
			return fmt.Errorf("version %d of the list has %d rows from %d, not %d", v.Version, len(batch), from, want)
		}
		l.batch = batch
		if l.rows != nil {
			if l.batch, err = l.fitting(batch, from+1); err != nil {
				return err
			}
		}
		if err := l.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// fitting are the rows of a batch that fit the template; the others are refused, the first row being line.
func (l *loader) fitting(batch []store.NewRecipient, line int) ([]store.NewRecipient, error) {
	good := batch[:0]
	for i, r := range batch {
		bad, err := l.rows.packed(r)
		if err != nil {
			return nil, err
		}
		if bad == nil {
			good = append(good, r)
			continue
		}
		bad.Line, bad.Value = line+i, r.UserID
		l.reject(*bad)
	}
	return good, nil
}

// DeleteList removes a saved list with its versions. It is refused while a schedule sends to it, or a task has yet to take its rows.
func (d *Dispatcher) DeleteList(ctx context.Context, app, name string) error {
	a, err := d.st.App(ctx, app)
	if err != nil {
		return err
	}
	list, err := d.st.SavedList(ctx, a.ID, name)
	if err != nil {
		return err
	}
	inUse, err := d.st.DeleteList(ctx, list.ID)
	if err == nil && inUse {
		err = &push.Refusal{Code: push.RefusedInUse, Detail: "a schedule sends to the list " + name + ", or a task has yet to take it"}
	}
	return err
}
