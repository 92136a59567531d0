package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"

	"minipush/internal/dispatch"
)

const (
	// maxUnits bounds the messages of one line.
	maxUnits = 1000
	// maxLineID leaves room in the id of a report for the number of the unit.
	maxLineID = 120
)

// subscriptionLine is one line of a file: so many reports of the same kind.
type subscriptionLine struct {
	dispatch.SubscriptionReport

	count int
}

// reports are the reports of a line: each unit counts once by an id of its own.
func (l subscriptionLine) reports() []dispatch.SubscriptionReport {
	list := make([]dispatch.SubscriptionReport, l.count)
	for i := range list {
		list[i] = l.SubscriptionReport
		if i > 0 && l.ID != "" { // the first bears the line's own: as it would with a count of 1, or none
			list[i].ID = l.ID + "/" + strconv.Itoa(i+1)
		}
	}
	return list
}

// subscriptionReader reads lines. One without an id gets one of all that the file has said so far, so that the same file again, or one that
// has been added to, does not count a line twice, and two lines that are alike count as two.
type subscriptionReader struct{ said hash.Hash }

func (sr subscriptionReader) read(r row) (subscriptionLine, error) {
	f := r.fields
	fmt.Fprintf(sr.said, "%q\n", []string{f["user_id"], f["template_id"], f["result"], f["count"], f["id"]})
	l := subscriptionLine{dispatch.SubscriptionReport{ID: f["id"], UserID: f["user_id"], TemplateID: f["template_id"], Result: f["result"]}, 1}
	if text := f["count"]; text != "" {
		var err error
		if l.count, err = strconv.Atoi(text); err != nil || l.count < 1 || l.count > maxUnits {
			return l, fmt.Errorf("count is %q; it must be a number from 1 to %d", text, maxUnits)
		}
		if l.Result == "" {
			l.Result = "accept"
		}
	}
	if l.Result == "" {
		return l, errors.New("result and count are empty: one of them must say what the person accepted")
	}
	if l.count > 1 && len(l.ID) > maxLineID {
		return l, fmt.Errorf("id has %d bytes; with a count it may have %d", len(l.ID), maxLineID)
	}
	if l.ID == "" {
		l.ID = "file-" + hex.EncodeToString(sr.said.Sum(nil)[:16])
	}
	return l, nil
}

// importSubscriptions collects the lines of a file as the API does its reports. What it counts are messages; a line that is refused is
// refused once.
func (c *cli) importSubscriptions(ctx context.Context, s *session, app, path string) (imported, error) {
	return importFile(ctx, c, path, []string{"user_id", "template_id"}, []string{"result", "count", "id"}, subscriptionReader{sha256.New()}.read,
		noting(s, app, path, func(ctx context.Context, batch []subscriptionLine) (dispatch.Received, error) {
			return reportLines(batch, func(reports []dispatch.SubscriptionReport) (dispatch.Received, error) {
				return s.dispatch.ReportSubscriptions(ctx, app, reports)
			})
		}))
}

// reportLines reports the units of lines in batches as large as one call takes. Rejections name the line, by its place in the batch.
func reportLines(lines []subscriptionLine, report func([]dispatch.SubscriptionReport) (dispatch.Received, error)) (all dispatch.Received, err error) {
	var batch []dispatch.SubscriptionReport
	var of []int // the line of each
	refused := map[int]bool{}
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		got, err := report(batch)
		if err != nil {
			return err
		}
		all.Accepted, all.Duplicate = all.Accepted+got.Accepted, all.Duplicate+got.Duplicate
		for _, bad := range got.Rejected {
			if bad.Index = of[bad.Index]; !refused[bad.Index] {
				refused[bad.Index] = true
				all.Rejected = append(all.Rejected, bad)
			}
		}
		batch, of = batch[:0], of[:0]
		return nil
	}
	for i, line := range lines {
		units := line.reports()
		if len(batch)+len(units) > dispatch.MaxBatch {
			if err := flush(); err != nil {
				return all, err
			}
		}
		for _, u := range units {
			batch, of = append(batch, u), append(of, i)
		}
	}
	return all, flush()
}
