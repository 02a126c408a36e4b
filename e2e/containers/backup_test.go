//go:build containers

package containers

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// program starts app or worker of the images under test on a database.
func (d *dbServer) program(name string, arguments ...string) (container string) {
	d.t.Helper()
	container = d.name + "-" + name
	_, _ = attempt(d.t, nil, "docker", "rm", "--force", "--volumes", container)
	remove(d.t, container)
	docker(d.t, append([]string{"run", "--detach", "--name", container, "--network", d.name, "--publish", "127.0.0.1::8000",
		"--volume", d.secret + ":/run/secrets/database_url:ro", "--env", "DATABASE_URL_FILE=/run/secrets/database_url", "--env", "SECRET_KEY=" + strings.Repeat("k", 48),
		"--env", "PUBLIC_URL=http://127.0.0.1", "--env", "SMTP_URL=mailbox:", "--env", "FLOWER_BASIC_AUTH=a:b", "--env", "LOGIN_LIMITS=false", image(name)}, arguments...)...)
	eventually(d.t, name, func() bool {
		_, err := attempt(d.t, nil, "docker", "exec", container, "/"+name, "healthcheck")
		return err == nil
	})
	return container
}

// registrations are people who sign up all the time.
type registrations struct {
	mutex        sync.Mutex
	acknowledged []string // addresses that were answered 201
	ended        sync.WaitGroup
	stop         context.CancelFunc
}

func (r *registrations) soFar() []string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return append([]string(nil), r.acknowledged...)
}

const password = "correct-horse-battery"

// post sends a body of JSON and returns the status of the answer.
func post(ctx context.Context, url, body string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	return answer.StatusCode, nil
}

func register(ctx context.Context, site, email string) (int, error) {
	return post(ctx, site+"/accounts/registration/", fmt.Sprintf(`{"email":%q,"password1":%q,"password2":%q}`, email, password, password))
}

func startRegistrations(t *testing.T, site string) *registrations {
	ctx, cancel := context.WithCancel(t.Context())
	r := &registrations{stop: cancel}
	for client := range 4 {
		r.ended.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				email := fmt.Sprintf("client%d-%d@example.com", client, n)
				if status, err := register(ctx, site, email); err == nil && status == http.StatusCreated {
					r.mutex.Lock()
					r.acknowledged = append(r.acknowledged, email)
					r.mutex.Unlock()
				}
			}
		})
	}
	t.Cleanup(func() { cancel(); r.ended.Wait() })
	return r
}

func TestADatabaseComesBackWithAllThatWasAcknowledgedBeforeItsBackup(t *testing.T) {
	t.Parallel()
	buildImages(t)
	d, folder := startDatabase(t, "backup"), t.TempDir()
	docker(t, "run", "--rm", "--network", d.name, "--volume", d.secret+":/url:ro", "--env", "DATABASE_URL_FILE=/url", image("app"), "migrate")
	app, worker := d.program("app"), d.program("worker")
	site := "http://" + strings.Split(docker(t, "port", app, "8000/tcp"), "\n")[0]

	people := startRegistrations(t, site)
	eventually(t, "a number of registrations", func() bool { return len(people.soFar()) >= 40 })
	before := people.soFar()
	file := d.mustBackup(folder)
	during := len(people.soFar()) - len(before)
	eventually(t, "registrations after the backup", func() bool { return len(people.soFar()) > len(before)+during })
	people.stop()
	people.ended.Wait()
	if during == 0 {
		t.Error("nobody registered while the backup ran: this proves little")
	}

	docker(t, "rm", "--force", app, worker)
	d.destroy()
	d.start()
	if output, err := d.backup(folder, "restore", file); err != nil || !strings.Contains(output, "portico is as in "+file) {
		t.Fatalf("restore: %v\n%s", err, output)
	}
	restored := map[string]bool{}
	for email := range strings.Lines(d.sql("SELECT email FROM users") + "\n") {
		restored[strings.TrimSpace(email)] = true
	}
	var lost []string
	for _, email := range before {
		if !restored[email] {
			lost = append(lost, email)
		}
	}
	if len(lost) > 0 {
		t.Errorf("%d of %d registrations that were acknowledged before the backup are lost: %q", len(lost), len(before), lost)
	}
	if alone := d.sql("SELECT count(*) FROM users u WHERE NOT EXISTS (SELECT FROM river_job j WHERE j.kind = 'account.welcome_mail' AND j.args->>'email' = u.email)"); alone != "0" {
		t.Errorf("%s users came back without the job that was written with them", alone)
	}
	t.Logf("%d registrations before the backup, %d while it ran, %d after; %d came back", len(before), during, len(people.soFar())-len(before)-during, len(restored))

	app = d.program("app")
	site = "http://" + strings.Split(docker(t, "port", app, "8000/tcp"), "\n")[0]
	if status, err := post(t.Context(), site+"/accounts/login/", fmt.Sprintf(`{"email":%q,"password":%q}`, before[0], password)); err != nil || status != http.StatusOK {
		t.Errorf("signing in after the restore: %d, %v", status, err)
	}
	if status, err := register(t.Context(), site, "after@example.com"); err != nil || status != http.StatusCreated {
		t.Errorf("registering after the restore: %d, %v", status, err)
	}
	d.program("worker")
	eventually(t, "the mail to a person who registered after the restore", func() bool {
		return d.sql("SELECT count(*) FROM mailbox_messages WHERE recipient LIKE '%after@example.com%'") == "1"
	})
}

