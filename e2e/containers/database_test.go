//go:build containers

package containers

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const postgresImage = "postgres:17-alpine"

// dbServer is a PostgreSQL server in a network of its own, with its data in a volume.
type dbServer struct {
	t        *testing.T
	name     string // of network, volume and container
	password string
	secret   string // file of the URL
}

// startDatabase starts a server; everything of it ends with the test.
func startDatabase(t *testing.T, name string) *dbServer {
	t.Helper()
	d := &dbServer{t: t, name: "portico-e2e-" + name, password: "p@s s/%:" + rand.Text()}
	t.Cleanup(func() {
		_ = exec.Command("docker", "rm", "--force", "--volumes", d.name).Run()
		_ = exec.Command("docker", "volume", "rm", "--force", d.name).Run()
		_ = exec.Command("docker", "network", "rm", d.name).Run()
	})
	d.destroy()
	_ = exec.Command("docker", "network", "rm", d.name).Run()
	docker(t, "network", "create", d.name)
	escaped := strings.NewReplacer("@", "%40", " ", "%20", "/", "%2F", "%", "%25", ":", "%3A").Replace(d.password)
	d.secret = filepath.Join(t.TempDir(), "database_url")
	if err := os.WriteFile(d.secret, []byte("postgres://portico:"+escaped+"@"+d.name+":5432/portico?sslmode=disable"), 0o444); err != nil {
		t.Fatal(err)
	}
	d.start()
	return d
}

// start runs the server on its volume, which is new or left from before.
func (d *dbServer) start() {
	d.t.Helper()
	docker(d.t, "run", "--detach", "--name", d.name, "--network", d.name, "--volume", d.name+":/var/lib/postgresql/data",
		"--env", "POSTGRES_USER=portico", "--env", "POSTGRES_DB=portico", "--env", "POSTGRES_PASSWORD="+d.password, postgresImage)
	eventually(d.t, "the database", func() bool {
		_, err := attempt(d.t, nil, "docker", "exec", d.name, "pg_isready", "--quiet", "--host", "127.0.0.1", "--username", "portico")
		return err == nil
	})
}

// destroy removes the server and its data.
func (d *dbServer) destroy() {
	d.t.Helper()
	_, _ = attempt(d.t, nil, "docker", "rm", "--force", "--volumes", d.name)
	docker(d.t, "volume", "rm", "--force", d.name)
}

// sql runs a statement and returns the rows, a line each.
func (d *dbServer) sql(statement string) string {
	d.t.Helper()
	return docker(d.t, "exec", d.name, "psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--username", "portico", "--command", statement)
}

// backupCommand is docker's arguments that run docker/backup.sh as the service backup of docker-compose.prod.yml does.
func (d *dbServer) backupCommand(folder string, options []string, arguments ...string) []string {
	all := append([]string{"run", "--rm", "--network", d.name, "--user", strconv.Itoa(os.Getuid()) + ":" + strconv.Itoa(os.Getgid()), "--read-only",
		"--cap-drop", "ALL", "--tmpfs", "/tmp:size=16m,mode=1777", "--volume", folder + ":/backups",
		"--volume", d.secret + ":/run/secrets/database_url:ro", "--volume", filepath.Join(repository, "docker/backup.sh") + ":/backup.sh:ro",
		"--env", "DATABASE_URL_FILE=/run/secrets/database_url"}, options...)
	return append(append(all, "--entrypoint", "/bin/sh", postgresImage, "/backup.sh"), arguments...)
}

// backup runs docker/backup.sh with a folder for backups.
func (d *dbServer) backup(folder string, arguments ...string) (string, error) {
	return attempt(d.t, nil, "docker", d.backupCommand(folder, nil, arguments...)...)
}

// mustBackup makes a backup and returns the name of its file.
func (d *dbServer) mustBackup(folder string) string {
	d.t.Helper()
	output, err := d.backup(folder, "backup")
	if err != nil {
		d.t.Fatalf("backup: %v\n%s", err, output)
	}
	return lastSuccess(d.t, folder)
}

// lastSuccess is the file that the last backup which succeeded is in.
func lastSuccess(t *testing.T, folder string) string {
	t.Helper()
	said, err := os.ReadFile(filepath.Join(folder, "last-success"))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(said))
	if len(fields) != 3 {
		t.Fatalf("last-success is %q", said)
	}
	if _, err := time.Parse(time.RFC3339, fields[0]); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(folder, fields[1]))
	if err != nil || strconv.FormatInt(info.Size(), 10) != fields[2] {
		t.Fatalf("last-success is %q: %v, %v", said, info, err)
	}
	return fields[1]
}

// eventually waits up to a minute for something to become true.
func eventually(t *testing.T, what string, true func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !true() {
		if time.Now().After(deadline) {
			t.Fatalf("%s was waited for in vain", what)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
