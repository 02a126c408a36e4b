//go:build containers

package containers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The workflows run by act on this machine, from a copy of the checkout. The actions of others are stubs, as are the programs
// that would leave the machine; each stub writes a line into a record. What ship.sh sends is run against a real host in
// TestProductionHost.

const act = "bin/tools/act@v0.2.89"

// stubs are actions of others, by name, as the steps of a composite action.
var stubs = map[string]string{
	"actions/checkout":                      `echo checkout "${{ inputs.ref }}" >>"$RECORD"; cp -R "$CHECKOUT/." .`,
	"actions/setup-go":                      `true`,
	"docker/setup-buildx-action":            `true`,
	"docker/login-action":                   `echo login ${{ inputs.registry }} >>"$RECORD"`,
	"aws-actions/configure-aws-credentials": `echo assume ${{ inputs.role-to-assume }} >>"$RECORD"`,
	"anchore/scan-action":                   `echo scan ${{ inputs.image }} >>"$RECORD"`,
	"sigstore/cosign-installer":             `true`,
	"docker/build-push-action":              `echo build ${{ inputs.target }} ${{ inputs.platforms }} sbom=${{ inputs.sbom }} ${{ inputs.outputs }} ${{ inputs.tags }} >>"$RECORD"; echo "digest=sha256:$(printf %s ${{ inputs.target }} | sha256sum | cut -d ' ' -f 1)" >>"$GITHUB_OUTPUT"`,
	"actions/upload-artifact":               `mkdir -p "$ARTIFACTS" && cp ${{ inputs.path }} "$ARTIFACTS"`,
	"actions/download-artifact":             `mkdir -p ${{ inputs.path }} && cp "$ARTIFACTS"/* ${{ inputs.path }}`,
}

// programs stand for what leaves the machine, or takes long.
var programs = map[string]string{
	"ssh":    `echo "ssh $*" >>"$RECORD"; cat >>"$RECORD.sent"; echo "the host says: done"; if [ -f "$RECORD.host-fails" ]; then exit 1; fi; if [ -f "$RECORD.connection-fails" ]; then exit 255; fi`,
	"curl":   `echo "curl ${!#}" >>"$RECORD"; if [ -f "$RECORD.site-fails" ]; then exit 22; fi`,
	"cosign": `echo "$*" >>"$RECORD"`,
	"docker": `echo "docker $*" >>"$RECORD"
case "$*" in
*--password-stdin*) cat >/dev/null ;;
*imagetools\ inspect*--format\ {{json\ .Manifest}}) printf '{"digest": "sha256:%064d"}' 7 ;;
*imagetools\ inspect*) exit 1 ;;
esac`,
	"aws": `echo "aws $1 $2" >>"$RECORD"
case $2 in
get-login-password) echo secret ;;
send-command) # as the agent does it: by sh
	while [ "$1" != --parameters ]; do shift; done
	printf %s "$2" >"$RECORD.parameters"
	jq --raw-output '.commands[]' "$RECORD.parameters" >"$RECORD.command"
	sh "$RECORD.command" >"$RECORD.host" 2>&1 && status=Success || status=Failed
	echo "$status" >"$RECORD.status"
	echo command-1 ;;
get-command-invocation) case "$*" in *--query\ Status*) cat "$RECORD.status" ;; *) cat "$RECORD.host" ;; esac ;;
get-parameters-by-path) echo /portico/secrets/smtp_url ;;
get-parameter) echo smtp://mail.test:587 ;;
esac`,
	"sudo": `while [ "${1#--}" != "$1" ]; do if [ "$1" = --user ]; then shift; fi; shift; done
"$@"`,
}

// scripts of the checkout that other tests run: here they only write down that they were called.
var scripts = []string{".ci/run", ".ci/install-test-tools", "docker/deploy.sh"}

// pipeline is a copy of the checkout in which act runs workflows.
type pipeline struct {
	t                    *testing.T
	folder, record, host string // host is the folder of deploy.sh, as Systems Manager reaches it
	environ              []string
}