func TestAFullDiskLeavesTheLastGoodBackup(t *testing.T) {
	t.Parallel()
	d := startDatabase(t, "full-disk")
	d.sql("CREATE TABLE notes AS SELECT 1 AS id, 'x' AS body")
	// A disk of 1 MB that stays while several runs use it.
	holder := d.name + "-disk"
	remove(t, holder)
	docker(t, "run", "--detach", "--name", holder, "--network", d.name, "--tmpfs", "/backups:size=1m", "--volume", d.secret+":/url:ro", "--env", "DATABASE_URL_FILE=/url",
		"--volume", filepath.Join(repository, "docker/backup.sh")+":/backup.sh:ro", "--entrypoint", "sleep", postgresImage, "infinity")
	script := func(line string) (string, error) { return attempt(t, nil, "docker", "exec", holder, "sh", "-c", line) }
	if output, err := script("/backup.sh backup"); err != nil {
		t.Fatalf("the first backup: %v\n%s", err, output)
	}
	before, err := script("cd /backups && ls -A && cat last-success *.sha256")
	if err != nil {
		t.Fatal(before)
	}
	name, _ := script("/backup.sh list | cut -f 1")

	d.sql("INSERT INTO notes SELECT n, md5(n::text) || md5(random()::text) FROM generate_series(1, 60000) n")
	output, err := script("/backup.sh backup")
	if err == nil || !strings.Contains(output, "No space left on device") || !strings.HasSuffix(output, "backup: FAILED: the database was not backed up; the newest backup is "+name) {
		t.Errorf("a backup onto a full disk ended with %v:\n%s", err, output)
	}
	if after, _ := script("cd /backups && ls -A && cat last-success *.sha256"); after != before {
		t.Errorf("it left\n%s\nwhere this was before\n%s", after, before)
	}
	if output, err := script("/backup.sh check"); err != nil || !strings.HasPrefix(output, "1\tpublic.notes\n") {
		t.Errorf("the last good backup: %v\n%s", err, output)
	}
}

