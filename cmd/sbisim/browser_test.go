package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// browser starts a Chromium with a profile of its own, and opens a page.
func browser(t *testing.T, page string) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("no browser to test with (Debian package chromium): %v", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("headless", "new"), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true), chromedp.WSURLReadTimeout(2*time.Minute))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, end := chromedp.NewContext(allocator)
	t.Cleanup(func() { end(); stop() })
	if err := chromedp.Do(ctx, chromedp.Navigate(page)); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// script is what a portal's page does: it finds devices, looks at a stream frame
// by frame, as the compliance toolkit's page cuts it, and captures beside it.
const script = `(async (origin) => {
	const call = async (verb, path, body) => {
		const r = await fetch(origin + path, {method: verb, headers: {'Content-Type': 'application/json'}, body: JSON.stringify(body)});
		return {status: r.status, body: await r.json()};
	};
	const found = await call('MOSIPDISC', '/device', {type: 'Face'});
	const device = found.body[0];
	JSON.parse(atob(device.digitalId));
	const info = await call('MOSIPDINFO', '/info', {});
	JSON.parse(atob(info.body[0].deviceInfo.split('.')[1]));

	const stream = await fetch(origin + '/stream', {method: 'STREAM', headers: {'content-type': 'text/plain'},
		body: JSON.stringify({deviceId: device.deviceId, deviceSubId: '0'})});
	const reader = stream.body.getReader();
	let header = '', length = -1, image = null, read = 0, pictures = [], width = 0, ended = false;
	const looking = (async () => {
		for (;;) {
			const {done, value} = await reader.read();
			if (done) { ended = true; return; }
			for (let i = 0; i < value.length; i++) {
				if (image === null) {
					if (value[i] === 0xFF && value[i + 1] === 0xD8) {
						for (const line of header.split('\r\n')) {
							const m = /^content-length:(.*)$/i.exec(line);
							if (m) length = parseInt(m[1]);
						}
						image = new Uint8Array(length); read = 0; header = '';
					} else { header += String.fromCharCode(value[i]); continue; }
				}
				if (read < length) { image[read++] = value[i]; continue; }
				const picture = await createImageBitmap(new Blob([image], {type: 'image/jpeg'}));
				width = picture.width; pictures.push(read); image = null;
			}
		}
	})();
	while (pictures.length < 3) await new Promise(f => setTimeout(f, 20));
	const captured = await call('RCAPTURE', '/capture', {env: 'Developer', purpose: 'Registration', specVersion: '0.9.5',
		timeout: 20000, transactionId: 'browser-1', bio: [{type: 'Face', count: 1, bioSubType: null, requestedScore: 20,
		deviceId: device.deviceId, deviceSubId: 0, previousHash: ''}], customOpts: null});
	const element = captured.body.biometrics[0];
	const data = JSON.parse(atob(element.data.split('.')[1]));
	await looking;
	return [device.deviceStatus, element.error.errorInfo, data.bioType, 'bioSubType' in data, width > 0, pictures.length >= 3, ended].join(' ');
})(%q)`

// A page of a listed portal does a whole capture in a real browser; the same
// page elsewhere does not get past the first call.
func TestBrowser(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<!doctype html><title>portal</title>")
	})
	portal, stranger := httptest.NewServer(page), httptest.NewServer(page)
	defer portal.Close()
	defer stranger.Close()
	s := start(t, "--purpose", "Registration", "--allow-origin", portal.URL)
	run := func(from string) string {
		ctx, cancel := context.WithTimeout(browser(t, from), 2*time.Minute)
		defer cancel()
		got, err := chromedp.Run(ctx, chromedp.Evaluate[string](
			fmt.Sprintf(script, s.registration)+`.catch(e => '' + e)`, chromedp.EvalAwaitPromise))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got, want := run(portal.URL), "Ready Success Face false true true true"; got != want {
		t.Errorf("the portal's page got %q, want %q", got, want)
	}
	if got, want := run(stranger.URL), "TypeError: Failed to fetch"; got != want {
		t.Errorf("a stranger's page got %q, want %q", got, want)
	}
}
