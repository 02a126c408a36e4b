//go:build containers

package containers

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// commandsOf collects the blocks of a language below a heading of a page, without the indentation of lists. "sh host" is what is typed
// on the host.
func commandsOf(t *testing.T, page, heading, language string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(repository, page))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(content), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("%s has no heading %q", page, heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var script strings.Builder
	for _, block := range regexp.MustCompile("(?ms)^( *)```"+language+"\n(.*?)^ *```$").FindAllStringSubmatch(section, -1) {
		for line := range strings.Lines(block[2]) {
			script.WriteString(strings.TrimPrefix(line, block[1]))
		}
	}
	return script.String()
}

// The page runs from top to bottom: each block with what the ones before have set. Amazon and GitHub are stand-ins that write down
// what they are asked, refuse documents that are no JSON, and answer with names.
func TestTheCommandsOfTheAWSPageFitTogether(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	record, firstBoot := filepath.Join(folder, "record"), filepath.Join(folder, "first-boot")
	executable(t, filepath.Join(folder, "bin/aws"), `
printf 'aws' >>"$RECORD"
for argument in "$@"; do
	case $argument in
	{*) argument=$(jq --compact-output . <<<"$argument") ;;
	file://*) cp "${argument#file://}" "$FIRST_BOOT" ;;
	esac
	printf ' %s' "$argument" >>"$RECORD"
done
echo >>"$RECORD"
case "$1 $2" in
"sts get-caller-identity") echo 123456789012 ;;
"ec2 create-security-group") echo sg-1 ;;
"ec2 describe-images") echo ami-1 ;;
"ec2 run-instances") echo i-0123456789abcdef0 ;;
"ec2 allocate-address") printf 'eipalloc-1\t203.0.113.7\n' ;;
"ec2 describe-subnets") case "$*" in *VpcId*) echo vpc-1 ;; *) printf 'subnet-1\tsubnet-2\n' ;; esac ;;
"route53 list-hosted-zones-by-name") echo /hostedzone/Z1 ;;
"acm request-certificate") echo arn:certificate ;;
"acm describe-certificate") echo '{"Name": "_x.example.com.", "Type": "CNAME", "Value": "_y.example.net."}' ;;
"elbv2 create-load-balancer") printf 'arn:balancer\tbalancer.example.net\tZ2\n' ;;
"elbv2 create-target-group") echo arn:target ;;
esac`)
	executable(t, filepath.Join(folder, "bin/gh"), `echo "gh $*" >>"$RECORD"`)
	executable(t, filepath.Join(folder, "bin/sleep"), `true`)
	output, err := attempt(t, []string{"RECORD=" + record, "FIRST_BOOT=" + firstBoot, "TMPDIR=" + folder, "PATH=" + filepath.Join(folder, "bin") + ":" + os.Getenv("PATH")},
		"bash", "-c", commandsOf(t, "docs/aws.md", "The same by commands", "sh"))
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	content, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	asked := string(content)
	for _, want := range []string{
		`create-role --role-name portico-build --assume-role-policy-document {"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRoleWithWebIdentity","Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"},"Condition":{"StringEquals":{"token.actions.githubusercontent.com:aud":"sts.amazonaws.com","token.actions.githubusercontent.com:sub":"repo:OWNER/REPOSITORY:ref:refs/heads/main"}}}]}`,
		`"token.actions.githubusercontent.com:sub":"repo:OWNER/REPOSITORY:environment:production"`,
		`{"Effect":"Allow","Action":["ssm:SendCommand"],"Resource":["arn:aws:ec2:eu-central-1:123456789012:instance/i-0123456789abcdef0","arn:aws:ssm:eu-central-1::document/AWS-RunShellScript"]}`,
		`associate-address --instance-id i-0123456789abcdef0 --allocation-id eipalloc-1`,
		`"ResourceRecords":[{"Value":"203.0.113.7"}]`,
		`"AliasTarget":{"HostedZoneId":"Z2","DNSName":"balancer.example.net","EvaluateTargetHealth":true}`,
	} {
		if !strings.Contains(asked, want) {
			t.Errorf("%q was not asked; the record is\n%s", want, asked)
		}
	}
	// The workflow finds everything that it reads when it deploys by Systems Manager from ECR.
	for _, name := range []string{"AWS_REGION", "AWS_BUILD_ROLE", "ECR_REGISTRY", "AWS_DEPLOY_ROLE", "DEPLOY_VIA", "DEPLOY_INSTANCE", "SITE_URL"} {
		if !strings.Contains(asked, "gh variable set "+name+" ") {
			t.Errorf("the variable %s is not set", name)
		}
	}
	// What the instance runs first fits into its user data, whole.
	info, err := os.Stat(firstBoot)
	if err != nil || info.Size() > 16<<10 {
		t.Errorf("the user data is %v: %v", info, err)
	}
	script, err := os.ReadFile(filepath.Join(repository, "docker/bootstrap.sh"))
	if err != nil {
		t.Fatal(err)
	}
	if packed := command(t, []string{"FIRST_BOOT=" + firstBoot}, "bash", "-c", `sed --quiet 's/^bootstrap=//p' "$FIRST_BOOT" | base64 --decode | gunzip`); packed != strings.TrimRight(string(script), "\n") {
		t.Errorf("bootstrap.sh arrives as\n%s", packed)
	}
	lines := strings.Split(command(t, nil, "cat", firstBoot), "\n")
	for _, want := range []string{"options='--site example.com --email ops@example.com'", "settings='BACKUP_S3=s3://portico-backups-123456789012/database", "SECRETS_FROM=/portico'"} {
		if !slices.Contains(lines, want) {
			t.Errorf("the user data lacks %q", want)
		}
	}
}

