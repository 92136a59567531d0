package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	pollTask = 100 * time.Millisecond
	callTime = 10 * time.Minute // of one call to the API; an upload of 1,000,000 rows is one call
)

// daemon is minipush: the built program, and a serve process of it where one runs.
type daemon struct {
	binary string
	env    []string
	log    io.Writer

	serve *child
	base  string // of its API
	token string
}

// newDaemon names the settings that the bench needs; all others are the defaults, whatever stands in the environment.
func newDaemon(binary, databaseURL, dir string, inFlight int, log io.Writer) *daemon {
	return &daemon{binary: binary, log: log, env: []string{
		"MINIPUSH_DATABASE_URL=" + databaseURL,
		"MINIPUSH_DATA_DIR=" + dir,
		"MINIPUSH_SECRET_KEY=" + strings.Repeat("5eed", 16),
		"MINIPUSH_HTTP_ADDR=127.0.0.1:0",
		"MINIPUSH_LOG_FORMAT=json",
		"MINIPUSH_SEND_IN_FLIGHT=" + strconv.Itoa(inFlight),
	}}
}

// buildMinipush builds the program as it stands in the working tree.
func buildMinipush(ctx context.Context, to string) error {
	out, err := exec.CommandContext(ctx, "go", "build", "-o", to, "minipush/cmd/minipush").CombinedOutput()
	if err != nil {
		return fmt.Errorf("build minipush: %w\n%s", err, out)
	}
	return nil
}

// run executes one command of the program and returns what it printed.
func (d *daemon) run(ctx context.Context, stdin string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, d.binary, args...) //nolint:gosec // the binary that was just built
	cmd.Env = append(cleanEnviron(), d.env...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	endWithParent(cmd)
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("minipush %s: %w\n%s", strings.Join(args[:min(2, len(args))], " "), err, stderr.Bytes())
	}
	return stdout.Bytes(), nil
}

// register makes the app, whose platform is at base, and a token that may do everything an operator may.
func (d *daemon) register(ctx context.Context, base string) error {
	if _, err := d.run(ctx, appSecret, "app", "add", "--key", appKey, "--appid", appID, "--secret-file", "-", "--base-url", base); err != nil {
		return err
	}
	out, err := d.run(ctx, "", "token", "create", "--name", "bench", "--role", "operator", "--output", "json")
	if err != nil {
		return err
	}
	var answer struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return fmt.Errorf("read token: %w", err)
	}
	d.token = answer.Token
	return nil
}

// start runs serve and waits until it is ready.
func (d *daemon) start(ctx context.Context) error {
	addr := &addressFinder{next: d.log, found: make(chan string, 1)}
	var err error
	if d.serve, err = start(ctx, addr, nil, d.env, d.binary, "serve"); err != nil {
		return err
	}
	select {
	case a := <-addr.found:
		d.base = "http://" + a
	case <-d.serve.exited:
		return fmt.Errorf("serve ended at its start: %w", errors.Join(errors.New("see its log with --verbose"), d.serve.err))
	case <-time.After(childStart):
		return errors.Join(errors.New("serve named no address in its log"), d.serve.stop())
	}
	deadline := time.After(childStart)
	for {
		if _, err = d.call(ctx, http.MethodGet, "/readyz", "", nil); err == nil {
			return nil
		}
		select {
		case <-time.After(pollTask):
		case <-deadline:
			return errors.Join(fmt.Errorf("serve is not ready: %w", err), d.serve.stop())
		}
	}
}

// stop ends serve, if it runs, as an operator would.
func (d *daemon) stop() error {
	if d.serve == nil {
		return nil
	}
	serve := d.serve
	d.serve = nil
	return serve.stop()
}

// describe tells minipush of the product and the template, as the original had them.
func (d *daemon) describe(ctx context.Context) error {
	_, err := d.call(ctx, http.MethodPut, "/api/v1/apps/"+appKey+"/products/"+product, "application/json",
		strings.NewReader(`{"title":"`+title+`","price":"250.00","on_shelf":true}`))
	if err != nil {
		return err
	}
	type field struct {
		Key   string `json:"key"`
		Label string `json:"label"`
		Value string `json:"value"`
		Color string `json:"color"`
	}
	body, err := json.Marshal(map[string]any{
		"name": templateName, "channel": "form_id",
		"page": pagePath + "?backToHome=1&&goodsId={{product.code}}",
		"fields": []field{
			{"keyword1", "活动主题", "{{topic}}", color}, {"keyword2", "活动说明", "{{caption}}", color},
			{"keyword3", "商品标题", "{{product.title}}", color}, {"keyword4", "商品金额", "{{product.price}}海贝", color},
			{"keyword5", "温馨提示", "{{tips}}", color},
		},
	})
	if err != nil {
		return fmt.Errorf("write template: %w", err)
	}
	_, err = d.call(ctx, http.MethodPut, "/api/v1/apps/"+appKey+"/templates/"+templateID, "application/json", bytes.NewReader(body))
	return err
}

// createTask writes the task of the original and returns its id.
func (d *daemon) createTask(ctx context.Context) (int64, error) {
	body, err := json.Marshal(map[string]any{
		"app": appKey, "template_id": templateID, "topic": topic, "caption": caption, "tips": tips,
		"product_code": product, "audience": "list",
	})
	if err != nil {
		return 0, fmt.Errorf("write task: %w", err)
	}
	out, err := d.call(ctx, http.MethodPost, "/api/v1/tasks", "application/json", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	var answer struct {
		ID int64 `json:"id"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return 0, fmt.Errorf("read task: %w", err)
	}
	return answer.ID, nil
}

// imported is the answer to an upload.
type imported struct {
	Total     int `json:"total"`
	Accepted  int `json:"accepted"`
	Duplicate int `json:"duplicate"`
	Rejected  int `json:"rejected"`
}

// upload streams a list into a task through the API.
func (d *daemon) upload(ctx context.Context, task int64, list io.Reader) (imported, error) {
	var answer imported
	out, err := d.call(ctx, http.MethodPut, fmt.Sprintf("/api/v1/tasks/%d/audience?filename=bench.csv", task), "text/csv", list)
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return answer, fmt.Errorf("read answer to upload: %w", err)
	}
	return answer, nil
}

// uploadFile does the same through the command, whose process is gone afterwards, and its connections with it.
func (d *daemon) uploadFile(ctx context.Context, task int64, path string) error {
	_, err := d.run(ctx, "", "task", "audience", strconv.FormatInt(task, 10), path, "--output", "json")
	return err
}

func (d *daemon) send(ctx context.Context, task int64) error {
	_, err := d.call(ctx, http.MethodPost, fmt.Sprintf("/api/v1/tasks/%d/send", task), "application/json", strings.NewReader("{}"))
	return err
}

// call makes one call to the API; an answer that is not 2xx is an error with its text.
func (d *daemon) call(ctx context.Context, method, path, contentType string, body io.Reader) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, d.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	req.Header.Set("Authorization", "Bearer "+d.token)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	return answer, nil
}

// addressFinder passes a log on and finds the address on which serve listens.
type addressFinder struct {
	next  io.Writer
	found chan string
	once  sync.Once
	seen  []byte
}

func (a *addressFinder) Write(p []byte) (int, error) {
	if len(a.seen) < 64<<10 {
		a.seen = append(a.seen, p...)
		if m := listening().FindSubmatch(a.seen); m != nil {
			a.once.Do(func() { a.found <- string(m[1]) })
		}
	}
	return a.next.Write(p) //nolint:wrapcheck // a writer's own error
}

// listening is the "addr" of the line of serve's log that says it listens.
func listening() *regexp.Regexp {
	return regexp.MustCompile(`"addr":"(127\.0\.0\.1:[1-9][0-9]*)"`)
}
