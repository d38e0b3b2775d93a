package ossclient

import (
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// serveBench makes this program the server of the benchmarks, in a process of its own, so that the
// processor's time can be told apart.
const serveBench = "OSSCLIENT_TEST_SERVE"

func TestMain(m *testing.M) {
	if os.Getenv(serveBench) != "" {
		s := httptest.NewServer(benchHandler())
		fmt.Println(s.URL)
		_, _ = os.Stdin.Read(make([]byte, 1)) // until the benchmark ends
		os.Exit(0)
	}
	// The cells of the fault matrix wait more than they work.
	if err := flag.Set("test.parallel", "12"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}
