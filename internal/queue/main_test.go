package queue_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/portico-web/portico/internal/dbtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(dbtest.Suite{M: m}) }
