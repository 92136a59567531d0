package console_test

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

var screenshots = flag.String("screenshots", "", "directory for pictures of the pages that the browser tests see") //nolint:gochecknoglobals // a flag

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	chromium.stop()
	os.Exit(code)
}

// chromium is the one browser of all tests, started by the first that needs it. Each tab has cookies of its own.
var chromium browser //nolint:gochecknoglobals // it takes a second to start

type browser struct {
	once   sync.Once
	ctx    context.Context //nolint:containedctx // it is the browser
	cancel context.CancelFunc
	err    error
}

func (b *browser) start() {
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		b.err = exec.ErrNotFound
		return
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.Flag("force-device-scale-factor", "1"),
		chromedp.Flag("lang", "zh-CN"), chromedp.WSURLReadTimeout(time.Minute))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stop := chromedp.NewContext(allocator)
	b.ctx, b.cancel = ctx, func() { stop(); stopAllocator() }
	b.err = chromedp.Do(ctx)
}

func (b *browser) stop() {
	if b.cancel != nil {
		b.cancel()
	}
}

// tab is a tab of the browser on the server of a bundle.
type tab struct {
	b   *bundle
	ctx context.Context //nolint:containedctx // it is the tab
}

// tab opens a tab of 1280 × 800 with no cookies. Without a browser the test is skipped, but on the CI it fails.
func (b *bundle) tab(t *testing.T) *tab {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser is started: not with -short")
	}
	chromium.once.Do(chromium.start)
	if chromium.err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("no browser: %v", chromium.err)
		}
		t.Skipf("no Chromium here (%v): install it to run the browser tests", chromium.err)
	}
	ctx, cancel := chromedp.NewContext(chromium.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	ctx, cancelTime := context.WithTimeout(ctx, 6*time.Minute) // of a machine that is busy
	t.Cleanup(cancelTime)
	p := &tab{b: b, ctx: ctx}
	p.size(t, 1280, 800)
	_, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
		Source: `window.refused = []; addEventListener("securitypolicyviolation", e => refused.push(e.violatedDirective + ": " + e.blockedURI + " " + e.sample))`,
	})
	require.NoError(t, err)
	return p
}

// run does things in the tab.
func (p *tab) run(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	require.NoError(t, chromedp.Do(p.ctx, steps...))
}

func (p *tab) size(t *testing.T, width, height int64) {
	t.Helper()
	_, err := chromedp.Call(p.ctx, emulation.SetDeviceMetricsOverride,
		emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 768})
	require.NoError(t, err)
}

// open goes to a path and waits until the page is loaded.
func (p *tab) open(t *testing.T, path string) {
	t.Helper()
	p.run(t, chromedp.Navigate(p.b.base+path), chromedp.WaitReady("#main"))
}

// login logs in by the form.
func (p *tab) login(t *testing.T, login string) {
	t.Helper()
	p.open(t, "/console/login")
	p.run(t, chromedp.SendKeys("#login", login), chromedp.SendKeys("#password", password), chromedp.Submit("#password"), chromedp.WaitVisible(".account"))
}

// theme is what the system of the one who looks has: "light" or "dark".
func (p *tab) theme(t *testing.T, theme string) {
	t.Helper()
	_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia,
		emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}})
	require.NoError(t, err)
}

// text is what the page shows.
func (p *tab) text(t *testing.T) string {
	t.Helper()
	return eval[string](t, p, `document.body.innerText`)
}

// eval runs JavaScript in the page, waits for its promise if it is one, and returns its value.
func eval[T any](t *testing.T, p *tab, js string) T {
	t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	require.NoError(t, err)
	return v
}

// noSidewaysScroll requires that the page is no wider than the window.
func (p *tab) noSidewaysScroll(t *testing.T) {
	t.Helper()
	require.LessOrEqual(t, eval[int](t, p, `document.documentElement.scrollWidth`), eval[int](t, p, `window.innerWidth`), "the page scrolls sideways")
}

// accessible requires that axe-core finds nothing serious, and that the browser refused nothing of the page for its Content-Security-Policy.
func (p *tab) accessible(t *testing.T) {
	t.Helper()
	require.Empty(t, eval[[]string](t, p, `refused`))
	axe, err := os.ReadFile(filepath.Join("testdata", "axe.min.js"))
	require.NoError(t, err)
	eval[bool](t, p, string(axe)+"; true")
	p.axe(t, `{}`)
}

// axe runs axe-core, which is in the page, and requires that it finds nothing serious.
func (p *tab) axe(t *testing.T, options string) {
	t.Helper()
	found := eval[[]string](t, p, `axe.run(document, `+options+`).then(r => r.violations.filter(v => v.impact === "serious" || v.impact === "critical")
		.map(v => v.id + ": " + v.help + ": " + v.nodes.map(n => n.target.join(" ") + " (" + (n.any[0] ? n.any[0].message : "") + ")").slice(0, 5).join("; ")))`)
	require.Empty(t, found)
}

// inspect opens a page and looks at it in every form: it is accessible, light and dark, and fits a screen and a phone.
func (p *tab) inspect(t *testing.T, path, name string) {
	t.Helper()
	p.theme(t, "light")
	p.size(t, 1280, 800)
	p.open(t, path)
	p.shown(t, name)
}

// shown looks at the page that is open, wide and light, in every form that it has.
func (p *tab) shown(t *testing.T, name string) {
	t.Helper()
	p.accessible(t)
	p.noSidewaysScroll(t)
	p.picture(t, name+"-light")
	// Only the colors change, which theme.js does once a frame is drawn, and at once.
	eval[bool](t, p, `(() => { const still = new CSSStyleSheet(); still.replaceSync("* { transition: none !important }"); document.adoptedStyleSheets = [still];
		document.documentElement.dataset.bsTheme = "dark"; return true })()`)
	p.axe(t, `{runOnly: ["color-contrast"]}`)
	p.picture(t, name+"-dark")
	eval[bool](t, p, `document.documentElement.dataset.bsTheme = "light", true`)
	p.size(t, 375, 800)
	p.noSidewaysScroll(t)
	p.picture(t, name+"-phone")
	p.size(t, 1280, 800)
}

// picture takes a screenshot, where the flag says so.
func (p *tab) picture(t *testing.T, name string) {
	t.Helper()
	if *screenshots == "" {
		return
	}
	png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(*screenshots, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(*screenshots, name+".png"), png, 0o644))
}
