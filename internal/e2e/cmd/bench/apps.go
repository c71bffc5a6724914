package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"paceline/internal/e2e/sandbox"
)

// measureApps measures app files: many apps in one, and what it costs to evaluate one.
func measureApps(ctx context.Context, b *bench) error {
	return errors.Join(manyApps(ctx, b), evaluation(ctx, b))
}

// manyApps starts a JavaScript file of 500 different apps.
func manyApps(ctx context.Context, b *bench) (err error) {
	const n, rounds = 500, 5
	box, err := sandbox.New(b.pace)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.Close(ctx)) }()
	file := filepath.Join(box.Dir, "ecosystem.config.js")
	text := fmt.Sprintf(`const apps = [];
for (let n = 0; n < %d; n++) {
  apps.push({ name: 'app-' + n, script: 'sleep', args: '100000', env: { PORT: 3000 + n }, env_production: { STAGE: 'live' } });
}
module.exports = { apps };
`, n)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	if _, err := box.Pace(ctx, "ping"); err != nil {
		return err
	}
	var starts, agains, deletes []time.Duration
	for range rounds {
		for _, c := range []struct {
			to   *[]time.Duration
			args []string
		}{
			{&starts, []string{"start", file}},
			{&agains, []string{"restart", file}},
			{&deletes, []string{"delete", file}},
		} {
			d, err := timed(ctx, box, c.args...)
			if err != nil {
				return err
			}
			*c.to = append(*c.to, d)
			if c.to == &deletes {
				continue
			}
			if _, err := box.WaitStatus(ctx, n, "online"); err != nil {
				return err
			}
		}
	}
	b.table.atMost(fmt.Sprintf("pace start of a file of %d apps, %s", n, spread(starts)), median(starts).Seconds(), 3, "s")
	b.table.info(fmt.Sprintf("pace restart of it, %s", spread(agains)), figure(median(agains).Seconds())+" s")
	b.table.info(fmt.Sprintf("pace delete of it, %s", spread(deletes)), figure(median(deletes).Seconds())+" s")
	return nil
}

// evaluation compares a file of one app in JavaScript with the same in JSON.
func evaluation(ctx context.Context, b *bench) (err error) {
	box, err := sandbox.New(b.pace)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.Close(ctx)) }()
	const one = `{ "apps": [{ "name": "one", "script": "sleep", "args": "100000" }] }`
	kinds := []struct {
		file, text string
		took       []time.Duration
	}{
		{file: "plain.json", text: one},
		{file: "plain.config.js", text: "module.exports = " + one},
		{file: "module.config.mjs", text: "export default " + one},
		{file: "requires.config.js", text: `const path = require('path'), more = require('./more');
module.exports = { apps: [{ name: path.basename('/x/one'), script: more.script, args: '100000', cwd: __dirname }] };`},
	}
	files := map[string]string{"more.js": "module.exports = { script: 'sleep' };"}
	for _, k := range kinds {
		files[k.file] = k.text
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(box.Dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if _, err := box.Pace(ctx, "start", filepath.Join(box.Dir, kinds[0].file)); err != nil {
		return err
	}
	if _, err := box.Pace(ctx, "stop", "one"); err != nil {
		return err
	}
	for range 40 {
		for i := range kinds { // it is stopped already: nothing changes
			d, err := timed(ctx, box, "stop", filepath.Join(box.Dir, kinds[i].file))
			if err != nil {
				return err
			}
			kinds[i].took = append(kinds[i].took, d)
		}
	}
	base := median(kinds[0].took)
	b.table.info("pace stop of a file of one app in JSON, which is stopped, "+spread(kinds[0].took), figure(ms(base))+" ms")
	for _, k := range kinds[1:] {
		b.table.atMost(fmt.Sprintf("the same in %s: added, %s", k.file, spread(k.took)), ms(median(k.took)-base), 15, "ms")
	}
	return nil
}
