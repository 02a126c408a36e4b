//go:build containers

package containers

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// imageLimit is how large an image may be, in bytes.
const imageLimit = 30_000_000

// files are the contents of an image by path, folders with a slash at the end and no content.
func files(t *testing.T, image string) map[string][]byte {
	t.Helper()
	platform := docker(t, "image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", image)
	container := docker(t, "create", "--pull", "never", "--platform", platform, image)
	defer func() { _ = exec.Command("docker", "rm", container).Run() }()
	export := exec.CommandContext(t.Context(), "docker", "export", container)
	output, err := export.Output()
	if err != nil {
		t.Fatalf("docker export: %v", err)
	}
	found := map[string][]byte{}
	for archive := tar.NewReader(bytes.NewReader(output)); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		if found[header.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
}

// engineMade are paths that the engine puts into each container.
var engineMade = []string{".dockerenv", "dev/", "proc/", "sys/", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf"}

func TestImagesHoldTheirProgramAndLittleElse(t *testing.T) {
	t.Parallel()
	buildImages(t)
	for _, program := range []string{"proxy", "app", "worker"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			var described []struct {
				Size   int64
				Config struct {
					User   string
					Labels map[string]string
				}
			}
			if err := json.Unmarshal([]byte(docker(t, "image", "inspect", image(program))), &described); err != nil {
				t.Fatal(err)
			}
			if size := described[0].Size; size > imageLimit {
				t.Errorf("%d bytes are more than %d", size, imageLimit)
			}
			if user := described[0].Config.User; user != "65532:65532" {
				t.Errorf("it runs as %q", user)
			}
			for _, label := range []string{"version", "licenses", "source", "title", "description"} {
				if described[0].Config.Labels["org.opencontainers.image."+label] == "" {
					t.Errorf("the label %s is missing", label)
				}
			}
			var paths []string
			for path := range files(t, image(program)) {
				made := slices.ContainsFunc(engineMade, func(prefix string) bool { return strings.HasPrefix(path, prefix) })
				if !made && !strings.HasSuffix(path, "/") {
					paths = append(paths, path)
				}
			}
			slices.Sort(paths)
			if want := []string{"etc/ssl/certs/ca-certificates.crt", program}; !slices.Equal(paths, slices.Sorted(slices.Values(want))) {
				t.Errorf("it holds %q, want %q", paths, want)
			}
			if revision := described[0].Config.Labels["org.opencontainers.image.revision"]; revision != revisionUnderTest {
				t.Errorf("the label revision is %q", revision)
			}
			if version := docker(t, "run", "--rm", "--network", "none", image(program), "--version"); version != "under-test" {
				t.Errorf("--version tells %q", version)
			}
		})
	}
}

func TestImagesSayThatTheyWantAServerForADatabase(t *testing.T) {
	t.Parallel()
	buildImages(t)
	for _, program := range []string{"app", "worker"} {
		output, err := attempt(t, nil, "docker", "run", "--rm", "--network", "none", "--env", "SECRET_KEY=0123456789abcdef0123456789abcdef",
			"--env", "PUBLIC_URL=https://"+siteName, "--env", "DATABASE_URL=sqlite:///data/portico.db", image(program))
		if err == nil || !strings.Contains(output, "DATABASE_URL: this program was built without SQLite") {
			t.Errorf("%s with a file of SQLite: %v, %q", program, err, output)
		}
	}
}

func TestACommitHasOneDigest(t *testing.T) {
	t.Parallel()
	// The worker stands for all: what could differ comes from the Dockerfile and the compiler, which they share.
	build := func() string {
		return docker(t, "build", "--no-cache", "--quiet", "--file", "docker/Dockerfile", "--target", "worker",
			"--build-arg", "VERSION=under-test", "--build-arg", "SOURCE_DATE_EPOCH=1700000000", ".")
	}
	if first, second := build(), build(); first != second {
		t.Errorf("two builds have the digests %s and %s", first, second)
	}
}

func TestImagesAreBuiltForARM(t *testing.T) {
	t.Parallel()
	const name = "portico-e2e/worker:arm64"
	docker(t, "build", "--quiet", "--platform", "linux/arm64", "--file", "docker/Dockerfile", "--target", "worker", "--tag", name, ".")
	if architecture := docker(t, "image", "inspect", "--format", "{{.Architecture}}", name); architecture != "arm64" {
		t.Errorf("the image is for %s", architecture)
	}
	program, err := elf.NewFile(bytes.NewReader(files(t, name)["worker"]))
	if err != nil {
		t.Fatal(err)
	}
	if program.Machine != elf.EM_AARCH64 {
		t.Errorf("the program is for %s", program.Machine)
	}
}
