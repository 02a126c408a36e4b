package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// errMissing says that a program is not installed.
var errMissing = errors.New("not installed")

// proxy is one of those that are measured. Its configurations are templates of {cert}, {key}, {both}, {port}, {backend},
// {folder}, {files}, the number of files that a process may open, and {http3}, true or false.
type proxy struct {
	name    string
	version string
	http3   bool   // it speaks it
	file    string // the configuration's name
	config  string // without log and limit
	logged  string // with both; "" where that is not measured
	command func(config string) []string

	filesEach int // files that it opens, or sets aside, for each connection of a client; 0 is one
}

// variant is how a proxy is set up.
type variant struct {
	logged bool // with access log and rate limit
	http3  bool // also over QUIC
}

// reduce leaves of a variant what the proxy distinguishes.
func (p *proxy) reduce(v variant) variant { return variant{v.logged && p.logged != "", v.http3} }

// start runs the proxy on a port of its own.
func (p *proxy) start(ctx context.Context, s site, v variant) (*server, error) {
	if v.http3 && !p.http3 {
		return nil, fmt.Errorf("%w: no HTTP/3", errLeftOut)
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	name, template := p.name, p.config
	if p.reduce(v).logged {
		name, template = name+"-log", p.logged
	}
	name += "-" + strconv.Itoa(port)
	path := filepath.Join(s.folder, name+"-"+p.file)
	files, err := fileLimit()
	if err != nil {
		return nil, err
	}
	content := fill(template, map[string]string{
		"cert": s.cert, "key": s.key, "both": s.both, "port": strconv.Itoa(port), "backend": s.address, "folder": s.folder,
		"files": strconv.Itoa(files), "connections": strconv.Itoa((files - 100) / 2),
		"http3": strconv.FormatBool(v.http3),
	})
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return nil, err
	}
	return launch(ctx, s, name, fmt.Sprintf("https://localhost:%d/", port), p.command(path))
}

// newPortico builds the edge from this checkout, unless it is given as a program.
func newPortico(ctx context.Context, s site, program string) (*proxy, error) {
	module, err := run(ctx, "go", "env", "GOMOD")
	if err != nil {
		return nil, err
	}
	root := filepath.Dir(strings.TrimSpace(module))
	if program == "" {
		program = filepath.Join(s.folder, "proxy")
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "./cmd/proxy")
		build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if output, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build the edge: %w\n%s", err, output)
		}
	} else if program, err = filepath.Abs(program); err != nil {
		return nil, err
	}
	var configs [2]string
	for i, name := range []string{"edge.yaml.tmpl", "edge-log.yaml.tmpl"} {
		content, err := os.ReadFile(filepath.Join(root, "bench", name))
		if err != nil {
			return nil, err
		}
		configs[i] = strings.Replace(string(content), "http3: false", "http3: {http3}", 1)
	}
	return &proxy{
		name: "Portico", http3: true, file: "proxy.yaml", config: configs[0], logged: configs[1],
		command: func(config string) []string { return []string{program, "run", "--config", config, "--data", s.folder} },
	}, nil
}

// peer is a proxy that may be installed.
type peer struct {
	title   string
	http3   bool
	install string // how
	version []string
	file    string
	config  string
	command func(program, config string) []string

	filesEach int // as in proxy
}

var peers = map[string]peer{
	"nginx": {
		title: "nginx", install: "apt-get install nginx", version: []string{"-v"}, file: "nginx.conf", config: nginxConfig,
		command: func(program, config string) []string { return []string{program, "-c", config} },
	},
	"haproxy": {
		title: "HAProxy", install: "apt-get install haproxy", version: []string{"-v"}, file: "haproxy.cfg", config: haproxyConfig,
		command:   func(program, config string) []string { return []string{program, "-db", "-f", config} },
		filesEach: 2,
	},
	"caddy": {
		title: "Caddy", http3: true, install: "go install github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9", version: []string{"version"},
		file: "Caddyfile", config: caddyConfig,
		command: func(program, config string) []string {
			return []string{program, "run", "--config", config, "--adapter", "caddyfile"}
		},
	},
}

var versionNumber = regexp.MustCompile(`\d+\.\d+(\.\d+)?`)

// find looks for the peer's program, also where `go install` and Debian put those that are not on the path.
func (p peer) find(ctx context.Context, name string) (*proxy, error) {
	bin, _ := run(ctx, "go", "env", "GOBIN")
	path, _ := run(ctx, "go", "env", "GOPATH")
	for _, candidate := range []string{name, filepath.Join(strings.TrimSpace(bin), name), filepath.Join(strings.TrimSpace(path), "bin", name), "/usr/sbin/" + name} {
		program, err := exec.LookPath(candidate)
		if err != nil {
			continue
		}
		told, err := run(ctx, program, p.version...)
		if err != nil {
			return nil, err
		}
		return &proxy{
			name: p.title, http3: p.http3, version: versionNumber.FindString(told), file: p.file, config: p.config, filesEach: p.filesEach,
			command: func(config string) []string { return p.command(program, config) },
		}, nil
	}
	return nil, fmt.Errorf("%s is %w and left out: %s", p.title, errMissing, p.install)
}

// The peers forward as the edge does: to kept connections, and telling the client's address and scheme. None writes a log,
// and each may use every processor. nginx passes content on as it comes, as the others do, instead of writing it to disk first.
const (
	nginxConfig = `daemon off;
worker_processes auto;
worker_rlimit_nofile {files};
pid {folder}/nginx-{port}.pid;
error_log stderr error;
events { worker_connections {files}; }
http {
  access_log off;
  client_body_temp_path {folder}/nginx-{port}-body;
  proxy_temp_path {folder}/nginx-{port}-proxy;
  fastcgi_temp_path {folder}/nginx-{port}-fastcgi;
  uwsgi_temp_path {folder}/nginx-{port}-uwsgi;
  scgi_temp_path {folder}/nginx-{port}-scgi;
  keepalive_timeout 10m;
  keepalive_requests 100000000;
  upstream backend { server {backend}; keepalive 512; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:{port} ssl http2;
    server_name localhost;
    ssl_certificate {cert};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
    client_max_body_size 0;
    proxy_request_buffering off;
    proxy_max_temp_file_size 0;
    location / {
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Request-ID $request_id;
    }
  }
}
`
	haproxyConfig = `global
  maxconn {connections}
defaults
  mode http
  timeout connect 2s
  timeout client 10m
  timeout server 1m
  timeout http-keep-alive 10m
frontend edge
  bind 127.0.0.1:{port} ssl crt {both} alpn h2,http/1.1
  option forwardfor
  http-request set-header X-Forwarded-Proto https
  unique-id-format %[uuid()]
  unique-id-header X-Request-ID
  default_backend backend
backend backend
  http-reuse always
  server backend {backend}
`
	caddyConfig = `{
  admin off
  auto_https off
  persist_config off
  skip_install_trust
  log {
    output discard
  }
  servers {
    timeouts {
      idle 10m
    }
  }
}
https://localhost:{port} {
  bind 127.0.0.1
  tls {cert} {key}
  reverse_proxy {backend} {
    header_up X-Request-ID {http.request.uuid}
  }
}
`
)