func TestTheFirstBootPreparesTheHostAsAsked(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile(filepath.Join(repository, "infra/aws/first-boot.sh"))
	if err != nil {
		t.Fatal(err)
	}
	userData := `#!/bin/bash
apt-get() { echo "apt-get $*"; }
dpkg() { if [ "$1" = --print-architecture ]; then echo arm64; else echo "dpkg $*"; fi; }
systemctl() { echo "systemctl $*"; }
curl() {
	case "$*" in *api/token) echo token ;; *placement/region) echo eu-central-1 ;; *) echo "curl ${!#}"; while [ "$1" != --output ]; do shift; done; echo fetched >"$2" ;; esac
}
bootstrap=$(printf 'printf "<%%s>" "$@"; mkdir --parents /opt/portico/secrets; echo SITE_HOST=portico.test >/opt/portico/.env' | gzip | base64 --wrap 0)
options="--site portico.test --key 'ssh-ed25519 AAAA me'"
settings='BACKUP_S3=s3://bucket/database
SECRETS_FROM=/portico'
database_ca=https://certificates.test/bundle.pem
` + string(script) + `
cat /opt/portico/.env /opt/portico/secrets/database_ca
`
	output := command(t, nil, "bash", "-c", "docker run --rm --interactive --name portico-e2e-first-boot debian:trixie-slim bash -s <<'END'\n"+userData+"\nEND")
	want := `curl https://s3.eu-central-1.amazonaws.com/amazon-ssm-eu-central-1/latest/debian_arm64/amazon-ssm-agent.deb
dpkg --install /tmp/agent.deb
systemctl enable --now amazon-ssm-agent
<--site><portico.test><--key><ssh-ed25519 AAAA me>curl https://certificates.test/bundle.pem
SITE_HOST=portico.test
BACKUP_S3=s3://bucket/database
SECRETS_FROM=/portico
fetched`
	if !strings.HasSuffix(output, want) {
		t.Errorf("it did\n%s\nwant\n%s", output, want)
	}
}

// Both ways to the account give the roles the same rights.
func TestTheModuleAndThePageAllowTheSame(t *testing.T) {
	t.Parallel()
	actions := func(text string) []string {
		found := regexp.MustCompile(`\b(?:ecr|ssm|s3):[A-Z]\w+`).FindAllString(text, -1)
		slices.Sort(found)
		return slices.Compact(found)
	}
	var module strings.Builder
	for _, name := range []string{"github.tf", "host.tf"} {
		content, err := os.ReadFile(filepath.Join(repository, "infra/aws", name))
		if err != nil {
			t.Fatal(err)
		}
		module.Write(content)
	}
	page := actions(commandsOf(t, "docs/aws.md", "The same by commands", "sh"))
	if inModule := actions(module.String()); len(page) == 0 || !slices.Equal(inModule, page) {
		t.Errorf("infra/aws allows\n%q\nand docs/aws.md\n%q", inModule, page)
	}
}