func newPipeline(t *testing.T) *pipeline {
	t.Helper()
	if _, err := os.Stat(filepath.Join(repository, act)); err != nil {
		t.Fatalf("%s is missing: make %s builds it", act, act)
	}
	p := &pipeline{t: t, folder: t.TempDir()}
	aside := t.TempDir()
	p.record, p.host = filepath.Join(aside, "record"), filepath.Join(aside, "host")
	p.environ = []string{"RECORD=" + p.record, "CHECKOUT=" + p.folder, "ARTIFACTS=" + filepath.Join(aside, "artifacts"), "HOME=" + filepath.Join(aside, "home"),
		"PATH=" + filepath.Join(aside, "bin") + ":" + os.Getenv("PATH")}
	command(t, nil, "sh", "-c", "git ls-files -z --cached --others --exclude-standard -- .github docker docker-compose.prod.yml .ci | xargs --null cp --parents --target-directory "+p.folder)
	for name, body := range programs {
		executable(t, filepath.Join(aside, "bin", name), body)
	}
	for _, name := range scripts {
		executable(t, filepath.Join(p.folder, name), `echo `+name+` $* >>"$RECORD"; echo the host says: done`)
	}
	// What the summary tells is kept; act takes its file away.
	if err := os.Rename(filepath.Join(p.folder, "docker/summary.sh"), filepath.Join(p.folder, "docker/summary")); err != nil {
		t.Fatal(err)
	}
	executable(t, filepath.Join(p.folder, "docker/summary.sh"), `docker/summary | tee "$RECORD.summary"`)
	executable(t, filepath.Join(p.host, "deploy.sh"), `echo deploy.sh $* >>"$RECORD"`)
	if err := os.Mkdir(filepath.Join(p.host, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, arguments := range [][]string{{"init", "--quiet", "--initial-branch", "main"}, {"add", "--all"},
		{"-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "--quiet", "--message", "test"}} {
		git := exec.Command("git", arguments...)
		git.Dir = p.folder
		if output, err := git.CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v\n%s", arguments, err, output)
		}
	}
	return p
}

func executable(t *testing.T, path, body string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/bash\nset -eu\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

var usesForm = regexp.MustCompile(`uses: ([\w-]+/[\w.-]+)@([0-9a-f]{40}) # v\d`)

// run lets act run a workflow for an event and returns what it printed.
func (p *pipeline) run(event, workflow string, options ...string) (string, error) {
	p.t.Helper()
	arguments := []string{event, "--workflows", ".github/workflows/" + workflow, "--platform", "ubuntu-24.04=-self-hosted", "--no-cache-server",
		"--action-offline-mode", "--secret", "GITHUB_TOKEN=token-of-tests", "--secret", "DEPLOY_SSH_KEY=key-of-tests"}
	for _, variable := range p.environ {
		arguments = append(arguments, "--env", variable)
	}
	for _, name := range []string{"ci.yml", "deploy.yml"} {
		source, err := os.ReadFile(filepath.Join(p.folder, ".github/workflows", name))
		if err != nil {
			p.t.Fatal(err)
		}
		for _, match := range usesForm.FindAllStringSubmatch(string(source), -1) {
			folder := filepath.Join(p.t.TempDir(), "action")
			run, known := stubs[match[1]]
			if !known {
				p.t.Fatalf("%s uses %s, for which this test has no stub", name, match[1])
			}
			inputs := "  unused: {required: false}\n"
			for _, input := range regexp.MustCompile(`inputs\.([\w-]+)`).FindAllStringSubmatch(run, -1) {
				inputs += "  " + input[1] + ": {required: false}\n"
			}
			executable(p.t, filepath.Join(folder, "unused"), "")
			description := fmt.Sprintf("name: stub\ndescription: stub\ninputs:\n%soutputs:\n  digest: {description: digest, value: \"${{ steps.stub.outputs.digest }}\"}\nruns:\n  using: composite\n  steps:\n    - id: stub\n      shell: bash\n      run: |\n        %s\n",
				dedupe(inputs), run)
			if err := os.WriteFile(filepath.Join(folder, "action.yml"), []byte(description), 0o600); err != nil {
				p.t.Fatal(err)
			}
			arguments = append(arguments, "--local-repository", match[1]+"@"+match[2]+"="+folder)
		}
	}
	program := exec.CommandContext(p.t.Context(), filepath.Join(repository, act), append(arguments, options...)...)
	program.Dir = p.folder
	program.Env = append(os.Environ(), p.environ...)
	output, err := program.CombinedOutput()
	return string(output), err
}

// dedupe drops lines that stand twice.
func dedupe(lines string) string {
	var kept []string
	for line := range strings.Lines(lines) {
		if !slices.Contains(kept, line) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// recorded is what the stubs wrote.
func (p *pipeline) recorded(suffix string) string {
	p.t.Helper()
	content, err := os.ReadFile(p.record + suffix)
	if err != nil && !os.IsNotExist(err) {
		p.t.Fatal(err)
	}
	return string(content)
}

// configure writes the host's .env.
func (p *pipeline) configure(content string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.host, ".env"), []byte(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// fails lets the host or the site fail from now on.
func (p *pipeline) fails(what string) {
	p.t.Helper()
	if err := os.WriteFile(p.record+"."+what+"-fails", nil, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

var bySSH = []string{"--var", "DEPLOY_HOST=host.test", "--var", "SITE_URL=https://portico.test/", "--var", "DEPLOY_KNOWN_HOSTS=host.test ssh-ed25519 AAAA"}

func TestAPullRequestIsCheckedTestedAndRunInContainers(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	output, err := p.run("pull_request", "ci.yml")
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, want := range []string{".ci/run tests", ".ci/run containers"} {
		if !strings.Contains(p.recorded(""), want+"\n") {
			t.Errorf("%s was not run; the record is\n%s", want, p.recorded(""))
		}
	}
}

func TestAPushIsTestedBuiltSignedAndShippedByDigest(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	output, err := p.run("push", "deploy.yml", append(bySSH, "--secret", "ENV_VARS=MAIL_FROM=portico@portico.test")...)
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	record := p.recorded("")
	steps := []string{".ci/run", "build app linux/amd64,linux/arm64 sbom=true type=image,name=ghcr.io/nektos/act/app,push-by-digest=true", "scan ghcr.io/nektos/act/app@sha256:",
		"sign --yes ghcr.io/nektos/act/app@sha256:", "docker buildx imagetools create --tag ghcr.io/nektos/act/app:", "ssh deploy@host.test bash -s", "curl https://portico.test/"}
	at := -1
	for _, step := range steps {
		next := strings.Index(record, step)
		if next <= at {
			t.Errorf("%q is missing or out of order in the record\n%s", step, record)
		}
		at = next
	}
	sent := p.recorded(".sent")
	for _, want := range []string{`/deploy.sh" deploy "$release"`, "MAIL_FROM=portico@portico.test", "docker login ghcr.io", "docker logout ghcr.io"} {
		if !strings.Contains(sent, want) {
			t.Errorf("the host is not sent %q but\n%s", want, sent)
		}
	}
	if strings.Contains(record, "token-of-tests") || strings.Contains(output, "token-of-tests") {
		t.Error("the token stands in arguments or in the log")
	}
	// What the host unpacks names the images by the digests that were built.
	unpacked := t.TempDir()
	packed := sent[strings.Index(sent, "base64 --decode"):]
	packed = packed[strings.Index(packed, "\n")+1 : strings.Index(packed, "\nEND_OF_FILES\n")]
	command(t, []string{"PACKED=" + packed, "INTO=" + unpacked}, "bash", "-c", `base64 --decode <<<"$PACKED" | tar --extract --gzip --directory "$INTO"`)
	images, err := os.ReadFile(filepath.Join(unpacked, "images.env"))
	if err != nil {
		t.Fatal(err)
	}
	if found := regexp.MustCompile(`(?m)^(PROXY|APP|WORKER)_IMAGE=ghcr\.io/[a-z0-9./-]+/(proxy|app|worker)@sha256:[0-9a-f]{64}$`).FindAllString(string(images), -1); len(found) != 3 {
		t.Errorf("images.env is\n%s", images)
	}
	if summary := p.recorded(".summary"); !strings.Contains(summary, "serves** https://portico.test/.") || !strings.Contains(summary, "| image of worker | `ghcr.io/nektos/act/worker@sha256:") {
		t.Errorf("the summary is\n%s", summary)
	}
	if _, err := os.Stat(filepath.Join(unpacked, "deploy.sh")); err != nil {
		t.Error(err)
	}
}

func TestASiteThatDoesNotAnswerFromOutsideIsRolledBack(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.fails("site")
	output, err := p.run("push", "deploy.yml", bySSH...)
	if err == nil {
		t.Errorf("the run is green\n%s", output)
	}
	if sent := p.recorded(".sent"); !strings.Contains(sent, `/deploy.sh" deploy "$release"`) || !strings.Contains(sent, "./deploy.sh rollback") {
		t.Errorf("no rollback was sent but\n%s", sent)
	}
	if summary := p.recorded(".summary"); !strings.Contains(summary, "neither with ") || !strings.Contains(summary, "| rolled back | yes |\n| answers from outside after that | **no** |") {
		t.Errorf("the summary is\n%s", summary)
	}
}

func TestAHostThatSwitchesBackMakesTheRunFail(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.fails("host")
	output, err := p.run("push", "deploy.yml", bySSH...)
	if err == nil {
		t.Errorf("the run is green\n%s", output)
	}
	if record := p.recorded(""); strings.Contains(record, "curl") || strings.Contains(p.recorded(".sent"), "rollback") {
		t.Errorf("the host has gone back by itself, and yet the record is\n%s", record)
	}
	if summary := p.recorded(".summary"); !strings.Contains(summary, "**Not deployed.**") || !strings.Contains(summary, "the host says: done") {
		t.Errorf("the summary is\n%s", summary)
	}
}

func TestARunWhoseConnectionBreaksSaysThatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.fails("connection")
	if output, err := p.run("push", "deploy.yml", bySSH...); err == nil {
		t.Errorf("the run is green\n%s", output)
	}
	if summary := p.recorded(".summary"); !strings.Contains(summary, "**Not known.**") {
		t.Errorf("the summary is\n%s", summary)
	}
	if sent := p.recorded(".sent"); !strings.Contains(sent, "./deploy.sh status") {
		t.Errorf("the host is not asked what serves but sent\n%s", sent)
	}
}

func TestASiteUnderMaintenanceIsNotRolledBack(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.fails("site")
	executable(t, filepath.Join(filepath.Dir(p.record), "bin/ssh"), `cat >>"$RECORD.sent"; echo 'deploy: the edge holds requests back, as an operator wants: the site is not asked through it'`)
	if output, err := p.run("push", "deploy.yml", bySSH...); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
	if summary := p.recorded(".summary"); !strings.Contains(summary, "**Done on the host**, behind the maintenance page") || strings.Contains(p.recorded(".sent"), "./deploy.sh rollback") {
		t.Errorf("the summary is\n%s", summary)
	}
}

func TestARollbackByHandBuildsNothing(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	output, err := p.run("workflow_dispatch", "deploy.yml", append(bySSH, "--input", "action=rollback")...)
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if record := p.recorded(""); strings.Contains(record, "build ") || strings.Contains(record, ".ci/run") || !strings.Contains(p.recorded(".sent"), "./deploy.sh rollback") {
		t.Errorf("the record is\n%s", record)
	}
}

func TestAReleaseThatWasBuiltBeforeIsShippedByItsDigests(t *testing.T) {
	t.Parallel()
	const built, digest = "4f2c1d94f2c1d94f2c1d94f2c1d94f2c1d94f2c1", "@sha256:0000000000000000000000000000000000000000000000000000000000000007"
	p := newPipeline(t)
	output, err := p.run("workflow_dispatch", "deploy.yml", append(bySSH, "--input", "release="+built, "--input", "allow_destructive=true")...)
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	record := p.recorded("")
	if strings.Contains(record, "build ") || strings.Contains(record, ".ci/run") || !strings.Contains(record, "checkout "+built) {
		t.Errorf("the record is\n%s", record)
	}
	if sent := p.recorded(".sent"); !strings.Contains(sent, "name="+built+"\n") || !strings.Contains(sent, `/deploy.sh" deploy "$release" --allow-destructive`) {
		t.Errorf("the host is sent\n%s", sent)
	}
	if summary := p.recorded(".summary"); strings.Count(summary, digest+"`") != 3 {
		t.Errorf("the summary is\n%s", summary)
	}
}

func TestSettingsThatAreMissingAreNamedBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	for given, missing := range map[string]string{
		"DEPLOY_HOST=host.test": "missing in the environment production: SITE_URL DEPLOY_KNOWN_HOSTS;",
		"DEPLOY_VIA=ssm":        "missing in the environment production: SITE_URL DEPLOY_INSTANCE AWS_REGION AWS_DEPLOY_ROLE;",
		"DEPLOY_VIA=ftp":        "DEPLOY_VIA is ftp: ssh or ssm",
	} {
		t.Run(given, func(t *testing.T) {
			t.Parallel()
			p := newPipeline(t)
			output, err := p.run("workflow_dispatch", "deploy.yml", "--input", "action=rollback", "--var", given)
			if err == nil || !strings.Contains(output, missing) {
				t.Errorf("it ended with %v, want %q\n%s", err, missing, output)
			}
			if summary := p.recorded(".summary"); p.recorded(".sent") != "" || !strings.Contains(summary, "**Nothing was sent to the host.**") {
				t.Errorf("the summary is\n%s", summary)
			}
		})
	}
}

var bySSM = []string{"--var", "DEPLOY_VIA=ssm", "--var", "DEPLOY_INSTANCE=i-0123", "--var", "SITE_URL=https://portico.test/",
	"--var", "AWS_REGION=eu-central-1", "--var", "AWS_DEPLOY_ROLE=arn:deploy", "--var", "AWS_BUILD_ROLE=arn:build",
	"--var", "ECR_REGISTRY=123456789012.dkr.ecr.eu-central-1.amazonaws.com/portico", "--env", "SHIP_POLL=0.1"}

func TestSystemsManagerCarriesAReleaseWithoutSecrets(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	p.configure("SECRETS_FROM=/portico\n")
	output, err := p.run("push", "deploy.yml", append(bySSM, "--var", "DEPLOY_FOLDER="+p.host, "--secret", "ENV_VARS=A=secret-setting")...)
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	record := p.recorded("")
	for _, want := range []string{"assume arn:build", "assume arn:deploy", "aws ssm send-command", "docker/deploy.sh deploy "} {
		if !strings.Contains(record, want) {
			t.Errorf("%q is missing in the record\n%s", want, record)
		}
	}
	command := p.recorded(".command")
	if strings.Contains(record+command, "secret-setting") || strings.Contains(record, "\nssh ") {
		t.Errorf("the record is\n%s\nand what was sent\n%s", record, command)
	}
	if size := len(p.recorded(".parameters")); size > 32_000 {
		t.Errorf("what is sent has %d bytes: Systems Manager may refuse it", size)
	}
	images, err := filepath.Glob(filepath.Join(p.host, "releases/*/images.env"))
	if err != nil || len(images) != 1 {
		t.Fatalf("the host has %q: %v", images, err)
	}
	// The age of its folder is the release's: deploy.sh prunes by it.
	if folder, err := os.Stat(filepath.Dir(images[0])); err != nil || folder.ModTime().Unix() == 0 {
		t.Errorf("the release's folder is %v: %v", folder, err)
	}
	if secret, err := os.ReadFile(filepath.Join(p.host, "secrets/smtp_url")); err != nil || string(secret) != "smtp://mail.test:587\n" {
		t.Errorf("the secret that Parameter Store has is %q on the host: %v", secret, err)
	}
	if summary := p.recorded(".summary"); !strings.Contains(summary, "| host | i-0123, by Systems Manager |") || !strings.Contains(summary, "the host says: done") {
		t.Errorf("the summary is\n%s", summary)
	}
}

func TestACommandThatFailsOnTheHostFailsTheRunThroughSystemsManager(t *testing.T) {
	t.Parallel()
	p := newPipeline(t) // without .env there, as on a host that nobody has prepared
	output, err := p.run("push", "deploy.yml", append(bySSM, "--var", "DEPLOY_FOLDER="+p.host)...)
	if err == nil || !strings.Contains(output, "deploy on i-0123 ended with Failed") {
		t.Errorf("it ended with %v\n%s", err, output)
	}
	if record := p.recorded(""); strings.Contains(record, "deploy.sh deploy") || strings.Contains(record, "curl") {
		t.Errorf("the record is\n%s", record)
	}
}

func TestTheSummaryTellsWhatADeploymentCameTo(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for name, content := range map[string]string{"images.env": "APP_IMAGE=ghcr.io/o/r/app@sha256:1\n", "switch.log": "deploy: v2 failed; v1 serves\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	summary := func(action, switched, outside, rolledBack, again string) string {
		return command(t, []string{"ACTION=" + action, "RELEASE=4f2c1d9", "DEPLOY_VIA=ssh", "DEPLOY_HOST=deploy@host.test", "SITE_URL=https://portico.test/",
			"SWITCHED=" + switched, "OUTSIDE=" + outside, "ROLLED_BACK=" + rolledBack, "AGAIN=" + again},
			"bash", "-c", "script=$PWD/docker/summary.sh; cd "+folder+" && $script")
	}
	want := "## Deploy\n\n**Rolled back.** With 4f2c1d9, https://portico.test/ did not answer from outside; with the release before it does.\n\n| | |\n| --- | --- |\n| release | 4f2c1d9 |\n" +
		"| host | deploy@host.test, by SSH |\n| the host has switched | yes |\n| answers from outside | **no** |\n| rolled back | yes |\n| answers from outside after that | yes |\n" +
		"| image of app | `ghcr.io/o/r/app@sha256:1` |\n\n<details><summary>What the host said</summary>\n\n```\ndeploy: v2 failed; v1 serves\n```\n</details>"
	if got := summary("deploy", "success", "failure", "success", "success"); got != want {
		t.Errorf("the summary is\n%s\nwant\n%s", got, want)
	}
	for _, test := range []struct{ action, switched, outside, rolledBack, tells string }{
		{"deploy", "success", "success", "skipped", "**4f2c1d9 serves**"},
		{"deploy", "failure", "skipped", "skipped", "**Not deployed.**"},
		{"deploy", "success", "failure", "failure", "and the rollback failed.**"},
		{"deploy", "skipped", "skipped", "skipped", "**Nothing was sent to the host.**"},
		{"rollback", "success", "success", "skipped", "**The release before serves**"},
		{"rollback", "success", "failure", "skipped", "**Rolled back, and yet"},
		{"rollback", "failure", "skipped", "skipped", "**Not rolled back.**"},
	} {
		if got := summary(test.action, test.switched, test.outside, test.rolledBack, "skipped"); !strings.Contains(got, test.tells) {
			t.Errorf("%+v: the summary is\n%s", test, got)
		}
	}
}