func TestRestoreTakesOnlyWhatIsWholeAndReplacesNothingUnasked(t *testing.T) {
	t.Parallel()
	d, folder := startDatabase(t, "restore"), t.TempDir()
	const odd = `"odd (""name"`
	d.sql(`CREATE TABLE notes (id INT PRIMARY KEY, body TEXT); INSERT INTO notes SELECT n, md5(random()::text) || E'\n\\.\nCOPY x FROM stdin;' FROM generate_series(1, 5000) n;
		CREATE TABLE ` + odd + ` (id INT REFERENCES notes); INSERT INTO ` + odd + ` VALUES (1), (2)`)
	file := d.mustBackup(folder)
	refused := func(tells string, arguments ...string) {
		t.Helper()
		if output, err := d.backup(folder, append([]string{"restore"}, arguments...)...); err == nil || !strings.Contains(output, tells) {
			t.Errorf("restore %q ended with %v, want %q:\n%s", arguments, err, tells, output)
		}
		if rows := d.sql("SELECT count(*) FROM notes"); rows != "5000" {
			t.Errorf("restore %q left %s rows", arguments, rows)
		}
	}
	refused("portico is not empty", file)
	refused("does not exist", "portico-20200101T000000Z.dump", "--replace")
	refused("unknown option --relpace", file, "--relpace")

	whole, err := os.ReadFile(filepath.Join(folder, file))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile(filepath.Join(folder, file+".sha256"))
	if err != nil {
		t.Fatal(err)
	}
	damage := func(name string, content []byte, checksum bool) string {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		if checksum {
			if err := os.WriteFile(filepath.Join(folder, name+".sha256"), bytes.ReplaceAll(sum, []byte(file), []byte(name)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return name
	}
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 1
	refused("its checksum is not that", damage("portico-20200102T000000Z.dump", flipped, true), "--replace")
	refused("its checksum is not that", damage("portico-20200103T000000Z.dump", whole[:len(whole)/2], true), "--replace")
	refused("cannot read it to its end", damage("portico-20200104T000000Z.dump", whole[:len(whole)/2], false), "--replace")

	// Somebody is connected while the database is replaced.
	d.sql("DELETE FROM notes WHERE id > 10; CREATE TABLE late (id INT)")
	session := exec.CommandContext(t.Context(), "docker", "exec", d.name, "psql", "--username", "portico", "--command", "SELECT pg_sleep(600)")
	if err := session.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Wait() }()
	eventually(t, "a session", func() bool {
		return d.sql("SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)'") == "1"
	})
	output, err := d.backup(folder, "restore", file, "--replace")
	if err != nil || !strings.Contains(output, "5002 rows in 2 tables, counted") {
		t.Fatalf("restore --replace: %v\n%s", err, output)
	}
	if rows := d.sql("SELECT (SELECT count(*) FROM notes) || ' ' || (SELECT count(*) FROM " + odd + ") || ' ' || coalesce(to_regclass('late')::text, 'gone')"); rows != "5000 2 gone" {
		t.Errorf("after the restore there are %q", rows)
	}
	old := d.sql("SELECT datname FROM pg_database WHERE datname LIKE 'portico_before_%' AND datallowconn")
	if kept := docker(t, "exec", d.name, "psql", "--tuples-only", "--no-align", "--username", "portico", "--dbname", old, "--command", "SELECT count(*) FROM late, notes"); kept != "0" {
		t.Errorf("what was replaced is kept as %q with %s", old, kept)
	}
	if left := d.sql("SELECT count(*) FROM pg_database WHERE datname LIKE 'portico_new_%'"); left != "0" {
		t.Errorf("%s databases were left behind", left)
	}
}

func TestTheDatabasesPasswordStandsInNoListOfProcesses(t *testing.T) {
	t.Parallel()
	d, folder, recorder := startDatabase(t, "processes"), t.TempDir(), t.TempDir()
	d.sql("CREATE TABLE notes AS SELECT 1 AS id")
	for _, program := range []string{"pg_dump", "pg_restore", "psql", "awk"} {
		real := docker(t, "run", "--rm", "--entrypoint", "which", postgresImage, program)
		script := "#!/bin/sh\n{ echo " + program + ` "$@"; tr '\000' '\n' </proc/self/environ; } >>/backups/seen` + "\nexec " + real + ` "$@"` + "\n"
		if err := os.WriteFile(filepath.Join(recorder, program), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path := docker(t, "run", "--rm", "--entrypoint", "printenv", postgresImage, "PATH")
	options := []string{"--volume", recorder + ":/recorder:ro", "--env", "PATH=/recorder:" + path}
	if output, err := attempt(t, nil, "docker", d.backupCommand(folder, options, "backup")...); err != nil {
		t.Fatalf("backup: %v\n%s", err, output)
	}
	if output, err := attempt(t, nil, "docker", d.backupCommand(folder, options, "restore", lastSuccess(t, folder), "--replace")...); err != nil {
		t.Fatalf("restore: %v\n%s", err, output)
	}
	seen, err := os.ReadFile(filepath.Join(folder, "seen"))
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"pg_dump --", "pg_restore --", "psql --"} {
		if !bytes.Contains(seen, []byte(program)) {
			t.Errorf("%s was not seen", program)
		}
	}
	for _, secret := range []string{d.password, d.password[len(d.password)-20:]} {
		if bytes.Contains(seen, []byte(secret)) {
			t.Errorf("the password is in the arguments or the environment of a program:\n%s", seen)
		}
	}
}

func TestOldBackupsGoAsNewOnesCome(t *testing.T) {
	t.Parallel()
	d, folder := startDatabase(t, "retention"), t.TempDir()
	d.sql("CREATE TABLE notes AS SELECT 1 AS id")
	for _, day := range []string{"20251231", "20260118", "20260119", "20260124", "20260125", "20260126", "20260129", "20260130", "20260131"} {
		for _, time := range []string{"T030000Z", "T150000Z"} {
			for _, end := range []string{".dump", ".dump.sha256"} {
				if err := os.WriteFile(filepath.Join(folder, "portico-"+day+time+end), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	killed := filepath.Join(folder, ".portico-20260131T160000Z.dump.partial")
	if err := os.WriteFile(killed, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	options := []string{"--env", "BACKUP_KEEP_DAILY=3", "--env", "BACKUP_KEEP_WEEKLY=4"}
	if output, err := attempt(t, nil, "docker", d.backupCommand(folder, options, "backup")...); err != nil {
		t.Fatalf("backup: %v\n%s", err, output)
	}
	var kept []string
	for _, end := range []string{".dump", ".dump.sha256"} {
		found, err := filepath.Glob(filepath.Join(folder, "portico-*"+end))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			kept = append(kept, strings.TrimPrefix(filepath.Base(path), "portico-"))
		}
	}
	today := strings.TrimPrefix(lastSuccess(t, folder), "portico-")
	// Three days; and four weeks, which end on Sundays: the 18th and the 25th are such.
	want := []string{
		"20260118T150000Z.dump", "20260125T150000Z.dump", "20260130T150000Z.dump", "20260131T150000Z.dump", today,
		"20260118T150000Z.dump.sha256", "20260125T150000Z.dump.sha256", "20260130T150000Z.dump.sha256", "20260131T150000Z.dump.sha256", today + ".sha256",
	}
	if got := strings.Join(kept, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("kept\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	if _, err := os.Stat(killed); err == nil {
		t.Error("what a killed run left is still there")
	}
}

func TestSettingsOfBackupsAreExplained(t *testing.T) {
	t.Parallel()
	d := startDatabase(t, "backup-settings")
	for name, test := range map[string]struct {
		options   []string
		arguments []string
		tells     string
	}{
		"no URL":          {[]string{"--env", "DATABASE_URL_FILE="}, []string{"backup"}, "DATABASE_URL must be postgres://"},
		"SQLite":          {[]string{"--env", "DATABASE_URL_FILE=", "--env", "DATABASE_URL=sqlite://x"}, []string{"backup"}, "DATABASE_URL must be postgres://"},
		"no secret":       {[]string{"--env", "DATABASE_URL_FILE=/nowhere"}, []string{"backup"}, "/nowhere cannot be read"},
		"no folder":       {[]string{"--env", "BACKUP_FOLDER=/nowhere"}, []string{"backup"}, "there is no folder /nowhere"},
		"no backup":       {nil, []string{"check"}, "there is no backup"},
		"unknown":         {nil, []string{"backpu"}, "no such command"},
		"nothing there":   {nil, []string{"backup"}, "FAILED: the database has no tables"},
		"nobody there":    {[]string{"--env", "DATABASE_URL_FILE=", "--env", "DATABASE_URL=postgres://u:hidden@127.0.0.1:1/x"}, []string{"backup"}, "FAILED: the database was not backed up; the newest backup is none"},
		"not by this TLS": {[]string{"--env", "DATABASE_URL_FILE=", "--env", "DATABASE_URL=postgres://portico:hidden@" + d.name + "/portico?sslmode=verify-full"}, []string{"backup"}, "server does not support SSL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			output, err := attempt(t, nil, "docker", d.backupCommand(t.TempDir(), test.options, test.arguments...)...)
			if err == nil || !strings.Contains(output, test.tells) || strings.Contains(output, "hidden") {
				t.Errorf("it ended with %v, want %q:\n%s", err, test.tells, output)
			}
		})
	}
}

// cloud is a folder that stands for a bucket: programs named aws and age, found first, write down what they were asked.
type cloud struct{ programs, bucket, asked string }

func newCloud(t *testing.T) cloud {
	t.Helper()
	root := t.TempDir()
	c := cloud{filepath.Join(root, "programs"), filepath.Join(root, "bucket"), filepath.Join(root, "asked")}
	for name, script := range map[string]string{
		"aws": `echo "aws $*" >>` + c.asked + `
case "$1 $2" in
"s3 cp") [ ! -e ` + root + `/refuse ] || { echo 'upload failed: AccessDenied' >&2; exit 1; }
	to=` + c.bucket + `/${5#s3://}; mkdir -p "$(dirname "$to")"; cp "$4" "$to"; [ ! -e ` + root + `/lose ] || : >"$to" ;;
"s3api head-object") stat --format %s "` + c.bucket + `/$4/$6" ;;
esac`,
		"age": `echo "age $*" >>` + c.asked + `; printf 'sealed for %s: ' "$2"; rev`,
	} {
		if err := os.MkdirAll(c.programs, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(c.programs, name), []byte("#!/bin/sh\nset -eu\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// upload runs docker/backup-upload.sh.
func (c cloud) upload(t *testing.T, arguments ...string) (string, error) {
	return attempt(t, []string{"PATH=" + c.programs + ":" + os.Getenv("PATH")}, "docker/backup-upload.sh", arguments...)
}

func TestUploadsAreWholeOrTheyFail(t *testing.T) {
	t.Parallel()
	c, folder := newCloud(t), t.TempDir()
	const name = "portico-20260131T030000Z.dump"
	for file, content := range map[string]string{name: "rows\n", name + ".sha256": "sum\n", "last-success": "2026-01-31T03:00:02Z " + name + " 5\n"} {
		if err := os.WriteFile(filepath.Join(folder, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bucket := func(key string) string {
		content, _ := os.ReadFile(filepath.Join(c.bucket, "example-backups", key))
		return string(content)
	}
	uploaded := func() bool {
		said, _ := os.ReadFile(filepath.Join(folder, "last-upload"))
		_ = os.Remove(filepath.Join(folder, "last-upload"))
		return strings.HasSuffix(string(said), "Z "+name+"\n")
	}
	if output, err := c.upload(t, folder, "s3://example-backups/site/"); err != nil || !uploaded() || bucket("site/"+name) != "rows\n" || bucket("site/"+name+".sha256") != "sum\n" {
		t.Errorf("a plain upload: %v\n%s", err, output)
	}
	if output, err := c.upload(t, folder, "s3://example-backups", "--age-recipient", "age1abc"); err != nil || !uploaded() ||
		!strings.HasPrefix(bucket(name+".age"), "sealed for age1abc: ") || bucket(name) != "" {
		t.Errorf("an encrypted upload: %v\n%s", err, output)
	}
	if left, err := filepath.Glob(filepath.Join(folder, ".upload*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
	root := filepath.Dir(c.bucket)
	for fault, tells := range map[string]string{"refuse": "FAILED: " + name + " was not uploaded", "lose": "FAILED: " + name + " has 0 bytes"} {
		if err := os.WriteFile(filepath.Join(root, fault), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if output, err := c.upload(t, folder, "s3://example-backups"); err == nil || !strings.Contains(output, tells) || uploaded() {
			t.Errorf("%s: %v, want %q\n%s", fault, err, tells, output)
		}
		_ = os.Remove(filepath.Join(root, fault))
	}
	for tells, arguments := range map[string][]string{
		"is not s3://BUCKET":        {folder, "https://example.com"},
		"no backup was made there":  {t.TempDir(), "s3://example-backups"},
		"wrong arguments":           {folder},
		"unknown option --age-recp": {folder, "s3://example-backups", "--age-recp", "x"},
	} {
		if output, err := c.upload(t, arguments...); err == nil || !strings.Contains(output, tells) || strings.Contains(output, "\n") {
			t.Errorf("%q: %v, want %q\n%s", arguments, err, tells, output)
		}
	}
}
