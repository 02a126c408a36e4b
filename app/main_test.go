package app_test

import (
	"testing"

	"github.com/portico-web/portico/internal/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }
