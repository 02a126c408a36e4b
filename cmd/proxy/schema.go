package main

import (
	"os"

	"github.com/portico-web/portico/proxy/config"
)

type schemaCommand struct{}

func (schemaCommand) Run() error {
	_, err := os.Stdout.Write(config.Schema())
	return err
}

func (schemaCommand) Help() string {
	return `Editors that know YAML's language server complete keys, explain them and mark mistakes, once the file begins with
  # yaml-language-server: $schema=proxy.schema.json

Example:
  proxy schema > proxy.schema.json`
}
